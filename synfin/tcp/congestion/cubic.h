// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/congestion/ack_event.h"
#include "synfin/tcp/congestion/hystart.h"

namespace synfin::tcp {

/// CUBIC (RFC 9438): in congestion avoidance the window is a function of the time since the last reduction,
///
///     W_cubic(t) = C * (t - K)^3 + W_max        in segments and seconds, §4.2
///
/// which comes back to where congestion was (W_max) after K seconds, lingers there, and then looks for more;
/// but it is never less than Reno's would be (§4.3). The first slow start is HyStart++'s (RFC 9406), later
/// ones are RFC 5681's. Sizes are whole octets, times milliseconds.
class Cubic {
 public:
  static constexpr double kC = 0.4;     // segments / s^3 (§5.1)
  static constexpr double kBeta = 0.7;  // what is left of the window after congestion (§4.6)

  /// `mss`: octets, below 65536; `initial_segments`: the initial window.
  Cubic(std::uint32_t mss, std::uint32_t initial_segments);
  /// In place of another controller, with its window and threshold.
  Cubic(std::uint32_t mss, std::uint32_t window, std::uint32_t threshold);

  std::uint32_t window() const { return window_; }
  std::uint32_t slow_start_threshold() const { return threshold_; }
  void on_ack(const AckEvent& e);
  std::uint64_t pacing_rate() const { return 0; }
  void on_loss(const LossEvent& e);
  void on_idle(const IdleEvent& e);
  void restore(const Cubic& before);
  void set_mss(std::uint32_t mss);

 private:
  // A stage of congestion avoidance, and what the next one must know of the last congestion.
  struct Stage {
    std::uint32_t w_max = 0;       // 0: there was no loss, or it was a timeout
    std::uint32_t cwnd_prior = 0;  // the window before the last reduction
    std::uint32_t w_est = 0;       // Reno's window, in quarters of an octet; 0: the stage has yet to begin
    std::int32_t since_k = 0;      // t - K
  };

  // "when the ssthresh is at its initial value of arbitrarily high"  (RFC 9406 §4.3)
  bool first_slow_start() const { return threshold_ >= kMostWindow; }
  void leave_first_slow_start();
  void reduce(std::uint32_t in_flight);
  void begin_stage();
  void pass_time(const AckEvent& e);
  void grow(std::uint32_t acked, const AckEvent& e);
  double curve(double since_k) const;

  std::uint32_t window_;     // cwnd
  std::uint32_t threshold_;  // ssthresh
  std::uint16_t mss_;
  std::uint16_t last_ = 0;  // when the last acknowledgement came, of a clock that wraps
  // An idle connection is to stay small: never are both needed.
  union {
    HyStart hystart_;  // first_slow_start()
    Stage stage_;      // behind it
  };
};

}  // namespace synfin::tcp
