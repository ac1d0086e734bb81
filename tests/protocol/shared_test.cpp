// SPDX-License-Identifier: Apache-2.0
//
// Sending and receiving without a copy, and MSG_MORE.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using tcp::More;

class Shared : public RawHost {
 protected:
  void SetUp() override {
    const Handle listener = keep(listens());
    TcpHeader h = syn();
    h.options.mss = 1000;
    const Packet answer = knocks(peer(), h);
    iss_ = answer.tcp.seq;
    gives(peer(), third(answer.tcp));
    connection_ = accepts(listener);
  }
  void acknowledges(std::uint32_t octets) { gives(peer(), header(ACK, kPeerIss + 1, iss_ + 1 + octets)); }
  void peer_writes(std::uint32_t at, std::string_view text) {
    gives(peer(), header(ACK, kPeerIss + 1 + at, iss_ + 1), text);
  }
  /// What `parts` says of a whole packet: where each part of its text lies.
  std::vector<const std::byte*> places_of_text() {
    std::array<wire::Frame, 16> frames;
    std::vector<const std::byte*> places;
    const std::size_t n = stack_.transmit(frames, now_);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < frames[i].slice_count; ++k) places.push_back(frames[i].slices[k].data());
    }
    return places;
  }
  std::expected<std::size_t, Error> sends(std::span<wire::Slice> slices, More more = More::kNo) {
    return stack_.send_shared(connection_, slices, now_, more);
  }
  wire::Slice lent(Bytes bytes) {
    return pool_.lend(
        bytes, [](void* n) { ++*static_cast<int*>(n); }, &returned_);
  }

  Handle connection_;
  wire::SeqNum iss_;
  int returned_ = 0;
};

TEST_P(Shared, WhatIsSentLiesWhereTheProgramPutItAndSoDoesWhatIsSentAgain) {
  const std::vector<std::byte> memory(2000, std::byte{'a'});
  std::array slices{lent(memory)};
  EXPECT_EQ(sends(slices), 2000u);
  EXPECT_TRUE(slices[0].empty());
  EXPECT_EQ(places_of_text(), (std::vector{memory.data(), memory.data() + 1000}));
  now_ = now_ + 3_s;
  stack_.advance(now_);
  EXPECT_EQ(places_of_text(), (std::vector{memory.data()})) << "sent again";
  acknowledges(1999);
  EXPECT_EQ(returned_, 0);
  acknowledges(2000);
  EXPECT_EQ(returned_, 1) << "all is acknowledged";
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
}

TEST_P(Shared, WhatDoesNotFitStaysWithTheProgram) {
  ASSERT_TRUE(stack_.set_options(connection_, {.no_delay = true, .send_buffer = 2500}, now_));
  const std::vector<std::byte> memory(4000, std::byte{'a'});
  std::array slices{lent(Bytes{memory}.first(2000)), lent(Bytes{memory}.subspan(2000))};
  EXPECT_EQ(sends(slices), 2500u);
  EXPECT_TRUE(slices[0].empty());
  EXPECT_EQ(slices[1].size(), 1500u);
  EXPECT_EQ(slices[1].data(), memory.data() + 2500);
  EXPECT_EQ(sends(slices).error(), Error::kWouldBlock);
  EXPECT_EQ(slices[1].size(), 1500u);
  (void)sent();
  (void)events(connection_);
  acknowledges(2500);
  EXPECT_NE(events(connection_) & kWritable, 0);
  EXPECT_EQ(sends(slices), 1500u);
  (void)sent();
  acknowledges(4000);
  EXPECT_EQ(returned_, 2);
}

TEST_P(Shared, LentMemoryComesBackWhereTheConnectionDies) {
  const std::vector<std::byte> memory(2000, std::byte{'a'});
  std::array slices{lent(memory)};
  EXPECT_EQ(sends(slices), 2000u);
  gives(peer(), header(RST, kPeerIss + 1));
  EXPECT_EQ(stack_.failure(connection_), Error::kReset);
  (void)sent();
  EXPECT_EQ(returned_, 1);
}

TEST_P(Shared, ASmallPartOfALargeBlockIsCopiedSoThatItDoesNotHoldIt) {
  std::array slices{pool_.copy(std::vector<std::byte>(16'000)).sub(0, 10)};
  EXPECT_EQ(sends(slices), 10u);
  EXPECT_LE(pool_.bytes_in_use(), wire::BlockPool::kSmall);
}

TEST_P(Shared, NothingIsTakenOnceTheStreamHasEnded) {
  std::array slices{pool_.copy(std::vector<std::byte>(100))};
  ASSERT_TRUE(stack_.shutdown(connection_, stack::Shutdown::kSend, now_));
  EXPECT_EQ(sends(slices).error(), Error::kClosing);
  EXPECT_EQ(slices[0].size(), 100u);
  EXPECT_EQ(stack_.send_shared({}, slices, now_).error(), Error::kInvalidHandle);
}

TEST_P(Shared, WhatArrivesIsHandedOverInTheBlocksThatItCameIn) {
  const std::string first(1000, 'a'), second(1000, 'b');
  peer_writes(0, first);
  peer_writes(1000, second);
  const std::uint64_t blocks = pool_.blocks_in_use();
  std::array<wire::Slice, 4> into;
  EXPECT_EQ(stack_.receive_shared(connection_, into, now_), 2000u);
  EXPECT_EQ(pool_.blocks_in_use(), blocks) << "no copy";
  ASSERT_EQ(into[0].size(), 1000u);
  ASSERT_EQ(into[1].size(), 1000u);
  EXPECT_TRUE(into[2].empty());
  EXPECT_EQ(std::memcmp(into[0].data(), first.data(), 1000), 0);
  EXPECT_EQ(std::memcmp(into[1].data(), second.data(), 1000), 0);
  EXPECT_EQ(stack_.receive_shared(connection_, into, now_).error(), Error::kWouldBlock);
}

TEST_P(Shared, ReceivingTakesNoMoreThanIsAskedFor) {
  peer_writes(0, std::string(600, 'a'));
  peer_writes(600, std::string(600, 'b'));
  std::array<wire::Slice, 2> into;
  EXPECT_EQ(stack_.receive_shared(connection_, std::span{into}.first(1), now_, 100), 100u);
  EXPECT_EQ(stack_.receive_shared(connection_, into, now_, 700), 700u);
  EXPECT_EQ(into[0].size(), 500u);
  EXPECT_EQ(into[1].size(), 200u);
  EXPECT_EQ(reads(connection_), std::string(400, 'b'));
  gives(peer(), header(FIN | ACK, kPeerIss + 1201, iss_ + 1));
  EXPECT_EQ(stack_.receive_shared(connection_, into, now_), 0u) << "the end of the stream";
  EXPECT_EQ(into[0].size(), 500u) << "stays as it was";
}

// The window closes with what waits, and opens as it is taken, as for `receive`.
TEST_P(Shared, ReceivingOpensTheWindow) {
  std::uint32_t at = 0;
  std::uint32_t window = 1;
  for (; window > 0 && at < 16 << 20; at += 1000) {
    peer_writes(at, std::string(1000, 'x'));
    for (const Packet& p : sent()) window = p.tcp.window.field;
  }
  ASSERT_EQ(window, 0u);
  std::vector<wire::Slice> into(50'000);
  ASSERT_GT(stack_.receive_shared(connection_, into, now_).value_or(0), 0u);
  EXPECT_GT(only().tcp.window.field, 0u);
}

// A proxy: what one connection received goes out on another, and nothing is copied on the way.
TEST_P(Shared, WhatWasReceivedCanBeSent) {
  const std::string text(1000, 'p');
  peer_writes(0, text);
  (void)sent();
  std::array<wire::Slice, 1> slice;
  ASSERT_EQ(stack_.receive_shared(connection_, slice, now_), 1000u);
  const std::byte* const place = slice[0].data();
  EXPECT_EQ(sends(slice), 1000u);
  EXPECT_EQ(places_of_text(), (std::vector{place}));
}

TEST_P(Shared, MoreToComeHoldsASmallSegmentBack) {
  const std::string text(300, 'm');
  const Bytes bytes = std::as_bytes(std::span{text});
  EXPECT_EQ(stack_.send(connection_, std::span{&bytes, 1}, now_, More::kYes), 300u);
  sends_nothing();
  EXPECT_EQ(stack_.send(connection_, std::span{&bytes, 1}, now_), 300u);
  EXPECT_EQ(only().text.size(), 600u);
}

TEST_P(Shared, MoreToComeDoesNotHoldBackFullSegmentsNorAFin) {
  const std::string text(1300, 'm');
  const Bytes bytes = std::as_bytes(std::span{text});
  EXPECT_EQ(stack_.send(connection_, std::span{&bytes, 1}, now_, More::kYes), 1300u);
  EXPECT_EQ(only().text.size(), 1000u);
  ASSERT_TRUE(stack_.shutdown(connection_, stack::Shutdown::kSend, now_));
  const Packet last = only();
  EXPECT_EQ(last.text.size(), 300u);
  EXPECT_TRUE(last.tcp.flags.fin());
}

// A program that breaks its word does not stop the stream.
TEST_P(Shared, MoreThatDoesNotComeIsNotWaitedForLongerThanATimeout) {
  const std::string text(300, 'm');
  const Bytes bytes = std::as_bytes(std::span{text});
  EXPECT_EQ(stack_.send(connection_, std::span{&bytes, 1}, now_, More::kYes), 300u);
  EXPECT_EQ(stack_.send(connection_, {}, now_), 0u) << "asking for room is not the promised more";
  sends_nothing();
  const Instant since = now_;
  runs_for(1_s);
  const std::vector<Packet> all = sent();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().text.size(), 300u);
  EXPECT_GT(all.front().at - since, 100_ms);
}

// Linux: "when TCP_NODELAY is set we make an explicit push, which overrides even TCP_CORK for currently
// queued segments" is what tcp(7) and its users count on.
TEST_P(Shared, TurningNagleOffLetsGoWhatACorkHolds) {
  ASSERT_TRUE(stack_.set_options(connection_, {.cork = true}, now_));
  writes(connection_, "held");
  sends_nothing();
  ASSERT_TRUE(stack_.set_options(connection_, {.no_delay = true, .cork = true}, now_));
  EXPECT_EQ(only().text, "held");
  writes(connection_, "again");
  sends_nothing();
}

RAW_HOST_SUITE(Shared);

}  // namespace
}  // namespace synfin::protocol_test
