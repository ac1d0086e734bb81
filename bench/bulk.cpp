// SPDX-License-Identifier: Apache-2.0
//
// One stream from one end to the other, both on one core, copied in by the writer and out by the reader.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <vector>

#include "benchmark.h"
#include "kernel_sockets.h"
#include "lwip_peer.h"
#include "machine.h"
#include "stream.h"
#include "synfin/wire/checksum.h"

namespace synfin::bench {
namespace {

constexpr std::uint64_t kOctets = 2'000'000'000;
constexpr std::size_t kPiece = kStreamPiece;

constexpr std::uint32_t kUsualWindow = 1 << 20;

struct Path {
  std::uint32_t mtu = 1500;
  /// The largest window; the peer's receive buffer.
  std::uint32_t window = kUsualWindow;
  KernelSockets::Loopback kernel = KernelSockets::Loopback::kMtu1500;
  Pair::Offload offload = Pair::Offload::kNo;
};

// Octets a nanosecond that `work` gets through, piece after piece of `kPiece`.
template <class Work>
double speed_of(Work work) {
  constexpr int kTimes = 2000;
  Stopwatch watch;
  watch.start();
  for (int i = 0; i < kTimes; ++i) work();
  watch.stop();
  return static_cast<double>(kPiece) * kTimes / watch.seconds() / 1e9;
}

/// What no stream can be faster than: each octet is copied in and out, and summed twice. GB/s of a piece that
/// lies in the processor's cache.
Json limits() {
  std::vector<std::byte> from(kPiece, std::byte{1}), into(kPiece);
  std::uint32_t sum = 0;
  const double copy = speed_of([&] {
    std::memcpy(into.data(), from.data(), kPiece);
    benchmark::ClobberMemory();
  });
  const double checksum = speed_of([&] { benchmark::DoNotOptimize(sum += wire::ones_sum(into)); });
  return {{"memcpy GB/s", copy}, {"checksum GB/s", checksum}};
}

/// How fast it is against the same with the usual window: two streams in turns, as times of two cases that
/// run minutes apart tell more of the machine than of a window.
double beside_usual_window(Stream& stream, const Path& path, const Run& run, std::uint64_t wanted) {
  constexpr std::uint64_t kTurns = 20;
  Stream usual{path.mtu, kUsualWindow, run.seed, path.offload};
  (void)usual.pass(wanted / 50);
  Stopwatch mine, its;
  for (std::uint64_t turn = 0; turn < kTurns; ++turn) {
    mine.start();
    (void)stream.pass(wanted / kTurns / 2);
    mine.stop();
    its.start();
    (void)usual.pass(wanted / kTurns / 2);
    its.stop();
  }
  return its.seconds() / mine.seconds();
}

Sample run_stream(const Path& path, const Run& run) {
  Stream stream{path.mtu, path.window, run.seed, path.offload};
  const std::uint64_t wanted = run.scaled(kOctets, 1 << 20);
  (void)stream.pass(wanted / 50);
  const std::uint64_t taken_away = preemptions(), segments = stream.segments(), packets = stream.packets();
  Stopwatch watch;
  watch.start();
  const std::uint64_t arrived = stream.pass(wanted);
  watch.stop();
  Sample sample;
  sample.value = static_cast<double>(arrived) * 8 / watch.seconds() / 1e9;
  sample.extra = {{"octets", arrived},
                  {"segment", arrived / std::max<std::uint64_t>(stream.segments() - segments, 1)},
                  {"packet", arrived / std::max<std::uint64_t>(stream.packets() - packets, 1)},
                  {"window", path.window},
                  {"most in flight", stream.most_in_flight()},
                  {"limits", limits()},
                  {"preempted", preemptions() - taken_away}};
  if (path.window > kUsualWindow) sample.extra["to 1 MiB"] = beside_usual_window(stream, path, run, wanted);
  if (arrived < wanted) sample.problem = fmt::format("it stalled after {} of {} octets", arrived, wanted);
  if (run.beside("kernel")) {
    const auto kernel = KernelSockets::get();
    const auto rate =
        kernel ? (*kernel)->bulk(path.kernel, run.scaled(kOctets, 1 << 20)) : std::unexpected(kernel.error());
    if (rate) {
      sample.peers["kernel"] = *rate;
    } else {
      sample.problem = "kernel: " + rate.error();
    }
  }
  if (run.beside("lwip")) {
    const auto lwip = LwipPeer::get();
    const auto rate = lwip ? (*lwip)->bulk(run.scaled(kOctets / 2, 1 << 20)) : std::unexpected(lwip.error());
    if (rate) {
      sample.peers["lwip"] = *rate;
    } else {
      sample.problem = "lwip: " + rate.error();
    }
  }
  return sample;
}

Case bulk_case(std::string name, std::string description, const Path& path) {
  Case c{
      .name = std::move(name), .description = std::move(description), .unit = "Gbit/s", .peers = {"kernel"}};
  if (path.mtu == 1500) c.peers.emplace_back("lwip");  // which knows one size
  c.run = [path](const Run& run) { return run_stream(path, run); };
  return c;
}

}  // namespace

Benchmark bulk() {
  using Loopback = KernelSockets::Loopback;
  return {
      "bulk",
      "one stream, both ends on one core, copied in and out; without offload all checksums computed and "
      "verified",
      {bulk_case("mss1460", "MTU 1,500; beside the kernel's loopback at that MTU without offload", {}),
       bulk_case("mss1460-64K", "the same with a window of 64 KiB", {.window = 64 << 10}),
       bulk_case("mss1460-16M", "the same with a window of 16 MiB", {.window = 16 << 20}),
       bulk_case("mss8960", "MTU 9,000; beside the kernel's loopback as it is",
                 {.mtu = 9000, .kernel = Loopback::kAsItIs}),
       bulk_case("mss8960-16M", "the same with a window of 16 MiB",
                 {.mtu = 9000, .window = 16 << 20, .kernel = Loopback::kAsItIs}),
       bulk_case(
           "64k",
           "super-segments of up to 64 KiB that nobody cuts or sums; beside the kernel's loopback as it is",
           {.kernel = Loopback::kAsItIs, .offload = Pair::Offload::kYes}),
       bulk_case("64k-whole", "the same in segments of 64 KiB: MTU 65,535",
                 {.mtu = 65'535, .kernel = Loopback::kAsItIs, .offload = Pair::Offload::kYes}),
       bulk_case("64k-16M", "super-segments with a window of 16 MiB",
                 {.window = 16 << 20, .kernel = Loopback::kAsItIs, .offload = Pair::Offload::kYes})}};
}

}  // namespace synfin::bench
