// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/rtt.h"

#include <algorithm>

namespace synfin::tcp {

void Rtt::sample(Duration measured, const Settings& settings) {
  // A link in memory measures nothing; zero means "no sample yet" here.
  measured = std::max(measured, Duration::nanoseconds(1));
  if (!has_sample()) {
    smoothed_ = measured;  // (2.2)
    variation_ = measured / 2;
  } else {
    // (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|; SRTT <- 7/8 SRTT + 1/8 R'
    const Duration error = measured > smoothed_ ? measured - smoothed_ : smoothed_ - measured;
    variation_ = (variation_ * 3 + error) / 4;
    smoothed_ = std::max((smoothed_ * 7 + measured) / 8, Duration::nanoseconds(1));
  }
  recompute(settings);
}

void Rtt::recompute(const Settings& settings) {
  timeout_ = std::clamp(smoothed_ + variation_ * 4, settings.tcp_rto_min, settings.tcp_rto_max);
}

void Rtt::back_off(const Settings& settings) {
  timeout_ = std::min(timeout_ * 2, settings.tcp_rto_max);
}

void Rtt::handshake_was_ambiguous() {
  timeout_ = Duration::seconds(3);
}

void Rtt::end_back_off(const Settings& settings) {
  if (has_sample()) recompute(settings);
}

}  // namespace synfin::tcp
