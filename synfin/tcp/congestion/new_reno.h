// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/congestion/ack_event.h"

namespace synfin::tcp {

/// RFC 5681 with appropriate byte counting (RFC 3465): slow start, congestion avoidance, halving on
/// loss.
class NewReno {
 public:
  NewReno(std::uint32_t mss, std::uint32_t initial_segments);
  /// In place of another controller, with its window and threshold.
  NewReno(std::uint32_t mss, std::uint32_t window, std::uint32_t threshold);

  std::uint32_t window() const { return window_; }
  std::uint32_t slow_start_threshold() const { return threshold_; }
  void on_ack(const AckEvent& e);
  std::uint64_t pacing_rate() const { return 0; }
  void on_loss(const LossEvent& e);
  void on_idle(const IdleEvent& e);
  void restore(const NewReno& before);
  void set_mss(std::uint32_t mss);

 private:
  void halve(std::uint32_t in_flight);
  std::uint32_t mss_;
  std::uint32_t window_;       // cwnd
  std::uint32_t threshold_;    // ssthresh
  std::uint32_t counted_ = 0;  // octets acknowledged towards the next increase in congestion avoidance
};

}  // namespace synfin::tcp
