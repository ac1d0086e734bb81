// SPDX-License-Identifier: Apache-2.0
//
// Segments that belong to no connection: RFC 9293 §3.5.2 group 1, §3.10.7.1, §3.9.2.3.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

// "If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"
LADDER_TEST(NoOwner, SegmentWithoutAckGetsResetWithAck) {
  Ladder l(variant);
  struct Case {
    std::uint8_t flags;
    std::uint32_t len, seg_len;
  };
  for (const Case c : {Case{SYN, 0, 1}, Case{SYN, 10, 11}, Case{FIN, 0, 1}, Case{0, 0, 0},
                       Case{PSH, 100, 100}, Case{FIN | URG, 7, 8}, Case{SYN | FIN, 0, 2}}) {
    const std::int64_t seq = variant.peer_iss;
    l.receives({.flags = c.flags, .seq = seq, .len = c.len, .absolute = true});
    if (c.flags == (SYN | FIN)) {  // dropped or answered: both are defensible for what no honest peer sends
      l.whatever();
      continue;
    }
    l.reason(Reason::kNoOwner);
    l.sends({.flags = RST | ACK, .seq = 0, .ack = seq + c.seg_len, .len = 0, .absolute = true})
        .sends_nothing();
  }
}

// "If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>"
LADDER_TEST(NoOwner, SegmentWithAckGetsResetAtItsAck) {
  Ladder l(variant);
  for (const std::uint8_t more : {std::uint8_t{0}, SYN, FIN, PSH}) {
    const std::int64_t ack = variant.stack_iss;
    l.receives(
        {.flags = static_cast<std::uint8_t>(ACK | more), .seq = 5, .ack = ack, .len = 3, .absolute = true});
    l.reason(Reason::kNoOwner).sends({.flags = RST, .seq = ack, .len = 0, .absolute = true}).sends_nothing();
  }
  l.population(0, 0, 0).wakes_never();
}

// "An incoming segment containing a RST is discarded."
LADDER_TEST(NoOwner, ResetIsNeverAnswered) {
  Ladder l(variant);
  for (const std::uint8_t more : {std::uint8_t{0}, ACK, SYN, FIN, static_cast<std::uint8_t>(SYN | ACK)}) {
    l.receives(
        {.flags = static_cast<std::uint8_t>(RST | more), .seq = 5, .ack = 9, .len = 3, .absolute = true});
    l.sends_nothing().reason(Reason::kResetWithoutOwner);
  }
}

// RFC 9293: MUST-3.
LADDER_TEST(NoOwner, WrongChecksumIsDropped) {
  Ladder l(variant);
  l.app_listens().receives({.flags = SYN, .seq = 0, .len = 1, .bad_checksum = true}).sends_nothing();
  l.reason(Reason::kTcpBadChecksum).population(0, 0, 0);
  l.receives({.flags = ACK, .seq = 0, .len = 1, .bad_checksum = true}).sends_nothing();
}

// A connection's own segments with another port or address are not its own.
LADDER_TEST(NoOwner, OtherPortOrAddressMeetsNobody) {
  Ladder l(variant);
  l.opened_actively();
  l.receives({.seq = 1, .ack = 1, .len = 5, .from = l.endpoint(1, 40'001)});
  l.sends({.flags = RST, .to = l.endpoint(1, 40'001)}).sends_nothing();
  l.receives({.seq = 1, .ack = 1, .len = 5, .from = l.endpoint(3, 40'000)});
  l.sends({.flags = RST, .to = l.endpoint(3, 40'000)}).sends_nothing();
  l.state(State::kEstablished).app_read_fails(Error::kWouldBlock);
}

// RFC 6335 §6: port 0 is reserved.
LADDER_TEST(NoOwner, PortZeroIsDropped) {
  Ladder l(variant);
  l.app_listens();
  l.receives({.flags = SYN, .seq = 0, .from = l.endpoint(1, 0)}).sends_nothing().reason(Reason::kPortZero);
  l.receives({.flags = SYN, .seq = 0, .to = l.endpoint(2, 0)}).sends_nothing().reason(Reason::kPortZero);
  l.receives({.flags = ACK, .seq = 0, .from = l.endpoint(1, 0)}).sends_nothing().population(0, 0, 0);
}

// Attack E4: a SYN from ourselves to ourselves.
LADDER_TEST(NoOwner, LandIsDropped) {
  Ladder l(variant);
  l.app_listens();
  l.receives({.flags = SYN, .seq = 0, .from = l.tuple().local}).sends_nothing().reason(Reason::kLandAttack);
  l.receives({.flags = SYN | ACK, .seq = 0, .from = l.tuple().local}).sends_nothing().population(0, 0, 0);
}

// MUST-57, MUST-63: "silently discard" what is addressed to, or comes from, broadcast or multicast.
// RFC 9293: MUST-57, MUST-63.
LADDER_TEST(NoOwner, BroadcastAndMulticastAreSilentlyDropped) {
  Ladder l(variant);
  ASSERT_TRUE(l.stack().listen({wire::IpAddress::any(l.family()), 81}, {}, l.now()));
  std::vector<wire::IpAddress> many;
  if (l.family() == wire::Family::kIpv4) {
    many = {wire::IpAddress::v4(255, 255, 255, 255), wire::IpAddress::v4(10, 77, 0, 255),
            wire::IpAddress::v4(224, 0, 0, 1), wire::IpAddress::v4(239, 1, 2, 3)};
  } else {
    many = {*wire::IpAddress::parse("ff02::1"), *wire::IpAddress::parse("ff0e::7")};
  }
  for (const auto& address : many) {
    for (const std::uint8_t flags : {SYN, ACK}) {
      l.receives({.flags = flags, .seq = 0, .to = wire::Endpoint{address, 81}}).sends_nothing();
      l.receives({.flags = flags, .seq = 0, .from = wire::Endpoint{address, 9}, .to = l.endpoint(2, 81)});
      l.sends_nothing().reason(Reason::kBadSourceAddress);
    }
  }
  // Nor is the unspecified address or loopback anybody.
  const auto nobody = wire::IpAddress::any(l.family());
  const auto loopback =
      l.family() == wire::Family::kIpv4 ? wire::IpAddress::v4(127, 0, 0, 1) : *wire::IpAddress::parse("::1");
  for (const auto& address : {nobody, loopback}) {
    l.receives({.flags = SYN, .seq = 0, .from = wire::Endpoint{address, 9}, .to = l.endpoint(2, 81)})
        .sends_nothing();
  }
  l.population(0, 0, 0);
}

// RFC 1122 §3.2.1.3: another host's packet.
LADDER_TEST(NoOwner, OtherHostsPacketsAreDropped) {
  Ladder l(variant);
  l.app_listens().receives({.flags = SYN, .seq = 0, .to = l.endpoint(7, 80)}).sends_nothing();
  l.reason(Reason::kNotOurAddress);
}

// The unspecified address listens on all of its family.
LADDER_TEST(NoOwner, ListenerOnAnyAddressOwnsThePort) {
  Ladder l(variant);
  ASSERT_TRUE(l.stack().listen({wire::IpAddress::any(l.family()), 80}, {}, l.now()));
  l.receives({.flags = SYN, .seq = 0, .mss = 1460})
      .sends({.flags = SYN | ACK, .seq = 0, .ack = 1})
      .population(0, 1, 0);
}

// `::` on both families.
TEST(NoOwner, ListenerOnAnyIpv6AddressTakesIpv4) {
  Ladder l({.family = wire::Family::kIpv4});
  ASSERT_TRUE(l.stack().listen({wire::IpAddress{}, 80}, {}, l.now()));
  l.receives({.flags = SYN, .seq = 0, .mss = 1460}).sends({.flags = SYN | ACK, .seq = 0, .ack = 1});
}
TEST(NoOwner, ListenerOnAnyIpv4AddressDoesNotTakeIpv6) {
  Ladder l({.family = wire::Family::kIpv6});
  ASSERT_TRUE(l.stack().listen({wire::IpAddress::v4(0), 80}, {}, l.now()));
  l.receives({.flags = SYN, .seq = 0, .mss = 1460}).sends({.flags = RST | ACK, .seq = 0, .absolute = true});
}

}  // namespace
}  // namespace synfin::protocol_test
