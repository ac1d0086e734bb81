// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/pool.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin::stack {
namespace {

struct Counted {
  explicit Counted(std::uint32_t v, int& living_now) : value(v), living(&living_now) { ++*living; }
  ~Counted() { --*living; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  std::uint32_t value;
  int* living;
};

struct alignas(64) Line {
  std::uint32_t value = 0;
};

TEST(Pool, ConstructsAndDestroysEachRecordOnce) {
  int living = 0;
  {
    Pool<Counted> pool;
    const auto a = pool.allocate(1u, living);
    const auto b = pool.allocate(2u, living);
    ASSERT_TRUE(a && b);
    EXPECT_EQ(living, 2);
    EXPECT_EQ(pool[*a].value, 1u);
    EXPECT_EQ(pool[*b].value, 2u);
    pool.free(*a);
    EXPECT_EQ(living, 1);
    EXPECT_EQ(pool.size(), 1u);
    EXPECT_FALSE(pool.alive(*a));
    EXPECT_TRUE(pool.alive(*b));
  }
  EXPECT_EQ(living, 0);
}

TEST(Pool, AnEmptyPoolHoldsNoMemory) {
  const Pool<Line> pool;
  EXPECT_EQ(pool.memory(), 0u);
  EXPECT_FALSE(pool.alive(0));
  EXPECT_EQ(pool.find(0, 0), nullptr);
}

TEST(Pool, ReusesTheLastFreedFirst) {
  Pool<Line> pool;
  std::vector<std::uint32_t> indices;
  for (int i = 0; i < 10; ++i) indices.push_back(*pool.allocate());
  pool.free(indices[3]);
  pool.free(indices[7]);
  EXPECT_EQ(pool.allocate(), indices[7]);
  EXPECT_EQ(pool.allocate(), indices[3]);
  EXPECT_EQ(pool.allocate(), 10u);
}

TEST(Pool, AStaleNameFindsNothing) {
  Pool<Line> pool;
  const std::uint32_t index = *pool.allocate();
  const std::uint32_t generation = pool.generation(index);
  EXPECT_EQ(pool.find(index, generation), &pool[index]);
  pool.free(index);
  EXPECT_EQ(pool.find(index, generation), nullptr);
  EXPECT_EQ(pool.find(index, pool.generation(index)), nullptr) << "the next generation is not born yet";
  ASSERT_EQ(pool.allocate(), index);
  EXPECT_EQ(pool.find(index, generation), nullptr);
  EXPECT_NE(pool.find(index, pool.generation(index)), nullptr);
  EXPECT_EQ(pool.find(0xffff'ffff, 0), nullptr);
}

TEST(Pool, SmallGenerationsWrap) {
  Pool<Line, std::uint8_t> pool;
  std::vector<int> seen(256);
  for (int i = 0; i < 512; ++i) {
    const std::uint32_t index = *pool.allocate();
    ++seen[pool.generation(index)];
    pool.free(index);
  }
  EXPECT_EQ(seen, std::vector<int>(256, 2));
}

TEST(Pool, StopsAtTheLimit) {
  Pool<Line> pool(2);
  const auto a = pool.allocate();
  ASSERT_TRUE(a && pool.allocate());
  EXPECT_FALSE(pool.allocate());
  pool.free(*a);
  EXPECT_TRUE(pool.allocate());
  pool.set_limit(1);
  EXPECT_FALSE(pool.allocate());
  EXPECT_EQ(pool.size(), 2u);
  pool.set_limit(3);
  EXPECT_TRUE(pool.allocate());
}

TEST(Pool, AddressesAreStableAndAligned) {
  Pool<Line> pool;
  std::vector<const Line*> addresses;
  const std::uint32_t count =
      20 * Pool<Line>::kChunkRecords + 1;  // more chunks than the first directory holds
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t index = *pool.allocate();
    ASSERT_EQ(index, i);
    pool[index].value = i;
    addresses.push_back(&pool[index]);
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSERT_EQ(&pool[i], addresses[i]);
    ASSERT_EQ(pool[i].value, i);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(addresses[i]) % 64, 0u);
  }
  EXPECT_GE(pool.memory(), count * sizeof(Line));
  EXPECT_LE(pool.memory(), 22 * Pool<Line>::kChunkRecords * (sizeof(Line) + 5));
}

TEST(Pool, ForEachVisitsTheLivingAndLetsThemGo) {
  Pool<Line> pool;
  for (std::uint32_t i = 0; i < 5000; ++i) pool[*pool.allocate()].value = i;
  for (std::uint32_t i = 0; i < 5000; i += 3) pool.free(i);
  std::vector<std::uint32_t> visited;
  pool.for_each([&](std::uint32_t index, Line& line) {
    EXPECT_EQ(index, line.value);
    visited.push_back(index);
    pool.free(index);
    if (pool.alive(index + 1)) pool.free(index + 1);
  });
  std::vector<std::uint32_t> expected;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    if (i % 3 == 1) expected.push_back(i);
  }
  EXPECT_EQ(visited, expected);
  EXPECT_EQ(pool.size(), 0u);
}

TEST(Pool, AgreesWithAMapUnderRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    SeededEntropy entropy(seed);
    int living = 0;
    Pool<Counted, std::uint8_t> pool;
    std::map<std::uint32_t, std::uint32_t> model;
    std::map<std::uint32_t, unsigned> generations;
    for (int step = 0; step < 40'000; ++step) {
      // Long phases of growth and of decline, so that chunks are entered and left.
      if (model.empty() || entropy.below(100) < (step / 10'000 % 2 == 0 ? 80u : 30u)) {
        const std::uint32_t value = entropy.u32();
        const std::uint32_t index = *pool.allocate(value, living);
        ASSERT_TRUE(model.emplace(index, value).second);
        ASSERT_EQ(pool.generation(index), generations[index] % 256);
      } else {
        auto it = model.lower_bound(entropy.below(model.rbegin()->first + 1));
        ASSERT_EQ(pool[it->first].value, it->second);
        pool.free(it->first);
        ++generations[it->first];
        model.erase(it);
      }
      ASSERT_EQ(pool.size(), model.size());
      ASSERT_EQ(living, static_cast<int>(model.size()));
    }
    auto it = model.begin();
    pool.for_each([&](std::uint32_t index, const Counted& record) {
      ASSERT_EQ(index, it->first);
      ASSERT_EQ(record.value, it->second);
      ++it;
    });
    EXPECT_EQ(it, model.end());
  }
}

#ifndef NDEBUG
TEST(PoolDeathTest, FreeingTwiceIsCaught) {
  Pool<Line> pool;
  const std::uint32_t index = *pool.allocate();
  pool.free(index);
  EXPECT_DEATH(pool.free(index), "alive");
}
#endif

}  // namespace
}  // namespace synfin::stack
