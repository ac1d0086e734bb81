// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace synfin::tcp {

/// Proportional Rate Reduction (RFC 6937bis): in recovery what may be in flight goes from what was in flight
/// down to the slow start threshold in proportion to what is delivered, neither in a burst nor after half a
/// round trip of silence. Octets.
class Prr {
 public:
  /// `in_flight`: RecoverFS, when recovery begins; `threshold`: what should be in flight at its end.
  void begin(std::uint32_t in_flight, std::uint32_t threshold) {
    *this = Prr{};
    in_flight_ = std::max(in_flight, 1u);
    threshold_ = threshold;
  }
  /// An acknowledgement said that `delivered` more octets have arrived; `pipe` are in the network. `safe`:
  /// SND.UNA moved on and no further loss showed (safeACK).
  void on_ack(std::uint32_t delivered, std::uint32_t pipe, std::uint32_t mss, bool safe) {
    delivered_ += delivered;
    std::uint64_t send = 0;
    if (pipe > threshold_) {
      const std::uint64_t share = (delivered_ * threshold_ + in_flight_ - 1) / in_flight_;
      send = share > out_ ? share - out_ : 0;
    } else {
      // PRR-SSRB where it is safe, else PRR-CRB: packet conservation.
      send = std::max<std::uint64_t>(delivered_ > out_ ? delivered_ - out_ : 0, delivered);
      if (safe) send += mss;
      send = std::min<std::uint64_t>(send, threshold_ - pipe);
    }
    // "Force a fast retransmit upon entering recovery"
    if (out_ == 0) send = std::max<std::uint64_t>(send, mss);
    window_ = pipe + static_cast<std::uint32_t>(send);
    // In the smallest window a segment that is sent again alone, and lost again, is found by a timeout only.
    // Two may be in flight whatever was lost (RFC 5681 §3.1, equation 4), and the second tells of the first.
    if (threshold_ <= 2 * mss) window_ = std::max(window_, threshold_);
  }
  void sent(std::uint32_t octets) { out_ += octets; }
  /// How many octets may be in the network now.
  std::uint32_t window() const { return window_; }

 private:
  std::uint64_t delivered_ = 0;
  std::uint64_t out_ = 0;
  std::uint32_t in_flight_ = 1;
  std::uint32_t threshold_ = 0;
  std::uint32_t window_ = 0;
};

}  // namespace synfin::tcp
