// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/ports.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

namespace synfin::stack {
namespace {

constexpr std::uint16_t kFirst = 32768;
constexpr std::uint16_t kLast = 60999;
constexpr auto kAllFree = [](std::uint16_t) { return true; };

const wire::IpAddress kLocal = wire::IpAddress::v4(10, 77, 0, 2);

wire::Endpoint remote_of(std::uint32_t n) {
  return {wire::IpAddress::v4(0x0a4d'0100 + n), 443};
}

class Ports : public testing::Test {
 protected:
  SeededEntropy entropy_{1};
  PortSelector selector_{entropy_};
};

TEST_F(Ports, UsesEachPortOnceBeforeTheFirstIsReused) {
  std::set<std::uint16_t> used;
  for (std::uint32_t n = 0; n <= kLast - kFirst; ++n) {
    const auto port = selector_.pick(kLocal, remote_of(0), kFirst, kLast, kAllFree);
    ASSERT_TRUE(port);
    ASSERT_GE(*port, kFirst);
    ASSERT_LE(*port, kLast);
    ASSERT_TRUE(used.insert(*port).second) << *port << " again after " << n;
  }
}

TEST_F(Ports, FindsTheLastFreeOneAndSaysWhenThereIsNone) {
  std::set<std::uint16_t> used;
  const auto free = [&](std::uint16_t port) { return !used.contains(port); };
  for (int n = 0; n < 100; ++n) {
    const auto port = selector_.pick(kLocal, remote_of(0), 1000, 1099, free);
    ASSERT_TRUE(port);
    used.insert(*port);
  }
  EXPECT_EQ(used.size(), 100u);
  int asked = 0;
  EXPECT_FALSE(selector_.pick(kLocal, remote_of(0), 1000, 1099, [&](std::uint16_t) { return ++asked == 0; }));
  EXPECT_EQ(asked, 100);
  for (std::uint16_t gone = 1000; gone < 1100; ++gone) {
    used.erase(gone);
    EXPECT_EQ(selector_.pick(kLocal, remote_of(0), 1000, 1099, free), gone);
    used.insert(gone);
  }
}

TEST_F(Ports, TakesRangesToTheirEnds) {
  EXPECT_EQ(selector_.pick(kLocal, remote_of(0), 65535, 65535, kAllFree), 65535);
  EXPECT_FALSE(selector_.pick(kLocal, remote_of(0), 2, 1, kAllFree));
  std::set<std::uint16_t> used;
  for (std::uint32_t n = 1; n <= 65535; ++n)
    used.insert(*selector_.pick(kLocal, remote_of(0), 1, 65535, kAllFree));
  EXPECT_EQ(used.size(), 65535u);
  EXPECT_FALSE(used.contains(0));
}

// RFC 6056 §3: what one remote sees must not tell it the ports towards another.
TEST_F(Ports, E12_AreNotSequentialAcrossRemotes) {
  int near = 0;
  std::set<std::uint16_t> distinct;
  std::uint16_t previous = 0;
  for (std::uint32_t n = 0; n < 2000; ++n) {
    const std::uint16_t port = *selector_.pick(kLocal, remote_of(n), kFirst, kLast, kAllFree);
    near += std::abs(port - previous) <= 16 ? 1 : 0;
    distinct.insert(port);
    previous = port;
  }
  EXPECT_LE(near, 15);  // 2.3 expected by chance
  EXPECT_GE(distinct.size(), 1850u);
}

TEST_F(Ports, E12_DependOnTheKeysTheLocalAddressAndTheRemotePort) {
  const auto first_port = [](std::uint64_t seed, const wire::IpAddress& local, const wire::Endpoint& remote) {
    SeededEntropy entropy(seed);
    return PortSelector(entropy).pick(local, remote, kFirst, kLast, kAllFree);
  };
  const auto base = first_port(1, kLocal, remote_of(0));
  EXPECT_EQ(first_port(1, kLocal, remote_of(0)), base);
  EXPECT_NE(first_port(2, kLocal, remote_of(0)), base);
  EXPECT_NE(first_port(1, wire::IpAddress::v4(10, 77, 0, 3), remote_of(0)), base);
  EXPECT_NE(first_port(1, kLocal, {remote_of(0).address, 80}), base);
  EXPECT_NE(first_port(1, *wire::IpAddress::parse("fd77::2"), {*wire::IpAddress::parse("fd77::1"), 443}),
            base);
}

static_assert(sizeof(Key) * 8 >= 128, "a secret that cannot be tried out (E12)");

// What one remote sees of its own ports tells it nothing about connections to others, unless they happen to
// share one of 1,024 counters.
TEST_F(Ports, E13_ConnectionsToOneRemoteDoNotMoveTheOthers) {
  SeededEntropy same{1};
  PortSelector disturbed(same);
  for (int n = 0; n < 50; ++n) (void)disturbed.pick(kLocal, remote_of(0), kFirst, kLast, kAllFree);
  EXPECT_NE(disturbed.pick(kLocal, remote_of(0), kFirst, kLast, kAllFree),
            selector_.pick(kLocal, remote_of(0), kFirst, kLast, kAllFree));
  int moved = 0;
  for (std::uint32_t n = 1; n <= 400; ++n) {
    const auto port = selector_.pick(kLocal, remote_of(n), kFirst, kLast, kAllFree);
    moved += disturbed.pick(kLocal, remote_of(n), kFirst, kLast, kAllFree) != port ? 1 : 0;
  }
  EXPECT_LE(moved, 4);  // 0.4 expected
}

// Which remotes share a counter is keyed: who finds out for one host knows it for no other.
TEST_F(Ports, E13_WhoSharesACounterDependsOnTheKeys) {
  const auto sharing = [](std::uint64_t seed) {
    std::set<std::uint32_t> remotes;
    for (std::uint32_t n = 1; n <= 4000; ++n) {
      SeededEntropy one{seed}, two{seed};
      PortSelector quiet(one), disturbed(two);
      (void)disturbed.pick(kLocal, remote_of(0), kFirst, kLast, kAllFree);
      if (quiet.pick(kLocal, remote_of(n), kFirst, kLast, kAllFree) !=
          disturbed.pick(kLocal, remote_of(n), kFirst, kLast, kAllFree)) {
        remotes.insert(n);
      }
    }
    return remotes;
  };
  const auto first = sharing(1), second = sharing(2);
  EXPECT_FALSE(first.empty());
  EXPECT_LE(first.size(), 20u);  // 4 expected
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace synfin::stack
