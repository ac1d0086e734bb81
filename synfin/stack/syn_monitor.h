// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/stack/heavy_hitters.h"
#include "synfin/stack/hyper_log_log.h"
#include "synfin/stack/source_hash.h"
#include "synfin/tcp/settings.h"
#include "synfin/trace/flood.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// Watches the SYNs of one listener and tells a flood from forged sources, a flood from few sources, a slow
/// program and a path that loses SYN-ACKs apart (RFC 4987 §2). Bounded memory, whatever arrives; a SYN costs
/// a few nanoseconds.
///
/// The listener tells what happens (`on_…`), and after that calls `judge`, which is cheap as long as the
/// present tick has not passed. Between the beginning and the end of an alarm `next_deadline` says when to
/// call it although nothing happens.
///
///     window   |  step 0   |  step 1   |  step 2   |  step 3   |  step 4 …   counts, sources, networks
///     ticks    |--|--|--|--|--|--|--|--|--|--|--|--|--|--|--|--|--|--|        of about 250 ms
///     judged                                          |old ·|new ·|now
///
/// Figures are those of the window, which slides by a step, a fifth of it. The verdict looks at the last four
/// whole ticks: SYNs of the newer two give the rate; those of the older two have had time for a round trip,
/// so that what completed since then says whether they are answered. A condition must hold on two ticks in a
/// row. A flood is therefore reported within about a second, and a crowd of real clients is none as long as
/// its round trips are below about 700 ms. An alarm ends when its condition has not held for a whole window;
/// a flood goes on above half the threshold.
///
/// The usual rate is learned over ten minutes, never during an alarm, and only from SYNs of which half at
/// least completed: forged sources teach nothing. Real clients can at most double it in seven minutes.
class SynMonitor {
 public:
  /// What the listener's queues hold now.
  struct Queues {
    std::uint32_t half_open = 0;
    std::uint32_t half_open_limit = 0;
    std::uint32_t accept_queue = 0;
    std::uint32_t accept_queue_limit = 0;
  };

  /// Draws the keys of its hashes, so that nobody outside can aim at them.
  explicit SynMonitor(Entropy& entropy);

  /// A SYN that belongs to nothing known, whatever became of it.
  void on_syn(const wire::IpAddress& source, Instant now) {
    pass(now);
    ++tick_.syns;
    const std::uint64_t network = network_of(source);
    Step& step = steps_[step_];
    step.sources.add(hash_.of(source));
    step.networks.add(hash_.of_network(network));
    if (--skip_ == 0) sample(network);
  }
  /// The same SYN again: the SYN-ACK was lost or is late.
  void on_repeated_syn(Instant now) {
    pass(now);
    ++tick_.repeated;
  }
  /// A third segment that completed a handshake, from a record or a cookie.
  void on_completed(Instant now) {
    pass(now);
    ++tick_.completed;
  }
  /// The accept queue was full for a SYN or a third segment.
  void on_overflow(Instant now) {
    pass(now);
    ++tick_.overflows;
  }

  /// A report when an alarm begins or ends; `listener` is left to the caller. Nothing else ends an alarm.
  std::optional<trace::FloodReport> judge(const Queues& queues, const tcp::Settings& settings, Instant now) {
    return due(now) ? judge_tick(queues, settings, now) : std::nullopt;
  }
  /// Whether there is something to judge.
  bool due(Instant now) const { return ticked_ || now >= tick_end_ || now >= next_deadline(); }
  /// When `judge` is to be called at the latest; never while there is no alarm.
  Instant next_deadline() const {
    return alarm_ == trace::Reason::kNone ? Instant::never() : last_held_ + window_;
  }
  /// The figures as they are now; with the verdict of the present alarm.
  trace::FloodReport report(const Queues& queues, const tcp::Settings& settings, Instant now) const;

 private:
  static constexpr std::size_t kSteps = 5;
  static constexpr std::size_t kTicks = 4;
  static constexpr std::size_t kNetworks = 64;

  struct Counts {
    std::uint64_t syns = 0;
    std::uint64_t repeated = 0;
    std::uint64_t completed = 0;
    std::uint64_t overflows = 0;
    Counts& operator+=(const Counts& o);
    /// SYNs that could complete: an accept queue that is full says nothing about their senders.
    std::uint64_t admitted() const { return syns - std::min(syns, overflows); }
  };
  using Sources = HyperLogLog<11>;
  using Networks = HyperLogLog<9>;
  struct Step {
    Counts counts;
    Sources sources;
    Networks networks;
  };

  void pass(Instant now) {
    if (now >= tick_end_) [[unlikely]]
      end_ticks(now);
  }
  void end_ticks(Instant now);
  void end_steps(std::int64_t steps);
  void learn(std::int64_t steps);
  void set_window(Duration window);
  void restart(Instant now);
  void sample(std::uint64_t network);
  std::optional<trace::FloodReport> judge_tick(const Queues& queues, const tcp::Settings& settings,
                                               Instant now);

  Counts ended() const;
  /// How much time the window's counts are from.
  Duration covered(Instant now) const;
  double rate() const;
  double threshold(const tcp::Settings& settings) const;
  double answered() const;
  bool flooded(double least_rate, double most_answered) const;
  bool overflowing() const;
  bool unanswered(double most_answered) const;
  bool from_few() const;
  trace::Reason verdict(const tcp::Settings& settings) const;
  bool holds(const tcp::Settings& settings) const;
  void add_sources(trace::FloodReport& report) const;

  SourceHash hash_;
  std::uint64_t sample_state_, sample_key_;

  // Time.
  Instant tick_end_ = Instant::from_ns(std::numeric_limits<std::int64_t>::min());
  Duration window_, step_length_, tick_length_;
  std::int64_t ticks_per_step_ = 1;
  std::int64_t ticks_in_step_ = 0;
  /// How many steps before the present one are counted.
  std::int64_t whole_steps_ = 0;
  bool started_ = false;
  /// A tick ended that was not judged.
  bool ticked_ = false;

  // What was counted: in this tick, in the ticks before (the newest first), in the steps without this tick.
  Counts tick_;
  std::array<Counts, kTicks> ticks_;
  std::array<Step, kSteps> steps_;
  std::size_t step_ = 0;

  // Which networks: SYNs until the next one that is looked at.
  std::uint64_t skip_ = 1;
  HeavyHitters<kNetworks> hitters_;

  // The usual rate, and how much of a new one is learned in a step.
  double baseline_ = 0;
  double learned_in_step_ = 0;
  /// What a rate counts for at most while there is hardly a usual one.
  double least_baseline_ = 0;

  // The alarm.
  trace::Reason alarm_ = trace::Reason::kNone;
  std::uint32_t in_a_row_ = 0;
  Instant began_, last_held_;
  double peak_rate_ = 0;
};

static_assert(sizeof(SynMonitor) <= 16 * 1024, "one for each listener");

}  // namespace synfin::stack
