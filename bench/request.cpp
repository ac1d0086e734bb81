// SPDX-License-Identifier: Apache-2.0
//
// What a small service does: a connection a request, and a question and an answer at a time on one that
// stays.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "machine.h"
#include "pair.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kRequests = 100'000;
constexpr std::uint64_t kKernelRequests = 20'000;
constexpr std::uint64_t kPings = 200'000;
constexpr std::size_t kQuestion = 64;
constexpr std::size_t kAnswer = 1024;

class Service {
 public:
  explicit Service(std::uint64_t seed) : pair_(seed) {
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) s->settings().tcp_max_tw_buckets = 1u << 28;
    for (std::uint16_t n = 0; n < kPorts; ++n)
      listeners_[n] = *pair_.server().listen(endpoint(n), {.connection = {.no_delay = true}}, now_);
  }

  bool open(std::uint16_t port) {
    const auto c = pair_.client().connect(endpoint(port), {.connection = {.no_delay = true}}, now_);
    if (!c) return false;
    exchange();
    const auto s = pair_.server().accept(listeners_[port], now_);
    if (!s) return false;
    client_ = *c;
    server_ = *s;
    return true;
  }
  void close() {
    pair_.client().close(client_, now_);
    exchange();
    pair_.server().close(server_, now_);
    exchange();
  }
  /// `question` octets there, `answer` octets back; false: something did not arrive.
  bool ask(std::size_t question, std::size_t answer) {
    return say(pair_.client(), client_, pair_.server(), server_, question) &&
           say(pair_.server(), server_, pair_.client(), client_, answer);
  }
  /// Virtual time goes by, and what is due is done.
  void pass(Duration d) {
    now_ = now_ + d;
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) {
      if (s->next_deadline() <= now_) s->advance(now_);
    }
    exchange();
  }
  static constexpr std::uint16_t kPorts = 64;

 private:
  wire::Endpoint endpoint(std::uint16_t port) const {
    return pair_.endpoint(wire::Family::kIpv4, static_cast<std::uint16_t>(Pair::kPort + port));
  }
  void exchange() { pair_.settle(now_); }
  bool say(stack::Stack& from, stack::Handle writer, stack::Stack& to, stack::Handle reader,
           std::size_t octets) {
    const Bytes out = Bytes{out_}.first(octets);
    if (from.send(writer, std::span{&out, 1}, now_) != octets) return false;
    (void)pair_.carry(from, to, now_);
    const MutableBytes in{in_};
    return to.receive(reader, std::span{&in, 1}, now_) == octets;
  }

  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  std::array<stack::Handle, kPorts> listeners_;
  stack::Handle client_, server_;
  std::array<std::byte, kAnswer> out_{}, in_{};
};

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
