// SPDX-License-Identifier: Apache-2.0
//
// Congestion control (RFC 5681) and the retransmission timer (RFC 6298), rule by rule, from outside. Segments
// are 1000 octets, round trips 100 ms.
#include "ladder_sender.h"

namespace synfin::protocol_test {
namespace {

// §3.1: "if the SYN or SYN/ACK is lost, the initial window … MUST be one segment": from the second time on,
// as on Linux, since the first timeout of a second may be too early (RFC 6298 appendix A).
LADDER_TEST(Rfc5681, AHandshakeThatLostSegmentsBeginsWithOneSegment_3_1) {
  for (const bool active : {false, true}) {
    Ladder l(variant, ladder_reno());
    if (active) {
      l.app_connects().whatever().sends_within(1100_ms, {.flags = SYN}).sends_within(2100_ms, {.flags = SYN});
      l.after(kLadderRtt);
      l.receives({.flags = SYN | ACK,
                  .seq = 0,
                  .ack = 1,
                  .window = 32'000,
                  .mss = kLadderMss,
                  .sack_permitted = true});
      l.whatever();
    } else {
      l.app_listens()
          .receives({.flags = SYN, .seq = 0, .mss = kLadderMss, .sack_permitted = true})
          .whatever();
      l.sends_within(1100_ms, {.flags = SYN | ACK})
          .sends_within(2100_ms, {.flags = SYN | ACK})
          .after(kLadderRtt);
      l.receives({.seq = 1, .ack = 1, .window = 32'000}).app_accepts();
    }
    l.app_sends(10 * kLadderMss).sends(ladder_segment(1)).sends_nothing();
    l.after(kLadderRtt).receives({.seq = 1, .ack = 1001, .window = 32'000});
    l.sends(ladder_segment(1001)).sends(ladder_segment(2001)).sends_nothing();
  }
}

// §3.1, equation 4: half of what is in flight, not of the window.
LADDER_TEST(Rfc5681, TheThresholdIsHalfOfWhatIsInFlight_3_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(6 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 5001}})).whatever();
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 3u) << l.text();
}

// §3.1: a segment that is lost again and again lowers the threshold once.
LADDER_TEST(Rfc5681, ASecondTimeoutKeepsTheThreshold_3_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false)
      .app_sends(10 * kLadderMss)
      .whatever()
      .sends_within(400_ms, ladder_segment(1))
      .sends_nothing();
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 5u);
  EXPECT_EQ(ladder_info(l).snd_cwnd, 1u);
  l.sends_within(1_s, ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 5u);
  EXPECT_EQ(ladder_info(l).snd_cwnd, 1u);
}

// §3.2 step 2 and 3: what limited transmit sent is not in flight for the threshold.
LADDER_TEST(Rfc5681, LimitedTransmitDoesNotRaiseTheThreshold_3_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(20 * kLadderMss).whatever().after(kLadderRtt);
  for (int i = 0; i < 3; ++i) l.receives(ladder_ack(1)).whatever();
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 5u) << l.text();
}

// §3.1: "slow start … MUST NOT … more than SMSS" for each acknowledgement is for those that cover little:
// splitting gains nothing (RFC 3465).
LADDER_TEST(Rfc5681, SplittingAcknowledgementsGainsNothing_3_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(kLadderRtt);
  for (std::int64_t n = 101; n <= 1001; n += 100) l.receives(ladder_ack(n)).whatever();
  EXPECT_LE(ladder_info(l).snd_cwnd, 11u);
}

// §4.1: idle for longer than the timeout, the window is the initial one again, once something was sent into a
// larger one.
LADDER_TEST(Rfc5681, IdlenessBringsBackTheInitialWindow_4_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(10'001));
  ASSERT_EQ(ladder_info(l).snd_cwnd, 20u);
  l.after(5_s).app_sends(40 * kLadderMss);
  EXPECT_EQ(l.take_all().size(), 10u) << l.text();
}

// §4.2: every second full segment at the latest, and within half a second; §3.2: beyond a hole at once.
LADDER_TEST(Rfc5681, AcknowledgementsAreDelayedAndNotForLong_4_2) {
  Ladder l(variant);
  l.opened_passively();
  const std::uint32_t full = l.own_mss();
  l.receives({.seq = 1, .ack = 1, .len = full}).sends_nothing();
  l.receives({.seq = 1 + std::int64_t{full}, .ack = 1, .len = full})
      .sends({.flags = ACK, .ack = 1 + 2 * std::int64_t{full}});
  l.receives({.seq = 1 + 2 * std::int64_t{full}, .ack = 1, .len = 10})
      .sends_within(499_ms, {.flags = ACK})
      .whatever();
  l.receives({.seq = 101 + 2 * std::int64_t{full}, .ack = 1, .len = 10})
      .sends({.flags = ACK})
      .sends_nothing();
}

// RFC 6298 §5.1, §5.3: sending more does not postpone the timeout of what is in flight.
LADDER_TEST(Rfc6298, FurtherSegmentsDoNotRestartTheTimer_5_1) {
  LadderOptions options = ladder_reno();
  options.settings = [](tcp::Settings& s) { s.tcp_early_retrans = 0; };
  Ladder l(variant, options);
  ladder_opened(l).app_sends(kLadderMss).whatever().after(150_ms).app_sends(kLadderMss).whatever();
  l.sends_within(160_ms, ladder_segment(1)).whatever().counter(Counter::kTCPTimeouts, 1);
}

// RFC 6298 §5.2: with nothing in flight it is off.
LADDER_TEST(Rfc6298, NothingInFlightNoTimer_5_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(3 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(3001));
  l.sends_nothing().wakes_never();
}

// RFC 6298 §5.4–5.6: the earliest segment goes again, and the next timeout is twice as far.
LADDER_TEST(Rfc6298, TheEarliestGoesAgainAndTheTimeoutDoubles_5_4) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(3 * kLadderMss).whatever();
  const Duration timeout = ladder_info(l).rto;
  l.sends_within(timeout + Ladder::kSlack, ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).rto, timeout * 2);
  l.silent_for(timeout * 2 - 10_ms).sends_within(10_ms + Ladder::kSlack, ladder_segment(1)).sends_nothing();
}

// RFC 6298 §3: what was sent twice is no sample (Karn).
LADDER_TEST(Rfc6298, WhatWasSentTwiceIsNoSample_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(kLadderMss).whatever();
  const Duration before = ladder_info(l).rtt;
  l.sends_within(400_ms, ladder_segment(1)).after(5_ms).receives(ladder_ack(1001));
  EXPECT_EQ(ladder_info(l).rtt, before);
}

}  // namespace
}  // namespace synfin::protocol_test
