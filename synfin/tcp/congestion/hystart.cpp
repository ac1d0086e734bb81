// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 9406 §4.2.
#include "synfin/tcp/congestion/hystart.h"

#include <algorithm>

namespace synfin::tcp {

std::uint32_t HyStart::on_ack(const AckEvent& e) {
  if (begun_ == 0) {
    begun_ = 1;
    window_end_ = e.nxt;
  }
  // "cwnd = cwnd + min(N, L * SMSS)", in CSS divided by CSS_GROWTH_DIVISOR. §4.3 recommends an L of 8 where
  // nothing is paced; it is without bound here, as on Linux: see NewReno.
  const std::uint32_t growth = conservative() ? e.acked / kGrowthDivisor : e.acked;
  if (e.round_trip) sample(*e.round_trip);
  // What ended the round was sent in it: its round trip counts to the old one.
  if (e.una.at_or_after(window_end_)) end_round(e.nxt);
  return growth;
}

void HyStart::sample(Duration round_trip) {
  const auto us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(round_trip.us(), 0, kNever - 1));
  current_ = std::min<std::uint32_t>(current_, us) & kNever;
  if (samples_ < kSamples) ++samples_;
  if (samples_ < kSamples) return;
  if (conservative()) {
    // "slow start exit was spurious"
    if (current_ < baseline_) {
      baseline_ = kNever;
      rounds_ = 0;
    }
    return;
  }
  if (last_ == kNever) return;
  const std::uint32_t rise =
      std::clamp<std::uint32_t>(last_ / kRiseDivisor, static_cast<std::uint32_t>(kLeastRise.us()),
                                static_cast<std::uint32_t>(kMostRise.us()));
  if (current_ >= last_ + rise) baseline_ = current_;
}

void HyStart::end_round(wire::SeqNum nxt) {
  // "If the transition into CSS happens in the middle of a round, that partial round counts towards the
  // limit."
  if (conservative()) ++rounds_;
  window_end_ = nxt;
  last_ = current_;
  current_ = kNever;
  samples_ = 0;
}

}  // namespace synfin::tcp
