// SPDX-License-Identifier: Apache-2.0
#include "exhibits.h"

namespace synfin::ladders {

const Exhibit* find_exhibit(std::string_view name) {
  for (const auto& list : {opening_ladders(), opening_tables(), state_tables()}) {
    for (const Exhibit& exhibit : list) {
      if (exhibit.name == name) return &exhibit;
    }
  }
  return nullptr;
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
