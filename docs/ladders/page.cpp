// SPDX-License-Identifier: Apache-2.0
#include "page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>
#include <iterator>

#include "exhibits.h"

namespace synfin::ladders {
namespace {

constexpr std::string_view kBegin = "<!-- ladder: ", kBeginEnd = " -->", kEnd = "<!-- /ladder -->";

/// Cuts the next line, newline included, off the front.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
  text.remove_prefix(line.size());
  return line;
}

std::string_view without_newline(std::string_view line) {
  return line.ends_with('\n') ? line.substr(0, line.size() - 1) : line;
}

}  // namespace

std::expected<Filled, std::string> fill(std::string_view page) {
  Filled out;
  for (std::size_t number = 1; !page.empty(); ++number) {
    const std::string_view line = next_line(page);
    out.text += line;
    const std::string_view marker = without_newline(line);
    if (!marker.starts_with(kBegin)) continue;
    if (!marker.ends_with(kBeginEnd))
      return std::unexpected(fmt::format("line {}: a marker without -->", number));
    const std::string name{marker.substr(kBegin.size(), marker.size() - kBegin.size() - kBeginEnd.size())};
    const Exhibit* exhibit = find_exhibit(name);
    if (exhibit == nullptr)
      return std::unexpected(fmt::format("line {}: there is no ladder {}", number, name));

    std::string before;
    std::string_view closing;
    while (!page.empty() && without_newline(closing = next_line(page)) != kEnd) {
      before += closing;
      ++number;
    }
    if (without_newline(closing) != kEnd)
      return std::unexpected(fmt::format("ladder {} is not closed by {}", name, kEnd));
    ++number;
    const std::string after = rendered(*exhibit);
    if (after != before) out.differing.push_back(name);
    out.shown.push_back(name);
    out.text += after;
    out.text += closing;
  }
  if (out.shown.empty()) return std::unexpected(fmt::format("no marker {}NAME{}", kBegin, kBeginEnd));
  return out;
}

std::expected<std::string, std::string> read_page(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) return std::unexpected(path + ": cannot be read");
  return text;
}

std::string complaint_about(const std::string& path) {
  const auto page = read_page(path);
  if (!page) return page.error();
  const auto filled = fill(*page);
  if (!filled) return fmt::format("{}: {}", path, filled.error());
  if (filled->differing.empty()) return {};
  return fmt::format("{}: not as the program draws it: {}; run build/release/synfin-ladders --update {}",
                     path, fmt::join(filled->differing, ", "), path);
}

}  // namespace synfin::ladders
