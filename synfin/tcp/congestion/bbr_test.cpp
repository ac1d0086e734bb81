// SPDX-License-Identifier: Apache-2.0
//
// Named after the sections and the test cases of draft-ietf-ccwg-bbr. The path is 2.5 MB/s at 100 ms, 250
// segments, unless a test says otherwise.
#include <gtest/gtest.h>

#include "synfin/tcp/congestion/bbr_model.h"
#include "synfin/tcp/congestion/congestion_test_kit.h"

namespace synfin::tcp {
namespace {

using namespace synfin::literals;
using Phase = BbrModel::Phase;
using Path = Bottleneck<BbrModel>;

constexpr std::uint64_t kBbrRate = 2'500'000;
constexpr Duration kBbrRoundTrip = 100_ms;
constexpr std::uint64_t kBbrProduct = 250'000;

BbrModel fresh(std::uint32_t seed = 1) {
  return BbrModel{kMss, 10 * kMss, 10 * kMss, seed};
}

/// One flow.
struct Alone {
  explicit Alone(std::uint64_t queue = 4 * kBbrProduct, std::uint64_t rate = kBbrRate,
                 Duration round_trip = kBbrRoundTrip)
      : path(rate, round_trip, queue), flow(path.add(fresh())) {}
  BbrModel& model() { return flow.controller; }
  bool reach(Phase phase, Duration limit = 30_s) {
    return path.run_until([&] { return model().phase() == phase; }, limit);
  }
  /// Share of the rate in percent that gets through in so long.
  double share(Duration d) {
    const std::uint64_t before = flow.delivered;
    path.run_for(d);
    return 100 * static_cast<double>(flow.delivered - before) /
           (static_cast<double>(path.rate) * d.as_seconds());
  }

  Path path;
  Path::Flow& flow;
};

TEST(Bbr, ExitingStartupOnBandwidthPlateau) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  // Ten segments double to 250 in less than five rounds; two until it shows, and three of the plateau.
  EXPECT_LE(a.model().rounds(), 11u);
  EXPECT_GE(a.model().rounds(), 7u);
  EXPECT_TRUE(a.model().full_bandwidth_reached());
  EXPECT_NEAR(static_cast<double>(a.model().max_bandwidth()), kBbrRate, kBbrRate * 0.02);
  EXPECT_EQ(a.flow.lost, 0u);
}

TEST(Bbr, ExitingStartupOnLossWhenApplicationLimited) {
  Alone a;
  a.flow.app_limited = true;
  a.path.loss = 50'000;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  EXPECT_TRUE(a.model().full_bandwidth_reached());
  EXPECT_LT(a.model().inflight_hi(), kMostWindow);
}

TEST(Bbr, NeverExitingStartupWhenApplicationLimitedWithNoLoss) {
  Alone a{100 * kBbrProduct};
  a.flow.app_limited = true;
  EXPECT_FALSE(a.path.run_until([&] { return a.model().full_bandwidth_reached(); }, 10_s));
}

TEST(Bbr, OneLostRangeIsNoReasonToLeaveStartup) {
  Alone a;
  ASSERT_TRUE(a.path.run_until([&] { return a.flow.next > 60; }, 10_s));
  a.path.loss = 1'000'000;
  const std::uint64_t until = a.flow.next + 8;
  ASSERT_TRUE(a.path.run_until([&] { return a.flow.next >= until; }, 1_s));
  a.path.loss = 0;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  EXPECT_GE(a.flow.lost, 8 * kMss);
  EXPECT_EQ(a.model().inflight_hi(), kMostWindow) << "left by the plateau";
  EXPECT_NEAR(static_cast<double>(a.model().max_bandwidth()), kBbrRate, kBbrRate * 0.02);
}

TEST(Bbr, ExitingDrainBasedOnInflight) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  EXPECT_GT(a.path.queued(), kBbrProduct / 2);
  EXPECT_LT(a.model().pacing_rate(), kBbrRate * 51 / 100);
  const std::uint32_t rounds = a.model().rounds();
  ASSERT_TRUE(a.path.run_until([&] { return a.model().phase() != Phase::kDrain; }, 10_s));
  EXPECT_LE(a.model().rounds(), rounds + 3);
  EXPECT_LE(a.flow.in_network, kBbrProduct + 10 * kMss);
  EXPECT_LE(a.path.queued(), kBbrProduct / 10);
}

TEST(Bbr, ExitingDrainBasedOnTime) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  const std::uint32_t rounds = a.model().rounds();
  // Others fill the queue, so that what is in flight does not become less.
  AckEvent e;
  e.now = a.path.now;
  e.delivered = a.flow.rate.delivered();
  e.newly_delivered = kMss;
  e.in_network = 2 * kBbrProduct;
  e.rate.valid = true;
  while (a.model().phase() == Phase::kDrain && a.model().rounds() < rounds + 10) {
    e.now = e.now + kBbrRoundTrip;
    e.rate.prior_delivered = e.delivered;
    e.delivered += kMss;
    a.model().on_ack(e);
  }
  EXPECT_EQ(a.model().phase(), Phase::kProbeDown);
  EXPECT_EQ(a.model().rounds(), rounds + 4);
}

TEST(Bbr, TheCycleOfProbeBWUsesThePathAndKeepsItsQueueShort) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  std::vector<Phase> seen;
  double queued = 0;
  std::uint64_t most = 0, n = 0;
  a.path.on_heard = [&](Path::Flow& f) {
    if (seen.empty() || seen.back() != f.controller.phase()) seen.push_back(f.controller.phase());
    queued += static_cast<double>(a.path.queued());
    most = std::max(most, a.path.queued());
    ++n;
  };
  EXPECT_GT(a.share(20_s), 94);
  EXPECT_LT(queued / static_cast<double>(n), kBbrProduct * 0.25);
  EXPECT_LT(most, kBbrProduct * 13 / 10);
  EXPECT_EQ(a.flow.lost, 0u);
  // DOWN, CRUISE, REFILL, UP in this order, but for ProbeRTT, which leads to CRUISE.
  const auto next = [](Phase p) {
    switch (p) {
      case Phase::kProbeDown:
      case Phase::kProbeRtt:
        return Phase::kProbeCruise;
      case Phase::kProbeCruise:
        return Phase::kProbeRefill;
      case Phase::kProbeRefill:
        return Phase::kProbeUp;
      case Phase::kProbeUp:
      case Phase::kStartup:
      case Phase::kDrain:
        return Phase::kProbeDown;
    }
    return Phase::kStartup;
  };
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_TRUE(seen[i] == next(seen[i - 1]) || seen[i] == Phase::kProbeRtt) << i;
  }
  // A probe every two or three seconds.
  EXPECT_GE(std::count(seen.begin(), seen.end(), Phase::kProbeUp), 4);
  EXPECT_LE(std::count(seen.begin(), seen.end(), Phase::kProbeUp), 10);
}

TEST(Bbr, EnteringAndExitingProbeRTT) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(a.reach(Phase::kProbeRtt, 6_s)) << i;
    const Instant began = a.path.now;
    ASSERT_TRUE(a.reach(Phase::kProbeCruise, 2_s));
    EXPECT_GE(a.path.now - began, BbrModel::kProbeRttDuration);
    EXPECT_LE(a.path.now - began, BbrModel::kProbeRttDuration + kBbrRoundTrip * 3);
    EXPECT_NEAR(static_cast<double>(a.model().min_rtt().us()), 100'400, 400);
  }
  EXPECT_GT(a.model().max_bandwidth(), kBbrRate * 98 / 100) << "what ProbeRTT held back counts for nothing";
}

TEST(Bbr, ProbeRTTHalvesWhatIsInFlight) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeRtt));
  std::uint32_t least = kMostWindow;
  a.path.on_heard = [&](Path::Flow& f) { least = std::min(least, f.in_network); };
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  EXPECT_LE(least, kBbrProduct * 51 / 100);
  EXPECT_GE(least, kBbrProduct * 45 / 100);
}

TEST(Bbr, SkippingProbeRTTDueToApplicationLimitedSending) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  a.flow.paused = true;
  a.path.run_for(6_s);
  ASSERT_EQ(a.flow.in_network, 0u);
  a.model().on_idle(a.path.now);
  EXPECT_LE(a.model().pacing_rate(), a.model().bandwidth());
  a.flow.paused = false;
  EXPECT_FALSE(a.path.run_until([&] { return a.model().phase() == Phase::kProbeRtt; }, 4_s));
}

TEST(Bbr, EnteringAndExitingProbeRTTDuringStartup) {
  Alone a{100 * kBbrProduct};
  a.flow.app_limited = true;  // or it would not last for five seconds
  ASSERT_TRUE(a.reach(Phase::kProbeRtt));
  ASSERT_TRUE(a.path.run_until([&] { return a.model().phase() != Phase::kProbeRtt; }, 30_s));
  EXPECT_EQ(a.model().phase(), Phase::kStartup);
}

TEST(Bbr, LossBelowTheThresholdCostsNoBandwidth) {
  for (const std::uint32_t loss : {1'000u, 5'000u, 10'000u}) {
    Alone a;
    a.path.loss = loss;
    a.path.run_for(5_s);
    EXPECT_GT(a.share(40_s), 85) << loss;
  }
}

// A queue of a twentieth of what is in flight overflows with every probe.
TEST(Bbr, ProbingForBandwidthInProbeBWBacksOffWhereTooMuchIsLost) {
  Alone a{kBbrProduct / 20};
  a.path.run_for(10_s);
  const std::uint64_t before = a.flow.lost;
  const double share = a.share(40_s);
  EXPECT_GT(share, 80);
  const double lost = static_cast<double>(a.flow.lost - before) / (kBbrRate * 40.0);
  EXPECT_LT(lost, 0.03);
  EXPECT_LT(a.model().inflight_hi(), kBbrProduct * 3 / 2);
}

TEST(Bbr, ExitingProbeUpOnLoss) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeUp));
  a.path.run_for(150_ms);
  ASSERT_EQ(a.model().phase(), Phase::kProbeUp);
  a.path.loss = 100'000;
  ASSERT_TRUE(a.path.run_until([&] { return a.model().phase() != Phase::kProbeUp; }, 400_ms));
  EXPECT_EQ(a.model().phase(), Phase::kProbeDown);
  EXPECT_LT(a.model().inflight_hi(), 2 * kBbrProduct);
  EXPECT_GE(a.model().inflight_hi(), kBbrProduct * 7 / 10);
}

TEST(Bbr, HandlingSpuriousFastRecovery) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeUp));
  a.path.run_for(150_ms);
  a.path.loss = 100'000;
  ASSERT_TRUE(a.reach(Phase::kProbeDown, 400_ms));
  ASSERT_LT(a.model().inflight_hi(), kMostWindow);
  const std::uint32_t window = a.model().window();
  a.model().undo();
  EXPECT_EQ(a.model().phase(), Phase::kProbeRefill) << "the probe begins anew";
  EXPECT_EQ(a.model().inflight_hi(), kMostWindow);
  EXPECT_EQ(a.model().bandwidth(), a.model().max_bandwidth());
  EXPECT_GE(a.model().window(), window);
}

TEST(Bbr, HandlingSpuriousRecoveryInStartup) {
  Alone a;
  a.flow.app_limited = true;
  a.path.loss = 50'000;
  ASSERT_TRUE(a.reach(Phase::kDrain));
  a.model().undo();
  EXPECT_EQ(a.model().phase(), Phase::kStartup);
  EXPECT_FALSE(a.model().full_bandwidth_reached());
  EXPECT_EQ(a.model().inflight_hi(), kMostWindow);
}

// "C.cwnd = C.inflight + 1", and "RestoreCwnd" once recovery is over.
TEST(Bbr, ModulatingCwndInLossRecovery) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  const std::uint32_t window = a.model().window();
  LossEvent e;
  e.sign = CongestionSign::kTimeout;
  e.now = a.path.now;
  e.in_network = 3 * kMss;
  e.delivered = a.flow.rate.delivered();
  a.model().on_loss(e);
  EXPECT_EQ(a.model().window(), 4 * kMss);
  AckEvent ack;
  ack.now = a.path.now;
  ack.newly_delivered = kMss;
  ack.delivered = e.delivered + kMss;
  ack.recovering = true;
  a.model().on_ack(ack);
  EXPECT_EQ(a.model().window(), 5 * kMss) << "no more than was delivered";
  ack.delivered += kMss;
  ack.recovering = false;
  a.model().on_ack(ack);
  EXPECT_GE(a.model().window(), window);
}

// "MUST treat any CE marks as congestion"
TEST(Bbr, Ecn) {
  Alone a;
  a.path.run_for(250_ms);
  ASSERT_EQ(a.model().phase(), Phase::kStartup);
  LossEvent e;
  e.sign = CongestionSign::kMarked;
  e.now = a.path.now;
  e.in_network = a.flow.in_network;
  e.delivered = a.flow.rate.delivered();
  a.model().on_loss(e);
  ASSERT_TRUE(a.reach(Phase::kDrain, 200_ms));
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  const std::uint64_t before = a.model().bandwidth();
  // Marks in every round, though nothing is lost.
  for (int i = 0; i < 3; ++i) {
    e.now = a.path.now;
    e.in_network = a.flow.in_network;
    e.delivered = a.flow.rate.delivered();
    a.model().on_loss(e);
    a.path.run_for(220_ms);
  }
  EXPECT_LE(a.model().bandwidth(), before);
  EXPECT_LT(a.model().window(), 2 * kBbrProduct);
}

TEST(Bbr, IncreasingBandwidthTenfold) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  a.path.rate = 10 * kBbrRate;
  a.path.queue = 10 * kBbrProduct;
  a.path.run_for(20_s);
  EXPECT_GT(a.share(10_s), 80);
}

TEST(Bbr, DecreasingBandwidthTenfold) {
  Alone a;
  ASSERT_TRUE(a.reach(Phase::kProbeCruise));
  a.path.rate = kBbrRate / 10;
  a.path.queue = kBbrProduct / 10;
  // Two cycles of ProbeBW.
  ASSERT_TRUE(a.path.run_until([&] { return a.model().max_bandwidth() < kBbrRate / 10 * 11 / 10; }, 15_s));
  EXPECT_GT(a.share(10_s), 80);
}

TEST(Bbr, CorrectlyManagingSubPacketBDPs) {
  Alone a{20 * kMss, 20'000, 10_ms};
  a.path.run_for(20_s);
  EXPECT_GT(a.share(30_s), 90);
  EXPECT_GE(a.model().window(), 4 * kMss);
  EXPECT_LE(a.model().window(), 12 * kMss);
}

TEST(Bbr, TwoFlowsShareABottleneck) {
  Path path{kBbrRate, kBbrRoundTrip, 2 * kBbrProduct};
  Path::Flow& one = path.add(fresh(1));
  Path::Flow& two = path.add(fresh(2), path.now + 5_s);
  path.run_for(25_s);
  const std::uint64_t first = one.delivered, second = two.delivered;
  path.run_for(40_s);
  const auto a = static_cast<double>(one.delivered - first), b = static_cast<double>(two.delivered - second);
  EXPECT_GT(a + b, kBbrRate * 40 * 0.9);
  EXPECT_GT(std::min(a, b) / std::max(a, b), 0.5);
}

TEST(Bbr, ProbesWaitForLongerOrShorterByTheSeed) {
  const auto probed = [](std::uint32_t seed) {
    Path path{kBbrRate, kBbrRoundTrip, 4 * kBbrProduct};
    Path::Flow& f = path.add(fresh(seed));
    EXPECT_TRUE(path.run_until([&] { return f.controller.phase() == Phase::kProbeRefill; }, 20_s));
    return path.now;
  };
  EXPECT_EQ(probed(1), probed(1));
  EXPECT_NE(probed(1), probed(1'000'003));
}

}  // namespace
}  // namespace synfin::tcp
