// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

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
  // An idle connection is to stay small: 28 bits of microseconds.
  static constexpr std::uint32_t kNever = (1u << 28) - 1;

  void sample(Duration round_trip);
  void end_round(wire::SeqNum nxt);

  wire::SeqNum window_end_;               // the round lasts until this is acknowledged
  std::uint32_t last_ : 28 = kNever;      // lastRoundMinRTT
  std::uint32_t samples_ : 4 = 0;         // rttSampleCount, up to kSamples
  std::uint32_t current_ : 28 = kNever;   // currentRoundMinRTT
  std::uint32_t rounds_ : 4 = 0;          // of Conservative Slow Start that are complete
  std::uint32_t baseline_ : 28 = kNever;  // cssBaselineMinRtt
  std::uint32_t begun_ : 4 = 0;           // there was an acknowledgement
};

}  // namespace synfin::tcp
