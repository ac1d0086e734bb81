// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/tcp/scoreboard.h"

namespace synfin::tcp {

/// What a connection has learnt about reordering on its path; outlives what is in flight. `degree` is Linux's
/// tcpi_reordering.
struct Reordering {
  static constexpr std::uint16_t kMostDegree = 300;
  static constexpr std::uint8_t kPersist = 16;
  static constexpr std::uint8_t kStepsOfRoundTrip = 4;

  std::uint16_t degree = 3;  // DupThresh: segments that may overtake each other
  std::uint16_t seen = 0;    // times that it was seen
  std::uint8_t steps = 1;    // of the reordering window, a quarter of the least round trip each
  std::uint8_t persist = 0;  // recoveries that the steps still last for

  void note(std::uint32_t distance_segments) {
    if (distance_segments > degree) {
      degree = static_cast<std::uint16_t>(distance_segments < kMostDegree ? distance_segments : kMostDegree);
    }
    if (seen < 0xffff) ++seen;
  }
  /// A DSACK showed that a retransmission was for nothing: once a round trip (RFC 8985 §6.2 step 4).
  void widen() {
    if (steps < 255) ++steps;
    persist = kPersist;
  }
  void recovery_ended() {
    if (persist == 0) return;
    --persist;
    if (persist == 0) steps = 1;
  }
};

/// RACK (RFC 8985 §6): a segment is lost when one that was sent sufficiently later has been delivered.
/// "Sufficiently" is the reordering window.
class Rack {
 public:
  /// Step 1 and 2: a segment was acknowledged or sacked. `echo_proves`: where it was sent twice, whether the
  /// acknowledgement is known not to be for the first time (timestamps), if that is known.
  void delivered(const SentSegment& s, Instant now, std::optional<bool> echo_proves, Duration min_rtt);
  /// Step 4. `early`: in recovery, or DupThresh segments are sacked.
  static Duration window(const Reordering& r, bool early, Duration min_rtt, Duration smoothed);
  /// Step 5: marks what is lost, calling `each(place)` before. Gives how long until the next segment would be
  /// judged; nothing: none waits. Each is judged at its own time, not all at the last one's.
  template <class Each>
  std::optional<Duration> detect(Scoreboard& sent, Duration window, Instant now, Each each) const {
    if (!valid_) return std::nullopt;
    for (auto i = sent.oldest(); i;) {
      const SentSegment& s = sent[*i];
      if (!later(sent_at_, end_, s)) return std::nullopt;
      const Duration left = rtt_ + window - (now - s.sent_at);
      if (left > Duration::zero()) return left;
      const auto next = sent.sent_behind(*i);
      each(*i);
      sent.mark_lost(*i);
      i = next;
    }
    return std::nullopt;
  }
  /// §6.3: whether a segment counts as lost when the retransmission timer has run out.
  bool lost_on_timeout(const SentSegment& s, Duration window, Instant now) const {
    return now - s.sent_at >= rtt_ + window;
  }

  /// A DSACK came; true: the first in this round trip.
  bool new_dsack_round(wire::SeqNum una, wire::SeqNum nxt);
  /// To be told of every SND.UNA.
  void end_dsack_round(wire::SeqNum una) {
    if (in_dsack_round_ && una.at_or_after(dsack_round_)) in_dsack_round_ = false;
  }
  Duration rtt() const { return rtt_; }

 private:
  static bool later(Instant at, wire::SeqNum end, const SentSegment& s) {
    return at > s.sent_at || (at == s.sent_at && end.after(s.end()));
  }
  Instant sent_at_;  // of the segment sent last of all that were delivered
  Duration rtt_;     // its round trip
  wire::SeqNum end_;
  wire::SeqNum dsack_round_;
  bool valid_ = false;
  bool in_dsack_round_ = false;
};

inline void Rack::delivered(const SentSegment& s, Instant now, std::optional<bool> echo_proves,
                            Duration min_rtt) {
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

}  // namespace synfin::tcp
