// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 8985 §6, whose steps stand in the comments.
#include "synfin/tcp/rack.h"

#include <algorithm>

namespace synfin::tcp {

Duration Rack::window(const Reordering& r, bool early, Duration min_rtt, Duration smoothed) {
  // "If no reordering has been observed, RACK uses a zero window in recovery or once DupThresh segments are
  // sacked"; the bound by SRTT keeps DSACKs of a hostile receiver from delaying recovery for ever.
  if (r.seen == 0 && early) return Duration::zero();
  return std::min(min_rtt / Reordering::kStepsOfRoundTrip * r.steps, smoothed);
}

bool Rack::new_dsack_round(wire::SeqNum una, wire::SeqNum nxt) {
  if (in_dsack_round_ && una.before(dsack_round_)) return false;
  in_dsack_round_ = true;
  dsack_round_ = nxt;
  return true;
}

}  // namespace synfin::tcp
