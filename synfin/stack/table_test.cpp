// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin::stack {
namespace {

RecordRef ref_of(std::uint32_t index) {
  return {RecordKind::kConnection, index};
}

RecordRef find_exactly(const Table& table, std::uint32_t hash, RecordRef ref) {
  return table.find(hash, [ref](RecordRef candidate) { return candidate == ref; });
}

TEST(Table, AnEmptyOneFindsNothingAndHoldsNoMemory) {
  Table table;
  EXPECT_FALSE(table.find(7, [](RecordRef) { return true; }));
  EXPECT_FALSE(table.erase(7, ref_of(1)));
  EXPECT_FALSE(table.replace(7, ref_of(1), ref_of(2)));
  table.prefetch(7);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.memory(), 0u);
}

TEST(Table, FindsAmongEqualHashesTheOneThatIsTheSame) {
  Table table;
  for (std::uint32_t i = 0; i < 5; ++i) ASSERT_TRUE(table.insert(0xffff'ffff, ref_of(i)));
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(find_exactly(table, 0xffff'ffff, ref_of(i)), ref_of(i));
  EXPECT_FALSE(find_exactly(table, 0xffff'ffff, ref_of(5)));
  EXPECT_FALSE(find_exactly(table, 0xffff'fffe, ref_of(0)));
  EXPECT_TRUE(table.erase(0xffff'ffff, ref_of(2)));
  EXPECT_FALSE(table.erase(0xffff'ffff, ref_of(2)));
  EXPECT_FALSE(find_exactly(table, 0xffff'ffff, ref_of(2)));
  EXPECT_EQ(find_exactly(table, 0xffff'ffff, ref_of(4)), ref_of(4));
}

TEST(Table, ReplaceKeepsThePlace) {
  Table table;
  ASSERT_TRUE(table.insert(42, RecordRef(RecordKind::kHalfOpen, 1)));
  EXPECT_TRUE(table.replace(42, RecordRef(RecordKind::kHalfOpen, 1), ref_of(9)));
  EXPECT_EQ(table.find(42, [](RecordRef) { return true; }), ref_of(9));
  EXPECT_EQ(table.size(), 1u);
}

TEST(Table, AsksOnlyAboutRecordsOfTheSameHash) {
  Table table;
  SeededEntropy entropy(1);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_TRUE(table.insert(entropy.u32() | 1, ref_of(i)));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(table.find(entropy.u32() & ~1u, [](RecordRef) { return true; }));
  }
}

TEST(Table, RefusesWhatExceedsItsMemory) {
  Table table(1000);  // rounded down to 512 slots
  std::uint32_t count = 0;
  while (table.insert(count * 0x9e37'79b9, ref_of(count))) ++count;
  EXPECT_EQ(count, 512u / 16 * 15);
  EXPECT_EQ(table.capacity(), 512u);
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSERT_EQ(find_exactly(table, i * 0x9e37'79b9, ref_of(i)), ref_of(i));
  }
  EXPECT_TRUE(table.erase(0, ref_of(0)));
  EXPECT_TRUE(table.insert(0, ref_of(0)));
}

// Everything that grows must shrink again, and no single change may do more than its share of it.
TEST(Table, ResizesAFewSlotsAtATime) {
  constexpr std::uint32_t kCount = 300'000;
  Table table;
  SeededEntropy entropy(7);
  std::vector<std::uint32_t> hashes(kCount);
  std::uint64_t moved = 0;
  std::size_t memory = 0;
  std::size_t most = 0;
  const auto check = [&](std::size_t memory_before) {
    const std::uint64_t now = table.slots_moved();
    ASSERT_LE(now - moved, Table::kMoveStep);
    moved = now;
    memory = table.memory();
    most = std::max(most, memory);
    // Memory goes back in small pieces, too.
    ASSERT_LE(memory_before, memory + 128u * 1024);
  };
  for (std::uint32_t i = 0; i < kCount; ++i) {
    hashes[i] = entropy.u32();
    ASSERT_TRUE(table.insert(hashes[i], ref_of(i)));
    check(memory);
    ASSERT_GE(table.capacity() * 7, table.size() * 8);
  }
  EXPECT_GT(moved, kCount);
  EXPECT_LE(table.capacity(), 2u * kCount);
  EXPECT_LE(most, table.capacity() * sizeof(std::uint64_t) * 2);
  for (std::uint32_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(table.erase(hashes[i], ref_of(i)));
    check(memory);
  }
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.capacity(), Table::kMinCapacity);
  EXPECT_EQ(table.memory(), Table::kMinCapacity * sizeof(std::uint64_t));
}

// Large arrays forget what they have moved; what runs over their end in the meantime must not be among it.
TEST(Table, LosesNothingWhereMovedSlotsAreForgotten) {
  constexpr std::uint32_t kCount = 250'000;
  Table table;
  SeededEntropy entropy(8);
  std::vector<std::uint32_t> hashes(kCount);
  for (std::uint32_t i = 0; i < kCount; ++i) {
    // One of 64 comes to the last homes, and many of these to the first slots.
    hashes[i] = entropy.u32() | (i % 64 == 0 ? 0xfff0'0000 : 0);
    ASSERT_TRUE(table.insert(hashes[i], ref_of(i)));
    if (!table.resizing() || i % 16'384 != 0) continue;
    for (std::uint32_t n = 0; n <= i; ++n) {
      ASSERT_EQ(find_exactly(table, hashes[n], ref_of(n)), ref_of(n)) << n << " of " << i;
    }
  }
  for (std::uint32_t i = 0; i < kCount; ++i) ASSERT_TRUE(table.erase(hashes[i], ref_of(i)));
  EXPECT_EQ(table.size(), 0u);
}

enum class Hashes {
  kUniform,
  kFew,
  kEqual,
  kAtTheEnd
};

class TableModel : public testing::TestWithParam<Hashes> {
 protected:
  static std::uint32_t draw(Entropy& entropy) {
    switch (GetParam()) {
      case Hashes::kUniform:
        return entropy.u32();
      case Hashes::kFew:
        return entropy.below(64) * 0x0400'0000;
      case Hashes::kEqual:
        return 0x8000'0000;
      case Hashes::kAtTheEnd:  // runs go over the end of the array
        return 0xffff'ffff - entropy.below(8) * 0x0010'0000;
    }
    return 0;
  }
};

TEST_P(TableModel, AgreesWithAMultimapUnderRandomOperations) {
  const bool uniform = GetParam() == Hashes::kUniform;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    SeededEntropy entropy(seed);
    Table table;
    std::unordered_multimap<std::uint32_t, std::uint32_t> model;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> live;
    std::uint32_t next_index = 0;
    std::size_t resizing_steps = 0;
    const std::uint32_t steps = uniform ? 60'000 : 6'000;
    for (std::uint32_t step = 0; step < steps; ++step) {
      const bool growing = step * 4 / steps % 2 == 0;
      const std::uint32_t dice = entropy.below(100);
      if (live.empty() || dice < (growing ? 70u : 20u)) {
        const std::uint32_t hash = draw(entropy);
        ASSERT_TRUE(table.insert(hash, ref_of(next_index)));
        model.emplace(hash, next_index);
        live.emplace_back(hash, next_index++);
      } else {
        const std::uint32_t pick = entropy.below(static_cast<std::uint32_t>(live.size()));
        const auto [hash, index] = live[pick];
        const auto range = model.equal_range(hash);
        const auto it = std::find_if(range.first, range.second, [&](auto& e) { return e.second == index; });
        ASSERT_NE(it, range.second);
        if (dice < 90) {
          ASSERT_TRUE(table.erase(hash, ref_of(index)));
          ASSERT_FALSE(find_exactly(table, hash, ref_of(index)));
          model.erase(it);
          live[pick] = live.back();
          live.pop_back();
        } else {
          ASSERT_TRUE(table.replace(hash, ref_of(index), ref_of(next_index)));
          it->second = next_index;
          live[pick].second = next_index++;
        }
      }
      ASSERT_EQ(table.size(), model.size());
      resizing_steps += table.resizing() ? 1 : 0;
      // While it resizes look at everything now and then, else at samples.
      const std::size_t looks =
          table.resizing() && step % 16 == 0 ? live.size() : std::min<std::size_t>(4, live.size());
      for (std::size_t i = 0; i < looks; ++i) {
        const auto [hash, index] =
            looks == live.size() ? live[i] : live[entropy.below(static_cast<std::uint32_t>(live.size()))];
        ASSERT_EQ(find_exactly(table, hash, ref_of(index)), ref_of(index)) << "step " << step;
      }
      ASSERT_FALSE(find_exactly(table, draw(entropy), ref_of(next_index)));
    }
    EXPECT_GT(resizing_steps, 0u);
    for (const auto& [hash, index] : live) {
      std::size_t candidates = 0;
      EXPECT_FALSE(table.find(hash, [&](RecordRef) { return ++candidates == 0; }));
      ASSERT_EQ(candidates, model.count(hash));
      if (!uniform && candidates > 100) break;  // each look-up walks them all
    }
  }
}

std::string name_of(const testing::TestParamInfo<Hashes>& parameter) {
  constexpr std::array kNames{"Uniform", "Few", "Equal", "AtTheEnd"};
  return kNames[static_cast<std::size_t>(parameter.param)];
}

INSTANTIATE_TEST_SUITE_P(Hashes, TableModel,
                         testing::Values(Hashes::kUniform, Hashes::kFew, Hashes::kEqual, Hashes::kAtTheEnd),
                         name_of);

}  // namespace
}  // namespace synfin::stack
