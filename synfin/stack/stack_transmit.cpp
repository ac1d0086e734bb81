// SPDX-License-Identifier: Apache-2.0
//
// Filling the caller's batch: waiting packets, then replies, then what connections have to send, in turns.
#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;

namespace {

// Segments a connection may fill before the next one's turn.
constexpr std::size_t kTurn = 16;

}  // namespace

void Stack::Impl::write(const wire::FourTuple& tuple, tcp::Sent& sent, std::uint8_t traffic_class,
                        wire::Frame& frame) const {
  wire::IpHeader ip;
  ip.source = tuple.local.address;
  ip.destination = tuple.remote.address;
  ip.protocol = wire::protocol::kTcp;
  ip.hop_limit = static_cast<std::uint8_t>(config.settings.ip_default_ttl);
  ip.traffic_class = traffic_class;
  ip.dont_fragment = !sent.may_fragment;
  ip.identification = sent.identification;
  sent.header.source_port = tuple.local.port;
  sent.header.destination_port = tuple.remote.port;
  wire::emit_tcp_packet(ip, sent.header, frame,
                        config.offload ? wire::FillChecksum::kPseudoHeaderOnly : wire::FillChecksum::kYes);
}

void Stack::Impl::note_sent(const wire::FourTuple& tuple, const tcp::Sent& sent, std::uint8_t scale,
                            const wire::Frame& frame, Instant now) {
  if (sent.retransmission) {
    ++counters[Counter::kRetransSegs];
  } else {
    ++counters[Counter::kOutSegs];
  }
  if (sent.header.flags.rst()) ++counters[Counter::kOutRsts];
  if (sink == nullptr) return;
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
  sink->on_event(e);
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
    if (written_sent < written.size() && written[written_sent].behind <= replies_sent) {
      send_written(written[written_sent++], out[n]);
    } else if (replies_sent < replies.size()) {
      out[n].clear();
      send_reply(replies[replies_sent++], out[n], now);
    } else {
      break;
    }
    ++n;
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
    for (std::size_t turn = 0; turn < kTurn && n < out.size(); ++turn) {
      wire::Frame& frame = out[n];
      frame.clear();
      tcp::Sent sent;
      more = record->in_table && record->tcp.transmit(frame, sent, ctx);
      if (!more) {
        frame.clear();  // a segment that was not worth sending may have left slices
        break;
      }
      const auto traffic_class =
          static_cast<std::uint8_t>(record->tcp.traffic_class() | (sent.ecn_capable ? wire::ecn::kEct0 : 0));
      write(record->tcp.tuple(), sent, traffic_class, frame);
      note_sent(record->tcp.tuple(), sent, record->tcp.rcv().scale.shift(), frame, now);
      ++n;
    }
    // Sending arms timers and may change the state. Having had its say, a connection leaves the list until
    // something happens to it.
    record->ready = true;
    settle(handle.index(), ctx);
    record = connections.find(handle.index(), handle.generation());
    if (record == nullptr) continue;
    record->ready = more;
    if (more) ready.push_back(handle);
  }
  return n;
}

}  // namespace synfin::stack
