// SPDX-License-Identifier: Apache-2.0
//
// Through a TUN device to a program on the kernel's sockets, beside what does nothing and beside the kernel
// over veth.
#include <fmt/format.h>

#include "benchmark.h"
#include "tun_run.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kOctets = 4'000'000'000, kOctetsOneByOne = 1'000'000'000;
constexpr std::uint64_t kManyLives = 20'000;
constexpr double kGib = 1024.0 * 1024 * 1024;

double value_of(const TunWork& work, const TunFigures& f) {
  const double rate = static_cast<double>(f.count) / f.seconds;
  return work.way == TunWay::kLives ? rate : rate * 8 / 1e9;
}

// Seconds a GiB, or microseconds a life.
Json processor_time(const TunWork& work, const TunFigures& f) {
  const double each =
      work.way == TunWay::kLives ? 1e6 / static_cast<double>(f.count) : kGib / static_cast<double>(f.count);
  return {{"far end", f.far_cpu * each}, {"kernel's program", f.kernel_cpu * each}};
}

Sample run_tun(TunWork work, TunFar own, const Run& run) {
  work.count = run.scaled(work.count, 1000);
  work.seed = run.seed;
  const bool lives = work.way == TunWay::kLives;
  const std::string unit = lives ? "cpu microseconds a life" : "cpu seconds a GiB";
  Sample sample;
  const auto measured = run_over_device(own, work);
  if (!measured) {
    (measured.error().unavailable ? sample.skipped : sample.problem) = measured.error().why;
    return sample;
  }
  sample.value = value_of(work, *measured);
  Json& x = sample.extra;
  x[lives ? "lives" : "octets"] = measured->count;
  x[unit] = processor_time(work, *measured);
  x["preempted"] = measured->preempted;
  for (const auto& [name, far] :
       {std::pair{"responder", TunFar::kNothing}, std::pair{"kernel", TunFar::kKernel}}) {
    if (!run.beside(name)) continue;
    const auto peer = run_over_device(far, work);
    if (!peer) {
      // veth may be missing where TUN is not.
      if (peer.error().unavailable) {
        x[name] = peer.error().why;
      } else {
        sample.problem = fmt::format("{}: {}", name, peer.error().why);
      }
      continue;
    }
    sample.peers[name] = value_of(work, *peer);
    x[fmt::format("{} {}", name, unit)] = processor_time(work, *peer);
  }
  // What a program that keeps its memory costs by itself.
  if (work.way == TunWay::kSend && own == TunFar::kSynfin && run.beside("responder")) {
    if (const auto copied = run_over_device(TunFar::kNothingCopied, work)) {
      x["responder with a copy"] = value_of(work, *copied);
      x["responder with a copy " + unit] = processor_time(work, *copied);
    }
  }
  return sample;
}

Case tun_case(std::string name, std::string description, const TunWork& work, TunFar own = TunFar::kSynfin) {
  Case c;
  c.name = std::move(name);
  c.description = std::move(description);
  c.unit = work.way == TunWay::kLives ? "1/s" : "Gbit/s";
  c.peers = {"responder", "kernel"};
  c.run = [work, own](const Run& run) { return run_tun(work, own, run); };
  return c;
}

}  // namespace

Benchmark tun() {
  using enum TunWay;
  return {
      "tun",
      "a program on the kernel's sockets through a TUN device, MTU 1,500; beside a responder that does "
      "nothing, and "
      "the kernel over veth",
      {tun_case("receive", "one stream to Synfin, division and checksums left to the device",
                {kReceive, true, kOctets}),
       tun_case("send", "one stream from Synfin", {kSend, true, kOctets}),
       tun_case("receive-shared", "to a program that takes slices instead of copies",
                {kReceive, true, kOctets}, TunFar::kSynfinShared),
       tun_case("send-shared", "from a program that lends its memory", {kSend, true, kOctets},
                TunFar::kSynfinShared),
       tun_case("receive-plain", "one packet a segment, checksums verified",
                {kReceive, false, kOctetsOneByOne}),
       tun_case("send-plain", "one packet a segment, checksums computed", {kSend, false, kOctetsOneByOne}),
       tun_case("lifecycle", "connections that Synfin accepts and closes, 32 side by side",
                {kLives, true, kManyLives}),
       tun_case("lifecycle-plain", "the same without offload", {kLives, false, kManyLives})}};
}

}  // namespace synfin::bench
