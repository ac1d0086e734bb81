// SPDX-License-Identifier: Apache-2.0
//
// ICMP: pings are answered, errors reach the connection that they quote.
#include "synfin/stack/impl.h"
#include "synfin/wire/icmp.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;
using trace::Reason;

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
