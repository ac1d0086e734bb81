// SPDX-License-Identifier: Apache-2.0
//
// How many instructions a piece of work takes, and how often it misses the caches: what no load of the
// machine disturbs. Counted by callgrind, in whose simulator of a processor this program is started once
// more.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

namespace synfin::bench {

/// What is counted; in the process that valgrind started. Elsewhere nothing happens.
class Counting {
 public:
  /// From here on the caches are simulated: before the warm-up.
  static void warm_up();
  static void start();
  static void stop();
  /// What was counted stands in a file of its own.
  static void finish(const std::string& name);
};

/// A piece of work. `run` prepares, warms up, and does it a number of times between `start` and `stop`; it
/// returns how often, 0 where it went wrong. `scale` as in a `Run`.
struct CountedWork {
  std::string name;
  std::string description;
  std::function<std::uint64_t(double scale)> run;
};

/// All there are.
std::vector<CountedWork> counted_work();
/// Of them, those of parts.cpp.
std::vector<CountedWork> counted_parts();

/// For one time that the work is done.
struct Counts {
  std::uint64_t times = 0;
  double instructions = 0;
  double reads = 0, writes = 0;  // of data
  /// Lines of 64 octets that were not in the first level's cache for data, and of these those that were in
  /// none.
  double first_level_misses = 0, last_level_misses = 0;
  double instruction_misses = 0;  // in the first level's cache for instructions
  std::string caches;             // what was simulated
};

/// Counts it, by starting this program under valgrind; once for each name, as the figures are always the
/// same, and once for all parts. The error is one line.
std::expected<Counts, std::string> count(const std::string& name, double scale);
/// What this program does there; false: something went wrong.
bool do_counted_work(const std::vector<std::string>& names, double scale);
/// Empty: it can be done. Else what is missing, in one line.
std::string why_not_counted();

}  // namespace synfin::bench
