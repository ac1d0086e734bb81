// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/recovery.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using wire::SeqNum;
using Action = Recovery::Action;

constexpr std::uint32_t kMss = 1000;

// The whole exchange runs across the wrap for the second parameter.
class Rfc6582 : public testing::TestWithParam<std::uint32_t> {
 protected:
  SeqNum at(std::uint32_t octets) const { return SeqNum{GetParam()} + octets; }
  Recovery recovery_{SeqNum{GetParam()} - 1};
};
INSTANTIATE_TEST_SUITE_P(Numbers, Rfc6582, testing::Values(1000u, 0xffff'f000u));

TEST_P(Rfc6582, ThirdDuplicateEntersRecovery) {
  EXPECT_EQ(recovery_.on_duplicate(at(0), at(10000), kMss), Action::kNothing);
  EXPECT_EQ(recovery_.inflation(), kMss);  // limited transmit, RFC 3042
  EXPECT_EQ(recovery_.on_duplicate(at(0), at(10000), kMss), Action::kNothing);
  EXPECT_EQ(recovery_.inflation(), 2 * kMss);
  EXPECT_EQ(recovery_.on_duplicate(at(0), at(10000), kMss), Action::kEnter);
  EXPECT_TRUE(recovery_.active());
  EXPECT_EQ(recovery_.inflation(), 3 * kMss);
}

TEST_P(Rfc6582, FurtherDuplicatesInflateAndPartialAcknowledgementsDeflate) {
  for (int i = 0; i < 3; ++i) (void)recovery_.on_duplicate(at(0), at(10000), kMss);
  EXPECT_EQ(recovery_.on_duplicate(at(0), at(10000), kMss), Action::kNothing);
  EXPECT_EQ(recovery_.inflation(), 4 * kMss);
  EXPECT_EQ(recovery_.on_advance(at(3000), 3000, kMss), Action::kRetransmitFirst);
  EXPECT_EQ(recovery_.inflation(), 2 * kMss);  // 4 - 3 + 1
  EXPECT_TRUE(recovery_.active());
}

TEST_P(Rfc6582, FullAcknowledgementEndsIt) {
  for (int i = 0; i < 3; ++i) (void)recovery_.on_duplicate(at(0), at(10000), kMss);
  EXPECT_EQ(recovery_.on_advance(at(10000), 10000, kMss), Action::kExit);
  EXPECT_FALSE(recovery_.active());
  EXPECT_EQ(recovery_.inflation(), 0u);
}

TEST_P(Rfc6582, DuplicatesOfWhatATimeoutSentAgainProveNothing) {
  recovery_.on_timeout(at(10000));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(recovery_.on_duplicate(at(2000), at(10000), kMss), Action::kNothing);
  EXPECT_FALSE(recovery_.active());
  (void)recovery_.on_advance(at(10000), 8000, kMss);
  for (int i = 0; i < 2; ++i) (void)recovery_.on_duplicate(at(10000), at(20000), kMss);
  EXPECT_EQ(recovery_.on_duplicate(at(10000), at(20000), kMss), Action::kEnter);
}

TEST_P(Rfc6582, AnAdvanceStartsTheCountAnew) {
  (void)recovery_.on_duplicate(at(0), at(10000), kMss);
  (void)recovery_.on_duplicate(at(0), at(10000), kMss);
  EXPECT_EQ(recovery_.on_advance(at(1000), 1000, kMss), Action::kNothing);
  EXPECT_EQ(recovery_.inflation(), 0u);
  EXPECT_EQ(recovery_.on_duplicate(at(1000), at(10000), kMss), Action::kNothing);
}

}  // namespace
}  // namespace synfin::tcp
