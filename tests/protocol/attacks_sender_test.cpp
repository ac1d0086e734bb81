// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, data: what acknowledgements do to a sender's window. Rows D8
// and D22 of the list of attacks, each with a bound on its cost; rows about what its segments cost are in
// attacks_small_segments_test.cpp.
#include <algorithm>
#include <map>

#include "data_attacks.h"

namespace synfin::protocol_test {
namespace {

class SenderAttacks : public DataAttacks {
 protected:
  static constexpr std::uint32_t kMss = 1400;
};
RAW_HOST_SUITE(SenderAttacks);

// D8, CVE-2016-2070: crafted acknowledgements made the reduction of the window divide by zero. Whatever
// comes, the windows stay what they can be, what is sent in answer is bounded, and the data arrives
// afterwards.
TEST_P(SenderAttacks, D8_CraftedAcksLeaveAWorkingWindow) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    constexpr std::uint16_t kSizes[] = {0, 48, 536, 1400};
    stack_.settings().tcp_init_cwnd = seed % 2 == 0 ? 1 : 10;
    const Open c = opens({.mss = kSizes[random.below(4)],
                          .sack = random.below(3) != 0,
                          .timestamps = random.below(2) == 0,
                          .scale = static_cast<std::uint8_t>(random.below(15))},
                         static_cast<std::uint32_t>(seed));
    std::int64_t end = 0, una = 0;
    const std::int64_t initial = status(c).congestion_window;
    for (int step = 0; step < 1500; ++step) {
      if (random.below(8) == 0) (void)writes_all(c, std::string(1 + random.below(20'000), 'x'));
      if (random.below(3) == 0)
        runs_for(Duration::microseconds(random.below(random.below(40) == 0 ? 2'000'000 : 5000)));
      if (state(c.from) != State::kEstablished) break;
      const auto span = static_cast<std::uint32_t>(end - una);
      constexpr std::int64_t kOffs[] = {0, 1, -1, 2};
      const std::int64_t ack = random.below(4) == 0    ? una + random.below(span + 1)
                               : random.below(30) == 0 ? end
                                                       : una + kOffs[random.below(4)];
      TcpHeader h = of(c, static_cast<std::uint8_t>(ACK | (random.below(6) == 0 ? Flags::kEce : 0)), 0, ack);
      h.window = {static_cast<std::uint16_t>(random.below(3) == 0 ? random.below(4) : random.below(65'536))};
      for (std::uint32_t n = random.below(4); n > 0 && c.offered.sack; --n) {
        const std::int64_t left = una + random.below(span + 2000) - 1000;
        h.options.present |= TcpOptions::kSack;
        h.options.sack[h.options.sack_count++] = {
            c.first + static_cast<std::uint32_t>(left),
            c.first + static_cast<std::uint32_t>(left + random.below(4000))};
      }
      end = highest(c, takes(), end);
      const std::int64_t window = status(c).congestion_window;
      gives(c.from, h);
      if (ack > una && ack <= end) una = ack;
      const std::vector<Packet> answers = takes();
      end = highest(c, answers, end);
      const stack::Status s = status(c);
      const std::int64_t mss = s.mss;
      ASSERT_GE(s.congestion_window, mss);
      ASSERT_LE(s.congestion_window, initial + end + 2 * mss) << "no more than can have arrived";
      ASSERT_LE(text_in(answers), std::max<std::int64_t>(window, s.congestion_window) + 2 * mss);
      ASSERT_LE(info(c).lost, info(c).unacked);
      ASSERT_LE(info(c).sacked, info(c).unacked);
    }
    if (state(c.from) == State::kEstablished) delivers_all(c, end);
    EXPECT_EQ(state(c.from), State::kEstablished);
    stack_.abort(c.handle, now_);
    (void)takes();
  }
}

// D22, ACK division (Savage et al. 1999; RFC 3465): an acknowledgement for each octet wins no larger a window
// than one for all of them, and no more segments than the window allows.
TEST_P(SenderAttacks, D22_DividedAcksWinNothing) {
  std::map<std::int64_t, std::uint32_t> windows;
  for (const std::int64_t step : {std::int64_t{14'000}, std::int64_t{1400}, std::int64_t{1}}) {
    const Open c = opens(Offered{}, static_cast<std::uint32_t>(step));
    (void)writes_all(c, std::string(1 << 20, 'x'));
    std::vector<Packet> all = takes();
    ASSERT_EQ(text_in(all), 10 * kMss);
    std::size_t answers = 0;
    for (std::int64_t ack = step; ack <= 10 * kMss; ack += step) {
      acks(c, ack);
      answers += takes().size();
    }
    windows[step] = status(c).congestion_window;
    EXPECT_LE(answers, 20u) << step;
    stack_.abort(c.handle, now_);
    (void)takes();
  }
  EXPECT_LE(windows[1], windows[14'000]);
  EXPECT_LE(windows[1400], windows[14'000]);
  EXPECT_LE(windows[14'000], 20 * kMss);
}

// D22 after a timeout, where an ACK may count for one segment at most: many do not count for more than they
// acknowledge.
TEST_P(SenderAttacks, D22_DividedAcksWinNothingAfterATimeout) {
  const Open c = opens();
  (void)writes_all(c, std::string(1 << 20, 'x'));
  const std::int64_t end = highest(c, takes());
  runs_for(2_s);
  (void)takes();
  ASSERT_EQ(status(c).congestion_window, kMss);
  std::size_t answers = 0;
  for (std::int64_t ack = 1; ack <= end; ++ack) {
    acks(c, ack);
    answers += takes().size();
  }
  EXPECT_LE(status(c).congestion_window, kMss + end);
  EXPECT_LE(answers, 30u) << "what was lost, and a window";
  stack_.abort(c.handle, now_);
}

// D22, optimistic ACKs: what acknowledges the unsent is not taken, and answered a few times at most.
TEST_P(SenderAttacks, D22_AcksOfTheUnsentWinNothing) {
  const Open c = opens();
  (void)writes_all(c, std::string(1 << 20, 'x'));
  const std::int64_t end = highest(c, takes());
  const stack::Status before = status(c);
  std::size_t answers = 0;
  for (int i = 0; i < 1000; ++i) {
    acks(c, end + 1 + std::int64_t{i} * kMss);
    for (const Packet& p : takes()) {
      EXPECT_TRUE(p.text.empty());
      ++answers;
    }
  }
  EXPECT_LE(answers, 1u);
  EXPECT_EQ(status(c).congestion_window, before.congestion_window);
  EXPECT_EQ(status(c).send_queue, before.send_queue);
  EXPECT_EQ(count(Reason::kAckOfUnsent) + count(Reason::kChallengeLimited), 1000u);
  stack_.abort(c.handle, now_);
}

// D22, duplicate ACKs made up, the third attack of that paper: without SACK each stands for a segment that
// has left the network, so for no more of them than there are.
TEST_P(SenderAttacks, D22_DuplicateAcksInflateNothing) {
  const Open c = opens(Offered{.sack = false});
  (void)writes_all(c, std::string(1 << 20, 'x'));
  ASSERT_EQ(text_in(takes()), 10 * kMss);
  std::size_t answers = 0;
  for (int i = 0; i < 5000; ++i) {
    acks(c, 0);
    answers += takes().size();
  }
  EXPECT_LE(answers, 10u) << "in the same instant: one for each that seems to have left";
  EXPECT_LE(status(c).congestion_window, 10 * kMss);
  stack_.abort(c.handle, now_);
}

}  // namespace
}  // namespace synfin::protocol_test
