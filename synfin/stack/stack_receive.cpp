// SPDX-License-Identifier: Apache-2.0
//
// From a frame to the record that owns its 4-tuple. Every packet leaves here with a reason.
#include <algorithm>

#include "synfin/stack/impl.h"
#include "synfin/wire/icmp.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;
using trace::Reason;
using trace::State;

void Stack::Impl::note_packet(EventKind kind, Reason reason, const wire::Frame& frame, Instant now) {
  if (kind == EventKind::kPacketReceived) ++counters[reason];
  if (sink == nullptr) return;
  trace::Event e;
  e.kind = kind;
  e.reason = reason;
  e.at = now;
  e.frame = &frame;
  sink->on_event(e);
}

void Stack::Impl::receive(wire::Frame& frame, Instant now) {
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip) {
    note_packet(EventKind::kPacketReceived, trace::reason_of(ip.error()), frame, now);
    return;
  }
  const Reason bad_address = judge_addresses(ip->header);
  if (bad_address != Reason::kNone) {
    note_packet(EventKind::kPacketReceived, bad_address, frame, now);
    return;
  }
  switch (ip->header.protocol) {
    case wire::protocol::kTcp:
      receive_tcp(*ip, frame, now);
      return;
    case wire::protocol::kIcmp:
    case wire::protocol::kIcmpV6:
      receive_icmp(*ip, frame, now);
      return;
    default:
      note_packet(EventKind::kPacketReceived, Reason::kUnknownProtocol, frame, now);
  }
}

Reason Stack::Impl::judge_addresses(const wire::IpHeader& ip) const {
  const auto is_own_broadcast = [&](const wire::IpAddress& a) {
    return a.is_limited_broadcast() ||
           std::ranges::any_of(config.addresses, [&](const wire::Prefix& p) { return p.broadcast() == a; });
  };
  // "A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a broadcast or
  // multicast address"  (RFC 9293 §3.9.2.3, MUST-57)
  if (ip.destination.is_multicast() || is_own_broadcast(ip.destination))
    return Reason::kBadDestinationAddress;
  if (std::ranges::none_of(config.addresses,
                           [&](const wire::Prefix& p) { return p.address == ip.destination; })) {
    return Reason::kNotOurAddress;
  }
  // "An incoming SYN with an invalid source address MUST be ignored either by TCP or by the IP layer"
  //   (§3.9.2.3, MUST-63); here every packet is.
  if (ip.source.is_unspecified() || ip.source.is_multicast() || ip.source.is_loopback() ||
      is_own_broadcast(ip.source)) {
    return Reason::kBadSourceAddress;
  }
  return Reason::kNone;
}

void Stack::Impl::receive_tcp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now) {
  ++counters[Counter::kInSegs];
  const auto packet = wire::parse_tcp_packet(ip, frame, wire::VerifyChecksum::kYes);
  if (!packet) {
    ++counters[Counter::kInErrs];
    if (packet.error() == wire::ParseError::kTcpBadChecksum) ++counters[Counter::kInCsumErrors];
    note_packet(EventKind::kPacketReceived, trace::reason_of(packet.error()), frame, now);
    return;
  }
  const wire::FourTuple tuple{{ip.header.destination, packet->tcp.destination_port},
                              {ip.header.source, packet->tcp.source_port}};
  const tcp::Segment seg{packet->tcp, frame, static_cast<std::uint32_t>(packet->payload_offset),
                         static_cast<std::uint32_t>(packet->payload_size)};
  tcp::Context ctx = context(now);
  Fate fate{Reason::kNone};
  if (tuple.local.port == 0 || tuple.remote.port == 0) {
    fate.reason = Reason::kPortZero;
  } else if (tuple.local == tuple.remote) {
    fate.reason = Reason::kLandAttack;
  } else {
    fate = deliver(tuple, seg, ctx);
  }
  ++counters[fate.reason];
  if (sink == nullptr) return;
  trace::Event e;
  e.kind = EventKind::kSegmentReceived;
  e.from = fate.from;
  e.to = fate.to;
  e.reason = fate.reason;
  e.at = now;
  e.tuple = tuple;
  e.header = &packet->tcp;
  e.payload_size = seg.text_size;
  e.window = (packet->tcp.window << (packet->tcp.flags.syn() ? wire::WindowScale::none()
                                                             : wire::WindowScale{fate.window_scale}))
                 .octets;
  e.frame = &frame;
  sink->on_event(e);
}

Stack::Impl::Fate Stack::Impl::deliver(const wire::FourTuple& tuple, const tcp::Segment& seg,
                                       tcp::Context& ctx) {
  const std::uint32_t hash = hash_of(tuple);
  const RecordRef owner = find(tuple, hash);
  switch (owner.kind()) {
    case RecordKind::kConnection:
      return to_connection(owner, seg, ctx);
    case RecordKind::kHalfOpen:
      return to_half_open(owner, hash, seg, ctx);
    case RecordKind::kTimeWait:
      return to_time_wait(owner, hash, seg, ctx);
    case RecordKind::kNone:
      break;
  }
  if (const auto index = listener_for(tuple.local))
    return to_listener(*index, hash, tuple, seg, std::nullopt, ctx);
  return to_nobody(tuple, seg, ctx);
}

Stack::Impl::Fate Stack::Impl::to_connection(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx) {
  tcp::Connection& c = connections[ref.index()].tcp;
  Fate fate{Reason::kNone, c.state()};
  fate.reason = c.on_segment(seg, ctx);
  fate.to = c.state();
  fate.window_scale = c.snd().scale.shift();
  settle(ref.index(), ctx);
  return fate;
}

Stack::Impl::Fate Stack::Impl::to_half_open(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg,
                                            tcp::Context& ctx) {
  tcp::HalfOpen& half = half_opens[ref.index()];
  const tcp::HalfOpenDisposition d = tcp::judge_half_open(half, seg, ctx);
  Fate fate{d.reason, State::kSynReceived, State::kSynReceived, half.send_scale};
  switch (d.verdict) {
    case tcp::HalfOpenVerdict::kEstablish: {
      const auto owner = listener_for(half.tuple.local);
      if (!owner) {  // its listener takes its half-open connections with it, so this one has lost its owner
        replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, Reason::kListenerClosed));
        remove_half_open(ref, hash, Reason::kListenerClosed, ctx);
        return {Reason::kListenerClosed, State::kSynReceived, State::kClosed, fate.window_scale};
      }
      const wire::FourTuple tuple = half.tuple;
      fate.reason = promote(ref, hash, *owner, seg, ctx);
      if (fate.reason == Reason::kAcceptQueueFullReset) fate.to = State::kClosed;
      if (fate.reason != Reason::kHandshakeComplete) return fate;
      // Text and FIN on the third segment count.
      const Fate rest = to_connection(find(tuple, hash), seg, ctx);
      fate.to = rest.to;
      return fate;
    }
    case tcp::HalfOpenVerdict::kSynAckAgain:
      ctx.count(Counter::kTCPSynRetrans);
      replies.push_back(tcp::syn_ack(half, ctx, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kRemove:
      remove_half_open(ref, hash, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
    case tcp::HalfOpenVerdict::kReset:
      replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kAcknowledge:
      replies.push_back(tcp::half_open_ack(half, ctx, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kDrop:
      return fate;
  }
  return fate;
}

Stack::Impl::Fate Stack::Impl::to_time_wait(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg,
                                            tcp::Context& ctx) {
  tcp::TimeWait& tw = time_waits[ref.index()];
  const tcp::TimeWaitDisposition d = tcp::judge_time_wait(tw, seg, config.settings);
  Fate fate{d.reason, State::kTimeWait, State::kTimeWait};
  switch (d.verdict) {
    case tcp::TimeWaitVerdict::kDrop:
      return fate;
    case tcp::TimeWaitVerdict::kAcknowledgeRestart:
      arm(ref, ctx.now + config.settings.msl * 2, ctx);
      [[fallthrough]];
    case tcp::TimeWaitVerdict::kAcknowledge:
      replies.push_back(tcp::time_wait_ack(tw, ctx, d.reason));
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
      fate.to = to_listener(*listening, hash, tuple, seg, last, ctx).to;
      return fate;
    }
    case tcp::TimeWaitVerdict::kRemove:
      remove_time_wait(ref, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
  }
  return fate;
}

// `after`: our last number of an earlier connection of the same pair; the new one must begin beyond it (RFC
// 9293 §3.6.1, MAY-2).
Stack::Impl::Fate Stack::Impl::to_listener(std::uint32_t index, std::uint32_t hash,
                                           const wire::FourTuple& tuple, const tcp::Segment& seg,
                                           std::optional<wire::SeqNum> after, tcp::Context& ctx) {
  Listener& l = listeners[index];
  const tcp::ListenDisposition d = tcp::judge_in_listen(seg);
  Fate fate{d.reason, State::kListen, State::kListen};
  switch (d.verdict) {
    case tcp::ListenVerdict::kDrop:
      return fate;
    case tcp::ListenVerdict::kReset:
      if (const auto cookie = from_cookie(index, hash, tuple, seg, ctx)) return *cookie;
      replies.push_back(tcp::reset_for(tuple, seg, State::kListen, d.reason));
      return fate;
    case tcp::ListenVerdict::kOpen:
      break;
  }
  if (l.accept_queue_full()) {
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kAcceptQueueFull;
    return fate;
  }
  // As on Linux the backlog bounds the SYN queue too.
  const std::uint32_t most = std::min(config.settings.tcp_max_syn_backlog, std::max(l.backlog, 1u));
  const bool full = l.half_open >= most;
  const std::uint32_t mode = config.settings.tcp_syncookies;
  if (full) ctx.count(mode > 0 ? Counter::kTCPReqQFullDoCookies : Counter::kTCPReqQFullDrop);
  if (mode == 2 || (full && mode == 1)) {
    l.last_overflow = ctx.now;
    return with_cookie(tuple, seg, ctx);
  }
  if (full) {
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kSynQueueFull;
    return fate;
  }
  const auto slot = half_opens.allocate();
  const RecordRef ref{RecordKind::kHalfOpen, slot.value_or(0)};
  if (!slot || !table.insert(hash, ref)) {
    if (slot) half_opens.free(*slot);
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kNoMemory;
    return fate;
  }
  tcp::HalfOpen& half = half_opens[*slot];
  tcp::open_half(half, tuple, seg, ctx);
  if (after && !half.iss.after(*after)) half.iss = *after + 65537;
  ++l.half_open;
  ctx.count(Counter::kPassiveOpens);
  ctx.state_changed(tuple, State::kListen, State::kSynReceived, d.reason);
  replies.push_back(tcp::syn_ack(half, ctx, Reason::kSynAckSent));
  arm(ref, ctx.now + tcp::syn_ack_timeout(half, config.settings), ctx);
  fate.to = State::kSynReceived;
  fate.window_scale = half.send_scale;
  return fate;
}

// Answers a SYN and forgets it: the SYN-ACK's number holds what a record would have held.
Stack::Impl::Fate Stack::Impl::with_cookie(const wire::FourTuple& tuple, const tcp::Segment& syn,
                                           tcp::Context& ctx) {
  tcp::HalfOpen half;
  tcp::open_half(half, tuple, syn, ctx);
  cookies.rotate_if_due(ctx.now, entropy);
  cookies.make(half, ctx.now);
  tcp::Reply reply = tcp::syn_ack(half, ctx, Reason::kSynCookieSent);
  if (half.timestamps) {
    reply.header.options.timestamps.value =
        tcp::SynCookies::timestamp(half, ctx.now, isn.timestamp_offset(tuple));
  }
  reply.state = State::kListen;
  replies.push_back(reply);
  ctx.count(Counter::kSyncookiesSent);
  return {Reason::kSynCookieSent, State::kListen, State::kListen, half.send_scale};
}

// An acknowledgement for a listening port may bring a cookie back, if one was sent lately. Nothing: it is
// like any other.
std::optional<Stack::Impl::Fate> Stack::Impl::from_cookie(std::uint32_t index, std::uint32_t hash,
                                                          const wire::FourTuple& tuple,
                                                          const tcp::Segment& third, tcp::Context& ctx) {
  Listener& l = listeners[index];
  // Outside of an overflow no cookie is believed: a forger would have all the time in the world to guess one.
  const bool sent_lately = l.last_overflow && ctx.now - *l.last_overflow <= tcp::SynCookies::kLife;
  if (config.settings.tcp_syncookies == 0 || !sent_lately || third.flags().syn()) return std::nullopt;
  const auto half = cookies.check(tuple, third, ctx);
  if (!half) {
    ctx.count(Counter::kSyncookiesFailed);
    replies.push_back(tcp::reset_for(tuple, third, State::kListen, Reason::kSynCookieFailed));
    return Fate{Reason::kSynCookieFailed, State::kListen, State::kListen};
  }
  ctx.count(Counter::kSyncookiesRecv);
  if (l.accept_queue_full()) {
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    if (!config.settings.tcp_abort_on_overflow)
      return Fate{Reason::kAcceptQueueFull, State::kListen, State::kListen};
    replies.push_back(tcp::reset_for(tuple, third, State::kListen, Reason::kAcceptQueueFullReset));
    return Fate{Reason::kAcceptQueueFullReset, State::kListen, State::kListen};
  }
  ctx.state_changed(tuple, State::kListen, State::kSynReceived, Reason::kSynCookieAccepted);
  const auto connection = complete(*half, std::nullopt, hash, index, third, ctx);
  const RecordRef ref{RecordKind::kConnection, connection.value_or(0)};
  if (!connection || !table.insert(hash, ref)) {
    if (connection) {
      l.accept_queue.pop_back();
      connections.free(*connection);
    }
    ctx.state_changed(tuple, connection ? State::kEstablished : State::kSynReceived, State::kClosed,
                      Reason::kNoMemory);
    return Fate{Reason::kNoMemory, State::kListen, State::kListen};
  }
  ctx.count(Counter::kPassiveOpens);
  const Fate rest = to_connection(ref, third, ctx);
  return Fate{Reason::kSynCookieAccepted, State::kListen, rest.to, half->send_scale};
}

// RFC 9293 §3.10.7.1: the state is CLOSED, which is to say that there is nothing.
Stack::Impl::Fate Stack::Impl::to_nobody(const wire::FourTuple& tuple, const tcp::Segment& seg,
                                         tcp::Context& ctx) {
  (void)ctx;
  if (seg.flags().rst()) return {Reason::kResetWithoutOwner};
  replies.push_back(tcp::reset_for(tuple, seg, State::kClosed, Reason::kNoOwner));
  return {Reason::kNoOwner};
}

void Stack::Impl::receive_icmp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now) {
  const auto message = wire::parse_icmp(ip.header, frame, ip.header_size, ip.payload_size);
  if (!message) {
    note_packet(EventKind::kPacketReceived, trace::reason_of(message.error()), frame, now);
    return;
  }
  // More would only wait behind a link that is slower than who pings.
  constexpr std::size_t kMostWaiting = 64;
  if (message->kind == wire::IcmpKind::kEchoRequest) {
    ++counters[Counter::kInEchos];
    note_packet(EventKind::kPacketReceived, Reason::kEchoRequest, frame, now);
    if (packets.size() >= kMostWaiting) return;
    if (auto reply = wire::make_echo_reply(ip.header, frame, ip.header_size, ip.payload_size, pool))
      packets.push_back(std::move(*reply));
    return;
  }
  Reason reason = Reason::kIcmpIgnored;
  if (message->quoted) {
    ++counters[Counter::kInIcmpErrors];
    const wire::FourTuple tuple{message->quoted->source, message->quoted->destination};
    const RecordRef owner = find(tuple, hash_of(tuple));
    if (owner.kind() == RecordKind::kConnection) {
      tcp::Context ctx = context(now);
      tcp::Connection& c = connections[owner.index()].tcp;
      const wire::SeqNum seq = message->quoted->seq;
      switch (message->kind) {
        case wire::IcmpKind::kPortUnreachable:
        case wire::IcmpKind::kProtocolUnreachable:
          reason = c.on_unreachable(seq, true, tcp::Error::kRefused, ctx);
          break;
        case wire::IcmpKind::kAdminProhibited:
          reason = c.on_unreachable(seq, true, tcp::Error::kHostUnreachable, ctx);
          break;
        case wire::IcmpKind::kHostUnreachable:
        case wire::IcmpKind::kTimeExceeded:
        case wire::IcmpKind::kParameterProblem:
          reason = c.on_unreachable(seq, false, tcp::Error::kHostUnreachable, ctx);
          break;
        case wire::IcmpKind::kNetUnreachable:
          reason = c.on_unreachable(seq, false, tcp::Error::kNetUnreachable, ctx);
          break;
        case wire::IcmpKind::kPacketTooBig:
          reason = c.on_path_mtu(seq, message->mtu, ctx);
          break;
        case wire::IcmpKind::kEchoRequest:
        case wire::IcmpKind::kEchoReply:
        case wire::IcmpKind::kOther:
          break;
      }
      settle(owner.index(), ctx);
    }
  }
  note_packet(EventKind::kPacketReceived, reason, frame, now);
}

}  // namespace synfin::stack
