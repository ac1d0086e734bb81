// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// Spreads text over the round trip: bursts of a few segments, each as late as the octets before it take at
/// the rate. A burst that begins late, for want of text or because the timer was, brings the next one forward
/// by at most half a burst, so that neither idle time nor a coarse clock ends in a flood.
class Pacer {
 public:
  /// Whether something may leave now: the burst under way is not complete, or the next one is due.
  bool allows(Instant now) const { return in_burst(now) || now >= next_; }
  /// The next burst is due then; nothing before it counts.
  void begin(Instant next) { next_ = next; }
  /// When the next burst is due.
  Instant next() const { return next_; }
  /// `octets` leave now, in bursts of `burst` octets, at `rate` octets a second (not 0).
  void sent(std::uint32_t octets, std::uint64_t rate, std::uint32_t burst, Instant now) {
    if (!in_burst(now)) {
      const Duration late = now > next_ ? now - next_ : Duration::zero();
      next_ = now - std::min(late, time_of(burst, rate) / 2);
      began_ = now;
      left_ = burst;
    }
    next_ = next_ + time_of(octets, rate);
    left_ -= std::min(left_, octets);
  }

 private:
  bool in_burst(Instant now) const { return left_ > 0 && now == began_; }
  static Duration time_of(std::uint32_t octets, std::uint64_t rate) {
    return Duration::nanoseconds(static_cast<std::int64_t>(octets * std::uint64_t{1'000'000'000} / rate));
  }

  Instant next_;
  Instant began_;           // the burst under way
  std::uint32_t left_ = 0;  // octets of it
};

}  // namespace synfin::tcp
