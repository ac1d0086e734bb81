// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "failure.h"
#include "synfin/view/explain.h"
#include "verbs.h"

namespace synfin::app {

Verb add_settings(CLI::App& app) {
  app.add_subcommand("settings", "every setting: name, default, range, unit, meaning");
  return [](const std::vector<std::string>&) {
    fmt::print("{}\nGiven as --set NAME=VALUE; times may carry us, ms, s, min or h.\n",
               view::settings_table());
    return static_cast<int>(kSuccess);
  };
}

}  // namespace synfin::app
