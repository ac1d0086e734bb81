// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/keyed_hash.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// The hash of a 4-tuple for the demultiplexing table. Keyed, so that a peer that chooses its addresses and
/// ports cannot choose where its connections lie.
inline std::uint32_t tuple_hash(const Key& key, const wire::FourTuple& tuple) {
  return static_cast<std::uint32_t>(keyed_hash(key, wire::PackedTuple{tuple}.bytes()));
}

}  // namespace synfin::stack
