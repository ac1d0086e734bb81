// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/tuning.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace synfin::literals;
using wire::SeqNum;

constexpr std::uint32_t kTunedMss = 1460;
constexpr std::uint32_t kExpected = 10 * kTunedMss;
constexpr std::uint32_t kTunedWindow = 131'072;
constexpr SeqNum kBegin{0xffff'f000};  // wraps soon

Instant at(Duration d) {
  return Instant::from_ns(1'000'000'000) + d;
}
Tuning tuned(Duration round_trip) {
  return {at(0_ms), round_trip, kBegin, kBegin, kTunedWindow, kExpected};
}

TEST(Tuning, AsksForTwiceARoundTripAndMoreWhileItGrows) {
  Tuning t = tuned(100_ms);
  std::uint32_t read = 0;
  std::uint64_t before = 0;
  for (int round = 1; round <= 8; ++round) {
    const std::uint32_t brought = kExpected << round;  // slow start
    read += brought;
    const auto wanted = t.read_up_to(kBegin + read, 0, kTunedMss, at(100_ms * round));
    ASSERT_TRUE(wanted) << round;
    EXPECT_GE(*wanted, 4u * brought) << "room for the round after the next";
    EXPECT_GT(*wanted, before);
    EXPECT_EQ(t.copied(), brought);
    before = *wanted;
  }
}

TEST(Tuning, AsksForNothingWithinARoundTripNorForTheSameAgain) {
  Tuning t = tuned(100_ms);
  EXPECT_FALSE(t.read_up_to(kBegin + 1'000'000, 0, kTunedMss, at(99_ms)));
  EXPECT_TRUE(t.read_up_to(kBegin + 1'000'000, 0, kTunedMss, at(100_ms)));
  for (int round = 2; round < 10; ++round)
    EXPECT_FALSE(t.read_up_to(kBegin + 1'000'000u * static_cast<std::uint32_t>(round), 0, kTunedMss,
                              at(100_ms * round)));
}

TEST(Tuning, OctetsBehindAHoleComeOnTop) {
  Tuning with = tuned(100_ms), without = tuned(100_ms);
  const auto a = with.read_up_to(kBegin + 50'000, 7000, kTunedMss, at(100_ms));
  const auto b = without.read_up_to(kBegin + 50'000, 0, kTunedMss, at(100_ms));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, *b + 7000);
}

// All that the buffer holds at once, but seldom: the buffer is not what slows this one down.
TEST(Tuning, AReaderThatPausesForLongIsSlowHoweverMuchItReads) {
  Tuning t = tuned(20_ms);
  for (int n = 1; n < 100; ++n) {
    EXPECT_FALSE(
        t.read_up_to(kBegin + kTunedWindow * static_cast<std::uint32_t>(n), 0, kTunedMss, at(10_s * n)));
  }
  // One that pauses as programs do, though longer than a round trip, is not.
  Tuning brisk = tuned(1_ms);
  EXPECT_TRUE(brisk.read_up_to(kBegin + kTunedWindow, 0, kTunedMss, at(40_ms)));
}

TEST(Tuning, MeasuresByEchoesEachOfThemOnce) {
  Tuning t = tuned(0_ms);
  EXPECT_EQ(t.round_trip(), 0_ms);
  EXPECT_FALSE(t.read_up_to(kBegin + 100'000, 0, kTunedMss, at(1_s))) << "no round trip is known";
  t.heard_echo(1, 80_ms);
  EXPECT_EQ(t.round_trip(), 80_ms);
  t.heard_echo(1, 800_ms);
  EXPECT_EQ(t.round_trip(), 80_ms) << "the same again";
  t.heard_echo(2, 160_ms);
  EXPECT_EQ(t.round_trip(), 90_ms);
  Tuning fast = tuned(0_ms);
  fast.heard_echo(7, 0_ms);
  EXPECT_EQ(fast.round_trip(), 1_ms) << "as little as the clock can tell";
}

TEST(Tuning, MeasuresByTheTimeAWindowTakesAndKeepsTheLeast) {
  Tuning t = tuned(0_ms);
  t.arrived(kBegin + kTunedWindow - 1, kTunedWindow, at(70_ms));
  EXPECT_EQ(t.round_trip(), 0_ms);
  t.arrived(kBegin + kTunedWindow, kTunedWindow, at(90_ms));
  EXPECT_EQ(t.round_trip(), 90_ms);
  t.arrived(kBegin + 2 * kTunedWindow, kTunedWindow, at(150_ms));
  EXPECT_EQ(t.round_trip(), 60_ms);
  t.arrived(kBegin + 3 * kTunedWindow, kTunedWindow, at(950_ms));
  EXPECT_EQ(t.round_trip(), 60_ms);
}

}  // namespace
}  // namespace synfin::tcp
