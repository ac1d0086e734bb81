// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN between two stacks on a wire that marks, loses and reorders: what the one end counts, the
// other hears of. Seeded; a failing seed is printed.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "synfin/sim/network.h"
#include "synfin/wire/ip.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Network;
using stack::Handle;

// A router that marks every so many ECN-capable packets of host A.
void mark(MutableBytes packet, std::uint32_t one_in, std::uint32_t& passed) {
  const auto ip = wire::parse_ip(packet, packet.size());
  if (!ip || (ip->header.traffic_class & wire::ecn::kMask) != wire::ecn::kEct0) return;
  if (++passed % one_in != 0) return;
  if (!ip->header.source.is_v4()) {
    packet[1] |= std::byte{wire::ecn::kMarked << 4};
    return;
  }
  packet[1] |= std::byte{wire::ecn::kMarked};
  // ECT(0) to CE adds one to a word, so the sum below it loses one (RFC 1624).
  std::uint32_t sum = load_be16(packet.data() + 10);
  sum = sum == 0 ? 0xfffeu : sum - 1;
  store_be16(packet.data() + 10, static_cast<std::uint16_t>(sum));
}

struct Told {
  tcp::Info sender, receiver;
  std::uint64_t received = 0;
};

struct Wire {
  std::uint64_t seed = 1;
  std::uint32_t one_in = 20;
  sim::Faults forth{}, back{};
  std::uint32_t option = 2;
  wire::Family family = wire::Family::kIpv4;
};

Told transfers(const Wire& w, std::uint64_t octets) {
  sim::NetworkOptions o;
  o.seed = w.seed;
  o.settings.tcp_ecn = 3;
  o.settings.tcp_ecn_option = w.option;
  o.faults = {w.forth, w.back};
  Network net{o};
  std::uint32_t passed = 0;
  net.set_meddler([&](std::size_t from, MutableBytes packet) {
    if (from == Network::kA) mark(packet, w.one_in, passed);
  });
  const wire::Endpoint server{net.address(Network::kB, w.family), 80};
  const auto listener = net.host(Network::kB).listen(server, {}, net.now());
  const auto a = net.host(Network::kA).connect(server, {}, net.now());
  EXPECT_TRUE(listener && a);
  if (!listener || !a) return {};
  std::optional<Handle> b;
  std::uint64_t written = 0;
  Told told;
  const std::vector<std::byte> text(16'384, std::byte{'x'});
  std::vector<std::byte> into(65'536);
  net.set_on_step([&] {
    if (!b) {
      if (const auto accepted = net.host(Network::kB).accept(*listener, net.now())) b = *accepted;
    }
    while (written < octets) {
      const Bytes piece = Bytes{text}.first(std::min<std::uint64_t>(text.size(), octets - written));
      const auto n = net.host(Network::kA).send(*a, std::span{&piece, 1}, net.now());
      if (!n || *n == 0) break;
      written += *n;
    }
    if (!b) return;
    const MutableBytes room{into};
    while (const auto n = net.host(Network::kB).receive(*b, std::span{&room, 1}, net.now())) {
      if (*n == 0) break;
      told.received += *n;
    }
  });
  const bool done = net.run_until(
      [&] {
        const auto i = net.host(Network::kA).info(*a, net.now());
        return told.received == octets && i && i->bytes_acked == octets;
      },
      Duration::seconds(600));
  EXPECT_TRUE(done) << "seed " << w.seed << ": " << told.received << " octets";
  told.sender = net.host(Network::kA).info(*a, net.now()).value_or(tcp::Info{});
  if (b) told.receiver = net.host(Network::kB).info(*b, net.now()).value_or(tcp::Info{});
  return told;
}

constexpr std::uint64_t kSize = 2'000'000;

// RFC 9768 §3.2.2: exactly with the option; without it an acknowledgement of many segments may stand for eight
// marks more than it shows, and is taken to (§3.2.2.5.2).
TEST(AccEcnPair, EveryMarkIsHeardOf) {
  for (const wire::Family family : {wire::Family::kIpv4, wire::Family::kIpv6}) {
    for (const std::uint32_t option : {0u, 1u, 2u}) {
      for (const std::uint32_t one_in : {2u, 3u, 20u, 200u}) {
        const Told t = transfers({.one_in = one_in, .option = option, .family = family}, kSize);
        EXPECT_GE(t.receiver.received_ce, kSize / 1500 / one_in - 1);
        EXPECT_GE(t.sender.delivered_ce, t.receiver.received_ce)
            << "option " << option << ", one in " << one_in;
        EXPECT_EQ((t.sender.delivered_ce - t.receiver.received_ce) % (option == 0 ? 8 : ~0u), 0u)
            << "option " << option << ", one in " << one_in;
        EXPECT_EQ(t.sender.options & tcp::Info::kEcn, tcp::Info::kEcn);
        EXPECT_EQ(t.sender.total_retrans, 0u);
        if (option == 0) continue;
        EXPECT_EQ(t.receiver.received_octets.ect0 + t.receiver.received_octets.ce, kSize);
        if (option == 2) {
          EXPECT_EQ(t.sender.delivered_octets.ce, t.receiver.received_octets.ce);
          EXPECT_EQ(t.sender.delivered_octets.ect0, t.receiver.received_octets.ect0);
        }
      }
    }
  }
}

// With acknowledgements lost, late and overtaken: no mark is forgotten for good, and few are made up.
TEST(AccEcnPair, ABadPathLosesNoMark) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Wire w{.seed = seed, .one_in = 10};
    w.forth.loss = 2'000;
    w.forth.reorder = 2'000;
    w.back.loss = 50'000;
    w.back.reorder = 50'000;
    w.back.duplicate = 10'000;
    const Told t = transfers(w, kSize);
    const double heard = t.sender.delivered_ce, counted = t.receiver.received_ce;
    EXPECT_GE(counted, 50) << "seed " << seed;
    EXPECT_GE(heard, counted * 0.9) << "seed " << seed;
    EXPECT_LE(heard, counted * 1.2 + 8) << "seed " << seed;
  }
}

// RFC 9768 §3.2.2.3: a path that marks everything is not believed, and still carries the data.
TEST(AccEcnPair, APathThatMarksEverythingEndsEcnAndNothingElse) {
  const Told t = transfers({.one_in = 1}, kSize);
  EXPECT_EQ(t.received, kSize);
  EXPECT_LT(t.receiver.received_ce, kSize / 1500 / 2) << "most was not ECN-capable";
  EXPECT_GT(t.receiver.received_ce, 20u);
}

}  // namespace
}  // namespace synfin::protocol_test
