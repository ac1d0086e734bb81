// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "synfin/tcp/settings.h"
#include "synfin/trace/cause.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"
#include "synfin/view/text.h"

namespace synfin::view {
namespace {

using trace::Cause;
using trace::Counter;
using trace::Reason;
using trace::State;

constexpr std::size_t kWidth = 100;
constexpr std::size_t kSuggestions = 3;

template <class E, std::size_t N>
std::vector<E> all_of() {
  std::vector<E> out;
  for (std::size_t i = 0; i < N; ++i) out.push_back(static_cast<E>(i));
  return out;
}
std::vector<State> all_states() {
  return all_of<State, trace::kStateCount>();
}
std::vector<Reason> all_reasons() {
  return all_of<Reason, trace::kReasonCount>();
}
std::vector<Cause> all_causes() {
  std::vector<Cause> causes = all_of<Cause, trace::kCauseCount>();
  std::erase(causes, Cause::kNone);
  return causes;
}
std::vector<Counter> all_counters() {
  return all_of<Counter, std::to_underlying(Counter::kCount)>();
}

// How a name is compared: `syn_recv`, `SYN-RECV` and `Syn-Recv` are the same.
std::string folded(std::string_view name) {
  std::string out{name};
  for (char& c : out) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string paragraph(std::string_view text, std::size_t indent) {
  std::string out;
  for (const std::string& line : wrap(text, kWidth - indent))
    out += fmt::format("{:{}}{}\n", "", indent, line);
  return out;
}

std::string range_text(const tcp::SettingInfo& s) {
  if (!s.choices.empty()) return fmt::format("{}", fmt::join(s.choices, " or "));
  return fmt::format("{} to {}", s.minimum, s.maximum);
}

std::string explain_state(State s) {
  const bool two_names = trace::name(s) != trace::ss_name(s);
  return fmt::format("{} (state{}; RFC 9293 §3.3.2)\n{}", trace::name(s),
                     two_names ? fmt::format(", {} in ss", trace::ss_name(s)) : "",
                     paragraph(trace::meaning(s), 2));
}

std::string explain_reason(Reason r) {
  const std::string_view section = trace::section(r);
  return fmt::format("{} (reason{}{})\n{}", trace::name(r), section.empty() ? "" : "; ", section,
                     paragraph(trace::sentence(r), 2));
}

std::string explain_setting(const tcp::SettingInfo& s) {
  return fmt::format("{} (setting; default {}, {}{}{})\n{}", s.name, s.default_value, range_text(s),
                     s.unit.empty() ? "" : ", in ", s.unit, paragraph(s.meaning, 2));
}

std::string explain_counter(Counter c) {
  return fmt::format("{} (counter)\n{}", trace::name(c), paragraph(trace::meaning(c), 2));
}

std::string explain_cause(Cause c) {
  return fmt::format("{} (cause of an ending)\n{}", trace::name(c), paragraph(trace::meaning(c), 2));
}

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const State s : all_states()) {
    names.push_back(trace::name(s));
    if (trace::ss_name(s) != trace::name(s)) names.push_back(trace::ss_name(s));
  }
  for (const Reason r : all_reasons()) names.push_back(trace::name(r));
  for (const tcp::SettingInfo& s : tcp::all_settings()) names.push_back(s.name);
  for (const Counter c : all_counters()) names.push_back(trace::name(c));
  for (const Cause c : all_causes()) names.push_back(trace::name(c));
  return names;
}

// The nearest names first; only those that a slip of the fingers, or a part of the name, explains.
std::vector<std::string_view> nearest(std::string_view wanted) {
  const std::string word = folded(wanted);
  std::vector<std::pair<std::size_t, std::string_view>> found;
  for (const std::string_view name : all_names()) {
    const std::string other = folded(name);
    std::size_t distance = edit_distance(word, other);
    const bool part = word.size() >= 3 && other.find(word) != std::string::npos;
    if (part) distance = std::min(distance, std::size_t{2});
    if (distance <= std::max<std::size_t>(2, word.size() / 3)) found.emplace_back(distance, name);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < found.size() && i < kSuggestions; ++i) out.push_back(found[i].second);
  return out;
}

// What a stranger typed, fit for one line of a terminal.
std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out;
  for (const char c : text.substr(0, kLongest))
    out += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : '?';
  return fmt::format("'{}{}'", out, text.size() > kLongest ? "..." : "");
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, last[j] + 1, row[j - 1] + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::expected<std::string, std::string> explain(std::string_view name) {
  const std::string wanted = folded(name);
  std::string out;
  for (const State s : all_states()) {
    if (wanted == folded(trace::name(s)) || wanted == folded(trace::ss_name(s))) out += explain_state(s);
  }
  for (const Reason r : all_reasons()) {
    if (wanted == folded(trace::name(r))) out += explain_reason(r);
  }
  for (const tcp::SettingInfo& s : tcp::all_settings()) {
    if (wanted == folded(s.name)) out += explain_setting(s);
  }
  for (const Counter c : all_counters()) {
    if (wanted == folded(trace::name(c))) out += explain_counter(c);
  }
  for (const Cause c : all_causes()) {
    if (wanted == folded(trace::name(c))) out += explain_cause(c);
  }
  if (!out.empty()) return out;
  // Long words are nobody's slip, and distances to them cost their length.
  const std::vector<std::string_view> near =
      name.size() > 100 ? std::vector<std::string_view>{} : nearest(name);
  if (near.empty()) {
    return std::unexpected(fmt::format(
        "{} is no reason, state, setting, counter or cause; without a name, all are listed", quoted(name)));
  }
  return std::unexpected(fmt::format("{} is no reason, state, setting, counter or cause; near to it: {}",
                                     quoted(name), fmt::join(near, ", ")));
}

std::string explain_all() {
  std::string out = "States\n\n";
  for (const State s : all_states()) out += explain_state(s);
  out += "\nReasons\n\n";
  for (const Reason r : all_reasons()) {
    if (r != Reason::kNone) out += explain_reason(r);
  }
  out += "\nSettings\n\n";
  for (const tcp::SettingInfo& s : tcp::all_settings()) out += explain_setting(s);
  out += "\nCounters\n\n";
  for (const Counter c : all_counters()) out += explain_counter(c);
  out += "\nCauses of an ending\n\n";
  for (const Cause c : all_causes()) out += explain_cause(c);
  return out;
}

std::string settings_table() {
  struct Line {
    std::string name, value, range, unit, meaning;
  };
  std::vector<Line> lines{{"name", "default", "range", "unit", "meaning"}};
  for (const tcp::SettingInfo& s : tcp::all_settings()) {
    lines.push_back({std::string{s.name}, std::string{s.default_value}, range_text(s), std::string{s.unit},
                     std::string{s.meaning}});
  }
  std::size_t name = 0, value = 0, range = 0, unit = 0;
  for (const Line& l : lines) {
    name = std::max(name, l.name.size());
    value = std::max(value, l.value.size());
    range = std::max(range, l.range.size());
    unit = std::max(unit, l.unit.size());
  }
  std::string out;
  for (const Line& l : lines) {
    out += fmt::format("{:<{}}  {:>{}}  {:<{}}  {:<{}}  {}\n", l.name, name, l.value, value, l.range, range,
                       l.unit, unit, l.meaning);
  }
  return out;
}

}  // namespace synfin::view
