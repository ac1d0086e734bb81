// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace synfin::ladders {

/// Something that a page shows between `<!-- ladder: NAME -->` and `<!-- /ladder -->`.
struct Exhibit {
  enum class Form {
    kText,  // goes into a fenced block
    kMarkdown
  };
  std::string_view name;
  std::string (*make)();
  Form form = Form::kText;
};

std::span<const Exhibit> opening_ladders();
std::span<const Exhibit> opening_tables();
std::span<const Exhibit> closing_ladders();
std::span<const Exhibit> closing_sudden_ladders();
std::span<const Exhibit> closing_tables();
std::span<const Exhibit> state_tables();

/// A page below docs/ and what it shows.
struct Page {
  std::string_view file;
  std::vector<Exhibit> exhibits;
};
std::vector<Page> pages();
/// Those of all pages.
std::vector<Exhibit> all_exhibits();

/// Null where there is none of that name.
const Exhibit* find_exhibit(std::string_view name);
/// As it stands in the page, newline at the end.
std::string rendered(const Exhibit& exhibit);

}  // namespace synfin::ladders
