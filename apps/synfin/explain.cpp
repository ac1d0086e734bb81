// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "failure.h"
#include "synfin/tcp/settings.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"
#include "synfin/view/text.h"
#include "verbs.h"
#include "views.h"

namespace synfin::app {
namespace {

/// A word that Synfin uses, and what it means.
struct Entry {
  std::string name;
  std::string kind;
  std::string also;  // another spelling
  std::string meaning;
  std::string section;
};

template <typename Enum, typename Use>
void for_each_value(std::size_t count, const Use& use) {
  for (std::size_t i = 0; i < count; ++i) use(static_cast<Enum>(i));
}

std::vector<Entry> all_entries() {
  std::vector<Entry> all;
  for_each_value<trace::State>(trace::kStateCount, [&](trace::State s) {
    all.push_back({std::string{trace::name(s)}, "state", std::string{trace::ss_name(s)},
                   std::string{trace::meaning(s)}, "RFC 9293 §3.3.2"});
  });
  for_each_value<trace::Reason>(trace::kReasonCount, [&](trace::Reason r) {
    if (r == trace::Reason::kNone) return;
    all.push_back({std::string{trace::name(r)}, "reason", "", std::string{trace::sentence(r)},
                   std::string{trace::section(r)}});
  });
  for (const tcp::SettingInfo& s : tcp::all_settings()) {
    all.push_back(
        {std::string{s.name}, "setting", "",
         fmt::format("{} Default {}, from {} to {}{}{}.", s.meaning, s.default_value, s.minimum, s.maximum,
                     s.unit.empty() || s.unit == "s" ? "" : " ", s.unit == "s" ? "" : s.unit),
         ""});
  }
  for_each_value<trace::Counter>(std::to_underlying(trace::Counter::kCount), [&](trace::Counter c) {
    all.push_back({std::string{trace::name(c)}, "counter", "", std::string{trace::meaning(c)}, ""});
  });
  return all;
}

/// Case, `-` and `_` are not what somebody who asks should have to know.
std::string folded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != '-' && c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

/// How many letters must change to get from one word to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string suggestions(const std::vector<Entry>& all, const std::string& wanted) {
  std::vector<std::pair<std::size_t, std::string_view>> near;
  for (const Entry& e : all) {
    const std::string name = folded(e.name);
    const std::size_t d = name.find(wanted) != std::string::npos ? 1 : distance(name, wanted);
    if (d <= 1 + wanted.size() / 3) near.emplace_back(d, e.name);
  }
  std::ranges::stable_sort(near, {}, &std::pair<std::size_t, std::string_view>::first);
  if (near.empty()) return "`synfin explain` lists all of them";
  std::string text = "perhaps";
  for (std::size_t i = 0; i < std::min<std::size_t>(3, near.size()); ++i) {
    text += fmt::format("{} {}", i == 0 ? "" : " or", near[i].second);
  }
  return text + "; `synfin explain` lists all of them";
}

void print(const Entry& e) {
  const std::string also = e.also.empty() || e.also == e.name ? "" : fmt::format("; {} in ss", e.also);
  const std::string section = e.section.empty() ? "" : fmt::format("; {}", e.section);
  fmt::print("{} ({}{}{})\n", e.name, e.kind, also, section);
  for (const std::string& line : view::wrap(e.meaning, terminal_width(stdout) - 4))
    fmt::print("    {}\n", line);
}

int run(const std::string& name) {
  const std::vector<Entry> all = all_entries();
  if (name.empty()) {
    for (const Entry& e : all) print(e);
    return kSuccess;
  }
  const std::string wanted = folded(name);
  bool found = false;
  for (const Entry& e : all) {
    if (folded(e.name) != wanted && (e.also.empty() || folded(e.also) != wanted)) continue;
    print(e);
    found = true;
  }
  if (!found)
    wrong_use(name, "no state, reason, setting or counter has this name; " + suggestions(all, wanted));
  return kSuccess;
}

}  // namespace

Verb add_explain(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "explain", "a state, reason, setting or counter in plain words, with its RFC section");
  verb->add_option("NAME", *name, "all of them where it is not given");
  return [name](const std::vector<std::string>&) { return run(*name); };
}

}  // namespace synfin::app
