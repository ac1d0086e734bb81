// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// Octets: far beyond any window that TCP can offer, and far from overflow. As a slow start threshold it
/// means that none was set yet.
inline constexpr std::uint32_t kMostWindow = 1u << 30;

/// An acknowledgement that moved SND.UNA outside of fast recovery.
struct AckEvent {
  Instant now;
  std::uint32_t acked = 0;      // octets newly known to have arrived
  bool window_limited = false;  // the window was what limited sending, not the program or the peer
  /// Of the latest segment that this acknowledgement told of and that was sent once.
  std::optional<Duration> round_trip{};
  Duration smoothed{};        // the smoothed round trip (RFC 6298); zero: not known
  wire::SeqNum una{}, nxt{};  // SND.UNA behind the acknowledgement, and SND.NXT
  /// Segments newly said to have been marked (ECN): counted by AccECN; with RFC 3168 all that an
  /// acknowledgement with ECE tells of. Marks that came where there was no event add to the next.
  std::uint32_t ce_marked = 0;
};

/// What the network did to make the window smaller.
enum class CongestionSign : std::uint8_t {
  kLost,    // a segment
  kMarked,  // a segment, which arrived all the same (ECN, RFC 3168)
};

}  // namespace synfin::tcp
