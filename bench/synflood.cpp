// SPDX-License-Identifier: Apache-2.0
//
// SYNs from forged sources through a stack on one core, and legitimate clients in between.
#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "benchmark.h"
#include "kernel_peer.h"
#include "machine.h"
#include "pair.h"
#include "syn_source.h"
#include "synfin/stack/impl.h"

namespace synfin::bench {
namespace {

using trace::Counter;
using wire::Family;

constexpr std::uint64_t kSyns = 2'000'000;
constexpr std::uint64_t kKernelSyns = 300'000;
constexpr std::uint64_t kLegitimate = 1000;
constexpr std::uint32_t kBacklog = 1024;
/// Anonymous memory may move by this much without a record a SYN being the cause: the allocator's own
/// affairs.
constexpr std::uint64_t kStill = 1 << 20;

struct Scenario {
  Family family = Family::kIpv4;
  bool timestamps = true;
  std::uint32_t cookies = 1;  // tcp_syncookies
  bool queue_full = true;
};

/// The text that a legitimate client sends once it is connected.
constexpr std::size_t kText = 64;

/// Virtual time between two SYNs. Where the queue is to have room, a record lives for one second and 50,000
/// of them are alive.
Duration interval(const Scenario& s) {
  return s.queue_full ? Duration::nanoseconds(200) : Duration::microseconds(20);
}

struct Held {
  std::uint64_t resident = anonymous_memory();
  std::uint64_t pool = 0;
  std::size_t half_open = 0;
  std::size_t connections = 0;
};

class Flood {
 public:
  Flood(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario),
        pair_(seed),
        source_(pair_.endpoint(scenario.family), scenario.timestamps, seed, pair_.pool()) {
    tcp::Settings& settings = pair_.server().settings();
    settings.tcp_syncookies = scenario.cookies;
    std::uint32_t backlog = kBacklog;
    if (!scenario.queue_full) {
      backlog = settings.somaxconn = 65535;
      settings.tcp_max_syn_backlog = 1 << 20;
      settings.tcp_synack_retries = 0;
    }
    listener_ = *pair_.server().listen(pair_.endpoint(scenario.family), {.backlog = backlog}, now_);
    // Until there are as many records as there will be; one batch at least is answered as all others are.
    const std::int64_t first = scenario.queue_full ? kBacklog * 2 : Duration::seconds(2) / interval(scenario);
    Stopwatch warm_up;
    for (std::int64_t n = 0; n < first; n += Pair::kBatch) batch(warm_up);
  }

  /// A batch comes in, and everything that is to be said to it goes out.
  void batch(Stopwatch& watch) {
    stack::Stack& server = pair_.server();
    source_.fill(in_);
    watch.start();
    if (server.next_deadline() <= now_) server.advance(now_);
    server.receive(in_, now_);
    std::size_t n = 0;
    do {
      n = server.transmit(out_, now_);
      answers_ += n;
    } while (n == out_.size());
    watch.stop();
    now_ = now_ + interval(scenario_) * static_cast<std::int64_t>(Pair::kBatch);
  }

  /// A client connects and its text comes through; then both ends forget it.
  bool legitimate() {
    stack::Stack& client = pair_.client();
    stack::Stack& server = pair_.server();
    const auto ours = client.connect(pair_.endpoint(scenario_.family), {}, now_);
    if (!ours) return false;
    pair_.settle(now_);
    const auto theirs = server.accept(listener_, now_);
    bool complete = false;
    if (theirs) {
      std::array<std::byte, kText> text{};
      const Bytes out{text};
      const MutableBytes in{text};
      complete = client.send(*ours, std::span{&out, 1}, now_) == kText;
      pair_.settle(now_);
      complete = complete && server.receive(*theirs, std::span{&in, 1}, now_) == kText;
      server.abort(*theirs, now_);
    }
    client.abort(*ours, now_);
    pair_.settle(now_);
    return complete;
  }

  std::uint64_t count(Counter c) { return pair_.server().counters()[c]; }
  std::uint64_t answers() const { return answers_; }
  Held held() {
    const stack::Population p = pair_.server().population();
    Held h;
    h.pool = pair_.pool().bytes_in_use();
    h.half_open = p.half_open;
    h.connections = p.connections + pair_.client().population().connections;
    return h;
  }

 private:
  Scenario scenario_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  SynSource source_;
  stack::Handle listener_;
  std::array<wire::Frame, Pair::kBatch> in_, out_;
  std::uint64_t answers_ = 0;
};

Json sizes() {
  stack::Table table;
  const bool inserted = table.insert(1, stack::RecordRef{stack::RecordKind::kConnection, 0});
  return {{"HalfOpen", sizeof(tcp::HalfOpen)},
          {"TimeWait", sizeof(tcp::TimeWait)},
          {"ConnectionRecord", sizeof(stack::ConnectionRecord)},
          {"table slot", inserted ? table.memory() / table.capacity() : 0}};
}

void add_kernel(Sample& sample, const Scenario& scenario, const Run& run) {
  const auto peer = KernelPeer::get();
  if (!peer) return;
  const auto flood =
      (*peer)->flood(scenario.family, scenario.timestamps, run.scaled(kKernelSyns, 1000), run.seed);
  if (!flood) {
    sample.extra["kernel"] = flood.error();
    return;
  }
  sample.peers["kernel"] = flood->rate;
  sample.extra["kernel"] = {{"syns", flood->syns}, {"cookies", flood->cookies}, {"ns", flood->nanoseconds}};
  if (flood->input_nanoseconds > 0)
    sample.extra["kernel"]["beyond input ns"] = flood->nanoseconds - flood->input_nanoseconds;
}

Json memory(const Held& before, const Held& after) {
  const auto grown = static_cast<std::int64_t>(after.resident) - static_cast<std::int64_t>(before.resident);
  return {{"resident before", before.resident},
          {"resident after", after.resident},
          {"resident growth", grown},
          {"pool growth", after.pool - before.pool},
          {"half-open before", before.half_open},
          {"half-open after", after.half_open},
          {"connections", after.connections}};
}

Sample run_flood(const Scenario& scenario, const Run& run) {
  const bool cookies = scenario.cookies > 0 && scenario.queue_full;
  const bool served = scenario.cookies > 0 || !scenario.queue_full;
  Flood flood{scenario, run.seed};
  const std::uint64_t batches = (run.scaled(kSyns, 1000) + Pair::kBatch - 1) / Pair::kBatch;
  const std::uint64_t tried = served ? run.scaled(kLegitimate, 10) : 0;
  if (served && !flood.legitimate()) return {.problem = "a legitimate handshake fails before all others"};

  const Held before = flood.held();
  const std::uint64_t sent = flood.count(Counter::kSyncookiesSent);
  const std::uint64_t received = flood.count(Counter::kSyncookiesRecv);
  const std::uint64_t answers = flood.answers();
  const std::uint64_t taken_away = preemptions();
  Stopwatch watch;
  std::uint64_t completed = 0, begun = 0;
  for (std::uint64_t n = 0; n < batches; ++n) {
    flood.batch(watch);
    for (; begun * batches < tried * (n + 1); ++begun) completed += flood.legitimate() ? 1 : 0;
  }
  const std::uint64_t syns = batches * Pair::kBatch;
  const Held after = flood.held();

  Sample sample;
  sample.value = static_cast<double>(syns) / watch.seconds();
  Json& x = sample.extra;
  x["syns"] = syns;
  x["ns"] = 1e9 / sample.value;
  if (served) x["legitimate"] = {{"tried", tried}, {"completed", completed}};
  x["memory"] = memory(before, after);
  x["preempted"] = preemptions() - taken_away;
  x["sizeof"] = sizes();

  const std::uint64_t cookies_sent = flood.count(Counter::kSyncookiesSent) - sent;
  if (completed != tried) {
    sample.problem = fmt::format("{} of {} legitimate handshakes did not complete", tried - completed, tried);
  } else if (flood.answers() - answers != (served ? syns : 0)) {
    sample.problem = fmt::format("{} SYNs had {} answers", syns, flood.answers() - answers);
  } else if (cookies_sent != (cookies ? syns + tried : 0)) {
    sample.problem = fmt::format("{} cookies were sent for {} SYNs", cookies_sent, syns + tried);
  } else if (flood.count(Counter::kSyncookiesRecv) - received != (cookies ? tried : 0)) {
    sample.problem = "a legitimate handshake did not come by its cookie";
  } else if (after.resident > before.resident + kStill || after.pool != before.pool ||
             after.connections != before.connections ||
             (scenario.queue_full && after.half_open != before.half_open)) {
    sample.problem = "memory is not constant: " + x["memory"].dump();
  }
  if (run.beside("kernel") && cookies) add_kernel(sample, scenario, run);
  return sample;
}

Case flood_case(std::string name, std::string description, const Scenario& scenario) {
  Case c{.name = std::move(name), .description = std::move(description)};
  if (scenario.queue_full && scenario.cookies > 0) c.peers = {"kernel"};
  c.run = [scenario](const Run& run) { return run_flood(scenario, run); };
  return c;
}

}  // namespace

Benchmark synflood() {
  return {
      "synflood",
      "SYNs from forged sources, absorbed by one core; 1,000 legitimate handshakes in between",
      {flood_case("cookies", "60-octet SYNs, the queue is full: each gets a cookie", {}),
       flood_case("no-timestamps", "the same from peers without timestamps", {.timestamps = false}),
       flood_case("ipv6", "the same over IPv6", {.family = Family::kIpv6}),
       flood_case("queue", "the queue has room: each gets a record, which times out", {.queue_full = false}),
       flood_case("drop", "the queue is full, cookies are off: each is dropped", {.cookies = 0})}};
}

}  // namespace synfin::bench
