// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, data: how many segments, and records of them, a peer can
// make a sender have by the sizes it announces and the SACK blocks it cuts. Rows D4, D5, D6 and D10 of the
// list of attacks, each with a bound on its cost. The cost in entries is in synfin/tcp/scoreboard_test.cpp.
#include <algorithm>

#include "data_attacks.h"

namespace synfin::protocol_test {
namespace {

class SmallSegmentAttacks : public DataAttacks {};
RAW_HOST_SUITE(SmallSegmentAttacks);

// D4, CVE-2019-11477 (SACK Panic): segments as small as they get, as many as there can be in flight, and SACK
// blocks that make one run of all of them. Counts stay true and nothing is sent but what is missing.
TEST_P(SmallSegmentAttacks, D4_ARunOfAsManySegmentsAsThereCanBe) {
  stack_.settings().tcp_wmem = 16 << 20;
  const Open c = opens(Offered{.mss = 48});
  (void)writes_all(c, std::string(8 << 20, 'x'));
  const std::int64_t end = grows(c, 20'000);
  const tcp::Info before = info(c);
  EXPECT_GE(before.unacked, 20'000u);
  EXPECT_LT(before.unacked, 1u << 15) << "the scoreboard's bound";
  const std::int64_t first = end - std::int64_t{before.unacked} * 48;
  // Every other one from the far end on, then the others: one run but for the first.
  std::size_t answers = 0;
  for (const std::int64_t odd : {0, 48}) {
    for (std::int64_t at = end - 48 - odd; at >= first + 48; at -= 4 * 96) {
      std::vector<Range> ranges;
      for (std::int64_t r = at; r >= first + 48 && ranges.size() < 4; r -= 96) ranges.push_back({r, r + 48});
      sacks(c, first, ranges);
      answers += takes().size();
    }
  }
  tcp::Info now_is = info(c);
  EXPECT_GE(now_is.sacked + 1, before.unacked);
  EXPECT_LE(now_is.sacked, now_is.unacked);
  EXPECT_LE(answers, before.unacked) << "each that is missing goes once again at most";
  // The whole run in one block, again and again, and the timeout on top of it.
  for (int i = 0; i < 1000; ++i) sacks(c, first, {{first + 48, end}});
  EXPECT_LE(takes().size(), 4096u);
  runs_for(3_s);
  (void)takes();
  now_is = info(c);
  EXPECT_LE(now_is.sacked + now_is.lost, now_is.unacked);
  acks(c, end);
  EXPECT_EQ(info(c).sacked, 0u);
  delivers_all(c, highest(c, takes(), end));
  stack_.abort(c.handle, now_);
}

// D5, CVE-2019-11478, CVE-2019-5599: blocks at random that cut the scoreboard to pieces. What is sent in
// answer is bounded by what is in flight, not by what the peer sends, and the data arrives.
TEST_P(SmallSegmentAttacks, D5_RandomBlocksAreAnsweredByWhatIsMissingOnly) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    const Open c = opens(Offered{.timestamps = seed % 2 == 0}, static_cast<std::uint32_t>(seed));
    const std::uint32_t written = writes_all(c, std::string(1 << 20, 'x'));
    const std::int64_t end = grows(c, 300);
    const tcp::Info before = info(c);
    ASSERT_GE(before.unacked, 200u);
    const auto mss = static_cast<std::int64_t>(before.snd_mss);
    const std::int64_t first = end - std::int64_t{before.unacked} * mss;
    std::size_t answers = 0;
    std::uint64_t fresh = 0;
    for (int i = 0; i < 5000; ++i) {
      std::vector<Range> ranges;
      for (std::uint32_t n = 1 + random.below(3); n > 0; --n) {
        // Not the first segment: the run must not be acknowledged; often not even whole segments.
        const std::int64_t left =
            first + mss + random.below(static_cast<std::uint32_t>(end - first - mss - 2));
        ranges.push_back({left, left + 1 + random.below(static_cast<std::uint32_t>(end - left))});
        if (random.below(4) == 0) ranges.back().right = std::min(end, left + 1 + random.below(3000));
      }
      sacks(c, first, ranges);
      const std::vector<Packet> all = takes();
      answers += all.size();
      for (const Packet& p : all) fresh += end_of(c, p) > end ? p.text.size() : 0;
    }
    EXPECT_LE(answers, 2 * before.unacked + fresh / 500) << "in the same instant";
    EXPECT_LE(info(c).unacked, 4096u);
    const std::int64_t now_at = std::max(end, end + static_cast<std::int64_t>(fresh));
    delivers_all(c, std::min<std::int64_t>(now_at, written));
    EXPECT_EQ(info(c).state, State::kEstablished);
    stack_.abort(c.handle, now_);
    (void)takes();
  }
}

// D6, CVE-2019-11479: a peer whose MSS leaves 8 octets of text beside timestamps and SACK blocks. The records
// of what is in flight have a bound by the send buffer, and tcp_min_snd_mss one by the segment.
TEST_P(SmallSegmentAttacks, D6_SmallSegmentsAreBoundedInNumber) {
  for (const std::uint32_t floor : {48u, 536u}) {
    SCOPED_TRACE(testing::Message() << "tcp_min_snd_mss " << floor);
    stack_.settings().tcp_min_snd_mss = floor;
    constexpr std::uint32_t kBuffer = 1 << 20;
    std::uint32_t n = floor;
    for (const int mss : {0, 1, 8, 48}) {
      SCOPED_TRACE(testing::Message() << "MSS " << mss);
      const Open c = opens(Offered{.mss = static_cast<std::uint16_t>(mss), .timestamps = true}, ++n);
      // Text beyond a hole, so that every segment carries a block.
      gives(c.from, of(c, ACK, 10), "beyond");
      (void)takes();
      (void)writes_all(c, std::string(kBuffer, 'x'));
      const std::uint32_t least = floor - 12 - 28;
      std::vector<Packet> all = takes();
      std::size_t segments = all.size();
      std::int64_t end = highest(c, all);
      std::uint32_t most = 0;
      for (int round = 0; round < 16; ++round) {
        for (const Packet& p : all) {
          ASSERT_GE(p.text.size(),
                    std::min<std::size_t>(least, kBuffer - static_cast<std::size_t>(begin_of(c, p))));
        }
        most = std::max(most, info(c).unacked);
        runs_for(10_ms);
        acks(c, end);
        all = takes();
        segments += all.size();
        end = highest(c, all, end);
      }
      EXPECT_LE(most, kBuffer / 256) << "records cost memory: at most one for 256 octets of the send buffer";
      EXPECT_LE(segments, static_cast<std::uint64_t>(end) / least + 16);
      // The blocks in use are the send buffer's and the one beyond the hole.
      EXPECT_LE(pool_.bytes_in_use(), kBuffer + 2 * wire::BlockPool::kMedium);
      stack_.abort(c.handle, now_);
      (void)takes();
    }
  }
}

// D10, CVE-2018-16523 (division by an MSS of 0): what a peer announces is raised to what can be sent, for
// either side of the opening; text is sent in a bounded number of segments, and arrives.
TEST_P(SmallSegmentAttacks, D10_NoMssIsTooSmallToSendWith) {
  constexpr std::uint32_t kText = 1000;
  std::uint32_t n = 0;
  for (const int mss : {0, 1, 2, 11, 12, 13, 40, 47, 48, 65'535}) {
    SCOPED_TRACE(testing::Message() << "MSS " << mss);
    for (const bool timestamps : {false, true}) {
      const Offered offered{.mss = static_cast<std::uint16_t>(mss), .timestamps = timestamps};
      Open c = opens(offered, ++n);
      // The same as the answer to a SYN of ours.
      Open d{peer(++n, 443), connects(peer(n, 443)), offered, {}};
      const std::vector<Packet> syn = takes();
      ASSERT_EQ(syn.size(), 1u);
      d.first = syn[0].tcp.seq + 1;
      TcpHeader answer = syn_with(offered);
      answer.flags = Flags{SYN | ACK};
      answer.ack = d.first;
      if (timestamps) stamp(answer, 1000, newest_tsval_);
      gives(d.from, answer, {}, false,
            syn[0].ip.source == own().address
                ? std::optional<wire::Endpoint>{{own().address, syn[0].tcp.source_port}}
                : std::nullopt);
      (void)takes();
      for (const Open* open : {&c, &d}) {
        writes(open->handle, std::string(kText, 'x'));
        const auto to =
            wire::Endpoint{own().address, open == &c ? std::uint16_t{80} : syn[0].tcp.source_port};
        std::size_t segments = 0;
        for (int round = 0; round < 100 && status(*open).send_queue != 0; ++round) {
          const std::vector<Packet> all = takes();
          for (const Packet& p : all) {
            ASSERT_GE(p.text.size(), 1u);
            ASSERT_LE(p.text.size(), static_cast<std::size_t>(std::max(mss, 48) - (timestamps ? 12 : 0)));
          }
          segments += all.size();
          TcpHeader ack = of(*open, ACK, 0, highest(*open, all));
          gives(open->from, ack, {}, false, to);
          runs_for(1_ms);
        }
        EXPECT_EQ(status(*open).send_queue, 0u);
        EXPECT_LE(segments, kText / 36 + 2);
        stack_.abort(open->handle, now_);
        (void)takes();
      }
    }
  }
}

}  // namespace
}  // namespace synfin::protocol_test
