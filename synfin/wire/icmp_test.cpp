// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/icmp.h"

#include <gtest/gtest.h>

#include "synfin/wire/checksum.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::bytes_of;
using testing::ExactPacket;
using testing::hex;
using testing::Octets;

std::expected<IcmpMessage, ParseError> parse_as_icmp(const Frame& frame) {
  const auto ip = parse_ip(frame.front(), frame.size());
  if (!ip) return std::unexpected(ip.error());
  return parse_icmp(ip->header, frame, ip->header_size, ip->payload_size);
}

std::expected<IcmpMessage, ParseError> parse_as_icmp(const Octets& octets) {
  ExactPacket packet{octets};
  return parse_as_icmp(packet.frame());
}

// The packet of an ICMP message with a right checksum: type, code, the four octets behind the checksum, the
// rest.
Octets message(Family family, std::uint8_t type, std::uint8_t code, std::uint32_t rest, Bytes body) {
  const bool v4 = family == Family::kIpv4;
  const IpHeader ip{.source = *IpAddress::parse(v4 ? "10.77.0.9" : "fd77::9"),
                    .destination = *IpAddress::parse(v4 ? "10.77.0.1" : "fd77::1"),
                    .protocol = v4 ? protocol::kIcmp : protocol::kIcmpV6};
  const std::size_t size = 8 + body.size();
  Octets out(emitted_size(ip) + size);
  emit_ip(ip, size, out);
  std::byte* p = out.data() + emitted_size(ip);
  store_u8(p, type);
  store_u8(p + 1, code);
  store_be32(p + 4, rest);
  if (!body.empty()) std::memcpy(p + 8, body.data(), body.size());
  ChecksumAccumulator sum;
  if (!v4)
    sum.add_pseudo_header(ip.source, ip.destination, protocol::kIcmpV6, static_cast<std::uint32_t>(size));
  sum.add({p, size});
  store_be16(p + 2, sum.finish());
  return out;
}

Octets quote_of(Family family) {
  return hex(family == Family::kIpv4 ? testing::kDataV4 : testing::kDataV6);
}
std::size_t ip_size(Family family) {
  return family == Family::kIpv4 ? 20 : 40;
}

QuotedSegment quoted_data(Family family) {
  const bool v4 = family == Family::kIpv4;
  return {{*IpAddress::parse(v4 ? "10.77.0.1" : "fd77::1"), 49'152},
          {*IpAddress::parse(v4 ? "10.77.0.2" : "fd77::2"), 80},
          SeqNum{0xffff'fff1}};
}

void expect_quoted(const IcmpMessage& m, Family family) {
  ASSERT_TRUE(m.quoted.has_value());
  const QuotedSegment expected = quoted_data(family);
  EXPECT_EQ(m.quoted->source, expected.source);
  EXPECT_EQ(m.quoted->destination, expected.destination);
  EXPECT_EQ(m.quoted->seq, expected.seq);
}

struct KindCase {
  Family family;
  std::uint8_t type;
  std::uint8_t code;
  IcmpKind kind;
};

class IcmpKinds : public ::testing::TestWithParam<KindCase> {};

TEST_P(IcmpKinds, AreReadFromTypeAndCode) {
  const KindCase& c = GetParam();
  const auto parsed = parse_as_icmp(message(c.family, c.type, c.code, 0, quote_of(c.family)));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->kind, c.kind) << int{c.type} << '/' << int{c.code};
  EXPECT_EQ(parsed->type, c.type);
  EXPECT_EQ(parsed->code, c.code);
  const bool error =
      c.kind != IcmpKind::kEchoRequest && c.kind != IcmpKind::kEchoReply && c.kind != IcmpKind::kOther;
  EXPECT_EQ(parsed->quoted.has_value(), error);
}

constexpr Family k4 = Family::kIpv4, k6 = Family::kIpv6;
INSTANTIATE_TEST_SUITE_P(
    V4, IcmpKinds,
    ::testing::Values(
        KindCase{k4, 0, 0, IcmpKind::kEchoReply}, KindCase{k4, 8, 0, IcmpKind::kEchoRequest},
        KindCase{k4, 3, 0, IcmpKind::kNetUnreachable}, KindCase{k4, 3, 1, IcmpKind::kHostUnreachable},
        KindCase{k4, 3, 2, IcmpKind::kProtocolUnreachable}, KindCase{k4, 3, 3, IcmpKind::kPortUnreachable},
        KindCase{k4, 3, 4, IcmpKind::kPacketTooBig}, KindCase{k4, 3, 5, IcmpKind::kNetUnreachable},
        KindCase{k4, 3, 6, IcmpKind::kNetUnreachable}, KindCase{k4, 3, 7, IcmpKind::kHostUnreachable},
        KindCase{k4, 3, 8, IcmpKind::kHostUnreachable}, KindCase{k4, 3, 9, IcmpKind::kAdminProhibited},
        KindCase{k4, 3, 10, IcmpKind::kAdminProhibited}, KindCase{k4, 3, 11, IcmpKind::kNetUnreachable},
        KindCase{k4, 3, 12, IcmpKind::kHostUnreachable}, KindCase{k4, 3, 13, IcmpKind::kAdminProhibited},
        KindCase{k4, 3, 14, IcmpKind::kHostUnreachable}, KindCase{k4, 3, 15, IcmpKind::kHostUnreachable},
        KindCase{k4, 3, 16, IcmpKind::kOther}, KindCase{k4, 4, 0, IcmpKind::kOther},
        KindCase{k4, 5, 1, IcmpKind::kOther}, KindCase{k4, 11, 0, IcmpKind::kTimeExceeded},
        KindCase{k4, 11, 1, IcmpKind::kTimeExceeded}, KindCase{k4, 12, 0, IcmpKind::kParameterProblem},
        KindCase{k4, 128, 0, IcmpKind::kOther}));
INSTANTIATE_TEST_SUITE_P(
    V6, IcmpKinds,
    ::testing::Values(
        KindCase{k6, 128, 0, IcmpKind::kEchoRequest}, KindCase{k6, 129, 0, IcmpKind::kEchoReply},
        KindCase{k6, 1, 0, IcmpKind::kNetUnreachable}, KindCase{k6, 1, 1, IcmpKind::kAdminProhibited},
        KindCase{k6, 1, 2, IcmpKind::kHostUnreachable}, KindCase{k6, 1, 3, IcmpKind::kHostUnreachable},
        KindCase{k6, 1, 4, IcmpKind::kPortUnreachable}, KindCase{k6, 1, 5, IcmpKind::kAdminProhibited},
        KindCase{k6, 1, 6, IcmpKind::kAdminProhibited}, KindCase{k6, 1, 7, IcmpKind::kOther},
        KindCase{k6, 2, 0, IcmpKind::kPacketTooBig}, KindCase{k6, 3, 0, IcmpKind::kTimeExceeded},
        KindCase{k6, 4, 0, IcmpKind::kParameterProblem}, KindCase{k6, 4, 1, IcmpKind::kProtocolUnreachable},
        KindCase{k6, 4, 2, IcmpKind::kParameterProblem}, KindCase{k6, 4, 3, IcmpKind::kOther},
        KindCase{k6, 135, 0, IcmpKind::kOther}, KindCase{k6, 8, 0, IcmpKind::kOther}));

TEST(ParseIcmp, ReadsTheKnownEchoes) {
  EXPECT_EQ(parse_as_icmp(hex(testing::kEchoV4))->kind, IcmpKind::kEchoRequest);
  EXPECT_EQ(parse_as_icmp(hex(testing::kEchoV6))->kind, IcmpKind::kEchoRequest);
  EXPECT_EQ(parse_as_icmp(hex(testing::kEchoReplyV4))->kind, IcmpKind::kEchoReply);
  EXPECT_EQ(parse_as_icmp(hex(testing::kEchoReplyV6))->kind, IcmpKind::kEchoReply);
}

TEST(ParseIcmp, EveryDamagedBitIsNoticed) {
  for (const auto text : {testing::kEchoV4, testing::kEchoV6}) {
    const Octets whole = hex(text);
    const std::size_t first = (whole[0] >> 4) == std::byte{4} ? 20 : 40;
    for (std::size_t bit = 8 * first; bit < 8 * whole.size(); ++bit) {
      Octets packet = whole;
      packet[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
      const auto parsed = parse_as_icmp(packet);
      ASSERT_FALSE(parsed.has_value()) << bit;
      EXPECT_EQ(parsed.error(), ParseError::kIcmpBadChecksum) << bit;
    }
  }
}

TEST(ParseIcmp, RefusesWhatIsShorterThanTheHeader) {
  for (const auto text : {testing::kEchoV4, testing::kEchoV6}) {
    const Octets whole = hex(text);
    const auto ip = parse_ip(whole, whole.size());
    ExactPacket exact{whole};
    for (std::size_t size = 0; size < 8; ++size) {
      EXPECT_EQ(parse_icmp(ip->header, exact.frame(), ip->header_size, size).error(),
                ParseError::kIcmpTooShort);
    }
    EXPECT_EQ(parse_icmp(ip->header, exact.frame(), ip->header_size, ip->payload_size + 1).error(),
              ParseError::kIcmpTooShort);
  }
}

class IcmpError : public ::testing::TestWithParam<Family> {
 protected:
  bool v4() const { return GetParam() == Family::kIpv4; }
  // A time exceeded message: a plain error of both families.
  Octets error_quoting(Bytes quote) const { return message(GetParam(), v4() ? 11 : 3, 0, 0, quote); }
};

TEST_P(IcmpError, SaysTheNextHopsMtu) {
  const std::uint32_t mtu = 1400;
  const auto parsed = v4() ? parse_as_icmp(message(k4, 3, 4, mtu, quote_of(k4)))
                           : parse_as_icmp(message(k6, 2, 0, mtu, quote_of(k6)));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->kind, IcmpKind::kPacketTooBig);
  EXPECT_EQ(parsed->mtu, mtu);
  expect_quoted(*parsed, GetParam());
  EXPECT_EQ(parse_as_icmp(error_quoting(quote_of(GetParam())))->mtu, 0U);
}

TEST_P(IcmpError, TheQuoteNeedsPortsAndSequenceNumberAndNoMore) {
  const Octets quote = quote_of(GetParam());
  const std::size_t enough = ip_size(GetParam()) + 8;
  for (std::size_t size = 0; size <= quote.size(); ++size) {
    const auto parsed = parse_as_icmp(error_quoting(Bytes{quote}.first(size)));
    if (size < enough) {
      ASSERT_FALSE(parsed.has_value()) << size;
      EXPECT_EQ(parsed.error(), ParseError::kIcmpTruncatedQuote) << size;
    } else {
      ASSERT_TRUE(parsed.has_value()) << size;
      expect_quoted(*parsed, GetParam());
    }
  }
}

TEST_P(IcmpError, TheQuoteMayLieInAnotherPiece) {
  const Octets packet = error_quoting(quote_of(GetParam()));
  for (std::size_t split = ip_size(GetParam()); split < packet.size(); ++split) {
    ExactPacket exact{packet, split};
    const auto parsed = parse_as_icmp(exact.frame());
    ASSERT_TRUE(parsed.has_value()) << split;
    expect_quoted(*parsed, GetParam());
  }
}

TEST_P(IcmpError, AboutAnotherProtocolQuotesNoSegment) {
  Octets quote = quote_of(GetParam());
  quote[v4() ? 9 : 6] = std::byte{17};
  const auto parsed = parse_as_icmp(error_quoting(quote));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->kind, IcmpKind::kTimeExceeded);
  EXPECT_FALSE(parsed->quoted.has_value());
}

TEST_P(IcmpError, OfTheOtherVersionQuotesNoSegment) {
  const auto parsed = parse_as_icmp(error_quoting(quote_of(v4() ? k6 : k4)));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_FALSE(parsed->quoted.has_value());
}

// On the way routers change what they quote: checksum, TTL, even the length.
TEST_P(IcmpError, ADamagedQuoteIsStillRead) {
  Octets quote = quote_of(GetParam());
  if (v4()) store_be16(quote.data() + 10, 0xffff);
  store_be16(quote.data() + (v4() ? 2 : 4), 1);
  const auto parsed = parse_as_icmp(error_quoting(quote));
  ASSERT_TRUE(parsed.has_value());
  expect_quoted(*parsed, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Families, IcmpError, ::testing::Values(k4, k6));

TEST(ParseIcmp, AQuotedFragmentThatIsNotTheFirstHasNoPorts) {
  Octets quote = quote_of(k4);
  store_be16(quote.data() + 6, 0x2001);
  EXPECT_FALSE(parse_as_icmp(message(k4, 11, 1, 0, quote))->quoted.has_value());
  store_be16(quote.data() + 6, 0x2000);
  EXPECT_TRUE(parse_as_icmp(message(k4, 11, 1, 0, quote))->quoted.has_value());
}

TEST(ParseIcmp, AQuoteWithIpv4OptionsIsRead) {
  Octets quote = quote_of(k4);
  quote[0] = std::byte{0x46};
  quote.insert(quote.begin() + 20, 4, std::byte{1});
  expect_quoted(*parse_as_icmp(message(k4, 11, 0, 0, quote)), k4);
  EXPECT_EQ(parse_as_icmp(message(k4, 11, 0, 0, Bytes{quote}.first(31))).error(),
            ParseError::kIcmpTruncatedQuote);
  EXPECT_EQ(parse_as_icmp(message(k4, 11, 0, 0, Bytes{quote}.first(22))).error(),
            ParseError::kIcmpTruncatedQuote);
  quote[0] = std::byte{0x44};
  EXPECT_FALSE(parse_as_icmp(message(k4, 11, 0, 0, quote))->quoted.has_value());
}

TEST(ParseIcmp, AQuoteWithExtensionHeadersIsRead) {
  Octets quote = quote_of(k6);
  const Octets options = hex("06 00 01 04 00 00 00 00");
  quote.insert(quote.begin() + 40, options.begin(), options.end());
  quote[6] = std::byte{60};
  expect_quoted(*parse_as_icmp(message(k6, 3, 0, 0, quote)), k6);
  EXPECT_EQ(parse_as_icmp(message(k6, 3, 0, 0, Bytes{quote}.first(44))).error(),
            ParseError::kIcmpTruncatedQuote);
  quote[6] = std::byte{43};
  quote[43] = std::byte{1};  // still under way: never sent by this host
  EXPECT_FALSE(parse_as_icmp(message(k6, 3, 0, 0, quote))->quoted.has_value());
}

// The most extension headers that are walked, and the segment behind them.
TEST(ParseIcmp, TheLongestQuoteIsRead) {
  Octets quote = quote_of(k6);
  quote.insert(quote.begin() + 40, 256, std::byte{0});
  quote[6] = std::byte{60};
  quote[40] = std::byte{6};
  quote[41] = std::byte{31};
  expect_quoted(*parse_as_icmp(message(k6, 3, 0, 0, quote)), k6);
}

TEST(ParseIcmp, AMappedAddressInAQuoteIsNoSegment) {
  Octets quote = quote_of(k6);
  std::ranges::copy(IpAddress::v4(10, 77, 0, 1).octets(), quote.begin() + 8);
  EXPECT_FALSE(parse_as_icmp(message(k6, 3, 0, 0, quote))->quoted.has_value());
}

std::optional<Frame> reply_to(const Octets& packet, BlockPool& pool) {
  ExactPacket exact{packet};
  const Frame frame = exact.frame();
  const auto ip = parse_ip(frame.front(), frame.size());
  return make_echo_reply(ip->header, frame, ip->header_size, ip->payload_size, pool);
}

TEST(EchoReply, IsTheKnownOne) {
  BlockPool pool;
  EXPECT_EQ(bytes_of(*reply_to(hex(testing::kEchoV4), pool)), hex(testing::kEchoReplyV4));
  EXPECT_EQ(bytes_of(*reply_to(hex(testing::kEchoV6), pool)), hex(testing::kEchoReplyV6));
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(EchoReply, CarriesTheLargestData) {
  BlockPool pool;
  SeededEntropy entropy{792};
  const Octets data = testing::random_octets(entropy, 65'000);
  for (const Family family : {k4, k6}) {
    const auto reply = reply_to(message(family, family == k4 ? 8 : 128, 0, 0x1234'0001, data), pool);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(parse_as_icmp(*reply)->kind, IcmpKind::kEchoReply);
    const Octets octets = bytes_of(*reply);
    EXPECT_TRUE(std::ranges::equal(Bytes{octets}.subspan(ip_size(family) + 8), data));
  }
}

TEST(EchoReply, IsNotSentFromOrToManyHosts) {
  BlockPool pool;
  for (const std::size_t field : {12U, 16U}) {
    for (const auto* address : {"224.0.0.1", "255.255.255.255", "0.0.0.0"}) {
      const Octets request = hex(testing::kEchoV4);
      ExactPacket exact{request};
      IpHeader ip = parse_ip(request, request.size())->header;
      (field == 12 ? ip.source : ip.destination) = *IpAddress::parse(address);
      EXPECT_FALSE(make_echo_reply(ip, exact.frame(), 20, 15, pool).has_value()) << address;
    }
  }
}

TEST(EchoReply, NeedsMemory) {
  BlockPool pool{0};
  EXPECT_FALSE(reply_to(hex(testing::kEchoV4), pool).has_value());
}

struct Offending {
  explicit Offending(const Octets& octets) : exact(octets), frame(exact.frame()) {
    ip = parse_ip(frame.front(), frame.size())->header;
  }
  std::optional<Frame> error(IcmpKind kind, BlockPool& pool) const {
    return make_icmp_error(kind, ip.destination, ip, frame, pool);
  }
  ExactPacket exact;
  Frame frame;
  IpHeader ip;
};

class MakeIcmpError : public ::testing::TestWithParam<Family> {};

TEST_P(MakeIcmpError, IsReadByTheOtherSide) {
  BlockPool pool;
  const Offending offending{quote_of(GetParam())};
  for (const IcmpKind kind :
       {IcmpKind::kPortUnreachable, IcmpKind::kNetUnreachable, IcmpKind::kHostUnreachable,
        IcmpKind::kAdminProhibited, IcmpKind::kProtocolUnreachable}) {
    const auto error = offending.error(kind, pool);
    ASSERT_TRUE(error.has_value());
    const auto parsed = parse_as_icmp(*error);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->kind, kind);
    expect_quoted(*parsed, GetParam());
    EXPECT_EQ(parse_ip(error->front(), error->size())->header.destination, offending.ip.source);
  }
}

TEST_P(MakeIcmpError, QuotesTheWholePacketWithoutPaddingWhereItFits) {
  BlockPool pool;
  Octets octets = quote_of(GetParam());
  const std::size_t bare = octets.size();
  octets.resize(bare + 9, std::byte{0xaa});
  const auto error = Offending{octets}.error(IcmpKind::kPortUnreachable, pool);
  const Octets message = bytes_of(*error);
  EXPECT_TRUE(std::ranges::equal(Bytes{message}.subspan(ip_size(GetParam()) + 8), Bytes{octets}.first(bare)));
}

TEST_P(MakeIcmpError, KeepsToTheSizeThatEveryPathCarries) {
  BlockPool pool;
  Octets octets = quote_of(GetParam());
  Frame large;
  large.add(pool.copy(Octets(4000)));
  const auto ip = parse_ip(octets, octets.size())->header;
  emit_tcp_packet(ip, TcpHeader{}, large, FillChecksum::kYes);
  const auto error = Offending{bytes_of(large)}.error(IcmpKind::kPortUnreachable, pool);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->size(), GetParam() == k4 ? 576U : 1280U);
  EXPECT_TRUE(parse_as_icmp(*error).has_value());
}

TEST_P(MakeIcmpError, OnlyWhatHostsSend) {
  BlockPool pool;
  const Offending offending{quote_of(GetParam())};
  for (const IcmpKind kind : {IcmpKind::kEchoRequest, IcmpKind::kEchoReply, IcmpKind::kPacketTooBig,
                              IcmpKind::kTimeExceeded, IcmpKind::kParameterProblem, IcmpKind::kOther}) {
    EXPECT_FALSE(offending.error(kind, pool).has_value());
  }
}

TEST_P(MakeIcmpError, NotAboutIcmpNorWithoutMemory) {
  BlockPool pool;
  const Offending echo{hex(GetParam() == k4 ? testing::kEchoV4 : testing::kEchoV6)};
  EXPECT_FALSE(echo.error(IcmpKind::kHostUnreachable, pool).has_value());
  BlockPool empty{0};
  EXPECT_FALSE(Offending{quote_of(GetParam())}.error(IcmpKind::kHostUnreachable, empty).has_value());
}

TEST_P(MakeIcmpError, OnlyFromOneHostToOneHost) {
  BlockPool pool;
  const Offending offending{quote_of(GetParam())};
  const bool v4 = GetParam() == k4;
  for (const auto* address :
       {v4 ? "224.0.0.1" : "ff02::1", v4 ? "0.0.0.0" : "::", v4 ? "127.0.0.1" : "::1"}) {
    IpHeader about = offending.ip;
    about.source = *IpAddress::parse(address);
    EXPECT_FALSE(
        make_icmp_error(IcmpKind::kPortUnreachable, offending.ip.destination, about, offending.frame, pool))
        << address;
  }
  IpHeader about = offending.ip;
  about.destination = *IpAddress::parse(v4 ? "255.255.255.255" : "ff02::1");
  EXPECT_FALSE(
      make_icmp_error(IcmpKind::kPortUnreachable, offending.ip.destination, about, offending.frame, pool));
}

INSTANTIATE_TEST_SUITE_P(Families, MakeIcmpError, ::testing::Values(k4, k6));

// RFC 4443 §3.4: the pointer says where the next header field lies that could not be served.
TEST(MakeIcmpErrorV6, PointsAtTheNextHeaderField) {
  BlockPool pool;
  Octets octets = quote_of(k6);
  EXPECT_EQ(load_be32(bytes_of(*Offending{octets}.error(IcmpKind::kProtocolUnreachable, pool)).data() + 44),
            6U);
  const Octets options = hex("06 00 01 04 00 00 00 00");
  octets.insert(octets.begin() + 40, options.begin(), options.end());
  octets[6] = std::byte{60};
  store_be16(octets.data() + 4, static_cast<std::uint16_t>(octets.size() - 40));
  EXPECT_EQ(load_be32(bytes_of(*Offending{octets}.error(IcmpKind::kProtocolUnreachable, pool)).data() + 44),
            40U);
}

}  // namespace
}  // namespace synfin::wire
