// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/reassembly.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin::tcp {
namespace {

using wire::SeqNum;

class ReassemblyTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  SeqNum at(std::uint32_t offset) const { return SeqNum{GetParam()} + offset; }
  wire::Slice text(const std::string& s) { return pool_.copy(std::as_bytes(std::span{s})); }
  std::string drain(Reassembly& r, std::uint32_t from) {
    std::string out;
    while (auto s = r.take(at(from + static_cast<std::uint32_t>(out.size())))) {
      out.append(reinterpret_cast<const char*>(s->data()), s->size());
    }
    return out;
  }
  static constexpr std::uint32_t kBuffer = 1 << 20;
  wire::BlockPool pool_;
};
INSTANTIATE_TEST_SUITE_P(Numbers, ReassemblyTest, testing::Values(0u, 0xffff'fff0u, 0x7fff'fff8u));

TEST_P(ReassemblyTest, GivesAPieceOnceTheHoleBeforeItIsFilled) {
  Reassembly r{at(0), kBuffer};
  EXPECT_TRUE(r.insert(at(5), text("world"), pool_));
  EXPECT_FALSE(r.take(at(0)).has_value());
  EXPECT_EQ(r.octets(), 5u);
  EXPECT_EQ(drain(r, 5), "world");
  EXPECT_TRUE(r.empty());
}

TEST_P(ReassemblyTest, WhatIsStaleByThenIsCutOff) {
  Reassembly r{at(0), kBuffer};
  EXPECT_TRUE(r.insert(at(5), text("abcdef"), pool_));
  EXPECT_EQ(drain(r, 8), "def");
  EXPECT_TRUE(r.empty());
  EXPECT_EQ(r.octets(), 0u);
}

TEST_P(ReassemblyTest, TheFirstCopyOfAnOctetStays) {
  Reassembly r{at(0), kBuffer};
  EXPECT_TRUE(r.insert(at(4), text("1111"), pool_));
  EXPECT_TRUE(r.insert(at(2), text("22222222"), pool_));
  EXPECT_FALSE(r.insert(at(3), text("333"), pool_));
  EXPECT_EQ(drain(r, 2), "22111122");
}

TEST_P(ReassemblyTest, SackBlocksNameTheNewestFirst) {
  Reassembly r{at(0), kBuffer};
  (void)r.insert(at(10), text("aa"), pool_);
  (void)r.insert(at(20), text("bb"), pool_);
  (void)r.insert(at(30), text("cc"), pool_);
  (void)r.insert(at(22), text("bb"), pool_);
  std::array<wire::SackBlock, 4> blocks;
  ASSERT_EQ(r.sack_blocks(blocks), 3u);
  EXPECT_EQ(blocks[0], (wire::SackBlock{at(20), at(24)}));
  EXPECT_EQ(blocks[1], (wire::SackBlock{at(10), at(12)}));
  EXPECT_EQ(blocks[2], (wire::SackBlock{at(30), at(32)}));
  EXPECT_EQ(r.sack_blocks(std::span{blocks}.first(1)), 1u);
}

// Every pair of pieces in a space of 8 octets, against an array of the octets that came first.
TEST_P(ReassemblyTest, EveryOverlapOfThreePiecesAgainstANaiveModel) {
  constexpr std::uint32_t kSpace = 6;
  struct Piece {
    std::uint32_t begin, size;
  };
  std::vector<Piece> all;
  for (std::uint32_t b = 1; b < kSpace; ++b) {
    for (std::uint32_t n = 1; b + n <= kSpace; ++n) all.push_back({b, n});
  }
  for (const Piece& x : all) {
    for (const Piece& y : all) {
      for (const Piece& z : all) {
        Reassembly r{at(0), kBuffer};
        std::string model(kSpace, '.');
        char mark = 'x';
        for (const Piece& p : {x, y, z}) {
          std::uint32_t fresh = 0;
          for (std::uint32_t i = p.begin; i < p.begin + p.size; ++i) {
            if (model[i] == '.') {
              model[i] = mark;
              ++fresh;
            }
          }
          EXPECT_EQ(r.insert(at(p.begin), text(std::string(p.size, mark)), pool_), fresh > 0);
          ++mark;
        }
        std::uint32_t octets = 0;
        for (const char c : model) octets += c != '.' ? 1 : 0;
        EXPECT_EQ(r.octets(), octets);
        const std::size_t first = model.find_first_not_of('.');
        EXPECT_EQ(drain(r, static_cast<std::uint32_t>(first)),
                  model.substr(first, model.find('.', first) - first));
      }
    }
  }
}

TEST_P(ReassemblyTest, CrumbsShareBlocksAndKeepTheirText) {
  Reassembly r{at(0), kBuffer};
  std::string expected;
  for (std::uint32_t i = 0; i < 200; ++i) {
    // Now and then a piece that is larger than the block of the others.
    const std::string piece(i % 50 == 49 ? 3000 : 10, static_cast<char>('a' + i % 26));
    EXPECT_TRUE(r.insert(at(1 + static_cast<std::uint32_t>(expected.size())), text(piece), pool_));
    expected += piece;
  }
  EXPECT_LE(pool_.blocks_in_use(), 10u);
  EXPECT_LE(r.pieces(), 10u);
  EXPECT_EQ(drain(r, 1), expected);
}

// Attack D3 (CVE-2018-5390, CVE-2018-6922), octet by octet: every other one, so that each is a piece.
TEST_P(ReassemblyTest, D3_CrumbsAreBoundedByTheBuffer) {
  for (const std::uint32_t buffer : {2048u, 65'536u, 1u << 20}) {
    Reassembly r{at(0), buffer};
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < buffer / 2; ++i) kept += r.insert(at(1 + 2 * i), text("x"), pool_) ? 1 : 0;
    EXPECT_EQ(kept, std::min(buffer / 2, Reassembly::most_pieces(buffer)));
    EXPECT_EQ(r.octets(), kept);
    EXPECT_LE(pool_.bytes_in_use(), 8 * r.octets() + wire::BlockPool::kSmall);
    EXPECT_EQ(drain(r, 1), "x");
  }
}

// The same towards the hole, so that they join, and each asks for SACK blocks: neither is walked through.
TEST_P(ReassemblyTest, D3_NothingIsWalkedThrough) {
  constexpr std::uint32_t kPieces = 1000;
  Reassembly r{at(0), kBuffer};
  std::array<wire::SackBlock, 4> blocks;
  for (std::uint32_t i = kPieces; i > 0; --i) {
    const std::uint64_t before = r.visits();
    ASSERT_TRUE(r.insert(at(i), text("x"), pool_));
    ASSERT_EQ(r.sack_blocks(blocks), 1u);
    ASSERT_EQ(blocks[0], (wire::SackBlock{at(i), at(kPieces + 1)}));
    ASSERT_LE(r.visits() - before, 8u) << i;
  }
  // All of it again, in one segment and one by one.
  const std::uint64_t before = r.visits();
  EXPECT_FALSE(r.insert(at(1), text(std::string(kPieces, 'y')), pool_));
  for (std::uint32_t i = 1; i <= kPieces; ++i) {
    EXPECT_EQ(r.touch_duplicate(at(i), 1), (wire::SackBlock{at(i), at(i + 1)}));
    EXPECT_FALSE(r.insert(at(i), text("y"), pool_));
  }
  EXPECT_LE(r.visits() - before, 8u * (kPieces + 1));
  EXPECT_EQ(drain(r, 1), std::string(kPieces, 'x'));
}

// Full-sized segments of which one octet is new each, and the block around it was to be kept for that.
TEST_P(ReassemblyTest, D3_OverlapsHoldNoBlocks) {
  Reassembly r{at(0), kBuffer};
  for (const std::size_t size : {1460u, 2049u, 8948u, 60'000u}) {
    for (std::uint32_t i = 0; i < 100; ++i) (void)r.insert(at(1 + i), text(std::string(size, 'x')), pool_);
  }
  EXPECT_GE(r.octets(), 60'000u);
  EXPECT_LE(pool_.bytes_in_use(), 8 * r.octets());
  // Duplicates are not copied first.
  const std::uint64_t blocks = pool_.blocks_in_use();
  for (std::uint32_t i = 0; i < 10'000; ++i) EXPECT_FALSE(r.insert(at(1 + i), text("y"), pool_));
  EXPECT_EQ(pool_.blocks_in_use(), blocks);
}

// Of each block of small pieces one stays and the others are delivered: what is left is bounded all the same.
TEST_P(ReassemblyTest, D3_BlocksAreNotHeldByTheirLastCrumb) {
  constexpr std::uint32_t kSmallBuffer = 65'536;
  Reassembly r{at(0), kSmallBuffer};
  std::uint32_t next = 0;
  for (std::uint32_t round = 0; round < 200; ++round) {
    (void)r.insert(at(next + 40'000 + round), text("z"), pool_);
    for (std::uint32_t i = 0; i < 60; ++i)
      (void)r.insert(at(next + 1 + 40 * i), text(std::string(39, 'x')), pool_);
    for (std::uint32_t i = 0; i < 60; ++i, next += 40) (void)drain(r, next + 1);
  }
  EXPECT_LE(pool_.bytes_in_use(),
            8 * r.octets() + Reassembly::most_pieces(kSmallBuffer) * wire::BlockPool::kSmall);
}

// "all SACK blocks MUST NOT report any old data which is no longer actually held by the receiver"  (RFC 2018
// §8)
TEST_P(ReassemblyTest, PruningTakesTheHighestNumbersAndTheirSackBlocks) {
  Reassembly r{at(0), kBuffer};
  for (std::uint32_t i = 1; i <= 10; ++i)
    EXPECT_TRUE(r.insert(at(2000 * i), text(std::string(1000, static_cast<char>('a' + i))), pool_));
  EXPECT_TRUE(r.insert(at(7000), text(std::string(1000, 'x')), pool_));  // 6000 to 9000 is one run
  EXPECT_EQ(r.memory(), pool_.bytes_in_use());
  // One of 1,000 octets lies in the block of its neighbour.
  EXPECT_EQ(pool_.blocks_in_use(), 10u);
  EXPECT_EQ(r.prune(r.memory()), 0u);
  EXPECT_EQ(r.prune(3 * wire::BlockPool::kSmall), 7u);
  EXPECT_EQ(r.memory(), pool_.bytes_in_use());
  EXPECT_EQ(r.octets(), 4000u);
  std::array<wire::SackBlock, 4> blocks;
  ASSERT_EQ(r.sack_blocks(blocks), 3u);
  EXPECT_EQ(blocks[0].left, at(6000)) << "the newest that is left";
  EXPECT_EQ(blocks[0].right, at(8000));
  EXPECT_EQ(drain(r, 6000), std::string(1000, 'd') + std::string(1000, 'x'));
  EXPECT_TRUE(r.insert(at(8000), text(std::string(1000, 'e')), pool_)) << "what went can come again";
  EXPECT_EQ(drain(r, 8000), std::string(1000, 'e'));
  EXPECT_TRUE(r.empty());
}

TEST_P(ReassemblyTest, RandomPiecesComeOutWhole) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    std::string stream(2000, '\0');
    for (char& c : stream) c = static_cast<char>('a' + random.below(26));
    Reassembly r{at(0), kBuffer};
    std::string out;
    while (out.size() < stream.size()) {
      const auto next = static_cast<std::uint32_t>(out.size());
      const std::uint32_t begin =
          next + random.below(std::min<std::uint32_t>(200, static_cast<std::uint32_t>(stream.size()) - next));
      const std::uint32_t size = 1 + random.below(100);
      (void)r.insert(at(begin), text(stream.substr(begin, size)), pool_);
      ASSERT_LE(pool_.bytes_in_use(), 8 * r.octets() + (r.pieces() + 1) * wire::BlockPool::kSmall);
      ASSERT_GE(r.memory(), pool_.bytes_in_use());
      if (random.below(10) == 0) {
        const std::uint64_t most = random.below(4) * wire::BlockPool::kSmall;
        (void)r.prune(most);
        ASSERT_TRUE(r.memory() <= most || r.empty());
      }
      out += drain(r, next);
    }
    EXPECT_EQ(out, stream);
  }
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
}

}  // namespace
}  // namespace synfin::tcp
