// SPDX-License-Identifier: Apache-2.0
#include "counting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define SYNFIN_BENCH_CALLGRIND 1
#endif

namespace synfin::bench {

void Counting::warm_up() {
#ifdef SYNFIN_BENCH_CALLGRIND
  CALLGRIND_START_INSTRUMENTATION;
#endif
}

void Counting::start() {
#ifdef SYNFIN_BENCH_CALLGRIND
  CALLGRIND_TOGGLE_COLLECT;
#endif
}

void Counting::stop() {
#ifdef SYNFIN_BENCH_CALLGRIND
  CALLGRIND_TOGGLE_COLLECT;
#endif
}

void Counting::finish([[maybe_unused]] const std::string& name) {
#ifdef SYNFIN_BENCH_CALLGRIND
  CALLGRIND_DUMP_STATS_AT(name.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
#endif
}

namespace {

/// A folder that is gone with this.
struct Temporary {
  std::string name = "/tmp/synfin-bench-XXXXXX";
  bool there = ::mkdtemp(name.data()) != nullptr;
  Temporary() = default;
  ~Temporary() {
    std::error_code ignored;
    if (there) std::filesystem::remove_all(name, ignored);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
};

// What the program wrote on standard output; nullopt: it did not end well.
std::expected<std::string, std::string> output_of(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);  // for valgrind's words about the caches
    if (nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> piece{};
  for (ssize_t n = 0; (n = ::read(ends[0], piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return std::unexpected(fmt::format("{} ended badly", words[0]));
  return text;
}

/// One of callgrind's files: of which work, and its columns by their names.
struct Columns {
  std::string work;
  std::string caches;
  std::map<std::string, double> values;

  double sum(std::initializer_list<const char*> names) const {
    double total = 0;
    for (const char* name : names) {
      const auto it = values.find(name);
      if (it != values.end()) total += it->second;
    }
    return total;
  }
};

// "desc: Trigger: Client Request: NAME", "events: Ir Dr …", "summary: 12 34 …" (the old word is "totals").
Columns read_columns(const std::filesystem::path& file) {
  constexpr std::string_view kTrigger = "desc: Trigger: Client Request: ";
  Columns c;
  std::vector<std::string> names;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    std::istringstream rest{line};
    std::string key;
    rest >> key;
    if (line.starts_with(kTrigger)) {
      c.work = line.substr(kTrigger.size());
    } else if (key == "desc:" && (line.find("D1 cache") != line.npos || line.find("LL cache") != line.npos)) {
      if (!c.caches.empty()) c.caches += "; ";
      c.caches += line.substr(6);
    } else if (key == "events:") {
      for (std::string name; rest >> name;) names.push_back(name);
    } else if (key == "summary:" || key == "totals:") {
      for (const std::string& name : names) {
        double value = 0;  // what is zero to the end of the line is left out
        rest >> value;
        c.values[name] = value;
      }
    }
  }
  return c;
}

using Known = std::map<std::string, std::expected<Counts, std::string>>;

// What stands for those that are not known then.
std::string count_now(const std::vector<std::string>& names, double scale, Known& into) {
  if (std::string why = why_not_counted(); !why.empty()) return why;
  const Temporary folder;
  std::array<char, 4096> path{};
  const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (!folder.there || n <= 0) return "there is no folder for it, or this program does not find itself";
  const auto text =
      output_of({"valgrind", "--quiet", "--tool=callgrind", "--cache-sim=yes", "--instr-atstart=no",
                 "--collect-atstart=no", "--callgrind-out-file=" + folder.name + "/counts",
                 std::string(path.data(), static_cast<std::size_t>(n)), "--scale", fmt::format("{}", scale),
                 "--count", fmt::format("{}", fmt::join(names, ","))});
  if (!text) return text.error();
  std::map<std::string, std::uint64_t> times;
  std::istringstream lines{*text};
  for (std::string name; lines >> name;) lines >> times[name];
  for (const auto& file : std::filesystem::directory_iterator{folder.name}) {
    const Columns c = read_columns(file);
    if (times[c.work] == 0 || c.sum({"Ir"}) == 0) continue;
    const auto each = [&](std::initializer_list<const char*> columns) {
      return c.sum(columns) / static_cast<double>(times[c.work]);
    };
    into.insert_or_assign(c.work, Counts{.times = times[c.work],
                                         .instructions = each({"Ir"}),
                                         .reads = each({"Dr"}),
                                         .writes = each({"Dw"}),
                                         .first_level_misses = each({"D1mr", "D1mw"}),
                                         .last_level_misses = each({"DLmr", "DLmw"}),
                                         .instruction_misses = each({"I1mr"}),
                                         .caches = c.caches});
  }
  return "callgrind counted nothing";
}

}  // namespace

std::string why_not_counted() {
#ifdef SYNFIN_BENCH_CALLGRIND
  static const bool there = output_of({"valgrind", "--version"}).has_value();
  return there ? "" : "there is no valgrind here";
#else
  return "this program was built without valgrind/callgrind.h";
#endif
}

std::expected<Counts, std::string> count(const std::string& name, double scale) {
  static Known known;
  if (const auto it = known.find(name); it != known.end()) return it->second;
  std::vector<std::string> names;
  for (const CountedWork& part : counted_parts()) names.push_back(part.name);
  if (std::ranges::find(names, name) == names.end()) names = {name};
  const std::string problem = count_now(names, scale, known);
  for (const std::string& each : names) known.emplace(each, std::unexpected(problem));
  return known.at(name);
}

bool do_counted_work(const std::vector<std::string>& names, double scale) {
  const std::vector<CountedWork> all = counted_work();
  for (const std::string& name : names) {
    const auto work = std::ranges::find(all, name, &CountedWork::name);
    const std::uint64_t times = work == all.end() ? 0 : work->run(scale);
    if (times == 0) return false;
    Counting::finish(name);
    fmt::print("{} {}\n", name, times);
  }
  return true;
}

}  // namespace synfin::bench
