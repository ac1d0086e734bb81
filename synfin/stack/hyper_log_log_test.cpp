// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/hyper_log_log.h"

#include <gtest/gtest.h>

#include <cmath>

#include "synfin/base/entropy.h"

namespace synfin::stack {
namespace {

TEST(HyperLogLog, NothingIsNothingAndRepeatsAreNotCounted) {
  HyperLogLog<11> sketch;
  EXPECT_EQ(sketch.estimate(), 0);
  for (int i = 0; i < 1000; ++i) sketch.add(0x0123'4567'89ab'cdef);
  EXPECT_NEAR(sketch.estimate(), 1, 0.01);
  sketch.add(0);
  sketch.add(~std::uint64_t{0});
  EXPECT_NEAR(sketch.estimate(), 3, 0.01);
  sketch.clear();
  EXPECT_EQ(sketch.estimate(), 0);
}

// 2.3 % is the standard error of 2048 registers; over 100 keys the mean and the spread show a bias as well.
TEST(HyperLogLog, HasTheErrorThatItsSizePromises) {
  for (const int count : {100, 1'000, 5'000, 10'000, 100'000}) {
    double sum = 0, squares = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
      SeededEntropy hashes(seed);
      HyperLogLog<11> sketch;
      for (int i = 0; i < count; ++i) sketch.add(hashes.u64());
      const double error = sketch.estimate() / count - 1;
      sum += error;
      squares += error * error;
    }
    EXPECT_LT(std::abs(sum / 100), 0.008) << count;
    EXPECT_LT(std::sqrt(squares / 100), 0.03) << count;
  }
}

TEST(HyperLogLog, MergedSketchesCountWhatEitherSaw) {
  SeededEntropy hashes(7);
  HyperLogLog<11> both, left, right;
  for (int i = 0; i < 30'000; ++i) {
    const std::uint64_t hash = hashes.u64();
    both.add(hash);
    if (i < 20'000) left.add(hash);
    if (i >= 10'000) right.add(hash);
  }
  left.merge(right);
  EXPECT_EQ(left.estimate(), both.estimate());
}

}  // namespace
}  // namespace synfin::stack
