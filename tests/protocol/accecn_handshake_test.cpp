// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN: agreeing on it, and finding out what the path does to it (RFC 9768 §3.1, §3.2.2.1 to
// §3.2.2.4, §3.2.3.2.1, §5.1).
#include "accecn_host.h"

namespace synfin::protocol_test {
namespace {

class AccEcnHandshake : public AccEcnHost {};
RAW_HOST_SUITE(AccEcnHandshake);

// §3.1.1, table 2, first block; §3.2.3.2.1.
TEST_P(AccEcnHandshake, TheSynAckTellsHowTheSynArrived) {
  constexpr std::uint8_t kCodes[] = {kNotEct, kEct1, kEct0, kMarked};
  for (const std::uint32_t setting : {3u, 4u, 5u}) {
    stack_.settings().tcp_ecn = setting;
    const Handle listener = listens();
    for (std::uint8_t i = 0; i < 4; ++i) {
      codepoint_ = i;
      const Packet p = knocks(peer(10 + i), with_ace(syn(), kAccurate));
      EXPECT_EQ(p.tcp.ace(), kCodes[i]);
      EXPECT_EQ(codepoint(p), 0) << "RFC 3168 §6.1.1: no SYN-ACK is ECN-capable";
      ASSERT_TRUE(has_octets(p));
      EXPECT_EQ(p.tcp.options.ecn,
                (wire::EcnOctets{.fields = 3, .reversed = false, .ect0 = 1, .ce = 0, .ect1 = 1}));
    }
    codepoint_ = 0;
    stack_.close(listener, now_);
  }
}

// §3.1.2, third block.
TEST_P(AccEcnHandshake, AnOlderPeerGetsWhatItAskedFor) {
  listens();
  EXPECT_EQ(knocks(peer(1), with_ace(syn(), kClassic)).tcp.ace(), 1);
  const Packet none = knocks(peer(2));
  EXPECT_EQ(none.tcp.ace(), 0);
  EXPECT_FALSE(has_octets(none));
}

// §3.1.3.
TEST_P(AccEcnHandshake, WhatIsReservedInASynCountsAsAccEcn) {
  listens();
  for (const std::uint8_t code : std::initializer_list<std::uint8_t>{1, 2, 4, 5, 6})
    EXPECT_EQ(knocks(peer(10u + code), with_ace(syn(), code)).tcp.ace(), kNotEct) << int{code};
}

TEST_P(AccEcnHandshake, WithoutTheSettingThePeerGetsClassicEcnOrNone) {
  for (const std::uint32_t setting : {0u, 1u, 2u}) {
    stack_.settings().tcp_ecn = setting;
    const Handle listener = listens();
    const Packet p = knocks(peer(), with_ace(syn(), kAccurate));
    EXPECT_EQ(p.tcp.ace(), setting == 0 ? 0 : 1);
    EXPECT_FALSE(has_octets(p));
    EXPECT_EQ(p.tcp.reserved, 0);
    stack_.close(listener, now_);
  }
}

// §3.1.4.2, §3.2.3.2.2: first without the option, then without ECN, and then nothing may be ECN-capable; but
// marks are counted.
TEST_P(AccEcnHandshake, ASynAckThatIsSentAgainAsksForLessAndLess) {
  listener_ = listens();
  const Packet first = knocks(peer(), with_ace(syn(), kAccurate));
  EXPECT_TRUE(has_octets(first));
  runs_for(1_s + kSlack);
  const Packet second = only();
  EXPECT_EQ(second.tcp.ace(), kNotEct);
  EXPECT_FALSE(has_octets(second));
  runs_for(2_s + kSlack);
  EXPECT_EQ(only().tcp.ace(), 0);
  syn_ack_ = first.tcp;
  gives(peer(), with_ace(third(syn_ack_), kNotEct));
  connection_ = accepts(listener_);
  writes(connection_, "data");
  const Packet data = only();
  EXPECT_EQ(codepoint(data), 0);
  EXPECT_EQ(data.tcp.ace(), 5);
  gives(peer(), ack(0, 4, 5), "more", true);
  EXPECT_EQ(only().tcp.ace(), 6);
}

TEST_P(AccEcnHandshake, AfterOneSynAckAgainTextMayStillBeMarked) {
  listener_ = listens();
  syn_ack_ = knocks(peer(), with_ace(syn(), kAccurate)).tcp;
  runs_for(1_s + kSlack);
  (void)sent();
  gives(peer(), with_ace(third(syn_ack_), kNotEct));
  connection_ = accepts(listener_);
  writes(connection_, "data");
  EXPECT_TRUE(is_capable(only()));
}

// §3.1.5: the latest SYN counts, and the mode stays.
TEST_P(AccEcnHandshake, ASynThatComesAgainIsToldOfAnew) {
  listener_ = listens();
  syn_ack_ = knocks(peer(), with_ace(syn(), kAccurate)).tcp;
  codepoint_ = wire::ecn::kMarked;
  const Packet again = knocks(peer(), with_ace(syn(), kAccurate));
  EXPECT_EQ(again.tcp.ace(), kMarked);
  EXPECT_FALSE(has_octets(again)) << "§3.2.3.2.2";
  codepoint_ = 0;
  EXPECT_EQ(knocks(peer()).tcp.ace(), kNotEct) << "SHOULD, though this SYN does not ask";
  gives(peer(), with_ace(third(syn_ack_), kNotEct));
  connection_ = accepts(listener_);
  writes(connection_, "data");
  const Packet data = only();
  EXPECT_EQ(codepoint(data), 0) << "MUST NOT, having seen a SYN without ECN";
  EXPECT_EQ(data.tcp.ace(), 5);
}

// §3.1.5: MUST reset.
TEST_P(AccEcnHandshake, TwoKindsOfSynAreReset) {
  for (const bool accurate_first : {true, false}) {
    const Handle listener = listens();
    (void)knocks(peer(), with_ace(syn(), accurate_first ? kAccurate : kClassic));
    const Packet reset = knocks(peer(), with_ace(syn(), accurate_first ? kClassic : kAccurate));
    EXPECT_TRUE(reset.tcp.flags.rst());
    EXPECT_EQ(reset.tcp.ack, wire::SeqNum{kPeerIss + 1});
    EXPECT_EQ(half_open(), 0u);
    stack_.close(listener, now_);
  }
  EXPECT_EQ(count(Reason::kEcnModesMixed), 2u);
}

// §3.2.2.1, table 4: our SYN-ACK was not ECN-capable.
TEST_P(AccEcnHandshake, TheThirdSegmentTellsHowTheSynAckArrived) {
  for (std::uint8_t code = 0; code < 8; ++code) {
    open(code);
    writes(connection_, "data");
    const Packet data = only();
    const bool mangled = code == 0 || code == kEct1 || code == kEct0 || code == kMarked;
    EXPECT_EQ(is_capable(data), !mangled) << "code " << int{code};
    EXPECT_EQ(data.tcp.ace(), 5) << "marks are counted in any case";
    EXPECT_EQ(info().delivered_ce, code == kMarked ? 1u : 0u);
    EXPECT_EQ(window(), code == kMarked ? 1400u : 14'000u) << "§3.2.2.2: congestion is responded to";
    EXPECT_EQ(info().options & tcp::Info::kEcn, tcp::Info::kEcn);
    stack_.abort(connection_, now_);
    stack_.close(listener_, now_);
    (void)sent();
    runs_for(1_s);
  }
}

// … MUST NOT respond to AccECN feedback.
TEST_P(AccEcnHandshake, AThirdSegmentWithAceZeroMeansThatMarksAreNotHeard) {
  open(0);
  writes(connection_, std::string(20'000, 'x'));
  (void)sent();
  const std::uint32_t before = window();
  for (std::uint8_t n = 1; n <= 8; ++n) gives(peer(), ack(0, 1400u * n, n & 7));
  EXPECT_GE(window(), before);
  EXPECT_EQ(info().delivered_ce, 0u);
  for (const Packet& p : sent()) EXPECT_EQ(codepoint(p), 0);
}

// §3.2.2.1: with text the field is the counter.
TEST_P(AccEcnHandshake, AThirdSegmentWithTextCarriesTheCounter) {
  listener_ = listens();
  syn_ack_ = knocks(peer(), with_ace(syn(), kAccurate)).tcp;
  gives(peer(), with_ace(third(syn_ack_), 6), "text");
  connection_ = accepts(listener_);
  writes(connection_, "data");
  EXPECT_TRUE(is_capable(only())) << "6 is one mark, on the SYN-ACK";
}

// A reordered third segment, or one for a SYN-ACK that came twice, is no counter.
TEST_P(AccEcnHandshake, ALateThirdSegmentIsNotTakenForACounter) {
  open();
  TcpHeader late = with_ace(third(syn_ack_), kNotEct);
  gives(peer(), ack(0, 0, 5), "text");
  gives(peer(), late);
  EXPECT_EQ(info().delivered_ce, 0u);
  writes(connection_, "data");
  EXPECT_TRUE(is_capable(sent().back()));
}

// TCP_DEFER_ACCEPT: the bare third segment is not forgotten.
TEST_P(AccEcnHandshake, ADeferredThirdSegmentStillTellsOfThePath) {
  listener_ = listens({.defer_accept = 10_s});
  syn_ack_ = knocks(peer(), with_ace(syn(), kAccurate)).tcp;
  gives(peer(), with_ace(third(syn_ack_), kEct0));
  gives(peer(), ack(0, 0, 5), "text");
  connection_ = accepts(listener_);
  (void)sent();
  writes(connection_, "data");
  const Packet data = only();
  EXPECT_EQ(codepoint(data), 0);
  EXPECT_EQ(data.tcp.ace(), 5);
}

// §5.1.
TEST_P(AccEcnHandshake, ACookieIsRememberedByTheAceField) {
  stack_.settings().tcp_syncookies = 2;
  for (const bool stamped : {false, true}) {
    for (const std::uint8_t code : std::initializer_list<std::uint8_t>{0, 1, 2, 6, 7}) {
      TcpHeader h = with_ace(syn(), kAccurate);
      if (stamped) stamp(h, 100);
      open(code, h);
      EXPECT_TRUE(syn_ack_.options.has(TcpOptions::kEcnOctets));
      writes(connection_, "data");
      const Packet data = only();
      EXPECT_EQ(data.tcp.ace(), code >= 2 ? 5 : 0) << int{code};
      EXPECT_EQ(is_capable(data), code != 6) << "below 2 it is RFC 3168, and 6 is mangled";
      stack_.abort(connection_, now_);
      stack_.close(listener_, now_);
      (void)sent();
      runs_for(1_s);
    }
  }
}

// §5.2: text on a SYN is not counted.
TEST_P(AccEcnHandshake, FastOpenCountsNothingOfTheSyn) {
  stack_.settings().tcp_fastopen = 0x203;
  listener_ = listens({.fast_open = 2});
  codepoint_ = wire::ecn::kMarked;
  const Packet p = knocks(peer(), with_ace(syn(), kAccurate), "early");
  EXPECT_EQ(p.tcp.ace(), kMarked);
  EXPECT_EQ(p.tcp.ack, wire::SeqNum{kPeerIss + 6});
  codepoint_ = 0;
  connection_ = accepts(listener_);
  EXPECT_EQ(reads(connection_), "early");
  writes(connection_, "answer");
  const Packet answer = only();
  EXPECT_EQ(answer.tcp.ace(), 5);
  syn_ack_ = p.tcp;
  gives(peer(), with_ace(header(ACK, kPeerIss + 6, p.tcp.seq + 7), kNotEct));
  EXPECT_EQ(info().delivered_ce, 0u);
  EXPECT_EQ(info().received_ce, 0u);
  writes(connection_, "more");
  EXPECT_TRUE(is_capable(only()));
}

TEST_P(AccEcnHandshake, AFastOpenCookieLeavesRoomForTwoCounters) {
  stack_.settings().tcp_fastopen = 3;
  listener_ = listens({.fast_open = 2});
  TcpHeader h = with_ace(syn(), kAccurate);
  h.options.present |= TcpOptions::kFastOpen | TcpOptions::kSackPermitted | TcpOptions::kWindowScale;
  h.options.cookie_size = 0;
  h.options.window_scale = 7;
  stamp(h, 1);
  const Packet p = knocks(peer(), h);
  EXPECT_TRUE(p.tcp.options.has(TcpOptions::kFastOpen));
  ASSERT_TRUE(has_octets(p));
  EXPECT_EQ(p.tcp.options.ecn.fields, 2);
}

// As a client.

TEST_P(AccEcnHandshake, TheSynAsksBySetting) {
  constexpr std::uint8_t kAsked[] = {kNone, kClassic, kNone, kAccurate, kClassic, kNone};
  for (std::uint32_t setting = 0; setting < 6; ++setting) {
    stack_.settings().tcp_ecn = setting;
    const Handle c = connects({peer().address, 80});
    const Packet p = only();
    EXPECT_EQ(p.tcp.ace(), kAsked[setting]) << setting;
    EXPECT_EQ(codepoint(p), 0);
    EXPECT_FALSE(has_octets(p)) << "§3.2.3.2.1: MUST NOT";
    stack_.abort(c, now_);
  }
}

// §3.1.4.1.
TEST_P(AccEcnHandshake, ASynIsSentOnceMoreWithAccEcnAndThenWithout) {
  connects({peer().address, 80});
  EXPECT_EQ(only().tcp.ace(), kAccurate);
  runs_for(1_s + kSlack);
  EXPECT_EQ(only().tcp.ace(), kAccurate);
  runs_for(2_s + kSlack);
  const Packet third_syn = only();
  EXPECT_EQ(third_syn.tcp.ace(), kNone);
  // An answer to one of the first still counts (§3.1.4.1).
  port_ = third_syn.tcp.source_port;
  answers(with_ace(header(SYN | ACK, kPeerIss, third_syn.tcp.seq + 1), kNotEct));
  EXPECT_EQ(only().tcp.ace(), kNotEct);
}

// Table 2, as the client; §3.1.3 for 5; §3.2.2.3.
TEST_P(AccEcnHandshake, TheSynAckDecides) {
  for (std::uint8_t code = 0; code < 8; ++code) {
    open_actively(code);
    const bool accurate = code != 0 && code != 1 && code != 7;
    const Packet third_segment = only();
    EXPECT_EQ(third_segment.tcp.ace(), accurate ? kNotEct : 0) << int{code};
    EXPECT_EQ(has_octets(third_segment), accurate);
    EXPECT_EQ(window(), code == kMarked ? 1400u : 14'000u) << "§3.2.2.2";
    writes(connection_, "data");
    const Packet data = only();
    EXPECT_EQ(data.tcp.ace(), accurate ? 5 : 0);
    EXPECT_EQ(is_capable(data), code == 1 || code == kNotEct || code == 5) << int{code};
    EXPECT_EQ(info().delivered_ce, 0u) << "the peer does not count it either";
    stack_.abort(connection_, now_);
    (void)sent();
  }
}

// §3.2.2.1: a pure ACK first, though there is text.
TEST_P(AccEcnHandshake, TheThirdSegmentIsBareAndSaysHowTheSynAckArrived) {
  constexpr std::uint8_t kCodes[] = {kNotEct, kEct1, kEct0, kMarked};
  for (std::uint8_t i = 0; i < 4; ++i) {
    codepoint_ = i;
    open_actively(kNotEct, "early");
    codepoint_ = 0;
    const auto all = sent();
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].text, "");
    EXPECT_EQ(all[0].tcp.ace(), kCodes[i]);
    EXPECT_EQ(all[1].text, "early");
    EXPECT_EQ(all[1].tcp.ace(), i == wire::ecn::kMarked ? 6 : 5);
    EXPECT_TRUE(has_octets(all[1])) << "§3.2.3.2.1: the first text, too";
    EXPECT_EQ(info().received_ce, i == wire::ecn::kMarked ? 1u : 0u);
    stack_.abort(connection_, now_);
    (void)sent();
  }
}

// … "for the pure ACK of any retransmitted SYN/ACK"; and a marked one counts once.
TEST_P(AccEcnHandshake, ASynAckThatComesAgainGetsTheSameAnswer) {
  open_actively();
  EXPECT_EQ(only().tcp.ace(), kNotEct);
  for (int n = 0; n < 3; ++n) {
    codepoint_ = wire::ecn::kMarked;
    answers(with_ace(header(SYN | ACK, kPeerIss, syn_ack_.seq + 1), kNotEct));
    codepoint_ = 0;
    EXPECT_EQ(only().tcp.ace(), kMarked);
  }
  writes(connection_, "data");
  EXPECT_EQ(only().tcp.ace(), 6);
}

// The end of §3.1.2: as a responding host would.
TEST_P(AccEcnHandshake, CrossingSynsAgreeAsIfEachHadBeenAsked) {
  connection_ = connects({peer().address, 80});
  const Packet ours = only();
  port_ = ours.tcp.source_port;
  syn_ack_.seq = ours.tcp.seq;
  answers(with_ace(syn(), kAccurate));
  const Packet answer = only();
  EXPECT_EQ(answer.flags() & (SYN | ACK), SYN | ACK);
  EXPECT_EQ(answer.tcp.ace(), kNotEct);
  EXPECT_TRUE(has_octets(answer));
  answers(with_ace(header(SYN | ACK, kPeerIss, ours.tcp.seq + 1), kNotEct));
  EXPECT_EQ(only().tcp.ace(), 5);
  writes(connection_, "data");
  EXPECT_TRUE(is_capable(only()));
  answers(ack(0, 4, 5));
  EXPECT_EQ(info().delivered_ce, 0u);
  EXPECT_EQ(info().state, State::kEstablished);
}

}  // namespace
}  // namespace synfin::protocol_test
