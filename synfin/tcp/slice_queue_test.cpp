// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/slice_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "synfin/base/entropy.h"
#include "synfin/wire/checksum.h"

namespace synfin::tcp {
namespace {

Bytes bytes_of(const std::string& s) {
  return std::as_bytes(std::span{s});
}

std::string contents(const wire::Frame& frame) {
  std::string out(frame.size(), '\0');
  frame.copy_out(0, std::as_writable_bytes(std::span{out}));
  return out;
}

std::string read_all(SliceQueue& q) {
  std::string out(q.size(), '\0');
  const MutableBytes into = std::as_writable_bytes(std::span{out});
  EXPECT_EQ(q.read(std::span{&into, 1}), out.size());
  return out;
}

TEST(SliceQueue, EmptyHoldsNoMemory) {
  wire::BlockPool pool;
  SliceQueue q;
  EXPECT_EQ(q.append_copy(bytes_of("hello"), pool), 5u);
  EXPECT_GT(pool.bytes_in_use(), 0u);
  q.drop_front(5);
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

TEST(SliceQueue, PiecesOfASummedStreamHaveTheirSums) {
  SeededEntropy entropy{20};
  for (int round = 0; round < 50; ++round) {
    wire::BlockPool pool;
    SliceQueue q;
    std::string all;
    const std::uint32_t size = 1024 + entropy.below(9000);
    while (all.size() < 200'000) {
      std::string text(1 + entropy.below(entropy.below(3) == 0 ? 70'000 : 3000), '\0');
      for (char& c : text) c = static_cast<char>(entropy.below(256));
      const SliceQueue::Pieces pieces{size, static_cast<std::uint32_t>(all.size()) % size};
      ASSERT_EQ(q.append_summed(bytes_of(text), pieces, pool), text.size());
      all += text;
    }
    std::size_t known = 0, slices = 0;
    for (std::uint32_t at = 0; at + size <= all.size(); at += size) {
      wire::Frame frame;
      ASSERT_EQ(q.share(at, size, frame), size);
      wire::ChecksumAccumulator sum;
      for (std::size_t i = 0; i < frame.slice_count; ++i) {
        sum.add_slice(frame.slices[i]);
        known += frame.slices[i].sum() ? 1 : 0;
        ++slices;
      }
      ASSERT_EQ(sum.folded(), wire::ones_sum_reference(bytes_of(all).subspan(at, size))) << round;
    }
    EXPECT_GT(known * 4, slices * 3) << "pieces of " << size;
    EXPECT_EQ(read_all(q), all);
  }
}

TEST(SliceQueue, SmallWritesShareABlock) {
  wire::BlockPool pool;
  SliceQueue q;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(q.append_copy(bytes_of("0123456789"), pool), 10u);
  EXPECT_EQ(pool.blocks_in_use(), 1u);
  wire::Frame frame;
  EXPECT_EQ(q.share(995, 5, frame), 5u);
  EXPECT_EQ(contents(frame), "56789");
}

TEST(SliceQueue, SharedBytesSurviveWhatIsAppendedAndDroppedLater) {
  wire::BlockPool pool;
  SliceQueue q;
  (void)q.append_copy(bytes_of("first"), pool);
  wire::Frame frame;
  EXPECT_EQ(q.share(0, 5, frame), 5u);
  (void)q.append_copy(bytes_of("second"), pool);
  q.drop_front(8);
  EXPECT_EQ(contents(frame), "first");
}

TEST(SliceQueue, ItsFrontIsTakenWithoutACopy) {
  wire::BlockPool pool;
  SliceQueue q;
  const std::string memory = "lent to the queue";
  EXPECT_EQ(q.append(pool.lend(
                         bytes_of(memory), [](void*) {}, nullptr),
                     pool),
            memory.size());
  EXPECT_EQ(q.append_copy(bytes_of(" and copied"), pool), 11u);
  const wire::Slice first = q.take_front(4);
  EXPECT_EQ(first.data(), bytes_of(memory).data());
  EXPECT_EQ(first.size(), 4u);
  const wire::Slice second = q.take_front(100);
  EXPECT_EQ(second.data(), bytes_of(memory).data() + 4);
  EXPECT_EQ(second.size(), memory.size() - 4);
  EXPECT_EQ(q.size(), 11u);
  EXPECT_EQ(q.take_front(100).size(), 11u);
  EXPECT_TRUE(q.empty());
}

TEST(SliceQueue, TwoQueuesOverOneBlockDoNotOverwriteEachOther) {
  wire::BlockPool pool;
  SliceQueue sender, receiver;
  (void)sender.append_copy(bytes_of("shared"), pool);
  wire::Frame frame;
  ASSERT_EQ(sender.share(0, 6, frame), 6u);
  EXPECT_EQ(receiver.append(frame.slices[0], pool), 6u);
  EXPECT_EQ(receiver.append(pool.copy(bytes_of("-received")), pool), 9u);
  EXPECT_EQ(sender.append_copy(bytes_of("-sent"), pool), 5u);
  wire::Frame theirs, ours;
  EXPECT_EQ(receiver.share(0, 15, theirs), 15u);
  EXPECT_EQ(sender.share(0, 11, ours), 11u);
  EXPECT_EQ(contents(theirs), "shared-received");
  EXPECT_EQ(contents(ours), "shared-sent");
}

TEST(SliceQueue, TakesOnlyWhatThePoolHasMemoryFor) {
  wire::BlockPool pool{2 * wire::BlockPool::kMedium};
  SliceQueue q;
  const std::string much(5 * wire::BlockPool::kMedium, 'x');
  EXPECT_EQ(q.append_copy(bytes_of(much), pool), 2 * wire::BlockPool::kMedium);
  EXPECT_EQ(q.size(), 2 * wire::BlockPool::kMedium);
}

// A large block where it may be had and is mostly filled; else medium ones take the text all the same.
TEST(SliceQueue, TakesALargeBlockForALargeWriteOrMediumOnes) {
  constexpr std::uint32_t kMedium = wire::BlockPool::kMedium, kLarge = wire::BlockPool::kLarge;
  const std::string large(kLarge - 500, 'x'), rest(kMedium - 500, 'y');
  wire::BlockPool pool, little{4 * kMedium};
  SliceQueue q, poor;
  EXPECT_EQ(q.append_copy(bytes_of(large), pool, SliceQueue::Blocks::kLarge), large.size());
  EXPECT_EQ(pool.bytes_in_use(), kLarge);
  EXPECT_EQ(q.append_copy(bytes_of(std::string(500, 'z')), pool, SliceQueue::Blocks::kLarge), 500u);
  EXPECT_EQ(q.append_copy(bytes_of(rest), pool, SliceQueue::Blocks::kLarge), rest.size());
  EXPECT_EQ(pool.bytes_in_use(), kLarge + kMedium);
  EXPECT_EQ(poor.append_copy(bytes_of(large), little, SliceQueue::Blocks::kLarge), 4 * kMedium);
  EXPECT_EQ(little.bytes_in_use(), 4 * kMedium);
}

// Attack D3 in order: whatever part of whatever block is new, `size()` bounds the blocks.
TEST(SliceQueue, D3_SmallSlicesHoldNoBlocksOfTheirOwn) {
  const std::uint32_t blocks[] = {wire::BlockPool::kSmall, wire::BlockPool::kMedium, wire::BlockPool::kLarge};
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    wire::BlockPool pool;
    SliceQueue q;
    for (int i = 0; i < 2000; ++i) {
      // The new part of a packet: its end, or some of the middle, or as some of what is kept in a shared
      // block.
      const std::uint32_t capacity = blocks[random.below(seed % 4 == 0 ? 3 : 1)];
      const wire::Slice packet = pool.copy(bytes_of(std::string(1 + random.below(capacity), 'x')));
      const std::uint32_t most = 1 + random.below(seed % 3 == 0 ? capacity : 8);
      const std::uint32_t n = std::min(most, packet.size());
      EXPECT_EQ(q.append(packet.sub(random.below(packet.size() - n + 1), n), pool), n);
      ASSERT_LE(pool.bytes_in_use() - packet.memory(), 8 * q.size() + wire::BlockPool::kLarge);
    }
    const std::uint32_t held = q.size();
    q.drop_front(held - 1);
    EXPECT_LE(pool.blocks_in_use(), 1u);
  }
}

// The worst that the peer can do: a large slice ends the block that small ones are copied to.
TEST(SliceQueue, D3_SmallAndLargeByTurns) {
  wire::BlockPool pool;
  SliceQueue q;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(q.append(pool.copy(bytes_of("x")), pool), 1u);
    EXPECT_EQ(q.append(pool.copy(bytes_of(std::string(512, 'y'))), pool), 512u);
  }
  EXPECT_LE(pool.bytes_in_use(), 8 * q.size() + wire::BlockPool::kSmall);
}

// What a peer's small segments hold before they are copied together, and behind it.
TEST(SliceQueue, WhatContinuesTheLastSliceMakesItLonger) {
  wire::BlockPool pool;
  const wire::Slice whole = pool.copy(bytes_of(std::string(6000, 'a') + std::string(6000, 'b')));
  SliceQueue q;
  for (std::uint32_t at = 0; at < 12'000; at += 1000)
    EXPECT_EQ(q.append(whole.sub(at, 1000), pool, SliceQueue::Small::kWait), 1000u);
  EXPECT_EQ(pool.blocks_in_use(), 1u) << "no copy";
  EXPECT_EQ(q.memory(), wire::BlockPool::kMedium);
  wire::Frame frame;
  EXPECT_EQ(q.share(0, 12'000, frame), 12'000u);
  EXPECT_EQ(frame.slice_count, 1);
  EXPECT_EQ(read_all(q), std::string(6000, 'a') + std::string(6000, 'b'));
}

TEST(SliceQueue, WhatIsSmallWaitsForWhatContinuesItAsTheLastAtMost) {
  wire::BlockPool pool;
  SliceQueue q;
  for (int i = 0; i < 50; ++i) {
    const wire::Slice whole = pool.copy(bytes_of(std::string(12'000, static_cast<char>('a' + i % 26))));
    EXPECT_EQ(q.append(whole.sub(500, 100), pool, SliceQueue::Small::kWait), 100u);
    EXPECT_EQ(q.append(whole.sub(900, 100), pool, SliceQueue::Small::kWait), 100u);
    EXPECT_LE(q.memory(), q.size() * 8 + q.memory_at_ends());
  }
  EXPECT_EQ(q.append_copy(bytes_of("x"), pool), 1u);
  EXPECT_LE(q.memory(), q.size() * 8);
  EXPECT_EQ(q.size(), 10'001u);
  const std::string all = read_all(q);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(all.substr(static_cast<std::size_t>(i) * 200, 200),
              std::string(200, static_cast<char>('a' + i % 26)));
  EXPECT_EQ(pool.bytes_in_use(), 0u);
}

TEST(SliceQueue, CollapsingLeavesNoSparseBlocksAndTheSameText) {
  for (const std::uint32_t size : {520u, 600u, 1000u}) {
    SCOPED_TRACE(size);
    wire::BlockPool pool;
    SliceQueue q;
    std::string all;
    for (int i = 0; i < 100; ++i) {
      const std::string piece(size, static_cast<char>('a' + i % 26));
      EXPECT_EQ(q.append(pool.copy(bytes_of(piece)), pool), size);
      all += piece;
    }
    EXPECT_EQ(q.memory(), 100u * wire::BlockPool::kSmall);
    q.drop_front(size / 2);
    all.erase(0, size / 2);
    EXPECT_GT(q.collapse(pool), 60u);
    EXPECT_LE(q.memory(), all.size() + wire::BlockPool::kMedium);
    EXPECT_EQ(q.memory(), pool.bytes_in_use());
    EXPECT_EQ(q.collapse(pool), 0u) << "there is nothing left to do";
    std::string out(all.size(), '\0');
    const MutableBytes into = std::as_writable_bytes(std::span{out});
    EXPECT_EQ(q.read(std::span{&into, 1}), all.size());
    EXPECT_EQ(out, all);
  }
}

TEST(SliceQueue, CollapsingWithoutMemoryKeepsWhatThereIs) {
  wire::BlockPool pool{10 * wire::BlockPool::kSmall};
  SliceQueue q;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(q.append(pool.copy(bytes_of(std::string(520, 'x'))), pool), 520u);
  EXPECT_EQ(q.collapse(pool), 0u);
  EXPECT_EQ(q.size(), 5200u);
  EXPECT_EQ(q.memory(), pool.bytes_in_use());
}

TEST(SliceQueue, RandomOperationsAgainstAString) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    wire::BlockPool pool;
    SliceQueue q;
    std::string model;
    for (int step = 0; step < 2000; ++step) {
      const std::uint32_t what = random.below(5);
      if (random.below(20) == 0) (void)q.collapse(pool);
      if (what <= 1) {
        std::string more(1 + random.below(what == 0 ? 50 : 5000), '\0');
        for (char& c : more) c = static_cast<char>(random.below(256));
        if (what == 0) {
          EXPECT_EQ(q.append_copy(bytes_of(more), pool), more.size());
        } else {
          more.resize(std::min<std::size_t>(more.size(), 2000));
          EXPECT_EQ(q.append(pool.copy(bytes_of(more)), pool), more.size());
        }
        model += more;
      } else if (what == 2 && !model.empty()) {
        const std::uint32_t n = random.below(static_cast<std::uint32_t>(model.size()) + 1);
        q.drop_front(n);
        model.erase(0, n);
      } else if (what == 3) {
        std::array<std::byte, 700> a;
        std::array<std::byte, 300> b;
        const std::array<MutableBytes, 2> into{MutableBytes{a}, MutableBytes{b}};
        const std::uint32_t n = q.read(into);
        ASSERT_EQ(n, std::min<std::size_t>(1000, model.size()));
        ASSERT_EQ(std::memcmp(a.data(), model.data(), std::min<std::size_t>(n, 700)), 0);
        if (n > 700) {
          ASSERT_EQ(std::memcmp(b.data(), model.data() + 700, n - 700), 0);
        }
        model.erase(0, n);
      } else if (!model.empty()) {
        const std::uint32_t offset = random.below(static_cast<std::uint32_t>(model.size()));
        const std::uint32_t want = 1 + random.below(static_cast<std::uint32_t>(model.size()) - offset);
        wire::Frame frame;
        const std::uint32_t n = q.share(offset, want, frame);
        ASSERT_GT(n, 0u);
        ASSERT_TRUE(n == want || frame.full());
        ASSERT_EQ(contents(frame), model.substr(offset, n));
      }
      ASSERT_EQ(q.size(), model.size());
      ASSERT_EQ(q.memory(), pool.bytes_in_use());
    }
    q.clear();
    EXPECT_EQ(pool.bytes_in_use(), 0u);
  }
}

}  // namespace
}  // namespace synfin::tcp
