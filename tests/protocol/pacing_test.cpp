// SPDX-License-Identifier: Apache-2.0
//
// Text spread over the round trip (tcp_pacing, Options::max_pacing_rate). Segments are 1000 octets, round
// trips 100 ms.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint32_t kPacedSegment = 1000;
constexpr Duration kPacedRoundTrip = 100_ms;

Ladder& opened_for_pacing(Ladder& l) {
  l.app_listens().receives(
      {.flags = SYN, .seq = 0, .window = 32'000, .mss = kPacedSegment, .wscale = 7, .sack_permitted = true});
  l.sends({.flags = SYN | ACK}).at(kPacedRoundTrip).receives({.seq = 1, .ack = 1, .window = 1000});
  return l.app_accepts();
}

LadderOptions with_pacing(bool on = true) {
  return {.settings = [on](tcp::Settings& s) { s.tcp_pacing = on; }};
}

Out paced_segment(std::int64_t n) {
  return {.seq = 1 + n * kPacedSegment, .len = kPacedSegment};
}

// A window of twenty in slow start: 400 segments a second, two at a time.
LADDER_TEST(Pacing, SpreadsTheWindowOverTheRoundTrip) {
  Ladder l(variant, with_pacing());
  opened_for_pacing(l).app_sends(60 * kPacedSegment);
  for (int n = 0; n < 10; ++n) l.sends(paced_segment(n));  // the initial window has no round trip to go by
  l.after(kPacedRoundTrip).receives({.seq = 1, .ack = 1 + 10 * kPacedSegment, .window = 1000});
  l.sends(paced_segment(10)).sends(paced_segment(11)).sends_nothing();
  l.after(4_ms).whatever();  // 2.5 ms: half a burst is made good
  const Duration begin = l.time();
  int sent = 2;
  for (int step = 0; step < 50 && sent < 16; ++step) {
    l.after(1_ms);
    sent += static_cast<int>(l.take_all().size());
  }
  EXPECT_GE(sent, 16);
  EXPECT_GE(l.time() - begin, 25_ms) << "5 ms a burst";
  EXPECT_LE(l.time() - begin, 45_ms);
  l.whatever();
}

LADDER_TEST(Pacing, IsOffByDefault) {
  Ladder l(variant);
  opened_for_pacing(l).app_sends(60 * kPacedSegment).whatever();
  l.after(kPacedRoundTrip).receives({.seq = 1, .ack = 1 + 10 * kPacedSegment, .window = 1000});
  for (int n = 10; n < 30; ++n) l.sends(paced_segment(n));
  l.sends_nothing();
}

// A retransmission takes its turn like the rest.
LADDER_TEST(Pacing, HoldsForWhatIsSentAgain) {
  Ladder l(variant, with_pacing());
  opened_for_pacing(l).app_sends(10 * kPacedSegment).whatever().after(kPacedRoundTrip);
  l.receives({.seq = 1, .ack = 1, .window = 1000, .sack = {{6001, 10'001}}});
  const std::size_t at_once = l.take_all().size();
  EXPECT_GE(at_once, 1u);
  EXPECT_LE(at_once, 2u);
  std::size_t later = 0;
  for (int step = 0; step < 40; ++step) {
    l.after(1_ms);
    const std::size_t n = l.take_all().size();
    EXPECT_LE(n, 2u) << "one burst at a time";
    later += n;
  }
  EXPECT_GE(at_once + later, 4u) << "of the six that were lost, what the window allows";
}

LADDER_TEST(Pacing, RateOfTheProgramIsABound) {
  Ladder l(variant);
  opened_for_pacing(l);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.max_pacing_rate = 20'000}, l.now()));
  l.app_sends(30 * kPacedSegment).whatever();
  l.after(kPacedRoundTrip).receives({.seq = 1, .ack = 1 + 10 * kPacedSegment, .window = 1000});
  std::size_t octets = l.take_all().size() * kPacedSegment;
  EXPECT_EQ(octets, 2 * kPacedSegment);
  for (int step = 0; step < 50; ++step) {
    l.after(10_ms);
    octets += l.take_all().size() * kPacedSegment;
  }
  // 500 ms at 20,000 octets a second, the burst before and half a burst made good.
  EXPECT_GE(octets, 10 * kPacedSegment);
  EXPECT_LE(octets, 14 * kPacedSegment);
  EXPECT_EQ(l.stack().info(l.connection(), l.now())->pacing_rate, 20'000u);
  EXPECT_EQ(l.stack().info(l.connection(), l.now())->max_pacing_rate, 20'000u);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {}, l.now()));
}

// Everything is acknowledged long before the next burst is due.
LADDER_TEST(Pacing, RateOfTheProgramIsABoundOnShortPathsToo) {
  Ladder l(variant);
  opened_for_pacing(l);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.max_pacing_rate = 20'000}, l.now()));
  l.app_sends(60 * kPacedSegment).whatever();
  std::uint32_t octets = 10 * kPacedSegment;  // the initial window
  for (int step = 0; step < 1000; ++step) {
    l.after(1_ms).receives({.seq = 1, .ack = 1 + octets, .window = 1000});
    octets += static_cast<std::uint32_t>(l.take_all().size()) * kPacedSegment;
  }
  // A second at 20,000 octets a second and the burst that began it, behind the initial window.
  EXPECT_GE(octets, 28 * kPacedSegment);
  EXPECT_LE(octets, 34 * kPacedSegment);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {}, l.now()));
}

// What is written once all was acknowledged takes its turn as well.
LADDER_TEST(Pacing, RateIsKeptBetweenWrites) {
  Ladder l(variant);
  opened_for_pacing(l);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.max_pacing_rate = 20'000}, l.now()));
  l.app_sends(10 * kPacedSegment).whatever();
  std::uint32_t octets = 10 * kPacedSegment;
  for (int step = 0; step < 1000; ++step) {
    if (step % 10 == 0 && step < 600) l.app_sends(kPacedSegment);
    l.after(1_ms).receives({.seq = 1, .ack = 1 + octets, .window = 1000});
    octets += static_cast<std::uint32_t>(l.take_all().size()) * kPacedSegment;
  }
  EXPECT_GE(octets, 28 * kPacedSegment);
  EXPECT_LE(octets, 34 * kPacedSegment);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {}, l.now()));
}

// The rate that TCP_INFO shows, paced or not: two windows a round trip in slow start, as Linux computes it.
LADDER_TEST(Pacing, InfoShowsTheRate) {
  Ladder l(variant);
  opened_for_pacing(l);
  EXPECT_NEAR(static_cast<double>(l.stack().info(l.connection(), l.now())->pacing_rate), 200'000, 2000);
}

// A timer that finds nothing to send does no harm.
LADDER_TEST(Pacing, EndsQuietlyWhereTheWindowIsFull) {
  Ladder l(variant, with_pacing());
  opened_for_pacing(l).app_sends(14 * kPacedSegment).whatever();
  l.after(kPacedRoundTrip).receives({.seq = 1, .ack = 1 + 10 * kPacedSegment, .window = 1000});
  l.sends(paced_segment(10))
      .sends(paced_segment(11))
      .sends_within(6_ms, paced_segment(12))
      .sends(paced_segment(13));
  l.after(50_ms)
      .receives({.seq = 1, .ack = 1 + 14 * kPacedSegment, .window = 1000})
      .sends_nothing()
      .silent_for(100_s);
}

}  // namespace
}  // namespace synfin::protocol_test
