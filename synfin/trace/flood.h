// SPDX-License-Identifier: Apache-2.0
//
// What a listener sees of all its SYNs together.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "synfin/base/time.h"
#include "synfin/trace/reason.h"
#include "synfin/wire/address.h"

namespace synfin::trace {

/// The figures of one listener over a sliding window, and what they mean. Estimates are good to a few per
/// cent.
struct FloodReport {
  struct Network {
    wire::Prefix prefix;  // /24 or /48
    double share = 0;     // of the window's SYNs, 0 to 1
  };
  static constexpr std::size_t kMostNetworks = 4;

  wire::Endpoint listener;
  /// kNone where all is as usual; else kFloodSpoofed, kFloodFewSources, kSlowProgram or kSynAcksLost. At the
  /// end of an alarm: what it was.
  Reason verdict = Reason::kNone;
  /// Of a kFlood event: the alarm begins, or it ends.
  bool begins = false;
  /// How much time the window's counts are from: what `synflood_window` says or up to a fifth less, and less
  /// after the start.
  Duration window;
  /// How long the alarm has been on; zero without one.
  Duration lasted;

  double syn_rate = 0;        // new SYNs a second, over the last half second
  double baseline_rate = 0;   // what is usual here
  double threshold_rate = 0;  // above this it is a flood
  double peak_rate = 0;       // the highest syn_rate of this alarm
  /// Handshakes completed for each new SYN, 0 to 1.
  double completion_ratio = 1;

  // Within the window.
  std::uint64_t syns = 0;
  std::uint64_t repeated_syns = 0;
  std::uint64_t completed = 0;
  std::uint64_t overflows = 0;  // of the accept queue

  // Now.
  std::uint32_t half_open = 0;
  std::uint32_t half_open_limit = 0;
  std::uint32_t accept_queue = 0;
  std::uint32_t accept_queue_limit = 0;

  // Who sends the SYNs; estimates.
  double distinct_sources = 0;
  double distinct_networks = 0;
  std::array<Network, kMostNetworks> top;  // the largest share first
  std::uint8_t top_count = 0;

  std::span<const Network> top_networks() const { return std::span{top}.first(top_count); }
};

}  // namespace synfin::trace
