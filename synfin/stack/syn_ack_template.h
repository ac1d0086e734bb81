// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "synfin/tcp/half_open.h"
#include "synfin/wire/frame.h"

namespace synfin::stack {

/// A reply that is written already.
struct WrittenReply {
  static constexpr std::size_t kMost = 80;  // IPv6 with all the options of a SYN-ACK
  WrittenReply() {}  // leaves `octets` as they are: they are written before they are read
  std::array<std::byte, kMost> octets;
  std::uint32_t behind = 0;  // how many of the replies that are not written yet leave before it
  std::uint16_t size = 0;
  bool needs_checksum = false;
};

/// Writes SYN-ACKs that differ only in whom they go to, their numbers and their timestamps, as copies of one
/// that was written the ordinary way.
class SynAckTemplate {
 public:
  bool known() const { return model_.size != 0; }
  void forget() { model_.size = 0; }
  /// Takes a SYN-ACK without text for the model of those that follow. False: it is too large to be one.
  bool learn(const wire::Frame& written);
  /// `clock`: TSval, where there is one. All but `behind` is set.
  void write(const tcp::HalfOpen& half, std::uint32_t clock, WrittenReply& out) const;

 private:
  WrittenReply model_;  // 0 where it differs
  bool v4_ = false;
  std::uint32_t timestamps_at_ = 0;  // 0: it has none
  // Sums of 16-bit words: of the IPv4 header; of what the TCP checksum is over, the pseudo-header included.
  std::uint32_t ip_sum_ = 0;
  std::uint32_t tcp_sum_ = 0;
};

}  // namespace synfin::stack
