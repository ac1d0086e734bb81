// SPDX-License-Identifier: Apache-2.0
//
// The table of calls in docs/state-table.md. States and queues that a call does not tell apart are one line.
#include <algorithm>

#include "state_words.h"

namespace synfin::ladders {
namespace {

using namespace state_table;

std::string outcome(Call call, const CallRule& rule) {
  std::vector<std::string> parts;
  if (!returns_nothing(call)) parts.emplace_back(name(rule.told));
  if (rule.output != Output::kNoOutput) parts.push_back(fmt::format("sends {}", name(rule.output)));
  if (rule.next) parts.push_back(fmt::format("**→&nbsp;{}**", trace::name(*rule.next)));
  return parts.empty() ? "—" : fmt::format("{}", fmt::join(parts, ", "));
}

struct CallLine {
  std::vector<Row> rows;
  std::vector<Load> loads;
  const CallRule* rule = nullptr;
};

// States with the same rules under the same loads are drawn as one, and loads that a state does not tell
// apart.
std::vector<CallLine> lines_of(Call call) {
  std::vector<CallLine> lines;
  for (const Row row : all(Row::kRows)) {
    std::vector<CallLine> of_row;
    for (const Load load : all(Load::kLoads)) {
      const CallCell cell{row, call, load};
      if (!exists(cell)) continue;
      const auto same = std::ranges::find(of_row, decide(cell), &CallLine::rule);
      if (same != of_row.end()) {
        same->loads.push_back(load);
      } else {
        of_row.push_back({{row}, {load}, decide(cell)});
      }
    }
    for (CallLine& line : of_row) {
      if (of_row.size() == 1) line.loads.clear();
      const auto same = std::ranges::find_if(
          lines, [&](const CallLine& l) { return l.rule == line.rule && l.loads == line.loads; });
      if (same != lines.end()) {
        same->rows.push_back(row);
      } else {
        lines.push_back(std::move(line));
      }
    }
  }
  return lines;
}

}  // namespace

std::string call_table() {
  std::string out = "| call | states | queues | what happens | decided by |\n|---|---|---|---|---|\n";
  for (const Call call : all(Call::kCalls)) {
    std::string title = fmt::format("`{}`", name(call));
    for (const CallLine& line : lines_of(call)) {
      const std::string reason =
          line.rule->next ? fmt::format(", `{}`", trace::name(line.rule->reason)) : std::string{};
      out +=
          fmt::format("| {} | {} | {} | {}{} | {} |\n", std::exchange(title, ""), joined(line.rows),
                      joined(line.loads), outcome(call, *line.rule), reason, ended(escaped(line.rule->why)));
    }
  }
  return out;
}

}  // namespace synfin::ladders
