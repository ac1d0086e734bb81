// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/rtt.h"

#include <algorithm>

namespace synfin::tcp {

std::uint32_t Rtt::units(Duration d) {
  // A link in memory measures nothing; zero means "no sample yet" here.
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(d.ns() / kUnit, 1, 0xffff'ffff));
}

void Rtt::sample(Duration measured, const Settings& settings) {
  if (!has_sample()) {
    smoothed_ = units(measured);  // (2.2)
    variation_ = units(measured / 2);
  } else {
    // (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|; SRTT <- 7/8 SRTT + 1/8 R'
    const Duration error = measured > smoothed() ? measured - smoothed() : smoothed() - measured;
    variation_ = units((variation() * 3 + error) / 4);
    smoothed_ = units((smoothed() * 7 + measured) / 8);
  }
  recompute(settings);
}

void Rtt::set_timeout(Duration d, const Settings& settings) {
  timeout_us_ = static_cast<std::uint32_t>(std::min(d, settings.tcp_rto_max).us());
}

// (2.3): RTO <- SRTT + max (G, K*RTTVAR). The floor takes the place of G, not of the one second of (2.4): on
// a path that seldom varies the timeout would else be the round trip itself, and any delayed ACK a loss.
void Rtt::recompute(const Settings& settings) {
  set_timeout(smoothed() + std::max(settings.tcp_rto_min, variation() * 4), settings);
}

void Rtt::note_minimum(Duration measured, Instant now) {
  constexpr std::uint32_t kHalfWindow = 150;
  const auto us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(measured.us(), 1, 0xffff'ffff));
  const auto second = static_cast<std::uint32_t>(now.ns() / 1'000'000'000);
  if (minimum_us_ == 0 || us <= minimum_us_) {
    minimum_us_ = recent_us_ = us;
    half_began_ = second;
    return;
  }
  recent_us_ = std::min(recent_us_, us);
  if (second - half_began_ < kHalfWindow) return;
  if (second - half_began_ >= 2 * kHalfWindow) recent_us_ = us;
  minimum_us_ = recent_us_;
  recent_us_ = us;
  half_began_ = second;
}

void Rtt::back_off(const Settings& settings) {
  set_timeout(timeout() * 2, settings);
}

void Rtt::handshake_was_ambiguous(const Settings& settings) {
  timeout_us_ = static_cast<std::uint32_t>(std::min(Duration::seconds(3), settings.tcp_rto_max).us());
}

}  // namespace synfin::tcp
