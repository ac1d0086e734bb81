// SPDX-License-Identifier: Apache-2.0
//
// Loss recovery by SACK (RFC 6675), rule by rule. Segments are 1000 octets, round trips 100 ms. Where RACK
// (RFC 8985) decides sooner or later than DupThresh, its rule is the one that is tried: rfc8985_test.cpp.
#include "ladder_sender.h"

namespace synfin::protocol_test {
namespace {

using tcp::CaState;

// Update(), "(the) cumulative acknowledgment": what it covers leaves the pipe, sacked before or not.
LADDER_TEST(Rfc6675, TheCumulativeAcknowledgementTakesOutOfThePipe_4) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(6 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{2001, 3001}})).sends_nothing();
  EXPECT_EQ(ladder_info(l).sacked, 1u);
  l.receives(ladder_ack(3001)).sends_nothing();
  EXPECT_EQ(ladder_info(l).sacked, 0u);
  EXPECT_EQ(ladder_info(l).unacked, 3u);
}

// §2: a duplicate is one that brings new SACK information; the same block three times is none.
LADDER_TEST(Rfc6675, TheSameBlockAgainIsNoNews_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  for (int i = 0; i < 5; ++i) l.receives(ladder_ack(1, {{1001, 2001}})).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kDisorder);
  l.counter(Counter::kTCPSackRecovery, 0);
}

// §5 step 3: below DupThresh new segments go out, so that more is heard (limited transmit).
LADDER_TEST(Rfc6675, NewDataLeavesBeforeTheThirdDuplicate_5_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(14 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 2001}})).sends(ladder_segment(10'001)).sends_nothing();
  l.receives(ladder_ack(1, {{1001, 3001}})).sends(ladder_segment(11'001)).sends_nothing();
  EXPECT_EQ(ladder_info(l).total_retrans, 0u);
  EXPECT_EQ(ladder_info(l).snd_cwnd, 10u);
}

// §5 (4.1), (4.2): RecoveryPoint is HighData, and ssthresh half of FlightSize; (4.3): the first hole goes
// again.
LADDER_TEST(Rfc6675, TheThirdBeginsRecovery_5_4) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 2001}})).receives(ladder_ack(1, {{1001, 3001}})).sends_nothing();
  l.receives(ladder_ack(1, {{1001, 4001}})).sends(ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kRecovery);
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 5u);
  // Up to RecoveryPoint and no further.
  l.after(kLadderRtt).receives(ladder_ack(9001)).whatever();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kRecovery);
  l.receives(ladder_ack(10'001)).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kOpen);
}

// (B): "SetPipe"; (C): no more is sent than the window has room for beside the pipe.
LADDER_TEST(Rfc6675, ThePipeNeverExceedsTheWindow_5_C) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(60 * kLadderMss).whatever().after(kLadderRtt);
  for (std::int64_t end = 2001; end <= 10'001; end += kLadderMss) {
    l.receives(ladder_ack(1, {{1001, end}})).whatever();
    const tcp::Info i = ladder_info(l);
    const std::uint32_t pipe = i.unacked - i.sacked - i.lost + i.retrans;
    EXPECT_LE(pipe, 11u) << l.text();
  }
}

// NextSeg (1): what is lost goes before new data.
LADDER_TEST(Rfc6675, LostSegmentsGoBeforeNewOnes_4_NextSeg) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(60 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{4001, 10'001}}));
  std::vector<std::int64_t> order;
  for (int i = 0; i < 3; ++i) {
    for (const auto& p : l.take_all())
      order.push_back(static_cast<std::int32_t>(p.tcp.seq.raw() - l.stack_iss()));
    l.after(kLadderRtt).receives(ladder_ack(1 + (i + 1) * 1000, {{4001, 10'001}}));
  }
  l.whatever();
  ASSERT_GE(order.size(), 4u) << l.text();
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(order[i], 1 + static_cast<std::int64_t>(i) * 1000) << l.text();
}

// NextSeg (2): without holes left, new data keeps the acknowledgements coming.
LADDER_TEST(Rfc6675, NewDataFollowsTheLastHole_4_NextSeg) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(60 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 4001}})).whatever();
  l.receives(ladder_ack(1, {{1001, 9001}}));
  const auto sent = l.take_all();
  ASSERT_FALSE(sent.empty()) << l.text();
  for (const auto& p : sent)
    EXPECT_GE(static_cast<std::int32_t>(p.tcp.seq.raw() - l.stack_iss()), 10'001) << l.text();
}

// §5.1: a timeout within recovery ends it, and until all that was sent by then is acknowledged there is no
// new one.
LADDER_TEST(Rfc6675, ATimeoutEndsRecoveryAndHoldsOffTheNext_5_1) {
  LadderOptions options = ladder_reno();
  options.settings = [](tcp::Settings& s) {
    s.tcp_congestion_control = tcp::CongestionControl::kReno;
    s.tcp_frto = 0;
  };
  Ladder l(variant, options);
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 4001}})).sends(ladder_segment(1)).sends_nothing();
  l.sends_within(1_s, ladder_segment(1)).whatever();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kLoss);
  l.after(kLadderRtt).receives(ladder_ack(4001, {{5001, 9001}})).whatever();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kLoss);
  l.counter(Counter::kTCPSackRecovery, 1);
  l.after(kLadderRtt).receives(ladder_ack(10'001)).whatever();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kOpen);
}

// §5.1: Update() goes on: what is sacked after the timeout is not sent again.
LADDER_TEST(Rfc6675, BlocksCountAfterATimeoutToo_5_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(6 * kLadderMss).whatever();
  l.sends_within(220_ms, ladder_segment(5001)).sends_within(400_ms, ladder_segment(1)).whatever();
  l.after(kLadderRtt).receives(ladder_ack(1001, {{2001, 6001}})).whatever();
  l.after(kLadderRtt).receives(ladder_ack(6001)).whatever();
  EXPECT_LE(ladder_info(l).total_retrans, 3u) << l.text();
}

// §6: the first segment is sent again and then has a whole timeout, though the queue has grown meanwhile.
LADDER_TEST(Rfc6675, TheFirstSegmentSentAgainHasItsTime_6) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(190_ms);
  const Duration timeout = ladder_info(l).rto;
  l.receives(ladder_ack(1, {{1001, 4001}})).sends(ladder_segment(1)).sends_nothing();
  l.silent_for(timeout - 10_ms).counter(Counter::kTCPTimeouts, 0);
  l.sends_within(10_ms + Ladder::kSlack, ladder_segment(1)).whatever().counter(Counter::kTCPTimeouts, 1);
}

// … and where blocks show that the path takes longer by now, as long as that.
LADDER_TEST(Rfc6675, BlocksThatTookLongPostponeTheTimeout_6) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(190_ms);
  l.receives(ladder_ack(1, {{1001, 4001}})).sends(ladder_segment(1)).sends_nothing();
  // 460 ms behind the segment.
  l.after(270_ms).receives(ladder_ack(1, {{1001, 5001}})).whatever();
  for (int i = 0; i < 37; ++i) l.after(10_ms).whatever();
  l.counter(Counter::kTCPTimeouts, 0).after(30_ms).whatever().counter(Counter::kTCPTimeouts, 1);
}

}  // namespace
}  // namespace synfin::protocol_test
