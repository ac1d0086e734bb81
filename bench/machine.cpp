// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <thread>

namespace synfin::bench {
namespace {

// What stands behind the first line that begins with `key`; empty: none does.
std::string value_of(const char* file, const std::string& key) {
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const auto colon = line.find(':');
    const auto value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? std::string{} : line.substr(value);
  }
  return {};
}

std::vector<int> cores_allowed;

}  // namespace

std::uint64_t anonymous_memory() {
  return std::strtoull(value_of("/proc/self/status", "RssAnon").c_str(), nullptr, 10) * 1024;
}

std::uint64_t preemptions() {
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_nivcsw);
}

void stay_on_this_core() {
  const int core = ::sched_getcpu();
  if (core < 0) return;
  cores_allowed = {core};
  cpu_set_t before;
  CPU_ZERO(&before);
  if (::sched_getaffinity(0, sizeof before, &before) == 0) {
    for (int n = 0; n < CPU_SETSIZE; ++n) {
      if (n != core && CPU_ISSET(static_cast<std::size_t>(n), &before)) cores_allowed.push_back(n);
    }
  }
  (void)stay_on_core(core);
}

std::vector<int> allowed_cores() {
  return cores_allowed;
}

bool stay_on_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

std::string machine_line() {
  std::string processor = value_of("/proc/cpuinfo", "model name");
  if (processor.empty()) processor = "unknown processor";
  double load = 0;
  if (::getloadavg(&load, 1) != 1) return processor;
  return fmt::format("{}, {} cores, load {:.1f}", processor, std::thread::hardware_concurrency(), load);
}

}  // namespace synfin::bench
