// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/tuple_hash.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace synfin::tcp {
namespace {

constexpr Key kKey{std::byte{1}, std::byte{2}, std::byte{3}};

wire::FourTuple tuple_of(const char* local, std::uint16_t local_port, const char* remote,
                         std::uint16_t remote_port) {
  return {{*wire::IpAddress::parse(local), local_port}, {*wire::IpAddress::parse(remote), remote_port}};
}

TEST(TupleHash, DependsOnEveryPartAndOnTheKey) {
  for (const auto& [a, b, c] :
       {std::array{"10.77.0.2", "10.77.0.1", "10.77.0.3"}, std::array{"fd77::2", "fd77::1", "fd77::3"}}) {
    const wire::FourTuple base = tuple_of(a, 80, b, 40000);
    Key other_key = kKey;
    other_key[15] = std::byte{1};
    const std::set<std::uint32_t> hashes{
        tuple_hash(kKey, base).place,
        tuple_hash(other_key, base).place,
        tuple_hash(kKey, base.reversed()).place,
        tuple_hash(kKey, tuple_of(c, 80, b, 40000)).place,
        tuple_hash(kKey, tuple_of(a, 80, c, 40000)).place,
        tuple_hash(kKey, tuple_of(a, 81, b, 40000)).place,
        tuple_hash(kKey, tuple_of(a, 80, b, 40001)).place,
        tuple_hash(kKey, tuple_of(a, 40000, b, 80)).place,
    };
    EXPECT_EQ(hashes.size(), 8u) << a;
    EXPECT_EQ(tuple_hash(kKey, base).place, tuple_hash(kKey, tuple_of(a, 80, b, 40000)).place);
  }
}

TEST(TupleHash, SpreadsNeighbouringTuplesOverTheUpperBits) {
  for (const auto& [local, remote] :
       {std::array{"10.77.0.2", "10.77.0.1"}, std::array{"fd77::2", "fd77::1"}}) {
    std::array<int, 64> cells{};
    for (int port = 0; port < 64'000; ++port) {
      ++cells[tuple_hash(kKey, tuple_of(local, 80, remote, static_cast<std::uint16_t>(port))).place >> 26];
    }
    for (const int count : cells) EXPECT_NEAR(count, 1000, 190) << local;  // six standard deviations
  }
}

TEST(TupleHash, ItsHalvesHaveNothingToDoWithEachOther) {
  std::set<std::uint32_t> differences;
  for (std::uint16_t port = 0; port < 10'000; ++port) {
    const TupleHash h = tuple_hash(kKey, tuple_of("10.77.0.2", 80, "10.77.0.1", port));
    differences.insert(h.place - h.timestamp_offset);
  }
  EXPECT_GT(differences.size(), 9'990u);
}

}  // namespace
}  // namespace synfin::tcp
