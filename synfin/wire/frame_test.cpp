// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/frame.h"

#include <gtest/gtest.h>

#include "synfin/wire/checksum.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::bytes_of;
using testing::Octets;
using testing::random_octets;

TEST(BlockPool, GivesLentMemoryBackOnceWithItsLastSlice) {
  BlockPool pool;
  const std::string memory(3000, 'm');
  int given_back = 0;
  Slice whole = pool.lend(
      std::as_bytes(std::span{memory}), [](void* n) { ++*static_cast<int*>(n); }, &given_back);
  EXPECT_EQ(whole.data(), std::as_bytes(std::span{memory}).data());
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  EXPECT_EQ(pool.bytes_in_use(), 0u) << "not the pool's";
  EXPECT_EQ(whole.room(), 0u) << "nobody writes behind it";
  EXPECT_EQ(whole.sub(0, 100).append(std::as_bytes(std::span{memory})), 0u);
  Slice part = whole.sub(1000, 10);
  whole.reset();
  EXPECT_EQ(given_back, 0);
  part.reset();
  EXPECT_EQ(given_back, 1);
  EXPECT_EQ(pool.blocks_in_use(), 0u);
  EXPECT_TRUE(pool.lend(
                      {}, [](void* n) { ++*static_cast<int*>(n); }, &given_back)
                  .empty());
  EXPECT_EQ(given_back, 1);
}

TEST(Slice, KnowsTheSumOfAPieceThatWasSummedAsItCame) {
  BlockPool pool;
  SeededEntropy entropy{1448};
  const Octets text = random_octets(entropy, 4500);
  Slice all{pool.allocate(5000), 0, 0};
  // Pieces of 1,500: in one go, in three with odd ends, and the first part of a third.
  EXPECT_EQ(all.append_summed(Bytes{text}.first(1500), 0), 1500u);
  EXPECT_EQ(all.append_summed(Bytes{text}.subspan(1500, 701), 0), 701u);
  EXPECT_EQ(all.append_summed(Bytes{text}.subspan(2201, 3), 701), 3u);
  EXPECT_EQ(all.append_summed(Bytes{text}.subspan(2204, 796), 704), 796u);
  EXPECT_EQ(all.append_summed(Bytes{text}.subspan(3000, 100), 0), 100u);
  for (const auto& [at, size] : {std::pair{0u, 1500u}, {1500u, 1500u}, {3000u, 100u}}) {
    const Slice piece = all.sub(at, size);
    ASSERT_TRUE(piece.sum()) << at;
    EXPECT_EQ(*piece.sum(), ones_sum_reference(Bytes{text}.subspan(at, size))) << at;
  }
  // No other part of it.
  for (const auto& [at, size] : {std::pair{0u, 1499u}, {1u, 1499u}, {1500u, 701u}, {0u, 3000u}, {3000u, 99u}})
    EXPECT_FALSE(all.sub(at, size).sum()) << at << " " << size;
}

TEST(Slice, ASumThatMissedSomethingIsNotKnown) {
  BlockPool pool;
  const Octets text(2000, std::byte{7});
  Slice all{pool.allocate(5000), 0, 0};
  (void)all.append_summed(Bytes{text}.first(300), 0);
  (void)all.append(Bytes{text}.first(100));
  (void)all.append_summed(Bytes{text}.first(300), 400);
  EXPECT_FALSE(all.sub(0, 700).sum());
  EXPECT_FALSE(all.sum());
  EXPECT_TRUE(all.sub(0, 300).sum());
  // Nor are those of a block's life before.
  const std::byte* const where = all.data();
  all.reset();
  const Slice again = pool.copy(Bytes{text}.first(2000));
  EXPECT_FALSE(again.sub(0, 300).sum());
  Slice summed{pool.allocate(5000), 0, 0};
  (void)summed.append(Bytes{text}.first(1024));
  (void)summed.append_summed(Bytes{text}.first(10), 0);
  ASSERT_EQ(summed.data(), where) << "the same block";
  EXPECT_FALSE(summed.sub(0, 300).sum());
}

TEST(BlockPool, GivesTheSmallestSizeThatFits) {
  BlockPool pool;
  const std::pair<std::uint32_t, std::uint32_t> cases[] = {
      {0, BlockPool::kSmall},        {1, BlockPool::kSmall},          {2048, BlockPool::kSmall},
      {2049, BlockPool::kMedium},    {16 * 1024, BlockPool::kMedium}, {16 * 1024 + 1, BlockPool::kLarge},
      {66 * 1024, BlockPool::kLarge}};
  for (const auto& [asked, given] : cases) {
    Block* const block = pool.allocate(asked);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block->capacity, given) << asked;
    EXPECT_EQ(block->used, 0U);
    EXPECT_EQ(block->references, 1U);
    EXPECT_EQ(pool.bytes_in_use(), given);
    const Slice slice{block, 0, 0};
  }
  EXPECT_EQ(pool.bytes_in_use(), 0U);
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(BlockPool, RefusesMoreThanTheLargest) {
  BlockPool pool;
  EXPECT_EQ(pool.allocate(BlockPool::kLarge + 1), nullptr);
  EXPECT_TRUE(pool.copy(Octets(BlockPool::kLarge + 1)).empty());
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(BlockPool, KeepsToItsBudgetAndRecovers) {
  BlockPool pool{3 * BlockPool::kSmall};
  const Octets octets(100);
  EXPECT_EQ(pool.allocate(BlockPool::kMedium), nullptr);
  std::vector<Slice> held;
  for (int i = 0; i < 3; ++i) held.push_back(pool.copy(octets));
  EXPECT_FALSE(held.back().empty());
  EXPECT_TRUE(pool.copy(octets).empty());
  EXPECT_EQ(pool.blocks_in_use(), 3U);
  held.pop_back();
  EXPECT_FALSE(pool.copy(octets).empty());
}

TEST(BlockPool, ReusesWhatCameBack) {
  BlockPool pool;
  Block* const first = pool.allocate(1);
  Slice{first, 0, 0}.reset();
  Block* const second = pool.allocate(1);
  EXPECT_EQ(first, second);
  EXPECT_EQ(second->used, 0U);
  Slice{second, 0, 0}.reset();
}

TEST(Slice, SharesItsBlockUntilTheLastIsGone) {
  BlockPool pool;
  SeededEntropy entropy{1};
  const Octets octets = random_octets(entropy, 1000);
  Slice whole = pool.copy(octets);
  Slice part = whole.sub(100, 50);
  Slice copy = part;
  EXPECT_EQ(pool.blocks_in_use(), 1U);
  whole.reset();
  part = Slice{};
  EXPECT_EQ(pool.blocks_in_use(), 1U);
  EXPECT_TRUE(std::ranges::equal(copy.bytes(), Bytes{octets}.subspan(100, 50)));
  Slice moved = std::move(copy);
  EXPECT_EQ(moved.size(), 50U);
  EXPECT_EQ(moved.memory(), BlockPool::kSmall);
  moved.reset();
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(Slice, AssignmentToItselfKeepsTheBlock) {
  BlockPool pool;
  Slice s = pool.copy(Octets(10));
  const Slice& same = s;
  s = same;
  EXPECT_EQ(s.size(), 10U);
  EXPECT_EQ(pool.blocks_in_use(), 1U);
}

TEST(Slice, FrontAndBackCanBeCut) {
  BlockPool pool;
  SeededEntropy entropy{2};
  const Octets octets = random_octets(entropy, 20);
  Slice s = pool.copy(octets);
  s.drop_front(5);
  s.truncate(10);
  EXPECT_TRUE(std::ranges::equal(s.bytes(), Bytes{octets}.subspan(5, 10)));
}

TEST(Slice, AppendsOnlyBehindTheLastOctetOfTheBlock) {
  BlockPool pool;
  Slice s = pool.copy(testing::hex("01 02"));
  const Slice old = s;
  EXPECT_EQ(s.room(), BlockPool::kSmall - 2);
  EXPECT_EQ(s.append(testing::hex("03 04 05")), 3U);
  EXPECT_TRUE(std::ranges::equal(s.bytes(), testing::hex("01 02 03 04 05")));

  // `old` ends where other octets lie now: they must not be overwritten.
  Slice late = old;
  EXPECT_EQ(late.room(), 0U);
  EXPECT_EQ(late.append(testing::hex("ff")), 0U);
  EXPECT_TRUE(std::ranges::equal(s.bytes(), testing::hex("01 02 03 04 05")));
}

TEST(Slice, AppendsNoMoreThanTheBlockHolds) {
  BlockPool pool;
  Slice s = pool.copy(Octets(BlockPool::kSmall - 3));
  EXPECT_EQ(s.append(testing::hex("01 02 03 04 05")), 3U);
  EXPECT_EQ(s.size(), BlockPool::kSmall);
  EXPECT_EQ(s.append(testing::hex("06")), 0U);
  EXPECT_EQ(s.bytes().back(), std::byte{3});
}

TEST(Slice, TheEmptyOneTakesNothing) {
  Slice s;
  EXPECT_EQ(s.append(testing::hex("01")), 0U);
  EXPECT_EQ(s.memory(), 0U);
  EXPECT_TRUE(s.bytes().empty());
  EXPECT_TRUE(BlockPool{}.copy({}).empty());
}

// A frame over the octets of `packet`, cut at random.
Frame cut_frame(BlockPool& pool, Entropy& entropy, Bytes packet) {
  Frame f;
  const std::size_t header =
      entropy.below(static_cast<std::uint32_t>(std::min(packet.size(), f.header.size()) + 1));
  std::memcpy(f.header.data(), packet.data(), header);
  f.header_size = static_cast<std::uint16_t>(header);
  packet = packet.subspan(header);
  while (!packet.empty()) {
    const auto left = static_cast<std::uint32_t>(packet.size());
    const std::size_t take = f.slice_count + 1U == Frame::kMaxSlices ? left : 1 + entropy.below(left);
    f.add(pool.copy(packet.first(take)));
    packet = packet.subspan(take);
  }
  return f;
}

TEST(Frame, CopiesOutAnyRange) {
  BlockPool pool;
  SeededEntropy entropy{3};
  for (int i = 0; i < 3000; ++i) {
    const Octets packet = random_octets(entropy, 1 + entropy.below(400));
    const Frame f = cut_frame(pool, entropy, packet);
    ASSERT_EQ(f.size(), packet.size());
    const std::size_t offset = entropy.below(static_cast<std::uint32_t>(packet.size() + 1));
    const std::size_t count = entropy.below(static_cast<std::uint32_t>(packet.size() - offset + 1));
    Octets out(count);
    f.copy_out(offset, out);
    ASSERT_TRUE(std::ranges::equal(out, Bytes{packet}.subspan(offset, count))) << "seed 3, round " << i;
  }
}

TEST(Frame, SharedAndMovedFramesHoldTheSameOctets) {
  BlockPool pool;
  SeededEntropy entropy{4};
  const Octets packet = random_octets(entropy, 300);
  Frame f = cut_frame(pool, entropy, packet);
  f.segment_size = 100;
  f.needs_checksum = true;
  Frame shared = f.share();
  EXPECT_EQ(bytes_of(shared), packet);
  EXPECT_EQ(shared.segment_size, 100);
  Frame moved = std::move(f);
  EXPECT_EQ(bytes_of(moved), packet);
  EXPECT_TRUE(moved.needs_checksum);
  moved.clear();
  EXPECT_EQ(moved.size(), 0U);
  EXPECT_EQ(bytes_of(shared), packet);
  shared.clear();
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(Frame, TheFrontIsTheHeaderOrTheFirstSlice) {
  BlockPool pool;
  Frame f;
  EXPECT_TRUE(f.front().empty());
  f.add(pool.copy(testing::hex("01 02")));
  EXPECT_EQ(f.front().size(), 2U);
  f.header_size = 20;
  EXPECT_EQ(f.front().size(), 20U);
  EXPECT_EQ(f.front().data(), f.header.data());
}

}  // namespace
}  // namespace synfin::wire
