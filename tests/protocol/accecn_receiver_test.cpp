// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN, the receiver of data: what it counts, when it says so, and the option (RFC 9768 §3.2.1,
// §3.2.2.5.1, §3.2.3).
#include "accecn_host.h"

namespace synfin::protocol_test {
namespace {

class AccEcnReceiver : public AccEcnHost {
 protected:
  void arrives(std::uint8_t codepoint, std::string_view text, std::uint8_t flags = 0) {
    codepoint_ = codepoint;
    TcpHeader h = ack(theirs_, 0, 5);
    h.flags = h.flags.with(flags);
    gives(peer(), h, text);
    codepoint_ = 0;
    theirs_ += static_cast<std::uint32_t>(text.size());
  }
  void marked(std::string_view text) { arrives(wire::ecn::kMarked, text); }
  void capable(std::string_view text) { arrives(wire::ecn::kEct0, text); }

  std::uint32_t theirs_ = 0;
};
RAW_HOST_SUITE(AccEcnReceiver);

// §3.2.2: the lowest three bits, in every segment; never ECE for itself.
TEST_P(AccEcnReceiver, EveryMarkedSegmentIsCounted) {
  open();
  for (std::uint32_t n = 1; n <= 20; ++n) {
    capable("a");
    marked("b");
    const auto all = sent();
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all.back().tcp.ace(), (5 + n) & 7) << n;
  }
  EXPECT_EQ(info().received_ce, 20u);
  EXPECT_EQ(info().received_octets.ce, 20u);
  EXPECT_EQ(info().received_octets.ect0, 20u);
  EXPECT_EQ(info().options & tcp::Info::kEcnSeen, tcp::Info::kEcnSeen);
}

// §3.2.2.5.1: change-triggered, then increment-triggered.
TEST_P(AccEcnReceiver, MarksAreToldOfAtOnceWhenTheyBeginAndEverySecondThen) {
  open();
  capable("a");
  sends_nothing();
  marked("b");
  const Packet begins = only();
  EXPECT_EQ(begins.tcp.ace(), 6);
  EXPECT_EQ(begins.tcp.ack, wire::SeqNum{kPeerIss + 3});
  marked("c");
  sends_nothing();
  marked("d");
  EXPECT_EQ(only().tcp.ace(), 0) << "8";
  capable("e");
  sends_nothing();
  marked("f");
  EXPECT_EQ(only().tcp.ace(), 1) << "9";
}

// … 3 where no data waits: an ACK of ACKs, and no more than one for three.
TEST_P(AccEcnReceiver, ThreeMarkedAcksAreAcknowledged) {
  open();
  std::size_t answers = 0;
  for (int n = 0; n < 30; ++n) {
    arrives(wire::ecn::kMarked, "");
    answers += sent().size();
  }
  EXPECT_EQ(answers, 10u);
  EXPECT_EQ(info().received_ce, 30u);
  EXPECT_EQ(info().received_octets.ce, 0u);
}

// §3.2.1: only acceptable packets.
TEST_P(AccEcnReceiver, WhatIsNotAcceptableIsNotCounted) {
  open();
  codepoint_ = wire::ecn::kMarked;
  gives(peer(), ack(10'000'000, 0, 5), "far beyond the window");
  gives(peer(), ack(0, 1'000'000, 5), "acknowledges what was not sent");
  gives(peer(), with_ace(header(RST | ACK, kPeerIss + 100), 5));
  gives(peer(), ack(0xffff'0000u, 0, 5), "old");
  codepoint_ = 0;
  (void)sent();
  EXPECT_EQ(info().received_ce, 0u);
  EXPECT_EQ(info().received_octets.ce, 0u);
}

// §3.2.1: "control packets and retransmissions"; what lies beyond a hole counts when it arrives.
TEST_P(AccEcnReceiver, TextBeyondAHoleAndAFinAreCounted) {
  open();
  theirs_ = 5;
  marked("beyond");
  EXPECT_EQ(only().tcp.ace(), 6);
  theirs_ = 0;
  capable("first");
  (void)sent();
  theirs_ = 11;
  arrives(wire::ecn::kMarked, "", FIN);
  EXPECT_EQ(only().tcp.ace(), 7);
  EXPECT_EQ(info().received_octets.ce, 6u);
}

// §3.2.3.3: fields that have never moved are left out.
TEST_P(AccEcnReceiver, TheOptionHoldsWhatHasMoved) {
  open();
  arrives(wire::ecn::kNotCapable, "none");
  runs_for(100_ms);
  EXPECT_FALSE(has_octets(only())) << "nothing has been counted";
  capable("ect0");
  runs_for(100_ms);
  EXPECT_EQ(only().tcp.options.ecn,
            (wire::EcnOctets{.fields = 2, .reversed = false, .ect0 = 5, .ce = 0, .ect1 = 0}));
  marked("marked");
  EXPECT_EQ(only().tcp.options.ecn,
            (wire::EcnOctets{.fields = 2, .reversed = false, .ect0 = 5, .ce = 6, .ect1 = 0}));
  arrives(wire::ecn::kEct1, "one");
  runs_for(100_ms);
  EXPECT_EQ(only().tcp.options.ecn,
            (wire::EcnOctets{.fields = 3, .reversed = false, .ect0 = 5, .ce = 6, .ect1 = 4}));
}

TEST_P(AccEcnReceiver, TheOtherOrderServesAPeerThatSendsEct1) {
  open();
  arrives(wire::ecn::kEct1, "one");
  runs_for(100_ms);
  EXPECT_EQ(only().tcp.options.ecn,
            (wire::EcnOctets{.fields = 2, .reversed = true, .ect0 = 0, .ce = 0, .ect1 = 4}));
}

TEST_P(AccEcnReceiver, TheOptionIsNeverSentWhereItIsOff) {
  stack_.settings().tcp_ecn_option = 0;
  open();
  EXPECT_FALSE(syn_ack_.options.has(TcpOptions::kEcnOctets));
  marked("marked");
  const Packet p = only();
  EXPECT_FALSE(has_octets(p));
  EXPECT_EQ(p.tcp.ace(), 6);
}

// §3.2.3.3 as tcp_ecn_option 1: when a counter begins to move and once more, with marks, and by the beacon.
TEST_P(AccEcnReceiver, SparinglyItIsSentWhereItSaysSomethingNew) {
  stack_.settings().tcp_ecn_option = 1;
  stack_.settings().tcp_ecn_option_beacon = 0;
  stack_.settings().tcp_quick_acks = 200;
  open();
  const auto carries = [&] {
    const auto all = sent();
    return !all.empty() && has_octets(all.back());
  };
  std::vector<bool> with;
  for (int n = 0; n < 5; ++n) {
    capable("a");
    with.push_back(carries());
  }
  EXPECT_EQ(with, (std::vector<bool>{true, true, false, false, false}));
  marked("b");
  EXPECT_TRUE(carries());
  marked("c");
  EXPECT_TRUE(carries());
  marked("d");
  EXPECT_TRUE(carries()) << "always while marks are counted";
  capable("e");
  EXPECT_TRUE(carries());
  capable("f");
  EXPECT_TRUE(carries());
  capable("g");
  EXPECT_FALSE(carries());
}

TEST_P(AccEcnReceiver, TheBeaconIsSentSoOftenInARoundTrip) {
  stack_.settings().tcp_ecn_option = 1;
  stack_.settings().tcp_ecn_option_beacon = 2;
  stack_.settings().tcp_quick_acks = 200;
  listener_ = listens();
  syn_ack_ = knocks(peer(), with_ace(syn(), kAccurate)).tcp;
  runs_for(100_ms);
  gives(peer(), with_ace(third(syn_ack_), kNotEct));
  connection_ = accepts(listener_);
  int carried = 0;
  for (int n = 0; n < 102; ++n) {
    capable("a");
    if (has_octets(only())) ++carried;
    runs_for(10_ms);
  }
  // Two to begin with; then a second, in which there are ten round trips.
  EXPECT_GE(carried, 2 + 19);
  EXPECT_LE(carried, 2 + 20);
}

// §3.2.3.3: MUST give precedence to two SACK blocks.
TEST_P(AccEcnReceiver, SackBlocksComeBeforeTheOption) {
  TcpHeader h = syn();
  h.options.present |= TcpOptions::kSackPermitted;
  stamp(h, 1);
  open(kNotEct, h);
  for (std::uint32_t n = 1; n <= 4; ++n) {
    theirs_ = 10 * n;
    codepoint_ = n % 2 == 0 ? wire::ecn::kMarked : wire::ecn::kEct0;
    TcpHeader text = ack(theirs_, 0, 5);
    stamp(text, 1 + n);
    gives(peer(), text, "x");
    codepoint_ = 0;
    const auto all = sent();
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all.back().tcp.options.sack_count, std::min(n, 2u));
    EXPECT_TRUE(has_octets(all.back())) << "two fields beside two blocks";
    EXPECT_LE(wire::emitted_size(all.back().tcp), 60u);
  }
  // Three fields do not fit beside two blocks, and both ECT counters have moved.
  theirs_ = 60;
  codepoint_ = wire::ecn::kEct1;
  TcpHeader text = ack(theirs_, 0, 5);
  stamp(text, 10);
  gives(peer(), text, "x");
  codepoint_ = 0;
  const Packet p = sent().back();
  EXPECT_EQ(p.tcp.options.sack_count, 2);
  ASSERT_TRUE(has_octets(p));
  EXPECT_TRUE(p.tcp.options.ecn.reversed) << "what has moved since the last";
}

// Text that carries the option is shorter by as much.
TEST_P(AccEcnReceiver, TextLeavesRoomForTheOption) {
  open();
  capable("question");
  writes(connection_, std::string(4000, 'x'));
  const auto all = sent();
  ASSERT_GE(all.size(), 2u);
  EXPECT_EQ(all[0].text.size(), 1392u);
  EXPECT_TRUE(has_octets(all[0]));
  EXPECT_EQ(all[1].text.size(), 1400u) << "nothing has moved since";
  EXPECT_FALSE(has_octets(all[1]));
}

// §3.2.3.2.2: the text goes again without the option, and if that was the first, no other follows.
TEST_P(AccEcnReceiver, AfterTheFirstTextWithTheOptionIsLostItIsNotSent) {
  for (const std::uint32_t setting : {2u, 3u}) {
    stack_.settings().tcp_ecn_option = setting;
    open_actively(kNotEct, "first");
    const auto opening = sent();
    ASSERT_EQ(opening.size(), 2u);
    EXPECT_TRUE(has_octets(opening[1]));
    runs_for(3_s);
    const auto again = sent();
    ASSERT_FALSE(again.empty());
    for (const Packet& p : again) EXPECT_FALSE(has_octets(p));
    answers(ack(0, 5, 5));
    codepoint_ = wire::ecn::kMarked;
    answers(ack(0, 5, 5), "marked");
    codepoint_ = 0;
    const Packet p = only();
    EXPECT_EQ(p.tcp.ace(), 6);
    EXPECT_EQ(has_octets(p), setting == 3) << "tcp_ecn_option " << setting;
    stack_.abort(connection_, now_);
    (void)sent();
  }
}

// … "by detecting whether the acknowledged data always reappears as a retransmission".
TEST_P(AccEcnReceiver, AfterTextHasComeTwiceAgainTheOptionIsNotSent) {
  open();
  capable("aaaa");
  runs_for(100_ms);
  EXPECT_TRUE(has_octets(only()));
  for (int n = 0; n < 2; ++n) {
    theirs_ = 0;
    arrives(wire::ecn::kNotCapable, "aaaa");
    EXPECT_EQ(has_octets(only()), n == 0);
  }
  marked("bbbb");
  const Packet p = only();
  EXPECT_FALSE(has_octets(p));
  EXPECT_EQ(p.tcp.ace(), 6);
}

// TIME-WAIT keeps the last value.
TEST_P(AccEcnReceiver, TheLastAckKeepsTheCount) {
  open();
  marked("x");
  (void)sent();
  EXPECT_EQ(reads(connection_), "x");
  stack_.close(connection_, now_);
  (void)sent();
  gives(peer(), ack(1, 1, 5));
  gives(peer(), [&] {
    TcpHeader fin = ack(1, 1, 5);
    fin.flags = fin.flags.with(FIN);
    return fin;
  }());
  EXPECT_EQ(state(peer()), State::kTimeWait);
  EXPECT_EQ(sent().back().tcp.ace(), 6);
  TcpHeader fin = ack(1, 1, 5);
  fin.flags = fin.flags.with(FIN);
  gives(peer(), fin);
  EXPECT_EQ(only().tcp.ace(), 6);
}

}  // namespace
}  // namespace synfin::protocol_test
