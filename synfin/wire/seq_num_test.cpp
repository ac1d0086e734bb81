// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/seq_num.h"

#include <gtest/gtest.h>

#include "synfin/base/entropy.h"

namespace synfin::wire {
namespace {

class NearTheWrap : public ::testing::TestWithParam<std::uint32_t> {};

TEST_P(NearTheWrap, OrderFollowsDistance) {
  const SeqNum base{GetParam()};
  for (const std::uint32_t ahead : {1U, 2U, 0x7fffU, 0x10000U, 0x3fff'ffffU, 0x7fff'ffffU}) {
    const SeqNum further = base + ahead;
    EXPECT_TRUE(base.before(further)) << ahead;
    EXPECT_TRUE(base.at_or_before(further)) << ahead;
    EXPECT_FALSE(base.after(further)) << ahead;
    EXPECT_FALSE(base.at_or_after(further)) << ahead;
    EXPECT_TRUE(further.after(base)) << ahead;
    EXPECT_TRUE(further.at_or_after(base)) << ahead;
    EXPECT_EQ(further - base, static_cast<std::int32_t>(ahead));
    EXPECT_EQ(base - further, -static_cast<std::int32_t>(ahead));
    EXPECT_EQ(further - ahead, base);
    EXPECT_EQ(later(base, further), further);
    EXPECT_EQ(later(further, base), further);
    EXPECT_EQ(earlier(base, further), base);
    EXPECT_EQ(earlier(further, base), base);
  }
}

TEST_P(NearTheWrap, ANumberIsNeitherBeforeNorAfterItself) {
  const SeqNum s{GetParam()};
  EXPECT_FALSE(s.before(s));
  EXPECT_FALSE(s.after(s));
  EXPECT_TRUE(s.at_or_before(s));
  EXPECT_TRUE(s.at_or_after(s));
  EXPECT_EQ(s - s, 0);
}

TEST_P(NearTheWrap, AnIntervalHoldsItsFirstAndNotItsEnd) {
  const SeqNum first{GetParam()};
  EXPECT_FALSE(first.in(first, 0));
  EXPECT_TRUE(first.in(first, 1));
  EXPECT_FALSE((first + 1).in(first, 1));
  EXPECT_TRUE((first + 65'534).in(first, 65'535));
  EXPECT_FALSE((first + 65'535).in(first, 65'535));
  EXPECT_FALSE((first - 1).in(first, 65'535));
}

TEST_P(NearTheWrap, AdvancingInPlaceIsAddition) {
  SeqNum s{GetParam()};
  s += 1460;
  EXPECT_EQ(s, SeqNum{GetParam()} + 1460);
}

INSTANTIATE_TEST_SUITE_P(Bases, NearTheWrap,
                         ::testing::Values(0U, 1U, 0x7fff'fffeU, 0x7fff'ffffU, 0x8000'0000U, 0x8000'0001U,
                                           0xffff'0000U, 0xffff'fffeU, 0xffff'ffffU));

// The definition, without wrapping arithmetic: `a` is before `b` when going up from a meets b within 2^31 - 1
// steps.
TEST(SeqNum, AgreesWithTheDefinitionInSixtyFourBits) {
  SeededEntropy entropy{9293};
  for (int i = 0; i < 100'000; ++i) {
    const std::uint32_t a = entropy.u32();
    const std::uint32_t b = entropy.below(4) == 0 ? a + entropy.below(16) - 8 : entropy.u32();
    std::uint64_t up = b;
    if (up < a) up += 1ULL << 32;
    up -= a;
    EXPECT_EQ(SeqNum{a}.before(SeqNum{b}), up != 0 && up <= (1ULL << 31)) << a << ' ' << b;
    const std::uint32_t octets = entropy.u32();
    EXPECT_EQ(SeqNum{b}.in(SeqNum{a}, octets), up < octets) << a << ' ' << b << ' ' << octets;
  }
}

TEST(WindowScale, IsNeverOverFourteen) {
  EXPECT_EQ(WindowScale{14}.shift(), 14);
  EXPECT_EQ(WindowScale{15}.shift(), 14);
  EXPECT_EQ(WindowScale{255}.shift(), 14);
  EXPECT_EQ(WindowScale::none().shift(), 0);
}

TEST(Window, SaturatesAtWhatTheFieldCanSay) {
  EXPECT_EQ((Window{65'535} >> WindowScale::none()).field, 65'535);
  EXPECT_EQ((Window{65'536} >> WindowScale::none()).field, 65'535);
  EXPECT_EQ((Window{0xffff'ffff} >> WindowScale{14}).field, 65'535);
  EXPECT_EQ((Window{0xffff'ffff} >> WindowScale{7}).field, 65'535);
}

// RFC 9293: REC-1.
TEST(Window, TheLargestIsTheOneOfRfc7323) {
  EXPECT_EQ((WireWindow{0xffff} << WindowScale{14}).octets, 0x3fff'c000U);
}

TEST(Window, WhatIsOfferedIsNeverMoreThanThereIs) {
  SeededEntropy entropy{7323};
  for (int i = 0; i < 20'000; ++i) {
    const Window window{entropy.u32() >> entropy.below(32)};
    const WindowScale scale{static_cast<std::uint8_t>(entropy.below(15))};
    const Window offered = (window >> scale) << scale;
    EXPECT_LE(offered.octets, window.octets);
    if (window.octets >> scale.shift() <= 0xffff) {
      EXPECT_LT(window.octets - offered.octets, 1U << scale.shift()) << window.octets;
    }
  }
}

}  // namespace
}  // namespace synfin::wire
