// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark is. Each lies in a file of its own and is named once, in registry.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace benchmark {
class State;
}

namespace synfin::bench {

using Json = nlohmann::ordered_json;

enum class Better : std::uint8_t {
  kHigher,
  kLower
};

/// One run of one case.
struct Run {
  /// How much of the usual work to do, 0 < scale <= 1: for a try, not for figures.
  double scale = 1;
  /// Another one each run.
  std::uint64_t seed = 1;
  /// Whom to measure beside Synfin, as far as the case has them.
  std::set<std::string> peers;

  bool beside(const std::string& peer) const { return peers.contains(peer); }
  /// `full` scaled, at least `least`.
  std::uint64_t scaled(std::uint64_t full, std::uint64_t least) const;
};

/// What one run gave.
struct Sample {
  /// In the unit of the case.
  double value = 0;
  /// The same of the peers, measured in the same run on the same core.
  std::map<std::string, double> peers;
  /// More fields for the result, an object. Numbers in it become medians, of all else the last run's is
  /// shown.
  Json extra = Json::object();
  /// Empty: the work was done as it should be. Otherwise what was not: the figure is then worth nothing.
  std::string problem;
  /// Empty: it was measured. Otherwise what it would need that this machine does not have; there is no figure
  /// then.
  std::string skipped;
};

/// Either `run`, which does its own timing and is called once a run, or `loop`, a usual function for Google
/// Benchmark, whose nanoseconds an iteration are the value.
struct Case {
  std::string name;
  std::string description;
  std::string unit = "1/s";
  Better better = Better::kHigher;
  std::vector<std::string> peers;
  std::function<Sample(const Run&)> run;
  std::function<void(benchmark::State&)> loop;
};

struct Benchmark {
  std::string name;
  std::string description;
  std::vector<Case> cases;
};

/// All there are, in the order in which they run.
std::vector<Benchmark> all_benchmarks();

// One a file.
Benchmark synflood();
Benchmark handshake();
Benchmark lifecycle();
Benchmark request();
Benchmark memory();
Benchmark bulk();
Benchmark scale();
Benchmark tun();
Benchmark parts();
Benchmark instructions();

}  // namespace synfin::bench
