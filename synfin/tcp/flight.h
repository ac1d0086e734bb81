// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "synfin/tcp/congestion/congestion.h"
#include "synfin/tcp/info.h"
#include "synfin/tcp/pacer.h"
#include "synfin/tcp/prr.h"
#include "synfin/tcp/rack.h"
#include "synfin/tcp/rate_sample.h"
#include "synfin/tcp/scoreboard.h"

namespace synfin::tcp {

/// What is being done about losses among the segments in flight.
struct FlightState {
  /// What the retransmission timer stands for; it is always the earliest of these that applies.
  enum class Wait : std::uint8_t {
    kTimeout,     // RFC 6298
    kTailProbe,   // RFC 8985 §7.2
    kReordering,  // RFC 8985 §6.2 step 5
  };
  /// Forward RTO-Recovery (RFC 5682): what was heard since the timeout.
  enum class Frto : std::uint8_t {
    kOff,
    kFirst,   // nothing yet
    kSecond,  // the first segment was acknowledged, and new text was sent in place of what seems lost
  };

  Rack rack;
  Prr prr;  // in kRecovery
  Pacer pacer;
  DeliveryRate rate;
  CaState state = CaState::kOpen;
  Wait wait = Wait::kTimeout;
  Frto frto = Frto::kOff;
  bool probe_due = false;       // a tail loss probe is to be sent
  bool window_probe = false;    // all that is in flight was sent into a closed window
  bool window_limited = false;  // the congestion window was all used (RFC 7661 §4.3)
  Instant timeout_at;           // of the retransmission timeout proper
  wire::SeqNum high;            // what was sent when kRecovery or kLoss began ends here
  wire::SeqNum highest_sacked;  // the end of it
  wire::SeqNum ecn_high;        // ECE for what was sent before this is about a reduction already made
  bool any_sacked = false;
  wire::SeqNum sample_from;  // one sample of the round trip a round trip: the next begins here
  wire::SeqNum usage_until;  // `most_used` is good until this is acknowledged
  std::uint32_t most_used = 0;
  std::uint32_t duplicates = 0;  // without SACK: segments that duplicate acknowledgements stand for
  // … and how many more of them are believed until SND.UNA moves on.
  std::optional<std::uint32_t> duplicates_left;

  // To take a reduction back that was made for nothing.
  bool undo = false;
  Congestion before{CongestionControl::kNone, 1, 1};  // … it
  wire::SeqNum undo_from;
  std::int32_t undo_left = -1;  // retransmissions that no DSACK has called needless yet
  Instant first_resent;         // of this recovery
  // A recovery was for nothing: until this is acknowledged, reordering is given all the time it may have.
  bool patient = false;
  wire::SeqNum patient_until;
};

/// What a connection must know only while it has text in flight. An idle connection has none, and neither has
/// one that sends nothing but SYN and FIN.
struct Flight : FlightState {
  Scoreboard sent;
};

/// Flights that wait for their next use, so that connections which go from idle to busy and back need no
/// allocation each time.
class FlightPool {
 public:
  FlightPool();
  /// nullptr: no memory.
  std::unique_ptr<Flight> take();
  void give(std::unique_ptr<Flight> flight);

 private:
  static constexpr std::size_t kMost = 256;
  // Each keeps room for so many segments, and all together for so many more.
  static constexpr std::uint32_t kSmall = 128;
  static constexpr std::uint32_t kMostSegments = 1u << 16;  // 3 MiB
  static std::uint32_t beyond_small(const Flight& flight) {
    return flight.sent.room() > kSmall ? flight.sent.room() : 0;
  }

  std::uint32_t segments_ = 0;
  std::vector<std::unique_ptr<Flight>> spare_;
};

}  // namespace synfin::tcp
