// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <utility>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// Every timer a connection can have; this is the only list of them.
enum class Timer : std::uint8_t {
  kRetransmit,  // when to do something about what is in flight, a SYN included: see Flight::Wait
  kPersist,     // when to probe a window that is too small to send into (RFC 9293 §3.8.6.1)
  kDelayedAck,  // when an acknowledgement has waited long enough for company (§3.8.6.3)
  kPacing,      // when the next burst of paced text may leave (tcp_pacing)
  kKeepalive,   // when to ask an idle peer for a sign of life (§3.8.4)
  kLinger,      // when to throw away what a program that has closed left undelivered (Options::linger)
  kUser,        // when the program's patience with unacknowledged data ends (§3.10.8)
  kCount,
};

/// The deadlines of one connection.
class TimerTable {
 public:
  TimerTable() { deadlines_.fill(Instant::never()); }
  void set(Timer t, Instant at) {
    // A connection that waits for an acknowledgement does not probe, and the other way round.
    assert(t != Timer::kRetransmit || !armed(Timer::kPersist));
    assert(t != Timer::kPersist || !armed(Timer::kRetransmit));
    slot(t) = at;
  }
  void stop(Timer t) { slot(t) = Instant::never(); }
  void stop_all() { deadlines_.fill(Instant::never()); }
  bool armed(Timer t) const { return !at(t).is_never(); }
  Instant at(Timer t) const { return deadlines_[std::to_underlying(t)]; }
  bool due(Timer t, Instant now) const { return at(t) <= now; }
  /// The one deadline that the embedder must honour.
  Instant next() const { return *std::min_element(deadlines_.begin(), deadlines_.end()); }

 private:
  Instant& slot(Timer t) { return deadlines_[std::to_underlying(t)]; }
  std::array<Instant, std::to_underlying(Timer::kCount)> deadlines_;
};

}  // namespace synfin::tcp
