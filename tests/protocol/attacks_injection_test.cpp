// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, data: segments and ICMP errors that somebody else injects
// into an open connection. Rows D1, D2, D12 to D15 and D20 of the list of attacks; D21 is in
// attacks_ack_war_test.cpp, malformed packets are in synfin/wire.
#include <set>
#include <string>
#include <vector>

#include "accepted_peer.h"

namespace synfin::protocol_test {
namespace {

class InjectionAttacks : public AcceptedPeers {
 protected:
  Open opens(const wire::Endpoint& from) { return AcceptedPeers::opens(listener_, from); }
  // "Packet too big", as a router on the way would say it about `about`.
  void gives_too_big(const Packet& about, std::uint32_t mtu) {
    if (v4()) {
      gives_icmp(3, 4, about, mtu);
    } else {
      gives_icmp(2, 0, about, mtu);
    }
  }
  void still_works(const Open& c) {
    (void)sent();
    ASSERT_EQ(state(c.from), State::kEstablished);
    gives(c.from, from_peer(c, PSH | ACK), "whole");
    EXPECT_EQ(reads(c.handle), "whole");
    (void)sent();
  }

  void SetUp() override { listener_ = listens({.backlog = 64}); }
  Handle listener_;
};
RAW_HOST_SUITE(InjectionAttacks);

// D1, CVE-2016-5696: the challenge ACKs of all connections came from one budget, so that who had a connection
// of his own could count what forged segments for another one had used up.
TEST_P(InjectionAttacks, D1_ChallengeAcksTellNothing) {
  constexpr std::uint32_t kLimit = 10;
  stack_.settings().tcp_challenge_ack_limit = kLimit;
  const Open own_connection = opens(peer(1));
  const Open victim = opens(peer(2));
  std::set<std::size_t> quiet, busy;
  for (int second = 0; second < 60; ++second) {
    runs_for(1100_ms);
    // Every other second the victim's budget is used up, by the right guess or by the wrong one.
    const bool forges = second % 2 == 1;
    if (forges) {
      for (int i = 0; i < 100; ++i)
        gives(victim.from,
              second % 4 == 1 ? from_peer(victim, RST, 5) : from_peer(victim, SYN | ACK, 70'000'000));
      const std::size_t challenges = sent().size();
      EXPECT_GE(challenges, (kLimit + 1) / 2);
      EXPECT_LE(challenges, kLimit);
    }
    for (int i = 0; i < 100; ++i) gives(own_connection.from, from_peer(own_connection, RST, 5));
    std::size_t counted = 0;
    for (const Packet& p : sent()) {
      EXPECT_EQ(p.ip.destination, own_connection.from.address);
      ++counted;
    }
    // Neither fewer because of the victim, nor a number that could be told from others.
    EXPECT_GE(counted, (kLimit + 1) / 2);
    EXPECT_LE(counted, kLimit);
    (forges ? busy : quiet).insert(counted);
  }
  EXPECT_GE(quiet.size(), 3u) << "the limit is not random";
  EXPECT_GE(busy.size(), 3u);
  still_works(victim);
}

// Nor does anything else in the answers count: IPv4's identification is 0 (RFC 6864), there is no flow label.
TEST_P(InjectionAttacks, D1_NothingInAChallengeCountsPackets) {
  const Open own_connection = opens(peer(1));
  const Open victim = opens(peer(2));
  for (int i = 0; i < 5; ++i) {
    gives(victim.from, from_peer(victim, SYN, 5));
    gives(own_connection.from, from_peer(own_connection, SYN, 5));
    for (const Packet& p : sent()) {
      EXPECT_EQ(p.ip.identification, 0);
      EXPECT_EQ(p.flags(), ACK);
    }
  }
}

// D2, CVE-2004-0230: a reset or a SYN anywhere in the window ended a connection.
LADDER_TEST(Attacks, D2_OnlyTheExactResetIsBelieved) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    const std::int64_t exact = l.peer_next();
    for (const std::int64_t off : {1, 2, 1000, 60'000}) {
      for (const std::uint8_t flags : {RST, static_cast<std::uint8_t>(RST | ACK)}) {
        l.after(300_ms).whatever().receives({.flags = flags, .seq = exact + off, .ack = l.stack_next()});
        l.sends({.flags = ACK, .seq = l.stack_next(), .ack = exact, .len = 0}).sends_nothing().state(s);
      }
    }
    for (const std::int64_t off : {-1, -1000, 70'000'000})
      l.receives({.flags = RST, .seq = exact + off}).sends_nothing().state(s);
    l.after(2_s).whatever();
    l.receives({.flags = SYN, .seq = exact}).sends({.flags = ACK, .ack = exact, .len = 0}).state(s);
    l.no_event(kFailed).receives({.flags = RST, .seq = exact}).sends_nothing().event(kFailed);
    l.failure(Error::kReset);
  }
}

// Half of all guesses fall into a window of 1 GiB. They must all fail but one.
LADDER_TEST(Attacks, D2_ALargeWindowIsNoLargerTarget) {
  Ladder l(variant, {.peer = {.wscale = 14}, .settings = [](tcp::Settings& s) { s.tcp_rmem = 1 << 30; }});
  l.opened_passively();
  SeededEntropy random(variant.peer_iss);
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t guess = random.u32();
    if (guess == 1) continue;
    l.receives({.flags = RST, .seq = guess}).whatever();
  }
  l.state(State::kEstablished).no_event(kFailed);
}

// Data in the window is believed, as it must be; what it says beyond the window, or acknowledges, is not.
LADDER_TEST(Attacks, D2_InjectedDataNeedsAnAcceptableAck) {
  Ladder l(variant);
  l.opened_passively();
  for (const std::int64_t ack : {std::int64_t{2}, std::int64_t{70'000}, std::int64_t{0x4000'0000},
                                 std::int64_t{-70'000}, std::int64_t{-0x4000'0000}}) {
    l.receives({.flags = PSH | ACK, .seq = 1, .ack = ack, .len = 10}).whatever();
  }
  l.app_read_fails(Error::kWouldBlock).state(State::kEstablished);
}

// D12, CVE-2019-12260: a malformed TCP-AO option (or MD5's) in a segment with URG upset the receive pointers.
TEST_P(InjectionAttacks, D12_AMalformedAuthenticationOptionUpsetsNothing) {
  constexpr int kMd5 = 19, kAo = 29, kNop = 1;
  std::vector<Octets> all;
  for (const int kind : {kMd5, kAo}) {
    for (const int length : {0, 1, 2, 3, 4, 5, 17, 18, 19, 40, 255}) {
      Octets o = octets({kNop, kind, length});
      o.resize(20, std::byte{0xaa});
      all.push_back(o);
      all.push_back(octets({kind, length, 0, 0}));
      all.push_back(octets({kNop, kNop, kNop, kind}));  // its length lies beyond the header
    }
  }
  const Open c = opens(peer());
  std::uint32_t received = 0;
  for (const auto& options : all) {
    for (const int pointer : {0, 1, 3, 0xffff}) {
      TcpHeader h = from_peer(c, URG | PSH | ACK, received);
      h.urgent_pointer = static_cast<std::uint16_t>(pointer);
      gives_octets(c.from, h, options, "abc");
      (void)sent();
      ASSERT_EQ(state(c.from), State::kEstablished);
      // Taken whole or not at all.
      const std::string text = reads(c.handle);
      EXPECT_TRUE(text.empty() || text == "abc") << text;
      received += static_cast<std::uint32_t>(text.size());
    }
    runs_for(10_ms);
  }
  // The numbers are where they were.
  gives(c.from, from_peer(c, PSH | ACK, received), "whole");
  EXPECT_EQ(reads(c.handle), "whole");
  runs_for(1_s);
  const auto all_sent = sent();
  ASSERT_FALSE(all_sent.empty());
  EXPECT_EQ(all_sent.back().tcp.ack, wire::SeqNum{kPeerIss + 1 + received + 5});
}

// The same before the connection is open.
TEST_P(InjectionAttacks, D12_AMalformedAuthenticationOptionInASynOpensAtMostOneHalf) {
  for (const int length : {0, 1, 2, 3, 17, 40, 255}) {
    TcpHeader h = header(SYN | URG, kPeerIss);
    h.urgent_pointer = 0xffff;
    gives_octets(peer(7), h, octets({29, length, 0, 0}));
    EXPECT_LE(half_open(), 1u);
    EXPECT_LE(sent().size(), 1u);
    gives(peer(7), header(RST, kPeerIss + 1));
    EXPECT_EQ(half_open(), 0u);
  }
}

// D13 (CVE-2019-12255), D15 (CVE-2020-17437, CVE-2021-31400): the urgent pointer as an index: 0, at the end,
// and far beyond. MUST-62: it points to the last octet of urgent data; here it points to nothing.
LADDER_TEST(Attacks, D13_D15_TheUrgentPointerIsNeverAnIndex) {
  for (const std::uint32_t len : {0u, 1u, 5u, 1460u}) {
    for (const std::uint32_t pointer : {0u, 1u, len, len + 1, 0x7fffu, 0x8000u, 0xffffu}) {
      for (const std::uint8_t more : {std::uint8_t{0}, FIN}) {
        Ladder l(variant);
        l.opened_passively();
        l.receives({.flags = static_cast<std::uint8_t>(URG | ACK | more),
                    .seq = 1,
                    .ack = 1,
                    .len = len,
                    .urgent_pointer = static_cast<std::uint16_t>(pointer)});
        l.whatever().state(more == 0 ? State::kEstablished : State::kCloseWait);
        if (len > 0) l.app_reads(len);
        if (more != 0) {
          l.app_reads_end();
          continue;
        }
        l.receives({.flags = PSH | ACK, .seq = 1 + std::int64_t{len}, .ack = 1, .len = 7}).app_reads(7);
        l.after(50_ms).whatever();
      }
    }
  }
}

// Out of order, overlapping, into a closed window: the ways in which a pointer could be kept.
LADDER_TEST(Attacks, D13_D15_TheUrgentPointerIsNotKept) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_rmem = 4096; }});
  l.opened_passively();
  const auto urgent = [&](std::int64_t seq, std::uint32_t len, std::uint16_t pointer) {
    l.receives({.flags = URG | ACK, .seq = seq, .ack = 1, .len = len, .urgent_pointer = pointer}).whatever();
  };
  urgent(1001, 100, 0xffff);
  urgent(501, 500, 501);
  urgent(901, 300, 0);
  urgent(1, 600, 0x8000);
  l.app_reads(1200);
  for (std::int64_t seq = 1201; seq < 6000; seq += 1000) urgent(seq, 1000, 0xffff);
  l.state(State::kEstablished).after(1_s).whatever();
}

// D14, CVE-2019-12261, CVE-2019-12263: urgent segments while a connection is being opened.
LADDER_TEST(Attacks, D14_UrgentSegmentsBeforeTheConnectionIsOpen) {
  for (const int pointer : {0, 1, 3, 0xffff}) {
    const auto p = static_cast<std::uint16_t>(pointer);
    // SYN-SENT: nothing but a SYN opens.
    Ladder active(variant);
    active.app_connects().sends({.flags = SYN});
    active.receives({.flags = URG | ACK, .seq = 1, .ack = 1, .len = 5, .urgent_pointer = p});
    active.whatever().state(State::kSynSent).app_read_fails(Error::kWouldBlock);
    active.receives({.flags = URG | PSH, .seq = 1, .len = 5, .urgent_pointer = p}).whatever();
    active.receives({.flags = SYN | ACK | URG, .seq = 0, .ack = 1, .mss = 1460, .urgent_pointer = p});
    active.whatever().state(State::kEstablished);
    active.receives({.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 5}).app_reads(5).after(1_s).whatever();
    // LISTEN and SYN-RECEIVED.
    Ladder passive(variant);
    passive.app_listens().receives({.flags = SYN | URG, .seq = 0, .mss = 1460, .urgent_pointer = p});
    passive.sends({.flags = SYN | ACK, .seq = 0, .ack = 1}).population(0, 1, 0);
    passive.receives({.flags = URG, .seq = 1, .len = 5, .urgent_pointer = p}).whatever().population(0, 1, 0);
    passive.receives({.flags = URG | PSH | ACK, .seq = 1, .ack = 1, .len = 5, .urgent_pointer = p})
        .whatever();
    passive.app_accepts().app_reads(5).state(State::kEstablished).after(1_s).whatever();
    // SYN-RECEIVED by crossing SYNs.
    Ladder crossed(variant);
    crossed.crossed_syns();
    crossed.receives({.flags = URG, .seq = 1, .len = 5, .urgent_pointer = p}).whatever();
    crossed.state(State::kSynReceived);
    crossed.receives({.flags = URG | ACK, .seq = 1, .ack = 1, .len = 5, .urgent_pointer = p}).whatever();
    crossed.state(State::kEstablished).app_reads(5).after(1_s).whatever();
  }
}

// D20, CVE-2004-0790, -0791, -1060: forged ICMP errors.
constexpr wire::IcmpKind kErrors[] = {wire::IcmpKind::kNetUnreachable, wire::IcmpKind::kHostUnreachable,
                                      wire::IcmpKind::kPortUnreachable, wire::IcmpKind::kAdminProhibited};

TEST_P(InjectionAttacks, D20_AnErrorAboutWhatIsNotInFlightIsIgnored) {
  const Open c = opens(peer());
  writes(c.handle, "in flight");
  Packet data = only();
  const std::uint64_t ignored = count(Reason::kIcmpIgnored);
  for (const std::int64_t off : {std::int64_t{-1}, std::int64_t{9}, std::int64_t{10}, std::int64_t{100'000},
                                 std::int64_t{0x7fff'ffff}, std::int64_t{-0x7fff'ffff}}) {
    Packet forged = data;
    forged.tcp.seq = data.tcp.seq + static_cast<std::uint32_t>(off);
    for (const auto kind : kErrors) gives_error(kind, forged);
    gives_too_big(forged, 600);
    gives_too_big(forged, 1400);
  }
  EXPECT_EQ(count(Reason::kIcmpIgnored) - ignored, 6 * (std::size(kErrors) + 2));
  EXPECT_EQ(stack_.status(c.handle)->soft_error, Error::kWouldBlock);
  EXPECT_EQ(stack_.status(c.handle)->mss, 1400u);
  // Another connection's ports, or other addresses.
  Packet other = data;
  other.tcp.source_port = 81;
  for (const auto kind : kErrors) gives_error(kind, other);
  gives_too_big(other, 600);
  EXPECT_EQ(stack_.status(c.handle)->mss, 1400u);
  sends_nothing();
  EXPECT_EQ(events(c.handle) & kFailed, 0);
  still_works(c);
}

// With nothing in flight there is nothing that an error could be about.
TEST_P(InjectionAttacks, D20_AnIdleConnectionBelievesNoError) {
  const Open c = opens(peer());
  writes(c.handle, "gone");
  const Packet data = only();
  TcpHeader ack = header(ACK, kPeerIss + 1, data.tcp.seq + 4);
  gives(c.from, ack);
  for (const auto kind : kErrors) gives_error(kind, data);
  gives_too_big(data, 700);
  EXPECT_EQ(stack_.status(c.handle)->soft_error, Error::kWouldBlock);
  EXPECT_EQ(stack_.status(c.handle)->mss, 1400u);
}

// Where routers may make fragments, nobody has a reason to complain.
TEST_P(InjectionAttacks, D20_AConnectionThatAllowsFragmentsBelievesNoMtu) {
  const Open c = opens(peer());
  ASSERT_TRUE(stack_.set_options(c.handle, {.may_fragment = true}, now_));
  writes(c.handle, "in flight");
  gives_too_big(only(), 700);
  EXPECT_EQ(stack_.status(c.handle)->mss, 1400u);
}

// The right number makes it a hint, not an end (RFC 5927 §5, RFC 5461 §4.1): the connection goes on, and only
// if it times out anyway the program is told why.
TEST_P(InjectionAttacks, D20_ErrorsAreSoftInSynchronizedStates) {
  std::uint16_t port = 40'000;
  for (const auto kind : kErrors) {
    const Open c = opens(peer(1, port++));
    writes(c.handle, "in flight");
    const Packet data = only();
    for (int i = 0; i < 50; ++i) gives_error(kind, data);
    sends_nothing();
    EXPECT_EQ(state(c.from), State::kEstablished);
    EXPECT_EQ(events(c.handle) & kFailed, 0);
    EXPECT_NE(stack_.status(c.handle)->soft_error, Error::kWouldBlock);
    // The peer's acknowledgement proves it wrong.
    gives(c.from, header(ACK, kPeerIss + 1, data.tcp.seq + 9));
    EXPECT_EQ(stack_.status(c.handle)->soft_error, Error::kWouldBlock);
    still_works(c);
  }
  const Open c = opens(peer(2));
  writes(c.handle, "in flight");
  gives_error(wire::IcmpKind::kHostUnreachable, only());
  runs_for(2000_s);
  EXPECT_NE(events(c.handle) & kFailed, 0);
  EXPECT_EQ(stack_.failure(c.handle), Error::kHostUnreachable);
}

// In every state with a connection: no error ends one of them.
LADDER_TEST(Attacks, D20_NoErrorEndsASynchronizedState) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    wire::IpHeader about;
    about.source = l.tuple().local.address;
    about.destination = l.tuple().remote.address;
    about.protocol = wire::protocol::kTcp;
    TcpHeader h;
    h.source_port = l.tuple().local.port;
    h.destination_port = l.tuple().remote.port;
    h.flags = Flags{FIN | ACK};
    for (std::uint32_t n = 0; n < 4; ++n) {
      h.seq = wire::SeqNum{l.stack_iss() + n};
      for (const auto kind : kErrors) {
        wire::Frame quoted;
        wire::emit_tcp_packet(about, h, quoted, wire::FillChecksum::kYes);
        auto frame = wire::make_icmp_error(kind, l.tuple().remote.address, about, quoted, l.pool());
        ASSERT_TRUE(frame);
        l.stack().receive(std::span{&*frame, 1}, l.now());
      }
    }
    l.state(s).no_event(kFailed).after(1_ms).sends_nothing();
  }
}

// Before that a hard error with the right number counts, as nothing else could tell (RFC 9293 §3.9.2.2); one
// with a wrong number does not.
TEST_P(InjectionAttacks, D20_InSynSentOnlyTheRightNumberCounts) {
  const Handle c = connects(peer(5, 443));
  const Packet syn = only();
  for (const std::uint32_t off : {1u, 2u, 0xffff'ffffu, 0x8000'0000u}) {
    Packet forged = syn;
    forged.tcp.seq = syn.tcp.seq + off;
    gives_error(wire::IcmpKind::kPortUnreachable, forged);
  }
  EXPECT_EQ(stack_.status(c)->state, State::kSynSent);
  for (const auto kind : {wire::IcmpKind::kNetUnreachable, wire::IcmpKind::kHostUnreachable})
    gives_error(kind, syn);
  EXPECT_EQ(stack_.status(c)->state, State::kSynSent) << "soft";
  gives_error(wire::IcmpKind::kPortUnreachable, syn);
  EXPECT_NE(events(c) & kFailed, 0);
  EXPECT_EQ(stack_.failure(c), Error::kRefused);
}

// A path MTU below what every path carries is not believed: crumbs would cost a header each.
TEST_P(InjectionAttacks, D20_ThePathIsNeverTooNarrow) {
  const Open c = opens(peer());
  const std::uint32_t least = v4() ? 552 - 40 : 1280 - 60;
  std::uint32_t before = stack_.status(c.handle)->mss;
  for (const std::uint32_t mtu : {1300u, 1280u, 576u, 296u, 68u, 40u, 1u, 0u}) {
    writes(c.handle, std::string(3000, 'x'));
    const std::vector<Packet> flight = sent();
    ASSERT_FALSE(flight.empty());
    gives_too_big(flight.front(), mtu);
    const std::uint32_t now_is = stack_.status(c.handle)->mss;
    EXPECT_GE(now_is, least) << mtu;
    EXPECT_LE(now_is, before) << mtu;
    before = now_is;
    // Everything arrives in the end.
    wire::SeqNum next = flight.front().tcp.seq;
    for (int i = 0; i < 100 && stack_.status(c.handle)->send_queue != 0; ++i) {
      runs_for(10_ms);
      for (const Packet& p : sent()) {
        if (p.tcp.seq.at_or_before(next) &&
            (p.tcp.seq + static_cast<std::uint32_t>(p.text.size())).after(next))
          next = p.tcp.seq + static_cast<std::uint32_t>(p.text.size());
      }
      gives(c.from, header(ACK, kPeerIss + 1, next));
    }
    EXPECT_EQ(stack_.status(c.handle)->send_queue, 0u);
  }
  // Larger than before, or than the link: a lie.
  writes(c.handle, "x");
  const Packet one = only();
  gives_too_big(one, 1400);
  gives_too_big(one, 65'535);
  EXPECT_EQ(stack_.status(c.handle)->mss, before);
  sends_nothing();
}

}  // namespace
}  // namespace synfin::protocol_test
