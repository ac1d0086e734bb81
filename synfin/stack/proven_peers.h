// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "synfin/base/keyed_hash.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// Addresses that completed a handshake lately. Without SYN cookies the last quarter of the SYN queue is
/// theirs, as on Linux. A newer one may displace an older one; a stranger is taken for one in 2^32.
class ProvenPeers {
 public:
  explicit ProvenPeers(const Key& key) : key_(key) {}
  void add(const wire::IpAddress& peer) {
    const std::uint64_t hash = keyed_hash(key_, peer.octets());
    slots_[hash % kSlots] = tag(hash);
  }
  bool contains(const wire::IpAddress& peer) const {
    const std::uint64_t hash = keyed_hash(key_, peer.octets());
    return slots_[hash % kSlots] == tag(hash);
  }

 private:
  static constexpr std::size_t kSlots = 1024;
  // Never 0, which is an empty slot.
  static std::uint32_t tag(std::uint64_t hash) { return static_cast<std::uint32_t>(hash >> 32) | 1u; }

  Key key_;
  std::array<std::uint32_t, kSlots> slots_{};
};

}  // namespace synfin::stack
