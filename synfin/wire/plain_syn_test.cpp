// SPDX-License-Identifier: Apache-2.0
//
// SYNs read by comparing them with one that was read before, against each read for itself.
#include "synfin/wire/plain_syn.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/wire/packet.h"

namespace synfin::wire {
namespace {

using Packet = std::vector<std::byte>;

struct SynMaker {
  bool v4;
  std::uint16_t present;
  SeededEntropy entropy{7};

  // Like each other in all that a pattern looks at.
  Packet next() {
    IpHeader ip;
    ip.protocol = protocol::kTcp;
    ip.hop_limit = static_cast<std::uint8_t>(1 + entropy.below(255));
    ip.identification = static_cast<std::uint16_t>(entropy.u32());
    if (v4) {
      ip.source = IpAddress::v4(entropy.u32());
      ip.destination = IpAddress::v4(10, 0, 0, 1);
    } else {
      std::array<std::byte, 16> octets{};
      for (std::byte& octet : octets) octet = std::byte{static_cast<std::uint8_t>(entropy.below(256))};
      ip.source = IpAddress::from_v6_octets(octets.data());
      ip.destination = *IpAddress::parse("fd00::1");
    }
    TcpHeader tcp;
    tcp.source_port = static_cast<std::uint16_t>(entropy.u32());
    tcp.destination_port = 80;
    tcp.seq = SeqNum{entropy.u32()};
    tcp.window = {static_cast<std::uint16_t>(entropy.u32())};
    tcp.flags = Flags::kSyn;
    tcp.options.present = present;
    tcp.options.mss = 1460;
    tcp.options.window_scale = 7;
    tcp.options.timestamps = {entropy.u32(), entropy.u32()};
    Frame frame;
    emit_tcp_packet(ip, tcp, frame, FillChecksum::kYes);
    const Bytes octets = frame.header_bytes();
    return {octets.begin(), octets.end()};
  }
};

class LikeTheFirst : public ::testing::TestWithParam<std::tuple<bool, std::uint16_t>> {
 protected:
  SynMaker maker_{std::get<0>(GetParam()), std::get<1>(GetParam())};
  BlockPool pool_;
  SynPattern pattern_;
  PlainSyn first_;

  void SetUp() override {
    const Frame frame = frame_of(maker_.next(), false);
    ASSERT_TRUE(read_plain_syn(frame, first_));
    ASSERT_FALSE(pattern_.known());
    pattern_.learn(frame, first_);
    ASSERT_TRUE(pattern_.known());
  }

  Frame frame_of(const Packet& packet, bool verified) {
    Frame frame;
    frame.add(pool_.copy(packet));
    frame.checksum_verified = verified;
    return frame;
  }

  // Whether the pattern takes it; then the ordinary way must say the same.
  bool takes(const Packet& packet, bool verified) {
    const Frame frame = frame_of(packet, verified);
    Endpoint remote;
    SeqNum seq;
    std::uint32_t clock = 0;
    if (!pattern_.read(frame, remote, seq, clock)) return false;
    PlainSyn syn;
    EXPECT_TRUE(read_plain_syn(frame, syn));
    EXPECT_EQ(syn.tuple.local, first_.tuple.local);
    EXPECT_EQ(syn.tuple.remote, remote);
    EXPECT_EQ(syn.seq, seq);
    EXPECT_EQ(syn.ecn, first_.ecn);
    EXPECT_EQ(syn.options.has(TcpOptions::kTimestamps) ? syn.options.timestamps.value : 0, clock);
    syn.options.timestamps = first_.options.timestamps;
    EXPECT_EQ(syn.options, first_.options);
    return true;
  }
};

TEST_P(LikeTheFirst, AreTaken) {
  for (int n = 0; n < 1000; ++n) {
    const Packet packet = maker_.next();
    ASSERT_TRUE(takes(packet, false)) << n;
    ASSERT_TRUE(takes(packet, true)) << n;
  }
}

TEST_P(LikeTheFirst, AreNotTakenWithABitTurned) {
  Packet packet = maker_.next();
  std::size_t taken = 0;
  for (std::size_t bit = 0; bit < packet.size() * 8; ++bit) {
    packet[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1u << bit % 8)};
    SCOPED_TRACE("bit " + std::to_string(bit));
    // What no checksum is over is the hop limit and the flow label of IPv6.
    const bool unsummed =
        !maker_.v4 && (bit / 8 == 7 || bit / 8 == 2 || bit / 8 == 3 || (bit / 8 == 1 && bit % 8 < 4));
    EXPECT_EQ(takes(packet, false), unsummed);
    if (takes(packet, true)) ++taken;
    packet[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1u << bit % 8)};
  }
  // Ports, numbers, window, checksum, urgent pointer and timestamps, where nobody sums; of IPv6 the source,
  // the flow label and the hop limit.
  const std::size_t stamps = maker_.present & TcpOptions::kTimestamps ? 64 : 0;
  EXPECT_EQ(taken, 16 + 64 + 48 + stamps + (maker_.v4 ? 0 : 128 + 20 + 8));
}

TEST_P(LikeTheFirst, AreNotTakenCutOffOrLonger) {
  const Packet packet = maker_.next();
  for (std::size_t size = 1; size <= packet.size() + 4; ++size) {
    Packet other = packet;
    other.resize(size);
    EXPECT_EQ(takes(other, true), size == packet.size()) << size;
  }
  pattern_.forget();
  EXPECT_FALSE(takes(packet, false));
}

INSTANTIATE_TEST_SUITE_P(
    Syns, LikeTheFirst,
    ::testing::Combine(::testing::Bool(),
                     ::testing::Values(std::uint16_t{TcpOptions::kMss | TcpOptions::kSackPermitted |
                                                   TcpOptions::kWindowScale | TcpOptions::kTimestamps},
                                     std::uint16_t{TcpOptions::kMss | TcpOptions::kWindowScale},
                                     std::uint16_t{TcpOptions::kTimestamps}, std::uint16_t{0})));

// Only one that can be told from the other options by where it lies.
TEST(SynPattern, IsNotLearntFromTwoTimestamps) {
  SynMaker maker{true, TcpOptions::kTimestamps | TcpOptions::kMss | TcpOptions::kWindowScale};
  Packet packet = maker.next();
  std::byte* const options = packet.data() + 40;
  const std::size_t size = packet.size() - 40;
  ASSERT_EQ(size, 20u);
  const std::size_t at = find_timestamps(options, size);
  ASSERT_GE(at, 2u);
  EXPECT_EQ(options[at - 2], std::byte{8});
  EXPECT_EQ(options[at - 1], std::byte{10});
  for (std::size_t i = 0; i < 2; ++i) {
    options[i * 10] = std::byte{8};
    options[i * 10 + 1] = std::byte{10};
  }
  EXPECT_EQ(find_timestamps(options, size), 0u);
  BlockPool pool;
  Frame frame;
  frame.add(pool.copy(packet));
  frame.checksum_verified = true;
  PlainSyn syn;
  ASSERT_TRUE(read_plain_syn(frame, syn));
  SynPattern pattern;
  pattern.learn(frame, syn);
  EXPECT_FALSE(pattern.known());
}

}  // namespace
}  // namespace synfin::wire
