// SPDX-License-Identifier: Apache-2.0
//
// SYNs as a flood from forged sources brings them.
#pragma once

#include <cstdint>
#include <span>

#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/tcp.h"

namespace synfin::bench {

/// Fast and repeatable; nothing else is asked of it (xorshift64*).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e37'79b9'7f4a'7c15u | 1u) {}
  std::uint32_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::uint32_t>(state_ * 0x2545'f491'4f6c'dd1du >> 32);
  }

 private:
  std::uint64_t state_;
};

/// With timestamps each SYN is what Linux sends: MSS, SACK permitted, timestamps and window scale, 60 octets
/// over IPv4. Without: MSS, SACK permitted and window scale. Address, port, number and clock of the source
/// are drawn for each.
class SynSource {
 public:
  /// Sources are of the target's family: 11.0.0.0 to 74.255.255.255, or 2001:db8::/32. `pool` outlives it.
  SynSource(const wire::Endpoint& target, bool timestamps, std::uint64_t seed, wire::BlockPool& pool);

  /// One packet a frame, whole in its first slice, as a link delivers it.
  void fill(std::span<wire::Frame> frames);

 private:
  wire::IpAddress draw_address();

  wire::BlockPool& pool_;
  Random random_;
  wire::IpHeader ip_;
  wire::TcpHeader tcp_;
};

}  // namespace synfin::bench
