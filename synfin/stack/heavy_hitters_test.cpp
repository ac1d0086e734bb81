// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/heavy_hitters.h"

#include <gtest/gtest.h>

#include <map>

#include "synfin/base/entropy.h"

namespace synfin::stack {
namespace {

TEST(HeavyHitters, CountsExactlyWhileAllKeysFit) {
  HeavyHitters<4> hitters;
  for (std::uint64_t key : {5U, 6U, 5U, 7U, 5U, 6U}) hitters.add(key, 2);
  std::array<HeavyHitters<4>::Hitter, 5> top;
  hitters.top(top);
  EXPECT_EQ(top[0].key, 5u);
  EXPECT_EQ(top[0].at_least, 6u);
  EXPECT_EQ(top[1].key, 6u);
  EXPECT_EQ(top[1].at_least, 4u);
  EXPECT_EQ(top[2].at_least, 2u);
  EXPECT_EQ(top[3].at_least, 0u);
  EXPECT_EQ(top[4].at_least, 0u);
  EXPECT_EQ(hitters.total(), 12u);
  EXPECT_EQ(hitters.known(), 12u);
}

TEST(HeavyHitters, KeyZeroIsAKey) {
  HeavyHitters<4> hitters;
  hitters.add(0, 1);
  hitters.add(1, 1);
  hitters.add(0, 1);
  std::array<HeavyHitters<4>::Hitter, 2> top;
  hitters.top(top);
  EXPECT_EQ(top[0].key, 0u);
  EXPECT_EQ(top[0].at_least, 2u);
  EXPECT_EQ(top[1].at_least, 1u);
}

// The promise: nothing above 1 / kSize is missed, and no count is above the truth or further below than that.
TEST(HeavyHitters, BoundsHoldAmongManyKeys) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SeededEntropy random(seed);
    HeavyHitters<16> hitters;
    std::map<std::uint64_t, std::uint64_t> truth;
    constexpr std::uint64_t kTotal = 20'000;
    for (std::uint64_t i = 0; i < kTotal; ++i) {
      const std::uint32_t dice = random.below(100);
      const std::uint64_t key = dice < 30 ? 1 : dice < 45 ? 2 : dice < 53 ? 3 : 1000 + random.below(50'000);
      hitters.add(key, 1);
      ++truth[key];
    }
    std::array<HeavyHitters<16>::Hitter, 16> top;
    hitters.top(top);
    for (std::uint64_t key = 1; key <= 3; ++key) {
      EXPECT_EQ(top[key - 1].key, key);
      EXPECT_GE(top[key - 1].at_least + kTotal / 16, truth[key]);
    }
    for (const auto& hitter : top) EXPECT_LE(hitter.at_least, truth[hitter.key]);
    EXPECT_LT(hitters.known(), kTotal * 6 / 10) << "what is spread belongs to nobody";
    EXPECT_GE(hitters.known(), kTotal * 4 / 10);
  }
}

TEST(HeavyHitters, WhatIsOldWeighsLess) {
  HeavyHitters<4> hitters;
  hitters.add(1, 100);
  hitters.add(2, 3);
  hitters.age(0.25);
  hitters.add(2, 50);
  std::array<HeavyHitters<4>::Hitter, 2> top;
  hitters.top(top);
  EXPECT_EQ(top[0].key, 2u);
  EXPECT_EQ(top[0].at_least, 50u);
  EXPECT_EQ(top[1].at_least, 25u);
  EXPECT_EQ(hitters.total(), 75u);
  hitters.age(0);
  EXPECT_EQ(hitters.total(), 0u);
  EXPECT_EQ(hitters.known(), 0u);
}

}  // namespace
}  // namespace synfin::stack
