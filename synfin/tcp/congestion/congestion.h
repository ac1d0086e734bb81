// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "synfin/base/time.h"
#include "synfin/tcp/congestion/new_reno.h"
#include "synfin/tcp/congestion/none.h"

namespace synfin::tcp {

/// How much may be in flight. One object a connection; a controller is one of a closed set, in place, so that
/// a connection can be copied and compared. All sizes are octets. What was lost and what to send again is not
/// its business (tcp/scoreboard, tcp/rack), nor how the window is used in recovery (tcp/prr).
class Congestion {
 public:
  explicit Congestion(NewReno c) : controller_(c) {}
  explicit Congestion(NoControl c) : controller_(c) {}

  std::uint32_t window() const {
    return std::visit([](const auto& c) { return c.window(); }, controller_);
  }
  std::uint32_t slow_start_threshold() const {
    return std::visit([](const auto& c) { return c.slow_start_threshold(); }, controller_);
  }
  void on_ack(const AckEvent& e) {
    std::visit([&](auto& c) { c.on_ack(e); }, controller_);
  }
  /// Loss was inferred from acknowledgements; `in_flight` octets are not acknowledged. Once a recovery.
  void on_loss(std::uint32_t in_flight, Instant now) {
    std::visit([&](auto& c) { c.on_loss(in_flight, now); }, controller_);
  }
  /// The retransmission timer ran out for a segment not yet sent again.
  void on_timeout(std::uint32_t in_flight, Instant now) {
    std::visit([&](auto& c) { c.on_timeout(in_flight, now); }, controller_);
  }
  /// The connection was idle for longer than a retransmission timeout (RFC 5681 §4.1).
  void on_idle() {
    std::visit([](auto& c) { c.on_idle(); }, controller_);
  }
  /// The last reduction was made for nothing: the window and the threshold from before it (RFC 5682, RFC
  /// 4015).
  void restore(std::uint32_t window, std::uint32_t threshold) {
    std::visit([&](auto& c) { c.restore(window, threshold); }, controller_);
  }
  void set_mss(std::uint32_t mss) {
    std::visit([&](auto& c) { c.set_mss(mss); }, controller_);
  }

 private:
  std::variant<NewReno, NoControl> controller_;
};

}  // namespace synfin::tcp
