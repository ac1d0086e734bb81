// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/rack.h"

#include <gtest/gtest.h>

#include <vector>

namespace synfin::tcp {
namespace {

using namespace synfin::literals;
using wire::SeqNum;

class Rfc8985 : public testing::Test {
 protected:
  static Instant at(Duration d) { return Instant::from_ns(1'000'000'000) + d; }
  void sends(std::uint32_t n, Duration when) {
    for (std::uint32_t i = 0; i < n; ++i, next_ += 1000)
      ASSERT_TRUE(board_.push(next_, 1000, false, at(when)));
  }
  void sacked(std::uint32_t i, Duration when) {
    board_.sack(board_[i].start, board_[i].end(),
                [&](const SentSegment& s) { rack_.delivered(s, at(when), std::nullopt, 10_ms); });
  }
  std::vector<std::uint32_t> lost(Duration window, Duration when, std::optional<Duration>* wait = nullptr) {
    std::vector<std::uint32_t> places;
    const auto w = rack_.detect(board_, window, at(when), [&](std::uint32_t i) { places.push_back(i); });
    if (wait != nullptr) *wait = w;
    return places;
  }
  Scoreboard board_;
  Rack rack_;
  SeqNum next_{0xffff'f800};
};

TEST_F(Rfc8985, NothingDeliveredNothingLost_6_2) {
  sends(3, 0_ms);
  EXPECT_TRUE(lost(0_ms, 1000_ms).empty());
}

TEST_F(Rfc8985, WhatWasSentBeforeIsLostBehindTheWindow_6_2) {
  sends(4, 0_ms);
  sacked(3, 100_ms);
  std::optional<Duration> wait;
  EXPECT_TRUE(lost(25_ms, 100_ms, &wait).empty());
  EXPECT_EQ(wait, 25_ms);
  EXPECT_EQ(lost(25_ms, 125_ms, &wait), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_FALSE(wait);
}

TEST_F(Rfc8985, WhatWasSentLaterIsNot_6_2) {
  sends(2, 0_ms);
  sends(2, 10_ms);
  sacked(1, 100_ms);
  EXPECT_EQ(lost(0_ms, 100_ms), (std::vector<std::uint32_t>{0}));
}

// "RACK can detect … lost retransmissions": they are judged by when they were sent.
TEST_F(Rfc8985, ARetransmissionCanBeLost_6_2) {
  sends(4, 0_ms);
  sacked(3, 100_ms);
  EXPECT_EQ(lost(0_ms, 100_ms).size(), 3u);
  board_.mark_retransmitted(0, at(100_ms));
  board_.mark_retransmitted(1, at(101_ms));
  board_.mark_retransmitted(2, at(102_ms));
  EXPECT_TRUE(lost(0_ms, 150_ms).empty());
  sacked(2, 202_ms);
  EXPECT_EQ(lost(0_ms, 202_ms), (std::vector<std::uint32_t>{0, 1}));
}

// Step 2: an acknowledgement sooner than the least round trip is for the first transmission.
TEST_F(Rfc8985, AnAmbiguousAcknowledgementDoesNotCount_6_2) {
  sends(3, 0_ms);
  board_.mark_lost(2);
  board_.mark_retransmitted(2, at(90_ms));
  sacked(2, 95_ms);
  EXPECT_TRUE(lost(0_ms, 95_ms).empty());
}

TEST_F(Rfc8985, TheWindowIsZeroUntilReorderingIsSeen_6_2) {
  Reordering r;
  EXPECT_EQ(Rack::window(r, true, 100_ms, 120_ms), 0_ms);
  EXPECT_EQ(Rack::window(r, false, 100_ms, 120_ms), 25_ms);
  r.note(5);
  EXPECT_EQ(r.degree, 5);
  EXPECT_EQ(Rack::window(r, true, 100_ms, 120_ms), 25_ms);
}

TEST_F(Rfc8985, DsacksWidenTheWindowUpToTheRoundTrip_6_2) {
  Reordering r;
  r.note(4);
  r.widen();
  EXPECT_EQ(Rack::window(r, true, 100_ms, 120_ms), 50_ms);
  for (int i = 0; i < 1000; ++i) r.widen();
  EXPECT_EQ(Rack::window(r, true, 100_ms, 120_ms), 120_ms);
  for (int i = 0; i < Reordering::kPersist; ++i) r.recovery_ended();
  EXPECT_EQ(Rack::window(r, true, 100_ms, 120_ms), 25_ms);
  EXPECT_TRUE(rack_.new_dsack_round(SeqNum{0}, SeqNum{1000}));
  EXPECT_FALSE(rack_.new_dsack_round(SeqNum{500}, SeqNum{2000}));
  EXPECT_TRUE(rack_.new_dsack_round(SeqNum{1000}, SeqNum{3000}));
}

// §6.3.
TEST_F(Rfc8985, ATimeoutTakesWhatWasSentLatelyForAlive_6_3) {
  sends(2, 0_ms);
  sends(1, 95_ms);
  sacked(1, 100_ms);
  EXPECT_TRUE(rack_.lost_on_timeout(board_[0], 0_ms, at(120_ms)));
  EXPECT_FALSE(rack_.lost_on_timeout(board_[2], 0_ms, at(120_ms)));
}

}  // namespace
}  // namespace synfin::tcp
