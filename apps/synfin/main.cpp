// SPDX-License-Identifier: Apache-2.0
//
// synfin VERB [ARGUMENTS] [LINK OPTIONS] [-- COMMAND...]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "failure.h"
#include "synfin/view/text.h"
#include "verbs.h"

namespace synfin::app {
namespace {

/// What a verb sees of the command line, and what follows `--`: CLI11 would take that for more arguments.
struct Arguments {
  std::vector<std::string> own;
  std::vector<std::string> command;
};

Arguments split(int argc, char** argv) {
  const std::vector<std::string> all(argv + 1, argv + argc);
  const auto dashes = std::ranges::find(all, "--");
  Arguments a{{all.begin(), dashes}, {}};
  if (dashes == all.end()) return a;
  a.command.assign(dashes + 1, all.end());
  if (a.command.empty()) wrong_use("--", "a command must follow it");
  return a;
}

/// Help that keeps to a terminal's width.
class NarrowHelp final : public CLI::Formatter {
 public:
  NarrowHelp() { column_width(28); }
  std::string make_option_desc(const CLI::Option* option) const override {
    return joined(CLI::Formatter::make_option_desc(option));
  }
  std::string make_footer(const CLI::App* app) const override {
    return "\n" + joined(app->get_footer(), kWidth) + "\n";
  }
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, std::move(name));
    const bool runs_a_stack = app->get_option_no_throw("--lab") != nullptr;
    if (runs_a_stack) usage.insert(usage.find_last_not_of('\n') + 1, " [-- COMMAND...]");
    return usage;
  }

 private:
  static constexpr std::size_t kWidth = 100;
  static constexpr std::size_t kDescription = 72;
  static std::string joined(const std::string& text, std::size_t width = kDescription) {
    std::string out;
    for (const std::string& line : view::wrap(text, width)) out += (out.empty() ? "" : "\n") + line;
    return out;
  }
};

int run(int argc, char** argv) {
  CLI::App app{"Synfin: a TCP/IP stack that lives inside a program, from SYN to FIN.", "synfin"};
  app.set_version_flag("--version", "synfin " SYNFIN_VERSION);
  app.require_subcommand(1);
  app.formatter(std::make_shared<NarrowHelp>());
  app.footer(
      "`synfin VERB --help` and synfin-VERB(1) say more. A first try: synfin serve --lab --ladder -- curl "
      "http://10.77.0.2/");
  const std::map<std::string, Verb> verbs{
      {"demo", add_demo(app)},     {"serve", add_serve(app)},     {"connect", add_connect(app)},
      {"listen", add_listen(app)}, {"explain", add_explain(app)}, {"settings", add_settings(app)},
  };
  Arguments arguments = split(argc, argv);
  std::ranges::reverse(arguments.own);  // as CLI11 wants them
  try {
    app.parse(arguments.own);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);  // --help, --version
  } catch (const CLI::ParseError& error) {
    wrong_use(argc > 1 ? std::string{"command line"} : std::string{"no verb"},
              fmt::format("{}; see synfin --help", error.what()));
  }
  return verbs.at(app.get_subcommands().front()->get_name())(std::move(arguments.command));
}

}  // namespace
}  // namespace synfin::app

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone away is an error of its write
  try {
    return synfin::app::run(argc, argv);
  } catch (const synfin::app::Failure& failure) {
    synfin::app::complain(failure.line);
    return failure.status;
  } catch (const std::exception& error) {
    synfin::app::complain(error.what());
    return synfin::app::kNetworkFailure;
  }
}
