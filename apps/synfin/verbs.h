// SPDX-License-Identifier: Apache-2.0
//
// One function a verb: it adds itself to the command line and returns what runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace synfin::app {

/// What a verb does once the command line has been read: its exit status, or throws Failure. `command` is
/// what follows `--`.
using Verb = std::function<int(std::vector<std::string> command)>;

Verb add_demo(CLI::App& app);
Verb add_serve(CLI::App& app);
Verb add_connect(CLI::App& app);
Verb add_listen(CLI::App& app);
Verb add_explain(CLI::App& app);
Verb add_settings(CLI::App& app);

}  // namespace synfin::app
