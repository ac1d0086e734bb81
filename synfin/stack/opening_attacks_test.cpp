// SPDX-License-Identifier: Apache-2.0
//
// What a flood of SYNs may cost, as structure rather than time: rows E2 and E3 of the list of attacks.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "synfin/stack/stack.h"
#include "synfin/stack/table.h"
#include "synfin/tcp/tuple_hash.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {
namespace {

using namespace literals;

// What happens, and to whom.
class Watch final : public trace::Sink {
 public:
  void on_event(const trace::Event& event) override {
    if (event.kind == trace::EventKind::kFlood) return;  // at most one a window
    ++events;
    if (event.tuple != of) ++about_others;
  }
  wire::FourTuple of;
  std::size_t events = 0;
  std::size_t about_others = 0;
};

class SynCost : public testing::TestWithParam<wire::Family> {
 protected:
  static Config config() {
    Config c;
    c.addresses = {*wire::Prefix::parse("10.77.0.2/24"), *wire::Prefix::parse("fd77::2/64")};
    return c;
  }
  bool v4() const { return GetParam() == wire::Family::kIpv4; }
  wire::Endpoint server() const { return {config().addresses[v4() ? 0 : 1].address, 80}; }
  wire::Endpoint source(std::uint32_t n) const {
    if (v4()) return {wire::IpAddress::v4(0x0b00'0000u + n), 1234};
    std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}, std::byte{0x0d}, std::byte{0xb8}};
    store_be32(octets.data() + 12, n);
    return {wire::IpAddress::from_v6_octets(octets.data()), 1234};
  }
  // A SYN and whatever answers it, or the third segment.
  wire::SeqNum give(std::uint32_t n, std::uint8_t flags, wire::SeqNum ack = {}) {
    wire::TcpHeader h;
    h.source_port = source(n).port;
    h.destination_port = server().port;
    h.seq = wire::SeqNum{(flags & wire::Flags::kSyn) != 0 ? n : n + 1};
    h.ack = ack;
    h.flags = flags;
    h.window = {65'535};
    wire::IpHeader ip;
    ip.source = source(n).address;
    ip.destination = server().address;
    ip.protocol = wire::protocol::kTcp;
    wire::Frame frame;
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    watch_.of = {server(), source(n)};
    stack_.receive(std::span{&frame, 1}, now_);
    wire::SeqNum seq;
    std::array<wire::Frame, 4> out;
    while (const std::size_t sent = stack_.transmit(out, now_)) {
      EXPECT_EQ(sent, 1u);
      const auto parsed = wire::parse_ip(out[0].front(), out[0].size());
      seq = wire::parse_tcp_packet(*parsed, out[0], wire::VerifyChecksum::kNo)->tcp.seq;
      ++answers_;
    }
    return seq;
  }

  wire::BlockPool pool_;
  SeededEntropy entropy_{11};
  Watch watch_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Stack stack_{config(), pool_, entropy_, &watch_};
  std::size_t answers_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Families, SynCost, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

// A stack has one thread and no lock, so what is left to show is that a SYN does the same few things however
// many came before it, and none of them to anybody else.
TEST_P(SynCost, E2_ASynBeyondTheQueueDoesTwoThingsHoweverManyCameBefore) {
  const auto listener = stack_.listen(server(), {.backlog = 64}, now_);
  ASSERT_TRUE(listener);
  std::uint32_t n = 0;
  for (; n < 50; ++n) give(n, wire::Flags::kAck, give(n, wire::Flags::kSyn) + 1);
  std::vector<Handle> open;
  while (const auto connection = stack_.accept(*listener, now_)) open.push_back(*connection);
  ASSERT_EQ(open.size(), 50u);
  while (stack_.poll_event()) {
  }
  for (; n < 20'000; ++n) give(n, wire::Flags::kSyn);  // until every part has seen its worst
  const Population before = stack_.population();
  EXPECT_EQ(before.half_open, 65u);
  const Instant deadline = stack_.next_deadline();
  const std::size_t memory = ::mallinfo2().uordblks;

  watch_.events = watch_.about_others = answers_ = 0;
  for (const std::uint32_t end = n + 100'000; n < end; ++n) {
    const std::size_t events = watch_.events;
    give(n, wire::Flags::kSyn);
    ASSERT_EQ(watch_.events - events, 2u) << "received and answered: " << n;
  }
  EXPECT_EQ(answers_, 100'000u);
  EXPECT_EQ(watch_.about_others, 0u) << "a SYN touches no other connection";
  const Population after = stack_.population();
  EXPECT_EQ(after.connections, 50u);
  EXPECT_EQ(after.half_open, before.half_open);
  EXPECT_EQ(after.armed_timers, before.armed_timers);
  EXPECT_EQ(stack_.next_deadline(), deadline);
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
  EXPECT_LE(::mallinfo2().uordblks, memory) << "nothing is kept";
  EXPECT_FALSE(stack_.poll_event());
  for (const Handle h : open) EXPECT_EQ(stack_.status(h)->state, trace::State::kEstablished);
}

TEST_P(SynCost, E2_ASynThatIsKeptMakesOneRecordAndOneTimer) {
  ASSERT_TRUE(stack_.listen(server(), {.backlog = 4096}, now_));
  watch_.about_others = 0;
  for (std::uint32_t n = 0; n < 4096; ++n) {
    watch_.events = 0;
    give(n, wire::Flags::kSyn);
    ASSERT_EQ(watch_.events, 3u) << "received, LISTEN to SYN-RECEIVED, answered: " << n;
    ASSERT_EQ(stack_.population().half_open, n + 1);
    ASSERT_EQ(stack_.population().armed_timers, n + 1);
  }
  EXPECT_EQ(watch_.about_others, 0u);
}

// The longest search for any of `tuples` in a table that is as full as it may become.
struct Chains {
  std::size_t most_at_home = 0;
  std::size_t most_candidates = 0;
};
Chains chains_of(const Key& key, const std::vector<wire::FourTuple>& tuples) {
  Table table;
  for (std::uint32_t i = 0; i < tuples.size(); ++i)
    EXPECT_TRUE(table.insert(tcp::tuple_hash(key, tuples[i]).place, RecordRef(RecordKind::kHalfOpen, i)));
  std::vector<std::size_t> homes(table.capacity());
  Chains c;
  for (const wire::FourTuple& t : tuples) {
    const std::uint64_t hash = tcp::tuple_hash(key, t).place;
    c.most_at_home = std::max(c.most_at_home, ++homes[hash * homes.size() >> 32]);
    std::size_t candidates = 0;
    (void)table.find(static_cast<std::uint32_t>(hash), [&](RecordRef) { return ++candidates == 0; });
    c.most_candidates = std::max(c.most_candidates, candidates);
  }
  return c;
}

wire::FourTuple v6_tuple(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d,
                         std::uint16_t port) {
  std::array<std::byte, 16> octets;
  store_be32(octets.data(), a);
  store_be32(octets.data() + 4, b);
  store_be32(octets.data() + 8, c);
  store_be32(octets.data() + 12, d);
  return {{*wire::IpAddress::parse("fd77::2"), 80}, {wire::IpAddress::from_v6_octets(octets.data()), port}};
}

constexpr std::uint32_t kTuples = 7000;
// Balls into bins: with 7,000 in 8,192 slots one with ten has a probability of about 10^-3.
constexpr std::size_t kLongest = 10;

TEST(TableChains, E3_Ipv6SourcesWhoseWordsFoldToTheSameDoNotCollide) {
  // As against hashes that fold an address to 32 bits first: exclusive or and sum are the same for all.
  std::vector<wire::FourTuple> tuples;
  for (std::uint32_t n = 0; n < kTuples; ++n) {
    const std::uint32_t x = n << 16, y = ~x & 0xffff'0000u;
    tuples.push_back(v6_tuple(0x2001'0db8, x, y, 1, 40'000));
  }
  SeededEntropy entropy(3);
  for (int trial = 0; trial < 5; ++trial) {
    Key key;
    entropy.fill(key);
    const Chains c = chains_of(key, tuples);
    EXPECT_LE(c.most_at_home, kLongest);
    EXPECT_LE(c.most_candidates, 2u);
  }
}

TEST(TableChains, E3_TuplesThatCollideUnderOneKeyDoNotUnderAnother) {
  const Key guessed{std::byte{1}};
  std::vector<wire::FourTuple> tuples;
  for (std::uint32_t n = 0; tuples.size() < 2000; ++n) {
    const wire::FourTuple t =
        v6_tuple(0x2001'0db8, 0, n >> 12, n, static_cast<std::uint16_t>(1024 + n % 999));
    if (tcp::tuple_hash(guessed, t).place >> 24 == 0x77) tuples.push_back(t);
  }
  EXPECT_GT(chains_of(guessed, tuples).most_at_home, 100u) << "the attack itself works";
  Key key = guessed;
  key[15] = std::byte{1};
  const Chains c = chains_of(key, tuples);
  EXPECT_LE(c.most_at_home, kLongest);
  EXPECT_LE(c.most_candidates, 2u);
}

TEST(TableChains, E3_EveryBitOfTheTupleCounts) {
  const Key key{std::byte{5}};
  const wire::FourTuple base = v6_tuple(0x2001'0db8, 1, 2, 3, 40'000);
  std::vector<std::uint32_t> hashes{tcp::tuple_hash(key, base).place};
  for (std::size_t bit = 0; bit < sizeof base * 8; ++bit) {
    std::array<std::byte, sizeof base> octets;
    std::memcpy(octets.data(), &base, sizeof base);
    octets[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1u << bit % 8)};
    wire::FourTuple other;
    std::memcpy(&other, octets.data(), sizeof other);
    hashes.push_back(tcp::tuple_hash(key, other).place);
  }
  std::ranges::sort(hashes);
  EXPECT_EQ(std::ranges::adjacent_find(hashes), hashes.end());
}

}  // namespace
}  // namespace synfin::stack
