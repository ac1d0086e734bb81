// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/ip.h"

#include <gtest/gtest.h>

#include <optional>

#include "synfin/wire/checksum.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::ExactBuffer;
using testing::hex;
using testing::Octets;

std::expected<ParsedIp, ParseError> parse_as_ip(const Octets& packet) {
  const ExactBuffer exact{packet};
  return parse_ip(exact.bytes(), packet.size());
}

std::optional<ParseError> error_of(const Octets& packet) {
  const auto parsed = parse_as_ip(packet);
  return parsed ? std::nullopt : std::optional{parsed.error()};
}

// Makes the header checksum right again.
void seal_header(Octets& packet) {
  const std::size_t size =
      std::min(packet.size(), std::to_integer<std::size_t>(packet[0] & std::byte{0x0f}) * 4);
  store_be16(packet.data() + 10, 0);
  store_be16(packet.data() + 10, static_cast<std::uint16_t>(~ones_sum_reference(Bytes{packet}.first(size))));
}

// An IPv4 packet with `options` (a multiple of four octets) and four octets of payload.
Octets v4_with(std::string_view options) {
  Octets packet = hex("45 00 00 00 1c 46 40 00 40 06 00 00 0a 4d 00 01 0a 4d 00 02");
  for (const std::byte b : hex(options)) packet.push_back(b);
  packet[0] = static_cast<std::byte>(0x40 | packet.size() / 4);
  for (const std::byte b : hex("de ad be ef")) packet.push_back(b);
  store_be16(packet.data() + 2, static_cast<std::uint16_t>(packet.size()));
  seal_header(packet);
  return packet;
}

// An IPv6 packet whose fixed header names `next`, with `behind` as its payload.
Octets v6_with(std::uint8_t next, std::string_view behind) {
  Octets packet = hex(testing::kSynV6);
  packet.resize(40);
  for (const std::byte b : hex(behind)) packet.push_back(b);
  store_u8(packet.data() + 6, next);
  store_be16(packet.data() + 4, static_cast<std::uint16_t>(packet.size() - 40));
  return packet;
}

TEST(ParseIpv4, ReadsEveryField) {
  const auto parsed = parse_as_ip(hex(testing::kSynV4));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->header.source, IpAddress::v4(10, 77, 0, 1));
  EXPECT_EQ(parsed->header.destination, IpAddress::v4(10, 77, 0, 2));
  EXPECT_EQ(parsed->header.protocol, protocol::kTcp);
  EXPECT_EQ(parsed->header.hop_limit, 64);
  EXPECT_EQ(parsed->header.traffic_class, 0);
  EXPECT_EQ(parsed->header.identification, 0x1c46);
  EXPECT_TRUE(parsed->header.dont_fragment);
  EXPECT_EQ(parsed->header_size, 20U);
  EXPECT_EQ(parsed->payload_size, 40U);
}

TEST(ParseIpv6, ReadsEveryField) {
  const auto parsed = parse_as_ip(hex(testing::kSynV6));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->header.source.to_string(), "fd77::1");
  EXPECT_EQ(parsed->header.destination.to_string(), "fd77::2");
  EXPECT_EQ(parsed->header.protocol, protocol::kTcp);
  EXPECT_EQ(parsed->header.hop_limit, 64);
  EXPECT_EQ(parsed->header.traffic_class, 2);
  EXPECT_EQ(parsed->header.flow_label, 0xabcdeU);
  EXPECT_EQ(parsed->header_size, 40U);
  EXPECT_EQ(parsed->payload_size, 40U);
}

TEST(ParseIp, EveryTruncationIsRefused) {
  for (const auto text : {testing::kDataV4, testing::kDataV6}) {
    const Octets whole = hex(text);
    const std::size_t smallest = (whole[0] >> 4) == std::byte{4} ? 20 : 40;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_EQ(error_of(cut), size < smallest ? ParseError::kIpTooShort : ParseError::kIpTotalLength)
          << size;
    }
  }
}

TEST(ParseIp, WhatIsBehindTheLengthIsPadding) {
  for (const auto text : {testing::kDataV4, testing::kDataV6}) {
    Octets packet = hex(text);
    const auto bare = parse_as_ip(packet);
    packet.resize(packet.size() + 17, std::byte{0xff});
    const auto padded = parse_as_ip(packet);
    ASSERT_TRUE(padded.has_value());
    EXPECT_EQ(padded->payload_size, bare->payload_size);
  }
}

TEST(ParseIp, TheFrontMayHoldTheHeadersAlone) {
  for (const auto text : {testing::kDataV4, testing::kDataV6}) {
    const Octets packet = hex(text);
    const std::size_t headers = (packet[0] >> 4) == std::byte{4} ? 20 : 40;
    const ExactBuffer front{Bytes{packet}.first(headers)};
    const auto parsed = parse_ip(front.bytes(), packet.size());
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->header_size + parsed->payload_size, packet.size());
  }
}

TEST(ParseIp, NothingBehindThePacketSizeIsRead) {
  const Octets packet = hex(testing::kDataV4);
  EXPECT_EQ(parse_ip(packet, 19).error(), ParseError::kIpTooShort);
  EXPECT_EQ(parse_ip(packet, packet.size() - 1).error(), ParseError::kIpTotalLength);
  EXPECT_EQ(parse_ip(hex(testing::kDataV6), 39).error(), ParseError::kIpTooShort);
}

TEST(ParseIp, OtherVersionsAreRefused) {
  for (unsigned version = 0; version < 16; ++version) {
    if (version == 4 || version == 6) continue;
    Octets packet = hex(testing::kSynV4);
    packet[0] = static_cast<std::byte>(version << 4 | 5);
    EXPECT_EQ(error_of(packet), ParseError::kIpBadVersion) << version;
  }
}

// Above this parser an IPv4-mapped address is an IPv4 one: such a packet would be answered over IPv4.
TEST(ParseIpv6, MappedAddressesAreRefused) {
  for (const std::size_t field : {8U, 24U}) {
    Octets packet = hex(testing::kSynV6);
    std::ranges::copy(IpAddress::v4(10, 0, 0, 1).octets(),
                      packet.begin() + static_cast<std::ptrdiff_t>(field));
    EXPECT_EQ(error_of(packet), ParseError::kIpBadVersion) << field;
  }
}

TEST(ParseIpv4, AHeaderLengthUnderFiveOrPastThePacketIsRefused) {
  for (const unsigned words : {0U, 1U, 4U, 7U, 15U}) {
    Octets packet = v4_with("");  // 24 octets, six words
    packet[0] = static_cast<std::byte>(0x40 | words);
    EXPECT_EQ(error_of(packet), ParseError::kIpHeaderLength) << words;
  }
}

TEST(ParseIpv4, ATotalLengthUnderTheHeaderIsRefused) {
  for (const std::uint16_t total : std::initializer_list<std::uint16_t>{0, 1, 19}) {
    Octets packet = v4_with("");
    store_be16(packet.data() + 2, total);
    seal_header(packet);
    EXPECT_EQ(error_of(packet), ParseError::kIpTotalLength) << total;
  }
  Octets packet = v4_with("");
  store_be16(packet.data() + 2, 20);
  seal_header(packet);
  EXPECT_EQ(parse_as_ip(packet)->payload_size, 0U);
}

TEST(ParseIpv4, EveryDamagedBitOfTheHeaderIsNoticed) {
  const Octets whole = hex(testing::kSynV4);
  for (std::size_t bit = 0; bit < 160; ++bit) {
    Octets packet = whole;
    packet[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_TRUE(error_of(packet).has_value()) << bit;
    if (bit >= 8) {
      EXPECT_EQ(error_of(packet), ParseError::kIpBadChecksum) << bit;
    }
  }
}

TEST(ParseIpv4, FragmentsAreRefused) {
  for (const std::uint16_t field :
       std::initializer_list<std::uint16_t>{0x2000, 0x0001, 0x1fff, 0x6000, 0x3fff}) {
    Octets packet = v4_with("");
    store_be16(packet.data() + 6, field);
    seal_header(packet);
    EXPECT_EQ(error_of(packet), ParseError::kIpFragment) << field;
  }
  Octets packet = v4_with("");
  store_be16(packet.data() + 6, 0);
  seal_header(packet);
  EXPECT_FALSE(parse_as_ip(packet)->header.dont_fragment);
}

// RFC 9293: MUST-50.
TEST(ParseIpv4, OptionsAreSkipped) {
  for (const auto* options :
       {"01 01 01 01", "00 ff ff ff", "94 04 00 00", "07 07 04 00 00 00 00 00", "01 44 02 00",
        "01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 "
        "01 01 01 01 01 01 01 01 01 01 01"}) {
    const Octets packet = v4_with(options);
    const auto parsed = parse_as_ip(packet);
    ASSERT_TRUE(parsed.has_value()) << options;
    EXPECT_EQ(parsed->payload_size, 4U);
    EXPECT_EQ(packet[parsed->header_size], std::byte{0xde});
  }
}

TEST(ParseIpv4, OptionsPastTheHeaderAreRefused) {
  for (const auto* options : {"07 05 04 00", "07 00 00 00", "07 01 00 00", "01 01 01 07", "44 ff 00 00"}) {
    EXPECT_EQ(error_of(v4_with(options)), ParseError::kIpHeaderLength) << options;
  }
}

TEST(ParseIpv4, SourceRoutesAreRefused) {
  EXPECT_EQ(error_of(v4_with("83 07 04 0a 00 00 01 00")), ParseError::kIpSourceRoute);
  EXPECT_EQ(error_of(v4_with("01 89 07 04 0a 00 00 01")), ParseError::kIpSourceRoute);
}

// RFC 9293: MUST-50.
TEST(ParseIpv6, ExtensionHeadersAreSkipped) {
  struct Case {
    std::uint8_t next;
    std::string_view octets;
    std::size_t payload_at;
  };
  const Case cases[] = {
      {0, "06 00 01 04 00 00 00 00 de ad be ef", 48},                           // hop-by-hop, PadN
      {0, "06 00 05 02 00 00 01 00 de ad be ef", 48},                           // router alert
      {60, "06 00 00 00 00 00 00 00 de ad be ef", 48},                          // destination, Pad1
      {60, "06 01 1e 0c 00 00 00 00 00 00 00 00 00 00 00 00 de ad be ef", 56},  // unknown, may be skipped
      {43, "06 00 00 00 00 00 00 00 de ad be ef", 48},                          // routing, none left
      {44, "06 00 00 00 12 34 56 78 de ad be ef", 48},                          // atomic fragment
      {44, "06 ff 00 06 12 34 56 78 de ad be ef", 48},                          // reserved bits ignored
      {0, "3c 00 01 04 00 00 00 00 2c 00 01 04 00 00 00 00 06 00 00 00 00 00 00 00 de ad be ef", 64}};
  for (const Case& c : cases) {
    const Octets packet = v6_with(c.next, c.octets);
    const auto parsed = parse_as_ip(packet);
    ASSERT_TRUE(parsed.has_value()) << c.octets;
    EXPECT_EQ(parsed->header.protocol, protocol::kTcp);
    EXPECT_EQ(parsed->header_size, c.payload_at);
    EXPECT_EQ(parsed->payload_size, 4U);
  }
}

TEST(ParseIpv6, TheWalkStopsAtAnyOtherProtocol) {
  for (const std::uint8_t next : std::initializer_list<std::uint8_t>{6, 17, 50, 51, 58, 59, 135, 255}) {
    const auto parsed = parse_as_ip(v6_with(next, "06 00 00 00 00 00 00 00"));
    ASSERT_TRUE(parsed.has_value()) << int{next};
    EXPECT_EQ(parsed->header.protocol, next);
    EXPECT_EQ(parsed->header_size, 40U);
  }
}

TEST(ParseIpv6, ARouteStillToBeFollowedIsRefused) {
  for (const auto* routing : {"06 00 00 01 00 00 00 00 de ad be ef", "06 00 04 ff 00 00 00 00 de ad be ef"}) {
    EXPECT_EQ(error_of(v6_with(43, routing)), ParseError::kIpSourceRoute);
  }
}

TEST(ParseIpv6, FragmentsAreRefused) {
  EXPECT_EQ(error_of(v6_with(44, "06 00 00 01 12 34 56 78")), ParseError::kIpFragment);  // more
  EXPECT_EQ(error_of(v6_with(44, "06 00 00 08 12 34 56 78")), ParseError::kIpFragment);  // offset
  EXPECT_EQ(error_of(v6_with(44, "06 00 ff f8 12 34 56 78")), ParseError::kIpFragment);
}

TEST(ParseIpv6, ExtensionHeadersPastThePacketAreRefused) {
  for (const auto* octets :
       {"", "06", "06 00 01 04 00 00 00", "06 01 01 04 00 00 00 00", "06 ff 01 04 00 00 00 00",
        "00 00 01 04 00 00 00 00 06 00 01 04 00 00 00 00"}) {  // the last: hop-by-hop twice
    EXPECT_EQ(error_of(v6_with(0, octets)), ParseError::kIpExtensionHeader) << octets;
  }
  EXPECT_EQ(error_of(v6_with(44, "06 00 00 00 12 34 56")), ParseError::kIpExtensionHeader);
  EXPECT_EQ(error_of(v6_with(43, "06 00 00 00")), ParseError::kIpExtensionHeader);
}

TEST(ParseIpv6, ExtensionHeadersBehindThePayloadLengthAreRefused) {
  Octets packet = v6_with(0, "06 00 01 04 00 00 00 00");
  store_be16(packet.data() + 4, 7);
  EXPECT_EQ(error_of(packet), ParseError::kIpExtensionHeader);
}

TEST(ParseIpv6, ExtensionHeadersBehindTheFrontAreRefused) {
  const Octets packet = v6_with(0, "06 00 01 04 00 00 00 00 de ad be ef");
  const ExactBuffer front{Bytes{packet}.first(47)};
  EXPECT_EQ(parse_ip(front.bytes(), packet.size()).error(), ParseError::kIpExtensionHeader);
}

TEST(ParseIpv6, HopByHopOptionsComeFirstOrNotAtAll) {
  EXPECT_EQ(error_of(v6_with(60, "00 00 01 04 00 00 00 00 06 00 01 04 00 00 00 00")),
            ParseError::kIpExtensionHeader);
}

TEST(ParseIpv6, OptionsThatMustBeUnderstoodAreRefused) {
  for (const auto* octets :
       {"06 00 5e 04 00 00 00 00", "06 00 9e 04 00 00 00 00", "06 00 c2 04 00 01 00 00",
        "06 00 01 05 00 00 00 00", "06 00 00 00 00 00 00 01", "06 00 01 02 00 00 01 ff"}) {
    EXPECT_EQ(error_of(v6_with(60, octets)), ParseError::kIpExtensionHeader) << octets;
  }
}

TEST(ParseIpv6, EightExtensionHeadersAreTheMost) {
  const auto chain = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
      text += i + 1 == count ? "06 00 01 04 00 00 00 00 " : "3c 00 01 04 00 00 00 00 ";
    return v6_with(60, text + "de ad be ef");
  };
  EXPECT_EQ(parse_as_ip(chain(8))->header_size, 104U);
  EXPECT_EQ(error_of(chain(9)), ParseError::kIpExtensionHeader);
}

TEST(ParseIpv6, TwoHundredAndFiftySixOctetsOfExtensionHeadersAreTheMost) {
  const auto long_header = [](unsigned units) {
    Octets packet = v6_with(60, "");
    packet.resize(40 + 8 * units + 4);
    store_u8(packet.data() + 40, 6);
    store_u8(packet.data() + 41, static_cast<std::uint8_t>(units - 1));
    store_be16(packet.data() + 4, static_cast<std::uint16_t>(packet.size() - 40));
    return packet;
  };
  EXPECT_EQ(parse_as_ip(long_header(32))->header_size, 296U);
  EXPECT_EQ(error_of(long_header(33)), ParseError::kIpExtensionHeader);
}

class EmitIp : public ::testing::TestWithParam<Family> {};

TEST_P(EmitIp, ParseGivesBackWhatWasEmitted) {
  SeededEntropy entropy{791};
  for (int round = 0; round < 5000; ++round) {
    const IpHeader header = testing::random_ip_header(entropy, GetParam());
    const std::size_t payload = entropy.below(65'000);
    Octets front(emitted_size(header));
    ASSERT_EQ(emit_ip(header, payload, front), front.size());
    const ExactBuffer exact{front};
    const auto parsed = parse_ip(exact.bytes(), front.size() + payload);
    ASSERT_TRUE(parsed.has_value()) << "seed 791, round " << round;
    ASSERT_EQ(parsed->header, header) << "seed 791, round " << round;
    ASSERT_EQ(parsed->header_size, front.size());
    ASSERT_EQ(parsed->payload_size, payload);
  }
}

TEST_P(EmitIp, TheLongestPacketFillsTheLengthField) {
  SeededEntropy entropy{5};
  const IpHeader header = testing::random_ip_header(entropy, GetParam());
  Octets front(emitted_size(header));
  const std::size_t longest = GetParam() == Family::kIpv4 ? 65'515 : 65'535;
  emit_ip(header, longest, front);
  EXPECT_EQ(parse_ip(front, front.size() + longest)->payload_size, longest);
}

INSTANTIATE_TEST_SUITE_P(Families, EmitIp, ::testing::Values(Family::kIpv4, Family::kIpv6));

TEST(EmitIp, WritesTheOctetsOfAKnownHeader) {
  const Octets v4 = hex(testing::kSynV4);
  Octets out(20);
  emit_ip(parse_as_ip(v4)->header, 40, out);
  EXPECT_TRUE(std::ranges::equal(out, Bytes{v4}.first(20)));
  const Octets v6 = hex(testing::kSynV6);
  out.resize(40);
  emit_ip(parse_as_ip(v6)->header, 40, out);
  EXPECT_TRUE(std::ranges::equal(out, Bytes{v6}.first(40)));
}

}  // namespace
}  // namespace synfin::wire
