// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/congestion/ack_event.h"

namespace synfin::tcp {

/// No congestion control: only the peer's window limits. For tests and for links that cannot be congested.
class NoControl {
 public:
  std::uint32_t window() const { return kMostWindow; }
  std::uint32_t slow_start_threshold() const { return kMostWindow; }
  void on_ack(const AckEvent&) {}
  std::uint64_t pacing_rate() const { return 0; }
  void on_loss(const LossEvent&) {}
  void on_idle(const IdleEvent&) {}
  void restore(const NoControl&) {}
  void set_mss(std::uint32_t) {}
};

}  // namespace synfin::tcp
