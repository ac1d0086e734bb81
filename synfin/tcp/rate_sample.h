// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// What is noted of the connection with each segment that leaves (draft-ietf-ccwg-bbr "Transmitting a data
/// packet"). Counters of octets wrap at 2^32 and times, in microseconds, after 71 minutes: only their
/// differences over a flight count.
struct SendMark {
  std::uint32_t delivered = 0;     // octets that had been delivered by then
  std::uint32_t delivered_at = 0;  // when the last of them was
  std::uint32_t first_sent = 0;    // when the last segment delivered by then had left
  std::uint32_t in_flight = 0;     // octets in the network, this segment included
  std::uint32_t lost = 0;          // octets taken for lost by then
  bool app_limited = false;        // the program had nothing to send
};

/// What one acknowledgement says of the path (draft-ietf-ccwg-bbr "Delivery Rate Samples"), by the segment
/// sent last of those that it told of first.
struct RateSample {
  bool valid = false;                 // a segment was delivered, so all but `rate` is known
  bool app_limited = false;           // the program, not the path, was what limited the rate
  std::uint32_t prior_delivered = 0;  // octets delivered when that segment left
  std::uint32_t delivered = 0;        // octets delivered since
  std::uint32_t in_flight = 0;        // octets in the network when it left
  std::uint32_t lost = 0;             // octets taken for lost since
  /// Octets a second; 0: not known, or taken over less than a round trip and so not to be believed.
  std::uint64_t rate = 0;
};

/// The state of a connection that such samples are taken from; one for a flight.
class DeliveryRate {
 public:
  /// A flight begins; `delivered`: octets so far, of a counter that may begin anywhere. `app_limited`: there
  /// was nothing to send until now.
  void begin(std::uint32_t delivered, Instant now, bool app_limited);
  /// For a segment that leaves now; `in_flight`: octets, the segment included.
  SendMark mark(std::uint32_t in_flight) const {
    return {delivered_, delivered_at_, first_sent_, in_flight, lost_, app_limited_};
  }
  /// A segment of `octets` that left at `sent_at` and ends at `end` is known to have arrived.
  void segment_delivered(const SendMark& mark, std::uint32_t octets, Instant sent_at, wire::SeqNum end,
                         Instant now);
  /// Octets of segments right before one that left together with them and is told of next.
  void count_delivered(std::uint32_t octets) { delivered_ += octets; }
  void segment_lost(std::uint32_t octets) { lost_ += octets; }
  /// The program has nothing more to send, with `in_flight` octets in the network: samples until these are
  /// delivered say nothing about the path.
  void run_dry(std::uint32_t in_flight) {
    app_limited_ = true;
    dry_until_ = delivered_ + in_flight;
  }
  /// Behind an acknowledgement, once. `least`: the least round trip known; a shorter interval gives no rate.
  RateSample take(Duration least);
  /// Octets delivered and lost so far.
  std::uint32_t delivered() const { return delivered_; }
  std::uint32_t lost() const { return lost_; }

 private:
  static std::uint32_t microseconds(Instant t) { return static_cast<std::uint32_t>(t.ns() / 1'000); }

  std::uint32_t delivered_ = 0, delivered_at_ = 0, first_sent_ = 0, lost_ = 0;
  std::uint32_t dry_until_ = 0;
  bool app_limited_ = false;

  // Of the acknowledgement under way.
  bool any_ = false;
  SendMark newest_;
  Instant newest_sent_;
  wire::SeqNum newest_end_;
  std::uint32_t send_elapsed_ = 0, ack_elapsed_ = 0;  // microseconds
};

inline void DeliveryRate::segment_delivered(const SendMark& mark, std::uint32_t octets, Instant sent_at,
                                            wire::SeqNum end, Instant now) {
  delivered_ += octets;
  delivered_at_ = microseconds(now);
  const bool newer = sent_at > newest_sent_ || (sent_at == newest_sent_ && end.after(newest_end_));
  if (any_ && !newer) return;
  any_ = true;
  newest_ = mark;
  newest_sent_ = sent_at;
  newest_end_ = end;
  send_elapsed_ = microseconds(sent_at) - mark.first_sent;
  ack_elapsed_ = delivered_at_ - mark.delivered_at;
  first_sent_ = microseconds(sent_at);
}

}  // namespace synfin::tcp
