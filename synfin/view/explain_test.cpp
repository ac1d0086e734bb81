// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "synfin/tcp/settings.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"

namespace synfin::view {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Explain, AReasonWithItsSection) {
  EXPECT_EQ(
      explain("fin_received").value_or(""),
      "fin_received (reason; RFC 9293 §3.10.7.4)\n"
      "  FIN: the peer sends nothing more. This direction is closed; the other stays open until we close it\n"
      "  too.\n");
}

TEST(Explain, AStateInAnySpelling) {
  const auto text = explain("SYN-RECEIVED");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, StartsWith("SYN-RECEIVED (state, SYN-RECV in ss; RFC 9293 §3.3.2)\n"));
  for (const char* spelling : {"syn-received", "SYN_RECEIVED", "SYN-RECV", "syn_recv"}) {
    EXPECT_EQ(explain(spelling), text) << spelling;
  }
  EXPECT_THAT(explain("time_wait").value_or(""), StartsWith("TIME-WAIT (state; RFC"));
}

TEST(Explain, ASettingThatIsANameWithAllNames) {
  EXPECT_THAT(explain("tcp_congestion_control").value_or(""),
              StartsWith("tcp_congestion_control (setting; default cubic, cubic or reno or none or bbr)\n"));
}

TEST(Explain, ASettingWithDefaultAndRange) {
  const auto text = explain("tcp_abort_on_overflow");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, StartsWith("tcp_abort_on_overflow (setting; default 0, 0 to 1)\n"));
}

TEST(Explain, ACounter) {
  EXPECT_THAT(explain("ListenOverflows").value_or(""), StartsWith("ListenOverflows (counter)\n"));
}

TEST(Explain, EveryNameIsExplained) {
  const std::string all = explain_all();
  const auto check = [&](std::string_view name) {
    EXPECT_TRUE(explain(name)) << name;
    if (name != "none") {
      EXPECT_THAT(all, HasSubstr(std::string{name} + " (")) << name;
    }
  };
  for (std::size_t i = 0; i < trace::kReasonCount; ++i) check(trace::name(static_cast<trace::Reason>(i)));
  for (std::size_t i = 0; i < trace::kStateCount; ++i) check(trace::name(static_cast<trace::State>(i)));
  for (const auto& s : tcp::all_settings()) check(s.name);
}

TEST(Explain, UnknownNamesBringTheNearestOnes) {
  const auto typo = explain("fin_recieved");
  ASSERT_FALSE(typo);
  EXPECT_THAT(typo.error(), HasSubstr("near to it: fin_received"));
  EXPECT_THAT(explain("ESTABLISHD").error(), HasSubstr("ESTABLISHED"));
  EXPECT_THAT(explain("tcp_rmen").error(), HasSubstr("tcp_rmem"));
  EXPECT_THAT(explain("paws").error(), HasSubstr("paws_rejected"));
  EXPECT_THAT(explain("qqqqqqqqqqqqqqqqqq").error(), Not(HasSubstr("near to it")));
}

TEST(Explain, ErrorsAreOneShortLineWhateverWasTyped) {
  for (const std::string& name :
       {std::string{}, std::string(5000, 'x'), std::string{"a\nb\x1b[31m\0c", 10}}) {
    const auto text = explain(name);
    ASSERT_FALSE(text);
    EXPECT_LT(text.error().size(), 250U);
    EXPECT_TRUE(std::none_of(text.error().begin(), text.error().end(),
                             [](char c) { return c == '\n' || c == '\x1b'; }));
  }
}

TEST(EditDistance, CountsSlips) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  EXPECT_EQ(edit_distance("abc", "abd"), 1U);
  EXPECT_EQ(edit_distance("abc", "acb"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(SettingsTable, HasALineASettingInAlignedColumns) {
  const std::string table = settings_table();
  EXPECT_EQ(static_cast<std::size_t>(std::count(table.begin(), table.end(), '\n')),
            tcp::all_settings().size() + 1);
  EXPECT_THAT(table, StartsWith("name "));
  const std::size_t column = table.find("meaning");
  for (std::size_t from = 0; from < table.size(); from = table.find('\n', from) + 1) {
    ASSERT_NE(table[from + column], ' ');
    EXPECT_EQ(table[from + column - 1], ' ');
  }
}

}  // namespace
}  // namespace synfin::view
