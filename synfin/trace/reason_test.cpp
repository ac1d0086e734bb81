// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/reason.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "synfin/trace/state.h"

namespace synfin::trace {
namespace {

std::vector<Reason> all_reasons() {
  std::vector<Reason> all;
  for (std::size_t i = 0; i < kReasonCount; ++i) all.push_back(static_cast<Reason>(i));
  return all;
}

TEST(Reason, NamesAreUniqueAndSnakeCase) {
  std::set<std::string_view> seen;
  for (const Reason r : all_reasons()) {
    EXPECT_TRUE(seen.insert(name(r)).second) << name(r) << " twice";
    ASSERT_FALSE(name(r).empty());
    for (const char c : name(r)) {
      EXPECT_TRUE(std::islower(static_cast<unsigned char>(c)) ||
                  std::isdigit(static_cast<unsigned char>(c)) || c == '_')
          << name(r);
    }
  }
  EXPECT_EQ(seen.size(), kReasonCount);
}

TEST(Reason, SentencesAreSentences) {
  for (const Reason r : all_reasons()) {
    const std::string_view s = sentence(r);
    ASSERT_FALSE(s.empty()) << name(r);
    EXPECT_EQ(s.back(), '.') << name(r);
    // A sentence may begin with a setting's name.
    const bool names_a_setting = s.substr(0, s.find(' ')).find('_') != std::string_view::npos;
    EXPECT_TRUE(names_a_setting || !std::islower(static_cast<unsigned char>(s.front()))) << name(r);
    EXPECT_EQ(s.find("  "), std::string_view::npos) << name(r);
  }
}

TEST(Reason, SectionsNameAnRfc) {
  for (const Reason r : all_reasons()) {
    if (section(r).empty()) continue;
    EXPECT_TRUE(section(r).starts_with("RFC ")) << name(r);
    EXPECT_TRUE(section(r).size() > 4 && std::isdigit(static_cast<unsigned char>(section(r)[4]))) << name(r);
  }
}

TEST(Reason, IsFoundByItsName) {
  for (const Reason r : all_reasons()) EXPECT_EQ(reason_named(name(r)), r) << name(r);
  EXPECT_EQ(reason_named("out_of_window"), Reason::kOutOfWindow);
  EXPECT_EQ(reason_named("no_such_reason"), std::nullopt);
  EXPECT_EQ(reason_named(""), std::nullopt);
}

TEST(Reason, EachParseErrorHasItsOwn) {
  std::set<Reason> seen;
  const auto last = std::to_underlying(wire::ParseError::kIcmpTruncatedQuote);
  for (std::uint8_t i = 0; i <= last; ++i) {
    const Reason r = reason_of(static_cast<wire::ParseError>(i));
    EXPECT_NE(r, Reason::kNone) << int{i};
    EXPECT_TRUE(seen.insert(r).second) << name(r) << " twice";
  }
  EXPECT_EQ(reason_of(wire::ParseError::kTcpBadChecksum), Reason::kTcpBadChecksum);
}

TEST(State, AllElevenAreNamed) {
  std::set<std::string_view> names, ss_names;
  for (std::size_t i = 0; i < kStateCount; ++i) {
    const State s = static_cast<State>(i);
    ASSERT_FALSE(name(s).empty()) << i;
    EXPECT_TRUE(names.insert(name(s)).second) << name(s);
    EXPECT_TRUE(ss_names.insert(ss_name(s)).second) << ss_name(s);
    ASSERT_FALSE(meaning(s).empty()) << name(s);
    EXPECT_EQ(meaning(s).back(), '.') << name(s);
  }
  EXPECT_EQ(names.size(), 11U);
  EXPECT_EQ(name(State::kSynReceived), "SYN-RECEIVED");
  EXPECT_EQ(ss_name(State::kSynReceived), "SYN-RECV");
  EXPECT_EQ(name(State::kTimeWait), "TIME-WAIT");
}

}  // namespace
}  // namespace synfin::trace
