// SPDX-License-Identifier: Apache-2.0
//
// Pages whose ladders and tables a program makes.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace synfin::ladders {

struct Filled {
  std::string text;
  /// Names of what stood otherwise in the page, in its order.
  std::vector<std::string> differing;
  /// All names that the page shows.
  std::vector<std::string> shown;
};

/// The page with everything between its markers made anew. The error is one line, with the line's number:
/// an unknown name, a marker that is not closed, or no marker at all.
[[nodiscard]] std::expected<Filled, std::string> fill(std::string_view page);

/// The whole file; the error is one line.
[[nodiscard]] std::expected<std::string, std::string> read_page(const std::string& path);

/// Empty where the page shows what the program makes; else one line that names the ladders that differ, and
/// the command that mends it.
std::string complaint_about(const std::string& path);

}  // namespace synfin::ladders
