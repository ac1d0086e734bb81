// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/explain.h"

#include <fmt/format.h>

#include "failure.h"
#include "verbs.h"

namespace synfin::app {

int run_explain(const std::string& name) {
  if (name.empty()) {
    fmt::print("{}", view::explain_all());
    return kSuccess;
  }
  const auto text = view::explain(name);
  if (!text) throw Failure{kWrongUse, text.error() + "; `synfin explain` without a name lists all"};
  fmt::print("{}", *text);
  return kSuccess;
}

}  // namespace synfin::app
