// SPDX-License-Identifier: Apache-2.0
//
// The packet memory of the whole stack (tcp_mem): what gives way in pressure and in which order, what is
// refused when it is used up, and that what is used up comes back.
#include <algorithm>
#include <map>

#include "data_attacks.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kPeerText = 1400;

class PacketMemory : public DataAttacks {
 protected:
  static constexpr std::uint32_t kBlock = wire::BlockPool::kSmall;

  PacketMemory() {
    stack_.settings().tcp_rmem = tcp::Settings{}.tcp_rmem;
    stack_.settings().tcp_wmem = tcp::Settings{}.tcp_wmem;
  }
  std::uint64_t held() const { return pool_.bytes_in_use(); }
  std::uint64_t most() const { return stack_.config().settings.tcp_mem.max * kPage; }
  static std::string text_at(std::uint32_t off, std::uint32_t size) {
    std::string s(size, '\0');
    for (std::uint32_t i = 0; i < size; ++i) s[i] = static_cast<char>('a' + (off + i) * 7 % 26);
    return s;
  }
  /// Text of the peer's stream, whole in one block with its headers, as a device gives it.
  void gives_text(const Open& c, std::uint32_t off, std::uint32_t size) {
    gives_octets(c.from, of(c, ACK, off), {}, text_at(off, size));
  }
  /// Until `off` reaches `end` or memory is at this level.
  std::uint32_t gives_until(const Open& c, std::uint32_t off, std::uint32_t end,
                            std::uint64_t level = ~0ull) {
    for (; off < end && held() < level; off += kPeerText) gives_text(c, off, kPeerText);
    return off;
  }
  /// What is offered, by the last acknowledgement to it; checks that no right edge moves left.
  std::uint32_t window_of(const Open& c) {
    std::uint32_t window = 0;
    for (const Packet& p : takes()) {
      if (p.tcp.destination_port != c.from.port || p.ip.destination != c.from.address) continue;
      window = std::uint32_t{p.tcp.window.field} << info(c).rcv_wscale;
      const wire::SeqNum edge = p.tcp.ack + window;
      auto [known, fresh] = edges_.try_emplace(c.handle.index(), edge);
      EXPECT_FALSE(edge.before(known->second)) << "the right edge moved left";
      known->second = edge;
    }
    return window;
  }
  std::string writes_until_refused(const Open& c, Error expected) {
    std::string all;
    for (;;) {
      const std::string piece = text_at(static_cast<std::uint32_t>(all.size()), 5000);
      const Bytes bytes = std::as_bytes(std::span{piece});
      const auto n = stack_.send(c.handle, std::span{&bytes, 1}, now_);
      if (!n) {
        EXPECT_EQ(n.error(), expected) << tcp::message(n.error());
        return all;
      }
      all.append(piece, 0, *n);
    }
  }
  /// An honest peer, `off` octets into its own stream, that has `to` of the stack's: all that is queued
  /// arrives.
  void delivers(const Open& c, std::uint32_t off, std::int64_t to) {
    for (int round = 0; round < 1000 && status(c).send_queue != 0; ++round) {
      for (const Packet& p : takes()) {
        if (p.ip.destination == c.from.address) to = std::max(to, end_of(c, p));
      }
      gives(c.from, of(c, ACK, off, to));
      runs_for(Duration::milliseconds(200));
    }
    EXPECT_EQ(status(c).send_queue, 0u);
  }
  std::map<std::uint32_t, wire::SeqNum> edges_;
};
RAW_HOST_SUITE(PacketMemory);

TEST_P(PacketMemory, NoneIsHeldOnceAllIsReadAndAcknowledged) {
  const Open c = opens();
  for (std::uint32_t round = 0; round < 3; ++round) {
    (void)gives_until(c, round * 14'000, (round + 1) * 14'000);
    EXPECT_GT(held(), 0u);
    EXPECT_EQ(reads_all(c), text_at(round * 14'000, 14'000));
    writes(c.handle, text_at(0, 10'000));
    EXPECT_GT(held(), 0u);
    delivers(c, (round + 1) * 14'000, round * 10'000);
    EXPECT_EQ(held(), 0u);
  }
  EXPECT_EQ(count(Counter::kPruneCalled), 0u);
}

// A peer whose segments fill a quarter of their blocks is offered less, and what was offered already is
// copied together: the buffer's memory is what it says.
TEST_P(PacketMemory, TheWindowCountsBlocksAndNotOctets) {
  constexpr std::uint32_t kBuffer = 131'072;
  stack_.settings().tcp_rmem = kBuffer;
  for (const std::uint32_t size : {1u, 100u, 520u, 1000u, 1400u}) {
    SCOPED_TRACE(size);
    const Open c = opens(Offered{.mss = 536}, size);
    std::uint32_t off = 0;
    // What is offered is filled, and nothing is read.
    for (bool waited = false; off < 2 * kBuffer;) {
      ASSERT_LE(held(), 2 * kBuffer + 3 * wire::BlockPool::kMedium) << off;
      if (info(c).rcv_wnd >= size) {
        gives_text(c, off, size);
        off += size;
        waited = false;
      } else if (!std::exchange(waited, true)) {
        runs_for(Duration::milliseconds(50));  // an acknowledgement may wait
      } else {
        break;
      }
      (void)window_of(c);
    }
    EXPECT_GE(off, kBuffer / 3) << "but much of the buffer can be used";
    EXPECT_EQ(reads_all(c), text_at(0, off));
    EXPECT_EQ(held(), 0u);
    (void)takes();
    EXPECT_EQ(info(c).rcv_ssthresh, kBuffer) << "all is offered again";
    still_works(c, off);
  }
}

TEST_P(PacketMemory, PressureTakesTextBeyondHolesFirstAndTheTransferCompletes) {
  stack_.settings().tcp_mem = {64, 128, 256};
  stack_.settings().tcp_rmem = {4096, 1 << 20, 1 << 20};
  const Open in_order = opens(Offered{}, 1), with_hole = opens(Offered{}, 2);
  (void)gives_until(with_hole, kPeerText, 140 * kPeerText);  // its first segment is missing
  const std::uint64_t beyond = held();
  EXPECT_GE(beyond, 280'000u);
  EXPECT_EQ(count(Counter::kTCPMemoryPressures), 0u);
  (void)takes();
  std::uint32_t end = 0;
  for (; count(Counter::kTCPMemoryPressures) == 0 && end < 1 << 20; end += kPeerText)
    gives_text(in_order, end, kPeerText);
  EXPECT_EQ(count(Counter::kTCPMemoryPressures), 1u);
  EXPECT_EQ(count(Counter::kOfoPruned), 1u);
  EXPECT_GE(count(Counter::kPruneCalled), 1u);
  EXPECT_LT(held(), 128 * kPage - beyond / 2) << "it went";
  (void)window_of(in_order);
  // What is no longer here is no longer said to be (RFC 2018 §8): at most the two segments of the minimum.
  gives_text(with_hole, 20 * kPeerText, kPeerText);
  const std::vector<Packet> answers = takes();
  ASSERT_EQ(answers.size(), 1u);
  for (std::size_t i = 0; i < answers[0].tcp.options.sack_count; ++i) {
    const wire::SackBlock& b = answers[0].tcp.options.sack[i];
    EXPECT_LE(b.right - b.left, static_cast<std::int32_t>(2 * kPeerText));
  }
  // What was in order is all there; and its reading ends the pressure.
  EXPECT_EQ(reads_all(in_order), text_at(0, end));
  // The peer sends it all again, as after a timeout.
  std::string got;
  for (std::uint32_t off = 0; off < 140 * kPeerText; off += kPeerText) {
    gives_text(with_hole, off, kPeerText);
    got += reads_all(with_hole);
  }
  EXPECT_EQ(got, text_at(0, 140 * kPeerText));
  EXPECT_EQ(held(), 0u);
  still_works(in_order, end);
  still_works(with_hole, 140 * kPeerText);
}

TEST_P(PacketMemory, InPressureNoWindowGrowsAndNoEdgeMovesLeft) {
  stack_.settings().tcp_mem = {32, 64, 256};
  const Open hog = opens(Offered{}, 1), other = opens(Offered{}, 3), c = opens(Offered{}, 2);
  (void)gives_until(other, 0, 70'000);
  (void)gives_until(hog, 0, 1 << 20, 64 * kPage);
  EXPECT_EQ(count(Counter::kTCPMemoryPressures), 1u);
  std::uint32_t off = 0, least = ~0u;
  for (int n = 0; n < 400; ++n) {
    gives_text(c, off, kPeerText);
    off += kPeerText;
    EXPECT_EQ(reads_all(c).size(), kPeerText);
    if (const std::uint32_t window = window_of(c); window != 0) least = std::min(least, window);
    ASSERT_GE(info(c).rcv_wnd, kPeerText) << "never shut for a program that reads";
  }
  EXPECT_LE(least, 4u * 1460 + 127) << "as much as there is always memory for";
  EXPECT_EQ(status(c).receive_buffer, stack_.settings().tcp_rmem.initial);
  (void)reads_all(hog);
  (void)reads_all(other);
  for (int n = 0; n < 4; ++n) {
    gives_text(c, off, kPeerText);
    off += kPeerText;
    (void)reads_all(c);
    (void)window_of(c);
  }
  EXPECT_GE(info(c).rcv_wnd, 65'536u) << "and open again behind it";
}

// New text is refused by a name of its own, and everything else goes on.
TEST_P(PacketMemory, UsedUpItRefusesTextByNameAndKeepsControlAlive) {
  stack_.settings().tcp_mem = {16, 24, 32};
  stack_.settings().tcp_wmem = 1 << 20;
  const Open writer = opens(Offered{}, 1), other = opens(Offered{}, 2), reset = opens(Offered{}, 3),
             probed = opens(Offered{}, 4);
  const std::string all = writes_until_refused(writer, Error::kNoBuffers);
  EXPECT_GE(held(), most());
  EXPECT_LE(held(), most() + wire::BlockPool::kMedium);
  EXPECT_GE(all.size(), most() - 4 * wire::BlockPool::kMedium);
  const std::int64_t flown = highest(writer, takes());
  (void)events(other.handle);
  EXPECT_EQ(writes_until_refused(other, Error::kNoBuffers), "");
  EXPECT_EQ(status(other).state, State::kEstablished);

  // A handshake, and the program accepts.
  const Open fresh = opens(Offered{}, 5);
  // One segment a connection is taken, as its program may wait for nothing else; no second one.
  gives_text(fresh, 0, kPeerText);
  gives_text(fresh, kPeerText, kPeerText);
  EXPECT_GE(count(Reason::kNoMemory), 1u);
  gives_text(fresh, 3 * kPeerText, kPeerText);
  EXPECT_GE(count(Counter::kTCPOFODrop), 1u);
  EXPECT_EQ(reads_all(fresh), text_at(0, kPeerText));
  gives_text(fresh, kPeerText, kPeerText);
  EXPECT_EQ(reads_all(fresh), text_at(kPeerText, kPeerText)) << "and the next once that is read";
  // A reset, a FIN, and a window probe.
  gives(reset.from, of(reset, RST | ACK));
  EXPECT_EQ(stack_.failure(reset.handle), Error::kReset);
  (void)takes();
  gives(fresh.from, of(fresh, FIN | ACK, 2 * kPeerText));
  EXPECT_EQ(state(fresh.from), State::kCloseWait);
  EXPECT_EQ(takes().size(), 1u) << "acknowledged";
  EXPECT_TRUE(stack_.shutdown(fresh.handle, stack::Shutdown::kSend, now_));
  ASSERT_EQ(takes().size(), 1u) << "our FIN";
  EXPECT_EQ(state(fresh.from), State::kLastAck);
  gives_text(probed, 0, kPeerText);
  gives_text(probed, kPeerText, 1);
  EXPECT_EQ(takes().back().tcp.ack, wire::SeqNum{kPeerIss + 1 + kPeerText}) << "answered, not taken";
  (void)reads_all(probed);

  // What the peer acknowledges makes room, and the program that was refused is told.
  (void)events(other.handle);
  (void)takes();
  delivers(writer, 0, flown);
  runs_for(20_ms);
  EXPECT_NE(events(other.handle) & kWritable, 0);
  EXPECT_NE(events(writer.handle) & kWritable, 0);
  EXPECT_LT(held(), most());
  writes(other.handle, "again");
  delivers(other, 0, 0);
  still_works(other, 0, 5);
  EXPECT_EQ(held(), 0u);
}

// A program that was refused and has left is not waited for, and the look-out for memory ends.
TEST_P(PacketMemory, WhoHasLeftIsNotWaitedFor) {
  stack_.settings().tcp_mem = {16, 24, 32};
  stack_.settings().tcp_wmem = 1 << 20;
  const Open writer = opens(Offered{}, 1);
  (void)writes_until_refused(writer, Error::kNoBuffers);
  for (std::uint32_t n = 2; n < 20; ++n) {
    (void)takes();
    const Open c = opens(Offered{}, n);
    EXPECT_EQ(writes_until_refused(c, Error::kNoBuffers), "");
    stack_.abort(c.handle, now_);
  }
  stack_.abort(writer.handle, now_);
  runs_for(20_ms);
  EXPECT_EQ(stack_.next_deadline(), Instant::never());
}

// D3 over many connections: all with holes, none with the segment that fills it.
TEST_P(PacketMemory, ManyConnectionsWithHolesStayWithinTheBudget) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SeededEntropy random{seed};
    stack_.settings().tcp_mem = {64, 96, 128};
    constexpr std::uint32_t kConnections = 60, kEach = 20 * kPeerText;
    std::vector<Open> all;
    for (std::uint32_t n = 0; n < kConnections; ++n)
      all.push_back(opens(Offered{}, static_cast<std::uint32_t>(seed) * 1000 + n));
    for (int i = 0; i < 8000; ++i) {
      const Open& c = all[random.below(kConnections)];
      const std::uint32_t size = random.below(3) == 0 ? 1 + random.below(20) : kPeerText;
      gives_text(c, 1 + random.below(kEach - size), size);
      ASSERT_LE(held(), most() + kBlock) << i;
      if (i % 64 == 0) {
        (void)takes();
        runs_for(Duration::milliseconds(random.below(50)));
      }
    }
    EXPECT_GE(count(Counter::kTCPMemoryPressures), seed);
    EXPECT_GE(count(Counter::kOfoPruned), seed);
    // Honest peers from here on: everything arrives, whatever was given up.
    for (const Open& c : all) {
      std::string got;
      for (int round = 0; round < 3 && got.size() < kEach; ++round) {
        for (auto off = static_cast<std::uint32_t>(got.size()); off < kEach; off += kPeerText) {
          gives_text(c, off, std::min(kPeerText, kEach - off));
          got += reads_all(c);
          ASSERT_LE(held(), most() + kConnections * kBlock);
        }
      }
      EXPECT_EQ(got, text_at(0, kEach));
    }
    EXPECT_EQ(held(), 0u);
    for (const Open& c : all) stack_.abort(c.handle, now_);
    (void)takes();
  }
}

// Programs that do not read, on many connections: beyond the budget each has one segment at most.
TEST_P(PacketMemory, ProgramsThatDoNotReadHoldOneSegmentEachBeyondTheBudget) {
  stack_.settings().tcp_mem = {64, 96, 128};
  constexpr std::uint32_t kConnections = 60;
  std::vector<Open> all;
  for (std::uint32_t n = 1; n <= kConnections; ++n) all.push_back(opens(Offered{}, n));
  for (std::uint32_t off = 0; off < 60'000; off += kPeerText) {
    for (const Open& c : all) {
      const auto next = static_cast<std::uint32_t>(status(c).receive_queue);
      gives_text(c, next, kPeerText);
      ASSERT_LE(held(), most() + kConnections * kBlock);
      (void)window_of(c);
    }
  }
  EXPECT_GE(held() + kBlock, most());
  for (const Open& c : all) {
    const auto queued = status(c).receive_queue;
    EXPECT_GE(queued, kPeerText);
    EXPECT_EQ(reads_all(c), text_at(0, queued));
    still_works(c, queued);
  }
  EXPECT_EQ(held(), 0u);
}

}  // namespace
}  // namespace synfin::protocol_test
