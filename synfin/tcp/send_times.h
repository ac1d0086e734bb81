// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// What a connection with text to deliver waits for; the last that applies.
enum class SendLimit : std::uint8_t {
  kIdle,        // nothing: all is delivered
  kNetwork,     // acknowledgements, the congestion window, the pace
  kPeerWindow,  // the peer's window
  kSendBuffer,  // the program, which has more than the send buffer takes
};

/// How long a connection waited for each (tcpi_busy_time, tcpi_rwnd_limited, tcpi_sndbuf_limited). Kept
/// small: in whole milliseconds of the clock, which neither lose nor gain in the long run; good for 49 days.
class SendTimes {
 public:
  void change(SendLimit from, SendLimit to, Instant now) {
    if (from != SendLimit::kIdle) sums_[place(from)] += milliseconds(now);
    if (to != SendLimit::kIdle) sums_[place(to)] -= milliseconds(now);
  }
  /// How long it was `limit`; it is `current` now.
  Duration spent(SendLimit limit, SendLimit current, Instant now) const {
    const std::uint32_t running = limit == current ? milliseconds(now) : 0;
    return Duration::milliseconds(std::uint32_t{sums_[place(limit)] + running});
  }

 private:
  static constexpr std::size_t place(SendLimit l) { return std::to_underlying(l) - std::size_t{1}; }
  static std::uint32_t milliseconds(Instant now) { return static_cast<std::uint32_t>(now.ns() / 1'000'000); }
  std::array<std::uint32_t, 3> sums_{};  // modulo 2^32; the running one less the time at which it began
};

}  // namespace synfin::tcp
