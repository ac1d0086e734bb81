// SPDX-License-Identifier: Apache-2.0
#include "synfin/base/keyed_hash_many.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin {
namespace {

TEST(KeyedHashMany, IsTheHashOfEach) {
  SeededEntropy entropy(1);
  for (int n = 0; n < 2000; ++n) {
    Key key;
    entropy.fill(key);
    const std::size_t size = entropy.below(64);
    std::vector<HashLanes> words(size / 8 + 1, HashLanes{});
    std::array<std::vector<std::byte>, kHashLanes> messages;
    for (std::size_t lane = 0; lane < kHashLanes; ++lane) {
      messages[lane].resize(size);
      entropy.fill(messages[lane]);
      for (std::size_t at = 0; at < size; ++at)
        words[at / 8][lane] |= std::uint64_t{std::to_integer<std::uint8_t>(messages[lane][at])} << at % 8 * 8;
    }
    HashLanes hashes;
    keyed_hash_many(key, words, size, hashes);
    for (std::size_t lane = 0; lane < kHashLanes; ++lane)
      ASSERT_EQ(hashes[lane], keyed_hash(key, messages[lane])) << size << " octets, lane " << lane;
  }
}

// The vectors that its authors give: octets 00 to 0f for the key, 00 to 0e for the message.
TEST(KeyedHashMany, IsSipHash24) {
  Key key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i);
  std::array<HashLanes, 2> words{};
  words[0].fill(0x0706'0504'0302'0100);
  words[1].fill(0x000e'0d0c'0b0a'0908);
  HashLanes hashes;
  keyed_hash_many(key, words, 15, hashes);
  for (const std::uint64_t hash : hashes) EXPECT_EQ(hash, 0xa129'ca61'49be'45e5u);
}

}  // namespace
}  // namespace synfin
