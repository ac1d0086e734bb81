// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "synfin/base/keyed_hash_many.h"
#include "synfin/wire/address.h"

namespace synfin::tcp {

/// 4-tuples of one family as `wire::PackedTuple` has them, to be hashed side by side. What lies in lanes that
/// nothing was put into does not matter.
class TupleLanes {
 public:
  /// Fewer are hashed faster one by one.
  static constexpr std::size_t kWorthwhile = 3;

  explicit TupleLanes(wire::Family family) : ports_(family == wire::Family::kIpv4 ? 1 : 4) {
    if (ports_ == 1) {
      words_[0] = words_[1] = words_[2] = {};
    } else {
      words_.fill({});
    }
  }

  void put(std::size_t lane, const wire::FourTuple& t) {
    if (ports_ == 1) {
      words_[0][lane] = std::uint64_t{t.local.address.v4_bits()} << 32 | t.remote.address.v4_bits();
    } else {
      for (std::size_t w = 0; w < 2; ++w) {
        words_[w][lane] = word_of(t.local.address, w);
        words_[w + 2][lane] = word_of(t.remote.address, w);
      }
    }
    words_[ports_][lane] = std::uint32_t{t.local.port} << 16 | t.remote.port;
  }
  /// `tuple_hash` of each.
  void hash(const Key& key, HashLanes& out) const { hash(key, ports_ + 1, 4, out); }

  /// Puts 72 bits more behind the tuple, the upper 24 of `last` being 0; then no longer `hash`.
  void add(std::size_t lane, std::uint32_t more, std::uint64_t last) {
    words_[ports_][lane] |= std::uint64_t{more} << 32;
    words_[ports_ + 1][lane] = last;
  }
  void hash_more(const Key& key, HashLanes& out) const { hash(key, ports_ + 2, 5, out); }

 private:
  static std::uint64_t word_of(const wire::IpAddress& address, std::size_t w) {
    std::uint64_t word;
    std::memcpy(&word, address.octets().data() + w * sizeof word, sizeof word);
    return swap_if_big(word);
  }
  void hash(const Key& key, std::size_t words, std::size_t in_last, HashLanes& out) const {
    keyed_hash_many(key, std::span{words_}.first(words), (words - 1) * 8 + in_last, out);
  }

  std::array<HashLanes, 6> words_;  // as many as the family needs, and one for what is added
  std::size_t ports_;  // the word that holds them
};

}  // namespace synfin::tcp
