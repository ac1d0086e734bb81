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

// RTO <- SRTT + max (G, K*RTTVAR), with tcp_rto_min in the place of G.
TEST(Rfc6298, TheFloorIsUnderTheVariationAndNotUnderTheWhole_2_3) {
  const Settings settings;
  Rtt rtt;
  // 300 ms each time: RTTVAR begins at 150 ms and shrinks by a quarter a sample, to nothing.
  rtt.sample(300_ms, settings);
  EXPECT_EQ(rtt.timeout(), 900_ms);
  for (int i = 0; i < 40; ++i) rtt.sample(300_ms, settings);
  EXPECT_EQ(rtt.smoothed(), 300_ms);
  EXPECT_LT(rtt.variation() * 4, 200_ms);
  EXPECT_EQ(rtt.timeout(), 500_ms);
  // Far under the floor the round trip counts as well.
  Rtt fast;
  fast.sample(10_ms, settings);
  EXPECT_EQ(fast.timeout(), 210_ms);  // 4 · 5 ms is less than 200
}

TEST(Rfc6298, AVariationAboveTheFloorCountsFourTimes_2_3) {
  const Settings settings;
  Rtt rtt;
  rtt.sample(100_ms, settings);
  EXPECT_EQ(rtt.timeout(), 300_ms);  // 4 · 50 is the floor
  rtt.sample(180_ms, settings);
  EXPECT_EQ(rtt.smoothed(), 110_ms);                           // 7/8 · 100 + 1/8 · 180
  EXPECT_EQ(rtt.variation(), Duration::microseconds(57'500));  // 3/4 · 50 + 1/4 · 80
  EXPECT_EQ(rtt.timeout(), 340_ms);
  rtt.sample(110_ms, settings);  // RTTVAR 43 ms: the floor again
  EXPECT_LT(rtt.variation() * 4, 200_ms);
  EXPECT_EQ(rtt.timeout(), 310_ms);
}

TEST(Rfc6298, TheFloorIsASetting_2_3) {
  Settings settings;
  settings.tcp_rto_min = 20_ms;
  Rtt rtt;
  for (int i = 0; i < 40; ++i) rtt.sample(10_ms, settings);
  EXPECT_EQ(rtt.timeout(), 30_ms);
  settings.tcp_rto_min = 1_s;
  rtt.sample(10_ms, settings);
  EXPECT_EQ(rtt.timeout(), 1010_ms);
}

TEST(Rfc6298, TheTimeoutHasABound_2_5) {
  Rtt slow;
  slow.sample(100_s, {});
  EXPECT_EQ(slow.timeout(), 120_s);

  Settings settings;
  settings.tcp_rto_max = 1_s;
  Rtt rtt;
  rtt.sample(900_ms, settings);
  EXPECT_EQ(rtt.timeout(), 1_s);
  rtt.back_off(settings);
  EXPECT_EQ(rtt.timeout(), 1_s);
  // The smaller of the two bounds where they cross.
  settings.tcp_rto_min = 2_s;
  Rtt crossed;
  crossed.sample(1_us, settings);
  EXPECT_EQ(crossed.timeout(), 1_s);
}

// "The host MUST set RTO <- RTO * 2": the whole of it, floor and round trip.
TEST(Rfc6298, BackingOffDoublesTheFloorAsWell_5_5) {
  const Settings settings;
  Rtt rtt;
  for (int i = 0; i < 40; ++i) rtt.sample(300_ms, settings);
  for (const Duration expected : {1000_ms, 2000_ms, 4000_ms}) {
    rtt.back_off(settings);
    EXPECT_EQ(rtt.timeout(), expected);
  }
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
  EXPECT_EQ(rtt.timeout(), 300_ms);  // 100 + 200, as 4 · 37.5 is less
}

TEST(Rfc6298, DataBeginsWithThreeSecondsWhenTheSynWasSentAgain_5_7) {
  Rtt rtt;
  Settings settings;
  rtt.handshake_was_ambiguous(settings);
  EXPECT_EQ(rtt.timeout(), 3_s);
  settings.tcp_rto_max = 2_s;
  rtt.handshake_was_ambiguous(settings);
  EXPECT_EQ(rtt.timeout(), 2_s);
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
