// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/cause.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace synfin::trace {
namespace {

TEST(Cause, EachHasANameOfItsOwnAndASentence) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kCauseCount; ++i) {
    const auto cause = static_cast<Cause>(i);
    EXPECT_TRUE(names.insert(name(cause)).second) << name(cause);
    EXPECT_EQ(meaning(cause).back(), '.') << name(cause);
    EXPECT_EQ(cause_named(name(cause)), cause);
  }
  EXPECT_EQ(cause_named("no_such_cause"), std::nullopt);
}

TEST(Cause, EachIsWhatSomeReasonComesDownTo) {
  std::set<Cause> reached;
  for (std::size_t i = 0; i < kReasonCount; ++i) reached.insert(cause_of(static_cast<Reason>(i)));
  EXPECT_EQ(reached.size(), kCauseCount);
}

TEST(Cause, AReasonThatEndsNothingHasNone) {
  EXPECT_EQ(cause_of(Reason::kAckAccepted), Cause::kNone);
  EXPECT_EQ(cause_of(Reason::kResetChallenged), Cause::kNone);
  EXPECT_EQ(cause_of(Reason::kRetransmitR1), Cause::kNone);
}

}  // namespace
}  // namespace synfin::trace
