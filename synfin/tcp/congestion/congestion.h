// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <variant>

#include "synfin/tcp/congestion/control.h"
#include "synfin/tcp/congestion/cubic.h"
#include "synfin/tcp/congestion/new_reno.h"
#include "synfin/tcp/congestion/none.h"

namespace synfin::tcp {

/// How much may be in flight. One object a connection; a controller is one of a closed set, in place, so that
/// a connection can be copied and compared. All sizes are octets. What was lost and what to send again is not
/// its business (tcp/scoreboard, tcp/rack), nor how the window is used in recovery (tcp/prr).
class Congestion {
 public:
  /// `mss`: most text in a segment; `initial_segments`: the initial window. Both from 1 to 65535.
  Congestion(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments);
  CongestionControl control() const { return static_cast<CongestionControl>(controller_.index()); }
  /// Another controller goes on with the window and the threshold; behind `kNone`, which has none, with the
  /// initial window.
  void change(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments);

  std::uint32_t window() const {
    return std::visit([](const auto& c) { return c.window(); }, controller_);
  }
  std::uint32_t slow_start_threshold() const {
    return std::visit([](const auto& c) { return c.slow_start_threshold(); }, controller_);
  }
  void on_ack(const AckEvent& e) {
    std::visit([&](auto& c) { c.on_ack(e); }, controller_);
  }
  /// Congestion was inferred from acknowledgements; `in_flight` octets are not acknowledged. Once a recovery,
  /// and for marks once a round trip.
  void on_loss(std::uint32_t in_flight, CongestionSign sign) {
    std::visit([&](auto& c) { c.on_loss(in_flight, sign); }, controller_);
  }
  /// The retransmission timer ran out for a segment not yet sent again.
  void on_timeout(std::uint32_t in_flight) {
    std::visit([&](auto& c) { c.on_timeout(in_flight); }, controller_);
  }
  /// The connection was idle for longer than a retransmission timeout: RW is the initial window at most (RFC
  /// 5681 §4.1).
  void on_idle(std::uint32_t initial_window) {
    std::visit([&](auto& c) { c.on_idle(initial_window); }, controller_);
  }
  /// The last reduction was made for nothing (RFC 5682, RFC 4015): back to what was before it, but never to
  /// less than there is now. Another kind of controller remembers nothing of use.
  void restore(const Congestion& before) {
    std::visit(
        [&]<typename Controller>(Controller& c) {
          if (const auto* old = std::get_if<Controller>(&before.controller_)) c.restore(*old);
        },
        controller_);
  }
  void set_mss(std::uint32_t mss) {
    std::visit([&](auto& c) { c.set_mss(mss); }, controller_);
  }

 private:
  using Controller = std::variant<Cubic, NewReno, NoControl>;  // as in CongestionControl
  explicit Congestion(Controller c) : controller_(c) {}
  Controller controller_;
};

}  // namespace synfin::tcp
