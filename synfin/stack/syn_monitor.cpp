// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/syn_monitor.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace synfin::stack {
namespace {

using trace::Reason;

/// What ticks aim at; a step has a whole number of them.
constexpr Duration kTick = Duration::milliseconds(250);
/// How long the usual rate takes to follow by 63 %.
constexpr Duration kLearning = Duration::seconds(600);
/// Below this share of completed handshakes SYNs count as unanswered, and above the other no longer. At the
/// default factor the usual clients are at most an eighth of a flood's SYNs; a crowd completes nearly all.
constexpr double kUnanswered = 1.0 / 3, kAnswered = 1.0 / 2;
/// Fewer SYNs are not judged.
constexpr std::uint64_t kFewestSyns = 20;
constexpr std::uint64_t kFewestOverflows = 5;
/// So many sources are few if each sends at least kRepeats SYNs.
constexpr double kFewSources = 256, kRepeats = 4;
/// SYNs of a tick that are all looked at for their network; beyond that one in 2, 4, 8, …
constexpr unsigned kAllSampledBits = 10;
/// The least share of a network that a report names.
constexpr double kLeastShare = 0.01;
/// Two ticks in a row.
constexpr std::uint32_t kInARow = 2;

bool is_flood(Reason verdict) {
  return verdict == Reason::kFloodSpoofed || verdict == Reason::kFloodFewSources;
}

}  // namespace

SynMonitor::Counts& SynMonitor::Counts::operator+=(const Counts& o) {
  syns += o.syns;
  repeated += o.repeated;
  completed += o.completed;
  overflows += o.overflows;
  return *this;
}

SynMonitor::SynMonitor(Entropy& entropy)
    : hash_(entropy), sample_state_(entropy.u64()), sample_key_(entropy.u64() | 1) {
  set_window(tcp::Settings::default_synflood_window());
}

void SynMonitor::sample(std::uint64_t network) {
  const auto rarity = static_cast<unsigned>(std::bit_width(tick_.syns >> kAllSampledBits));
  const std::uint64_t weight = std::uint64_t{1} << rarity;
  hitters_.add(network, weight);
  // Not every nth: sources that take turns would be seen always or never.
  sample_state_ = sample_state_ * 6364136223846793005U + sample_key_;
  skip_ = weight == 1 ? 1 : weight / 2 + 1 + ((sample_state_ >> 32) & (weight - 1));
}

// Time.

void SynMonitor::set_window(Duration window) {
  window_ = window;
  const Duration step = window / static_cast<std::int64_t>(kSteps);
  ticks_per_step_ = std::max<std::int64_t>(1, (step + kTick / 2) / kTick);
  tick_length_ = step / ticks_per_step_;
  step_length_ = tick_length_ * ticks_per_step_;
  learned_in_step_ = 1 - std::exp(-step_length_.as_seconds() / kLearning.as_seconds());
}

void SynMonitor::restart(Instant now) {
  started_ = true;
  tick_end_ = now + tick_length_;
  ticks_in_step_ = whole_steps_ = 0;
  tick_ = {};
  ticks_ = {};
  steps_ = {};
  hitters_.clear();
  skip_ = 1;
}

void SynMonitor::end_ticks(Instant now) {
  if (!started_) return restart(now);
  const std::int64_t passed = (now - tick_end_) / tick_length_ + 1;
  // The first of them is the one that was counted, the others were silent.
  steps_[step_].counts += tick_;
  const auto shift = static_cast<std::size_t>(std::min<std::int64_t>(passed, kTicks));
  std::shift_right(ticks_.begin(), ticks_.end(), static_cast<std::ptrdiff_t>(shift));
  std::fill_n(ticks_.begin(), shift, Counts{});
  if (passed <= static_cast<std::int64_t>(kTicks)) ticks_[shift - 1] = tick_;
  tick_ = {};
  skip_ = 1;
  tick_end_ = tick_end_ + tick_length_ * passed;
  ticks_in_step_ += passed;
  if (ticks_in_step_ >= ticks_per_step_) {
    end_steps(ticks_in_step_ / ticks_per_step_);
    ticks_in_step_ %= ticks_per_step_;
  }
  ticked_ = true;
}

void SynMonitor::end_steps(std::int64_t steps) {
  if (alarm_ == Reason::kNone) learn(steps);
  constexpr auto kAll = static_cast<std::int64_t>(kSteps);
  whole_steps_ = std::min(whole_steps_ + steps, kAll - 1);
  for (std::int64_t i = 0; i < std::min(steps, kAll); ++i) {
    step_ = (step_ + 1) % kSteps;
    steps_[step_] = {};
  }
  // As a fifth of the window goes; and never more than the window holds, lest a flood that is over outweigh
  // all that comes after it.
  const auto held = static_cast<double>(ended().syns);
  const auto weight = static_cast<double>(hitters_.total());
  const double fading = 1 - 1 / static_cast<double>(kSteps);
  hitters_.age(weight * fading > held ? held / weight : fading);
}

void SynMonitor::learn(std::int64_t steps) {
  const double seconds = step_length_.as_seconds();
  const Counts& last = steps_[step_].counts;
  const double seen = static_cast<double>(last.syns) / seconds;
  const double answered = 2 * static_cast<double>(last.completed) / seconds;
  const double believed = std::min({seen, answered, 2 * std::max(baseline_, least_baseline_)});
  baseline_ += learned_in_step_ * (believed - baseline_);
  if (steps > 1) baseline_ *= std::exp(-seconds * static_cast<double>(steps - 1) / kLearning.as_seconds());
}

// Measures.

/// Of the window without this tick, of which events may be half told.
SynMonitor::Counts SynMonitor::ended() const {
  Counts all;
  for (const Step& step : steps_) all += step.counts;
  return all;
}

Duration SynMonitor::covered(Instant now) const {
  if (!started_) return Duration::zero();
  const Instant tick_began = tick_end_ - tick_length_;
  return (now - tick_began) + tick_length_ * ticks_in_step_ + step_length_ * whole_steps_;
}

double SynMonitor::rate() const {
  return static_cast<double>(ticks_[0].syns + ticks_[1].syns) / (tick_length_ * 2).as_seconds();
}

double SynMonitor::threshold(const tcp::Settings& settings) const {
  return std::max<double>(settings.synflood_min_rate, settings.synflood_factor * baseline_);
}

/// The share of handshakes that complete, as far as can be known; 1 where there are too few to tell.
double SynMonitor::answered() const {
  // Two ticks of SYNs against two ticks of third segments, as much later as fits best.
  std::uint64_t completed = 0;
  for (std::size_t later = 0; later + 1 < kTicks; ++later)
    completed = std::max(completed, ticks_[later].completed + ticks_[later + 1].completed);
  std::uint64_t syns = ticks_[kTicks - 2].admitted() + ticks_[kTicks - 1].admitted();
  if (syns < kFewestSyns) {
    // All of the window that had time for a round trip.
    const Counts window = ended();
    Counts fresh;
    for (std::size_t i = 0; i < kTicks / 2; ++i) fresh += ticks_[i];
    syns = window.admitted() - std::min(window.admitted(), fresh.admitted());
    completed = window.completed;
  }
  if (syns < kFewestSyns) return 1;
  return std::min(1.0, static_cast<double>(completed) / static_cast<double>(syns));
}

// Verdicts.

bool SynMonitor::flooded(double least_rate, double most_answered) const {
  return rate() > least_rate && answered() < most_answered;
}

/// The accept queue was full within the last second, more than once within the window, and whoever was let in
/// completed: the network is not what fails.
bool SynMonitor::overflowing() const {
  const bool lately = std::ranges::any_of(ticks_, [](const Counts& tick) { return tick.overflows > 0; });
  const Counts window = ended();
  return lately && window.overflows >= kFewestOverflows && window.completed * 2 >= window.admitted();
}

/// Over the whole window, as a client repeats its SYN after a second at the earliest.
bool SynMonitor::unanswered(double most_answered) const {
  const Counts window = ended();
  return window.syns >= kFewestSyns && window.repeated * 2 >= window.syns &&
         static_cast<double>(window.completed) < most_answered * static_cast<double>(window.syns);
}

bool SynMonitor::from_few() const {
  trace::FloodReport who;
  add_sources(who);
  double share = 0;
  for (const auto& network : who.top_networks()) share += network.share;
  if (share >= 0.5) return true;
  if (who.distinct_sources <= kFewSources &&
      static_cast<double>(ended().syns) >= kRepeats * who.distinct_sources)
    return true;
  // All networks that are held; with few SYNs they would be most of any number of networks.
  return hitters_.total() >= 16 * kNetworks && hitters_.known() * 2 >= hitters_.total();
}

Reason SynMonitor::verdict(const tcp::Settings& settings) const {
  const double limit = threshold(settings);
  if (flooded(limit, kUnanswered)) return from_few() ? Reason::kFloodFewSources : Reason::kFloodSpoofed;
  if (overflowing()) return Reason::kSlowProgram;
  if (rate() <= limit && unanswered(kUnanswered)) return Reason::kSynAcksLost;
  return Reason::kNone;
}

/// Whether what the alarm is about goes on; other trouble does not keep it on.
bool SynMonitor::holds(const tcp::Settings& settings) const {
  if (alarm_ == Reason::kSlowProgram) return overflowing();
  if (alarm_ == Reason::kSynAcksLost) return unanswered(kAnswered);
  return flooded(threshold(settings) / 2, kAnswered);
}

std::optional<trace::FloodReport> SynMonitor::judge_tick(const Queues& queues, const tcp::Settings& settings,
                                                         Instant now) {
  least_baseline_ = static_cast<double>(settings.synflood_min_rate) / settings.synflood_factor;
  if (settings.synflood_window != window_) {
    set_window(settings.synflood_window);
    restart(now);
  }
  pass(now);
  ticked_ = false;
  if (alarm_ == Reason::kNone) {
    const Reason found = verdict(settings);
    in_a_row_ = found == Reason::kNone ? 0 : in_a_row_ + 1;
    if (in_a_row_ < kInARow) return std::nullopt;
    alarm_ = found;
    began_ = last_held_ = now;
    peak_rate_ = rate();
    return report(queues, settings, now);
  }
  peak_rate_ = std::max(peak_rate_, rate());
  if (holds(settings)) last_held_ = now;
  // A flood ends other alarms, and begins its own on the next tick.
  const bool worse = !is_flood(alarm_) && is_flood(verdict(settings));
  in_a_row_ = worse ? in_a_row_ + 1 : 0;
  if (in_a_row_ < kInARow && now - last_held_ < window_) return std::nullopt;
  trace::FloodReport last = report(queues, settings, now);
  last.begins = false;
  alarm_ = Reason::kNone;
  return last;
}

// Reports.

void SynMonitor::add_sources(trace::FloodReport& report) const {
  Sources sources = steps_[0].sources;
  Networks networks = steps_[0].networks;
  for (std::size_t i = 1; i < kSteps; ++i) {
    sources.merge(steps_[i].sources);
    networks.merge(steps_[i].networks);
  }
  report.distinct_sources = sources.estimate();
  report.distinct_networks = std::min(networks.estimate(), report.distinct_sources);

  std::array<HeavyHitters<kNetworks>::Hitter, trace::FloodReport::kMostNetworks> top;
  hitters_.top(top);
  for (const auto& hitter : top) {
    const double share = static_cast<double>(hitter.at_least) / static_cast<double>(hitters_.total());
    if (hitter.at_least == 0 || share < kLeastShare) break;
    report.top[report.top_count++] = {network_prefix(hitter.key), share};
  }
}

trace::FloodReport SynMonitor::report(const Queues& queues, const tcp::Settings& settings,
                                      Instant now) const {
  if (now >= tick_end_ && started_) {
    SynMonitor then = *this;
    then.pass(now);
    return then.report(queues, settings, now);
  }
  Counts window = ended();
  window += tick_;
  trace::FloodReport out;
  out.verdict = alarm_;
  out.begins = alarm_ != Reason::kNone;
  out.window = covered(now);
  out.lasted = out.begins ? now - began_ : Duration::zero();
  out.syn_rate = rate();
  out.baseline_rate = baseline_;
  out.threshold_rate = threshold(settings);
  out.peak_rate = out.begins ? std::max(peak_rate_, out.syn_rate) : out.syn_rate;
  if (window.syns > 0)
    out.completion_ratio =
        std::min(1.0, static_cast<double>(window.completed) / static_cast<double>(window.syns));
  out.syns = window.syns;
  out.repeated_syns = window.repeated;
  out.completed = window.completed;
  out.overflows = window.overflows;
  out.half_open = queues.half_open;
  out.half_open_limit = queues.half_open_limit;
  out.accept_queue = queues.accept_queue;
  out.accept_queue_limit = queues.accept_queue_limit;
  add_sources(out);
  return out;
}

}  // namespace synfin::stack
