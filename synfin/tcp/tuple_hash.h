// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/keyed_hash.h"
#include "synfin/wire/address.h"

namespace synfin::tcp {

/// What a 4-tuple is known by: two halves of one keyed hash. Neither says anything of the other, so peers may
/// learn the second although nobody must know the first.
struct TupleHash {
  /// Where it lies in the demultiplexing table. A peer that chooses its addresses and ports cannot choose it.
  std::uint32_t place;
  /// What is added to the clock in TSval (RFC 7323 §5.4). Always the same for one 4-tuple, so that timestamps
  /// rise from one connection to the next, as reuse of a 4-tuple in TIME-WAIT (RFC 6191) needs.
  std::uint32_t timestamp_offset;

  static TupleHash of(std::uint64_t hash) {
    return {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32)};
  }
};

inline TupleHash tuple_hash(const Key& key, const wire::FourTuple& tuple) {
  return TupleHash::of(keyed_hash(key, wire::PackedTuple{tuple}.bytes()));
}

}  // namespace synfin::tcp
