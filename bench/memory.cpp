// SPDX-License-Identifier: Apache-2.0
//
// What a connection takes, all included: how much more anonymous memory lies in RAM once there are so many.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "lives.h"
#include "machine.h"
#include "raw_clients.h"
#include "syn_source.h"

namespace synfin::bench {
namespace {

constexpr std::size_t kMany = 1'000'000;

std::uint64_t memory_now() {
  ::malloc_trim(0);  // or what other cases gave back would be used again and not be seen
  return anonymous_memory();
}

void add_kernel(const Run& run, Sample& sample, KernelSockets::Kind kind) {
  if (!run.beside("kernel")) return;
  const auto kernel = KernelSockets::get();
  const auto octets = kernel ? (*kernel)->memory(kind) : std::unexpected(kernel.error());
  if (octets) {
    sample.peers["kernel"] = *octets;
  } else {
    sample.problem = "kernel: " + octets.error();
  }
}

Sample run_half_open(const Run& run, std::size_t full) {
  const std::size_t count = run.scaled(full, 1024);
  Pair pair{run.seed};
  Instant now = Instant::from_ns(1'000'000'000'000);
  tcp::Settings& settings = pair.server().settings();
  settings.tcp_max_syn_backlog = 1 << 24;
  settings.somaxconn = 65'535;
  settings.tcp_syncookies = 0;
  // One listener keeps as many as its backlog; so many are needed.
  constexpr std::size_t kEach = 65'000;
  const std::size_t listeners = (count + kEach - 1) / kEach;
  std::vector<SynSource> sources;
  for (std::size_t n = 0; n < listeners; ++n) {
    const wire::Endpoint at = pair.endpoint(wire::Family::kIpv4, static_cast<std::uint16_t>(Pair::kPort + n));
    (void)pair.server().listen(at, {.backlog = 65'535}, now);
    sources.emplace_back(at, true, run.seed + n, pair.pool());
  }
  std::array<wire::Frame, Pair::kBatch> frames;
  const auto flood = [&](std::size_t upto) {
    for (std::size_t n = pair.server().population().half_open; n < upto; n += frames.size()) {
      sources[n / kEach % listeners].fill(frames);
      pair.server().receive(frames, now);
      while (pair.server().transmit(frames, now) > 0) {
        for (wire::Frame& f : frames) f.clear();
      }
    }
  };
  flood(256);
  const std::size_t before_count = pair.server().population().half_open;
  const std::uint64_t before = memory_now();
  flood(count);
  const std::uint64_t after = memory_now();
  const std::size_t half_open = pair.server().population().half_open;
  Sample sample;
  sample.value = static_cast<double>(after - before) / static_cast<double>(half_open - before_count);
  sample.extra = {{"connections", half_open}};
  if (half_open + 1024 < count) sample.problem = fmt::format("only {} are half-open", half_open);
  return sample;
}

// Octets for each end; beside them 64 octets there and back on one of them.
Sample run_established(const Run& run, std::size_t ends) {
  const std::size_t pairs = run.scaled(ends, 2048) / 2;
  const auto ping = [](Lives& lives, Sample& sample) {
    std::vector<double> nanoseconds;
    for (int n = 0; n < 10'000; ++n) {
      Stopwatch watch;
      watch.start();
      if (!lives.ask()) sample.problem = "64 octets did not arrive";
      watch.stop();
      nanoseconds.push_back(watch.seconds() * 1e9);
    }
    std::ranges::sort(nanoseconds);
    return nanoseconds[nanoseconds.size() / 2];
  };
  Sample sample;
  double alone = 0;
  {
    Lives one{{.established = 1, .time_wait = 0}, run.seed};
    one.populate();
    alone = ping(one, sample);
  }
  Lives lives{{.established = pairs, .time_wait = 0}, run.seed};
  const std::uint64_t before = memory_now();
  lives.populate();
  const std::uint64_t after = memory_now();
  sample.value = static_cast<double>(after - before) / static_cast<double>(lives.established() * 2);
  const double among = ping(lives, sample);
  sample.extra = {{"ends", lives.established() * 2},
                  {"all", after - before},
                  {"ping-pong alone ns", alone},
                  {"ping-pong among them ns", among}};
  if (lives.established() != pairs) sample.problem = fmt::format("only {} are open", lives.established());
  add_kernel(run, sample, KernelSockets::Kind::kEstablished);
  return sample;
}

/// A server with many connections to clients that take no memory for them.
class Crowd {
 public:
  Crowd(std::size_t count, std::uint64_t seed)
      : pair_(seed), random_(seed), clients_(count, pair_.endpoint(wire::Family::kIpv4), pair_.pool()) {
    handles_.reserve(count);
    handles_.resize(count);  // touched
    handles_.clear();
    pair_.server().settings().somaxconn = 65'535;
    listener_ = *pair_.server().listen(pair_.endpoint(wire::Family::kIpv4), {.backlog = 65'535}, now_);
  }

  /// The next client connects, and those behind it, to the end of a batch or of all.
  void open(std::size_t upto) {
    const std::size_t first = handles_.size(), n = std::min(upto - first, Pair::kBatch);
    for (std::size_t i = 0; i < n; ++i) clients_.syn(first + i, frames_[i]);
    pair_.server().receive(std::span{frames_}.first(n), now_);
    (void)listen_to_server();
    for (std::size_t i = 0; i < n; ++i) clients_.ack(first + i, frames_[i]);
    pair_.server().receive(std::span{frames_}.first(n), now_);
    while (const auto handle = pair_.server().accept(listener_, now_)) handles_.push_back(*handle);
    (void)listen_to_server();
  }
  std::size_t open() const { return handles_.size(); }

  /// Client `n` sends 64 octets, the program answers them, and the client acknowledges that. Nanoseconds from
  /// when the question is there, or 0: it did not come about. What the client has to look up before it asks is
  /// no part of it: that is another machine's memory.
  double ask(std::size_t n) {
    Stopwatch watch;
    stack::Stack& server = pair_.server();
    clients_.ask(n, frames_[0]);
    watch.start();
    server.receive(std::span{frames_}.first(1), now_);
    std::array<std::byte, RawClients::kText> text;
    std::size_t got = 0;
    while (const auto event = server.poll_event()) {
      const MutableBytes in{text};
      got += server.receive(event->handle, std::span{&in, 1}, now_).value_or(0);
      const Bytes out{text};
      if (got == text.size()) (void)server.send(event->handle, std::span{&out, 1}, now_);
    }
    const std::size_t heard = listen_to_server();
    clients_.ack(n, frames_[0]);
    server.receive(std::span{frames_}.first(1), now_);
    watch.stop();
    return got == text.size() && heard == text.size() ? watch.seconds() * 1e9 : 0;
  }
  /// The median of many; of one client, or of any, drawn each time.
  double ask_often(bool any) {
    std::vector<double> nanoseconds;
    for (int n = 0; n < 10'000; ++n)
      nanoseconds.push_back(ask(any ? random_.next() % handles_.size() : handles_.size() / 2));
    std::ranges::sort(nanoseconds);
    return nanoseconds.front() == 0 ? 0 : nanoseconds[nanoseconds.size() / 2];
  }

 private:
  // How much text there was.
  std::size_t listen_to_server() {
    std::size_t text = 0;
    for (std::size_t n = 0; (n = pair_.server().transmit(out_, now_)) > 0;) {
      for (std::size_t i = 0; i < n; ++i) {
        if (const auto heard = clients_.hear(out_[i])) text += heard->text;
        out_[i].clear();
      }
    }
    while (pair_.server().poll_event()) {
    }
    return text;
  }

  Pair pair_;
  Random random_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  RawClients clients_;
  stack::Handle listener_;
  std::vector<stack::Handle> handles_;
  std::array<wire::Frame, Pair::kBatch> frames_, out_;
};

// All of them in one server: nothing is divided by two.
Sample run_crowd(const Run& run, std::size_t full) {
  constexpr double kMost = 6.0 * 1024 * 1024 * 1024;  // for 10,000,000
  const std::size_t count = run.scaled(full, 1024);
  Sample sample;
  double alone = 0;
  {
    Crowd one{1, run.seed};
    one.open(1);
    alone = one.ask_often(false);
  }
  Crowd crowd{count, run.seed};
  const std::uint64_t before = memory_now();
  Stopwatch watch;
  watch.start();
  while (crowd.open() < count) {
    const std::size_t there = crowd.open();
    crowd.open(count);
    if (crowd.open() == there) break;
  }
  watch.stop();
  const std::uint64_t after = memory_now();
  sample.value = static_cast<double>(after - before) / static_cast<double>(crowd.open());
  const double same = crowd.ask_often(false), any = crowd.ask_often(true);
  sample.extra = {{"ends", crowd.open()},
                  {"all", after - before},
                  {"GiB", static_cast<double>(after - before) / (1024.0 * 1024 * 1024)},
                  {"opened a second", static_cast<double>(crowd.open()) / watch.seconds()},
                  {"answer alone ns", alone},
                  {"answer among them ns", same},
                  {"answer of any of them ns", any}};
  if (crowd.open() != count) {
    sample.problem = fmt::format("only {} are open", crowd.open());
  } else if (alone == 0 || same == 0 || any == 0) {
    sample.problem = "64 octets were not answered";
  } else if (sample.value * static_cast<double>(full) > kMost && count == full) {
    sample.problem = "they take more than 6 GiB";
  }
  return sample;
}

Sample run_time_wait(const Run& run, std::size_t full) {
  const std::size_t count = run.scaled(full, 1024);
  Lives lives{{.established = 0, .time_wait = count}, run.seed};
  (void)lives.one_group();
  const std::size_t before_count = lives.time_wait();
  const std::uint64_t before = memory_now();
  lives.populate();
  const std::uint64_t after = memory_now();
  Sample sample;
  const std::size_t there = lives.time_wait();
  sample.value = static_cast<double>(after - before) / static_cast<double>(there - before_count);
  sample.extra = {{"connections", there}};
  if (there + 64 < count) sample.problem = fmt::format("only {} are in TIME-WAIT", there);
  add_kernel(run, sample, KernelSockets::Kind::kTimeWait);
  return sample;
}

template <class Function>
Case memory_case(std::string name, std::string description, std::size_t count, Function function,
                 std::vector<std::string> peers) {
  Case c{.name = std::move(name),
         .description = std::move(description),
         .unit = "bytes",
         .better = Better::kLower,
         .peers = std::move(peers)};
  c.run = [count, function](const Run& run) { return function(run, count); };
  return c;
}

}  // namespace

Benchmark memory() {
  const std::vector<std::string> kernel{"kernel"};
  return {"memory",
          "anonymous memory for each connection, all included",
          {memory_case("half-open", "1,000,000 SYNs that were answered", kMany, run_half_open, {}),
           memory_case("established", "an end of 1,000,000 idle ones", kMany, run_established, kernel),
           memory_case("time-wait", "of 1,000,000 in TIME-WAIT", kMany, run_time_wait, kernel),
           memory_case("half-open-10M", "10,000,000 SYNs that were answered", 10 * kMany, run_half_open, {}),
           memory_case(
               "established-10M",
               "10,000,000 idle ones of one server, and how fast one of them answers (5 GB, half a minute)",
               10 * kMany, run_crowd, {}),
           memory_case("time-wait-10M", "of 10,000,000 in TIME-WAIT", 10 * kMany, run_time_wait, {})}};
}

}  // namespace synfin::bench
