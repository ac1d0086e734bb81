// SPDX-License-Identifier: Apache-2.0
//
// One transfer with everything about it drawn from a seed, and the clock that says when it has stalled.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "synfin/sim/network.h"

namespace synfin::netsim {

/// How a program reads: at most `bite` octets at a time, with a rest behind one in `rests_one_in` reads, of
/// up to `rest`, `rests` times; then greedily.
struct Appetite {
  std::uint32_t bite = 0;
  std::uint32_t rests_one_in = 0;
  std::uint32_t rests = 0;
  Duration rest;
};

/// What the seed decided.
struct Hunt {
  explicit Hunt(std::uint64_t seed);

  std::uint64_t seed;
  sim::NetworkOptions network;
  wire::Family family = wire::Family::kIpv4;
  tcp::Options options[2];
  std::uint64_t octets[2] = {};  // that each host sends; 0: only its FIN
  Appetite appetite[2];
  std::uint32_t write_at_most = 0;
  std::uint32_t writer_rests = 0;
  Duration writer_rest;
  std::uint32_t updates_lost = 0;  // of those that open a closed window, the first ones of host B
  // A middlebox that takes a part of host B's window away, for a while: eighths left.
  bool shrinks = false;
  std::uint32_t eighths = 8;
  Instant shrinks_from, shrinks_until;

  /// More than a round trip with all that may come on top takes.
  Duration round_trip() const;
  /// More than a retransmission timeout can be before anything is lost (RFC 6298).
  Duration timeout(bool measured) const;
  std::string text() const;

 private:
  void draw_path(SeededEntropy& random);
  void draw_settings(SeededEntropy& random);
  void draw_programs(SeededEntropy& random);
  void draw_memory(SeededEntropy& random);
};

struct HuntTally {
  std::uint64_t packets = 0, lost = 0, octets = 0, zero_windows = 0, shrunk = 0, timeouts = 0, rests = 0;
  std::uint64_t refused = 0, dropped = 0;  // writes and text, for want of packet memory
  /// Percent of what would have been a stall.
  std::uint64_t longest = 0;
  HuntTally& operator+=(const HuntTally& o);
};

/// Runs it. Empty: every octet arrived intact, nothing waited longer than the protocol demands, and nothing
/// is left.
std::string run(const Hunt& hunt, bool verbose, HuntTally& tally);

}  // namespace synfin::netsim
