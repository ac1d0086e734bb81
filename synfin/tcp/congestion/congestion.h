// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include "synfin/tcp/congestion/bbr.h"
#include "synfin/tcp/congestion/control.h"
#include "synfin/tcp/congestion/cubic.h"
#include "synfin/tcp/congestion/new_reno.h"
#include "synfin/tcp/congestion/none.h"

namespace synfin::tcp {

/// How much may be in flight, and how fast it leaves. One object a connection; a controller is one of a
/// closed set, in place but for what has a model of the path. All sizes are octets. What was lost and what to
/// send again is not its business (tcp/scoreboard, tcp/rack), nor, where it names no rate, how the window is
/// used in recovery (tcp/prr).
class Congestion {
 public:
  /// `mss`: most text in a segment; `initial_segments`: the initial window. Both from 1 to 65535. `seed`:
  /// what is random about a controller. Without memory for `kBbr` it is the default controller.
  Congestion(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
             std::uint32_t seed = 0);
  /// As newly constructed. False: no memory for `kBbr`, so it is the default controller.
  [[nodiscard]] bool begin(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
                           std::uint32_t seed = 0);
  CongestionControl control() const { return static_cast<CongestionControl>(controller_.index()); }
  /// Another controller goes on with the window and the threshold; behind `kNone`, which has none, with the
  /// initial window. False: no memory, so nothing changed.
  [[nodiscard]] bool change(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
                            std::uint32_t seed = 0);

  std::uint32_t window() const {
    return std::visit([](const auto& c) { return c.window(); }, controller_);
  }
  std::uint32_t slow_start_threshold() const {
    return std::visit([](const auto& c) { return c.slow_start_threshold(); }, controller_);
  }
  void on_ack(const AckEvent& e) {
    std::visit([&](auto& c) { c.on_ack(e); }, controller_);
  }
  /// Octets a second that the controller demands to be kept to, and its window then holds in recovery too; 0:
  /// it has only a window.
  std::uint64_t pacing_rate() const {
    return std::visit([](const auto& c) { return c.pacing_rate(); }, controller_);
  }
  /// Congestion was inferred: once a recovery and once a timeout, for marks once a round trip, and for
  /// `kSegment` each time.
  void on_loss(const LossEvent& e) {
    std::visit([&](auto& c) { c.on_loss(e); }, controller_);
  }
  void on_idle(const IdleEvent& e) {
    std::visit([&](auto& c) { c.on_idle(e); }, controller_);
  }
  /// The last reduction was made for nothing (RFC 5682, RFC 4015): back to what was before it, but never to
  /// less than there is now. Another kind of controller remembers nothing of use. A copy of one with a model
  /// does not have the model, which itself keeps what is to be restored.
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
  using Controller = std::variant<Cubic, NewReno, NoControl, Bbr>;  // as in CongestionControl
  Controller controller_;
};

// An idle connection is to stay small.
static_assert(sizeof(Congestion) <= 32);

}  // namespace synfin::tcp
