// SPDX-License-Identifier: Apache-2.0
//
// What a small service does: a connection a request, and a question and an answer at a time on one that
// stays.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "machine.h"
#include "service.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kRequests = 100'000;
constexpr std::uint64_t kKernelRequests = 20'000;
constexpr std::uint64_t kPings = 200'000;
constexpr std::size_t kQuestion = 64;
constexpr std::size_t kAnswer = 1024;

Sample run_requests(const Run& run) {
  Service service{run.seed};
  const std::uint64_t tried = run.scaled(kRequests, 500);
  const std::uint64_t taken_away = preemptions();
  std::uint64_t answered = 0;
  Stopwatch watch;
  watch.start();
  for (std::uint64_t n = 0; n < tried; ++n) {
    const auto port = static_cast<std::uint16_t>(n % Service::kPorts);
    if (!service.open(port)) continue;
    if (service.ask(kQuestion, kAnswer)) ++answered;
    service.close();
    service.pass(Duration::milliseconds(1));
  }
  watch.stop();
  Sample sample;
  sample.value = static_cast<double>(answered) / watch.seconds();
  sample.extra = {{"requests", {{"tried", tried}, {"answered", answered}}},
                  {"ns", 1e9 / sample.value},
                  {"preempted", preemptions() - taken_away}};
  if (answered != tried) sample.problem = fmt::format("{} of {} had no answer", tried - answered, tried);
  if (run.beside("kernel")) {
    const auto kernel = KernelSockets::get();
    const auto rate = kernel ? (*kernel)->requests(run.scaled(kKernelRequests, 500), kQuestion, kAnswer)
                             : std::unexpected(kernel.error());
    if (rate) {
      sample.peers["kernel"] = *rate;
    } else {
      sample.problem = "kernel: " + rate.error();
    }
  }
  return sample;
}

double percentile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

Sample run_pings(const Run& run) {
  Service service{run.seed};
  Sample sample;
  if (!service.open(0)) {
    sample.problem = "the connection did not open";
    return sample;
  }
  const std::uint64_t pings = run.scaled(kPings, 1000);
  const std::uint64_t taken_away = preemptions();
  std::vector<double> nanoseconds;
  nanoseconds.reserve(pings);
  std::uint64_t lost = 0;
  for (std::uint64_t n = 0; n < pings + 1000; ++n) {
    Stopwatch watch;
    watch.start();
    if (!service.ask(kQuestion, kQuestion)) ++lost;
    watch.stop();
    if (n >= 1000) nanoseconds.push_back(watch.seconds() * 1e9);
    service.pass(Duration::microseconds(10));
  }
  std::ranges::sort(nanoseconds);
  sample.value = percentile(nanoseconds, 0.5);
  const double late = percentile(nanoseconds, 0.999);
  sample.extra = {{"p99", percentile(nanoseconds, 0.99)},
                  {"p99.9", late},
                  {"p99.9 to p50", late / sample.value},
                  {"preempted", preemptions() - taken_away}};
  if (lost > 0) sample.problem = fmt::format("{} of {} did not arrive", lost, pings);
  if (run.beside("kernel")) {
    const auto kernel = KernelSockets::get();
    auto all =
        kernel ? (*kernel)->pings(run.scaled(kPings / 10, 1000), kQuestion) : std::unexpected(kernel.error());
    if (all) {
      std::ranges::sort(*all);
      sample.peers["kernel"] = percentile(*all, 0.5);
      sample.extra["kernel p99.9"] = percentile(*all, 0.999);
    } else {
      sample.problem = "kernel: " + all.error();
    }
  }
  return sample;
}

}  // namespace

Benchmark request() {
  Case requests{.name = "connection-each",
                .description = "open, 64 octets there, 1 KiB back, close",
                .peers = {"kernel"},
                .run = run_requests};
  Case pings{.name = "ping-pong",
             .description = "64 octets there and back on an open connection: the median",
             .unit = "ns",
             .better = Better::kLower,
             .peers = {"kernel"},
             .run = run_pings};
  return {"request", "what a small service does, both ends on one core", {requests, pings}};
}

}  // namespace synfin::bench
