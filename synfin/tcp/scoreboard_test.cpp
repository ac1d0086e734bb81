// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/scoreboard.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin::tcp {
namespace {

using wire::SeqNum;

constexpr std::uint32_t kBoardMss = 1000;

Instant at(std::int64_t ms) {
  return Instant::from_ns(ms * 1'000'000);
}

// The numbers wrap for the second parameter.
class Rfc6675 : public testing::TestWithParam<std::uint32_t> {
 protected:
  SeqNum seq(std::uint32_t octets) const { return SeqNum{GetParam()} + octets; }
  void sends(std::uint32_t segments, std::int64_t ms = 0) {
    for (std::uint32_t i = 0; i < segments; ++i) {
      ASSERT_TRUE(board_.push(seq(next_), kBoardMss, false, at(ms)));
      next_ += kBoardMss;
    }
  }
  std::uint32_t sacks(std::uint32_t from, std::uint32_t to) {
    std::uint32_t n = 0;
    board_.sack(seq(from), seq(to), [&](const SentSegment&) { ++n; });
    return n;
  }
  std::uint32_t acks(std::uint32_t to) {
    std::uint32_t n = 0;
    board_.acknowledge(seq(to), [&](const SentSegment&) { ++n; });
    return n;
  }
  Scoreboard board_;
  std::uint32_t next_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Numbers, Rfc6675, testing::Values(1000u, 0xffff'f000u));

TEST_P(Rfc6675, UpdateMarksWhatABlockCovers_4) {
  sends(10);
  EXPECT_EQ(sacks(3000, 5000), 2u);
  EXPECT_EQ(sacks(3000, 6000), 1u);  // only what is new
  EXPECT_EQ(board_.sacked(), 3u);
  EXPECT_TRUE(board_[3].sacked && board_[4].sacked && board_[5].sacked);
  EXPECT_FALSE(board_[2].sacked || board_[6].sacked);
}

// RFC 2018 §4 lets blocks begin and end anywhere; a part of a segment is not taken for all of it.
TEST_P(Rfc6675, APartOfASegmentSaysNothing_4) {
  sends(4);
  EXPECT_EQ(sacks(3999, 4000), 0u);
  EXPECT_EQ(sacks(1500, 3500), 1u);
  EXPECT_TRUE(board_[2].sacked);
}

TEST_P(Rfc6675, PipeLeavesOutWhatIsSackedOrLost_4) {
  sends(10);
  EXPECT_EQ(board_.pipe(), 10 * kBoardMss);
  sacks(5000, 8000);
  EXPECT_EQ(board_.pipe(), 7 * kBoardMss);
  board_.mark_lost(0);
  board_.mark_lost(1);
  EXPECT_EQ(board_.pipe(), 5 * kBoardMss);
  board_.mark_retransmitted(0, at(1));
  EXPECT_EQ(board_.pipe(), 6 * kBoardMss);
  board_.mark_lost(0);  // the retransmission too
  EXPECT_EQ(board_.pipe(), 5 * kBoardMss);
  EXPECT_EQ(board_.lost(), 2u);
}

TEST_P(Rfc6675, NextSegIsTheFirstThatIsLost_5) {
  sends(10);
  EXPECT_FALSE(board_.next_lost());
  board_.mark_lost(4);
  board_.mark_lost(2);
  EXPECT_EQ(board_.next_lost(), 2u);
  board_.mark_retransmitted(2, at(1));
  EXPECT_EQ(board_.next_lost(), 4u);
  board_.mark_retransmitted(4, at(1));
  EXPECT_FALSE(board_.next_lost());
  board_.mark_lost(2);
  EXPECT_EQ(board_.next_lost(), 2u);
  sacks(2000, 3000);
  EXPECT_FALSE(board_.next_lost());
}

TEST_P(Rfc6675, AcknowledgementTrimsASegment_3) {
  sends(4);
  EXPECT_EQ(acks(1500), 1u);
  EXPECT_EQ(board_.size(), 3u);
  EXPECT_EQ(board_[0].start, seq(1500));
  EXPECT_EQ(board_.octets(), 2500u);
  EXPECT_EQ(board_.pipe(), 2500u);
  EXPECT_EQ(acks(4000), 3u);
  EXPECT_TRUE(board_.empty());
  EXPECT_EQ(board_.pipe(), 0u);
}

// RFC 2018 §8.
TEST_P(Rfc6675, SacksCanBeForgotten) {
  sends(5);
  sacks(2000, 4000);
  board_.forget_sacks();
  EXPECT_EQ(board_.sacked(), 0u);
  EXPECT_EQ(board_.pipe(), 5 * kBoardMss);
  EXPECT_EQ(sacks(2000, 4000), 2u);
}

TEST_P(Rfc6675, ASmallerSegmentSizeCutsWhatIsInFlight) {
  sends(4);
  sacks(1000, 2000);
  ASSERT_TRUE(board_.cut(400));
  EXPECT_EQ(board_.size(), 12u);
  EXPECT_EQ(board_.octets(), 4 * kBoardMss);
  EXPECT_EQ(board_.sacked(), 3u);
  EXPECT_EQ(board_.lost(), 9u);
  EXPECT_EQ(board_.pipe(), 0u);
  SeqNum expected = seq(0);
  for (std::uint32_t i = 0; i < board_.size(); ++i) {
    EXPECT_EQ(board_[i].start, expected);
    expected = board_[i].end();
  }
  EXPECT_EQ(expected, seq(4000));
}

TEST_P(Rfc6675, TheOrderOfSendingLeavesOutWhatIsSackedOrLost) {
  sends(5);
  board_.mark_lost(0);
  board_.mark_retransmitted(0, at(7));
  sacks(2000, 3000);
  board_.mark_lost(3);
  std::vector<std::uint32_t> order;
  for (auto i = board_.oldest(); i; i = board_.sent_behind(*i)) order.push_back(*i);
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 4, 0}));
}

// Against a model that is too simple to be wrong, over growth, wrapping and every operation.
TEST(Scoreboard, AgreesWithAModel) {
  struct Model {
    std::uint32_t start, end;
    bool sacked = false, lost = false, resent = false;
  };
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    const SeqNum origin{seed % 2 == 0 ? 0xffff'0000u : 5u};
    Scoreboard board;
    std::vector<Model> model;
    std::uint32_t next = 0, now = 0;
    for (int step = 0; step < 400; ++step, ++now) {
      switch (below(7)) {
        case 0:
        case 1:
          for (std::uint32_t n = below(9); n > 0; --n) {
            const std::uint32_t length = 1 + below(1000);
            ASSERT_TRUE(board.push(origin + next, static_cast<std::uint16_t>(length), false, at(now)));
            model.push_back({next, next + length});
            next += length;
          }
          break;
        case 2: {
          const std::uint32_t from = below(next + 1), to = from + below(4000);
          board.sack(origin + from, origin + to, [](const SentSegment&) {});
          for (Model& m : model) {
            if (m.start >= from && m.end <= to) m = {m.start, m.end, true};
          }
          break;
        }
        case 3:
          if (!model.empty()) {
            const std::uint32_t i = below(static_cast<std::uint32_t>(model.size()));
            board.mark_lost(i);
            if (!model[i].sacked) model[i].lost = true, model[i].resent = false;
          }
          break;
        case 4:
          if (const auto i = board.next_lost()) {
            board.mark_retransmitted(*i, at(now));
            model[*i].resent = true;
          }
          break;
        case 6:
          if (!model.empty() && model.front().end - model.front().start > 1) {
            const std::uint32_t octets = 1 + below(model.front().end - model.front().start - 1);
            ASSERT_TRUE(board.split_first(octets));
            model.insert(model.begin(), model.front());
            model[0].end = model[1].start = model[0].start + octets;
          }
          break;
        case 5: {
          const std::uint32_t low = model.empty() ? next : model.front().start;
          const std::uint32_t to = low + below(std::min(next - low, 3000u) + 1);
          board.acknowledge(origin + to, [](const SentSegment&) {});
          std::erase_if(model, [&](const Model& m) { return m.end <= to; });
          if (!model.empty()) model.front().start = std::max(model.front().start, to);
          break;
        }
      }
      std::uint32_t pipe = 0, sacked = 0, lost = 0, resent = 0;
      ASSERT_EQ(board.size(), model.size()) << "seed " << seed;
      std::optional<std::uint32_t> next_lost;
      std::set<std::uint32_t> in_network;
      for (std::uint32_t i = 0; i < model.size(); ++i) {
        const Model& m = model[i];
        ASSERT_EQ(board[i].start, origin + m.start) << "seed " << seed;
        ASSERT_EQ(board[i].sacked, m.sacked) << "seed " << seed;
        ASSERT_EQ(board[i].lost, m.lost) << "seed " << seed;
        ASSERT_EQ(board[i].retransmitted, m.resent) << "seed " << seed;
        sacked += m.sacked;
        lost += m.lost;
        resent += m.resent;
        if (!m.sacked && (!m.lost || m.resent)) {
          pipe += m.end - m.start;
          in_network.insert(i);
        }
        if (m.lost && !m.resent && !next_lost) next_lost = i;
      }
      ASSERT_EQ(board.pipe(), pipe) << "seed " << seed;
      ASSERT_EQ(board.sacked(), sacked) << "seed " << seed;
      ASSERT_EQ(board.lost(), lost) << "seed " << seed;
      ASSERT_EQ(board.retransmitted(), resent) << "seed " << seed;
      ASSERT_EQ(board.next_lost(), next_lost) << "seed " << seed;
      Instant last;
      for (auto i = board.oldest(); i; i = board.sent_behind(*i)) {
        ASSERT_GE(board[*i].sent_at, last) << "seed " << seed;
        last = board[*i].sent_at;
        ASSERT_EQ(in_network.erase(*i), 1u) << "seed " << seed;
      }
      ASSERT_TRUE(in_network.empty()) << "seed " << seed;
    }
  }
}

// Attacks D4 and D5 (CVE-2019-11477, -11478): however the blocks are cut, an acknowledgement pays for what is
// new. 32,000 segments, each sacked alone from the far end on, then a hundred thousand blocks over them all.
TEST(Scoreboard, D4_RepeatedBlocksCostNothing) {
  Scoreboard board;
  constexpr std::uint32_t kSegments = 32'000, kBlocks = 100'000;
  for (std::uint32_t i = 0; i < kSegments; ++i) ASSERT_TRUE(board.push(SeqNum{i * 8}, 8, false, {}));
  std::uint32_t calls = 0;
  const auto count = [&](const SentSegment&) { ++calls; };
  for (std::uint32_t i = kSegments; i-- > 1;) board.sack(SeqNum{i * 8}, SeqNum{i * 8 + 8}, count);
  EXPECT_EQ(calls, kSegments - 1);
  for (std::uint32_t i = 0; i < kBlocks; ++i) board.sack(SeqNum{8 + i % 64}, SeqNum{kSegments * 8}, count);
  EXPECT_EQ(calls, kSegments - 1);
  EXPECT_EQ(board.pipe(), 8u);
  EXPECT_EQ(board.sacked(), kSegments - 1);
  EXPECT_LE(board.visits(), 4 * (kSegments + kBlocks));
}

// D5, the slow walk: blocks of any size anywhere, over holes that others have left.
TEST(Scoreboard, D5_RandomBlocksPayForWhatIsNew) {
  constexpr std::uint32_t kSegments = 32'000, kBlocks = 50'000;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Scoreboard board;
    SeededEntropy random{seed};
    for (std::uint32_t i = 0; i < kSegments; ++i) ASSERT_TRUE(board.push(SeqNum{i * 8}, 8, false, {}));
    std::uint32_t calls = 0;
    for (std::uint32_t i = 0; i < kBlocks; ++i) {
      const std::uint32_t left = random.below(kSegments * 8);
      const std::uint32_t size = random.below(i % 100 == 0 ? kSegments * 2 : 40);
      board.sack(SeqNum{left}, SeqNum{left + size}, [&](const SentSegment&) { ++calls; });
    }
    EXPECT_EQ(calls, board.sacked()) << "seed " << seed;
    EXPECT_LE(board.visits(), 4 * (kSegments + kBlocks)) << "seed " << seed;
  }
}

// What was sent again is lost again, one segment an acknowledgement: what has been sent again behind it is
// not searched each time.
TEST(Scoreboard, D5_OneMoreLossIsNoWalk) {
  constexpr std::uint32_t kSegments = 8000;
  Scoreboard board;
  for (std::uint32_t i = 0; i < kSegments; ++i) ASSERT_TRUE(board.push(SeqNum{i * 8}, 8, false, {}));
  for (std::uint32_t i = 0; i < kSegments; ++i) board.mark_lost(i);
  const auto resend_all = [&] {
    while (const auto i = board.next_lost()) board.mark_retransmitted(*i, {});
  };
  resend_all();
  for (std::uint32_t i = 0; i < kSegments; ++i) {
    board.mark_lost(i);
    resend_all();
  }
  EXPECT_EQ(board.retransmitted(), kSegments);
  EXPECT_LE(board.visits(), 6 * kSegments);
}

TEST(Scoreboard, IsBounded) {
  Scoreboard board;
  std::uint32_t taken = 0;
  while (taken < 100'000 && board.push(SeqNum{taken}, 1, false, {})) ++taken;
  EXPECT_EQ(taken, Scoreboard::kMost);
  Scoreboard at_once;
  EXPECT_EQ(at_once.push_run(SeqNum{0}, 1, 100'000, {}, {}), Scoreboard::kMost);
}

// Several at once must leave the board as one by one does, and tell of the same octets.
TEST(ScoreboardRuns, AreWhatTheirSegmentsAre) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    SeededEntropy random{seed};
    Scoreboard single, runs;
    const SeqNum origin{static_cast<std::uint32_t>(seed * 0x1234'5678)};
    std::uint32_t next = 0, acked = 0, several = 0;
    std::int64_t now = 0;
    for (int step = 0; step < 300; ++step) {
      const auto both = [&](auto f) { f(single), f(runs); };
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2:
          for (std::uint32_t n = random.below(12); n > 0; --n) {
            const auto length = static_cast<std::uint16_t>(1 + random.below(1500));
            both([&](Scoreboard& b) { ASSERT_TRUE(b.push(origin + next, length, false, at(now))); });
            next += length;
          }
          now += random.below(2);
          break;
        case 7: {
          const std::uint32_t n = random.below(60), length = 1 + random.below(1500);
          const auto size = static_cast<std::uint16_t>(length);
          SendMark mark;
          mark.delivered = next;
          const auto mark_of = [&](std::uint32_t i) {
            mark.in_flight = next + (i + 1) * length;
            return mark;
          };
          for (std::uint32_t i = 0; i < n; ++i)
            ASSERT_TRUE(single.push(origin + next + i * length, size, false, at(now), mark_of(i)));
          ASSERT_EQ(runs.push_run(origin + next, size, n, at(now), mark_of(0)), n);
          for (std::uint32_t i = 0; i < n; ++i) {
            const SentSegment &a = single[single.size() - n + i], &b = runs[runs.size() - n + i];
            ASSERT_EQ(a.start, b.start);
            ASSERT_EQ(a.length, b.length);
            ASSERT_EQ(a.sent_at, b.sent_at);
            ASSERT_EQ(a.mark.in_flight, b.mark.in_flight);
            ASSERT_EQ(a.mark.delivered, b.mark.delivered);
          }
          next += n * length;
          break;
        }
        case 3: {
          const std::uint32_t from = acked + random.below(next - acked + 1), size = random.below(4000);
          both(
              [&](Scoreboard& b) { b.sack(origin + from, origin + from + size, [](const SentSegment&) {}); });
          break;
        }
        case 4:
          if (single.size() > 0) {
            const std::uint32_t i = random.below(single.size());
            both([&](Scoreboard& b) { b.mark_lost(i); });
          }
          break;
        case 5:
          if (const auto i = single.next_lost()) {
            ASSERT_EQ(runs.next_lost(), i);
            both([&](Scoreboard& b) { b.mark_retransmitted(*i, at(now)); });
          }
          break;
        case 6: {
          acked += random.below(next - acked + 1);
          std::uint32_t segments[2] = {0, 0}, octets[2] = {0, 0};
          single.acknowledge(origin + acked,
                             [&](const SentSegment& s) { ++segments[0], octets[0] += s.length; });
          runs.acknowledge_runs(
              origin + acked, true, [&](const SentSegment& s) { ++segments[1], octets[1] += s.length; },
              [&](const Scoreboard::Run& r) {
                segments[1] += r.segments, octets[1] += r.octets;
                ASSERT_EQ(r.last.end() - r.first.start, static_cast<std::int32_t>(r.octets));
                ASSERT_EQ(r.first.sent_at, r.last.sent_at);
                ++several;
              });
          ASSERT_EQ(segments[0], segments[1]);
          ASSERT_EQ(octets[0], octets[1]);
          break;
        }
      }
      ASSERT_EQ(single.size(), runs.size());
      ASSERT_EQ(single.octets(), runs.octets());
      ASSERT_EQ(single.pipe(), runs.pipe());
      ASSERT_EQ(single.lost(), runs.lost());
      ASSERT_EQ(single.sacked(), runs.sacked());
      ASSERT_EQ(single.next_lost(), runs.next_lost());
      auto a = single.oldest(), b = runs.oldest();
      for (; a; a = single.sent_behind(*a), b = runs.sent_behind(*b)) ASSERT_EQ(a, b);
      ASSERT_EQ(a, b);
    }
    ASSERT_GT(several, 0u);
  }
}

}  // namespace
}  // namespace synfin::tcp
