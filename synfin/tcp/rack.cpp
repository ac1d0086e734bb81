// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 8985 §6, whose steps stand in the comments.
#include "synfin/tcp/rack.h"

#include <algorithm>

namespace synfin::tcp {

void Rack::delivered(const SentSegment& s, Instant now, std::optional<bool> echo_proves, Duration min_rtt) {
  const Duration rtt = now - s.sent_at;
  // Step 2: what was sent twice may have been acknowledged for the first time.
  if (s.ever_retransmitted && (!echo_proves.value_or(true) || rtt < min_rtt)) return;
  const bool newer = s.sent_at > sent_at_ || (s.sent_at == sent_at_ && s.end().after(end_));
  if (valid_ && !newer) return;
  valid_ = true;
  sent_at_ = s.sent_at;
  end_ = s.end();
  rtt_ = rtt;
}

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
