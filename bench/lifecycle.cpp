// SPDX-License-Identifier: Apache-2.0
//
// Whole lives of connections, both ends on one core: SYN, SYN-ACK, ACK, FIN, ACK, FIN, ACK, and TIME-WAIT for
// its full time.
#include <fmt/format.h>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "lives.h"
#include "lwip_peer.h"
#include "machine.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kLifecycles = 400'000;
constexpr std::uint64_t kKernelLifecycles = 40'000;
constexpr std::uint64_t kLwipLifecycles = 100'000;
constexpr std::size_t kMostBesideLwip = 1024;
constexpr std::size_t kSegments = 7;

// Each segment of lwIP's walks a list of all connections: fewer lives take as long.
void add_lwip(Sample& sample, std::size_t idle, const Run& run) {
  const std::uint64_t count = run.scaled(idle > 0 ? kLwipLifecycles / 10 : kLwipLifecycles, 500);
  const auto lwip = LwipPeer::get();
  const auto lives = lwip ? (*lwip)->lifecycles(count, idle) : std::unexpected(lwip.error());
  if (!lives) {
    sample.problem = "lwip: " + lives.error();
    return;
  }
  sample.peers["lwip"] = lives->rate;
  sample.extra["lwip"] = {{"segments", lives->segments}, {"time-wait", "recycled at once"}};
}

Sample run_lives(const Population& population, const Run& run) {
  Population p = population;
  p.established = static_cast<std::size_t>(static_cast<double>(p.established) * run.scale);
  p.time_wait = static_cast<std::size_t>(run.scaled(p.time_wait, kTogether));
  Lives lives{p, run.seed};
  lives.populate();
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
  if (run.beside("lwip")) add_lwip(sample, population.established, run);
  return sample;
}

Case lifecycle_case(std::string name, std::string description, const Population& population) {
  Case c{.name = std::move(name), .description = std::move(description), .peers = {"kernel"}};
  // With 65,536 pairs it would need minutes to open them.
  if (population.established <= kMostBesideLwip) c.peers.emplace_back("lwip");
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
