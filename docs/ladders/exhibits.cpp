// SPDX-License-Identifier: Apache-2.0
#include "exhibits.h"

#include <algorithm>

namespace synfin::ladders {

namespace {

std::vector<Exhibit> all_of(std::initializer_list<std::span<const Exhibit>> lists) {
  std::vector<Exhibit> all;
  for (const auto list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace

std::vector<Page> pages() {
  return {{"opening.md", all_of({opening_ladders(), opening_tables()})},
          {"closing.md", all_of({closing_ladders(), closing_sudden_ladders(), closing_tables()})},
          {"state-table.md", all_of({state_tables()})}};
}

std::vector<Exhibit> all_exhibits() {
  std::vector<Exhibit> all;
  for (const Page& page : pages()) all.insert(all.end(), page.exhibits.begin(), page.exhibits.end());
  return all;
}

const Exhibit* find_exhibit(std::string_view name) {
  static const std::vector<Exhibit> all = all_exhibits();
  const auto found = std::ranges::find(all, name, &Exhibit::name);
  return found == all.end() ? nullptr : &*found;
}

std::string rendered(const Exhibit& exhibit) {
  const std::string text = exhibit.make();
  switch (exhibit.form) {
    case Exhibit::Form::kText:
      return "```text\n" + text + "```\n";
    case Exhibit::Form::kMarkdown:
      return text;
  }
  return text;
}

}  // namespace synfin::ladders
