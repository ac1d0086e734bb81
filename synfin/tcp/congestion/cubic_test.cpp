// SPDX-License-Identifier: Apache-2.0
//
// Numbers against RFC 9438's formulas, calculated anew in segments and seconds.
#include "synfin/tcp/congestion/cubic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "synfin/tcp/congestion/congestion_test_kit.h"

namespace synfin::tcp {
namespace {

using namespace literals;

constexpr double kC = 0.4;
constexpr double kBeta = 0.7;

/// A flow whose window is always used and acknowledged segment by segment, evenly over the round trip.
class Flow {
 public:
  Flow(Cubic c, Duration round_trip) : cubic(c), round_trip_(round_trip) {}

  void ack(bool window_limited = true) {
    now = now + round_trip_ / (cubic.window() / kMss);
    AckEvent e;
    e.now = now;
    e.acked = kMss;
    e.window_limited = window_limited;
    e.round_trip = round_trip_;
    e.smoothed = round_trip_;
    cubic.on_ack(e);
  }
  /// The first acknowledgement of congestion avoidance begins its stage.
  void begin() {
    ack();
    began = now;
  }
  void run_until(double seconds) {
    while ((now - began).as_seconds() < seconds) ack();
  }
  double segments() const { return cubic.window() / double{kMss}; }

  Cubic cubic;
  Instant now = Instant::from_ns(123'456'789), began{};

 private:
  Duration round_trip_;
};

/// With a window of so many segments, all in flight, of which one is lost.
Cubic after_loss(std::uint32_t segments) {
  Cubic c{kMss, segments * kMss, segments * kMss};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = segments * kMss});
  return c;
}

// RFC 9293: MUST-19, MAY-18.
TEST(Rfc9438, LossLeavesSevenTenthsOfWhatWasInFlight_4_6) {
  Cubic c{kMss, 100 * kMss, 100 * kMss};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 80 * kMss});
  EXPECT_EQ(c.slow_start_threshold(), 56 * kMss);
  EXPECT_EQ(c.window(), 56 * kMss);
}

TEST(Rfc9438, LossLeavesTwoSegmentsAndAMarkOne_4_6) {
  Cubic c{kMss, 4 * kMss, 4 * kMss};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 2 * kMss});
  EXPECT_EQ(c.window(), 2 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 2 * kMss);
  c.on_loss({.sign = CongestionSign::kMarked, .in_flight = 2 * kMss});
  EXPECT_EQ(c.window(), 1400u);
  c.on_loss({.sign = CongestionSign::kMarked, .in_flight = kMss});
  EXPECT_EQ(c.window(), kMss);
  EXPECT_EQ(c.slow_start_threshold(), 2 * kMss);
}

// W_cubic(t) = C * (t - K)^3 + W_max, K = cbrt((W_max - cwnd_epoch) / C)
TEST(Rfc9438, TheWindowFollowsTheCubicFunction_4_2) {
  for (const std::uint32_t segments : {500u, 1000u, 4000u}) {
    Flow f{after_loss(segments), 100_ms};
    const double w_max = segments;
    const double k = std::cbrt((w_max - w_max * kBeta) / kC);
    f.begin();
    for (const double t : {k / 4, k / 2, k * 3 / 4, k, k * 1.25, k * 1.5, k * 2}) {
      f.run_until(t);
      // The window is on its way to where the curve is a round trip later, and gets most of the way there.
      const auto curve = [&](double at) { return kC * std::pow(at - k, 3) + w_max; };
      EXPECT_GE(f.segments(), curve(t) * 0.995) << segments << " at " << t;
      EXPECT_LE(f.segments(), curve(t + 0.1) * 1.005) << segments << " at " << t;
    }
  }
}

TEST(Rfc9438, AfterKSecondsTheWindowIsWhereItWas_4_2) {
  Flow f{after_loss(1000), 100_ms};
  f.begin();
  f.run_until(std::cbrt(1000 * (1 - kBeta) / kC));
  EXPECT_NEAR(f.segments(), 1000, 2);
}

// "1.5 * cwnd if W_cubic(t + RTT) > 1.5 * cwnd": half a segment for each that is acknowledged.
TEST(Rfc9438, AnAcknowledgementAddsAtMostHalfOfWhatItAcknowledges_4_2) {
  Cubic c = after_loss(100);
  AckEvent e;
  e.now = Instant::from_ns(1);
  e.acked = kMss;
  e.window_limited = true;
  e.round_trip = e.smoothed = 100_ms;
  c.on_ack(e);
  // A round trip of a minute: the curve is far above.
  e.round_trip = e.smoothed = 60_s;
  e.now = e.now + 60_s;
  const std::uint32_t before = c.window();
  c.on_ack(e);
  EXPECT_EQ(c.window(), before + kMss / 2);
}

// W_est grows by α = 3 (1 - β) / (1 + β) segments a window, up to cwnd_prior, and by 1 from there.
TEST(Rfc9438, AtShortRoundTripsItIsFriendlyToReno_4_3) {
  const double alpha = 3 * (1 - kBeta) / (1 + kBeta);
  Flow f{after_loss(20), 1_ms};
  double w_est = 14;
  f.begin();
  w_est += alpha / 14;
  bool reached = false;
  for (int i = 0; i < 2000; ++i) {
    const double cwnd = f.segments();
    w_est += (w_est < 20 ? alpha : 1) / cwnd;
    reached = reached || w_est >= 20;
    f.ack();
    ASSERT_NEAR(f.segments(), w_est, 0.05) << "acknowledgement " << i;
  }
  EXPECT_TRUE(reached);
  EXPECT_GT((f.now - f.began).as_seconds(), 0.01);
}

TEST(Rfc9438, SmallWindowsAreFriendlyToRenoToo_4_3) {
  const double alpha = 3 * (1 - kBeta) / (1 + kBeta);
  Flow f{after_loss(4), 20_ms};
  f.begin();
  double w_est = 2.8 + alpha / 2.8;
  for (int i = 0; i < 20; ++i) {
    w_est += (w_est < 4 ? alpha : 1) / f.segments();
    f.ack();
    EXPECT_NEAR(f.segments(), w_est, 0.02) << i;
  }
}

TEST(Rfc9438, AWindowThatGotLessFarMakesRoomForOthers_4_7) {
  Flow f{after_loss(1000), 100_ms};
  f.begin();
  f.run_until(2);
  const double reached = f.segments();
  ASSERT_LT(reached, 1000);
  f.cubic.on_loss({.sign = CongestionSign::kLost, .in_flight = f.cubic.window()});
  // W_max = cwnd * (1 + β) / 2
  const double w_max = reached * (1 + kBeta) / 2;
  const double k = std::cbrt((w_max - reached * kBeta) / kC);
  f.begin();
  f.run_until(k);
  EXPECT_NEAR(f.segments(), w_max, 2);
  // The plateau is there and not higher up.
  f.run_until(k + 1);
  EXPECT_NEAR(f.segments(), w_max + kC, 2);
}

TEST(Rfc9438, AWindowThatGotFurtherComesBackToWhereItWas_4_7) {
  Flow f{after_loss(1000), 100_ms};
  f.begin();
  f.run_until(12);
  const double reached = f.segments();
  ASSERT_GT(reached, 1000);
  f.cubic.on_loss({.sign = CongestionSign::kLost, .in_flight = f.cubic.window()});
  f.begin();
  f.run_until(std::cbrt(reached * (1 - kBeta) / kC));
  EXPECT_NEAR(f.segments(), reached, 2);
}

// "K is set to 0, and W_max is set to the congestion window size at the beginning of the current congestion
// avoidance stage"
TEST(Rfc9438, BehindATimeoutTheCurveBeginsAtItsPlateau_4_8) {
  Cubic c{kMss, 1000 * kMss, 1000 * kMss};
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 1000 * kMss});
  EXPECT_EQ(c.window(), kMss);
  EXPECT_EQ(c.slow_start_threshold(), 700 * kMss);
  Flow f{c, 100_ms};
  while (f.cubic.window() < f.cubic.slow_start_threshold()) f.ack();
  EXPECT_EQ(f.cubic.window(), 700 * kMss) << "slow start up to the threshold";
  f.begin();
  for (const double t : {1.0, 2.0, 4.0, 8.0}) {
    f.run_until(t);
    const auto curve = [](double at) { return kC * std::pow(at, 3) + 700; };
    // At first Reno's window is the larger.
    const double reno = 700 + 3 * (1 - kBeta) / (1 + kBeta) * t / 0.1;
    EXPECT_GE(f.segments(), std::max(curve(t), reno) * 0.995) << t;
    EXPECT_LE(f.segments(), std::max(curve(t + 0.1), reno + 1) * 1.005) << t;
  }
}

TEST(Rfc9438, BehindHyStartTheCurveBeginsAtItsPlateau_4_10) {
  Flow f{Cubic{kMss, 100 * kMss, 100 * kMss}, 100_ms};
  f.begin();
  f.run_until(1);
  // cwnd_prior is the window, so W_est grows as Reno does.
  EXPECT_NEAR(f.segments(), 110, 0.5);
}

// "the elapsed time … MUST NOT include periods during which cwnd has not been updated due to
// application-limited behavior"
TEST(Rfc9438, TimeWithoutUseOfTheWindowDoesNotPass_4_2) {
  Flow used{after_loss(1000), 100_ms}, unused{after_loss(1000), 100_ms};
  used.begin();
  unused.begin();
  used.run_until(2);
  unused.run_until(2);
  ASSERT_EQ(used.cubic.window(), unused.cubic.window());
  // Ten seconds of less than the window allows, and an hour of nothing at all.
  const std::uint32_t before = unused.cubic.window();
  const Instant end = unused.now + 10_s;
  while (unused.now < end) unused.ack(false);
  EXPECT_EQ(unused.cubic.window(), before) << "it does not grow either";
  unused.now = unused.now + 3600_s;
  const Instant again = unused.now;
  while (unused.now < again + 2_s) unused.ack();
  used.run_until(4);
  EXPECT_NEAR(unused.segments(), used.segments(), used.segments() * 0.01) << "a round trip is not known";
}

TEST(Rfc9438, AfterALongTimeNothingOverflows_4_2) {
  Cubic c{kMss, 1'000'000 * kMss, 1'000'000 * kMss};
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 1'000'000 * kMss});
  AckEvent e;
  e.now = Instant::from_ns(1);
  e.acked = kMss;
  e.window_limited = true;
  e.round_trip = e.smoothed = 4200_s;
  std::uint32_t before = c.window();
  for (int i = 0; i < 100; ++i) {
    e.now = e.now + 4200_s;
    c.on_ack(e);
    ASSERT_GE(c.window(), before);
    ASSERT_LT(c.window(), kMostWindow);
    before = c.window();
  }
}

TEST(Rfc9438, ASpuriousReductionIsTakenBackWithAllThatBelongsToIt_4_9) {
  for (const bool timeout : {false, true}) {
    Flow f{after_loss(1000), 100_ms};
    f.begin();
    f.run_until(3);
    Flow undisturbed = f;
    const Cubic before = f.cubic;
    if (timeout) {
      f.cubic.on_loss({.sign = CongestionSign::kTimeout, .in_flight = f.cubic.window()});
    } else {
      f.cubic.on_loss({.sign = CongestionSign::kLost, .in_flight = f.cubic.window()});
    }
    f.cubic.restore(before);
    EXPECT_EQ(f.cubic.window(), undisturbed.cubic.window());
    EXPECT_EQ(f.cubic.slow_start_threshold(), undisturbed.cubic.slow_start_threshold());
    // The same curve.
    f.run_until(9);
    undisturbed.run_until(9);
    EXPECT_EQ(f.cubic.window(), undisturbed.cubic.window());
  }
}

TEST(Rfc9438, ASpuriousReductionInTheFirstSlowStartLeavesItTheFirst_4_9) {
  Cubic c{kMss, 10};
  const Cubic before = c;
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 10 * kMss});
  c.restore(before);
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), kMostWindow);
}

TEST(Rfc9438, WhatIsLargerByNowIsNotTakenBack_4_9) {
  Cubic c{kMss, 10};
  const Cubic before = c;
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 100 * kMss});
  c.restore(before);
  EXPECT_EQ(c.window(), 70 * kMss);
}

TEST(Rfc5681, CubicAfterIdlenessHasTheInitialWindow_4_1) {
  Cubic c = after_loss(100);
  c.on_idle({.restart_window = 10 * kMss});
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 70 * kMss);
}

TEST(Cubic, ASmallerSegmentKeepsTheNumberOfSegmentsAndTheCurve) {
  Flow f{after_loss(1000), 100_ms};
  f.begin();
  f.cubic.set_mss(kMss / 2);
  EXPECT_EQ(f.cubic.window() / (kMss / 2), 700u);
  f.cubic.set_mss(kMss);
  f.run_until(std::cbrt(1000 * (1 - kBeta) / kC));
  EXPECT_NEAR(f.segments(), 1000, 5);
}

}  // namespace
}  // namespace synfin::tcp
