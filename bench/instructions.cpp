// SPDX-License-Identifier: Apache-2.0
//
// What whole paths take, counted: instructions, and cache lines from further away.
#include <algorithm>
#include <array>

#include "benchmark.h"
#include "counting.h"
#include "lives.h"
#include "service.h"
#include "stream.h"
#include "syn_source.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr double kLine = 64;  // octets of a cache line

std::uint64_t lives(Population population, double scale) {
  constexpr std::uint64_t kGroups = 64;
  for (std::size_t* n : {&population.established, &population.time_wait})
    *n = static_cast<std::size_t>(static_cast<double>(*n) * scale);
  population.time_wait = std::max(population.time_wait, population.together);
  Lives lives{population, kSeed};
  lives.populate();
  Counting::warm_up();
  for (std::uint64_t n = 0; n < kGroups; ++n) (void)lives.one_group();
  std::uint64_t complete = 0;
  Counting::start();
  for (std::uint64_t n = 0; n < kGroups; ++n) complete += lives.one_group();
  Counting::stop();
  return complete == kGroups * population.together ? complete : 0;
}

// The first time memory is taken and caches fill.
template <class Some>
void count_the_second(Some& some) {
  Counting::warm_up();
  some();
  Counting::start();
  some();
  Counting::stop();
}

std::uint64_t requests(double) {
  constexpr std::uint64_t kCount = 500;
  Service service{kSeed};
  std::uint64_t answered = 0;
  const auto some = [&] {
    for (std::uint64_t n = 0; n < kCount; ++n) {
      if (service.open(static_cast<std::uint16_t>(n % Service::kPorts)) && service.ask(64, 1024)) ++answered;
      service.close();
      service.pass(Duration::milliseconds(1));
    }
  };
  count_the_second(some);
  return answered == 2 * kCount ? kCount : 0;
}

std::uint64_t pings(double) {
  constexpr std::uint64_t kCount = 2000;
  Service service{kSeed};
  if (!service.open(0)) return 0;
  std::uint64_t answered = 0;
  const auto some = [&] {
    for (std::uint64_t n = 0; n < kCount; ++n) answered += service.ask(64, 64) ? 1 : 0;
  };
  count_the_second(some);
  return answered == 2 * kCount ? kCount : 0;
}

// SYNs to a full queue, each answered by a cookie: `receive` and `transmit` of a batch, as in `synflood`.
std::uint64_t syns(double) {
  constexpr std::uint64_t kBatches = 64;
  Instant now = Instant::from_ns(1'000'000'000'000);
  Pair pair{kSeed};
  const wire::Endpoint at = pair.endpoint(wire::Family::kIpv4);
  if (!pair.server().listen(at, {.backlog = 1024}, now)) return 0;
  SynSource source{at, true, kSeed, pair.pool()};
  std::array<wire::Frame, Pair::kBatch> in, out;
  const auto batch = [&](bool counted) {
    source.fill(in);
    now = now + Duration::microseconds(13);
    if (counted) Counting::start();
    if (pair.server().next_deadline() <= now) pair.server().advance(now);
    pair.server().receive(in, now);
    std::size_t answers = 0, n = 0;
    do {
      n = pair.server().transmit(out, now);
      answers += n;
    } while (n == out.size());
    if (counted) Counting::stop();
    return answers;
  };
  for (std::uint64_t n = 0; n < kBatches; ++n) (void)batch(false);
  Counting::warm_up();
  for (std::uint64_t n = 0; n < 16; ++n) (void)batch(false);
  std::uint64_t answers = 0;
  for (std::uint64_t n = 0; n < kBatches; ++n) answers += batch(true);
  return answers == kBatches * Pair::kBatch ? answers : 0;
}

std::uint64_t stream(Pair::Offload offload, double scale) {
  const auto octets = static_cast<std::uint64_t>(std::max(16 * scale, 2.0) * (1 << 20));
  Stream stream{1500, 1 << 20, kSeed, offload};
  if (stream.pass(octets) < octets) return 0;
  Counting::warm_up();
  (void)stream.pass(octets / 4);
  const std::uint64_t before = stream.segments();
  Counting::start();
  const std::uint64_t arrived = stream.pass(octets);
  Counting::stop();
  if (arrived < octets) return 0;
  return offload == Pair::Offload::kYes ? arrived / kStreamPiece : stream.segments() - before;
}

Sample run_count(const std::string& name, double scale) {
  Sample sample;
  const auto counts = count(name, scale);
  if (!counts) {
    if (const std::string why = why_not_counted(); !why.empty()) {
      sample.skipped = why;
    } else {
      sample.problem = counts.error();
    }
    return sample;
  }
  sample.value = counts->instructions;
  sample.extra = {{"times", counts->times},
                  {"reads", counts->reads},
                  {"writes", counts->writes},
                  {"D1 misses", counts->first_level_misses},
                  {"LL misses", counts->last_level_misses},
                  {"I1 misses", counts->instruction_misses},
                  {"octets from beyond D1", counts->first_level_misses * kLine},
                  {"octets from beyond LL", counts->last_level_misses * kLine},
                  {"simulated", counts->caches}};
  return sample;
}

}  // namespace

std::vector<CountedWork> counted_work() {
  std::vector<CountedWork> all{
      {"life", "a connection's life, 7 segments at both ends; 65,536 in TIME-WAIT",
       [](double scale) { return lives({}, scale); }},
      {"life-cold",
       "the same beside 250,000 idle connections, with 250,000 in TIME-WAIT: more than caches hold",
       [](double scale) { return lives({.established = 250'000, .time_wait = 250'000}, scale); }},
      {"request", "open, 64 octets there, 1 KiB back, close", requests},
      {"ping-pong", "64 octets there and back on an open connection", pings},
      {"syn", "a SYN answered by a cookie", syns},
      {"segment", "a segment of a stream at MTU 1,500, both ends, copied in and out",
       [](double scale) { return stream(Pair::Offload::kNo, scale); }},
      {"stream-64k", "64 KiB of a stream in super-segments, the same",
       [](double scale) { return stream(Pair::Offload::kYes, scale); }}};
  for (CountedWork& part : counted_parts()) all.push_back(std::move(part));
  return all;
}

Benchmark instructions() {
  Benchmark b{"instructions", "counted by callgrind, for each: no load of the machine disturbs them", {}};
  for (const CountedWork& work : counted_work()) {
    Case c{
        .name = work.name, .description = work.description, .unit = "instructions", .better = Better::kLower};
    c.run = [name = work.name](const Run& run) { return run_count(name, run.scale); };
    b.cases.push_back(std::move(c));
  }
  return b;
}

}  // namespace synfin::bench
