// SPDX-License-Identifier: Apache-2.0
//
// Complete handshakes, both ends on one core: connect, three segments, accept.
#include <fmt/format.h>

#include <array>
#include <optional>
#include <vector>

#include "benchmark.h"
#include "machine.h"
#include "pair.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kHandshakes = 200'000;
/// Handshakes between two readings of the clock; they are undone after that, untimed.
constexpr std::size_t kTogether = 64;
/// Ports on which those wait that are alive all the time, and connections to each.
constexpr std::uint16_t kAlivePorts = 8;
constexpr std::size_t kAliveEach = 8192;

struct Scenario {
  bool cookie = false;
  bool others_alive = false;
};

class Ends {
 public:
  Ends(const Scenario& scenario, std::uint64_t seed) : pair_(seed) {
    if (scenario.cookie) pair_.server().settings().tcp_syncookies = 2;
    listener_ = listen(Pair::kPort);
    if (!scenario.others_alive) return;
    for (std::uint16_t n = 1; n <= kAlivePorts; ++n) {
      const auto port = static_cast<std::uint16_t>(Pair::kPort + n);
      const stack::Handle listener = listen(port);
      for (std::size_t i = 0; i < kAliveEach; ++i) {
        if (open(listener, port)) ++alive_;
      }
    }
  }

  std::size_t alive() const { return alive_; }

  /// `kTogether` handshakes, one after the other; how many completed.
  std::size_t measure(Stopwatch& watch) {
    std::array<std::optional<Both>, kTogether> made;
    watch.start();
    for (auto& both : made) both = open(listener_, Pair::kPort);
    watch.stop();
    std::size_t complete = 0;
    for (const auto& both : made) {
      if (!both) continue;
      ++complete;
      pair_.server().abort(both->server, now_);
      pair_.client().abort(both->client, now_);
      pair_.settle(now_);
    }
    now_ = now_ + Duration::milliseconds(1);
    if (pair_.server().next_deadline() <= now_) pair_.server().advance(now_);
    if (pair_.client().next_deadline() <= now_) pair_.client().advance(now_);
    pair_.settle(now_);
    return complete;
  }

 private:
  struct Both {
    stack::Handle client, server;
  };

  stack::Handle listen(std::uint16_t port) {
    return *pair_.server().listen(pair_.endpoint(wire::Family::kIpv4, port), {}, now_);
  }

  std::optional<Both> open(stack::Handle listener, std::uint16_t port) {
    stack::Stack& client = pair_.client();
    stack::Stack& server = pair_.server();
    const auto ours = client.connect(pair_.endpoint(wire::Family::kIpv4, port), {}, now_);
    if (!ours) return std::nullopt;
    pair_.carry(client, server, now_);
    pair_.carry(server, client, now_);
    pair_.carry(client, server, now_);
    const auto theirs = server.accept(listener, now_);
    while (client.poll_event() || server.poll_event()) {
    }
    if (!theirs) return std::nullopt;
    return Both{*ours, *theirs};
  }

  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  stack::Handle listener_;
  std::size_t alive_ = 0;
};

Sample run_handshakes(const Scenario& scenario, const Run& run) {
  Ends ends{scenario, run.seed};
  Stopwatch warm_up, watch;
  (void)ends.measure(warm_up);
  const std::uint64_t taken_away = preemptions();
  const std::uint64_t groups = (run.scaled(kHandshakes, 500) + kTogether - 1) / kTogether;
  std::uint64_t completed = 0;
  for (std::uint64_t n = 0; n < groups; ++n) completed += ends.measure(watch);
  const std::uint64_t tried = groups * kTogether;
  Sample sample;
  sample.value = static_cast<double>(completed) / watch.seconds();
  sample.extra = {{"handshakes", {{"tried", tried}, {"completed", completed}}},
                  {"alive", ends.alive()},
                  {"ns", 1e9 / sample.value},
                  {"preempted", preemptions() - taken_away}};
  if (completed != tried) {
    sample.problem = fmt::format("{} of {} handshakes did not complete", tried - completed, tried);
  } else if (scenario.others_alive && ends.alive() != kAlivePorts * kAliveEach) {
    sample.problem = fmt::format("only {} connections are alive", ends.alive());
  }
  return sample;
}

Case handshake_case(std::string name, std::string description, const Scenario& scenario) {
  Case c{.name = std::move(name), .description = std::move(description)};
  c.run = [scenario](const Run& run) { return run_handshakes(scenario, run); };
  return c;
}

}  // namespace

Benchmark handshake() {
  return {"handshake",
          "complete handshakes on one core, both ends: connect, three segments, accept",
          {handshake_case("alone", "one at a time, at most 64 open", {}),
           handshake_case("cookie", "the same, each by way of a SYN cookie", {.cookie = true}),
           handshake_case("65536", "the same with 65,536 connections alive", {.others_alive = true})}};
}

}  // namespace synfin::bench
