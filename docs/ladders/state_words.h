// SPDX-License-Identifier: Apache-2.0
//
// What the tables of segments and of calls in docs/state-table.md have in common.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/protocol/state_table/calls.h"

namespace synfin::ladders {

/// Every value of a dimension; `end` is the one behind the last.
template <class E>
std::vector<E> all(E end) {
  std::vector<E> values;
  for (std::uint8_t i = 0; i < std::to_underlying(end); ++i) values.push_back(E{i});
  return values;
}

/// `SYN · SYN,FIN`.
template <class E>
std::string joined(const std::vector<E>& values) {
  std::vector<std::string_view> names;
  for (const E v : values) names.push_back(name(v));
  return fmt::format("{}", fmt::join(names, " · "));
}

/// With entities for what Markdown would take for HTML, such as `<SEQ=…>`.
inline std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

/// With a full stop, unless it has one.
inline std::string ended(std::string text) {
  for (const std::string_view end : {".”", "."})
    if (text.ends_with(end)) return text;
  return text + '.';
}

/// The table of calls.
std::string call_table();

}  // namespace synfin::ladders
