// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/hystart.h"

#include <gtest/gtest.h>

#include "synfin/tcp/congestion/congestion_test_kit.h"
#include "synfin/tcp/congestion/cubic.h"

namespace synfin::tcp {
namespace {

using namespace literals;

/// Rounds of a sender whose every segment is acknowledged. The first sequence number is the parameter, so
/// that numbers wrap on the way.
class Rfc9406 : public testing::TestWithParam<std::uint32_t> {
 protected:
  AckEvent ack(Duration round_trip, std::uint32_t octets = kMss) {
    if (una_ == end_) end_ += segments_ * kMss;
    una_ += octets;
    AckEvent e;
    e.acked = octets;
    e.window_limited = true;
    e.round_trip = round_trip;
    e.smoothed = round_trip;
    e.una = una_;
    e.nxt = una_ == end_ ? end_ + segments_ * kMss : end_;
    return e;
  }
  /// Gives by how much the window grows.
  std::uint32_t round(Duration round_trip) {
    std::uint32_t growth = 0;
    for (std::uint32_t i = 0; i < segments_; ++i) growth += hystart_.on_ack(ack(round_trip));
    return growth;
  }

  HyStart hystart_;
  std::uint32_t segments_ = 16;  // of a round
  wire::SeqNum una_{GetParam()}, end_{GetParam()};
};

TEST_P(Rfc9406, WithoutMoreDelayItIsSlowStart_4_2) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(round(100_ms), segments_ * kMss);
  EXPECT_FALSE(hystart_.conservative());
  EXPECT_FALSE(hystart_.over());
}

TEST_P(Rfc9406, AnEighthMoreDelayBringsConservativeSlowStart_4_2) {
  round(100_ms);
  round(112_ms);
  EXPECT_FALSE(hystart_.conservative()) << "less than 12.5 ms more";
  // 112 / 8 = 14 ms.
  for (std::uint32_t i = 0; i < HyStart::kSamples; ++i) {
    EXPECT_FALSE(hystart_.conservative()) << "after " << i << " samples";
    hystart_.on_ack(ack(126_ms));
  }
  EXPECT_TRUE(hystart_.conservative());
  // CSS_GROWTH_DIVISOR
  EXPECT_EQ(hystart_.on_ack(ack(126_ms)), kMss / 4);
}

// RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH))
TEST_P(Rfc9406, TheRiseThatCountsIsBetweenFourAndSixteenMilliseconds_4_2) {
  struct Case {
    Duration last, least;
  };
  for (const Case c : {Case{1_ms, 5_ms}, Case{32_ms, 36_ms}, Case{64_ms, 72_ms}, Case{128_ms, 144_ms},
                       Case{400_ms, 416_ms}}) {
    hystart_ = HyStart{};
    round(c.last);
    round(c.least - 1_us);
    EXPECT_FALSE(hystart_.conservative()) << c.last.ms();
    hystart_ = HyStart{};
    round(c.last);
    round(c.least);
    EXPECT_TRUE(hystart_.conservative()) << c.last.ms();
  }
}

TEST_P(Rfc9406, TheLeastOfARoundCounts_4_2) {
  round(100_ms);
  for (std::uint32_t i = 0; i < segments_; ++i) hystart_.on_ack(ack(i == 3 ? 101_ms : 200_ms));
  EXPECT_FALSE(hystart_.conservative());
}

TEST_P(Rfc9406, RoundsOfLessThanEightSamplesDecideNothing_4_2) {
  segments_ = HyStart::kSamples - 1;
  round(100_ms);
  round(200_ms);
  EXPECT_FALSE(hystart_.conservative());
}

TEST_P(Rfc9406, ASegmentThatWasSentAgainIsNoSample_4_2) {
  round(100_ms);
  for (std::uint32_t i = 0; i < segments_; ++i) {
    AckEvent e = ack(200_ms);
    if (i >= HyStart::kSamples - 1) e.round_trip.reset();
    hystart_.on_ack(e);
  }
  EXPECT_FALSE(hystart_.conservative());
}

TEST_P(Rfc9406, ConservativeSlowStartLastsFiveRoundsThePartialOneIncluded_4_2) {
  round(100_ms);
  round(120_ms);  // the first, from its eighth sample on
  ASSERT_TRUE(hystart_.conservative());
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(hystart_.over()) << i;
    EXPECT_EQ(round(120_ms), segments_ * kMss / 4);
  }
  EXPECT_TRUE(hystart_.over());
}

TEST_P(Rfc9406, JitterIsForgivenAndSlowStartResumed_4_2) {
  round(100_ms);
  round(120_ms);
  round(120_ms);
  ASSERT_TRUE(hystart_.conservative());
  // "if (currentRoundMinRTT < cssBaselineMinRtt)", once the round has eight samples.
  for (std::uint32_t i = 0; i < HyStart::kSamples; ++i) {
    EXPECT_TRUE(hystart_.conservative()) << i;
    hystart_.on_ack(ack(119_ms));
  }
  EXPECT_FALSE(hystart_.conservative());
  EXPECT_EQ(hystart_.on_ack(ack(119_ms)), kMss);
  // "including HyStart++": it can end again, and then has all its rounds.
  while (una_ != end_) hystart_.on_ack(ack(119_ms));
  round(140_ms);
  ASSERT_TRUE(hystart_.conservative());
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(hystart_.over()) << i;
    round(140_ms);
  }
  EXPECT_TRUE(hystart_.over());
}

// §4.3 has eight segments where nothing is paced; a receiver that acknowledges rarely is not punished here.
TEST_P(Rfc9406, AnAcknowledgementCountsInFull_4_2) {
  EXPECT_EQ(hystart_.on_ack(ack(100_ms, 12 * kMss)), 12 * kMss);
}

// What CUBIC makes of it.

TEST_P(Rfc9406, TheThresholdBecomesTheWindowOnceConservativeSlowStartIsOver_4_2) {
  Cubic c{kMss, 10};
  for (const Duration rtt : {100_ms, 120_ms, 120_ms, 120_ms, 120_ms, 120_ms}) {
    EXPECT_EQ(c.slow_start_threshold(), kMostWindow);
    for (std::uint32_t i = 0; i < segments_; ++i) c.on_ack(ack(rtt));
  }
  // A round, eight segments of the next, and four and a half rounds at a quarter.
  const std::uint32_t window = (10 + 16 + 8) * kMss + (8 + 4 * 16) * kMss / 4;
  EXPECT_EQ(c.slow_start_threshold(), window);
  EXPECT_EQ(c.window(), window);
}

TEST_P(Rfc9406, AWindowThatIsNotUsedIsMeasuredButDoesNotGrow_4_2) {
  Cubic c{kMss, 10};
  for (const Duration rtt : {100_ms, 120_ms, 120_ms, 120_ms, 120_ms, 120_ms}) {
    for (std::uint32_t i = 0; i < segments_; ++i) {
      AckEvent e = ack(rtt);
      e.window_limited = false;
      c.on_ack(e);
    }
  }
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 10 * kMss);
}

TEST_P(Rfc9406, OnlyTheFirstSlowStartIsWatched_4_3) {
  Cubic c{kMss, 10};
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 100 * kMss});
  for (const Duration rtt : {100_ms, 200_ms, 300_ms}) {
    for (std::uint32_t i = 0; i < segments_; ++i) c.on_ack(ack(rtt));
  }
  EXPECT_EQ(c.window(), (1 + 3 * segments_) * kMss) << "slow start up to the threshold";
  EXPECT_EQ(c.slow_start_threshold(), 70 * kMss);
}

INSTANTIATE_TEST_SUITE_P(Numbers, Rfc9406, testing::Values(1u, 0xffff'd000u));

}  // namespace
}  // namespace synfin::tcp
