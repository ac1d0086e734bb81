// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/pacer.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace synfin::literals;

constexpr std::uint32_t kSegment = 1000;
constexpr std::uint32_t kBurst = 2 * kSegment;
constexpr std::uint64_t kRate = 1'000'000;  // a segment a millisecond

Instant at(Duration d) {
  return Instant{} + 1_s + d;
}

TEST(Pacer, LetsABurstOutAndSpreadsTheNext) {
  Pacer p;
  Duration t = 0_ms;
  // The first is late by all of time: half a burst is made good.
  for (const Duration due : {0_ms, 1_ms, 3_ms, 5_ms, 7_ms}) {
    EXPECT_FALSE(due > t && p.allows(at(due - 1_us)));
    t = due;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(p.allows(at(t))) << t.us();
      p.sent(kSegment, kRate, kBurst, at(t));
    }
    EXPECT_FALSE(p.allows(at(t)));
  }
  EXPECT_EQ(p.next(), at(9_ms));
}

TEST(Pacer, BurstThatWasCutShortIsPaidForByWhatItSent) {
  Pacer p;
  for (int i = 0; i < 2; ++i) p.sent(kSegment, kRate, kBurst, at(0_ms));
  p.sent(kSegment, kRate, kBurst, at(1_ms));
  EXPECT_TRUE(p.allows(at(1_ms))) << "the second half may follow at once";
  EXPECT_FALSE(p.allows(at(1_ms + 1_us))) << "or when it is due";
  EXPECT_TRUE(p.allows(at(2_ms)));
}

TEST(Pacer, LateTimerCostsNoRateButIdleTimeIsLost) {
  Pacer p;
  for (int i = 0; i < 2; ++i) p.sent(kSegment, kRate, kBurst, at(0_ms));
  ASSERT_EQ(p.next(), at(1_ms));
  for (int i = 0; i < 2; ++i) p.sent(kSegment, kRate, kBurst, at(1'400_us));
  EXPECT_EQ(p.next(), at(3_ms)) << "0.4 ms late: made good";
  for (int i = 0; i < 2; ++i) p.sent(kSegment, kRate, kBurst, at(100_ms));
  EXPECT_EQ(p.next(), at(101_ms)) << "97 ms late: half a burst, 1 ms, is made good";
}

}  // namespace
}  // namespace synfin::tcp
