// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/source_hash.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "synfin/stack/hyper_log_log.h"

namespace synfin::stack {
namespace {

wire::IpAddress address(const char* text) {
  return *wire::IpAddress::parse(text);
}

// An address of this network with the counter in its host part, or in its upper part.
wire::IpAddress numbered(bool ipv6, std::uint32_t n, std::size_t at) {
  if (!ipv6) return wire::IpAddress::v4(0x0a00'0000U + n);
  std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}};
  store_be32(octets.data() + at, n);
  return wire::IpAddress::from_v6_octets(octets.data());
}

TEST(SourceHash, NetworksAreTwentyFourAndFortyEightBits) {
  EXPECT_EQ(network_prefix(network_of(address("198.51.100.77"))).to_string(), "198.51.100.0/24");
  EXPECT_EQ(network_prefix(network_of(address("255.255.255.255"))).to_string(), "255.255.255.0/24");
  EXPECT_EQ(network_prefix(network_of(address("0.0.0.1"))).to_string(), "0.0.0.0/24");
  EXPECT_EQ(network_prefix(network_of(address("2001:db8:7:8::9"))).to_string(), "2001:db8:7::/48");
  EXPECT_EQ(network_prefix(network_of(address("::1"))).to_string(), "::/48");
  EXPECT_NE(network_of(address("198.51.100.77")), network_of(address("198.51.101.77")));
  EXPECT_NE(network_of(address("2001:db8:7::1")), network_of(address("2001:db8:8::1")));
}

TEST(SourceHash, EachSeedHashesDifferently) {
  std::set<std::uint64_t> hashes, networks;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    SeededEntropy entropy(seed);
    const SourceHash hash(entropy);
    hashes.insert(hash.of(address("198.51.100.77")));
    networks.insert(hash.of_network(network_of(address("198.51.100.77"))));
  }
  EXPECT_EQ(hashes.size(), 1000u);
  EXPECT_EQ(networks.size(), 1000u);
}

// Neighbours are the hard case: an attacker who counts addresses up must not look like more or fewer.
TEST(SourceHash, CountsNeighboursAsWellAsStrangers) {
  struct Kind {
    const char* name;
    bool ipv6;
    std::size_t at;
  };
  for (const Kind kind :
       {Kind{"IPv4", false, 0}, Kind{"IPv6 hosts", true, 12}, Kind{"IPv6 networks", true, 2}}) {
    for (const std::uint32_t step : {1U, 64U}) {
      for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SeededEntropy entropy(seed);
        const SourceHash hash(entropy);
        HyperLogLog<11> sources;
        constexpr std::uint32_t kCount = 20'000;
        for (std::uint32_t i = 0; i < kCount; ++i)
          sources.add(hash.of(numbered(kind.ipv6, i * step, kind.at)));
        // Four standard deviations.
        EXPECT_NEAR(sources.estimate() / kCount, 1, 0.092)
            << kind.name << " step " << step << " seed " << seed;
      }
    }
  }
}

// The standard error is 2.3 %: 97 of 100 estimates lie within 5 %.
TEST(SourceHash, EstimatesAreWithinFivePerCent) {
  constexpr int kSeeds = 40;
  for (const bool ipv6 : {false, true}) {
    std::array<int, 3> close{};
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SeededEntropy entropy(seed);
      const SourceHash hash(entropy);
      HyperLogLog<11> sources;
      std::uint32_t seen = 0;
      std::size_t size = 0;
      for (const std::uint32_t count : {100U, 10'000U, 1'000'000U}) {
        // An odd factor: no address comes twice.
        for (; seen < count; ++seen) sources.add(hash.of(numbered(ipv6, seen * 2'654'435'761U, 12)));
        const double error = sources.estimate() / count - 1;
        EXPECT_LT(std::abs(error), 0.092) << count << " seed " << seed;
        close[size++] += std::abs(error) <= 0.05 ? 1 : 0;
      }
    }
    EXPECT_EQ(close[0], kSeeds);
    EXPECT_GE(close[1], kSeeds * 9 / 10);
    EXPECT_GE(close[2], kSeeds * 9 / 10);
  }
}

}  // namespace
}  // namespace synfin::stack
