// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/packet.h"

#include <gtest/gtest.h>

#include "synfin/wire/checksum.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::bytes_of;
using testing::ExactPacket;
using testing::hex;
using testing::Octets;
using testing::random_octets;

// What the short way takes, the long one must take as the same.
std::expected<TcpPacket, ParseError> parse_packet(const Frame& frame,
                                                  VerifyChecksum verify = VerifyChecksum::kYes) {
  TcpPacket usual;
  const bool is_usual = read_usual_packet(frame, usual);
  const auto ip = parse_ip(frame.front(), frame.size());
  if (!ip) {
    EXPECT_FALSE(is_usual);
    return std::unexpected(ip.error());
  }
  const auto packet = parse_tcp_packet(*ip, frame, verify);
  if (is_usual) {
    EXPECT_TRUE(packet.has_value());
    EXPECT_EQ(usual.ip, packet->ip);
    EXPECT_EQ(usual.tcp, packet->tcp);
    EXPECT_EQ(usual.payload_offset, packet->payload_offset);
    EXPECT_EQ(usual.payload_size, packet->payload_size);
  }
  return packet;
}

std::expected<TcpPacket, ParseError> parse_packet(const Octets& octets,
                                                  VerifyChecksum verify = VerifyChecksum::kYes) {
  ExactPacket packet{octets};
  return parse_packet(packet.frame(), verify);
}

TEST(TcpPacket, ReadsTheKnownPackets) {
  for (const auto text : {testing::kSynV4, testing::kSynV6}) {
    const auto syn = parse_packet(hex(text));
    ASSERT_TRUE(syn.has_value());
    EXPECT_EQ(syn->tcp.flags, Flags(Flags::kSyn));
    EXPECT_EQ(syn->tcp.seq, SeqNum{0xffff'fff0});
    EXPECT_EQ(syn->payload_size, 0U);
  }
  for (const auto text : {testing::kDataV4, testing::kDataV6}) {
    const Octets octets = hex(text);
    const auto data = parse_packet(octets);
    ASSERT_TRUE(data.has_value());
    EXPECT_EQ(data->tcp.flags, Flags(Flags::kPsh | Flags::kAck));
    EXPECT_EQ(data->tcp.options.timestamps, (Timestamps{0x4d96'b1cd, 0x1122'3344}));
    EXPECT_EQ(data->payload_size, 7U);
    EXPECT_EQ(octets[data->payload_offset], std::byte{'G'});
  }
}

// RFC 9293: MUST-2.
TEST(TcpPacket, WritesTheKnownPackets) {
  BlockPool pool;
  for (const auto text : {testing::kSynV4, testing::kSynV6, testing::kDataV4, testing::kDataV6}) {
    const Octets octets = hex(text);
    const auto parsed = parse_packet(octets);
    Frame frame;
    if (parsed->payload_size != 0) frame.add(pool.copy(Bytes{octets}.subspan(parsed->payload_offset)));
    emit_tcp_packet(parsed->ip, parsed->tcp, frame, FillChecksum::kYes);
    EXPECT_EQ(bytes_of(frame), octets);
    EXPECT_FALSE(frame.needs_checksum);
  }
}

// RFC 9293: MUST-3.
TEST(TcpPacket, EveryDamagedBitBehindTheIpHeaderIsNoticed) {
  for (const auto text : {testing::kDataV4, testing::kDataV6}) {
    const Octets whole = hex(text);
    const std::size_t first = (whole[0] >> 4) == std::byte{4} ? 20 : 40;
    for (std::size_t bit = 8 * first; bit < 8 * whole.size(); ++bit) {
      Octets packet = whole;
      packet[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
      const auto parsed = parse_packet(packet);
      ASSERT_FALSE(parsed.has_value()) << bit;
      EXPECT_EQ(parsed.error(), ParseError::kTcpBadChecksum) << bit;
    }
  }
}

TEST(TcpPacket, ADamagedAddressIsNoticed) {
  Octets packet = hex(testing::kDataV6);  // no header checksum: only the pseudo-header tells
  packet[39] ^= std::byte{1};
  EXPECT_EQ(parse_packet(packet).error(), ParseError::kTcpBadChecksum);
}

TEST(TcpPacket, TheSumIsNotLookedAtWhereItNeedNotBe) {
  Octets packet = hex(testing::kDataV4);
  packet.back() ^= std::byte{1};
  EXPECT_TRUE(parse_packet(packet, VerifyChecksum::kNo).has_value());
  ExactPacket exact{packet};
  Frame vouched = exact.frame();
  vouched.checksum_verified = true;
  EXPECT_TRUE(parse_packet(vouched).has_value());
}

TEST(TcpPacket, PaddingIsNeitherSummedNorPayload) {
  Octets packet = hex(testing::kDataV4);
  packet.resize(packet.size() + 5, std::byte{0xee});
  const auto parsed = parse_packet(packet);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->payload_size, 7U);
}

TEST(TcpPacket, HeadersInPiecesAreRefused) {
  const Octets octets = hex(testing::kDataV4);
  ExactPacket cut_in_tcp{octets, 39};
  EXPECT_EQ(parse_packet(cut_in_tcp.frame()).error(), ParseError::kTcpTooShort);
  ExactPacket cut_in_options{octets, 44};
  EXPECT_EQ(parse_packet(cut_in_options.frame()).error(), ParseError::kTcpDataOffset);
  ExactPacket cut_behind{octets, 52};
  EXPECT_TRUE(parse_packet(cut_behind.frame()).has_value());
}

TEST(TcpPacket, AnIpHeaderOfAnotherPacketReadsNothingPastTheFrame) {
  const Octets octets = hex(testing::kDataV4);
  ExactPacket packet{octets};
  ParsedIp ip = *parse_ip(octets, octets.size());
  ip.payload_size += 1;
  EXPECT_EQ(parse_tcp_packet(ip, packet.frame(), VerifyChecksum::kYes).error(), ParseError::kTcpTooShort);
  ip.payload_size = 19;
  EXPECT_EQ(parse_tcp_packet(ip, packet.frame(), VerifyChecksum::kYes).error(), ParseError::kTcpTooShort);
}

class EmitTcpPacket : public ::testing::TestWithParam<Family> {};

TEST_P(EmitTcpPacket, ParseGivesBackWhatWasEmitted) {
  BlockPool pool;
  SeededEntropy entropy{2018};
  for (int round = 0; round < 5000; ++round) {
    const IpHeader ip = testing::random_ip_header(entropy, GetParam());
    TcpHeader tcp = testing::random_tcp_header(entropy);
    tcp.options.present &=
        static_cast<std::uint8_t>(~TcpOptions::kSack);  // tcp_test.cpp has what does not fit
    Frame frame;
    Octets payload;
    const std::uint32_t slices = entropy.below(Frame::kMaxSlices + 1);
    for (std::uint32_t i = 0; i < slices; ++i) {
      const Octets piece = random_octets(entropy, 1 + entropy.below(300));  // odd sizes in the middle too
      payload.insert(payload.end(), piece.begin(), piece.end());
      frame.add(pool.copy(piece));
    }
    emit_tcp_packet(ip, tcp, frame, FillChecksum::kYes);

    // As the in-memory link gives it, headers apart, and as a device does, in one piece.
    const Octets octets = bytes_of(frame);
    for (const auto& parsed : {parse_packet(frame), parse_packet(octets)}) {
      ASSERT_TRUE(parsed.has_value()) << "seed 2018, round " << round;
      ASSERT_EQ(parsed->ip, ip) << "seed 2018, round " << round;
      ASSERT_EQ(parsed->tcp, tcp) << "seed 2018, round " << round;
      ASSERT_EQ(parsed->payload_offset, frame.header_size);
      ASSERT_TRUE(
          std::ranges::equal(Bytes{octets}.subspan(parsed->payload_offset, parsed->payload_size), payload));
    }
  }
}

// What a link with checksum offload does with the field: it sums the segment over it.
TEST_P(EmitTcpPacket, ThePseudoHeaderSumCanBeCompletedByTheLink) {
  BlockPool pool;
  SeededEntropy entropy{1624};
  for (int round = 0; round < 500; ++round) {
    const IpHeader ip = testing::random_ip_header(entropy, GetParam());
    Frame frame;
    frame.add(pool.copy(random_octets(entropy, 1 + entropy.below(999))));
    const TcpHeader tcp = testing::random_tcp_header(entropy);
    emit_tcp_packet(ip, tcp, frame, FillChecksum::kPseudoHeaderOnly);
    ASSERT_TRUE(frame.needs_checksum);

    Octets octets = bytes_of(frame);
    const std::size_t segment = emitted_size(ip);
    const std::uint16_t sum = ones_sum_reference(Bytes{octets}.subspan(segment));
    store_be16(octets.data() + segment + 16, static_cast<std::uint16_t>(~sum));
    ASSERT_TRUE(parse_packet(octets).has_value()) << "seed 1624, round " << round;

    emit_tcp_packet(ip, tcp, frame, FillChecksum::kYes);
    ASSERT_FALSE(frame.needs_checksum);
    ASSERT_EQ(bytes_of(frame), octets);
  }
}

TEST_P(EmitTcpPacket, TheLargestHeadersLeaveRoomForTheLinks) {
  SeededEntropy entropy{1};
  TcpHeader tcp;
  tcp.options.present = TcpOptions::kSack;
  tcp.options.sack_count = 4;
  Frame frame;
  emit_tcp_packet(testing::random_ip_header(entropy, GetParam()), tcp, frame, FillChecksum::kYes);
  EXPECT_EQ(frame.header_size, (GetParam() == Family::kIpv4 ? 20 : 40) + 56);
  EXPECT_LE(frame.header_size + 12 + 14, static_cast<int>(Frame::kHeaderCapacity));
}

TEST(UsualPacket, IsReadTheShortWayAndWhateverElseIsNot) {
  BlockPool pool;
  SeededEntropy entropy{791};
  constexpr std::array<std::uint16_t, 3> kUsual{
      0, TcpOptions::kTimestamps,
      TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kTimestamps | TcpOptions::kWindowScale};
  std::size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    TcpHeader tcp = testing::random_tcp_header(entropy);
    tcp.options.present = kUsual[entropy.below(3)];
    Frame frame;
    for (std::uint32_t n = entropy.below(3); n > 0; --n)
      frame.add(pool.copy(random_octets(entropy, 1 + entropy.below(99))));
    emit_tcp_packet(testing::random_ip_header(entropy, Family::kIpv4), tcp, frame, FillChecksum::kYes);
    TcpPacket usual;
    ASSERT_TRUE(read_usual_packet(frame, usual)) << "seed 791, round " << round;
    Octets octets = bytes_of(frame);
    ASSERT_TRUE(parse_packet(octets).has_value()) << "seed 791, round " << round;
    ExactPacket whole{octets};
    ASSERT_TRUE(read_usual_packet(whole.frame(), usual)) << "seed 791, round " << round;

    // Any octet may be another, and the packet may end anywhere.
    octets[entropy.below(static_cast<std::uint32_t>(octets.size()))] ^=
        static_cast<std::byte>(1 + entropy.below(255));
    if (entropy.below(4) == 0) octets.resize(entropy.below(static_cast<std::uint32_t>(octets.size())) + 1);
    if (!parse_packet(octets).has_value()) ++refused;
  }
  EXPECT_EQ(refused, 3000U);  // no single octet that is wrong escapes both sums
}

INSTANTIATE_TEST_SUITE_P(Families, EmitTcpPacket, ::testing::Values(Family::kIpv4, Family::kIpv6));

}  // namespace
}  // namespace synfin::wire
