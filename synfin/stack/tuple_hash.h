// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "synfin/base/keyed_hash.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// The hash of a 4-tuple for the demultiplexing table. Keyed, so that a peer that chooses its addresses and
/// ports cannot choose where its connections lie.
inline std::uint32_t tuple_hash(const Key& key, const wire::FourTuple& tuple) {
  if (!tuple.local.address.is_v4() || !tuple.remote.address.is_v4()) {
    return static_cast<std::uint32_t>(keyed_hash(key, std::as_bytes(std::span{&tuple, 1})));
  }
  // The mapped prefix is the same for all: without it SipHash has two blocks to do rather than five.
  std::array<std::byte, 12> packed;
  std::memcpy(packed.data(), tuple.local.address.octets().data() + 12, 4);
  std::memcpy(packed.data() + 4, tuple.remote.address.octets().data() + 12, 4);
  std::memcpy(packed.data() + 8, &tuple.local.port, 2);
  std::memcpy(packed.data() + 10, &tuple.remote.port, 2);
  return static_cast<std::uint32_t>(keyed_hash(key, packed));
}

}  // namespace synfin::stack
