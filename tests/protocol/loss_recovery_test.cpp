// SPDX-License-Identifier: Apache-2.0
//
// Loss recovery of the sender: SACK (RFC 2018, 6675), RACK-TLP (RFC 8985), PRR (RFC 6937bis), limited
// transmit (RFC 3042), F-RTO (RFC 5682), DSACK (RFC 2883). Segments are 1000 octets, round trips 100 ms; the
// numbers are those of RFC 5681, half a window after a loss.
#include <algorithm>

#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using tcp::CaState;

constexpr std::uint32_t kMss = 1000;
constexpr Duration kRtt = 100_ms;

LadderOptions reno() {
  return {.settings = [](tcp::Settings& s) { s.tcp_congestion_control = tcp::CongestionControl::kReno; }};
}

// The SYN-ACK's round trip is the first sample.
Ladder& opened(Ladder& l, bool sack = true, bool timestamps = false) {
  In syn{.flags = SYN, .seq = 0, .window = 32'000, .mss = kMss, .wscale = 7, .sack_permitted = sack};
  if (timestamps) syn.ts = wire::Timestamps{.value = l.peer_tsval()};
  l.app_listens().receives(syn).sends({.flags = SYN | ACK});
  l.at(kRtt).receives({.seq = 1, .ack = 1, .window = 1000});
  return l.app_accepts();
}

tcp::Info info(Ladder& l) {
  const auto i = l.stack().info(l.connection(), l.now());
  EXPECT_TRUE(i) << l.text();
  return i.value_or(tcp::Info{});
}

// The peer's bare acknowledgement.
In ack(std::int64_t n, std::vector<Sack> sack = {}) {
  return {.seq = 1, .ack = n, .window = 1000, .sack = std::move(sack)};
}
Out segment(std::int64_t seq) {
  return {.seq = seq, .len = kMss};
}

// RFC 6675 §5: DupThresh segments are sacked, so what lies before is lost; RFC 6937bis: as much is sent as
// is delivered.
LADDER_TEST(SackRecovery, FillsTheHolesAsBlocksCome) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{2001, 3001}})).sends_nothing().reason(Reason::kSelectiveAck);
  EXPECT_EQ(info(l).ca_state, CaState::kDisorder);
  l.receives(ack(1, {{5001, 6001}, {2001, 3001}})).sends_nothing();
  l.receives(ack(1, {{7001, 8001}, {5001, 6001}, {2001, 3001}})).sends(segment(1)).sends_nothing();
  EXPECT_EQ(info(l).ca_state, CaState::kRecovery);
  EXPECT_EQ(info(l).lost, 5u);
  EXPECT_EQ(info(l).sacked, 3u);
  EXPECT_EQ(info(l).retrans, 1u);
  l.receives(ack(1, {{7001, 9001}, {5001, 6001}, {2001, 3001}})).sends(segment(1001)).sends_nothing();
  l.receives(ack(1, {{7001, 10'001}, {5001, 6001}, {2001, 3001}})).sends(segment(3001)).sends_nothing();
  l.after(kRtt).receives(ack(1001, {{7001, 10'001}, {5001, 6001}, {2001, 3001}}));
  l.sends(segment(4001)).sends(segment(6001)).sends_nothing();
  l.receives(ack(3001, {{7001, 10'001}, {5001, 6001}})).sends_nothing();
  l.after(kRtt).receives(ack(10'001)).sends_nothing().silent_for(100_s);
  const tcp::Info i = info(l);
  EXPECT_EQ(i.ca_state, CaState::kOpen);
  EXPECT_EQ(i.unacked + i.sacked + i.lost + i.retrans, 0u);
  EXPECT_EQ(i.total_retrans, 5u);
  EXPECT_EQ(i.snd_cwnd, 5u);
  EXPECT_EQ(i.snd_ssthresh, 5u);
  l.counter(Counter::kTCPSackRecovery, 1).counter(Counter::kTCPTimeouts, 0);
}

// RFC 6675 §5 (4.2): half of what was in flight.
LADDER_TEST(SackRecovery, HalvesTheWindowOnce) {
  Ladder l(variant, reno());
  opened(l).app_sends(40 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{1001, 5001}})).whatever();
  EXPECT_EQ(info(l).snd_ssthresh, 5u);
  l.receives(ack(1, {{6001, 8001}, {1001, 5001}})).whatever();
  EXPECT_EQ(info(l).snd_ssthresh, 5u);
}

// What is sacked is never sent again.
LADDER_TEST(SackRecovery, SendsNothingThatIsSacked) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt);
  l.receives(ack(2001, {{3001, 4001}, {6001, 10'001}}));
  l.sends(segment(2001)).sends(segment(4001)).sends(segment(5001)).sends_nothing();
}

// RFC 8985 §6.2 step 5: fewer than DupThresh are sacked, so a quarter of the round trip must pass.
LADDER_TEST(Rack, ReorderingTimerRepairsASmallFlight) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{3001, 4001}})).silent_for(24_ms);
  // The window is the smallest there is, of two segments.
  l.sends_within(Ladder::kSlack, segment(1)).sends(segment(1001)).sends_nothing();
  EXPECT_EQ(info(l).lost, 3u);
  EXPECT_EQ(info(l).ca_state, CaState::kRecovery);
  l.after(kRtt).receives(ack(1001, {{3001, 4001}})).sends(segment(2001)).sends_nothing();
  l.after(kRtt).receives(ack(4001)).sends_nothing().silent_for(100_s).counter(Counter::kTCPTimeouts, 0);
}

// RFC 6298 §5.4 counts, whatever the reordering window says: a timeout that comes first is one.
LADDER_TEST(Rack, TimeoutBeforeTheEndOfTheReorderingWindow) {
  LadderOptions options = reno();
  options.settings = [](tcp::Settings& s) { s.tcp_early_retrans = 0; };
  Ladder l(variant, options);
  opened(l).app_sends(4 * kMss).whatever().after(290_ms);  // the timeout is 300 ms, the window 25 ms
  l.receives(ack(1, {{3001, 4001}})).silent_for(9_ms);
  l.sends_within(Ladder::kSlack, segment(1)).sends_nothing().counter(Counter::kTCPTimeouts, 1);
  EXPECT_EQ(info(l).ca_state, CaState::kLoss);
}

// §3.2: what comes within the reordering window is no loss.
LADDER_TEST(Rack, ReorderingIsTolerated) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{3001, 4001}})).after(10_ms).receives(ack(4001)).sends_nothing().silent_for(100_s);
  EXPECT_EQ(info(l).reord_seen, 1u);
  EXPECT_EQ(info(l).total_retrans, 0u);
  EXPECT_EQ(info(l).snd_cwnd, 10u);
  // Once seen, even many sacked segments give it its time.
  l.app_sends(6 * kMss).whatever().after(kRtt);
  l.receives(ack(4001, {{5001, 10'001}})).sends_nothing().silent_for(15_ms);
  l.receives(ack(10'001)).sends_nothing().silent_for(100_s);
  l.counter(Counter::kTCPSackRecovery, 0).counter(Counter::kTCPSACKReorder, 2);
}

// How far apart: Linux's tcpi_reordering.
LADDER_TEST(Rack, DegreeOfReorderingIsMeasured) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{8001, 9001}})).receives(ack(1, {{3001, 4001}, {8001, 9001}})).whatever();
  EXPECT_EQ(info(l).reordering, 6u);
}

// §3.3.2: a lost retransmission is found by what was sent behind it, without a timeout.
LADDER_TEST(Rack, LostRetransmissionIsSentAgain) {
  Ladder l(variant, reno());
  opened(l).app_sends(20 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{1001, 4001}})).sends(segment(1));
  l.whatever();
  l.receives(ack(1, {{1001, 10'001}})).whatever();  // lets new text out behind the retransmission
  ASSERT_GT(info(l).unacked, 10u) << l.text();
  const std::int64_t newest = 1 + std::int64_t{info(l).unacked} * kMss;
  l.after(kRtt).receives(ack(1, {{1001, newest}})).sends(segment(1)).whatever();
  l.counter(Counter::kTCPLostRetransmit, 1).counter(Counter::kTCPTimeouts, 0);
}

// RFC 8985 §7.2, §7.3: two round trips behind the last segment.
LADDER_TEST(TailLossProbe, ResendsTheLastSegment) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().silent_for(199_ms);
  l.sends_within(12_ms, segment(3001)).sends_nothing().counter(Counter::kTCPLossProbes, 1);
  // All arrived: the DSACK says that nothing was lost.
  l.after(10_ms).receives(ack(4001)).receives(ack(4001, {{3001, 4001}})).reason(Reason::kDuplicateSack);
  l.sends_nothing().silent_for(100_s).counter(Counter::kTCPTimeouts, 0);
  EXPECT_EQ(info(l).snd_cwnd, 10u);
  EXPECT_EQ(info(l).dsack_dups, 1u);
}

// The same with timestamps: what arrives beyond a hole is answered with the echo of what came before the
// hole, which says nothing of when the probe was sent (RFC 7323 §4.3).
LADDER_TEST(TailLossProbe, RepairsALostTailWithTimestamps) {
  constexpr std::uint32_t kTextWithTimestamps = kMss - 12;
  Ladder l(variant, reno());
  opened(l, true, true).app_sends(10 * kTextWithTimestamps);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 10u) << l.text();
  const auto old_echo = [&] {
    return wire::Timestamps{.value = l.peer_tsval(), .echo = sent[0].tcp.options.timestamps.value};
  };
  In half = ack(1 + 5 * kTextWithTimestamps);
  half.ts = old_echo();
  l.after(kRtt).receives(half).sends_nothing();
  l.sends_within(220_ms, {.seq = 1 + 9 * kTextWithTimestamps, .len = kTextWithTimestamps}).sends_nothing();
  In probed = ack(1 + 5 * kTextWithTimestamps, {{1 + 9 * kTextWithTimestamps, 1 + 10 * kTextWithTimestamps}});
  probed.ts = old_echo();
  l.after(kRtt).receives(probed).sends({.seq = 1 + 5 * kTextWithTimestamps, .len = kTextWithTimestamps});
  l.whatever().counter(Counter::kTCPTimeouts, 0).counter(Counter::kTCPSackRecovery, 1);
}

// The tail was lost: the probe's SACK starts recovery, one round trip sooner than a timeout and without one.
LADDER_TEST(TailLossProbe, RepairsALostTail) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt).receives(ack(5001)).sends_nothing();
  l.sends_within(220_ms, segment(9001)).sends_nothing();
  l.after(kRtt).receives(ack(5001, {{9001, 10'001}})).sends(segment(5001)).sends_nothing();
  l.after(kRtt)
      .receives(ack(6001, {{9001, 10'001}}))
      .sends(segment(6001))
      .sends(segment(7001))
      .sends_nothing();
  l.after(kRtt).receives(ack(8001, {{9001, 10'001}})).sends(segment(8001)).sends_nothing();
  l.after(kRtt).receives(ack(10'001)).sends_nothing().silent_for(100_s);
  l.counter(Counter::kTCPTimeouts, 0).counter(Counter::kTCPSackRecovery, 1);
}

// §7.4.2: the probe itself repaired the loss, which is congestion all the same.
LADDER_TEST(TailLossProbe, RepairIsAnsweredByAReduction) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().sends_within(220_ms, segment(3001));
  l.after(kRtt).receives(ack(4001)).sends_nothing();
  EXPECT_EQ(info(l).snd_cwnd, 10u) << "a DSACK may still come";
  l.app_sends(kMss).sends(segment(4001)).after(kRtt).receives(ack(5001)).sends_nothing();
  l.counter(Counter::kTCPLossProbeRecovery, 1);
  EXPECT_EQ(info(l).snd_cwnd, 5u);
}

// §7.3: new data, if there is some and the peer has room, whatever the congestion window says.
LADDER_TEST(TailLossProbe, SendsNewDataWhereItCan) {
  Ladder l(variant, reno());
  opened(l).app_sends(12 * kMss).whatever().sends_within(220_ms, segment(10'001)).sends_nothing();
  l.after(50_ms).receives(ack(11'001)).sends(segment(11'001)).whatever();
  EXPECT_EQ(info(l).total_retrans, 0u);
}

// §7.2: with one segment in flight the peer's delayed acknowledgement gets its time.
LADDER_TEST(TailLossProbe, WaitsForADelayedAcknowledgement) {
  Ladder l(variant, reno());
  opened(l).app_sends(kMss).sends(segment(1)).silent_for(290_ms).sends_within(20_ms, segment(1));
  l.counter(Counter::kTCPLossProbes, 1).after(kRtt).receives(ack(1001)).silent_for(100_s);
}

// A FIN is a tail like any other, and stays a FIN.
LADDER_TEST(TailLossProbe, ProbesWithTheFin) {
  Ladder l(variant, reno());
  opened(l).app_sends(3 * kMss).whatever().app_shuts_down(Shutdown::kSend);
  l.sends({.flags = FIN | ACK, .seq = 3001, .len = 0});
  l.sends_within(220_ms, {.flags = FIN | ACK, .seq = 3001, .len = 0}).state(State::kFinWait1);
  l.after(kRtt).receives(ack(3002)).state(State::kFinWait2).silent_for(100_s);
}

LADDER_TEST(TailLossProbe, NeedsSack) {
  Ladder l(variant, reno());
  opened(l, false).app_sends(4 * kMss).whatever().silent_for(290_ms).sends_within(20_ms, segment(1));
  l.counter(Counter::kTCPLossProbes, 0).counter(Counter::kTCPTimeouts, 1);
}

LADDER_TEST(TailLossProbe, CanBeTurnedOff) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_early_retrans = 0; }});
  opened(l).app_sends(4 * kMss).whatever().silent_for(290_ms).sends_within(20_ms, segment(1));
  l.counter(Counter::kTCPTimeouts, 1);
}

// One round trip later at most a timeout follows, from when the probe was sent.
LADDER_TEST(TailLossProbe, TimeoutFollows) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().sends_within(220_ms, segment(3001));
  l.silent_for(290_ms).sends_within(20_ms, segment(1)).sends_nothing().counter(Counter::kTCPTimeouts, 1);
}

// RFC 3042: each of the first two duplicates lets one new segment out.
LADDER_TEST(LimitedTransmit, WithoutSack) {
  Ladder l(variant, reno());
  opened(l, false).app_sends(20 * kMss).whatever().after(kRtt);
  l.receives(ack(1)).sends(segment(10'001)).sends_nothing();
  l.receives(ack(1)).sends(segment(11'001)).sends_nothing();
  // It was reordering.
  l.receives(ack(3001)).sends(segment(12'001)).sends(segment(13'001)).sends_nothing();
  EXPECT_EQ(info(l).snd_cwnd, 11u);
}

LADDER_TEST(LimitedTransmit, WithSack) {
  Ladder l(variant, reno());
  opened(l).app_sends(20 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{1001, 2001}})).sends(segment(10'001)).sends_nothing();
  l.receives(ack(1, {{1001, 3001}})).sends(segment(11'001)).sends_nothing();
  l.receives(ack(3001)).sends(segment(12'001)).sends(segment(13'001)).sends_nothing();
  EXPECT_EQ(info(l).snd_cwnd, 11u);
}

// RFC 6582 §3.2: and what partial acknowledgements send again is called so.
LADDER_TEST(NewReno, PartialAcknowledgementIsNamed) {
  Ladder l(variant, reno());
  opened(l, false).app_sends(8 * kMss).whatever().after(kRtt);
  for (int i = 0; i < 3; ++i) l.receives(ack(1));
  l.sends(segment(1)).sends_nothing();
  EXPECT_EQ(l.sent_reasons().back(), Reason::kFastRetransmit);
  l.after(kRtt).receives(ack(3001)).sends(segment(3001)).sends_nothing();
  EXPECT_EQ(l.sent_reasons().back(), Reason::kPartialAck);
  l.after(kRtt).receives(ack(8001)).sends_nothing().silent_for(100_s).counter(Counter::kTCPRenoRecovery, 1);
}

// RFC 5682 §3.1: only late. New text goes out in place of the rest, and what comes then tells.
LADDER_TEST(Frto, SpuriousTimeoutIsTakenBack) {
  Ladder l(variant, reno());
  opened(l).app_sends(20 * kMss).whatever();
  l.sends_within(220_ms, segment(10'001)).sends_within(320_ms, segment(1)).sends_nothing();
  l.after(10_ms).receives(ack(1001)).sends(segment(11'001)).whatever();
  l.receives(ack(2001)).reason(Reason::kSpuriousTimeout);
  for (const auto& p : l.take_all()) {
    EXPECT_GE(static_cast<std::int32_t>(p.tcp.seq.raw() - l.stack_iss()), 11'001) << l.text();
  }
  EXPECT_GE(info(l).snd_cwnd, 10u);
  EXPECT_EQ(info(l).ca_state, CaState::kOpen);
  l.counter(Counter::kTCPSpuriousRTOs, 1);
}

// … and where it was no spurious one: the duplicate proves the loss.
LADDER_TEST(Frto, RealTimeoutGoesOnAsUsual) {
  Ladder l(variant, reno());
  opened(l).app_sends(20 * kMss).whatever();
  l.sends_within(220_ms, segment(10'001)).sends_within(320_ms, segment(1)).sends_nothing();
  l.after(kRtt).receives(ack(1001)).sends(segment(11'001)).whatever();
  l.after(kRtt).receives(ack(1001, {{11'001, 12'001}}));
  const auto again = l.take_all();
  ASSERT_FALSE(again.empty()) << l.text();
  EXPECT_EQ(again[0].tcp.seq.raw(), l.stack_iss() + 1001) << l.text();
  l.counter(Counter::kTCPSpuriousRTOs, 0);
}

// RFC 2883 §5, RFC 3708: every retransmission was for nothing, so the reduction is taken back.
LADDER_TEST(Dsack, TakesTheReductionBack) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt);
  l.receives(ack(1, {{1001, 4001}})).sends(segment(1)).sends_nothing();
  EXPECT_EQ(info(l).snd_ssthresh, 5u);
  l.receives(ack(4001)).receives(ack(4001, {{1, 1001}})).reason(Reason::kSpuriousRecovery);
  EXPECT_EQ(info(l).snd_cwnd, 10u);
  EXPECT_EQ(info(l).ca_state, CaState::kOpen);
  l.counter(Counter::kTCPDSACKUndo, 1).counter(Counter::kTCPDSACKRecv, 1);
}

// A peer may not earn a wider reordering window by DSACKs that it made up.
LADDER_TEST(Dsack, InventedOnesAreIgnored) {
  Ladder l(variant, reno());
  opened(l).app_sends(10 * kMss).whatever().after(kRtt);
  for (int i = 0; i < 50; ++i) l.receives(ack(2001, {{1, 1001}})).whatever();
  EXPECT_EQ(info(l).snd_cwnd, 12u);
  EXPECT_EQ(info(l).reord_seen, 0u);
  EXPECT_EQ(info(l).ca_state, CaState::kOpen);
}

// An acknowledgement was lost: what answers the segment that was sent again, and says by its DSACK that it
// came twice, echoes the first one still. As a round trip that would be as long as the timeout.
LADDER_TEST(Dsack, ALostAcknowledgementDoesNotLookLikeALongRoundTrip) {
  Ladder l(variant, reno());
  opened(l, true, true).app_sends(100);
  const auto first = l.take_all();
  ASSERT_EQ(first.size(), 1u) << l.text();
  const Duration timeout = info(l).rto;
  l.sends_within(320_ms, {.seq = 1, .len = 100});
  In twice = ack(101, {{1, 101}});
  twice.ts = wire::Timestamps{.value = l.peer_tsval(), .echo = first[0].tcp.options.timestamps.value};
  l.after(kRtt).receives(twice).sends_nothing();
  EXPECT_EQ(info(l).rto, timeout) << l.text();
}

// RFC 3522 (Eifel): the echo is older than the retransmission.
LADDER_TEST(Eifel, TimestampsTakeTheReductionBack) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  opened(l, true, true).app_sends(10 * (kMss - 12)).whatever().after(kRtt);
  const std::int64_t n = kMss - 12;
  l.receives(ack(1, {{1 + n, 1 + 4 * n}}));
  const auto again = l.take_all();
  ASSERT_EQ(again.size(), 1u) << l.text();
  // The acknowledgement of the first transmission comes late, with its own echo.
  In late = ack(1 + 4 * n);
  late.ts = wire::Timestamps{.value = l.peer_tsval(), .echo = again[0].tcp.options.timestamps.value - 50};
  l.after(5_ms).receives(late).reason(Reason::kSpuriousRecovery).whatever();
  EXPECT_EQ(info(l).snd_ssthresh, tcp::Info::kInfiniteThreshold);
  EXPECT_GE(info(l).snd_cwnd, 10u);
}

// One recovery begins right behind another, while a retransmission of the first is on its way; its
// acknowledgement echoes a time before the second one's first, and proves nothing.
LADDER_TEST(Eifel, RetransmissionOfTheRecoveryBeforeIsNoFirstTransmission) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  opened(l, true, true).app_sends(40 * (kMss - 12)).whatever().after(kRtt);
  const std::int64_t n = kMss - 12;
  const auto first = [](std::int64_t i) { return 1 + i * n; };
  l.receives(ack(1, {{first(1), first(10)}})).whatever();
  const tcp::Info in_first = info(l);
  ASSERT_GE(in_first.unacked, 14u) << "new text leaves beside the retransmission";
  // The retransmission is lost as well, and so is a segment behind it: both go again.
  l.after(20_ms).receives(ack(1, {{first(11), first(14)}, {first(1), first(10)}}));
  const auto again = l.take_all();
  const auto resent = std::find_if(again.begin(), again.end(), [&](const auto& p) {
    return p.tcp.seq.raw() == l.stack_iss() + static_cast<std::uint32_t>(first(10));
  });
  ASSERT_NE(resent, again.end()) << l.text();
  l.after(20_ms).receives(ack(first(10), {{first(11), first(14)}})).whatever();
  l.counter(Counter::kTCPSackRecovery, 2);
  const std::uint32_t threshold = info(l).snd_ssthresh;
  l.after(20_ms).receives(ack(first(10), {{first(15), first(16)}, {first(11), first(14)}})).whatever();
  In answer = ack(first(14), {{first(15), first(16)}});
  answer.ts = wire::Timestamps{.value = l.peer_tsval(), .echo = resent->tcp.options.timestamps.value};
  l.after(5_ms).receives(answer).whatever();
  EXPECT_EQ(info(l).snd_ssthresh, threshold) << l.text();
  EXPECT_EQ(info(l).ca_state, CaState::kRecovery);
}

// RFC 6298 §5: the first segment is sent again late, and has the whole timeout from then on.
LADDER_TEST(SackRecovery, FirstSegmentSentAgainHasItsTime) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_early_retrans = 0; }});
  opened(l).app_sends(10 * kMss).whatever();
  // 300 ms are the timeout; the blocks come after 290.
  l.after(290_ms).receives(ack(1, {{1001, 5001}})).whatever();
  l.after(90_ms).sends_nothing().receives(ack(5001)).whatever();
  l.counter(Counter::kTCPTimeouts, 0);
}

// RFC 2018 §8: a peer may drop what it has sacked; the timeout starts from nothing.
LADDER_TEST(SackRecovery, RenegingIsSurvived) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().after(kRtt).receives(ack(1, {{1001, 4001}})).sends(segment(1));
  // It fills the hole, and says nothing of the rest any more.
  l.after(kRtt).receives(ack(1001)).sends_nothing();
  l.sends_within(1_s, segment(1001)).counter(Counter::kTCPSACKReneging, 1);
  l.after(kRtt).receives(ack(2001));
  EXPECT_EQ(l.take_all().at(0).tcp.seq.raw(), l.stack_iss() + 2001) << l.text();
}

// Short of memory, it shuts its window as well; what probes that must not go for sacked and sent again at
// once.
LADDER_TEST(SackRecovery, RenegingBehindAClosedWindowIsSurvived) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().after(kRtt).receives(ack(1, {{1001, 4001}})).sends(segment(1));
  l.after(kRtt).receives({.seq = 1, .ack = 1001, .window = 0}).sends_nothing();
  l.sends_within(1_s, {.seq = 1001, .len = 1}).sends_nothing().counter(Counter::kTCPSACKReneging, 1);
  EXPECT_EQ(info(l).sacked, 0u);
  EXPECT_EQ(info(l).retrans, 1u);
  l.receives(ack(1001)).sends(segment(1001)).whatever();
  l.after(kRtt).receives(ack(2001)).whatever().after(kRtt).receives(ack(4001)).whatever().silent_for(100_s);
  EXPECT_EQ(info(l).unacked, 0u);
}

// Blocks about what was never sent, upside down or acknowledged long ago say nothing.
LADDER_TEST(SackRecovery, SenselessBlocksAreIgnored) {
  Ladder l(variant, reno());
  opened(l).app_sends(6 * kMss).whatever().after(kRtt).receives(ack(2001)).whatever();
  l.receives(ack(2001, {{5001, 90'001}})).receives(ack(2001, {{4001, 3001}}));
  l.receives(ack(2001, {{2'000'000'001, 2'000'001'001}})).sends_nothing();
  EXPECT_EQ(info(l).sacked, 0u);
  EXPECT_EQ(info(l).ca_state, CaState::kOpen);
  l.counter(Counter::kTCPSACKDiscard, 3).receives(ack(6001)).silent_for(100_s);
}

// The peer's delayed acknowledgement of 40 ms and a round trip of nothing: no storm of probes.
LADDER_TEST(TailLossProbe, OneAtATime) {
  Ladder l(variant, reno());
  l.app_listens()
      .receives({.flags = SYN, .seq = 0, .mss = kMss, .sack_permitted = true})
      .sends({.flags = SYN | ACK});
  l.receives({.seq = 1, .ack = 1}).app_accepts().app_sends(3 * kMss).whatever();
  for (int i = 0; i < 150; ++i) l.after(1_ms).whatever();
  EXPECT_LE(info(l).total_retrans, 1u) << l.text();
}

class TailLossProbeTooLate : public RawHost {};
RAW_HOST_SUITE(TailLossProbeTooLate);

// The timer has run out, and before anything could leave the tail is heard of: there is nothing to probe.
TEST_P(TailLossProbeTooLate, WhatWasSackedMeanwhileIsNotSentAgain) {
  constexpr std::uint32_t kSegmentText = 1400;
  const Handle listener = listens();
  TcpHeader h = syn();
  h.options.present |= TcpOptions::kSackPermitted;
  const Packet syn_ack = knocks(peer(), h);
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  writes(connection, std::string(4 * kSegmentText, 'x'));
  EXPECT_EQ(sent().size(), 4u);
  now_ = now_ + 20_ms;  // two round trips of nothing, and some
  stack_.advance(now_);
  TcpHeader sack = third(syn_ack.tcp);
  const wire::SeqNum first = syn_ack.tcp.seq + 1;
  sack.options.present |= TcpOptions::kSack;
  sack.options.sack[0] = {first + 3 * kSegmentText, first + 4 * kSegmentText};
  sack.options.sack_count = 1;
  gives(peer(), sack);
  for (const Packet& p : sent()) EXPECT_NE(p.tcp.seq, first + 3 * kSegmentText);
  const auto info = stack_.info(connection, now_);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->sacked, 1u);
  EXPECT_LE(info->sacked + info->retrans, info->unacked);
  EXPECT_EQ(count(Counter::kTCPLossProbes), 0u);
}

// tcpi_*: what passed in both directions.
LADDER_TEST(TcpInfo, CountsWhatPassed) {
  Ladder l(variant, reno());
  opened(l).app_sends(3 * kMss).whatever().after(kRtt).receives(ack(2001)).sends_nothing();
  l.receives({.seq = 1, .ack = 2001, .len = 500, .window = 1000}).whatever();
  const tcp::Info i = info(l);
  EXPECT_EQ(i.state, State::kEstablished);
  EXPECT_EQ(i.bytes_sent, 3 * kMss);
  EXPECT_EQ(i.bytes_acked, 2 * kMss);
  EXPECT_EQ(i.bytes_received, 500u);
  EXPECT_EQ(i.unacked, 1u);
  EXPECT_EQ(i.data_segs_out, 3u);
  EXPECT_EQ(i.data_segs_in, 1u);
  EXPECT_EQ(i.delivered, 2u);
  EXPECT_EQ(i.snd_mss, kMss);
  // SRTT and four times RTTVAR, RFC 6298 §2: a second sample like the first. 4 · 37.5 is below tcp_rto_min.
  EXPECT_EQ((i.min_rtt + 500_us).ms(), 100);
  EXPECT_EQ((i.rtt + 500_us).ms(), 100);
  EXPECT_EQ((i.rto + 500_us).ms(), 300);
  EXPECT_EQ(i.snd_wnd, 128'000u);
  EXPECT_EQ(i.reordering, 3u);
  EXPECT_EQ(i.options, tcp::Info::kSack | tcp::Info::kWindowScale);
}

// What was in flight when the connection failed was not acknowledged by that.
LADDER_TEST(TcpInfo, AFailureAcknowledgesNothing) {
  Ladder l(variant, reno());
  opened(l).app_sends(3 * kMss).whatever().after(kRtt).receives(ack(1001)).whatever();
  l.receives({.flags = RST, .seq = 1}).state(State::kClosed);
  EXPECT_EQ(info(l).bytes_acked, kMss);
}

// The octet that probes a closed window goes again with the others.
LADDER_TEST(TcpInfo, CountsTheOctetOfAWindowProbeAsSentAgain) {
  Ladder l(variant, reno());
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000).sends_nothing();
  l.sends_within(1100_ms, {.seq = 1, .len = 1}).receives({.seq = 1, .ack = 1, .window = 5000});
  l.sends({.seq = 1, .len = 1000}).receives({.seq = 1, .ack = 1001}).sends_nothing();
  const tcp::Info i = info(l);
  EXPECT_EQ(i.bytes_acked, 1000u);
  EXPECT_EQ(i.bytes_sent, 1001u);
  EXPECT_EQ(i.bytes_retrans, 1u);
}

// Linux probes a closed window with an old acknowledgement; the window update is answered at once.
LADDER_TEST(ZeroWindow, CanBeProbedAsLinuxDoes) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.window_probe_octet = false; }});
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000).sends_nothing();
  l.sends_within(1100_ms, {.flags = ACK, .seq = 0, .len = 0}).receives({.seq = 1, .ack = 1, .window = 0});
  l.sends_nothing().sends_within(2200_ms, {.flags = ACK, .seq = 0, .len = 0});
  l.receives({.seq = 1, .ack = 1, .window = 5000}).sends({.seq = 1, .len = 1000}).sends_nothing();
  l.receives({.seq = 1, .ack = 1001}).silent_for(100_s);
}

// RFC 9293 §3.8.6, MUST-34, MUST-35: the peer takes its window back from behind what is in flight, and opens
// it again.
LADDER_TEST(ZeroWindow, ShrunkFromBehindWhatIsInFlight) {
  Ladder l(variant, reno());
  opened(l).app_sends(4 * kMss).whatever().after(kRtt).receives({.seq = 1, .ack = 1001, .window = 0});
  l.sends_nothing().sends_within(400_ms, {.seq = 1001, .len = 1}).sends_nothing();
  l.receives({.seq = 1, .ack = 1001, .window = 0}).sends_nothing().state(State::kEstablished);
  l.sends_within(800_ms, {.seq = 1001, .len = 1}).sends_nothing();
  l.receives(ack(1001)).sends(segment(1001)).whatever();
  l.after(kRtt).receives(ack(4001)).whatever().silent_for(100_s).counter(Counter::kTCPTimeouts, 0);
}

// Slow start as Linux has it: what is not used does not grow; what is used doubles a round trip.
LADDER_TEST(CongestionWindow, GrowsOnlyWhileItIsUsed) {
  for (const std::uint32_t segments : {5u, 6u, 9u, 10u}) {
    Ladder l(variant, reno());
    opened(l).app_sends(segments * kMss).whatever();
    for (std::uint32_t n = 2; n < segments; n += 2)
      l.receives(ack(1 + std::int64_t{n} * kMss)).sends_nothing();
    l.receives(ack(1 + std::int64_t{segments} * kMss)).sends_nothing();
    const std::uint32_t expected[] = {10, 12, 18, 20};
    EXPECT_EQ(info(l).snd_cwnd, segments == 5 ? 10u : expected[segments == 6 ? 1 : segments - 7]) << segments;
  }
}

}  // namespace
}  // namespace synfin::protocol_test
