// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/tcp/rate_sample.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// Octets: far beyond any window that TCP can offer, and far from overflow. As a slow start threshold it
/// means that none was set yet.
inline constexpr std::uint32_t kMostWindow = 1u << 30;

/// An acknowledgement that told of something new, in recovery or not.
struct AckEvent {
  Instant now;
  /// Octets newly known to have arrived that let a window grow: 0 in fast recovery, and where SND.UNA did not
  /// move.
  std::uint32_t acked = 0;
  bool window_limited = false;  // the window was what limited sending, not the program or the peer
  /// Of the latest segment that this acknowledgement told of and that was sent once.
  std::optional<Duration> round_trip{};
  Duration smoothed{};        // the smoothed round trip (RFC 6298); zero: not known
  wire::SeqNum una{}, nxt{};  // SND.UNA behind the acknowledgement, and SND.NXT
  /// Segments newly said to have been marked (ECN): counted by AccECN; with RFC 3168 all that an
  /// acknowledgement with ECE tells of. Marks that came where there was no event add to the next.
  std::uint32_t ce_marked = 0;

  // For controllers that have a model of the path.
  std::uint32_t newly_delivered = 0;  // octets newly known to have arrived, whatever they let grow
  std::uint32_t delivered = 0;        // octets delivered so far, of a counter that wraps
  std::uint32_t in_network = 0;       // octets, by now
  bool window_filled = false;         // the whole window was used in the last round trip
  bool recovering = false;            // in fast recovery or behind a timeout
  bool selective = true;              // the peer acknowledges selectively
  RateSample rate{};
};

/// What the network did to make the window smaller.
enum class CongestionSign : std::uint8_t {
  kLost,     // a segment, so that recovery begins
  kMarked,   // a segment, which arrived all the same (ECN, RFC 3168)
  kTimeout,  // the retransmission timer ran out for a segment not yet sent again
  kSegment,  // one more segment is taken for lost: only a model of the path heeds it
};

struct LossEvent {
  Instant now;
  CongestionSign sign = CongestionSign::kLost;
  std::uint32_t in_flight = 0;   // octets not acknowledged
  std::uint32_t in_network = 0;  // … of which so many are neither sacked nor lost, or have been sent again
  std::uint32_t delivered = 0;   // as in `AckEvent`
  bool recovering = false;       // … until now
  bool selective = true;

  // Of the segment, for `kSegment`.
  wire::SeqNum start{};
  std::uint32_t size = 0;           // octets
  std::uint32_t tx_in_network = 0;  // octets in the network when it left, itself included
  std::uint32_t lost_since = 0;     // octets taken for lost since it left, itself included
  bool app_limited = false;         // as in `RateSample`
};

/// Sending begins anew with nothing in flight, and not for want of window.
struct IdleEvent {
  Instant now;
  /// RW (RFC 5681 §4.1), octets: the window at most; `kMostWindow`: it was not idle for long enough.
  std::uint32_t restart_window = kMostWindow;
};

}  // namespace synfin::tcp
