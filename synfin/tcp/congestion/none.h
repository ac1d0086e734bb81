// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/congestion/ack_event.h"

namespace synfin::tcp {

/// No congestion control: only the peer's window limits. For tests and for links that cannot be congested.
class NoControl {
 public:
  std::uint32_t window() const { return 1u << 30; }
  std::uint32_t slow_start_threshold() const { return 1u << 30; }
  void on_ack(const AckEvent&) {}
  void on_loss(std::uint32_t, Instant) {}
  void on_timeout(std::uint32_t, Instant) {}
  void on_idle() {}
  void restore(std::uint32_t, std::uint32_t) {}
  void set_mss(std::uint32_t) {}
};

}  // namespace synfin::tcp
