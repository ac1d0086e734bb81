// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/accurate_ecn.h"

#include <gtest/gtest.h>

namespace synfin::tcp {
namespace {

using namespace literals;
using wire::TcpOptions;

struct AckFor {
  wire::TcpHeader header;
  wire::Frame frame;

  AckFor(std::uint8_t ace, std::optional<std::uint32_t> ce = {}) {
    header.flags = Flags::kAck;
    header.set_ace(ace);
    if (!ce) return;
    header.options.present = TcpOptions::kEcnOctets;
    header.options.ecn = {.fields = 2, .reversed = false, .ect0 = 1, .ce = *ce & 0xff'ffff, .ect1 = 1};
  }
  Segment segment() { return {.header = header, .frame = frame}; }
};

AccurateEcn asking_end() {
  return AccurateEcn{false, 0, Settings{}};
}

std::uint32_t heard_of(AccurateEcn& e, std::uint8_t ace, std::uint32_t segments,
                       std::optional<std::uint32_t> ce = {}) {
  AckFor ack{ace, ce};
  return e
      .on_ack(ack.segment(),
              {.segments = segments, .octets = segments * 1000, .mss = 1000, .una = {}, .nxt = {}})
      .marked;
}

// RFC 9768 §3.2.2: eight values, and every sum of marks comes out right while fewer than eight lie between.
TEST(AccurateEcn, TheCounterGoesRound) {
  AccurateEcn e = asking_end();
  EXPECT_EQ(heard_of(e, 5, 1), 0u);
  std::uint32_t sum = 0;
  for (std::uint32_t n = 0; n < 1000; ++n) {
    const std::uint32_t step = n * 7 % 8;
    sum += step;
    EXPECT_EQ(heard_of(e, (5 + sum) & 7, 7), step);
  }
  EXPECT_EQ(e.delivered_marks(), sum);
}

// RFC 9768 appendix A.1: 24 bits of a counter that is longer.
TEST(AccurateEcn, TheOctetsGoRound) {
  AccurateEcn e = asking_end();
  std::uint32_t octets = 0, marks = 5;
  EXPECT_EQ(heard_of(e, marks & 7, 1, octets), 0u);
  for (int n = 0; n < 100; ++n) {
    octets += 400'000;
    ++marks;
    (void)heard_of(e, marks & 7, 4, octets);
  }
  EXPECT_EQ(e.delivered_octets().ce, octets);
  EXPECT_GT(octets, 1u << 24);
}

TEST(AccurateEcn, TheOptionSaysTheLowestBits) {
  AccurateEcn e = asking_end();
  for (int n = 0; n < 20; ++n) (void)e.on_segment(wire::ecn::kEct0, 1'000'000, true);
  TcpOptions o;
  e.add_octets(o, {.text = false, .seq = {}, .room = 40, .now = {}, .round_trip = {}});
  ASSERT_TRUE(o.has(TcpOptions::kEcnOctets));
  EXPECT_EQ(o.ecn.ect0, 20'000'001u & 0xff'ffff);
}

// RFC 9768 §3.2.3.3: at least once for every 2^22 octets, sparing as it may be.
TEST(AccurateEcn, NoCounterOverflowsUnseen) {
  Settings s;
  s.tcp_ecn_option = 1;
  s.tcp_ecn_option_beacon = 0;
  AccurateEcn e{true, 0, s};
  std::uint32_t since = 0, sent = 0;
  for (int n = 0; n < 10'000; ++n) {
    (void)e.on_segment(wire::ecn::kEct0, 1400, true);
    since += 1400;
    TcpOptions o;
    e.add_octets(o, {.text = false, .seq = {}, .room = 40, .now = {}, .round_trip = {}});
    if (!o.has(TcpOptions::kEcnOctets)) continue;
    EXPECT_LE(since, (1u << 22) + 1400);
    since = 0;
    ++sent;
  }
  EXPECT_LE(sent, 2u + 4u);
}

// RFC 9768 table 2 and 3.
TEST(AccurateEcn, CodesOfTheHandshake) {
  EXPECT_EQ(handshake_code(wire::ecn::kNotCapable), 2);
  EXPECT_EQ(handshake_code(wire::ecn::kEct1), 3);
  EXPECT_EQ(handshake_code(wire::ecn::kEct0), 4);
  EXPECT_EQ(handshake_code(wire::ecn::kMarked), 6);
}

TEST(AccurateEcn, AFieldThatHasNoRoomIsLeftOut) {
  AccurateEcn e{true, 0, Settings{}};
  (void)e.on_segment(wire::ecn::kEct0, 1, true);
  for (const auto& [room, fields] : {std::pair{7u, 0}, {8u, 2}, {11u, 2}, {12u, 2}}) {
    (void)e.on_segment(wire::ecn::kEct0, 1, true);
    TcpOptions o;
    o.ecn.fields = 0;
    e.add_octets(o, {.text = false, .seq = {}, .room = room, .now = {}, .round_trip = {}});
    EXPECT_EQ(o.ecn.fields, fields) << room;
  }
  // Both ECT counters have moved since the last: with room for two fields neither may be left out.
  (void)e.on_segment(wire::ecn::kEct0, 1, true);
  (void)e.on_segment(wire::ecn::kEct1, 1, true);
  TcpOptions o;
  e.add_octets(o, {.text = false, .seq = {}, .room = 8, .now = {}, .round_trip = {}});
  EXPECT_FALSE(o.has(TcpOptions::kEcnOctets));
  e.add_octets(o, {.text = false, .seq = {}, .room = 12, .now = {}, .round_trip = {}});
  EXPECT_EQ(o.ecn.fields, 3);
}

}  // namespace
}  // namespace synfin::tcp
