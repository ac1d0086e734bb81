// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "synfin/base/keyed_hash_many.h"
#include "synfin/wire/address.h"

namespace synfin::tcp {

/// Packed 4-tuples, all of one size, to be hashed side by side. Lanes that nothing was put into hold nothing
/// that matters.
class TupleLanes {
 public:
  void put(std::size_t lane, const wire::PackedTuple& tuple) {
    size_ = tuple.size();
    for (std::size_t w = 0; w <= size_ / 8; ++w) words_[w][lane] = tuple.word(w);
  }
  void hash(const Key& key, HashLanes& out) const {
    keyed_hash_many(key, std::span{words_}.first(size_ / 8 + 1), size_, out);
  }

 private:
  std::array<HashLanes, 6> words_{};
  std::size_t size_ = 0;
};

}  // namespace synfin::tcp
