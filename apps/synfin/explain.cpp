// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/explain.h"

#include <fmt/format.h>

#include <memory>

#include "failure.h"
#include "verbs.h"

namespace synfin::app {
namespace {

int run(const std::string& name) {
  if (name.empty()) {
    fmt::print("{}", view::explain_all());
    return kSuccess;
  }
  const auto text = view::explain(name);
  if (!text) throw Failure{kWrongUse, text.error() + "; `synfin explain` without a name lists all"};
  fmt::print("{}", *text);
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
