// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/tcp/settings.h"

namespace synfin::tcp {

/// Round-trip time and retransmission timeout by RFC 6298, with Linux's bounds (tcp_rto_min, tcp_rto_max).
class Rtt {
 public:
  /// 1 s before the first sample (RFC 6298 §2.1).
  static constexpr Duration kInitial = Duration::seconds(1);

  /// A measured round trip of a segment that was sent once (Karn's algorithm), or one proved by timestamps.
  void sample(Duration measured, const Settings& settings);
  /// §5.5: the timer ran out.
  void back_off(const Settings& settings);
  /// §5.7: the SYN was sent again, so its round trip is not known: begin data with 3 s.
  void handshake_was_ambiguous();
  /// New data was acknowledged in a way that ends the backing off, though it gives no sample.
  void end_back_off(const Settings& settings);

  Duration timeout() const { return timeout_; }
  bool has_sample() const { return smoothed_ != Duration::zero(); }
  Duration smoothed() const { return smoothed_; }
  Duration variation() const { return variation_; }

 private:
  void recompute(const Settings& settings);
  Duration smoothed_;
  Duration variation_;
  Duration timeout_ = kInitial;
};

}  // namespace synfin::tcp
