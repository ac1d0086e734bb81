// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "failure.h"
#include "synfin/view/explain.h"
#include "verbs.h"

namespace synfin::app {

int run_settings() {
  fmt::print("{}\nGiven as --set NAME=VALUE; times may carry us, ms, s, min or h.\n", view::settings_table());
  return kSuccess;
}

}  // namespace synfin::app
