// SPDX-License-Identifier: Apache-2.0
//
// Named after the sections of draft-ietf-ccwg-bbr.
#include "synfin/tcp/rate_sample.h"

#include <gtest/gtest.h>

#include <vector>

namespace synfin::tcp {
namespace {

using namespace synfin::literals;

constexpr std::uint32_t kRateSegment = 1000;

/// Segments of 1000 octets; the first number and the first count are the parameter, so that both wrap.
class DeliveryRateSamples : public testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { rate_.begin(GetParam(), at(0_ms), false); }
  static Instant at(Duration d) { return Instant::from_ns(4'294'967'000'000) + d; }
  void send(Duration when) {
    in_flight_ += kRateSegment;
    nxt_ += kRateSegment;
    sent_.push_back({rate_.mark(in_flight_), at(when), nxt_});
  }
  void deliver(std::size_t i, Duration when) {
    in_flight_ -= kRateSegment;
    rate_.segment_delivered(sent_[i].mark, kRateSegment, sent_[i].at, sent_[i].end, at(when));
  }
  RateSample sample(std::size_t i, Duration when, Duration least = {}) {
    deliver(i, when);
    return rate_.take(least);
  }

  struct Sent {
    SendMark mark;
    Instant at;
    wire::SeqNum end;
  };
  DeliveryRate rate_;
  std::vector<Sent> sent_;
  wire::SeqNum nxt_{GetParam()};
  std::uint32_t in_flight_ = 0;
};

TEST_P(DeliveryRateSamples, UponReceivingAnAck) {
  for (int i = 0; i < 4; ++i) send(0_ms);
  // The first arrives after a round trip, the others a millisecond apart.
  EXPECT_EQ(sample(0, 100_ms).rate, 10'000u);
  EXPECT_EQ(sample(1, 101_ms).rate, 2'000'000u / 101);
  send(101_ms);
  deliver(2, 102_ms);
  const RateSample two = sample(3, 103_ms);
  EXPECT_EQ(two.delivered, 4 * kRateSegment);
  EXPECT_EQ(two.rate, 4'000'000u / 103);
  EXPECT_EQ(two.in_flight, 4 * kRateSegment);
  // Three segments in the 100 ms since the second was delivered; but they left within 101 ms.
  const RateSample next = sample(4, 201_ms);
  EXPECT_EQ(next.delivered, 3 * kRateSegment);
  EXPECT_EQ(next.prior_delivered, GetParam() + 2 * kRateSegment);
  EXPECT_EQ(next.rate, 3'000'000u / 101);
}

// "send_elapsed": acknowledgements that come all at once do not make the path faster.
TEST_P(DeliveryRateSamples, SendRate) {
  for (int i = 0; i < 10; ++i) send(10_ms * i);
  for (std::size_t i = 0; i < 9; ++i) deliver(i, 200_ms);
  EXPECT_EQ(sample(9, 200_ms).rate, 50'000u);
  for (int i = 0; i < 10; ++i) send(200_ms + 10_ms * i);
  // All within a millisecond, but sent over 110 ms.
  for (std::size_t i = 10; i < 19; ++i) deliver(i, 300_ms);
  EXPECT_EQ(sample(19, 300_ms).rate, 10'000'000u / 200);
}

TEST_P(DeliveryRateSamples, TheSegmentSentLastCounts) {
  send(0_ms);
  send(10_ms);
  deliver(1, 100_ms);
  const RateSample s = sample(0, 100_ms);
  EXPECT_EQ(s.in_flight, 2 * kRateSegment);
  // Sent at the same time: the one further on.
  send(110_ms);
  send(110_ms);
  deliver(3, 200_ms);
  EXPECT_EQ(sample(2, 200_ms).in_flight, 2 * kRateSegment);
}

// "if (RS.interval < C.min_rtt) return"
TEST_P(DeliveryRateSamples, LessThanARoundTripGivesNoRate) {
  send(0_ms);
  const RateSample s = sample(0, 50_ms, 51_ms);
  EXPECT_TRUE(s.valid);
  EXPECT_EQ(s.delivered, kRateSegment);
  EXPECT_EQ(s.rate, 0u);
  EXPECT_FALSE(rate_.take({}).valid) << "an acknowledgement of nothing new";
}

TEST_P(DeliveryRateSamples, TrackingApplicationLimitedPhases) {
  send(0_ms);
  send(0_ms);
  rate_.run_dry(in_flight_);
  send(1_ms);  // the program has come back, behind a gap
  EXPECT_FALSE(sample(0, 100_ms).app_limited) << "sent before";
  EXPECT_FALSE(sample(1, 100_ms).app_limited);
  send(100_ms);
  EXPECT_TRUE(sample(2, 101_ms).app_limited);
  send(101_ms);
  EXPECT_TRUE(sample(3, 200_ms).app_limited);
  EXPECT_FALSE(sample(4, 201_ms).app_limited) << "what the gap was behind had been delivered";
}

TEST_P(DeliveryRateSamples, WhatBeginsBehindIdlenessIsLimitedByTheProgram) {
  rate_.begin(GetParam(), at(0_ms), true);
  send(0_ms);
  send(0_ms);
  EXPECT_TRUE(sample(0, 100_ms).app_limited);
  send(100_ms);
  EXPECT_TRUE(sample(1, 100_ms).app_limited);
  EXPECT_FALSE(sample(2, 200_ms).app_limited);
}

TEST_P(DeliveryRateSamples, LossesSinceASegmentWasSent) {
  send(0_ms);
  send(0_ms);
  rate_.segment_lost(kRateSegment);
  send(10_ms);
  rate_.segment_lost(kRateSegment);
  EXPECT_EQ(sample(1, 100_ms).lost, 2 * kRateSegment);
  EXPECT_EQ(sample(2, 110_ms).lost, kRateSegment);
}

INSTANTIATE_TEST_SUITE_P(Numbers, DeliveryRateSamples, testing::Values(1u, 0xffff'f000u));

}  // namespace
}  // namespace synfin::tcp
