// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/tcp/settings.h"

namespace synfin::tcp {

/// Round-trip time and retransmission timeout by RFC 6298, with Linux's bounds:
/// RTO = min(SRTT + max(tcp_rto_min, 4 RTTVAR), tcp_rto_max).
class Rtt {
 public:
  /// 1 s before the first sample (RFC 6298 §2.1).
  static constexpr Duration kInitial = Duration::seconds(1);

  /// A measured round trip of a segment that was sent once (Karn's algorithm), or one proved by timestamps.
  void sample(Duration measured, const Settings& settings);
  /// §5.5: the timer ran out.
  void back_off(const Settings& settings);
  /// §5.7: the SYN was sent again, so its round trip is not known: begin data with 3 s.
  void handshake_was_ambiguous(const Settings& settings);

  Duration timeout() const { return Duration::microseconds(timeout_us_); }
  bool has_sample() const { return smoothed_ != 0; }
  Duration smoothed() const { return from_units(smoothed_); }
  Duration variation() const { return from_units(variation_); }
  /// The least round trip of the last five minutes or so; every one counts, not one a round trip as above.
  void note_minimum(Duration measured, Instant now);
  Duration minimum() const { return Duration::microseconds(minimum_us_); }

 private:
  // An idle connection is to stay small: 32 bits, in 32 ns, are two minutes.
  static constexpr std::int64_t kUnit = 32;
  static std::uint32_t units(Duration d);
  static Duration from_units(std::uint32_t n) { return Duration::nanoseconds(n * kUnit); }
  void set_timeout(Duration d, const Settings& settings);
  void recompute(const Settings& settings);

  std::uint32_t smoothed_ = 0;
  std::uint32_t variation_ = 0;
  std::uint32_t timeout_us_ = static_cast<std::uint32_t>(kInitial.us());
  // The minimum, that of the half window under way, and when it began, in seconds.
  std::uint32_t minimum_us_ = 0, recent_us_ = 0, half_began_ = 0;
};

}  // namespace synfin::tcp
