// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/prr.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

constexpr std::uint32_t kPrrMss = 1000;

// RFC 6937 §4, the first figure: 20 segments in flight, half of them to remain; one lost. As many are sent as
// the proportion allows: one for every two acknowledgements.
TEST(Rfc6937, ReducesInProportion_4) {
  Prr prr;
  prr.begin(20 * kPrrMss, 10 * kPrrMss);
  std::uint32_t pipe = 16 * kPrrMss;  // one lost, three sacked
  std::uint32_t sent = 0;
  for (int ack = 0; ack < 16; ++ack) {
    pipe -= kPrrMss;
    prr.on_ack(kPrrMss, pipe, kPrrMss, false);
    while (prr.window() >= pipe + kPrrMss) {
      prr.sent(kPrrMss);
      pipe += kPrrMss;
      ++sent;
    }
  }
  EXPECT_GE(sent, 8u);
  EXPECT_LE(sent, 10u);
  EXPECT_LE(pipe, 10 * kPrrMss);
}

TEST(Rfc6937, SendsOneAtOnceOnEntering_3) {
  Prr prr;
  prr.begin(10 * kPrrMss, 5 * kPrrMss);
  prr.on_ack(0, 9 * kPrrMss, kPrrMss, false);
  EXPECT_EQ(prr.window(), 10 * kPrrMss);
}

// Below the threshold: conservation of packets without SND.UNA moving, one more with it.
TEST(Rfc6937, ConservesPacketsUnlessItIsSafe_3) {
  Prr prr;
  prr.begin(10 * kPrrMss, 7 * kPrrMss);
  prr.on_ack(kPrrMss, kPrrMss, kPrrMss, false);
  EXPECT_EQ(prr.window(), 2 * kPrrMss);
  prr.sent(kPrrMss);
  prr.on_ack(kPrrMss, 2 * kPrrMss, kPrrMss, true);
  EXPECT_EQ(prr.window(), 4 * kPrrMss);
}

TEST(Rfc6937, NeverExceedsTheThreshold_3) {
  Prr prr;
  prr.begin(10 * kPrrMss, 5 * kPrrMss);
  prr.sent(kPrrMss);
  prr.on_ack(9 * kPrrMss, kPrrMss, kPrrMss, true);
  EXPECT_EQ(prr.window(), 5 * kPrrMss);
}

// The second tells whether the first was lost again.
TEST(Rfc6937, InTheSmallestWindowTwoAreInFlight) {
  Prr prr;
  prr.begin(2 * kPrrMss, 2 * kPrrMss);
  prr.on_ack(kPrrMss, 0, kPrrMss, false);
  EXPECT_EQ(prr.window(), 2 * kPrrMss);
  prr.sent(2 * kPrrMss);
  prr.on_ack(kPrrMss, 2 * kPrrMss, kPrrMss, false);
  EXPECT_EQ(prr.window(), 2 * kPrrMss);
}

// Attack D8 (CVE-2016-2070): nothing in flight divides nothing.
TEST(Rfc6937, NothingInFlightIsNoDivision) {
  Prr prr;
  prr.begin(0, 0);
  prr.on_ack(1, 1, 1, false);
  EXPECT_GE(prr.window(), 1u);
}

}  // namespace
}  // namespace synfin::tcp
