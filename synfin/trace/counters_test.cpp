// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/counters.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>
#include <utility>

namespace synfin::trace {
namespace {

TEST(Counters, HaveUniqueNamesAndMeanings) {
  std::set<std::string_view> seen;
  for (std::uint8_t i = 0; i < std::to_underlying(Counter::kCount); ++i) {
    const Counter c = static_cast<Counter>(i);
    ASSERT_FALSE(name(c).empty()) << int{i};
    EXPECT_TRUE(seen.insert(name(c)).second) << name(c) << " twice";
    ASSERT_FALSE(meaning(c).empty()) << name(c);
    EXPECT_EQ(meaning(c).back(), '.') << name(c);
  }
}

TEST(Counters, CountersAndReasonsAreApart) {
  Counters counters;
  ++counters[Counter::kOutRsts];
  counters[Reason::kNoOwner] += 3;
  EXPECT_EQ(counters[Counter::kOutRsts], 1U);
  EXPECT_EQ(counters[Reason::kNoOwner], 3U);
  EXPECT_EQ(counters[Counter::kInSegs], 0U);
}

}  // namespace
}  // namespace synfin::trace
