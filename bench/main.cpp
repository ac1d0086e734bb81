// SPDX-License-Identifier: Apache-2.0
//
// synfin-bench [NAME...] [--json FILE] [--filter REGEX] [--peer kernel,lwip|none] [--runs N]
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <regex>
#include <stdexcept>

#include "counting.h"
#include "kernel_peer.h"
#include "lwip_peer.h"
#include "machine.h"
#include "report.h"
#include "runner.h"

namespace synfin::bench {
namespace {

struct Options {
  std::vector<std::string> names;
  std::string json;
  std::string filter;
  std::vector<std::string> peers;  // as given; empty: those that can be had
  unsigned runs = 5;
  double scale = 1;
  std::uint64_t seed = 1;
  bool list = false;
  std::vector<std::string> count;  // pieces of work to be done in callgrind
};

/// Wrong use: one line, exit status 2.
struct WrongUse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void print_list(const std::vector<Benchmark>& all) {
  for (const Benchmark& b : all) {
    fmt::print("{}: {}\n", b.name, b.description);
    for (const Case& c : b.cases) fmt::print("  {:<30} {} [{}]\n", c.name, c.description, c.unit);
  }
}

std::vector<Chosen> choose(const std::vector<Benchmark>& all, const Options& o) {
  for (const std::string& name : o.names) {
    if (std::ranges::find(all, name, &Benchmark::name) != all.end()) continue;
    std::vector<std::string> there;
    for (const Benchmark& b : all) there.push_back(b.name);
    throw WrongUse(fmt::format("{}: no such benchmark (there are: {})", name, fmt::join(there, ", ")));
  }
  std::optional<std::regex> filter;
  try {
    if (!o.filter.empty()) filter.emplace(o.filter);
  } catch (const std::regex_error&) {
    throw WrongUse(fmt::format("--filter {}: not a regular expression", o.filter));
  }
  std::vector<Chosen> chosen;
  for (const Benchmark& b : all) {
    if (!o.names.empty() && std::ranges::find(o.names, b.name) == o.names.end()) continue;
    for (const Case& c : b.cases) {
      if (!filter || std::regex_search(b.name + " " + c.name, *filter)) chosen.push_back({b.name, c});
    }
  }
  if (chosen.empty()) throw WrongUse(fmt::format("--filter {}: no case is left (see --list)", o.filter));
  return chosen;
}

// Those peers of the chosen cases that were asked for and can be had.
std::set<std::string> find_peers(const std::vector<Benchmark>& all, const std::vector<Chosen>& chosen,
                                 const Options& o) {
  std::set<std::string> known, used;
  for (const Benchmark& b : all) {
    for (const Case& c : b.cases) known.insert(c.peers.begin(), c.peers.end());
  }
  for (const Chosen& c : chosen) used.insert(c.what.peers.begin(), c.what.peers.end());
  const bool none = o.peers == std::vector<std::string>{"none"};
  if (none) return {};
  for (const std::string& name : o.peers) {
    if (!known.contains(name))
      throw WrongUse(
          fmt::format("--peer {}: no such peer (there are: {}; or none)", name, fmt::join(known, ", ")));
  }
  if (!o.peers.empty())
    std::erase_if(used, [&](const std::string& p) { return std::ranges::find(o.peers, p) == o.peers.end(); });
  const auto can_be_had = [&](const std::string& name, const auto& get) {
    if (!used.contains(name)) return;
    const auto ready = get();
    if (ready) return;
    if (!o.peers.empty()) throw std::runtime_error(fmt::format("--peer {}: {}", name, ready.error()));
    fmt::print(stderr, "synfin-bench: without {} beside it: {}\n", name, ready.error());
    used.erase(name);
  };
  can_be_had("kernel", KernelPeer::get);
  can_be_had("lwip", LwipPeer::get);
  return used;
}

int run(const Options& o) {
  if (!o.count.empty()) return do_counted_work(o.count, o.scale) ? 0 : 1;
  const std::vector<Benchmark> all = all_benchmarks();
  if (o.list) {
    print_list(all);
    return 0;
  }
  Plan plan{.cases = choose(all, o), .runs = o.runs, .scale = o.scale, .seed = o.seed};
  // Before minutes of work, not after them.
  std::ofstream file;
  if (!o.json.empty()) {
    file.open(o.json);
    if (!file) throw std::runtime_error(fmt::format("{}: it cannot be written", o.json));
  }
  plan.peers = find_peers(all, plan.cases, o);
  stay_on_this_core();

  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const std::string machine = machine_line();
  const std::vector<Result> results = run_all(plan, [&](std::size_t index, unsigned number) {
    if (!terminal) return;
    const Chosen& c = plan.cases[index];
    fmt::print(stderr, "\r\033[K[{}/{}] {} {}", index + 1, plan.cases.size(), c.benchmark, c.what.name);
    if (number > 0) fmt::print(stderr, ", run {} of {}", number, o.runs);
    std::fflush(stderr);
  });
  if (terminal) fmt::print(stderr, "\r\033[K");
  fmt::print("{}; {} runs each{}\n{}", machine, o.runs,
             o.scale < 1 ? fmt::format(", at {} of the usual work: a try, not a measurement", o.scale) : "",
             to_table(results));
  if (file.is_open()) {
    file << to_json(results).dump(2) << '\n';
    file.close();
    if (!file) throw std::runtime_error(fmt::format("{}: it could not be written to the end", o.json));
  }
  int status = 0;
  for (const Result& r : results) {
    if (r.problem.empty()) continue;
    fmt::print(stderr, "synfin-bench: {} {}: {}\n", r.benchmark, r.name, r.problem);
    status = 1;
  }
  return status;
}

int main(int argc, char** argv) {
  CLI::App app{"How fast Synfin is, beside its peers. Without NAME: everything.", "synfin-bench"};
  Options o;
  app.add_option("NAME", o.names, "Benchmarks to run");
  app.add_option("--json", o.json, "Write the results there as well")->type_name("FILE");
  app.add_option("--filter", o.filter, "Only cases where this matches in \"BENCHMARK CASE\"")
      ->type_name("REGEX");
  app.add_option("--peer", o.peers,
                 "Whom to measure beside it: kernel, lwip, or none [those that can be had]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAMES");
  app.add_option("--runs", o.runs, "Runs of each case [5]")->check(CLI::Range(1, 1000))->type_name("N");
  app.add_option("--scale", o.scale, "The part of the usual work to do, for a try [1]")
      ->check(CLI::Range(0.0001, 1.0))
      ->type_name("X");
  app.add_option("--seed", o.seed, "For what is drawn at random [1]")->type_name("N");
  app.add_flag("--list", o.list, "Say which benchmarks and cases there are");
  app.add_option("--count", o.count, "Do these pieces of work, for callgrind to count them")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group("");
  app.footer("Figures of a shared machine mean little by themselves: look at the ratios and at min - max.");
  try {
    app.parse(argc, argv);
    return run(o);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "synfin-bench: {}\n", e.what());
    return 2;
  } catch (const WrongUse& e) {
    fmt::print(stderr, "synfin-bench: {}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "synfin-bench: {}\n", e.what());
    return 1;
  }
}

}  // namespace
}  // namespace synfin::bench

int main(int argc, char** argv) {
  return synfin::bench::main(argc, argv);
}
