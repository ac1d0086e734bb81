// SPDX-License-Identifier: Apache-2.0
//
// ICMP: pings are answered, errors reach the connection that they quote.
#include "synfin/stack/impl.h"
#include "synfin/wire/icmp.h"

namespace synfin::stack {

using trace::Counter;
using trace::EventKind;
using trace::Reason;

namespace {

struct UnreachableError {
  bool hard;
  tcp::Error error;
};

// What an ICMP error says about the peer; hard and soft as RFC 9293 §3.9.2.2 and RFC 5461 have it.
std::optional<UnreachableError> unreachable(wire::IcmpKind kind, wire::Family family) {
  switch (kind) {
    case wire::IcmpKind::kPortUnreachable:
      return UnreachableError{true, tcp::Error::kRefused};
    case wire::IcmpKind::kProtocolUnreachable:
      // For IPv6 it is a parameter problem, code 1, which the RFC counts among the soft ones (MUST-56); Linux
      // does not.
      return UnreachableError{family == wire::Family::kIpv4, tcp::Error::kRefused};
    case wire::IcmpKind::kAdminProhibited:
      return UnreachableError{true, tcp::Error::kHostUnreachable};
    case wire::IcmpKind::kHostUnreachable:
    case wire::IcmpKind::kTimeExceeded:
    case wire::IcmpKind::kParameterProblem:
      return UnreachableError{false, tcp::Error::kHostUnreachable};
    case wire::IcmpKind::kNetUnreachable:
      return UnreachableError{false, tcp::Error::kNetUnreachable};
    case wire::IcmpKind::kPacketTooBig:
    case wire::IcmpKind::kEchoRequest:
    case wire::IcmpKind::kEchoReply:
    case wire::IcmpKind::kOther:
      break;
  }
  return std::nullopt;
}

}  // namespace

void Stack::Impl::queue_packet(std::optional<wire::Frame> frame, Reason why) {
  // More would only wait behind a link that is slower than who asks for them.
  constexpr std::size_t kMostWaiting = 64;
  if (frame && packets.size() < kMostWaiting) packets.push_back({std::move(*frame), why});
}

void Stack::Impl::receive_icmp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now) {
  const auto message = wire::parse_icmp(ip.header, frame, ip.header_size, ip.payload_size);
  if (!message) {
    note_packet(EventKind::kPacketReceived, trace::reason_of(message.error()), frame, now);
    return;
  }
  if (message->kind == wire::IcmpKind::kEchoRequest) {
    ++counters[Counter::kInEchos];
    note_packet(EventKind::kPacketReceived, Reason::kEchoRequest, frame, now);
    queue_packet(wire::make_echo_reply(ip.header, frame, ip.header_size, ip.payload_size, pool),
                 Reason::kEchoRequest);
    return;
  }
  Reason reason = Reason::kIcmpIgnored;
  if (message->quoted) {
    ++counters[Counter::kInIcmpErrors];
    const wire::FourTuple tuple{message->quoted->source, message->quoted->destination};
    const RecordRef owner = find(tuple, hash_of(tuple));
    tcp::Context ctx = context(now);
    const wire::SeqNum seq = message->quoted->seq;
    const auto error = unreachable(message->kind, ip.header.source.family());
    if (owner.kind() == RecordKind::kHalfOpen && error) {
      reason = on_half_open_error(owner, seq, error->hard, ctx);
    } else if (owner.kind() == RecordKind::kConnection) {
      tcp::Connection& c = connections[owner.index()].tcp;
      if (error) {
        reason = c.on_unreachable(seq, error->hard, error->error, ctx);
      } else if (message->kind == wire::IcmpKind::kPacketTooBig) {
        reason = c.on_path_mtu(seq, message->mtu, ctx);
      }
      settle(owner.index(), ctx);
    }
  }
  note_packet(EventKind::kPacketReceived, reason, frame, now);
}

}  // namespace synfin::stack
