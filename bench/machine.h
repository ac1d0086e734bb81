// SPDX-License-Identifier: Apache-2.0
//
// The machine and this process, as far as a figure depends on them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace synfin::bench {

/// Octets of anonymous memory that lie in RAM: what this process has written, without its code. 0 where
/// /proc does not tell.
std::uint64_t anonymous_memory();

/// How often another process took the core from this one; to judge a figure by.
std::uint64_t preemptions();

/// From now on this thread stays on the core it runs on. Without the right to it nothing happens.
void stay_on_this_core();
/// The cores this process was allowed when `stay_on_this_core` was called, the one it stays on first.
std::vector<int> allowed_cores();
/// From now on this thread stays on that one; false: it may not.
bool stay_on_core(int core);

/// The processor, the number of cores and the load of the last minute, in one line.
std::string machine_line();

/// Adds up the parts of a run that count.
class Stopwatch {
 public:
  void start() { begin_ = std::chrono::steady_clock::now(); }
  void stop() { total_ += std::chrono::steady_clock::now() - begin_; }
  double seconds() const { return std::chrono::duration<double>(total_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::duration total_{};
};

}  // namespace synfin::bench
