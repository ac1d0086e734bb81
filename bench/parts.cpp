// SPDX-License-Identifier: Apache-2.0
//
// What the stack is made of, part by part, and beside each the way one would do it without a second thought.
// Each is a class: made and warm, `step` does it once.
#include <benchmark/benchmark.h>
#include <sodium.h>

#include <array>
#include <cstring>
#include <map>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "benchmark.h"
#include "counting.h"
#include "syn_source.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/stack/table.h"
#include "synfin/stack/timing_wheel.h"
#include "synfin/tcp/isn.h"
#include "synfin/tcp/tuple_hash.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::bench {
namespace {

const wire::Endpoint kTarget{wire::IpAddress::v4(10, 77, 0, 2), 80};
constexpr std::size_t kMany = 65'536;

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

struct Parse {
  Syns syns;
  std::size_t step() {
    const wire::Frame& frame = syns.next();
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes);
    benchmark::DoNotOptimize(packet);
    return packet->payload_offset;
  }
};

// The sum that RFC 9293 asks for, over a copy behind a pseudo-header.
std::uint16_t sum_with_pseudo_header(const std::byte* packet, std::size_t size) {
  std::vector<std::byte> all(packet + 12, packet + 20);
  all.push_back(std::byte{0});
  all.push_back(std::byte{6});
  all.push_back(static_cast<std::byte>((size - 20) >> 8));
  all.push_back(static_cast<std::byte>(size - 20));
  all.insert(all.end(), packet + 20, packet + size);
  return wire::ones_sum_reference(all);
}

struct ParseNaively {
  Syns syns;
  wire::TcpHeader tcp;
  std::map<unsigned, std::vector<std::byte>> options;
  std::size_t step() {
    const Bytes p = syns.next().front();
    const auto octet = [&](std::size_t at) { return std::to_integer<unsigned>(p[at]); };
    const auto two = [&](std::size_t at) {
      return static_cast<std::uint16_t>(octet(at) << 8 | octet(at + 1));
    };
    if (wire::ones_sum_reference(p.first(20)) != 0xffff) return 0;
    if (sum_with_pseudo_header(p.data(), p.size()) != 0xffff) return 0;
    tcp.source_port = two(20);
    tcp.destination_port = two(22);
    tcp.seq = wire::SeqNum{std::uint32_t{two(24)} << 16 | two(26)};
    tcp.ack = wire::SeqNum{std::uint32_t{two(28)} << 16 | two(30)};
    options.clear();
    const std::size_t end = 20 + (octet(32) >> 4) * 4;
    for (std::size_t at = 40; at < end && octet(at) != 0;) {
      const std::size_t length = octet(at) == 1 ? 1 : octet(at + 1);
      if (length > 1)
        options[octet(at)].assign(p.begin() + static_cast<std::ptrdiff_t>(at + 2),
                                  p.begin() + static_cast<std::ptrdiff_t>(at + length));
      at += length;
    }
    benchmark::DoNotOptimize(tcp);
    return options.size();
  }
};

struct Emit {
  Syns syns;
  wire::TcpPacket packet = syns.next_parsed();
  wire::Frame out;
  std::size_t step() {
    wire::emit_tcp_packet(packet.ip, packet.tcp, out, wire::FillChecksum::kYes);
    benchmark::DoNotOptimize(out.header);
    return out.size();
  }
};

struct EmitNaively {
  Syns syns;
  Bytes like = syns.next().front();
  std::size_t step() {
    std::vector<std::byte> packet;
    for (const std::byte b : like) packet.push_back(b);
    const auto put = [&](std::size_t at, std::uint16_t word) {
      packet[at] = static_cast<std::byte>(word >> 8);
      packet[at + 1] = static_cast<std::byte>(word);
    };
    put(10, 0);
    put(36, 0);
    put(10, static_cast<std::uint16_t>(~wire::ones_sum_reference(Bytes{packet}.first(20))));
    put(36, static_cast<std::uint16_t>(~sum_with_pseudo_header(packet.data(), packet.size())));
    benchmark::DoNotOptimize(packet.data());
    return packet.size();
  }
};

template <std::size_t kOctets>
struct Checksum {
  std::vector<std::byte> text = std::vector<std::byte>(kOctets, std::byte{0x5a});
  std::size_t step() { return wire::ones_sum(text); }
};
template <std::size_t kOctets>
struct ChecksumNaively {
  std::vector<std::byte> text = std::vector<std::byte>(kOctets, std::byte{0x5a});
  std::size_t step() { return wire::ones_sum_reference(text); }
};
template <std::size_t kOctets>
struct Copy {
  std::vector<std::byte> from = std::vector<std::byte>(kOctets), into = std::vector<std::byte>(kOctets);
  std::size_t step() {
    std::memcpy(into.data(), from.data(), kOctets);
    benchmark::DoNotOptimize(into.data());
    benchmark::ClobberMemory();
    return kOctets;
  }
};

wire::FourTuple tuple_of(std::uint32_t n) {
  return {kTarget,
          {wire::IpAddress::v4(11, static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 8), 3),
           static_cast<std::uint16_t>(n * 7 + 1)}};
}

struct HashOfTuple {
  Key key{};
  wire::FourTuple tuple = tuple_of(1);
  std::size_t step() {
    ++tuple.remote.port;
    return tcp::tuple_hash(key, tuple).place;
  }
};
struct HashOfTupleNaively {  // fast, and whoever chooses addresses chooses where they lie
  wire::FourTuple tuple = tuple_of(1);
  std::size_t step() {
    ++tuple.remote.port;
    const wire::PackedTuple packed{tuple};
    const Bytes b = packed.bytes();
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(b.data()), b.size()});
  }
};

struct Isn {
  tcp::IsnGenerator generator{Key{}};
  wire::FourTuple tuple = tuple_of(1);
  std::size_t step() {
    ++tuple.remote.port;
    return generator.next(tuple, Instant::from_ns(1'000'000'000)).raw();
  }
};
struct IsnNaively {  // RFC 6528 with a general hash, BLAKE2b, in place of one that is made for short input
  std::array<unsigned char, 16> key{};
  wire::FourTuple tuple = tuple_of(1);
  std::size_t step() {
    ++tuple.remote.port;
    const wire::PackedTuple packed{tuple};
    const Bytes b = packed.bytes();
    std::array<unsigned char, crypto_generichash_BYTES_MIN> out{};
    (void)crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(b.data()),
                             b.size(), key.data(), key.size());
    std::uint32_t number = 0;
    std::memcpy(&number, out.data(), sizeof number);
    return number + 250'000u;
  }
};

constexpr Duration kLast = Duration::seconds(60);
constexpr Duration kApart = Duration::nanoseconds(kLast.ns() / static_cast<std::int64_t>(kMany));

/// 65,536 run; with each step one is due, and is set anew to a minute from now.
class Timers {
 public:
  Timers() {
    for (std::size_t n = 0; n < kMany; ++n) (void)set(static_cast<std::uint32_t>(n));
  }
  std::size_t step() {
    now_ = now_ + kApart;
    std::size_t due = 0;
    wheel_.advance(now_, [&](stack::RecordRef ref) {
      ++due;
      wheel_.arm(ref, now_ + kLast);
    });
    return due;
  }

 private:
  struct Nodes {
    std::vector<tcp::TimerNode> all = std::vector<tcp::TimerNode>(kMany);
    tcp::TimerNode& node(stack::RecordRef ref) { return all[ref.index()]; }
  };
  std::size_t set(std::uint32_t n) {
    now_ = now_ + kApart;
    wheel_.arm({stack::RecordKind::kConnection, n}, now_ + kLast);
    return n;
  }
  Instant now_ = Instant::from_ns(1'000'000'000);
  Nodes nodes_;
  stack::TimingWheel<Nodes> wheel_{nodes_, now_};
};

class TimersNaively {
 public:
  TimersNaively() {
    for (std::size_t n = 0; n < kMany; ++n) {
      now_ += kApart.ns();
      due_.emplace(now_ + kLast.ns(), static_cast<std::uint32_t>(n));
    }
  }
  std::size_t step() {
    now_ += kApart.ns();
    std::size_t due = 0;
    while (!due_.empty() && due_.begin()->first <= now_) {
      const std::uint32_t n = due_.begin()->second;
      due_.erase(due_.begin());
      due_.emplace(now_ + kLast.ns(), n);
      ++due;
    }
    return due;
  }

 private:
  std::int64_t now_ = 1'000'000'000;
  std::multimap<std::int64_t, std::uint32_t> due_;
};

struct Record {
  wire::FourTuple tuple;
  std::uint32_t hash = 0;
  friend bool operator==(const Record& a, const Record& b) { return a.tuple == b.tuple; }
};
struct KnownHash {
  std::size_t operator()(const Record& r) const { return r.hash; }
};

std::vector<Record> records() {
  const Key key{};
  std::vector<Record> all(kMany);
  for (std::uint32_t n = 0; n < kMany; ++n) {
    all[n].tuple = tuple_of(n);
    all[n].hash = tcp::tuple_hash(key, all[n].tuple).place;
  }
  return all;
}

/// Finds each of 65,536 in an order that no cache foresees; the hash is known.
class Find {
 public:
  Find() {
    for (std::uint32_t n = 0; n < kMany; ++n) (void)table_.insert(records_[n].hash, ref(n));
  }
  std::size_t step() {
    at_ = (at_ * 5 + 3) % kMany;
    const Record& wanted = records_[at_];
    return table_.find(wanted.hash, [&](stack::RecordRef r) { return records_[r.index()] == wanted; })
        .index();
  }

 protected:
  static stack::RecordRef ref(std::uint32_t n) { return {stack::RecordKind::kConnection, n}; }
  std::vector<Record> records_ = records();
  stack::Table table_;
  std::uint32_t at_ = 1;
};
class FindNaively {
 public:
  FindNaively() {
    for (std::uint32_t n = 0; n < kMany; ++n) table_.emplace(records_[n], n);
  }
  std::size_t step() {
    at_ = (at_ * 5 + 3) % kMany;
    return table_.find(records_[at_])->second;
  }

 protected:
  std::vector<Record> records_ = records();
  std::unordered_map<Record, std::uint32_t, KnownHash> table_;
  std::uint32_t at_ = 1;
};
/// One goes, and comes again.
struct Change : Find {
  std::size_t step() {
    at_ = (at_ * 5 + 3) % kMany;
    const bool gone = table_.erase(records_[at_].hash, ref(at_));
    return gone && table_.insert(records_[at_].hash, ref(at_)) ? 1 : 0;
  }
};
struct ChangeNaively : FindNaively {
  std::size_t step() {
    at_ = (at_ * 5 + 3) % kMany;
    return table_.erase(records_[at_]) + (table_.emplace(records_[at_], at_).second ? 1 : 0);
  }
};

/// Loads from memory, each of a line that no cache has: the address of the next one lies in it. `kChains` of
/// them are on their way at a time.
template <std::size_t kChains>
class Load {
 public:
  Load() {
    for (std::size_t n = 0; n < kChains; ++n)
      at_[n] = static_cast<std::uint32_t>(lines().size() / kChains * n);
  }
  std::size_t step() {
    at_[turn_] = lines()[at_[turn_]].next;
    turn_ = (turn_ + 1) % kChains;
    return at_[turn_];
  }

 private:
  struct alignas(64) Line {
    std::uint32_t next = 0;
  };
  // One ring through all of 256 MiB, made once (Sattolo's shuffle).
  static const std::vector<Line>& lines() {
    static const std::vector<Line> made = [] {
      std::vector<Line> all(std::size_t{1} << 22);
      for (std::uint32_t n = 0; n < all.size(); ++n) all[n].next = n;
      Random random{1};
      for (std::size_t n = all.size() - 1; n > 0; --n) std::swap(all[n], all[random.next() % n]);
      return all;
    }();
    return made;
  }
  std::array<std::uint32_t, kChains> at_{};
  std::size_t turn_ = 0;
};

struct Part {
  Case what;
  CountedWork counted;
};

template <class Work>
Part part(std::string name, std::string description) {
  Part p{.what = {.name = name, .description = description, .unit = "ns", .better = Better::kLower},
         .counted = {.name = name, .description = description}};
  p.what.loop = [](benchmark::State& state) {
    Work work;
    for (auto _ : state) benchmark::DoNotOptimize(work.step());
  };
  p.counted.run = [](double) {
    constexpr std::uint64_t kTimes = 4096;
    Work work;
    std::size_t sum = 0;
    Counting::warm_up();
    for (std::uint64_t n = 0; n < kTimes; ++n) sum += work.step();
    Counting::start();
    for (std::uint64_t n = 0; n < kTimes; ++n) sum += work.step();
    Counting::stop();
    benchmark::DoNotOptimize(sum);
    return kTimes;
  };
  return p;
}

std::vector<Part> all_parts() {
  return {part<Parse>("parse", "IP and TCP header of a SYN, checksums verified"),
          part<ParseNaively>("parse-naive", "the same octet by octet, options in a map, the sum over a copy"),
          part<Emit>("emit", "the same packet written, checksums filled in"),
          part<EmitNaively>("emit-naive", "the same into a vector, the sum over a copy"),
          part<Checksum<60>>("checksum", "the sum over 60 octets"),
          part<ChecksumNaively<60>>("checksum-naive", "the same, 16 bits at a time"),
          part<Checksum<1460>>("checksum-1460", "the sum over 1,460 octets"),
          part<ChecksumNaively<1460>>("checksum-1460-naive", "the same, 16 bits at a time"),
          part<Checksum<65'536>>("checksum-64k", "the sum over 64 KiB"),
          part<ChecksumNaively<65'536>>("checksum-64k-naive", "the same, 16 bits at a time"),
          part<Copy<1460>>("copy-1460", "memcpy of 1,460 octets"),
          part<Copy<65'536>>("copy-64k", "memcpy of 64 KiB"),
          part<Load<1>>("load", "a line of 64 octets from memory, one after the other"),
          part<Load<8>>("load-8", "the same, eight on their way at a time"),
          part<HashOfTuple>("tuple-hash", "where a 4-tuple lies in the table (IPv4)"),
          part<HashOfTupleNaively>("tuple-hash-naive", "std::hash, which has no key"),
          part<Isn>("isn", "an initial sequence number"),
          part<IsnNaively>("isn-naive", "the same with BLAKE2b"),
          part<Timers>("timers", "of 65,536 that run one fires and is set anew"),
          part<TimersNaively>("timers-naive", "the same with a std::multimap"),
          part<Find>("table-find", "one of 65,536 connections, its hash known"),
          part<FindNaively>("table-find-naive", "the same with a std::unordered_map"),
          part<Change>("table-change", "one of them goes and comes again"),
          part<ChangeNaively>("table-change-naive", "the same with a std::unordered_map")};
}

}  // namespace

std::vector<CountedWork> counted_parts() {
  std::vector<CountedWork> counted;
  for (Part& p : all_parts()) {
    if (!p.what.name.starts_with("load")) counted.push_back(std::move(p.counted));  // one instruction or two
  }
  return counted;
}

Benchmark parts() {
  Benchmark b{"parts", "what the stack is made of, and the naive way beside it", {}};
  for (Part& p : all_parts()) b.cases.push_back(std::move(p.what));
  return b;
}

}  // namespace synfin::bench
