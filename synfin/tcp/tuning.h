// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// How large a connection's buffers should be: dynamic right-sizing as Linux does it. Exists once a
/// connection has received, or may send, enough to be worth it.
class Tuning {
 public:
  /// A reader that pauses for longer than this, or for four round trips, is taken to be as slow as it looks;
  /// within it, to read all of a round trip's text at once.
  static constexpr Duration kPause = Duration::milliseconds(50);

  /// `round_trip`: by the handshake; zero: not known. `read`: the next octet that the program reads.
  /// `expected`: octets that a round trip brings at least.
  Tuning(Instant now, Duration round_trip, wire::SeqNum read, wire::SeqNum next, std::uint32_t window,
         std::uint32_t expected)
      : round_trip_(round_trip),
        measured_from_(now),
        counted_from_(now),
        measure_until_(next + window),
        read_(read),
        copied_(expected) {}

  /// A full-sized segment arrived that echoes our clock of `elapsed` ago (RFC 7323 §4).
  void heard_echo(std::uint32_t echo, Duration elapsed);
  /// Text up to `next` arrived, and `window` is offered: without timestamps, a window of text takes a round
  /// trip at least.
  void arrived(wire::SeqNum next, std::uint32_t window, Instant now);
  /// The program has read up to `read`. Once a round trip: the window that would let the peer send as much
  /// again and twice more, where that is worth asking for. `beyond`: octets that wait behind a hole.
  std::optional<std::uint64_t> read_up_to(wire::SeqNum read, std::uint32_t beyond, std::uint32_t mss,
                                          Instant now);

  /// The receiver's estimate; zero: none yet.
  Duration round_trip() const { return round_trip_; }
  /// Octets that the program read in the best round trip so far.
  std::uint32_t copied() const { return copied_; }

  /// The send buffer that the largest congestion window asked for; 0: that of the beginning.
  std::uint32_t send_buffer = 0;

 private:
  Duration round_trip_;
  Instant measured_from_, counted_from_;
  wire::SeqNum measure_until_;
  wire::SeqNum read_;  // where counting began
  std::uint32_t copied_;
  std::uint32_t last_echo_ = 0;
};

}  // namespace synfin::tcp
