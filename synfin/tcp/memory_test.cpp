// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace synfin::tcp {
namespace {

constexpr Triple kPages{16, 32, 64};  // 4, 8 and 16 of the blocks below

class MemoryBudgetTest : public testing::Test {
 protected:
  MemoryLevel level_with(std::size_t blocks) {
    while (held_.size() > blocks) held_.pop_back();
    while (held_.size() < blocks)
      held_.push_back(pool_.copy(std::vector<std::byte>(wire::BlockPool::kMedium)));
    return budget_.level(pool_, kPages, counters_);
  }
  wire::BlockPool pool_;
  MemoryBudget budget_;
  trace::Counters counters_;
  std::vector<wire::Slice> held_;
};

TEST_F(MemoryBudgetTest, PressureBeginsAtTheSecondAmountAndEndsBelowTheFirst) {
  EXPECT_EQ(level_with(7), MemoryLevel::kPlenty);
  EXPECT_EQ(level_with(8), MemoryLevel::kPressure);
  EXPECT_EQ(level_with(5), MemoryLevel::kPressure);
  EXPECT_EQ(level_with(4), MemoryLevel::kPressure);
  EXPECT_EQ(level_with(3), MemoryLevel::kPlenty);
  EXPECT_EQ(level_with(7), MemoryLevel::kPlenty);
  EXPECT_EQ(counters_[trace::Counter::kTCPMemoryPressures], 1u);
  EXPECT_EQ(level_with(8), MemoryLevel::kPressure);
  EXPECT_EQ(counters_[trace::Counter::kTCPMemoryPressures], 2u);
}

TEST_F(MemoryBudgetTest, IsFullFromTheThirdAmountOn) {
  EXPECT_EQ(level_with(15), MemoryLevel::kPressure);
  EXPECT_EQ(MemoryBudget::room(pool_, kPages), wire::BlockPool::kMedium);
  EXPECT_EQ(level_with(16), MemoryLevel::kFull);
  EXPECT_EQ(MemoryBudget::room(pool_, kPages), 0u);
  EXPECT_EQ(level_with(20), MemoryLevel::kFull);
  EXPECT_EQ(MemoryBudget::room(pool_, kPages), 0u);
  EXPECT_EQ(level_with(15), MemoryLevel::kPressure);
}

// Links take their blocks from the same pool, and must go on receiving.
TEST_F(MemoryBudgetTest, APoolThatIsSmallerLeavesAnEighthToOthers) {
  wire::BlockPool small{8 * wire::BlockPool::kMedium};
  std::vector<wire::Slice> held;
  for (int i = 0; i < 7; ++i) held.push_back(small.copy(std::vector<std::byte>(wire::BlockPool::kMedium)));
  EXPECT_EQ(MemoryBudget::room(small, kPages), 0u);
  EXPECT_EQ(budget_.level(small, kPages, counters_), MemoryLevel::kFull);
  EXPECT_FALSE(small.copy(std::vector<std::byte>(wire::BlockPool::kMedium)).empty());
}

}  // namespace
}  // namespace synfin::tcp
