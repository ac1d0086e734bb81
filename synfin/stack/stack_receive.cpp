// SPDX-License-Identifier: Apache-2.0
//
// From a frame to the record that owns its 4-tuple. Every packet leaves here with a reason.
#include <algorithm>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;
using trace::Reason;
using trace::State;

void Stack::Impl::note_packet(EventKind kind, Reason reason, const wire::Frame& frame, Instant now) {
  if (kind == EventKind::kPacketReceived) ++counters[reason];
  if (packet_sink == nullptr) return;
  trace::Event e;
  e.kind = kind;
  e.reason = reason;
  e.at = now;
  e.frame = &frame;
  packet_sink->on_event(e);
}

std::size_t Stack::Impl::receive(std::span<wire::Frame> frames, tcp::Context& ctx) {
  wire::Frame& frame = frames[0];
  wire::TcpPacket packet;
  if (config.short_paths && wire::read_usual_packet(frame, packet)) {
    return receive_segment(packet, tcp::tuple_hash(tuple_key, tuple_of(packet)), frames, ctx);
  }
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip) {
    note_packet(EventKind::kPacketReceived, trace::reason_of(ip.error()), frame, ctx.now);
    return 1;
  }
  packet.ip = ip->header;
  std::optional<wire::ParseError> unreadable;
  if (ip->header.protocol == wire::protocol::kTcp) {
    unreadable = wire::read_tcp_part(*ip, frame, wire::VerifyChecksum::kYes, packet);
    if (!unreadable) {
      return receive_segment(packet, tcp::tuple_hash(tuple_key, tuple_of(packet)), frames, ctx);
    }
  }
  if (const Reason bad_address = judge_addresses(ip->header); bad_address != Reason::kNone) {
    note_packet(EventKind::kPacketReceived, bad_address, frame, ctx.now);
    return 1;
  }
  switch (ip->header.protocol) {
    case wire::protocol::kTcp:
      ++counters[Counter::kInSegs];
      ++counters[Counter::kInErrs];
      if (*unreadable == wire::ParseError::kTcpBadChecksum) ++counters[Counter::kInCsumErrors];
      note_packet(EventKind::kPacketReceived, trace::reason_of(*unreadable), frame, ctx.now);
      return 1;
    case wire::protocol::kIcmp:
    case wire::protocol::kIcmpV6:
      receive_icmp(*ip, frame, ctx.now);
      return 1;
    default:
      note_packet(EventKind::kPacketReceived, Reason::kUnknownProtocol, frame, ctx.now);
      return 1;
  }
}

Reason Stack::Impl::judge_addresses(const wire::IpHeader& ip) const {
  const auto is_broadcast = [&](const wire::IpAddress& a) {
    return std::ranges::find(broadcasts, a) != broadcasts.end();
  };
  if (std::ranges::find(config.addresses, ip.destination, &wire::Prefix::address) == config.addresses.end()) {
    // "A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or
    // multicast address"  (RFC 9293 §3.9.2.3, MUST-57)
    return ip.destination.is_multicast() || ip.destination.is_limited_broadcast() ||
                   is_broadcast(ip.destination)
               ? Reason::kBadDestinationAddress
               : Reason::kNotOurAddress;
  }
  // "An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer"
  //   (§3.9.2.3, MUST-63); here every packet is.
  if (!ip.source.is_host() || is_broadcast(ip.source)) return Reason::kBadSourceAddress;
  return Reason::kNone;
}

std::size_t Stack::Impl::receive_segment(const wire::TcpPacket& packet, const tcp::TupleHash& hash,
                                         std::span<wire::Frame> frames, tcp::Context& ctx) {
  wire::Frame& frame = frames[0];
  const wire::FourTuple tuple = tuple_of(packet);
  ctx.found_by = hash;
  const RecordRef owner = find(tuple, hash.place);
  // What has an owner was judged when it got one; but nobody is to be heard who is nobody.
  const Reason bad_address = owner && packet.ip.source.is_host() ? Reason::kNone : judge_addresses(packet.ip);
  if (bad_address != Reason::kNone) {
    note_packet(EventKind::kPacketReceived, bad_address, frame, ctx.now);
    return 1;
  }
  const tcp::Segment seg{packet.tcp,
                         frame,
                         static_cast<std::uint32_t>(packet.payload_offset),
                         static_cast<std::uint32_t>(packet.payload_size),
                         static_cast<std::uint8_t>(packet.ip.traffic_class & wire::ecn::kMask),
                         frame.segment_size};
  counters[Counter::kInSegs] += seg.pieces();
  static constexpr std::array<Counter, 4> kByCodepoint{Counter::kInNoECTPkts, Counter::kInECT1Pkts,
                                                       Counter::kInECT0Pkts, Counter::kInCEPkts};
  counters[kByCodepoint[seg.ecn]] += seg.pieces();
  const Fate fate = deliver(owner, tuple, seg, ctx);
  ++counters[fate.reason];
  if (packet_sink == nullptr) {
    const bool took_text = fate.reason == Reason::kDataAccepted && tcp::may_receive_text(fate.to);
    if (!took_text || !fate.connection || frames.size() == 1 || !config.short_paths) return 1;
    return 1 + take_followers(fate.connection, packet.ip, seg, frames, ctx);
  }
  trace::Event e;
  e.kind = EventKind::kSegmentReceived;
  e.from = fate.from;
  e.to = fate.to;
  e.reason = fate.reason;
  e.at = ctx.now;
  e.tuple = tuple;
  e.header = &packet.tcp;
  e.payload_size = seg.text_size;
  e.window = (packet.tcp.window << (packet.tcp.flags.syn() ? wire::WindowScale::none()
                                                           : wire::WindowScale{fate.window_scale}))
                 .octets;
  e.frame = &frame;
  e.counts_marks = fate.counts_marks && !packet.tcp.flags.syn();
  packet_sink->on_event(e);
  return 1;
}

Stack::Impl::Fate Stack::Impl::deliver(RecordRef owner, const wire::FourTuple& tuple, const tcp::Segment& seg,
                                       tcp::Context& ctx) {
  const tcp::TupleHash& hash = *ctx.found_by;
  switch (owner.kind()) {
    case RecordKind::kConnection:
      return to_connection(owner, seg, ctx);
    case RecordKind::kHalfOpen:
      return to_half_open(owner, hash.place, seg, ctx);
    case RecordKind::kTimeWait:
      return to_time_wait(owner, hash, seg, ctx);
    case RecordKind::kHeldSyn:
      return to_held(owner, seg, ctx);
    case RecordKind::kNone:
      break;
  }
  if (tuple.local.port == 0 || tuple.remote.port == 0) return {Reason::kPortZero};
  if (tuple.local == tuple.remote) return {Reason::kLandAttack};
  if (const auto index = listener_for(tuple.local))
    return to_listener(*index, hash, tuple, seg, std::nullopt, ctx);
  return to_nobody(tuple, seg, ctx);
}

Stack::Impl::Fate Stack::Impl::to_connection(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx) {
  ConnectionRecord& record = connections[ref.index()];
  tcp::Connection& c = record.tcp;
  Fate fate{Reason::kNone, c.state()};
  fate.reason = c.on_segment(seg, ctx);
  fate.to = c.state();
  fate.window_scale = c.snd().scale.shift();
  fate.counts_marks = c.counts_marks();
  fate.connection = ref;
  settle(ref.index(), record, ctx);
  return fate;
}

Stack::Impl::Fate Stack::Impl::to_time_wait(RecordRef ref, const tcp::TupleHash& hash,
                                            const tcp::Segment& seg, tcp::Context& ctx) {
  tcp::TimeWait tw = time_wait(ref);
  const tcp::TimeWaitDisposition d =
      tw.fin_wait_2 ? tcp::judge_fin_wait_2(tw, seg) : tcp::judge_time_wait(tw, seg, config.settings);
  Fate fate{d.reason, tw.state(), tw.state()};
  switch (d.verdict) {
    case tcp::TimeWaitVerdict::kDrop:
      return fate;
    case tcp::TimeWaitVerdict::kTimeWait: {
      tw.fin_wait_2 = false;
      tw.rcv_nxt += 1;
      if (seg.has_timestamps()) tw.ts_recent = seg.header.options.timestamps.value;
      time_waits[ref.index()].set(tw);
      const Instant end = ctx.now + config.settings.msl * 2;
      ctx.state_changed(tw.tuple, State::kFinWait2, State::kTimeWait, d.reason, end);
      fate.to = State::kTimeWait;
      [[fallthrough]];
    }
    case tcp::TimeWaitVerdict::kAcknowledgeRestart:
      arm(ref, ctx.now + config.settings.msl * 2, ctx);
      [[fallthrough]];
    case tcp::TimeWaitVerdict::kAcknowledge:
      replies.push_back(tcp::time_wait_ack(tw, ctx, d.reason));
      return fate;
    case tcp::TimeWaitVerdict::kResetRemove:
      ctx.count(Counter::kTCPAbortOnData);
      replies.push_back(tcp::time_wait_reset(tw, ctx, d.reason));
      remove_time_wait(ref, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
    case tcp::TimeWaitVerdict::kReopen: {
      const wire::FourTuple tuple = tw.tuple;
      const auto listening = listener_for(tuple.local);
      if (!listening) {
        replies.push_back(tcp::time_wait_ack(tw, ctx, Reason::kTimeWaitOldSyn));
        fate.reason = Reason::kTimeWaitOldSyn;
        return fate;
      }
      const wire::SeqNum last = tw.snd_nxt;
      ctx.count(Counter::kTWRecycled);
      remove_time_wait(ref, Reason::kTimeWaitReopened, ctx);
      const Fate opened = to_listener(*listening, hash, tuple, seg, last, ctx);
      fate.to = opened.to;
      // Not opened after all, or not yet.
      if (opened.to != State::kSynReceived) fate.reason = opened.reason;
      return fate;
    }
    case tcp::TimeWaitVerdict::kRemove:
      remove_time_wait(ref, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
  }
  return fate;
}

// RFC 9293 §3.10.7.1: the state is CLOSED, which is to say that there is nothing.
Stack::Impl::Fate Stack::Impl::to_nobody(const wire::FourTuple& tuple, const tcp::Segment& seg,
                                         tcp::Context& ctx) {
  (void)ctx;
  if (seg.flags().rst()) return {Reason::kResetWithoutOwner};
  replies.push_back(tcp::reset_for(tuple, seg, State::kClosed, Reason::kNoOwner));
  return {Reason::kNoOwner};
}

}  // namespace synfin::stack
