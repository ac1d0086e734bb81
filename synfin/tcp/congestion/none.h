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
  void on_loss(std::uint32_t, CongestionSign) {}
  void on_timeout(std::uint32_t) {}
  void on_idle(std::uint32_t) {}
  void restore(const NoControl&) {}
  void set_mss(std::uint32_t) {}
};

}  // namespace synfin::tcp
