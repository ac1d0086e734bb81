// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/tcp.h"

#include <gtest/gtest.h>

#include <optional>

#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::ExactBuffer;
using testing::hex;
using testing::Octets;

// A header whose options are `options`, a multiple of four octets.
Octets with_options(std::string_view options) {
  Octets out = hex("c0 00 00 50 ff ff ff f0 01 02 03 04 00 02 fa f0 00 00 00 07");
  const Octets tail = hex(options);
  out.insert(out.end(), tail.begin(), tail.end());
  out[12] = static_cast<std::byte>(out.size() / 4 << 4);
  return out;
}

std::expected<ParsedTcp, ParseError> parse_as_tcp(const Octets& octets) {
  const ExactBuffer exact{octets};
  return parse_tcp(exact.bytes(), octets.size());
}

TcpOptions options_of(std::string_view text) {
  const auto parsed = parse_as_tcp(with_options(text));
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed ? parsed->header.options : TcpOptions{};
}

std::optional<ParseError> error_of(std::string_view options) {
  const auto parsed = parse_as_tcp(with_options(options));
  return parsed ? std::nullopt : std::optional{parsed.error()};
}

Octets emit(const TcpHeader& header) {
  Octets out(emitted_size(header));
  EXPECT_EQ(emit_tcp(header, out), out.size());
  return out;
}

// The options alone, as emitted.
Octets emit_options(const TcpOptions& options) {
  TcpHeader header;
  header.options = options;
  Octets out = emit(header);
  out.erase(out.begin(), out.begin() + 20);
  return out;
}

TEST(ParseTcp, ReadsEveryFixedField) {
  const auto parsed = parse_as_tcp(hex("c0 00 00 50 ff ff ff f0 01 02 03 04 5b 9d fa f0 12 34 56 78"));
  ASSERT_TRUE(parsed.has_value());
  const TcpHeader& h = parsed->header;
  EXPECT_EQ(parsed->header_size, 20U);
  EXPECT_EQ(h.source_port, 49'152);
  EXPECT_EQ(h.destination_port, 80);
  EXPECT_EQ(h.seq, SeqNum{0xffff'fff0});
  EXPECT_EQ(h.ack, SeqNum{0x0102'0304});
  EXPECT_EQ(h.reserved, 0xb);
  EXPECT_EQ(h.flags, Flags(Flags::kCwr | Flags::kAck | Flags::kPsh | Flags::kRst | Flags::kFin));
  EXPECT_EQ(h.window.field, 0xfaf0);
  EXPECT_EQ(h.urgent_pointer, 0x5678);
  EXPECT_EQ(h.options.present, 0);
}

TEST(ParseTcp, RefusesWhatIsShorterThanTheHeader) {
  const Octets whole = with_options("");
  for (std::size_t size = 0; size < 20; ++size) {
    const ExactBuffer exact{Bytes{whole}.first(size)};
    EXPECT_EQ(parse_tcp(exact.bytes(), size).error(), ParseError::kTcpTooShort) << size;
    EXPECT_EQ(parse_tcp(exact.bytes(), 1000).error(), ParseError::kTcpTooShort) << size;
  }
  EXPECT_EQ(parse_tcp(whole, 19).error(), ParseError::kTcpTooShort);
}

TEST(ParseTcp, RefusesADataOffsetThatCannotBe) {
  for (unsigned words = 0; words < 16; ++words) {
    Octets octets = with_options("01 01 01 01");
    octets[12] = static_cast<std::byte>(words << 4);
    const auto parsed = parse_as_tcp(octets);
    if (words == 5 || words == 6) {
      EXPECT_TRUE(parsed.has_value()) << words;
    } else {
      ASSERT_FALSE(parsed.has_value()) << words;
      EXPECT_EQ(parsed.error(), ParseError::kTcpDataOffset) << words;
    }
  }
}

// A header that the segment has and the contiguous part has not is not read.
TEST(ParseTcp, RefusesADataOffsetPastTheContiguousPart) {
  Octets octets = with_options("01 01 01 01");
  const ExactBuffer front{Bytes{octets}.first(20)};
  EXPECT_EQ(parse_tcp(front.bytes(), 1000).error(), ParseError::kTcpDataOffset);
}

TEST(ParseTcp, LeavesTheDataAlone) {
  Octets octets = with_options("01 01 08 0a 00 00 00 01 00 00 00 02");
  octets.insert(octets.end(), 100, std::byte{0xff});
  const auto parsed = parse_as_tcp(octets);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->header_size, 32U);
}

// RFC 9768 §3.1.1: the bit before CWR, and the three as one number.
TEST(ParseTcp, ReadsTheAceField) {
  for (std::uint8_t ace = 0; ace < 8; ++ace) {
    TcpHeader h;
    h.flags = Flags::kAck;
    h.set_ace(ace);
    const Octets octets = emit(h);
    EXPECT_EQ(std::to_integer<int>(octets[12] & std::byte{0x0f}), ace >> 2);
    EXPECT_EQ(std::to_integer<int>(octets[13] >> 6), ace & 3);
    const auto parsed = parse_as_tcp(octets);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->header.ace(), ace);
    EXPECT_EQ(parsed->header.ae(), ace >= 4);
  }
}

// RFC 9768 §3.2.3: both orders, all lengths.
TEST(TcpOptions, EcnOctetsInEitherOrder) {
  const TcpOptions o = options_of("ac 0b 00 00 01 00 02 00 03 00 00 01");
  EXPECT_EQ(o.present, TcpOptions::kEcnOctets);
  EXPECT_EQ(o.ecn, (EcnOctets{.fields = 3, .reversed = false, .ect0 = 1, .ce = 0x200, .ect1 = 0x3'0000}));
  const TcpOptions reversed = options_of("ae 0b 00 00 01 00 02 00 03 00 00 01");
  EXPECT_EQ(reversed.ecn,
            (EcnOctets{.fields = 3, .reversed = true, .ect0 = 0x3'0000, .ce = 0x200, .ect1 = 1}));
  EXPECT_EQ(options_of("ac 08 ff ff ff 00 00 02").ecn,
            (EcnOctets{.fields = 2, .reversed = false, .ect0 = 0xff'ffff, .ce = 2, .ect1 = 0}));
  EXPECT_EQ(options_of("ae 05 00 00 09 01 01 01").ecn,
            (EcnOctets{.fields = 1, .reversed = true, .ect0 = 0, .ce = 0, .ect1 = 9}));
  EXPECT_EQ(options_of("ac 02 01 01").ecn.fields, 0);
  EXPECT_EQ(options_of("ac 07 00 00 09 ff ff 01").ecn,
            (EcnOctets{.fields = 1, .reversed = false, .ect0 = 9, .ce = 0, .ect1 = 0}))
      << "whole fields count, the rest is padding";
  EXPECT_EQ(error_of("ac 01 01 01"), ParseError::kTcpOptionLength);
  EXPECT_EQ(error_of("ac 09 00 00 01 00 00 02"), ParseError::kTcpOptionLength);
}

TEST(TcpOptions, EcnOctetsAreReadAsTheyAreWritten) {
  for (const bool reversed : {false, true}) {
    for (std::uint8_t fields = 0; fields <= 3; ++fields) {
      TcpOptions o;
      o.present = TcpOptions::kEcnOctets | TcpOptions::kTimestamps;
      o.ecn = {.fields = fields, .reversed = reversed, .ect0 = 0x12'3456, .ce = 0x78'9abc, .ect1 = 0xde'f012};
      const Octets written = emit_options(o);
      EXPECT_EQ(written.size(), 12 + o.ecn.padded_size());
      TcpHeader h;
      h.options = o;
      const auto parsed = parse_as_tcp(emit(h));
      ASSERT_TRUE(parsed.has_value());
      EXPECT_EQ(parsed->header.options, o);
    }
  }
}

TEST(TcpOptions, EcnOctetsWithoutRoomAreLeftOut) {
  TcpOptions o;
  o.present = TcpOptions::kEcnOctets | TcpOptions::kTimestamps | TcpOptions::kMss | TcpOptions::kWindowScale |
              TcpOptions::kFastOpen;
  o.cookie_size = 16;
  o.ecn = {.fields = 3, .reversed = false, .ect0 = 1, .ce = 0, .ect1 = 1};
  EXPECT_EQ(emit_options(o).size(), 40U);
  o.cookie_size = 4;
  EXPECT_EQ(emit_options(o).size(), 40U);
}

TEST(TcpOptions, OfALinuxSyn) {
  const TcpOptions o = options_of("02 04 05 b4 04 02 08 0a 4d 96 b1 c9 00 00 00 05 01 03 03 07");
  EXPECT_EQ(o.present, TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kTimestamps |
                           TcpOptions::kWindowScale);
  EXPECT_EQ(o.mss, 1460);
  EXPECT_EQ(o.window_scale, 7);
  EXPECT_EQ(o.timestamps, (Timestamps{0x4d96'b1c9, 5}));
}

// RFC 9293: MUST-4.
TEST(TcpOptions, OfAWindowsSyn) {
  const TcpOptions o = options_of("02 04 05 b4 01 03 03 08 01 01 04 02");
  EXPECT_EQ(o.present, TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kWindowScale);
  EXPECT_EQ(o.window_scale, 8);
}

// RFC 9293: MUST-64.
TEST(TcpOptions, AlignedTimestampsAndUnalignedOnesAreTheSame) {
  const TcpOptions aligned = options_of("01 01 08 0a 11 22 33 44 55 66 77 88");
  EXPECT_EQ(aligned.timestamps, (Timestamps{0x1122'3344, 0x5566'7788}));
  EXPECT_EQ(options_of("08 0a 11 22 33 44 55 66 77 88 01 01"), aligned);
  EXPECT_EQ(options_of("01 08 0a 11 22 33 44 55 66 77 88 00"), aligned);
}

TEST(TcpOptions, SackBlocksInTheirOrder) {
  const TcpOptions o = options_of("01 01 05 12 00 00 00 01 00 00 00 02 ff ff ff fe 00 00 00 03");
  EXPECT_EQ(o.present, TcpOptions::kSack);
  ASSERT_EQ(o.sack_count, 2);
  EXPECT_EQ(o.sack[0], (SackBlock{SeqNum{1}, SeqNum{2}}));
  EXPECT_EQ(o.sack[1], (SackBlock{SeqNum{0xffff'fffe}, SeqNum{3}}));
}

TEST(TcpOptions, ValuesAreKeptAsTheyCome) {
  EXPECT_EQ(options_of("02 04 00 00").mss, 0);
  EXPECT_EQ(options_of("02 04 ff ff").mss, 65'535);
  EXPECT_EQ(options_of("03 03 ff 01").window_scale, 255);
}

TEST(TcpOptions, FastOpenCookies) {
  const TcpOptions request = options_of("22 02 01 01");
  EXPECT_EQ(request.present, TcpOptions::kFastOpen);
  EXPECT_EQ(request.cookie_size, 0);
  const TcpOptions cookie = options_of("22 0a 01 02 03 04 05 06 07 08 01 01");
  ASSERT_EQ(cookie.cookie_size, 8);
  EXPECT_TRUE(std::ranges::equal(std::span{cookie.cookie}.first(8), hex("01 02 03 04 05 06 07 08")));
  EXPECT_EQ(options_of("22 12 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 01 01").cookie_size, 16);
  EXPECT_EQ(options_of("22 06 01 02 03 04 01 01").cookie_size, 4);
}

TEST(TcpOptions, AuthenticationIsRecognisedAndSkipped) {
  const TcpOptions md5 = options_of("13 12 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 01 01");
  EXPECT_EQ(md5.present, TcpOptions::kMd5);
  const TcpOptions ao = options_of("1d 10 01 02 00 01 02 03 04 05 06 07 08 09 0a 0b");
  EXPECT_EQ(ao.present, TcpOptions::kAuthentication);
  EXPECT_EQ(options_of("1d 04 01 02").present, TcpOptions::kAuthentication);
  EXPECT_EQ(options_of("1d 04 01 02 02 04 05 b4").mss, 1460);
}

// RFC 9293: MUST-6, MUST-68.
TEST(TcpOptions, UnknownKindsAreSkippedByTheirLength) {
  const TcpOptions o = options_of("fe 06 f9 89 00 00 1e 02 02 04 05 b4 01 01 06 02");
  EXPECT_EQ(o.present, TcpOptions::kMss);
  EXPECT_EQ(o.mss, 1460);
}

// RFC 9293: MUST-4.
TEST(TcpOptions, EndEndsThem) {
  EXPECT_EQ(options_of("00 00 00 00").present, 0);
  EXPECT_EQ(options_of("02 04 05 b4 00 03 03 07").present, TcpOptions::kMss);
  EXPECT_EQ(options_of("00 08 00 ff").present, 0);  // nothing behind it is looked at
}

TEST(TcpOptions, TheLastOfSeveralCounts) {
  EXPECT_EQ(options_of("02 04 05 b4 02 04 02 18").mss, 536);
  EXPECT_EQ(options_of("03 03 01 03 03 02 01 01").window_scale, 2);
  const TcpOptions sack =
      options_of("05 12 00 00 00 01 00 00 00 02 00 00 00 03 00 00 00 04 05 0a 00 00 00 05 00 00 00 06");
  ASSERT_EQ(sack.sack_count, 1);
  EXPECT_EQ(sack.sack[0].left, SeqNum{5});
  EXPECT_EQ(options_of("22 06 01 02 03 04 22 02").cookie_size, 0);
}

class BadOptionLength : public ::testing::TestWithParam<std::string_view> {};
// RFC 9293: MUST-7, MUST-68.
TEST_P(BadOptionLength, IsNamed) {
  EXPECT_EQ(error_of(GetParam()), ParseError::kTcpOptionLength) << GetParam();
}
INSTANTIATE_TEST_SUITE_P(Cases, BadOptionLength,
                         ::testing::Values("02 00 05 b4", "02 01 05 b4",  // 0 and 1
                                           "fe 00 00 00", "fe 01 00 00",  // of an unknown kind as well
                                           "02 05 05 b4", "fe ff 00 00", "01 01 08 0a", "01 01 01 02",
                                           "01 01 01 fe", "01 01 02 04", "05 0a 00 00 00 01 00 00",
                                           "01 01 01 01 01 01 01 08 0a 00 00 00 00 00 00 00"));

class MalformedOption : public ::testing::TestWithParam<std::string_view> {};
// RFC 9293: MUST-7.
TEST_P(MalformedOption, IsNamed) {
  EXPECT_EQ(error_of(GetParam()), ParseError::kTcpOptionMalformed) << GetParam();
}
INSTANTIATE_TEST_SUITE_P(Cases, MalformedOption,
                         ::testing::Values("02 02 01 01", "02 03 05 01", "02 06 05 b4 00 00 01 01",  // MSS: 4
                                           "03 02 01 01", "03 04 07 01",  // window scale: 3
                                           "04 03 00 01", "04 04 00 00",  // SACK-permitted: 2
                                           "05 02 01 01", "05 04 00 00",
                                           "05 09 00 00 00 00 00 00 00 01 01 01",  // SACK: 2 + 8n
                                           "05 0b 00 00 00 01 00 00 00 02 00 01", "08 02 01 01",
                                           "08 09 00 00 00 01 00 00 00 01 01 01",  // timestamps: 10
                                           "08 0b 00 00 00 01 00 00 00 01 00 01", "13 02 01 01",  // MD5: 18
                                           "13 11 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 01 01 01",
                                           "13 13 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 01",
                                           "1d 02 01 01", "1d 03 01 01",  // TCP-AO: 4 or more
                                           "22 03 01 01", "22 04 01 02",
                                           "22 05 01 02 03 01 01 01",  // cookie: none or 4 to 16, even
                                           "22 07 01 02 03 04 05 01",
                                           "22 14 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12"));

TEST(TcpOptions, FourSackBlocksAreTheMost) {
  const TcpOptions four = options_of(
      "01 01 05 22 00 00 00 01 00 00 00 02 00 00 00 03 00 00 00 04 00 00 00 05 00 00 00 06 00 00 00 07 00 00 "
      "00 08");
  EXPECT_EQ(four.sack_count, 4);
  EXPECT_EQ(four.sack[3].right, SeqNum{8});
}

TEST(EmitTcp, OrdersTheOptionsOfASynAsLinuxDoes) {
  TcpOptions o;
  o.present =
      TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kTimestamps | TcpOptions::kWindowScale;
  o.mss = 1460;
  o.window_scale = 7;
  o.timestamps = {0x4d96'b1c9, 0};
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 04 02 08 0a 4d 96 b1 c9 00 00 00 00 01 03 03 07"));
  o.present = TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kWindowScale;
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 01 01 04 02 01 03 03 07"));
  o.present = TcpOptions::kMss | TcpOptions::kTimestamps | TcpOptions::kWindowScale;
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 01 01 08 0a 4d 96 b1 c9 00 00 00 00 01 03 03 07"));
  o.present = TcpOptions::kMss;
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4"));
}

TEST(EmitTcp, OrdersTheOptionsOfDataAsLinuxDoes) {
  TcpOptions o;
  o.present = TcpOptions::kTimestamps | TcpOptions::kSack;
  o.timestamps = {1, 2};
  o.sack_count = 1;
  o.sack[0] = {SeqNum{3}, SeqNum{4}};
  EXPECT_EQ(emit_options(o), hex("01 01 08 0a 00 00 00 01 00 00 00 02 01 01 05 0a 00 00 00 03 00 00 00 04"));
  o.present = TcpOptions::kSack;
  EXPECT_EQ(emit_options(o), hex("01 01 05 0a 00 00 00 03 00 00 00 04"));
  o.present = TcpOptions::kTimestamps;
  EXPECT_EQ(emit_options(o), hex("01 01 08 0a 00 00 00 01 00 00 00 02"));
  o.present = 0;
  EXPECT_TRUE(emit_options(o).empty());
}

TEST(EmitTcp, PadsTheFastOpenCookieWithNops) {
  TcpOptions o;
  o.present = TcpOptions::kMss | TcpOptions::kFastOpen;
  o.mss = 1460;
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 22 02 01 01"));
  o.cookie_size = 6;
  std::ranges::copy(hex("01 02 03 04 05 06"), o.cookie.begin());
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 22 08 01 02 03 04 05 06"));
  o.cookie_size = 4;
  EXPECT_EQ(emit_options(o), hex("02 04 05 b4 22 06 01 02 03 04 01 01"));
}

TEST(EmitTcp, DropsTheLastSackBlocksWhereTheRoomEnds) {
  TcpHeader h;
  TcpOptions& o = h.options;
  o.present = TcpOptions::kTimestamps | TcpOptions::kSack;
  o.sack_count = 4;
  for (std::uint32_t i = 0; i < 4; ++i) o.sack[i] = {SeqNum{2 * i}, SeqNum{2 * i + 1}};
  EXPECT_EQ(emitted_size(h), 60U);
  const auto three = parse_as_tcp(emit(h));
  ASSERT_TRUE(three.has_value());
  ASSERT_EQ(three->header.options.sack_count, 3);
  EXPECT_EQ(three->header.options.sack[2], o.sack[2]);

  o.present = TcpOptions::kSack;
  EXPECT_EQ(parse_as_tcp(emit(h))->header.options.sack_count, 4);

  // Everything a SYN can hold fills the header: there is no room for any block, and none is begun.
  o.present = TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kTimestamps |
              TcpOptions::kWindowScale | TcpOptions::kFastOpen | TcpOptions::kSack;
  o.cookie_size = 16;
  o.cookie = {};
  EXPECT_EQ(emitted_size(h), 60U);
  const auto none = parse_as_tcp(emit(h));
  ASSERT_TRUE(none.has_value());
  EXPECT_FALSE(none->header.options.has(TcpOptions::kSack));
  EXPECT_EQ(none->header.options.cookie_size, 16);
}

TEST(EmitTcp, ASackOptionWithoutBlocksIsNotWritten) {
  TcpOptions o;
  o.present = TcpOptions::kSack;
  EXPECT_TRUE(emit_options(o).empty());
}

TEST(EmitTcp, WhatIsOnlyRecognisedIsNotWritten) {
  TcpOptions o;
  o.present = TcpOptions::kMd5 | TcpOptions::kAuthentication;
  EXPECT_TRUE(emit_options(o).empty());
}

TEST(EmitTcp, ParseGivesBackWhatWasEmitted) {
  SeededEntropy entropy{793};
  int with_all_blocks = 0;
  for (int round = 0; round < 20'000; ++round) {
    TcpHeader h = testing::random_tcp_header(entropy);
    const Octets octets = emit(h);
    ASSERT_EQ(octets.size() % 4, 0U);
    ASSERT_LE(octets.size(), TcpHeader::kMaxSize);
    const auto parsed = parse_as_tcp(octets);
    ASSERT_TRUE(parsed.has_value()) << "seed 793, round " << round;
    ASSERT_EQ(parsed->header_size, octets.size());
    // Only the number of SACK blocks may differ, and only where the header is too full for one more.
    TcpOptions& o = h.options;
    const std::uint8_t kept =
        parsed->header.options.has(TcpOptions::kSack) ? parsed->header.options.sack_count : 0;
    if (o.has(TcpOptions::kSack) && kept < o.sack_count) {
      ASSERT_GT(octets.size() + (kept == 0 ? 4 : 0) + 8, TcpHeader::kMaxSize) << "seed 793, round " << round;
      o.sack_count = kept;
      if (kept == 0) o.present &= static_cast<std::uint8_t>(~TcpOptions::kSack);
    } else if (o.has(TcpOptions::kSack)) {
      ++with_all_blocks;
    }
    ASSERT_EQ(parsed->header, h) << "seed 793, round " << round;
  }
  EXPECT_GT(with_all_blocks, 1000);
}

// What would follow an end of list has to be zero (and to be there at all): none is written, and every octet
// belongs to an option with its length or is a no-operation.
// RFC 9293: MUST-68, MUST-69.
TEST(EmitTcp, FillsTheHeaderWithOptionsAndNops) {
  SeededEntropy entropy{9293};
  std::size_t options = 0;
  for (int round = 0; round < 5000; ++round) {
    const Octets octets = emit(testing::random_tcp_header(entropy));
    for (std::size_t at = TcpHeader::kMinSize; at < octets.size();) {
      const auto kind = std::to_integer<unsigned>(octets[at]);
      ASSERT_NE(kind, 0U) << "seed 9293, round " << round;
      if (kind == 1) {
        ++at;
        continue;
      }
      ASSERT_LT(at + 1, octets.size()) << "seed 9293, round " << round;
      const auto length = std::to_integer<std::size_t>(octets[at + 1]);
      ASSERT_GE(length, 2U) << "seed 9293, round " << round;
      at += length;
      ASSERT_LE(at, octets.size()) << "seed 9293, round " << round;
      ++options;
    }
  }
  EXPECT_GT(options, 5000U);
}

TEST(TcpOptions, EqualityLooksOnlyAtWhatIsPresent) {
  TcpOptions a;
  TcpOptions b;
  a.mss = 1;
  a.cookie.fill(std::byte{0});
  b.cookie.fill(std::byte{1});
  EXPECT_EQ(a, b);
  a.present = b.present = TcpOptions::kMss;
  EXPECT_NE(a, b);
  b.mss = 1;
  EXPECT_EQ(a, b);
  a.present = b.present = TcpOptions::kFastOpen;
  EXPECT_EQ(a, b);
  a.cookie_size = b.cookie_size = 4;
  EXPECT_NE(a, b);
  a.present = b.present = TcpOptions::kSack;
  a.sack_count = 1;
  EXPECT_NE(a, b);
  b.present = 0;
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace synfin::wire
