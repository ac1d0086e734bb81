// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "benchmark.h"

namespace synfin::bench {

/// The figures of all runs of a case.
struct Result {
  std::string benchmark;
  std::string name;  // of the case
  std::string unit;
  Better better = Better::kHigher;
  double value = 0;  // the median, as are those of the peers
  double min = 0;
  double max = 0;
  unsigned runs = 0;
  std::map<std::string, double> peers;
  std::map<std::string, double> ratios;  // value / peer
  Json extra = Json::object();
  std::string problem;
  std::string skipped;
};

/// A case that was chosen.
struct Chosen {
  std::string benchmark;
  Case what;
};

struct Plan {
  std::vector<Chosen> cases;
  unsigned runs = 5;
  double scale = 1;
  std::uint64_t seed = 1;
  std::set<std::string> peers;
};

/// Called before each run: which case of how many, and which run.
using Progress = std::function<void(std::size_t index, unsigned run)>;

/// Runs everything through Google Benchmark; in the order of the plan.
std::vector<Result> run_all(const Plan& plan, const Progress& progress);

/// The middle one; between two, their mean. `values` must not be empty.
double median(std::vector<double> values);

}  // namespace synfin::bench
