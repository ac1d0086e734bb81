// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN with a path or a peer that lies (RFC 9768 §3.2.2.3, §3.2.2.4, §3.2.3.2.4, §3.2.3.2.5), with
// bounds on what it costs.
#include "accecn_host.h"

namespace synfin::protocol_test {
namespace {

class AccEcnHostile : public AccEcnHost {
 protected:
  static constexpr std::uint32_t kMss = 1400;
  void sends(std::uint32_t segments) {
    writes(connection_, std::string(std::size_t{segments} * kMss, 'x'));
    (void)sent();
  }
  bool next_is_capable() {
    EXPECT_TRUE(stack_.set_options(connection_, {.no_delay = true}, now_));
    writes(connection_, "next");
    const auto all = sent();
    EXPECT_FALSE(all.empty());
    return !all.empty() && is_capable(all.back());
  }
};
RAW_HOST_SUITE(AccEcnHostile);

// §3.2.2.4.
TEST_P(AccEcnHostile, ACounterThatIsZeroAtFirstIsNotBelieved) {
  open();
  sends(4);
  const std::uint32_t before = window();
  gives(peer(), ack(0, kMss, 0));
  EXPECT_EQ(count(Reason::kEcnMangled), 1u);
  EXPECT_GE(window(), before);
  for (std::uint8_t n = 2; n <= 4; ++n) gives(peer(), ack(0, kMss * n, n));
  EXPECT_EQ(info().delivered_ce, 0u);
  EXPECT_FALSE(next_is_capable());
  // It goes on telling the peer of its marks.
  gives(peer(), ack(0, 4 * kMss + 4, 5), "x", true);
  EXPECT_EQ(only().tcp.ace(), 6);
}

TEST_P(AccEcnHostile, ZeroLaterIsACount) {
  open();
  sends(4);
  gives(peer(), ack(0, kMss, 5));
  gives(peer(), ack(0, 4 * kMss, 0));
  EXPECT_EQ(info().delivered_ce, 3u);
  EXPECT_TRUE(next_is_capable());
}

// §3.2.2.3: continuous marking for four round trips.
TEST_P(AccEcnHostile, WhenEverythingIsMarkedNothingIsCapableAnyMore) {
  open();
  std::uint32_t acked = 0;
  for (std::uint8_t n = 1; n <= 5; ++n) {
    EXPECT_TRUE(next_is_capable()) << int{n};
    acked += 4;
    gives(peer(), ack(0, acked, (5 + n) & 7));
  }
  EXPECT_EQ(count(Reason::kEcnMangled), 1u);
  EXPECT_FALSE(next_is_capable());
}

TEST_P(AccEcnHostile, OneUnmarkedSegmentIsProofOfAHonestPath) {
  open();
  std::uint32_t acked = 0;
  std::uint8_t ace = 5;
  for (int n = 1; n <= 20; ++n) {
    EXPECT_TRUE(next_is_capable()) << n;
    acked += 4;
    if (n != 3) ++ace;
    gives(peer(), ack(0, acked, ace & 7));
  }
}

// §3.2.3.2.4.
TEST_P(AccEcnHostile, AnOptionThatIsZeroAtFirstIsIgnored) {
  open();
  sends(8);
  gives(peer(), with_octets(ack(0, kMss, 5), 0, 0, 0));
  gives(peer(), with_octets(ack(0, 2 * kMss, 6), 0, 1400, 0));
  EXPECT_EQ(info().delivered_octets.ce, 0u);
  EXPECT_EQ(info().delivered_ce, 1u) << "the ACE field counts on";
  gives(peer(), ack(0, 8 * kMss, 6));
  EXPECT_TRUE(next_is_capable());
}

// §3.2.3.2.5: MUST disable.
TEST_P(AccEcnHostile, MarkedOctetsWithoutMarkedSegmentsAreMangling) {
  open();
  sends(4);
  gives(peer(), with_octets(ack(0, kMss, 5), 1401, 0));
  EXPECT_TRUE(next_is_capable());
  gives(peer(), with_octets(ack(0, 2 * kMss, 5), 1401, 1400));
  EXPECT_EQ(count(Reason::kEcnMangled), 1u);
  EXPECT_FALSE(next_is_capable());
}

// … but not where an acknowledgement without the option had told of the segment before.
TEST_P(AccEcnHostile, OctetsThatComeLaterThanTheSegmentAreNone) {
  open();
  sends(4);
  gives(peer(), with_octets(ack(0, kMss, 5), 1401, 0));
  gives(peer(), ack(0, 2 * kMss, 6));
  gives(peer(), with_octets(ack(0, 3 * kMss, 6), 2801, 1400));
  EXPECT_TRUE(next_is_capable());
}

// Counters that jump about cost the peer its window, and nobody anything else.
TEST_P(AccEcnHostile, CountersThatJumpAreBounded) {
  TcpHeader h = syn();
  stamp(h, 1);
  open(kNotEct, h);
  SeededEntropy random{11};
  std::uint32_t acked = 0;
  std::size_t packets = 0;
  for (std::uint32_t n = 0; n < 2000; ++n) {
    if (n % 10 == 0) writes(connection_, std::string(1000, 'x'));
    packets += sent().size();
    if (n % 3 == 0) acked = std::min(acked + random.below(1400), 100 * n);
    TcpHeader flap =
        with_octets(ack(0, std::min<std::uint32_t>(acked, static_cast<std::uint32_t>(info().bytes_sent)),
                        static_cast<std::uint8_t>(random.below(8))),
                    random.u32() & 0xff'ffff, random.u32() & 0xff'ffff, random.u32() & 0xff'ffff,
                    static_cast<std::uint8_t>(random.below(4)));
    stamp(flap, 2 + n);
    gives(peer(), flap);
    runs_for(1_ms);
  }
  packets += sent().size();
  EXPECT_LE(packets, 2000u) << "never more than one for each";
  EXPECT_LE(info().delivered_ce, 2000u * 7);
  EXPECT_GE(window(), 1u);
  EXPECT_EQ(info().state, State::kEstablished);
}

// A bare ACK with a new count each time: with nothing in flight it changes nothing, and gets no answer.
TEST_P(AccEcnHostile, ACounterThatFlapsOnAnIdleConnectionDoesNothing) {
  TcpHeader h = syn();
  stamp(h, 1);
  open(kNotEct, h);
  writes(connection_, "x");
  (void)sent();
  TcpHeader first = ack(0, 1, 5);
  stamp(first, 2);
  gives(peer(), first);
  const std::uint32_t before = window();
  for (std::uint32_t n = 0; n < 1000; ++n) {
    TcpHeader flap = ack(0, 1, n & 7);
    stamp(flap, 3 + n);
    gives(peer(), flap);
  }
  sends_nothing();
  EXPECT_EQ(window(), before);
}

// Options of every length, in a segment that is fine otherwise (§3.2.3: whole fields count, the rest is
// padding).
TEST_P(AccEcnHostile, AbsurdLengthsOfTheOptionAreReadAsFarAsTheyGo) {
  open();
  sends(9);
  for (std::uint32_t length = 2; length <= 40; ++length) {
    std::vector<std::byte> bytes(40, std::byte{1});
    bytes[0] = std::byte{length % 2 == 0 ? std::uint8_t{172} : std::uint8_t{174}};
    bytes[1] = std::byte{static_cast<std::uint8_t>(length)};
    for (std::size_t i = 2; i < length; ++i) bytes[i] = std::byte{7};
    std::vector<std::byte> segment(60);
    TcpHeader h = ack(0, kMss, 5);
    (void)wire::emit_tcp(h, segment);
    segment[12] = std::byte{0xf0};
    std::ranges::copy(bytes, segment.begin() + 20);
    const auto read = wire::parse_tcp(segment, segment.size());
    ASSERT_TRUE(read) << length;
    ASSERT_TRUE(read->header.options.has(TcpOptions::kEcnOctets));
    EXPECT_EQ(read->header.options.ecn.fields, std::min((length - 2) / 3, 3u));
    EXPECT_EQ(read->header.options.ecn.reversed, length % 2 != 0);
    gives(peer(), read->header);
  }
  EXPECT_EQ(info().state, State::kEstablished);
  // Of two options the first counts; a length of 0 or 1 is no option at all.
  std::vector<std::byte> segment(40);
  (void)wire::emit_tcp(ack(0, kMss, 5), segment);
  segment[12] = std::byte{0xa0};
  constexpr std::uint8_t kTwice[] = {172, 5, 0, 0, 9, 174, 5, 0, 0, 8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  std::ranges::copy(std::as_bytes(std::span{kTwice}), segment.begin() + 20);
  const auto twice = wire::parse_tcp(segment, segment.size());
  ASSERT_TRUE(twice);
  EXPECT_EQ(twice->header.options.ecn,
            (wire::EcnOctets{.fields = 1, .reversed = false, .ect0 = 9, .ce = 0, .ect1 = 0}));
  segment[21] = std::byte{1};
  EXPECT_FALSE(wire::parse_tcp(segment, segment.size()));
}

// §3.2.3.2.1: on a SYN it is ignored.
TEST_P(AccEcnHostile, AnOptionOnASynIsIgnored) {
  open(kNotEct, with_octets(syn(), 0, 77, 0));
  EXPECT_EQ(info().delivered_octets.ce, 0u);
  sends(2);
  gives(peer(), with_octets(ack(0, kMss, 5), 1401, 0));
  EXPECT_EQ(info().delivered_octets.ect0, 1400u);
}

}  // namespace
}  // namespace synfin::protocol_test
