// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/fast_open.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace literals;
using wire::IpAddress;
using wire::TcpOptions;

Key key_of(unsigned char fill) {
  Key key;
  key.fill(std::byte{fill});
  return key;
}
IpAddress host(std::uint32_t n) {
  return IpAddress::v4(0x0a4d'0000u + n);
}
wire::FourTuple tuple_of(std::uint32_t server, std::uint32_t client, std::uint16_t port = 40'000) {
  return {{host(server), 443}, {host(client), port}};
}
const Instant kStart = Instant::from_ns(1'000'000'000);

TEST(RotatingKeys, HonourTheirPredecessorForOneLife) {
  SeededEntropy entropy(1);
  RotatingKeys keys(entropy, 100_s);
  keys.rotate_if_due(kStart, entropy);
  const Key first = keys.current();
  keys.rotate_if_due(kStart + 99_s, entropy);
  EXPECT_EQ(keys.current(), first);
  keys.rotate_if_due(kStart + 100_s, entropy);
  EXPECT_NE(keys.current(), first);
  EXPECT_EQ(keys.previous(), first);
  const Key second = keys.current();
  keys.rotate_if_due(kStart + 200_s, entropy);
  EXPECT_EQ(keys.previous(), second);
  EXPECT_NE(keys.current(), second);
}

TEST(RotatingKeys, DoNotHonourAKeyThatSleptThroughItsSecondLife) {
  SeededEntropy entropy(1);
  RotatingKeys keys(entropy, 100_s);
  keys.rotate_if_due(kStart, entropy);
  const Key first = keys.current();
  keys.rotate_if_due(kStart + 200_s, entropy);
  EXPECT_NE(keys.current(), first);
  EXPECT_NE(keys.previous(), first);
  EXPECT_NE(keys.previous(), keys.current());
}

TEST(RotatingKeys, StayWhenTheyWereSet) {
  SeededEntropy entropy(1);
  RotatingKeys keys(entropy, 100_s);
  EXPECT_NE(keys.current(), keys.previous()) << "drawn apart";
  keys.set(key_of(1), key_of(2));
  keys.rotate_if_due(kStart, entropy);
  keys.rotate_if_due(kStart + 1'000'000_s, entropy);
  EXPECT_EQ(keys.current(), key_of(1));
  EXPECT_EQ(keys.previous(), key_of(2));
}

TEST(FastOpenCookies, AreHonouredFromTheSamePairOfAddressesAtAnyPort) {
  SeededEntropy entropy(1);
  const FastOpenCookies cookies(entropy);
  TcpOptions options;
  cookies.give(tuple_of(2, 1), options);
  EXPECT_TRUE(options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(options.cookie_size, FastOpenCookies::kSize);
  EXPECT_TRUE(cookies.honours(tuple_of(2, 1), options));
  EXPECT_TRUE(cookies.honours(tuple_of(2, 1, 1), options));
  EXPECT_FALSE(cookies.honours(tuple_of(2, 3), options));
  EXPECT_FALSE(cookies.honours(tuple_of(3, 1), options));
  EXPECT_FALSE(cookies.honours(tuple_of(1, 2), options)) << "not the other way around";
  EXPECT_FALSE(cookies.honours(tuple_of(2, 1), TcpOptions{}));
}

TEST(FastOpenCookies, AreNotHonouredWithASingleBitWrong) {
  SeededEntropy entropy(1);
  const FastOpenCookies cookies(entropy);
  TcpOptions options;
  cookies.give(tuple_of(2, 1), options);
  for (std::size_t bit = 0; bit < FastOpenCookies::kSize * 8; ++bit) {
    TcpOptions wrong = options;
    wrong.cookie[bit / 8] ^= std::byte{static_cast<std::uint8_t>(1u << bit % 8)};
    EXPECT_FALSE(cookies.honours(tuple_of(2, 1), wrong)) << bit;
  }
  TcpOptions longer = options;
  longer.cookie_size = FastOpenCookies::kSize + 2;
  EXPECT_FALSE(cookies.honours(tuple_of(2, 1), longer));
  TcpOptions shorter = options;
  shorter.cookie_size = FastOpenCookies::kSize - 2;
  EXPECT_FALSE(cookies.honours(tuple_of(2, 1), shorter));
}

TEST(FastOpenCookies, OutliveOneRotationOfTheKeysAndNotTwo) {
  SeededEntropy entropy(1);
  FastOpenCookies cookies(entropy);
  cookies.keys().rotate_if_due(kStart, entropy);
  TcpOptions options;
  cookies.give(tuple_of(2, 1), options);
  cookies.keys().rotate_if_due(kStart + FastOpenCookies::kKeyLife, entropy);
  EXPECT_TRUE(cookies.honours(tuple_of(2, 1), options));
  TcpOptions newer;
  cookies.give(tuple_of(2, 1), newer);
  EXPECT_NE(newer.cookie, options.cookie) << "given out with the current key";
  cookies.keys().rotate_if_due(kStart + FastOpenCookies::kKeyLife * 2, entropy);
  EXPECT_FALSE(cookies.honours(tuple_of(2, 1), options));
  EXPECT_TRUE(cookies.honours(tuple_of(2, 1), newer));
}

class FastOpenCacheTest : public testing::Test {
 protected:
  static TcpOptions cookie(unsigned char first, std::uint16_t mss = 1400) {
    TcpOptions o;
    o.present = TcpOptions::kFastOpen;
    if (mss > 0) o.present |= TcpOptions::kMss;
    o.mss = mss;
    o.cookie_size = 8;
    o.cookie[0] = std::byte{first};
    return o;
  }
  FastOpenCache cache_;
};

TEST_F(FastOpenCacheTest, KeepsTheNewestCookieOfEachServer) {
  EXPECT_EQ(cache_.find(host(1), kStart), nullptr);
  EXPECT_TRUE(cache_.may_try(host(1), kStart)) << "a server that is not known may be asked";
  cache_.store(host(1), cookie(1), kStart);
  cache_.store(host(2), cookie(2, 0), kStart);
  cache_.store(host(1), cookie(3, 1200), kStart + 1_s);
  const auto* one = cache_.find(host(1), kStart + 2_s);
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(one->cookie[0], std::byte{3});
  EXPECT_EQ(one->mss, 1200);
  const auto* two = cache_.find(host(2), kStart + 2_s);
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->cookie[0], std::byte{2});
  EXPECT_EQ(two->mss, 0);
}

TEST_F(FastOpenCacheTest, ForgetsTheOneThatWasUsedLongestAgo) {
  for (std::uint32_t n = 0; n < FastOpenCache::kEntries; ++n)
    cache_.store(host(n + 1), cookie(1), kStart + 1_s * n);
  const Instant later = kStart + 1000_s;
  ASSERT_NE(cache_.find(host(1), later), nullptr);  // used, so that the second is the oldest now
  cache_.store(host(1000), cookie(9), later);
  EXPECT_NE(cache_.find(host(1), later), nullptr);
  EXPECT_EQ(cache_.find(host(2), later), nullptr);
  EXPECT_NE(cache_.find(host(3), later), nullptr);
  EXPECT_NE(cache_.find(host(1000), later), nullptr);
}

TEST_F(FastOpenCacheTest, DistrustsAServerForTheTimeAfterALoss) {
  cache_.store(host(1), cookie(1), kStart);
  cache_.store(host(2), cookie(2), kStart);
  EXPECT_FALSE(cache_.lost(host(1), 100_s, kStart));
  EXPECT_FALSE(cache_.may_try(host(1), kStart + 99_s));
  EXPECT_EQ(cache_.find(host(1), kStart + 99_s), nullptr);
  EXPECT_NE(cache_.find(host(2), kStart), nullptr);
  EXPECT_NE(cache_.find(host(1), kStart + 100_s), nullptr) << "the cookie is still there";
}

TEST_F(FastOpenCacheTest, SuspendsAllAfterTwoLossesInARowForTwiceAsLongEachTimeUpTo64) {
  cache_.store(host(1), cookie(1), kStart);
  Instant now = kStart;
  for (int time = 0; time < 9; ++time) {
    EXPECT_FALSE(cache_.lost(host(1), 10_s, now));
    EXPECT_TRUE(cache_.may_try(host(2), now));
    EXPECT_TRUE(cache_.lost(host(1), 10_s, now));
    const Duration suspended = 10_s * (std::int64_t{1} << std::min(time, 6));
    EXPECT_FALSE(cache_.may_try(host(2), now + suspended - 1_ms)) << time;
    now = now + suspended;
    EXPECT_TRUE(cache_.may_try(host(2), now)) << time;
  }
  cache_.worked();
  (void)cache_.lost(host(1), 10_s, now);
  EXPECT_TRUE(cache_.lost(host(1), 10_s, now));
  EXPECT_TRUE(cache_.may_try(host(2), now + 10_s)) << "from the beginning again";
}

TEST_F(FastOpenCacheTest, SuccessBreaksARowOfLosses) {
  EXPECT_FALSE(cache_.lost(host(1), 10_s, kStart));
  cache_.worked();
  EXPECT_FALSE(cache_.lost(host(2), 10_s, kStart));
  EXPECT_TRUE(cache_.may_try(host(3), kStart));
}

TEST_F(FastOpenCacheTest, ATimeoutOfZeroChangesNothing) {
  cache_.store(host(1), cookie(1), kStart);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(cache_.lost(host(1), Duration::zero(), kStart));
  EXPECT_NE(cache_.find(host(1), kStart), nullptr);
}

}  // namespace
}  // namespace synfin::tcp
