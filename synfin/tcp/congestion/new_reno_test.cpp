// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/new_reno.h"

#include <gtest/gtest.h>

#include "synfin/tcp/congestion/congestion_test_kit.h"

namespace synfin::tcp {
namespace {

// RFC 9293: MUST-19.
TEST(Rfc5681, SlowStartGrowsByWhatWasAcknowledged_3_1) {
  NewReno c{kMss, 10};
  EXPECT_EQ(c.window(), 10 * kMss);
  c.on_ack({{}, kMss, true});
  EXPECT_EQ(c.window(), 11 * kMss);
  c.on_ack({{}, 5 * kMss, true});
  EXPECT_EQ(c.window(), 16 * kMss);
}

TEST(Rfc5681, SlowStartEndsAtTheThreshold_3_1) {
  NewReno c{kMss, 10};
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 20 * kMss});
  c.on_ack({{}, 30 * kMss, true});
  EXPECT_EQ(c.window(), 11 * kMss);  // ten by slow start, and a segment for a window's worth of octets
}

// RFC 9293: MUST-19.
TEST(Rfc5681, CongestionAvoidanceGrowsBySegmentARoundTrip_3_1) {
  NewReno c{kMss, 10};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 20 * kMss});
  ASSERT_EQ(c.window(), 10 * kMss);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(c.window(), 10 * kMss);
    c.on_ack({{}, kMss, true});
  }
  EXPECT_EQ(c.window(), 11 * kMss);
}

TEST(Rfc5681, LossHalvesWhatIsInFlightButKeepsTwoSegments_3_1) {
  NewReno c{kMss, 10};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 16 * kMss});
  EXPECT_EQ(c.slow_start_threshold(), 8 * kMss);
  EXPECT_EQ(c.window(), 8 * kMss);
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = kMss});
  EXPECT_EQ(c.slow_start_threshold(), 2 * kMss);
}

TEST(Rfc5681, TimeoutLeavesOneSegment_3_1) {
  NewReno c{kMss, 10};
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 10 * kMss});
  EXPECT_EQ(c.window(), kMss);
  EXPECT_EQ(c.slow_start_threshold(), 5 * kMss);
}

TEST(Rfc5681, IdlenessBringsBackTheInitialWindow_4_1) {
  NewReno c{kMss, 10};
  for (int i = 0; i < 10; ++i) c.on_ack({{}, 2 * kMss, true});
  ASSERT_GT(c.window(), 10 * kMss);
  c.on_idle({.restart_window = 10 * kMss});
  EXPECT_EQ(c.window(), 10 * kMss);
}

TEST(Rfc7661, AWindowThatIsNotUsedDoesNotGrow_4_3) {
  NewReno c{kMss, 10};
  for (int i = 0; i < 10; ++i) c.on_ack({{}, 2 * kMss, true});
  const std::uint32_t before = c.window();
  c.on_ack({{}, kMss, false});
  EXPECT_EQ(c.window(), before);
}

TEST(Rfc5682, ASpuriousReductionIsTakenBack_4) {
  NewReno c{kMss, 10};
  for (int i = 0; i < 10; ++i) c.on_ack({{}, 2 * kMss, true});
  const std::uint32_t window = c.window(), threshold = c.slow_start_threshold();
  const NewReno before = c;
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = window});
  c.restore(before);
  EXPECT_EQ(c.window(), window);
  EXPECT_EQ(c.slow_start_threshold(), threshold);
}

TEST(NewReno, ASmallerSegmentKeepsTheNumberOfSegments) {
  NewReno c{1400, 10};
  c.set_mss(700);
  EXPECT_EQ(c.window(), 7000u);
}

}  // namespace
}  // namespace synfin::tcp
