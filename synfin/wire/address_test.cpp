// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/address.h"

#include <gtest/gtest.h>

#include <string>

#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using namespace std::string_view_literals;

std::string round_trip(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address ? address->to_string() : "refused";
}

struct TextCase {
  std::string_view given;
  std::string_view canonical;
};

class CanonicalText : public ::testing::TestWithParam<TextCase> {};

TEST_P(CanonicalText, IsWhatIsWritten) {
  EXPECT_EQ(round_trip(GetParam().given), GetParam().canonical);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5952, CanonicalText,
    ::testing::Values(TextCase{"2001:0db8::0001", "2001:db8::1"},                // §4.1
                      TextCase{"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},         // §4.2.1
                      TextCase{"2001:db8::0:1", "2001:db8::1"},                  // §4.2.1
                      TextCase{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // §4.2.2
                      TextCase{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},   // §4.2.2
                      TextCase{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // §4.2.3, longest
                      TextCase{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // §4.2.3, first
                      TextCase{"2001:DB8::AbCd", "2001:db8::abcd"},              // §4.3
                      TextCase{"::ffff:192.0.2.1", "192.0.2.1"}, TextCase{"::", "::"}, TextCase{"::1", "::1"},
                      TextCase{"1::", "1::"}, TextCase{"::1:2", "::1:2"}, TextCase{"0:0:0:0:0:0:0:0", "::"},
                      TextCase{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
                      TextCase{"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
                      TextCase{"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"}));
INSTANTIATE_TEST_SUITE_P(DottedQuad, CanonicalText,
                         ::testing::Values(TextCase{"0.0.0.0", "0.0.0.0"},
                                           TextCase{"255.255.255.255", "255.255.255.255"},
                                           TextCase{"10.77.0.2", "10.77.0.2"}));

class RefusedText : public ::testing::TestWithParam<std::string_view> {};

TEST_P(RefusedText, IsNoAddress) {
  EXPECT_FALSE(IpAddress::parse(GetParam()).has_value()) << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Malformed, RefusedText,
                         ::testing::Values("", " ", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ",
                                           "1.2.3.4/24", "fe80::1%eth0", "1::2::3",
                                           ":::", "12345::", "g::", "[::1]", "localhost", "1:2:3:4:5:6:7",
                                           "1:2:3:4:5:6:7:8:9", "1.2.3.4\0"sv, "::1\0 junk"sv,
                                           "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"));

TEST(IpAddress, TextReadsBackAsTheSameAddress) {
  SeededEntropy entropy{5952};
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::byte, 16> octets;
    entropy.fill(octets);
    // Zero groups are rare in random octets, and are what the text is about.
    for (std::size_t group = 0; group < 8; ++group) {
      if (entropy.below(2) == 0) octets[2 * group] = octets[2 * group + 1] = std::byte{0};
    }
    const IpAddress address = IpAddress::from_v6_octets(octets.data());
    const std::string text = address.to_string();
    ASSERT_EQ(IpAddress::parse(text), address) << text;
    ASSERT_LE(text.size(), 39U) << text;
  }
}

TEST(IpAddress, TheTwoFamiliesAreToldApart) {
  EXPECT_EQ(IpAddress::v4(10, 0, 0, 1).family(), Family::kIpv4);
  EXPECT_EQ(IpAddress::v4(0x7f00'0001), IpAddress::v4(127, 0, 0, 1));
  EXPECT_EQ(IpAddress::v4(10, 0, 0, 1).v4_bits(), 0x0a00'0001U);
  EXPECT_EQ(IpAddress{}.family(), Family::kIpv6);
  EXPECT_EQ(IpAddress::parse("::ffff:0:1")->family(), Family::kIpv4);
  EXPECT_EQ(IpAddress::parse("::fffe:0:1")->family(), Family::kIpv6);
  EXPECT_EQ(IpAddress::parse("1::ffff:0:1")->family(), Family::kIpv6);
  EXPECT_EQ(IpAddress::any(Family::kIpv4).to_string(), "0.0.0.0");
  EXPECT_EQ(IpAddress::any(Family::kIpv6).to_string(), "::");
}

TEST(IpAddress, WireOctetsHaveTheFamilysLength) {
  const testing::Octets four = testing::hex("0a 4d 00 02");
  const IpAddress v4 = IpAddress::from_v4_octets(four.data());
  EXPECT_TRUE(std::ranges::equal(v4.wire_octets(), four));
  const IpAddress v6 = *IpAddress::parse("fd77::2");
  EXPECT_EQ(v6.wire_octets().size(), 16U);
  EXPECT_EQ(IpAddress::from_v6_octets(v6.wire_octets().data()), v6);
}

TEST(IpAddress, Kinds) {
  const auto at = [](std::string_view text) { return *IpAddress::parse(text); };
  EXPECT_TRUE(at("0.0.0.0").is_unspecified());
  EXPECT_TRUE(at("::").is_unspecified());
  EXPECT_FALSE(at("::1").is_unspecified());
  EXPECT_FALSE(at("0.0.0.1").is_unspecified());

  EXPECT_TRUE(at("224.0.0.1").is_multicast());
  EXPECT_TRUE(at("239.255.255.255").is_multicast());
  EXPECT_FALSE(at("240.0.0.1").is_multicast());
  EXPECT_FALSE(at("223.255.255.255").is_multicast());
  EXPECT_TRUE(at("ff02::1").is_multicast());
  EXPECT_FALSE(at("fe80::1").is_multicast());

  EXPECT_TRUE(at("127.0.0.1").is_loopback());
  EXPECT_TRUE(at("127.255.255.254").is_loopback());
  EXPECT_FALSE(at("128.0.0.1").is_loopback());
  EXPECT_TRUE(at("::1").is_loopback());
  EXPECT_FALSE(at("::2").is_loopback());

  EXPECT_TRUE(at("255.255.255.255").is_limited_broadcast());
  EXPECT_FALSE(at("255.255.255.254").is_limited_broadcast());
  EXPECT_FALSE(at("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").is_limited_broadcast());

  EXPECT_TRUE(at("169.254.0.1").is_link_local());
  EXPECT_FALSE(at("169.253.0.1").is_link_local());
  EXPECT_TRUE(at("fe80::1").is_link_local());
  EXPECT_TRUE(at("febf::1").is_link_local());
  EXPECT_FALSE(at("fec0::1").is_link_local());
}

TEST(Prefix, ReadsAndWrites) {
  EXPECT_EQ(Prefix::parse("10.77.0.2/24")->to_string(), "10.77.0.2/24");
  EXPECT_EQ(Prefix::parse("fd77::2/64")->to_string(), "fd77::2/64");
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->length, 0);
  EXPECT_EQ(Prefix::parse("::/128")->length, 128);
  for (const auto* bad : {"10.77.0.2", "10.77.0.2/", "10.77.0.2/33", "::/129", "::/256", "10.0.0.0/-1",
                          "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8 ", "10.0.0.0/8/8", "/8", "x/8"}) {
    EXPECT_FALSE(Prefix::parse(bad).has_value()) << bad;
  }
}

struct PrefixCase {
  std::string_view prefix;
  std::string_view inside;
  std::string_view outside;
};

class PrefixBounds : public ::testing::TestWithParam<PrefixCase> {};

TEST_P(PrefixBounds, AreExact) {
  const Prefix prefix = *Prefix::parse(GetParam().prefix);
  EXPECT_TRUE(prefix.contains(prefix.address));
  EXPECT_TRUE(prefix.contains(*IpAddress::parse(GetParam().inside)));
  EXPECT_FALSE(prefix.contains(*IpAddress::parse(GetParam().outside)));
}

INSTANTIATE_TEST_SUITE_P(Cases, PrefixBounds,
                         ::testing::Values(PrefixCase{"10.77.0.2/24", "10.77.0.255", "10.77.1.0"},
                                           PrefixCase{"10.77.0.2/32", "10.77.0.2", "10.77.0.3"},
                                           PrefixCase{"10.77.0.2/31", "10.77.0.3", "10.77.0.4"},
                                           PrefixCase{"10.128.0.0/9", "10.255.1.1", "10.127.255.255"},
                                           PrefixCase{"0.0.0.0/0", "255.1.2.3", "::1"},
                                           PrefixCase{"::/0", "fd77::1", "10.0.0.1"},
                                           PrefixCase{"fd77::2/64", "fd77::ffff:0:0:1", "fd77:0:0:1::"},
                                           PrefixCase{"fd77::/127", "fd77::1", "fd77::2"},
                                           PrefixCase{"fd77::5/128", "fd77::5", "fd77::4"}));

TEST(Prefix, Broadcast) {
  EXPECT_EQ(Prefix::parse("10.77.0.2/24")->broadcast(), IpAddress::v4(10, 77, 0, 255));
  EXPECT_EQ(Prefix::parse("10.77.0.2/30")->broadcast(), IpAddress::v4(10, 77, 0, 3));
  EXPECT_EQ(Prefix::parse("10.0.0.0/0")->broadcast(), IpAddress::v4(255, 255, 255, 255));
  EXPECT_FALSE(Prefix::parse("10.77.0.2/31")->broadcast().has_value());
  EXPECT_FALSE(Prefix::parse("10.77.0.2/32")->broadcast().has_value());
  EXPECT_FALSE(Prefix::parse("fd77::2/64")->broadcast().has_value());
}

TEST(Endpoint, BracketsIpv6) {
  EXPECT_EQ((Endpoint{IpAddress::v4(10, 77, 0, 2), 80}.to_string()), "10.77.0.2:80");
  EXPECT_EQ((Endpoint{*IpAddress::parse("fd77::2"), 65'535}.to_string()), "[fd77::2]:65535");
}

TEST(FourTuple, ReversedTwiceIsItself) {
  const FourTuple t{{IpAddress::v4(10, 77, 0, 2), 80}, {IpAddress::v4(10, 77, 0, 1), 49'152}};
  EXPECT_EQ(t.reversed().local, t.remote);
  EXPECT_NE(t.reversed(), t);
  EXPECT_EQ(t.reversed().reversed(), t);
}

}  // namespace
}  // namespace synfin::wire
