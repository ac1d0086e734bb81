// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/syn_monitor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <set>

namespace synfin::stack {
namespace {

using namespace literals;
using trace::FloodReport;
using trace::Reason;

using Sources = std::function<wire::IpAddress()>;

// What arrives at a listener: SYNs at a rate, and what becomes of them.
struct Traffic {
  double rate = 0;
  Sources sources;
  double completing = 1;  // share whose third segment comes
  Duration round_trip = 50_ms;
  double repeats = 0;      // repeated SYNs for each SYN, a second later
  double overflowing = 0;  // share that finds the accept queue full
};

struct Alarm {
  Instant at;
  FloodReport report;
};

// A listener in virtual time, which does with the monitor what its owner is to do.
class SynMonitorTest : public testing::TestWithParam<wire::Family> {
 protected:
  enum class What {
    kSyn,
    kCompleted,
    kRepeated,
    kOverflow
  };

  void seed(std::uint64_t seed) {
    seed_ = seed;
    entropy_ = SeededEntropy{seed};
    monitor_.emplace(entropy_);
    alarms_.clear();
    later_.clear();
  }
  void SetUp() override { seed(1); }

  void run(Duration time, const std::vector<Traffic>& all) {
    std::vector<double> due(all.size(), 0.5);
    for (const Instant end = now_ + time; now_ < end; now_ = now_ + step_) {
      for (std::size_t i = 0; i < all.size(); ++i) {
        for (due[i] += all[i].rate * step_.as_seconds(); due[i] >= 1; due[i] -= 1) arrive(all[i]);
      }
      settle();
    }
  }
  void silence(Duration time) { run(time, {}); }
  // Nothing happens, and nobody calls unless the monitor asked for it.
  void skip(Duration time) {
    now_ = now_ + time;
    settle();
  }

  FloodReport report() { return monitor_->report(queues_, settings_, now_); }
  // So many alarms began or ended, in turns.
  void expect_alarms(std::size_t count) const {
    ASSERT_EQ(alarms_.size(), count) << "seed " << seed_;
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_EQ(alarms_[i].report.begins, i % 2 == 0) << "seed " << seed_;
  }
  Reason verdict(std::size_t i) const { return alarms_.at(i).report.verdict; }

  // Sources.
  wire::IpAddress address(std::uint64_t network, std::uint32_t host) const {
    if (GetParam() == wire::Family::kIpv4)
      return wire::IpAddress::v4(0x0a00'0000U + static_cast<std::uint32_t>(network << 8) + host % 256);
    std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}};
    store_be32(octets.data() + 2, static_cast<std::uint32_t>(network));
    store_be32(octets.data() + 12, host);
    return wire::IpAddress::from_v6_octets(octets.data());
  }
  std::string prefix(std::uint64_t network) const {
    return network_prefix(network_of(address(network, 0))).to_string();
  }
  Sources anywhere() {
    return [this] { return address(entropy_.below(60'000), entropy_.u32()); };
  }
  Sources among(std::uint32_t networks, std::uint32_t hosts, std::uint32_t first = 0) {
    return [=, this] { return address(first + entropy_.below(networks), entropy_.below(hosts)); };
  }
  Traffic clients(double rate) { return {.rate = rate, .sources = anywhere()}; }
  Traffic forged(double rate) { return {.rate = rate, .sources = anywhere(), .completing = 0}; }

  SeededEntropy entropy_{1};
  std::optional<SynMonitor> monitor_;
  tcp::Settings settings_;
  SynMonitor::Queues queues_{1, 2, 3, 4};
  /// How finely a run goes; coarser where it is long.
  Duration step_ = 1_ms;
  Instant now_ = Instant::from_ns(77'123'456'789);
  std::vector<Alarm> alarms_;

 private:
  bool chance(double share) { return entropy_.below(1'000'000) < share * 1'000'000; }
  void put_off(Duration time, What what) { later_.emplace(now_ + time, what); }

  void arrive(const Traffic& t) {
    monitor_->on_syn(t.sources(), now_);
    judge();
    if (chance(t.overflowing)) {
      monitor_->on_overflow(now_);
      judge();
    } else if (chance(t.completing)) {
      put_off(t.round_trip, What::kCompleted);
    }
    for (double left = t.repeats; left > 0; --left)
      if (chance(left)) put_off(1_s, What::kRepeated);
  }
  void settle() {
    for (; !later_.empty() && later_.begin()->first <= now_; later_.erase(later_.begin())) {
      if (later_.begin()->second == What::kCompleted) monitor_->on_completed(now_);
      if (later_.begin()->second == What::kRepeated) monitor_->on_repeated_syn(now_);
      judge();
    }
    if (now_ >= monitor_->next_deadline()) judge();
  }
  void judge() {
    if (const auto report = monitor_->judge(queues_, settings_, now_)) alarms_.push_back({now_, *report});
    const bool on = !alarms_.empty() && alarms_.back().report.begins;
    EXPECT_EQ(monitor_->next_deadline().is_never(), !on);
    if (on) {
      EXPECT_GT(monitor_->next_deadline(), now_);
    }
  }

  std::uint64_t seed_ = 1;
  std::multimap<Instant, What> later_;
};

INSTANTIATE_TEST_SUITE_P(Families, SynMonitorTest, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& param) {
                           return param.param == wire::Family::kIpv4 ? "IPv4" : "IPv6";
                         });

TEST_P(SynMonitorTest, UsualTrafficIsNoAlarm) {
  run(60_s, {clients(150)});
  expect_alarms(0);
  const FloodReport r = report();
  EXPECT_EQ(r.verdict, Reason::kNone);
  EXPECT_FALSE(r.begins);
  EXPECT_EQ(r.lasted, Duration::zero());
  EXPECT_NEAR(r.syn_rate, 150, 2);
  EXPECT_EQ(r.threshold_rate, 200);
  EXPECT_GT(r.completion_ratio, 0.97);
  EXPECT_NEAR(static_cast<double>(r.syns), 150 * r.window.as_seconds(), 2);
  EXPECT_LE(r.window, 5_s);
  EXPECT_GE(r.window, 4_s);
  EXPECT_EQ(r.half_open, 1u);
  EXPECT_EQ(r.half_open_limit, 2u);
  EXPECT_EQ(r.accept_queue, 3u);
  EXPECT_EQ(r.accept_queue_limit, 4u);
}

TEST_P(SynMonitorTest, AFreshMonitorReportsNothing) {
  const FloodReport r = report();
  EXPECT_EQ(r.syns, 0u);
  EXPECT_EQ(r.window, Duration::zero());
  EXPECT_EQ(r.distinct_sources, 0);
  EXPECT_EQ(r.top_count, 0);
  EXPECT_EQ(r.completion_ratio, 1);
}

TEST_P(SynMonitorTest, ForgedSourcesAreNamedWithinAboutASecond) {
  for (std::uint64_t s = 1; s <= 5; ++s) {
    seed(s);
    run(30_s + Duration::milliseconds(static_cast<std::int64_t>(s) * 60), {clients(12)});
    const Instant start = now_;
    run(3_s, {clients(12), forged(10'000)});
    expect_alarms(1);
    const FloodReport& r = alarms_[0].report;
    EXPECT_EQ(r.verdict, Reason::kFloodSpoofed);
    EXPECT_GE(alarms_[0].at - start, 500_ms) << "not on the first few milliseconds";
    EXPECT_LE(alarms_[0].at - start, 1100_ms);
    EXPECT_NEAR(r.syn_rate, 10'012, 100);
    EXPECT_EQ(r.threshold_rate, 200);
    EXPECT_LT(r.completion_ratio, 0.05);
    EXPECT_NEAR(r.distinct_sources / static_cast<double>(r.syns), 1, 0.1);
    EXPECT_GT(r.distinct_networks, 5000);
    EXPECT_EQ(r.top_count, 0) << "no network stands out";
    run(5_s, {clients(12), forged(10'000)});
    silence(20_s);
    expect_alarms(2);
    EXPECT_EQ(verdict(1), Reason::kFloodSpoofed);
  }
}

TEST_P(SynMonitorTest, ASlowFloodJustAboveTheThresholdIsOneToo) {
  run(2_s, {clients(5)});
  run(3_s, {clients(5), forged(230)});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kFloodSpoofed) << "few SYNs so far are not few sources";
}

TEST_P(SynMonitorTest, BelowTheThresholdThereIsNoFlood) {
  run(60_s, {clients(20), forged(150)});
  expect_alarms(0);
}

TEST_P(SynMonitorTest, OneNetworkIsFewSources) {
  run(10_s, {clients(50)});
  run(3_s, {clients(50), {.rate = 5'000, .sources = among(1, 200, 4711), .completing = 0}});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kFloodFewSources);
  ASSERT_GE(alarms_[0].report.top_count, 1);
  EXPECT_EQ(alarms_[0].report.top[0].prefix.to_string(), prefix(4711));
  EXPECT_GT(alarms_[0].report.top[0].share, 0.9);
}

TEST_P(SynMonitorTest, AHundredHostsInAHundredNetworksAreFewSources) {
  run(10_s, {clients(10)});
  run(3_s, {clients(10), {.rate = 5'000, .sources = among(100, 1), .completing = 0}});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kFloodFewSources);
  EXPECT_NEAR(alarms_[0].report.distinct_sources, 130, 30);
}

TEST_P(SynMonitorTest, FortyNetworksWithManyAddressesEachAreFew) {
  run(10_s, {clients(10)});
  run(3_s, {clients(10), {.rate = 20'000, .sources = among(40, 256), .completing = 0}});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kFloodFewSources);
}

TEST_P(SynMonitorTest, TopNetworksAreRightAmongBackground) {
  for (std::uint64_t s = 1; s <= 5; ++s) {
    seed(s);
    run(6_s, {{.rate = 50'000, .sources = among(1, 256, 100), .completing = 0},
              {.rate = 30'000, .sources = among(1, 256, 200), .completing = 0},
              {.rate = 19'000, .sources = among(1, 256, 300), .completing = 0},
              {.rate = 1'000, .sources = anywhere(), .completing = 0}});
    const FloodReport r = report();
    ASSERT_EQ(r.top_count, 3) << "seed " << s;
    EXPECT_EQ(r.top[0].prefix.to_string(), prefix(100));
    EXPECT_EQ(r.top[1].prefix.to_string(), prefix(200));
    EXPECT_EQ(r.top[2].prefix.to_string(), prefix(300));
    EXPECT_NEAR(r.top[0].share, 0.50, 0.03) << "seed " << s;
    EXPECT_NEAR(r.top[1].share, 0.30, 0.03) << "seed " << s;
    EXPECT_NEAR(r.top[2].share, 0.19, 0.03) << "seed " << s;
  }
}

// Sampling every nth would see one of them always and the other never.
TEST_P(SynMonitorTest, SourcesThatTakeTurnsAreSeenAlike) {
  std::uint32_t turn = 0;
  run(6_s, {{.rate = 200'000, .sources = [&] { return address(turn++ % 2, 1); }, .completing = 0}});
  const FloodReport r = report();
  ASSERT_EQ(r.top_count, 2);
  EXPECT_NEAR(r.top[0].share, 0.5, 0.05);
  EXPECT_NEAR(r.top[1].share, 0.5, 0.05);
}

TEST_P(SynMonitorTest, AFloodThatIsOverDoesNotOutweighTheNext) {
  run(10_s, {{.rate = 200'000, .sources = among(1, 256, 100), .completing = 0}});
  silence(7_s);
  expect_alarms(2);
  EXPECT_EQ(verdict(0), Reason::kFloodFewSources);
  run(3_s, {forged(1'000)});
  expect_alarms(3);
  EXPECT_EQ(verdict(2), Reason::kFloodSpoofed);
}

TEST_P(SynMonitorTest, AFlashCrowdIsNoFlood) {
  for (const Duration round_trip : {1_ms, 80_ms, 300_ms, 500_ms, 700_ms}) {
    seed(1);
    run(20_s + 130_ms, {clients(12)});
    run(20_s, {{.rate = 5'000, .sources = anywhere(), .completing = 0.95, .round_trip = round_trip}});
    run(20_s, {clients(12)});
    expect_alarms(0);
  }
}

TEST_P(SynMonitorTest, ACrowdFromOneNetworkIsNoFloodEither) {
  run(10_s, {clients(12)});
  run(10_s, {{.rate = 2'000, .sources = among(1, 20)}});
  expect_alarms(0);
}

TEST_P(SynMonitorTest, AFullAcceptQueueWhileHandshakesCompleteIsASlowProgram) {
  run(10_s, {clients(12)});
  expect_alarms(0);
  Traffic slow = clients(12);
  slow.overflowing = 0.5;
  const Instant start = now_;
  run(10_s, {slow});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kSlowProgram);
  EXPECT_LE(alarms_[0].at - start, 2_s);
  EXPECT_GE(alarms_[0].report.overflows, 5u);
  run(15_s, {clients(12)});
  expect_alarms(2);
  EXPECT_EQ(verdict(1), Reason::kSlowProgram);
}

TEST_P(SynMonitorTest, ASlowProgramUnderACrowdIsStillNoFlood) {
  run(10_s, {clients(12)});
  Traffic crowd = clients(3'000);
  crowd.overflowing = 0.9;
  run(10_s, {crowd});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kSlowProgram);
}

TEST_P(SynMonitorTest, AProgramThatIsStuckIsSlow) {
  Traffic stuck = clients(20);
  stuck.overflowing = 1;
  run(5_s, {stuck});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kSlowProgram);
}

TEST_P(SynMonitorTest, AnOverflowNowAndThenIsNoAlarm) {
  for (int i = 0; i < 10; ++i) {
    run(5_s, {clients(50)});
    monitor_->on_overflow(now_);
  }
  expect_alarms(0);
}

TEST_P(SynMonitorTest, LostSynAcksAreTroubleOnThePath) {
  run(10_s, {clients(20)});
  Traffic lost = clients(20);
  lost.completing = 0.05;
  lost.repeats = 1.8;
  run(15_s, {lost});
  expect_alarms(1);
  EXPECT_EQ(verdict(0), Reason::kSynAcksLost);
  EXPECT_GE(alarms_[0].report.repeated_syns * 2, alarms_[0].report.syns);
  run(20_s, {clients(20)});
  expect_alarms(2);
}

TEST_P(SynMonitorTest, TooFewSynsAreNotJudged) {
  Traffic lost = clients(2);
  lost.completing = 0;
  lost.repeats = 2;
  run(60_s, {lost});
  expect_alarms(0);
}

TEST_P(SynMonitorTest, ScannersThatNeverComeAgainAreNotLostSynAcks) {
  run(60_s, {forged(50)});
  expect_alarms(0);
}

TEST_P(SynMonitorTest, TheAlarmEndsOnceTheRateWasLowForAWholeWindow) {
  run(10_s, {clients(12)});
  const Instant start = now_;
  run(10_s, {clients(12), forged(1'000)});
  const Instant low = now_;
  run(4_s, {clients(12)});
  expect_alarms(1);
  run(4_s, {clients(12)});
  expect_alarms(2);
  EXPECT_GE(alarms_[1].at - low, 5_s);
  EXPECT_LE(alarms_[1].at - low, 5_s + 500_ms);
  EXPECT_EQ(alarms_[1].report.lasted, alarms_[1].at - alarms_[0].at);
  EXPECT_NEAR(alarms_[1].report.peak_rate, 1'012, 20);
  EXPECT_NEAR(alarms_[1].report.syn_rate, 12, 5);
  EXPECT_LT(alarms_[0].at - start, 1100_ms);
}

TEST_P(SynMonitorTest, AboveHalfTheThresholdItGoesOn) {
  run(5_s, {forged(1'000)});
  run(60_s, {forged(130)});
  expect_alarms(1);
  run(10_s, {forged(80)});
  expect_alarms(2);
}

TEST_P(SynMonitorTest, AFloodThatPausesIsOneFlood) {
  for (int i = 0; i < 20; ++i) {
    run(2_s, {clients(12), forged(2'000)});
    run(2_s, {clients(12)});
  }
  expect_alarms(1);
  EXPECT_EQ(report().verdict, Reason::kFloodSpoofed);
  EXPECT_TRUE(report().begins);
}

TEST_P(SynMonitorTest, TheVerdictStaysWhatItWas) {
  run(4_s, {forged(5'000)});
  for (int i = 0; i < 5; ++i) {
    run(3_s, {{.rate = 5'000, .sources = among(1, 10), .completing = 0}});
    run(3_s, {forged(5'000)});
  }
  silence(10_s);
  expect_alarms(2);
  EXPECT_EQ(verdict(0), Reason::kFloodSpoofed);
  EXPECT_EQ(verdict(1), Reason::kFloodSpoofed);
}

TEST_P(SynMonitorTest, AFloodIsNotHiddenByASlowProgram) {
  Traffic slow = clients(20);
  slow.overflowing = 0.5;
  run(5_s, {slow});
  expect_alarms(1);
  const Instant start = now_;
  run(3_s, {slow, forged(5'000)});
  expect_alarms(3);
  EXPECT_EQ(verdict(1), Reason::kSlowProgram);
  EXPECT_EQ(verdict(2), Reason::kFloodSpoofed);
  EXPECT_LE(alarms_[2].at - start, 1500_ms);
}

TEST_P(SynMonitorTest, TheDeadlineEndsAnAlarmInSilence) {
  run(3_s, {forged(1'000)});
  expect_alarms(1);
  const Instant deadline = monitor_->next_deadline();
  EXPECT_LE(deadline, now_ + 5_s);
  skip(deadline - now_);
  expect_alarms(2);
  EXPECT_TRUE(monitor_->next_deadline().is_never());
}

TEST_P(SynMonitorTest, HoursOfSilenceLeaveNothingInTheWindow) {
  run(30_s, {clients(100)});
  const double baseline = report().baseline_rate;
  EXPECT_GT(baseline, 1);
  now_ = now_ + 100_s;
  // Asking changes nothing, and silence counts as a rate of nothing.
  EXPECT_EQ(report().syns, 0u);
  EXPECT_EQ(report().distinct_sources, 0);
  EXPECT_NEAR(report().baseline_rate, baseline * std::exp(-100.0 / 600), 0.2);
  for (const Duration silent : {3'600_s, 86'400_s, 31'536'000_s}) {
    now_ = now_ + silent;
    run(2_ms, {{.rate = 1'000, .sources = among(1, 1)}});
    const FloodReport r = report();
    EXPECT_EQ(r.syns, 2u);
    EXPECT_NEAR(r.distinct_sources, 1, 0.01);
    EXPECT_LT(r.baseline_rate, baseline * 0.01);
    EXPECT_EQ(r.top_count, 1);
  }
  expect_alarms(0);
  // And the flood after the silence is seen as usual.
  run(2_s, {forged(1'000)});
  expect_alarms(1);
}

// In the middle of ticks, steps and windows: nothing is lost, nothing counted twice.
TEST_P(SynMonitorTest, PausesOfAnyLengthKeepTheCounts) {
  for (std::uint64_t s = 1; s <= 20; ++s) {
    seed(s);
    std::deque<Instant> syns;
    for (int i = 0; i < 300; ++i) {
      now_ = now_ + Duration::microseconds(entropy_.below(i % 10 == 0 ? 7'000'000 : 400'000));
      monitor_->on_syn(address(1, 1), now_);
      syns.push_back(now_);
      const FloodReport r = report();
      const auto counted = static_cast<std::uint64_t>(
          std::ranges::count_if(syns, [&](Instant at) { return at >= now_ - r.window; }));
      EXPECT_EQ(r.syns, counted) << "seed " << s << " SYN " << i;
      EXPECT_LE(r.window, 5_s);
    }
  }
}

TEST_P(SynMonitorTest, TheUsualRateIsLearnedFromClients) {
  step_ = 10_ms;
  run(1'800_s, {clients(100)});
  const FloodReport r = report();
  EXPECT_GT(r.baseline_rate, 80);
  EXPECT_LT(r.baseline_rate, 101);
  EXPECT_NEAR(r.threshold_rate, 8 * r.baseline_rate, 0.001);
  run(5_s, {clients(100), forged(500)});
  expect_alarms(0);
  run(5_s, {clients(100), forged(1'500)});
  expect_alarms(1);
  const double before = alarms_[0].report.baseline_rate;
  run(30_s, {clients(100), forged(1'500)});
  EXPECT_EQ(report().baseline_rate, before) << "nothing is learned during an alarm";
}

TEST_P(SynMonitorTest, ForgedSourcesCannotTeachAFlood) {
  step_ = 20_ms;
  double rate = 10;
  for (int minute = 0; minute < 90 && alarms_.empty(); ++minute, rate *= 1.07)
    run(60_s, {clients(5), forged(rate)});
  expect_alarms(1);
  EXPECT_LT(alarms_[0].report.syn_rate, 230);
  EXPECT_LT(alarms_[0].report.baseline_rate, 12) << "twice the rate of those that complete";
}

TEST_P(SynMonitorTest, RealClientsTeachSlowly) {
  run(60_s, {clients(10)});
  // Whoever can complete 20,000 handshakes a second raises the threshold, but not by more than this.
  run(120_s, {clients(2'000)});
  EXPECT_LT(report().baseline_rate, 2 * 200.0 / 8);
  EXPECT_LT(report().threshold_rate, 400);
  run(5_s, {forged(1'000)});
  expect_alarms(1);
}

TEST_P(SynMonitorTest, SettingsCountFromTheNextJudgement) {
  settings_.synflood_min_rate = 10'000;
  run(10_s, {forged(2'000)});
  expect_alarms(0);
  settings_.synflood_min_rate = 500;
  run(1_s, {forged(2'000)});
  expect_alarms(1);
  settings_.synflood_window = 60_s;
  run(30_s, {forged(2'000)});
  EXPECT_GT(report().window, 28_s);
  silence(50_s);
  expect_alarms(1);
  silence(12_s);
  expect_alarms(2);
}

TEST_P(SynMonitorTest, AWindowOfAnyLengthSeesAFloodSoon) {
  for (const Duration window : {1_s, 2_s, 3_s, 30_s, 300_s}) {
    seed(1);
    settings_.synflood_window = window;
    run(10_s, {clients(12)});
    const Instant start = now_;
    run(3_s, {clients(12), forged(1'000)});
    expect_alarms(1);
    EXPECT_LE(alarms_[0].at - start, 1300_ms) << window.ms();
    silence(window + 1_s);
    expect_alarms(2);
  }
}

TEST_P(SynMonitorTest, DistinctSourcesSlideWithTheWindow) {
  run(5_s, {{.rate = 2'000, .sources = among(1'000, 250)}});
  EXPECT_GT(report().distinct_sources, 5'000);
  run(6_s, {{.rate = 2'000, .sources = among(1, 3)}});
  EXPECT_NEAR(report().distinct_sources, 3, 0.1);
  EXPECT_NEAR(report().distinct_networks, 1, 0.1);
}

TEST_P(SynMonitorTest, EachSeedHasItsOwnKeys) {
  std::set<double> estimates;
  for (std::uint64_t s = 1; s <= 8; ++s) {
    SeededEntropy entropy(s);
    SynMonitor monitor(entropy);
    for (std::uint32_t i = 0; i < 10'000; ++i) monitor.on_syn(address(i, i), now_);
    const double estimate = monitor.report({}, settings_, now_).distinct_sources;
    EXPECT_NEAR(estimate, 10'000, 920) << "seed " << s;
    estimates.insert(estimate);
  }
  EXPECT_EQ(estimates.size(), 8u) << "the same addresses, differently hashed";
}

}  // namespace
}  // namespace synfin::stack
