// SPDX-License-Identifier: Apache-2.0
//
// What a small service does: a connection a request, and a question and an answer at a time on one that
// stays.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "lwip_peer.h"
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
  if (run.beside("lwip")) {
    const auto lwip = LwipPeer::get();
    const auto rate = lwip ? (*lwip)->requests(tried, kQuestion, kAnswer) : std::unexpected(lwip.error());
    if (rate) {
      sample.peers["lwip"] = *rate;
    } else {
      sample.problem = "lwip: " + rate.error();
    }
  }
  return sample;
}

/// What the times of many answers say, in nanoseconds.
struct Times {
  double p50 = 0, p99 = 0, p999 = 0;

  explicit Times(std::vector<double> all) {
    std::ranges::sort(all);
    const auto at = [&](double share) {
      return all[std::min(all.size() - 1, static_cast<std::size_t>(share * static_cast<double>(all.size())))];
    };
    p50 = at(0.5);
    p99 = at(0.99);
    p999 = at(0.999);
  }
};

/// Tells which times had another process on the core in them. It looks only where something took long, within
/// what is timed or between, so the others pay nothing for it.
class Interruptions {
 public:
  explicit Interruptions(double usual) : long_(usual * 3) {}
  /// `outside` lies before `inside`.
  bool in(double outside, double inside) {
    if (outside > long_ && inside <= long_) seen_ = preemptions();
    if (inside <= long_) return false;
    const std::uint64_t now = preemptions();
    return std::exchange(seen_, now) != now && outside <= long_;
  }

 private:
  double long_;
  std::uint64_t seen_ = preemptions();
};

struct Pings {
  std::vector<double> all;
  std::uint64_t interrupted = 0;
  std::vector<double> whole;  // those that were not
  std::uint64_t lost = 0;
};

Pings ping(Service& service, std::uint64_t count, double usual) {
  using Clock = std::chrono::steady_clock;
  const auto ns = [](Clock::duration d) { return std::chrono::duration<double, std::nano>(d).count(); };
  Pings pings;
  pings.all.reserve(count);
  pings.whole.reserve(count);
  Interruptions interruptions{usual};
  Clock::time_point last = Clock::now();
  for (std::uint64_t n = 0; n < count; ++n) {
    const Clock::time_point begin = Clock::now();
    if (!service.ask(kQuestion, kQuestion)) ++pings.lost;
    const Clock::time_point end = Clock::now();
    pings.all.push_back(ns(end - begin));
    if (interruptions.in(ns(begin - last), pings.all.back())) {
      ++pings.interrupted;
    } else {
      pings.whole.push_back(pings.all.back());
    }
    last = end;
    service.pass(Duration::microseconds(10));
  }
  return pings;
}

// As many stretches of this length in which only the clock is read: what is late there, the machine took.
Times nothing(std::uint64_t count, double duration) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> all;
  all.reserve(count);
  for (std::uint64_t n = 0; n < count; ++n) {
    const Clock::time_point begin = Clock::now();
    double passed = 0;
    while (passed < duration) passed = std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
    all.push_back(passed);
  }
  return Times{std::move(all)};
}

void add_peers(Sample& sample, const Run& run) {
  const auto add = [&](const std::string& name, const std::expected<std::vector<double>, std::string>& all) {
    if (!all) {
      sample.problem = name + ": " + all.error();
      return;
    }
    const Times times{*all};
    sample.peers[name] = times.p50;
    sample.extra[name] = {
        {"p99", times.p99}, {"p99.9", times.p999}, {"p99.9 to p50", times.p999 / times.p50}};
  };
  const std::uint64_t some = run.scaled(kPings / 10, 1000);
  if (run.beside("kernel")) {
    const auto kernel = KernelSockets::get();
    add("kernel", kernel ? (*kernel)->pings(some, kQuestion) : std::unexpected(kernel.error()));
  }
  if (run.beside("lwip")) {
    const auto lwip = LwipPeer::get();
    add("lwip", lwip ? (*lwip)->pings(some, kQuestion) : std::unexpected(lwip.error()));
  }
}

Sample run_pings(const Run& run) {
  Service service{run.seed};
  Sample sample;
  if (!service.open(0)) {
    sample.problem = "the connection did not open";
    return sample;
  }
  const std::uint64_t count = run.scaled(kPings, 1000);
  const double usual = Times{ping(service, 1000, 1e9).all}.p50;
  const std::uint64_t taken_away = preemptions();
  const Pings pings = ping(service, count, usual);
  const Times all{pings.all}, whole{pings.whole};
  const std::uint64_t taken = preemptions() - taken_away;
  const Times machine = nothing(count, all.p50);
  sample.value = all.p50;
  sample.extra = {{"p99", all.p99},
                  {"p99.9", all.p999},
                  {"p99.9 to p50", all.p999 / all.p50},
                  {"preempted", taken},
                  {"interrupted", pings.interrupted},
                  {"p99.9 of the others", whole.p999},
                  {"machine", {{"p50", machine.p50}, {"p99.9", machine.p999}}}};
  if (pings.lost > 0) sample.problem = fmt::format("{} of {} did not arrive", pings.lost, count);
  add_peers(sample, run);
  return sample;
}

}  // namespace

Benchmark request() {
  Case requests{.name = "connection-each",
                .description = "open, 64 octets there, 1 KiB back, close",
                .peers = {"kernel", "lwip"},
                .run = run_requests};
  Case pings{.name = "ping-pong",
             .description = "64 octets there and back on an open connection: the median",
             .unit = "ns",
             .better = Better::kLower,
             .peers = {"kernel", "lwip"},
             .run = run_pings};
  return {"request", "what a small service does, both ends on one core", {requests, pings}};
}

}  // namespace synfin::bench
