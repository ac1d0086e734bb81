// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// A SYN without anything that would need to be thought about: no other flag, no text, no network header
/// options or extensions, no TCP options but MSS, window scale, SACK permitted and timestamps.
struct PlainSyn {
  FourTuple tuple;  // as the one sees it who received it
  SeqNum seq;
  std::uint8_t ecn = 0;  // the congestion codepoint of its packet
  TcpOptions options;
};

/// Reads a packet that lies whole in its first slice. False: it is something else, or wrong in some way, or
/// just unusual; `parse_ip` and `parse_tcp_packet` will tell. True: they would say the same, checksums
/// included.
[[nodiscard]] bool read_plain_syn(const Frame& frame, PlainSyn& out);

/// Where the values of the only timestamps option lie, counted from the beginning of options that can be
/// read; 0: there is none, or more than one.
std::size_t find_timestamps(const std::byte* options, std::size_t size);

/// Reads SYNs that are like one that was read before, as most of a flood are: they differ only in whom they
/// are from, their numbers and timestamps, and in what nobody asks of a SYN (identification, hop limit, flow
/// label, acknowledgment, window, urgent pointer). All else is compared with the first in a few steps.
class SynPattern {
 public:
  bool known() const { return size_ != 0; }
  void forget() { size_ = 0; }
  /// Takes a packet that `read_plain_syn` has read as `syn` for the pattern of those that follow.
  void learn(const Frame& frame, const PlainSyn& syn);
  /// True: `read_plain_syn` would say the same; `clock` is its TSval, 0 where the pattern has none, and what
  /// is told here of it is all that it does not share with the pattern. False: it is another kind of packet,
  /// or wrong in some way; the others may have been written to.
  [[nodiscard]] bool read(const Frame& frame, Endpoint& remote, SeqNum& seq, std::uint32_t& clock) const;

 private:
  static constexpr std::size_t kMost = 40 + TcpHeader::kMaxSize;
  using Octets = std::array<std::byte, kMost>;

  Octets model_;  // 0 where `mask_` is
  Octets mask_;   // all ones in octets that must be the same
  std::size_t size_ = 0;
  std::size_t ip_size_ = 0;
  std::size_t timestamps_at_ = 0;  // 0: it has none
  // The sum of all that the TCP checksum is over and that is the same in each, but for the fixed TCP header.
  std::uint64_t sum_ = 0;
};

}  // namespace synfin::wire
