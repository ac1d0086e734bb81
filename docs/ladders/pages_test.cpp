// SPDX-License-Identifier: Apache-2.0
//
// The pages show what the program does today.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "exhibits.h"
#include "page.h"
#include "synfin/view/text.h"

namespace synfin::ladders {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kDocs = SYNFIN_DOCS "/";

TEST(Pages, ShowWhatTheProgramDraws) {
  for (const Page& page : pages()) EXPECT_EQ(complaint_about(kDocs + std::string{page.file}), "");
}

TEST(Pages, ShowEachOfTheirLaddersOnce) {
  for (const Page& page : pages()) {
    const auto text = read_page(kDocs + std::string{page.file});
    ASSERT_TRUE(text) << text.error();
    const auto filled = fill(*text);
    ASSERT_TRUE(filled) << filled.error();
    std::multiset<std::string> all;
    for (const Exhibit& exhibit : page.exhibits) all.emplace(exhibit.name);
    EXPECT_EQ(std::multiset<std::string>(filled->shown.begin(), filled->shown.end()), all) << page.file;
  }
}

TEST(Ladders, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Exhibit& exhibit : all_exhibits())
    EXPECT_TRUE(names.insert(exhibit.name).second) << exhibit.name;
}

// Every `Suite.Name` of the page is a test in tests/protocol or of the core.
TEST(DifferencesPage, NamesTestsThatThereAre) {
  const auto page = read_page(SYNFIN_DOCS "/differences.md");
  ASSERT_TRUE(page) << page.error();
  std::string tests;
  for (const char* const folder : {"/../tests/protocol", "/../synfin/tcp"}) {
    for (const auto& entry : std::filesystem::directory_iterator{std::string{SYNFIN_DOCS} + folder}) {
      if (entry.path().string().ends_with("_test.cpp"))
        tests += read_page(entry.path().string()).value_or("");
    }
  }
  const std::regex cited{"`([A-Z][A-Za-z0-9]*)\\.([A-Z][A-Za-z0-9_]*)`"};
  std::size_t count = 0;
  for (std::sregex_iterator it{page->begin(), page->end(), cited}, end; it != end; ++it, ++count) {
    EXPECT_THAT(tests, HasSubstr("(" + it->str(1) + ", " + it->str(2) + ")"));
  }
  EXPECT_GT(count, 20u);
}

TEST(Ladders, AreNoWiderThanAHundredColumns) {
  for (const Exhibit& exhibit : all_exhibits()) {
    if (exhibit.form != Exhibit::Form::kText) continue;
    const std::string drawn = exhibit.make();
    EXPECT_FALSE(drawn.empty()) << exhibit.name;
    for (std::size_t from = 0; from < drawn.size();) {
      const std::size_t end = drawn.find('\n', from);
      ASSERT_NE(end, std::string::npos) << exhibit.name;
      EXPECT_LE(view::columns(drawn.substr(from, end - from)), 100u) << exhibit.name;
      from = end + 1;
    }
  }
}

TEST(Ladders, AreTheSameEveryTime) {
  for (const Exhibit& exhibit : all_exhibits()) {
    if (exhibit.form != Exhibit::Form::kText) continue;
    EXPECT_EQ(exhibit.make(), exhibit.make()) << exhibit.name;
  }
}

TEST(Page, IsFilledBetweenItsMarkers) {
  const auto filled = fill("before\n<!-- ladder: plain -->\nold\n<!-- /ladder -->\nafter");
  ASSERT_TRUE(filled) << filled.error();
  EXPECT_THAT(filled->differing, ElementsAre("plain"));
  EXPECT_EQ(filled->text, "before\n<!-- ladder: plain -->\n" + rendered(*find_exhibit("plain")) +
                              "<!-- /ladder -->\nafter");
  const auto again = fill(filled->text);
  ASSERT_TRUE(again) << again.error();
  EXPECT_THAT(again->differing, IsEmpty());
  EXPECT_EQ(again->text, filled->text);
}

TEST(Page, SaysWhatIsWrongWithItsMarkers) {
  EXPECT_THAT(fill("\n<!-- ladder: nosuch -->\n<!-- /ladder -->\n").error(),
              HasSubstr("line 2: there is no ladder nosuch"));
  EXPECT_THAT(fill("<!-- ladder: plain -->\ntext\n").error(), HasSubstr("plain is not closed"));
  EXPECT_THAT(fill("<!-- ladder: plain\n").error(), HasSubstr("line 1"));
  EXPECT_THAT(fill("no ladders here\n").error(), HasSubstr("no marker"));
}

TEST(Page, ThatDiffersIsNamedWithWhatMendsIt) {
  const std::string path = ::testing::TempDir() + "synfin_page.md";
  std::FILE* file = std::fopen(path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("<!-- ladder: plain -->\n```text\ndrawn by hand\n```\n<!-- /ladder -->\n", file);
  std::fclose(file);
  const std::string complaint = complaint_about(path);
  EXPECT_THAT(complaint, HasSubstr("not as the program draws it: plain; run"));
  EXPECT_THAT(complaint, HasSubstr("--update " + path));
  EXPECT_EQ(complaint.find('\n'), std::string::npos);
  EXPECT_THAT(complaint_about(path + ".nosuch"), HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace synfin::ladders
