// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace synfin::stack {
namespace {

TEST(Ring, BehavesAsADequeOfAnyLength) {
  std::mt19937 random{5};  // NOLINT: one seed, as the order of calls is all that matters
  Ring<int> ring;
  std::deque<int> model;
  for (int n = 0; n < 20'000; ++n) {
    // Long phases of growing and of shrinking, so that it wraps around at many lengths.
    const bool grows = random() % 100 < (n / 1000 % 2 == 0 ? 60u : 40u);
    if (grows || model.empty()) {
      ring.push_back(n);
      model.push_back(n);
    } else {
      ASSERT_EQ(ring.front(), model.front());
      ring.pop_front();
      model.pop_front();
    }
    ASSERT_EQ(ring.size(), model.size());
    ASSERT_EQ(ring.empty(), model.empty());
  }
  EXPECT_GT(model.size(), 16u);
  for (; !model.empty(); model.pop_front(), ring.pop_front()) ASSERT_EQ(ring.front(), model.front());
  EXPECT_TRUE(ring.empty());
}

TEST(Ring, TakesOneOfItsOwnWhileItGrows) {
  Ring<int> ring;
  ring.push_back(7);
  for (int n = 1; n < 100; ++n) ring.push_back(ring.front());
  for (; !ring.empty(); ring.pop_front()) EXPECT_EQ(ring.front(), 7);
}

TEST(Ring, LeavesNothingBehindWhenItIsMoved) {
  Ring<int> ring;
  for (int n = 0; n < 20; ++n) ring.push_back(n);
  Ring<int> other = std::move(ring);
  EXPECT_TRUE(ring.empty());  // NOLINT(bugprone-use-after-move): that is what is asked
  EXPECT_EQ(other.size(), 20u);
  ring.push_back(5);
  EXPECT_EQ(ring.front(), 5);
  EXPECT_EQ(other.front(), 0);
}

}  // namespace
}  // namespace synfin::stack
