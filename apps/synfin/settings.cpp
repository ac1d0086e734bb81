// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/settings.h"

#include <fmt/format.h>

#include <cstdio>

#include "failure.h"
#include "verbs.h"

namespace synfin::app {
namespace {

std::string with_unit(std::string_view value, std::string_view unit) {
  // Times carry their unit already.
  if (unit.empty() || unit == "s") return std::string{value};
  return fmt::format("{} {}", value, unit);
}

int run() {
  for (const tcp::SettingInfo& s : tcp::all_settings()) {
    fmt::print("{:<26} {:<16} {} to {}\n    {}\n", s.name, with_unit(s.default_value, s.unit), s.minimum,
               s.maximum, s.meaning);
  }
  fmt::print("\nGiven as --set NAME=VALUE; times may carry us, ms, s, min or h.\n");
  return kSuccess;
}

}  // namespace

Verb add_settings(CLI::App& app) {
  app.add_subcommand("settings", "every setting: name, default, range, unit, meaning");
  return [](const std::vector<std::string>&) { return run(); };
}

}  // namespace synfin::app
