// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/rtt.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace literals;

TEST(Rfc6298, TimeoutIsOneSecondBeforeTheFirstSample_2_1) {
  EXPECT_EQ(Rtt{}.timeout(), 1_s);
}

TEST(Rfc6298, FirstSampleSetsSrttAndHalfAsVariation_2_2) {
  Rtt rtt;
  rtt.sample(400_ms, {});
  EXPECT_EQ(rtt.smoothed(), 400_ms);
  EXPECT_EQ(rtt.variation(), 200_ms);
  EXPECT_EQ(rtt.timeout(), 1200_ms);
}

TEST(Rfc6298, LaterSamplesAreWeighed_2_3) {
  Rtt rtt;
  rtt.sample(400_ms, {});
  rtt.sample(800_ms, {});
  EXPECT_EQ(rtt.variation(), 250_ms);  // 3/4 · 200 + 1/4 · 400
  EXPECT_EQ(rtt.smoothed(), 450_ms);   // 7/8 · 400 + 1/8 · 800
  EXPECT_EQ(rtt.timeout(), 1450_ms);
}

TEST(Rfc6298, TimeoutStaysWithinTheBounds_2_4_2_5) {
  Rtt fast, slow;
  fast.sample(1_us, {});
  EXPECT_EQ(fast.timeout(), 200_ms);
  slow.sample(100_s, {});
  EXPECT_EQ(slow.timeout(), 120_s);
}

TEST(Rfc6298, EachTimeoutDoublesUpToTheLargest_5_5) {
  Rtt rtt;
  const Settings settings;
  for (const Duration expected : {2_s, 4_s, 8_s, 16_s, 32_s, 64_s, 120_s, 120_s}) {
    rtt.back_off(settings);
    EXPECT_EQ(rtt.timeout(), expected);
  }
}

TEST(Rfc6298, ASampleEndsTheBackingOff_5_7) {
  Rtt rtt;
  const Settings settings;
  rtt.sample(100_ms, settings);
  rtt.back_off(settings);
  rtt.back_off(settings);
  EXPECT_EQ(rtt.timeout(), 1200_ms);
  rtt.sample(100_ms, settings);
  EXPECT_EQ(rtt.timeout(), 250_ms);  // 100 + 4 · 37.5
}

TEST(Rfc6298, DataBeginsWithThreeSecondsWhenTheSynWasSentAgain_5_7) {
  Rtt rtt;
  rtt.handshake_was_ambiguous();
  EXPECT_EQ(rtt.timeout(), 3_s);
}

TEST(Rtt, ALinkWithoutDelayIsASampleToo) {
  Rtt rtt;
  rtt.sample(Duration::zero(), {});
  EXPECT_TRUE(rtt.has_sample());
}

// RFC 8985 §6.2 step 1: a windowed minimum, so that a path that became longer is learnt of.
TEST(Rfc8985Minimum, IsOfTheLastMinutes_6_2) {
  Rtt rtt;
  const auto at = [](int s) { return Instant::from_ns(1'000'000'000'000) + Duration::seconds(s); };
  EXPECT_EQ(rtt.minimum(), Duration::zero());
  rtt.note_minimum(Duration::milliseconds(20), at(0));
  rtt.note_minimum(Duration::milliseconds(10), at(1));
  rtt.note_minimum(Duration::milliseconds(50), at(100));
  EXPECT_EQ(rtt.minimum(), Duration::milliseconds(10));
  for (int s = 101; s < 600; s += 10) rtt.note_minimum(Duration::milliseconds(50), at(s));
  EXPECT_EQ(rtt.minimum(), Duration::milliseconds(50));
  rtt.note_minimum(Duration::milliseconds(40), at(601));
  EXPECT_EQ(rtt.minimum(), Duration::milliseconds(40));
}

}  // namespace
}  // namespace synfin::tcp
