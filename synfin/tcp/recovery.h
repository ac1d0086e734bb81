// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// What to send again and when, from acknowledgements alone: fast retransmit and fast recovery by RFC 6582,
/// limited transmit by RFC 3042. How much may be in flight is `Congestion`'s business; `inflation` is what
/// duplicate acknowledgements add to it, as each says that a segment has left the network.
class Recovery {
 public:
  static constexpr std::uint8_t kDuplicateThreshold = 3;

  enum class Action : std::uint8_t {
    kNothing,
    kEnter,
    kRetransmitFirst,
    kExit
  };

  /// `initial`: ISS, so that the first loss is not taken for one of an earlier recovery.
  explicit Recovery(wire::SeqNum initial = {}) : recover_(initial) {}

  /// A duplicate acknowledgement of `una`. kEnter: a loss is inferred; send the first segment again.
  Action on_duplicate(wire::SeqNum una, wire::SeqNum max_sent, std::uint32_t mss);
  /// An acknowledgement moved SND.UNA to `una`. kRetransmitFirst: a partial one, there is a further hole.
  /// kExit: recovery is over.
  Action on_advance(wire::SeqNum una, std::uint32_t acked, std::uint32_t mss);
  /// The retransmission timer ran out: what was sent before it no longer proves loss.
  void on_timeout(wire::SeqNum max_sent);

  bool active() const { return active_; }
  std::uint32_t inflation() const { return inflation_; }

 private:
  wire::SeqNum recover_;
  std::uint32_t inflation_ = 0;
  std::uint8_t duplicates_ = 0;
  bool active_ = false;
};

}  // namespace synfin::tcp
