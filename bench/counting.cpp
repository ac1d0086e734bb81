// SPDX-License-Identifier: Apache-2.0
#include "counting.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

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

namespace {

/// A file that is gone with this.
struct Temporary {
  std::string name = "/tmp/synfin-bench-XXXXXX";
  Temporary() {
    const int made = ::mkstemp(name.data());
    if (made >= 0) ::close(made);
  }
  ~Temporary() { ::unlink(name.c_str()); }
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

// The columns of callgrind's file by their names: "events: Ir Dr …", "summary: 12 34 …" (the old word is
// "totals").
std::map<std::string, double> columns(const std::string& file, std::string& caches) {
  std::vector<std::string> names;
  std::map<std::string, double> values;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    std::istringstream rest{line};
    std::string key;
    rest >> key;
    if (key == "desc:" && (line.find("D1 cache") != line.npos || line.find("LL cache") != line.npos)) {
      if (!caches.empty()) caches += "; ";
      caches += line.substr(6);
    } else if (key == "events:") {
      for (std::string name; rest >> name;) names.push_back(name);
    } else if (key == "summary:" || key == "totals:") {
      for (std::size_t i = 0; i < names.size(); ++i) {
        double value = 0;  // what is zero to the end of the line is left out
        rest >> value;
        values[names[i]] = value;
      }
    }
  }
  return values;
}

std::expected<Counts, std::string> count_now(const std::string& name) {
  if (std::string why = why_not_counted(); !why.empty()) return std::unexpected(std::move(why));
  const Temporary file;
  std::array<char, 4096> path{};
  const ssize_t n = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (n <= 0) return std::unexpected("this program does not find itself");
  const auto text =
      output_of({"valgrind", "--quiet", "--tool=callgrind", "--cache-sim=yes", "--instr-atstart=no",
                 "--collect-atstart=no", "--callgrind-out-file=" + file.name,
                 std::string(path.data(), static_cast<std::size_t>(n)), "--count", name});
  if (!text) return std::unexpected(text.error());
  Counts counts;
  counts.times = std::strtoull(text->c_str(), nullptr, 10);
  const auto all = columns(file.name, counts.caches);
  if (counts.times == 0 || !all.contains("Ir") || all.at("Ir") == 0)
    return std::unexpected("callgrind counted nothing");
  const auto each = [&](std::initializer_list<const char*> names) {
    double sum = 0;
    for (const char* column : names) sum += all.contains(column) ? all.at(column) : 0;
    return sum / static_cast<double>(counts.times);
  };
  counts.instructions = each({"Ir"});
  counts.reads = each({"Dr"});
  counts.writes = each({"Dw"});
  counts.first_level_misses = each({"D1mr", "D1mw"});
  counts.last_level_misses = each({"DLmr", "DLmw"});
  counts.instruction_misses = each({"I1mr"});
  return counts;
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

std::expected<Counts, std::string> count(const std::string& name) {
  static std::map<std::string, std::expected<Counts, std::string>> known;
  const auto it = known.find(name);
  if (it != known.end()) return it->second;
  return known.emplace(name, count_now(name)).first->second;
}

}  // namespace synfin::bench
