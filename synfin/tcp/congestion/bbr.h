// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "synfin/tcp/congestion/ack_event.h"

namespace synfin::tcp {

class BbrModel;

/// BBR (draft-ietf-ccwg-bbr, version 3): how fast and how much is sent follows a model of the path, its
/// bandwidth and its least round trip, instead of a window that grows until something is lost. The model
/// exists only for connections that chose this; here is what a connection keeps of it.
///
/// A copy has the window and no model, and does nothing: what `restore` needs lies in the model itself.
class Bbr {
 public:
  /// With a window of its own or of the controller before, and `initial_window`, all in octets; `seed`: for
  /// when it probes. Without memory it has no model, and must not be used.
  Bbr(std::uint32_t mss, std::uint32_t window, std::uint32_t initial_window, std::uint32_t seed);
  Bbr(const Bbr& copied) : window_(copied.window_) {}
  Bbr(Bbr&& from) noexcept;
  Bbr& operator=(Bbr from) noexcept;
  ~Bbr();

  bool has_model() const { return model() != nullptr; }

  std::uint32_t window() const { return window_; }
  std::uint32_t slow_start_threshold() const { return kMostWindow; }
  std::uint64_t pacing_rate() const;
  void on_ack(const AckEvent& e);
  void on_loss(const LossEvent& e);
  void on_idle(const IdleEvent& e);
  void restore(const Bbr& before);
  void set_mss(std::uint32_t mss);

 private:
  // A pointer would give all controllers its alignment, and a connection no room for that.
  using Place = std::array<std::uint32_t, sizeof(void*) / sizeof(std::uint32_t)>;
  BbrModel* model() const;
  Place place_{};
  std::uint32_t window_;
};

}  // namespace synfin::tcp
