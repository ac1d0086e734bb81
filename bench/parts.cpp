// SPDX-License-Identifier: Apache-2.0
//
// What an answer to a SYN is made of, part by part; nanoseconds each.
#include <benchmark/benchmark.h>

#include <array>
#include <span>

#include "benchmark.h"
#include "syn_source.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/tcp/isn.h"
#include "synfin/tcp/tuple_hash.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::bench {
namespace {

const wire::Endpoint kTarget{wire::IpAddress::v4(10, 77, 0, 2), 80};

/// A batch of SYNs, one after the other.
class Syns {
 public:
  Syns() { SynSource{kTarget, true, 1, pool_}.fill(frames_); }
  const wire::Frame& next() { return frames_[at_++ % frames_.size()]; }
  wire::TcpPacket next_parsed() {
    const wire::Frame& frame = next();
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    return *wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
  }

 private:
  wire::BlockPool pool_;
  std::array<wire::Frame, 64> frames_;
  std::size_t at_ = 0;
};

void parse(benchmark::State& state) {
  Syns syns;
  for (auto _ : state) {
    const wire::Frame& frame = syns.next();
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    benchmark::DoNotOptimize(wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes));
  }
}

void emit(benchmark::State& state) {
  Syns syns;
  const wire::TcpPacket packet = syns.next_parsed();
  wire::Frame out;
  for (auto _ : state) {
    wire::emit_tcp_packet(packet.ip, packet.tcp, out, wire::FillChecksum::kYes);
    benchmark::DoNotOptimize(out.header);
  }
}

void checksum(benchmark::State& state) {
  Syns syns;
  for (auto _ : state) benchmark::DoNotOptimize(wire::ones_sum(syns.next().front()));
}

void hash_of_tuple(benchmark::State& state) {
  const Key key{};
  wire::FourTuple tuple{kTarget, {wire::IpAddress::v4(11, 1, 2, 3), 1}};
  for (auto _ : state) {
    ++tuple.remote.port;
    benchmark::DoNotOptimize(tcp::tuple_hash(key, tuple));
  }
}

void isn(benchmark::State& state) {
  const tcp::IsnGenerator generator{Key{}};
  wire::FourTuple tuple{kTarget, {wire::IpAddress::v4(11, 1, 2, 3), 1}};
  for (auto _ : state) {
    ++tuple.remote.port;
    benchmark::DoNotOptimize(generator.next(tuple, Instant::from_ns(1'000'000'000)));
  }
}

Case part(std::string name, std::string description, void (*loop)(benchmark::State&)) {
  Case c{
      .name = std::move(name), .description = std::move(description), .unit = "ns", .better = Better::kLower};
  c.loop = loop;
  return c;
}

}  // namespace

Benchmark parts() {
  return {"parts",
          "what an answer to a SYN is made of",
          {part("parse", "IP and TCP header of a SYN, checksums verified", parse),
           part("emit", "the same packet written, checksums filled in", emit),
           part("checksum", "the sum over 60 octets", checksum),
           part("tuple-hash", "where a 4-tuple lies in the table (IPv4)", hash_of_tuple),
           part("isn", "an initial sequence number", isn)}};
}

}  // namespace synfin::bench
