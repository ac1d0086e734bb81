// SPDX-License-Identifier: Apache-2.0
//
// The short way of SYNs that come many at a time against the long one: every octet and every counter.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/stack/stack.h"
#include "synfin/trace/counters.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {
namespace {

using wire::Family;
using wire::Flags;
using wire::TcpOptions;

constexpr std::size_t kBatch = 32;

/// Two servers that differ in nothing but the way that they take.
class BothWays {
 public:
  explicit BothWays(std::uint64_t seed, bool offload)
      : seed_(seed), long_(seed, false, offload), short_(seed, true, offload) {}

  template <class F>
  void each(F f) {
    f(long_);
    f(short_);
  }

  struct Server {
    Server(std::uint64_t seed, bool short_paths, bool offload)
        : entropy(seed), stack(config(short_paths, offload), pool, entropy) {}
    static Config config(bool short_paths, bool offload) {
      Config c;
      c.addresses = {*wire::Prefix::parse("10.77.0.2/24"), *wire::Prefix::parse("fd77::2/64"),
                     *wire::Prefix::parse("10.78.0.2/24")};
      c.short_paths = short_paths;
      c.offload = offload;
      return c;
    }
    wire::BlockPool pool;
    SeededEntropy entropy;
    Stack stack;
  };

  /// The same packets for both; what they say to them, and all they count, must be the same.
  void receive(const std::vector<std::vector<std::byte>>& packets, Instant now) {
    std::vector<std::vector<std::vector<std::byte>>> said;
    each([&](Server& s) {
      std::array<wire::Frame, kBatch> frames;
      ASSERT_LE(packets.size(), kBatch);
      for (std::size_t i = 0; i < packets.size(); ++i) frames[i].add(s.pool.copy(packets[i]));
      s.stack.receive(std::span{frames}.first(packets.size()), now);
      for (const wire::Frame& frame : frames) ASSERT_EQ(frame.slice_count, 0u);
      said.emplace_back();
      std::array<wire::Frame, 7> out;
      for (std::size_t n = 0; (n = s.stack.transmit(out, now)) > 0;) {
        for (std::size_t i = 0; i < n; ++i) {
          std::vector<std::byte> octets(out[i].size() + 1);
          out[i].copy_out(0, std::span{octets}.first(out[i].size()));
          octets.back() = std::byte{out[i].needs_checksum};
          said.back().push_back(octets);
        }
      }
      ASSERT_FALSE(s.stack.has_output());
      ASSERT_EQ(s.pool.blocks_in_use(), 0u);
    });
    ASSERT_EQ(said[0], said[1]) << "seed " << seed_;
    if (!packets.empty()) answers = said[0];
    const trace::Counters& one = long_.stack.counters();
    const trace::Counters& other = short_.stack.counters();
    for (std::size_t i = 0; i < one.values.size(); ++i)
      ASSERT_EQ(one.values[i], other.values[i]) << name(static_cast<trace::Counter>(i)) << ", seed " << seed_;
    for (std::size_t i = 0; i < one.reasons.size(); ++i)
      ASSERT_EQ(one.reasons[i], other.reasons[i])
          << name(static_cast<trace::Reason>(i)) << ", seed " << seed_;
  }

  std::uint64_t cookies() { return short_.stack.counters()[trace::Counter::kSyncookiesSent]; }
  std::uint64_t cookies_back() { return short_.stack.counters()[trace::Counter::kSyncookiesRecv]; }

  std::vector<std::vector<std::byte>> answers;

 private:
  std::uint64_t seed_;
  Server long_, short_;
};

/// Packets of all kinds; most are SYNs, from few sources, so that many come again.
class Crowd {
 public:
  explicit Crowd(std::uint64_t seed) : entropy_(seed) {}

  std::vector<std::byte> packet(const std::vector<std::vector<std::byte>>& answers) {
    const std::uint32_t dice = entropy_.below(100);
    if (dice < 12 && !answers.empty()) return third(answers[entropy_.below(count(answers))]);
    if (dice < 20 && !sent_.empty()) return sent_[entropy_.below(count(sent_))];
    std::vector<std::byte> octets = syn();
    if (dice < 25) {
      octets[entropy_.below(count(octets))] ^= std::byte{static_cast<std::uint8_t>(1u << entropy_.below(8))};
    } else if (dice < 28) {
      octets.resize(entropy_.below(count(octets) + 8));  // cut off, or padded
    } else {
      sent_.push_back(octets);
    }
    if (octets.empty()) octets.resize(1);
    return octets;
  }

 private:
  template <class T>
  static std::uint32_t count(const T& all) {
    return static_cast<std::uint32_t>(all.size());
  }
  bool one_in(std::uint32_t n) { return entropy_.below(n) == 0; }

  static std::vector<std::byte> written(const wire::IpHeader& ip, const wire::TcpHeader& tcp) {
    wire::Frame frame;
    wire::emit_tcp_packet(ip, tcp, frame, wire::FillChecksum::kYes);
    const Bytes octets = frame.header_bytes();
    return {octets.begin(), octets.end()};
  }

  std::vector<std::byte> syn() {
    const bool v4 = !one_in(3);
    wire::IpHeader ip;
    ip.protocol = wire::protocol::kTcp;
    ip.traffic_class = one_in(4) ? static_cast<std::uint8_t>(entropy_.below(256)) : std::uint8_t{0};
    if (v4) {
      ip.source = wire::IpAddress::v4(0x0b00'0000 + entropy_.below(50));
      if (one_in(40)) ip.source = wire::IpAddress::v4(entropy_.u32());
      if (one_in(60)) ip.source = wire::IpAddress::v4(10, 77, 0, one_in(2) ? 255 : 2);
      ip.destination = one_in(4) ? wire::IpAddress::v4(10, 78, 0, 2) : wire::IpAddress::v4(10, 77, 0, 2);
      if (one_in(60)) ip.destination = wire::IpAddress::v4(10, 77, 0, one_in(2) ? 255 : 9);
    } else {
      ip.source = *wire::IpAddress::parse("2001:db8::" + std::to_string(1 + entropy_.below(50)));
      if (one_in(60)) ip.source = *wire::IpAddress::parse(one_in(2) ? "ff02::1" : "::");
      ip.destination = *wire::IpAddress::parse(one_in(60) ? "fd77::9" : "fd77::2");
    }
    wire::TcpHeader tcp;
    tcp.source_port = static_cast<std::uint16_t>(one_in(60) ? 0 : 1024 + entropy_.below(20));
    tcp.destination_port = one_in(8) ? std::uint16_t{81} : one_in(30) ? std::uint16_t{82} : std::uint16_t{80};
    tcp.seq = wire::SeqNum{entropy_.u32()};
    tcp.window = {64240};
    tcp.flags = Flags::kSyn;
    if (one_in(10)) tcp.flags = Flags{static_cast<std::uint8_t>(entropy_.u32())};
    if (one_in(30)) tcp.reserved = static_cast<std::uint8_t>(entropy_.below(16));
    TcpOptions& o = tcp.options;
    o.present =
        TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kWindowScale | TcpOptions::kTimestamps;
    if (one_in(3)) o.present = static_cast<std::uint16_t>(o.present & entropy_.u32());
    if (one_in(30)) o.present |= TcpOptions::kFastOpen;
    o.cookie_size = 0;
    o.mss = static_cast<std::uint16_t>(one_in(2) ? 1460 : entropy_.below(65536));
    o.window_scale = static_cast<std::uint8_t>(entropy_.below(16));
    o.timestamps = {entropy_.u32(), 0};
    return written(ip, tcp);
  }

  /// What a client says to a SYN-ACK, or what a liar does.
  std::vector<std::byte> third(const std::vector<std::byte>& answer) {
    wire::Frame frame;
    std::memcpy(frame.header.data(), answer.data(), answer.size() - 1);
    frame.header_size = static_cast<std::uint16_t>(answer.size() - 1);
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    if (!ip || ip->header.protocol != wire::protocol::kTcp) return syn();
    const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
    if (!packet) return syn();
    wire::IpHeader back;
    back.protocol = wire::protocol::kTcp;
    back.source = ip->header.destination;
    back.destination = ip->header.source;
    wire::TcpHeader tcp;
    tcp.source_port = packet->tcp.destination_port;
    tcp.destination_port = packet->tcp.source_port;
    tcp.seq = packet->tcp.ack;
    tcp.ack = packet->tcp.seq + (one_in(4) ? 2u : 1u);
    tcp.flags = one_in(8) ? Flags::kRst : Flags::kAck;
    tcp.window = {500};
    if (packet->tcp.options.has(TcpOptions::kTimestamps)) {
      tcp.options.present = TcpOptions::kTimestamps;
      tcp.options.timestamps = {packet->tcp.options.timestamps.echo + 1,
                                packet->tcp.options.timestamps.value};
    }
    return written(back, tcp);
  }

  SeededEntropy entropy_;
  std::vector<std::vector<std::byte>> sent_;
};

class Flooded : public testing::TestWithParam<bool> {};

TEST_P(Flooded, TheShortWayAnswersAsTheLongOne) {
  std::uint64_t cookies = 0, back = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    BothWays servers(seed, GetParam());
    SeededEntropy entropy(seed + 1000);
    Crowd crowd(seed + 2000);
    Instant now = Instant::from_ns(1'000'000'000'000);
    std::array<std::vector<Handle>, 2> listeners;
    std::size_t which = 0;
    servers.each([&](BothWays::Server& s) {
      s.stack.settings().tcp_syncookies = seed % 3 == 0 ? 2 : 1;
      const auto at = [](const char* address, std::uint16_t port) {
        return wire::Endpoint{*wire::IpAddress::parse(address), port};
      };
      listeners[which].push_back(*s.stack.listen(at("::", 80), {.backlog = 6}, now));
      listeners[which].push_back(*s.stack.listen(at("10.77.0.2", 81), {.backlog = 60}, now));
      ++which;
    });
    for (int step = 0; step < 400; ++step) {
      std::vector<std::vector<std::byte>> packets;
      const std::uint32_t count = 1 + entropy.below(kBatch);
      for (std::uint32_t i = 0; i < count; ++i) packets.push_back(crowd.packet(servers.answers));
      servers.receive(packets, now);
      if (testing::Test::HasFatalFailure()) return;
      // Now and then time goes by, the program takes what has come or changes its mind.
      now = now + Duration::microseconds(entropy.below(20) == 0 ? 700'000 : entropy.below(3000));
      const std::uint32_t dice = entropy.below(40);
      which = 0;
      servers.each([&](BothWays::Server& s) {
        s.stack.advance(now);
        tcp::Settings& settings = s.stack.settings();
        if (dice == 1) settings.tcp_timestamps = !settings.tcp_timestamps;
        if (dice == 2) settings.tcp_sack = !settings.tcp_sack;
        if (dice == 3) settings.tcp_ecn = (settings.tcp_ecn + 1) % 5;
        if (dice == 4) settings.ip_default_ttl = 65;
        if (dice == 5) now.ns() % 2 == 0 ? settings.tcp_syncookies = 1 : settings.tcp_syncookies = 0;
        if (dice == 6) settings.tcp_syncookies = 1;
        if (dice > 20) {
          for (const Handle l : listeners[which]) {
            while (const auto c = s.stack.accept(l, now)) s.stack.abort(*c, now);
          }
        }
        ++which;
      });
      servers.receive({}, now);
    }
    cookies += servers.cookies();
    back += servers.cookies_back();
  }
  EXPECT_GT(cookies, 10'000u);
  EXPECT_GT(back, 100u);
}

INSTANTIATE_TEST_SUITE_P(Links, Flooded, testing::Bool(),
                         [](const auto& of) { return of.param ? "ThatSum" : "ThatDoNot"; });

}  // namespace
}  // namespace synfin::stack
