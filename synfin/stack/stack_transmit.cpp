// SPDX-License-Identifier: Apache-2.0
//
// Filling the caller's batch: waiting packets, then replies, then what connections have to send, in turns.
#include "synfin/stack/cut.h"
#include "synfin/stack/impl.h"
#include "synfin/wire/packet_writer.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;

namespace {

// Segments a connection may fill before the next one's turn.
constexpr std::size_t kTurn = 16;
// Of the smallest worth mentioning: a super-segment is full before that.
constexpr std::uint32_t kMostInTrain = 1024;

}  // namespace

wire::IpHeader Stack::Impl::network_header(const wire::FourTuple& tuple, const tcp::Sent& sent,
                                           std::uint8_t traffic_class) const {
  wire::IpHeader ip;
  ip.source = tuple.local.address;
  ip.destination = tuple.remote.address;
  ip.protocol = wire::protocol::kTcp;
  ip.hop_limit = static_cast<std::uint8_t>(config.settings.ip_default_ttl);
  ip.traffic_class = traffic_class;
  ip.dont_fragment = !sent.may_fragment;
  ip.identification = sent.identification;
  return ip;
}

// Out of line, as the headers are written in line here.
[[gnu::noinline]] void Stack::Impl::write(const wire::FourTuple& tuple, tcp::Sent& sent,
                                          std::uint8_t traffic_class, wire::Frame& frame) const {
  const wire::IpHeader ip = network_header(tuple, sent, traffic_class);
  sent.header.source_port = tuple.local.port;
  sent.header.destination_port = tuple.remote.port;
  wire::write_tcp_packet(ip, sent.header, frame,
                         config.offload ? wire::FillChecksum::kPseudoHeaderOnly : wire::FillChecksum::kYes);
}

std::uint32_t Stack::Impl::most_segments(std::size_t room) const {
  if (!config.short_paths || packet_sink != nullptr) return 1;
  return config.offload ? kMostInTrain : static_cast<std::uint32_t>(room);
}

std::size_t Stack::Impl::write_all(const wire::FourTuple& tuple, tcp::Sent& sent, std::uint8_t traffic_class,
                                   std::span<wire::Frame> out) const {
  if (sent.segment_size == 0) {
    write(tuple, sent, traffic_class, out[0]);
    return 1;
  }
  if (config.offload) {
    sent.header.flags = sent.header.flags.with(sent.last_flags.bits());
    write(tuple, sent, traffic_class, out[0]);
    out[0].segment_size = sent.segment_size;
    return 1;
  }
  sent.header.source_port = tuple.local.port;
  sent.header.destination_port = tuple.remote.port;
  return cut(network_header(tuple, sent, traffic_class), sent, out);
}

void Stack::Impl::note_sent(const wire::FourTuple& tuple, const tcp::Sent& sent, std::uint8_t scale,
                            const wire::Frame& frame, Instant now) {
  if (sent.retransmission) {
    ++counters[Counter::kRetransSegs];
  } else {
    counters[Counter::kOutSegs] += sent.segments();
  }
  if (sent.header.flags.rst()) ++counters[Counter::kOutRsts];
  if (packet_sink == nullptr) return;
  trace::Event e;
  e.kind = EventKind::kSegmentSent;
  e.from = e.to = sent.state;
  e.reason = sent.reason;
  e.at = now;
  e.tuple = tuple;
  e.header = &sent.header;
  e.payload_size = sent.text_size;
  e.window =
      (sent.header.window << (sent.header.flags.syn() ? wire::WindowScale::none() : wire::WindowScale{scale}))
          .octets;
  e.retransmission = sent.retransmission;
  e.counts_marks = sent.counts_marks;
  e.frame = &frame;
  packet_sink->on_event(e);
}

void Stack::Impl::send_reply(tcp::Reply& reply, wire::Frame& frame, Instant now) {
  reply.retransmission =
      reply.reason == trace::Reason::kSynAckRetransmitted || reply.reason == trace::Reason::kDuplicateSyn;
  write(reply.tuple, reply, reply.traffic_class, frame);
  note_sent(reply.tuple, reply, reply.scale, frame, now);
}

std::size_t Stack::Impl::transmit(std::span<wire::Frame> out, Instant now) {
  std::size_t n = 0;
  while (n < out.size() && !packets.empty()) {
    out[n] = std::move(packets.front().frame);
    note_packet(EventKind::kPacketSent, packets.front().reason, out[n], now);
    packets.pop_front();
    ++n;
  }
  while (n < out.size()) {
    if (const std::size_t written_now = send_written(out.subspan(n)); written_now != 0) {
      n += written_now;
    } else if (replies_sent < replies.size()) {
      out[n].clear();
      send_reply(replies[replies_sent++], out[n], now);
      ++n;
    } else {
      break;
    }
  }
  if (replies_sent == replies.size() && written_sent == written.size()) {
    replies.clear();
    written.clear();
    replies_sent = written_sent = 0;
  }
  tcp::Context ctx = context(now);
  while (n < out.size() && !ready.empty()) {
    const Handle handle = ready.front();
    ready.pop_front();
    ConnectionRecord* record = connections.find(handle.index(), handle.generation());
    if (record == nullptr) continue;
    bool more = true;
    // Where nobody else waits, its next turn would come at once.
    const std::size_t most_in_turn = ready.empty() ? out.size() : kTurn;
    for (std::size_t turn = 0; turn < most_in_turn && n < out.size();) {
      wire::Frame& frame = out[n];
      frame.clear();
      tcp::Sent sent;
      const std::uint32_t most = most_segments(std::min(most_in_turn - turn, out.size() - n));
      more = record->in_table && record->tcp.transmit(frame, sent, ctx, most);
      if (!more) {
        frame.clear();  // a segment that was not worth sending may have left slices
        break;
      }
      const auto traffic_class =
          static_cast<std::uint8_t>(record->tcp.traffic_class() | (sent.ecn_capable ? wire::ecn::kEct0 : 0));
      n += write_all(record->tcp.tuple(), sent, traffic_class, out.subspan(n));
      note_sent(record->tcp.tuple(), sent, record->tcp.rcv().scale.shift(), frame, now);
      turn += sent.segments();
      more = !record->tcp.has_nothing_to_send(now);
      if (!more) break;
    }
    // Sending arms timers and may change the state. Having had its say, a connection leaves the list until
    // something happens to it.
    record->ready = true;
    if (!settle(handle.index(), *record, ctx)) continue;
    record->ready = more;
    if (more) ready.push_back(handle);
  }
  return n;
}

}  // namespace synfin::stack
