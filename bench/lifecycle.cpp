// SPDX-License-Identifier: Apache-2.0
//
// Whole lives of connections, both ends on one core: SYN, SYN-ACK, ACK, FIN, ACK, FIN, ACK, and TIME-WAIT for
// its full time.
#include <fmt/format.h>

#include <array>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "machine.h"
#include "pair.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kLifecycles = 400'000;
constexpr std::uint64_t kKernelLifecycles = 40'000;
/// Connections that are opened and closed side by side: what arrives in one batch of a busy server.
constexpr std::size_t kTogether = 32;
constexpr std::size_t kSegments = 7;
/// Ports of the server, taken in turn: a pair of hosts has only some 28,000 pairs of ports with each.
constexpr std::uint16_t kFirstPort = 1000;
constexpr std::uint16_t kPorts = 400;

struct Population {
  std::size_t established = 0;
  /// In TIME-WAIT at any moment: virtual time goes by so that each lasts twice the MSL.
  std::size_t time_wait = 65'536;
  std::size_t together = kTogether;
};

class Lives {
 public:
  Lives(const Population& population, std::uint64_t seed) : population_(population), pair_(seed) {
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) s->settings().tcp_max_tw_buckets = 1u << 28;
    for (std::uint16_t n = 0; n < kPorts; ++n) {
      const auto port = static_cast<std::uint16_t>(kFirstPort + n);
      listeners_.push_back(*pair_.server().listen(pair_.endpoint(wire::Family::kIpv4, port), {}, now_));
    }
    while (established_ < population.established) {
      const std::size_t opened = open(std::min(population.together, population.established - established_));
      if (opened == 0) break;
      established_ += opened;
    }
    for (std::size_t n = 0; n < population.time_wait; n += population.together) (void)one_group();
  }

  /// `together` lives from SYN to TIME-WAIT; how many came that far.
  std::size_t one_group() {
    const std::size_t opened = open(population_.together);
    for (std::size_t i = 0; i < opened; ++i) pair_.client().close(clients_[i], now_);
    carry_there();  // FIN
    carry_back();   // its acknowledgement
    take_events();
    for (std::size_t i = 0; i < opened; ++i) pair_.server().close(servers_[i], now_);
    carry_back();   // the other FIN
    carry_there();  // its acknowledgement
    take_events();
    const Duration lasts = pair_.client().settings().msl * 2;
    now_ = now_ + lasts * static_cast<std::int64_t>(population_.together) /
                      static_cast<std::int64_t>(population_.time_wait);
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) {
      if (s->next_deadline() <= now_) s->advance(now_);
    }
    return opened;
  }

  std::size_t established() const { return established_; }
  std::size_t time_wait() { return pair_.client().population().time_wait; }
  std::uint64_t segments() { return sent(pair_.client()) + sent(pair_.server()); }

 private:
  static std::uint64_t sent(stack::Stack& s) {
    return s.counters()[trace::Counter::kOutSegs] + s.counters()[trace::Counter::kRetransSegs];
  }
  void carry_there() { (void)pair_.carry(pair_.client(), pair_.server(), now_); }
  void carry_back() { (void)pair_.carry(pair_.server(), pair_.client(), now_); }
  void take_events() {
    while (pair_.client().poll_event() || pair_.server().poll_event()) {
    }
  }

  std::size_t open(std::size_t count) {
    stack::Stack& server = pair_.server();
    const std::size_t n = next_listener_++ % listeners_.size();
    const wire::Endpoint to = pair_.endpoint(wire::Family::kIpv4, static_cast<std::uint16_t>(kFirstPort + n));
    std::size_t connected = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto c = pair_.client().connect(to, {}, now_);
      if (c) clients_[connected++] = *c;
    }
    carry_there();  // SYN
    carry_back();   // SYN-ACK
    carry_there();  // ACK
    take_events();
    std::size_t opened = 0;
    while (opened < connected) {
      const auto s = server.accept(listeners_[n], now_);
      if (!s) break;
      servers_[opened++] = *s;
    }
    return opened;
  }

  Population population_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  std::vector<stack::Handle> listeners_;
  std::size_t next_listener_ = 0;
  std::size_t established_ = 0;
  std::array<stack::Handle, kTogether> clients_, servers_;
};

Sample run_lives(const Population& population, const Run& run) {
  Population p = population;
  p.established = static_cast<std::size_t>(static_cast<double>(p.established) * run.scale);
  p.time_wait = static_cast<std::size_t>(run.scaled(p.time_wait, kTogether));
  Lives lives{p, run.seed};
  const std::uint64_t taken_away = preemptions();
  const std::uint64_t groups = run.scaled(kLifecycles, 500) / p.together + 1;
  const std::uint64_t before = lives.segments();
  std::uint64_t complete = 0;
  Stopwatch watch;
  watch.start();
  for (std::uint64_t n = 0; n < groups; ++n) complete += lives.one_group();
  watch.stop();
  const std::uint64_t tried = groups * p.together;
  Sample sample;
  sample.value = static_cast<double>(complete) / watch.seconds();
  const double segments = static_cast<double>(lives.segments() - before) / static_cast<double>(tried);
  sample.extra = {{"lifecycles", {{"tried", tried}, {"completed", complete}}},
                  {"segments", segments},
                  {"together", p.together},
                  {"established", lives.established()},
                  {"time_wait", lives.time_wait()},
                  {"ns", 1e9 / sample.value},
                  {"preempted", preemptions() - taken_away}};
  if (complete != tried) {
    sample.problem = fmt::format("{} of {} connections did not open", tried - complete, tried);
  } else if (segments != kSegments) {
    sample.problem = fmt::format("{} segments a connection, not {}", segments, kSegments);
  } else if (lives.established() != p.established) {
    sample.problem = fmt::format("only {} connections are alive", lives.established());
  } else if (lives.time_wait() + p.together < p.time_wait) {
    sample.problem = fmt::format("only {} are in TIME-WAIT", lives.time_wait());
  }
  if (run.beside("kernel")) {
    const auto kernel = KernelSockets::get();
    const auto rate =
        kernel ? (*kernel)->lifecycles(run.scaled(kKernelLifecycles, 500)) : std::unexpected(kernel.error());
    if (rate) {
      sample.peers["kernel"] = *rate;
    } else {
      sample.problem = "kernel: " + rate.error();
    }
  }
  return sample;
}

Case lifecycle_case(std::string name, std::string description, const Population& population) {
  Case c{.name = std::move(name), .description = std::move(description), .peers = {"kernel"}};
  c.run = [population](const Run& run) { return run_lives(population, run); };
  return c;
}

}  // namespace

Benchmark lifecycle() {
  return {"lifecycle",
          "whole lives of connections, both ends on one core: 7 segments, TIME-WAIT kept for its full time",
          {lifecycle_case("alone", "nothing else is established", {}),
           lifecycle_case("one-by-one", "the same, no two at a time", {.together = 1}),
           lifecycle_case("64", "beside 64 idle connections", {.established = 64}),
           lifecycle_case("1024", "beside 1,024 idle connections", {.established = 1024}),
           lifecycle_case("65536", "beside 65,536 idle connections", {.established = 65'536}),
           lifecycle_case("1000000", "beside 1,000,000 idle connections", {.established = 1'000'000}),
           lifecycle_case("million-idle-million-timewait",
                          "beside 1,000,000 idle connections, with 1,000,000 in TIME-WAIT",
                          {.established = 1'000'000, .time_wait = 1'000'000})}};
}

}  // namespace synfin::bench
