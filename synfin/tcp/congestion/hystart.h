// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

#include "synfin/tcp/congestion/ack_event.h"

namespace synfin::tcp {

/// HyStart++ (RFC 9406): the first slow start of a connection, which ends when round trips grow longer,
/// before the queue that they tell of overflows. It goes on more slowly for some round trips first
/// (Conservative Slow Start), and as before if the delay turns out to have been jitter. Times are kept in
/// microseconds, 71 minutes at most.
class HyStart {
 public:
  // §4.3
  static constexpr Duration kLeastRise = Duration::milliseconds(4);  // MIN_RTT_THRESH
  static constexpr Duration kMostRise = Duration::milliseconds(16);  // MAX_RTT_THRESH
  static constexpr std::uint32_t kRiseDivisor = 8;                   // MIN_RTT_DIVISOR
  static constexpr std::uint32_t kSamples = 8;                       // N_RTT_SAMPLE
  static constexpr std::uint32_t kGrowthDivisor = 4;                 // CSS_GROWTH_DIVISOR
  static constexpr std::uint32_t kRounds = 5;                        // CSS_ROUNDS

  /// Each acknowledgement. Gives by how many octets the window may grow if it was used.
  std::uint32_t on_ack(const AckEvent& e);
  /// Enough rounds of Conservative Slow Start: the threshold becomes the window.
  bool over() const { return rounds_ >= kRounds; }
  /// In Conservative Slow Start.
  bool conservative() const { return baseline_ != kNever; }

 private:
  static constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

  void sample(Duration round_trip);
  void end_round(wire::SeqNum nxt);

  wire::SeqNum window_end_;          // the round lasts until this is acknowledged
  std::uint32_t last_ = kNever;      // lastRoundMinRTT, µs
  std::uint32_t current_ = kNever;   // currentRoundMinRTT
  std::uint32_t baseline_ = kNever;  // cssBaselineMinRtt
  std::uint8_t samples_ = 0;         // rttSampleCount, up to kSamples
  std::uint8_t rounds_ = 0;          // of Conservative Slow Start that are complete
  bool begun_ = false;
};

}  // namespace synfin::tcp
