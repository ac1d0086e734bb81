// SPDX-License-Identifier: Apache-2.0
//
// The one file that includes CLI11, which costs seconds of compilation.
#include "command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "failure.h"
#include "synfin/view/text.h"
#include "verbs.h"

namespace synfin::app {
namespace {

/// Runs a verb with what has been read for it. `command` is what follows `--`.
using Verb = std::function<int(std::vector<std::string> command)>;

constexpr int kMostRepeats = 1'000'000;
constexpr int kMostDeferral = 3600;  // seconds
constexpr int kMostBacklog = 65535;  // as much as the setting somaxconn takes

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

void add_link_options(CLI::App& verb, LinkOptions& o) {
  constexpr const char* kGroup = "Link";
  verb.add_flag(
          "--lab", o.lab,
          "a private network for this run, gone after it: the kernel at 10.77.0.1 and fd77::1, Synfin at "
          "10.77.0.2 and fd77::2")
      ->group(kGroup);
  verb.add_option("--tun", o.tun, "a TUN device; made where it does not exist (needs CAP_NET_ADMIN)")
      ->type_name("NAME")
      ->group(kGroup);
  verb.add_option("--address", o.addresses,
                  "Synfin's own address on the link, with prefix length; may be repeated")
      ->type_name("CIDR")
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--gateway", o.gateway, "the router on the link; must lie in the network of an --address")
      ->type_name("IP")
      ->group(kGroup);
  verb.add_option("--mtu", o.mtu, "octets of the largest packet (576 to 65535)")
      ->type_name("N")
      ->group(kGroup);
  verb.add_option("--set", o.settings, "a setting, as `synfin settings` lists them; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--impair", o.impair,
                  "damage on the link: "
                  "loss=1%,delay=20ms,jitter=5ms,reorder=2%,dup=1%,corrupt=0.1%,mark=1%,rate=100mbit,"
                  "seed=7; `in:` or `out:` before a name for one direction")
      ->type_name("SPEC")
      ->allow_extra_args(false)
      ->group(kGroup);
  verb.add_option("--offload", o.offload,
                  "on: super-segments of up to 64 KiB and checksums left to the kernel, where it offers that "
                  "and nothing of --impair needs single packets; off: one packet a segment, as on a wire")
      ->type_name("on|off")
      ->check(CLI::IsMember(std::set<std::string>{"on", "off"}))
      ->group(kGroup)
      ->capture_default_str();
  verb.add_flag("--ladder", o.ladder, "draw every connection on standard error as it happens")->group(kGroup);
  verb.add_option("--capture", o.capture, "write a pcapng file with a comment a packet: state and reason")
      ->type_name("FILE")
      ->group(kGroup);
  verb.add_option("--events", o.events, "write one JSON object a line for every event")
      ->type_name("FILE")
      ->group(kGroup);
  verb.footer(
      "Everything after `--` is a command to run beside the stack, inside the lab where --lab is given; "
      "Synfin ends "
      "when it ends, with its exit status.");
}

Verb add_demo(CLI::App& app) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* verb =
      app.add_subcommand("demo", "two real connections from SYN to TIME-WAIT, drawn and explained");
  verb->add_flag("--in-memory", options->in_memory,
                 "between two Synfins in memory, even where a private network with the kernel could be made");
  return [options](const std::vector<std::string>& command) {
    if (!command.empty())
      wrong_use("-- " + command.front(), "demo runs its own clients; use serve with a command");
    return run_demo(*options);
  };
}

Verb add_serve(CLI::App& app) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* verb = app.add_subcommand("serve", "HTTP/1.1 file server, or a simple service");
  verb->add_option("DIR", options->directory, "what to serve; a built-in page where it is not given");
  verb->add_option("--port", options->port, "the port to listen on, on all of Synfin's addresses")
      ->type_name("N")
      ->capture_default_str();
  verb->add_option("--service", options->service,
                   "http: files; sink: takes uploads and answers their length and SHA-256; echo, discard, "
                   "chargen: RFC 862 to 864")
      ->type_name("NAME")
      ->check(CLI::IsMember(std::set<std::string>{"http", "sink", "echo", "discard", "chargen"}))
      ->capture_default_str();
  verb->add_flag("--close", options->close_first,
                 "close after each answer, so that TIME-WAIT stays at this end");
  verb->add_option(
          "--backlog", options->backlog,
          "completed connections that may wait to be accepted, as listen(2) has it; default: what the "
          "setting somaxconn allows")
      ->type_name("N")
      ->check(CLI::Range(0, kMostBacklog));
  verb->add_flag("--no-accept", options->no_accept,
                 "listen and never accept, so that one can see what full queues do");
  verb->add_option(
          "--defer-accept", options->defer_accept,
          "how long a connection on which the client says nothing stays half-open (TCP_DEFER_ACCEPT); "
          "0: not at all")
      ->type_name("SECONDS")
      ->check(CLI::Range(0, kMostDeferral))
      ->capture_default_str();
  verb->add_option("--fast-open", options->fast_open,
                   "take data with the SYN (RFC 7413) on so many connections at a time as have yet to prove "
                   "their address; needs --set tcp_fastopen=3; 0: not at all")
      ->type_name("N")
      ->check(CLI::Range(0, kMostBacklog))
      ->capture_default_str();
  add_link_options(*verb, options->link);
  return [options](std::vector<std::string> command) {
    options->link.command = std::move(command);
    return run_serve(*options);
  };
}

Verb add_connect(CLI::App& app) {
  auto options = std::make_shared<ConnectOptions>();
  CLI::App* verb = app.add_subcommand("connect", "standard input and output over one connection, as nc does");
  verb->add_option("HOST", options->host, "an IPv4 or IPv6 address; names are not looked up")->required();
  verb->add_option("PORT", options->port, "1 to 65535")->required();
  verb->add_flag("--fast-open", options->fast_open,
                 "send what standard input gives first with the SYN (RFC 7413), where the peer has given a "
                 "cookie, else ask for one");
  verb->add_option("--repeat", options->repeat,
                   "so many connections, one after the other; standard input is kept and sent on each")
      ->type_name("N")
      ->check(CLI::Range(1, kMostRepeats))
      ->capture_default_str();
  add_link_options(*verb, options->link);
  return [options](std::vector<std::string> command) {
    options->link.command = std::move(command);
    return run_connect(*options);
  };
}

Verb add_listen(CLI::App& app) {
  auto options = std::make_shared<ListenOptions>();
  CLI::App* verb = app.add_subcommand(
      "listen", "waits for one connection; standard input and output over it, as nc -l does");
  verb->add_option("PORT", options->port, "1 to 65535")->required();
  add_link_options(*verb, options->link);
  return [options](std::vector<std::string> command) {
    options->link.command = std::move(command);
    return run_listen(*options);
  };
}

Verb add_explain(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "explain", "a state, reason, setting or counter in plain words, with its RFC section");
  verb->add_option("NAME", *name, "all of them where it is not given");
  return [name](const std::vector<std::string>&) { return run_explain(*name); };
}

Verb add_settings(CLI::App& app) {
  app.add_subcommand("settings", "every setting: name, default, range, unit, meaning");
  return [](const std::vector<std::string>&) { return run_settings(); };
}

}  // namespace

int run_command_line(int argc, char** argv) {
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

}  // namespace synfin::app
