// SPDX-License-Identifier: Apache-2.0
//
// What anybody may send: each way to be wrong has its name, and no octets make a parser read outside the
// packet (the address sanitizer watches; the buffers have no octet to spare).
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "synfin/wire/checksum.h"
#include "synfin/wire/icmp.h"
#include "synfin/wire/packet.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::ExactPacket;
using testing::hex;
using testing::Octets;

std::optional<ParseError> parse_all(const Frame& frame, VerifyChecksum verify = VerifyChecksum::kYes) {
  const auto ip = parse_ip(frame.front(), frame.size());
  if (!ip) return ip.error();
  if (ip->header.protocol == protocol::kTcp) {
    const auto tcp = parse_tcp_packet(*ip, frame, verify);
    if (!tcp) return tcp.error();
    EXPECT_LE(tcp->payload_offset + tcp->payload_size, frame.size());
    return std::nullopt;
  }
  const auto icmp = parse_icmp(ip->header, frame, ip->header_size, ip->payload_size);
  return icmp ? std::nullopt : std::optional{icmp.error()};
}

std::optional<ParseError> parse_all(const Octets& octets) {
  ExactPacket packet{octets};
  return parse_all(packet.frame());
}

// Makes the IPv4 header sum and that of TCP or ICMP right again, so that what is behind them is reached.
void seal(Octets& packet) {
  if (packet.size() < 20) return;
  const std::size_t header = std::to_integer<std::size_t>(packet[0] & std::byte{0x0f}) * 4;
  if ((packet[0] >> 4) == std::byte{4} && header >= 20 && header <= packet.size()) {
    store_be16(packet.data() + 10, 0);
    const std::uint16_t sum = ones_sum_reference(Bytes{packet}.first(header));
    store_be16(packet.data() + 10, static_cast<std::uint16_t>(~sum));
  }
  const auto ip = parse_ip(packet, packet.size());
  if (!ip) return;
  const std::uint8_t next = ip->header.protocol;
  const std::size_t field = next == protocol::kTcp ? 16 : 2;
  if (ip->payload_size < field + 2) return;
  std::byte* const at = packet.data() + ip->header_size;
  store_be16(at + field, 0);
  ChecksumAccumulator sum;
  if (next != protocol::kIcmp) {
    const auto size = static_cast<std::uint32_t>(ip->payload_size);
    sum.add_pseudo_header(ip->header.source, ip->header.destination, next, size);
  }
  sum.add({at, ip->payload_size});
  store_be16(at + field, sum.finish());
}

// A known packet with octets put in place of others, sums made right.
Octets patched(std::string_view packet, std::size_t at, std::string_view octets) {
  Octets out = hex(packet);
  std::ranges::copy(hex(octets), out.begin() + static_cast<std::ptrdiff_t>(at));
  seal(out);
  return out;
}

Octets cut(std::string_view packet, std::size_t size) {
  Octets out = hex(packet);
  out.resize(size);
  return out;
}

// The same packet, its length field cut too.
Octets shortened_v4(std::string_view packet, std::size_t size) {
  Octets out = cut(packet, size);
  store_be16(out.data() + 2, static_cast<std::uint16_t>(size));
  seal(out);
  return out;
}

Octets damaged(std::string_view packet, std::size_t at) {
  Octets out = hex(packet);
  out[at] ^= std::byte{0x10};
  return out;
}

struct ErrorCase {
  const char* name;
  ParseError error;
  Octets packet;
};

std::vector<ErrorCase> error_cases() {
  using testing::kDataV4, testing::kEchoV4, testing::kEchoV6, testing::kSynV4, testing::kSynV6;
  return {
      {"Empty", ParseError::kIpTooShort, {}},
      {"NineteenOctets", ParseError::kIpTooShort, cut(kSynV4, 19)},
      {"ThirtyNineOctetsOfIpv6", ParseError::kIpTooShort, cut(kSynV6, 39)},
      {"VersionFive", ParseError::kIpBadVersion, patched(kSynV4, 0, "55")},
      {"MappedAddressInIpv6", ParseError::kIpBadVersion,
       patched(kSynV6, 8, "00 00 00 00 00 00 00 00 00 00 ff ff 0a 4d 00 01")},
      {"HeaderLengthFour", ParseError::kIpHeaderLength, patched(kSynV4, 0, "44")},
      {"TotalLengthOverThePacket", ParseError::kIpTotalLength, patched(kSynV4, 2, "00 3d")},
      {"TotalLengthUnderTheHeader", ParseError::kIpTotalLength, patched(kSynV4, 2, "00 13")},
      {"PayloadLengthOverThePacket", ParseError::kIpTotalLength, patched(kSynV6, 4, "00 29")},
      {"DamagedIpv4Header", ParseError::kIpBadChecksum, damaged(kSynV4, 8)},
      {"ExtensionHeaderPastThePacket", ParseError::kIpExtensionHeader, patched(kSynV6, 6, "3c 40 fd")},
      {"Ipv4Fragment", ParseError::kIpFragment, patched(kSynV4, 6, "20 00")},
      {"Ipv6Fragment", ParseError::kIpFragment, patched(kSynV6, 6, "2c")},
      {"LooseSourceRoute", ParseError::kIpSourceRoute,
       [] {
         Octets out = hex(kSynV4);
         const Octets route = hex("83 07 04 0a 00 00 01 00");
         out.insert(out.begin() + 20, route.begin(), route.end());
         out[0] = std::byte{0x47};
         store_be16(out.data() + 2, static_cast<std::uint16_t>(out.size()));
         seal(out);
         return out;
       }()},
      {"NineteenOctetsOfTcp", ParseError::kTcpTooShort, shortened_v4(kSynV4, 39)},
      {"DataOffsetFour", ParseError::kTcpDataOffset, patched(kSynV4, 32, "40")},
      {"DataOffsetPastTheSegment", ParseError::kTcpDataOffset, patched(kSynV4, 32, "b0")},
      {"OptionLengthZero", ParseError::kTcpOptionLength, patched(kSynV4, 40, "02 00")},
      {"OptionPastTheHeader", ParseError::kTcpOptionLength, patched(kSynV4, 57, "fe 04")},
      {"MssOfFiveOctets", ParseError::kTcpOptionMalformed, patched(kSynV4, 40, "02 05")},
      {"SackOfNoBlock", ParseError::kTcpOptionMalformed, patched(kSynV4, 40, "05 02")},
      {"DamagedSegment", ParseError::kTcpBadChecksum, damaged(kDataV4, 55)},
      {"SevenOctetsOfIcmp", ParseError::kIcmpTooShort, shortened_v4(kEchoV4, 27)},
      {"DamagedIcmp", ParseError::kIcmpBadChecksum, damaged(kEchoV4, 30)},
      {"DamagedIcmpV6", ParseError::kIcmpBadChecksum, damaged(kEchoV6, 50)},
      {"QuoteOfSevenOctets", ParseError::kIcmpTruncatedQuote, patched(kEchoV4, 20, "03 03")},
      {"QuoteOfSevenOctetsInIcmpV6", ParseError::kIcmpTruncatedQuote, patched(kEchoV6, 40, "01 04")},
  };
}

class HostileInput : public ::testing::TestWithParam<ErrorCase> {};

TEST_P(HostileInput, HasItsName) {
  EXPECT_EQ(parse_all(GetParam().packet), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(Cases, HostileInput, ::testing::ValuesIn(error_cases()),
                         [](const auto& row) { return std::string{row.param.name}; });

TEST(HostileInputs, ReachEveryError) {
  std::set<ParseError> reached;
  for (const ErrorCase& c : error_cases()) reached.insert(c.error);
  EXPECT_EQ(reached.size(), static_cast<std::size_t>(ParseError::kIcmpTruncatedQuote) + 1);
}

std::vector<Octets> good_packets() {
  std::vector<Octets> packets;
  for (const auto text : {testing::kSynV4, testing::kSynV6, testing::kDataV4, testing::kDataV6,
                          testing::kEchoV4, testing::kEchoV6, testing::kEchoReplyV4, testing::kEchoReplyV6}) {
    packets.push_back(hex(text));
  }
  BlockPool pool;
  SeededEntropy entropy{1};
  for (int i = 0; i < 16; ++i) {
    const Family family = i % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    Frame segment;
    const IpHeader ip = testing::random_ip_header(entropy, family);
    emit_tcp_packet(ip, testing::random_tcp_header(entropy), segment, FillChecksum::kYes);
    packets.push_back(testing::bytes_of(segment));
    const auto error = make_icmp_error(IcmpKind::kPortUnreachable, ip.destination, ip, segment, pool);
    if (error) packets.push_back(testing::bytes_of(*error));
  }
  // Extension headers: hop-by-hop, routing, atomic fragment, destination options.
  Octets extended = hex(testing::kDataV6);
  const Octets headers =
      hex("2b 00 05 02 00 00 01 00 2c 00 00 00 00 00 00 00 3c 00 00 00 12 34 56 78 06 00 01 04 00 00 00 00");
  extended.insert(extended.begin() + 40, headers.begin(), headers.end());
  extended[6] = std::byte{0};
  store_be16(extended.data() + 4, static_cast<std::uint16_t>(extended.size() - 40));
  packets.push_back(extended);
  return packets;
}

// One to eight changes: a bit, an octet, one of the values that break parsers, octets put in or taken out, a
// cut.
void mutate(Octets& packet, Entropy& entropy) {
  static constexpr std::uint8_t kBoundary[] = {0, 1, 2, 3, 4, 8, 0x0f, 0x10, 0x28, 0x7f, 0x80, 0xfe, 0xff};
  for (std::uint32_t changes = 1 + entropy.below(8); changes != 0 && !packet.empty(); --changes) {
    // Mostly in the headers, where it matters.
    const auto size = static_cast<std::uint32_t>(packet.size());
    const std::uint32_t at = entropy.below(entropy.below(4) == 0 ? size : std::min(size, 96U));
    const auto place = packet.begin() + at;
    switch (entropy.below(6)) {
      case 0:
        *place ^= static_cast<std::byte>(1U << entropy.below(8));
        break;
      case 1:
        *place = static_cast<std::byte>(entropy.below(256));
        break;
      case 2:
      case 3:
        *place = static_cast<std::byte>(kBoundary[entropy.below(std::size(kBoundary))]);
        break;
      case 4:
        packet.insert(place, 1 + entropy.below(8), static_cast<std::byte>(entropy.below(256)));
        break;
      case 5:
        entropy.below(2) == 0 ? packet.resize(at) : static_cast<void>(packet.erase(place));
        break;
    }
  }
}

TEST(HostileInputs, NoMutationLeadsOutsideThePacket) {
  constexpr std::uint64_t kSeed = 20'231;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  SeededEntropy entropy{kSeed};
  const std::vector<Octets> packets = good_packets();
  for (const Octets& packet : packets) ASSERT_EQ(parse_all(packet), std::nullopt);

  std::set<ParseError> reached;
  int accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    Octets packet = packets[entropy.below(static_cast<std::uint32_t>(packets.size()))];
    mutate(packet, entropy);
    if (entropy.below(4) != 0) seal(packet);
    // Whole in one piece, or in two that meet anywhere.
    const bool whole = packet.empty() || entropy.below(2) == 0;
    const std::size_t split = whole ? 0 : entropy.below(static_cast<std::uint32_t>(packet.size()) + 1);
    ExactPacket exact = whole ? ExactPacket{packet} : ExactPacket{packet, split};
    const auto verify = entropy.below(2) == 0 ? VerifyChecksum::kYes : VerifyChecksum::kNo;
    if (const auto error = parse_all(exact.frame(), verify)) {
      reached.insert(*error);
    } else {
      ++accepted;
    }
  }
  // The mutations are worth something only if they come past the first checks.
  EXPECT_EQ(reached.size(), static_cast<std::size_t>(ParseError::kIcmpTruncatedQuote) + 1);
  EXPECT_GT(accepted, 1000);
}

TEST(HostileInputs, NoTruncationLeadsOutsideThePacket) {
  for (const Octets& packet : good_packets()) {
    for (std::size_t size = 0; size < packet.size(); ++size) {
      const Octets part(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_TRUE(parse_all(part).has_value()) << size;
    }
  }
}

}  // namespace
}  // namespace synfin::wire
