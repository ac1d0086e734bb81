// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <utility>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// Every timer a connection can have; this is the only list of them. What each connection needs comes first.
enum class Timer : std::uint8_t {
  kRetransmit,  // when to do something about what is in flight, a SYN included: see Flight::Wait
  kDelayedAck,  // when an acknowledgement has waited long enough for company (§3.8.6.3)
  kKeepalive,   // when to ask an idle peer for a sign of life (§3.8.4)
  kPersist,     // when to probe a window that is too small to send into (RFC 9293 §3.8.6.1)
  kPacing,      // when the next burst of paced text may leave (tcp_pacing)
  kLinger,      // when to throw away what a program that has closed left undelivered (Options::linger)
  kUser,        // when the program's patience with unacknowledged data ends (§3.10.8)
  kCount,
};

/// The deadlines of one connection. An idle connection is to stay small: those behind the first three are
/// allocated when the first of them is set.
class TimerTable {
 public:
  TimerTable() { common_.fill(Instant::never()); }
  void set(Timer t, Instant at) {
    // A connection that waits for an acknowledgement does not probe, and the other way round.
    assert(t != Timer::kRetransmit || !armed(Timer::kPersist));
    assert(t != Timer::kPersist || !armed(Timer::kRetransmit));
    if (place(t) < kCommon) {
      common_[place(t)] = at;
      return;
    }
    if (rare_ == nullptr) {
      rare_ = std::make_unique<Rare>();
      rare_->fill(Instant::never());
    }
    (*rare_)[place(t) - kCommon] = at;
  }
  void stop(Timer t) {
    if (armed(t)) set(t, Instant::never());
  }
  void stop_all() {
    common_.fill(Instant::never());
    rare_.reset();
  }
  bool armed(Timer t) const { return !at(t).is_never(); }
  Instant at(Timer t) const {
    if (place(t) < kCommon) return common_[place(t)];
    return rare_ != nullptr ? (*rare_)[place(t) - kCommon] : Instant::never();
  }
  bool due(Timer t, Instant now) const { return at(t) <= now; }
  /// The one deadline that the embedder must honour.
  Instant next() const {
    const Instant first = std::ranges::min(common_);
    return rare_ != nullptr ? std::min(first, std::ranges::min(*rare_)) : first;
  }

 private:
  static constexpr std::size_t kCommon = 3;
  using Rare = std::array<Instant, std::to_underlying(Timer::kCount) - kCommon>;
  static constexpr std::size_t place(Timer t) { return std::to_underlying(t); }
  std::array<Instant, kCommon> common_;
  std::unique_ptr<Rare> rare_;
};

}  // namespace synfin::tcp
