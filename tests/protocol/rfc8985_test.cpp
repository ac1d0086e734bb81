// SPDX-License-Identifier: Apache-2.0
//
// RACK-TLP (RFC 8985), rule by rule, from outside. Segments are 1000 octets, round trips 100 ms.
#include "ladder_sender.h"

namespace synfin::protocol_test {
namespace {

using tcp::CaState;

// §6.2 step 3 and 4: once reordering was seen, three sacked segments are no proof any more; the window is.
LADDER_TEST(Rfc8985, ReorderingThatWasSeenGetsItsWindow_6_2_4) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(4 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{3001, 4001}})).after(5_ms).receives(ladder_ack(4001)).sends_nothing();
  ASSERT_EQ(ladder_info(l).reord_seen, 1u);
  l.app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(4001, {{5001, 12'001}})).silent_for(20_ms);
  l.sends_within(12_ms, ladder_segment(4001)).whatever();
  EXPECT_EQ(ladder_info(l).ca_state, CaState::kRecovery);
}

LadderOptions no_control() {
  return {.settings = [](tcp::Settings& s) { s.tcp_congestion_control = tcp::CongestionControl::kNone; }};
}

// One segment is taken for lost, which only came late; its second copy is reported. Returns the next number.
std::int64_t spurious_recovery(Ladder& l, std::int64_t at) {
  l.app_sends(6 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(at, {{at + 1000, at + 6000}})).whatever();
  for (int i = 0; i < 12; ++i) l.after(10_ms).whatever();
  l.receives(ladder_ack(at + 6000)).whatever().after(20_ms);
  l.receives(ladder_ack(at + 6000, {{at, at + 1000}})).whatever();
  return at + 6000;
}

// Step 4: DSACKs of a round trip widen the window by a quarter of the least round trip.
LADDER_TEST(Rfc8985, ADsackWidensTheWindow_6_2_4) {
  for (const int dsacks : {0, 1}) {
    Ladder l(variant, no_control());
    ladder_opened(l);
    const std::int64_t at = dsacks == 0 ? 1 : spurious_recovery(l, 1);
    l.app_sends(3 * kLadderMss)
        .whatever()
        .after(kLadderRtt)
        .receives(ladder_ack(at, {{at + 1000, at + 3000}}));
    const Duration window = 25_ms * (1 + dsacks);
    l.silent_for(window - 5_ms).sends_within(5_ms + Ladder::kSlack, ladder_segment(at)).whatever();
  }
}

// Step 4: "reo_wnd … bounded by SRTT": whatever a peer reports, a loss is found within two round trips.
LADDER_TEST(Rfc8985, TheWindowIsBoundedByTheRoundTrip_6_2_4) {
  Ladder l(variant, no_control());
  ladder_opened(l);
  std::int64_t at = 1;
  for (int i = 0; i < 12; ++i) at = spurious_recovery(l, at);
  l.app_sends(3 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(at, {{at + 1000, at + 3000}}));
  const Duration bound = ladder_info(l).rtt + 10_ms;
  l.silent_for(60_ms).sends_within(bound - 60_ms, ladder_segment(at)).whatever();
  l.counter(Counter::kTCPTimeouts, 0);
}

// Step 5: what was sent within the window of what arrived waits for a timer of its own.
LADDER_TEST(Rfc8985, TheReorderingTimerFindsTheRest_6_2_5) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(2 * kLadderMss).whatever().after(10_ms).app_sends(kLadderMss).whatever();
  l.after(kLadderRtt).receives(ladder_ack(1, {{2001, 3001}}));
  l.sends_within(30_ms, ladder_segment(1)).whatever();
  l.counter(Counter::kTCPTimeouts, 0);
}

// … and goes on to, when limited transmit sends something new meanwhile.
LADDER_TEST(Rfc8985, NewDataDoesNotStopTheReorderingTimer_6_2_5) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(12 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 2001}})).sends(ladder_segment(10'001)).sends_nothing();
  l.sends_within(33_ms, ladder_segment(1)).whatever().counter(Counter::kTCPTimeouts, 0);
}

// A retransmission that would be alone in the network has company, which tells if it was lost again.
LADDER_TEST(Rfc8985, ARetransmissionLostInATinyWindowIsFound_3_3_2) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_congestion_control = tcp::CongestionControl::kReno;
             s.tcp_init_cwnd = 2;
           }});
  ladder_opened(l).app_sends(kLadderMss).whatever().after(50_ms).app_sends(9 * kLadderMss).whatever();
  l.after(kLadderRtt).receives(ladder_ack(1, {{1001, 2001}}));
  l.sends(ladder_segment(1)).sends(ladder_segment(2001)).sends_nothing().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 3001}})).sends(ladder_segment(1)).whatever();
  l.after(kLadderRtt).receives(ladder_ack(4001)).whatever();
  l.counter(Counter::kTCPTimeouts, 0).counter(Counter::kTCPLostRetransmit, 1);
}

// What was taken for lost wrongly is given a round trip, instead of being sent again with each
// acknowledgement.
LADDER_TEST(Rfc8985, OneSpuriousRecoveryIsEnough_6_2_4) {
  constexpr std::int64_t n = kLadderMss - 12;
  Ladder l(variant, ladder_reno());
  ladder_opened(l, true, true).app_sends(10 * n).whatever().after(kLadderRtt);
  const std::uint32_t sent_at = l.last_tsval();
  l.receives(ladder_ack(1, {{1 + 7 * n, 1 + 10 * n}}));
  const auto first = static_cast<std::uint32_t>(l.take_all().size());
  ASSERT_GE(first, 1u) << l.text();
  // The others were overtaken, and come now, one by one.
  for (std::int64_t i = 1; i <= 7; ++i) {
    In late = ladder_ack(i == 7 ? 1 + 10 * n : 1 + i * n);
    if (i < 7) late.sack = {{1 + 7 * n, 1 + 10 * n}};
    late.ts = wire::Timestamps{.value = l.peer_tsval(), .echo = sent_at};
    l.after(2_ms).receives(late).sends_nothing();
  }
  EXPECT_EQ(ladder_info(l).total_retrans, first);
  EXPECT_GE(ladder_info(l).snd_cwnd, 10u);
  l.counter(Counter::kTCPSackRecovery, 1);
}

// … and no longer: a loss in that round trip is found in the next.
LADDER_TEST(Rfc8985, ALossBehindASpuriousRecoveryIsFound_6_2_4) {
  constexpr std::int64_t n = kLadderMss - 12;
  Ladder l(variant, ladder_reno());
  ladder_opened(l, true, true).app_sends(10 * n).whatever().after(kLadderRtt);
  const std::uint32_t sent_at = l.last_tsval();
  l.receives(ladder_ack(1, {{1 + 7 * n, 1 + 10 * n}})).whatever();
  In late = ladder_ack(1 + n, {{1 + 7 * n, 1 + 10 * n}});
  late.ts = wire::Timestamps{.value = l.peer_tsval(), .echo = sent_at};
  l.after(2_ms).receives(late).sends_nothing();
  l.sends_within(130_ms, {.seq = 1 + 3 * n, .len = static_cast<std::uint32_t>(n)}).whatever();
  l.counter(Counter::kTCPTimeouts, 0).counter(Counter::kTCPSackRecovery, 2);
}

// §6.3: a timeout takes the first segment and what is older than the window for lost, and not what has just
// left.
LADDER_TEST(Rfc8985, ATimeoutSparesWhatHasJustLeft_6_3) {
  LadderOptions options = ladder_reno();
  options.settings = [](tcp::Settings& s) {
    s.tcp_congestion_control = tcp::CongestionControl::kReno;
    s.tcp_early_retrans = 0;
  };
  Ladder l(variant, options);
  ladder_opened(l).app_sends(2 * kLadderMss).whatever().after(280_ms).app_sends(2 * kLadderMss).whatever();
  l.sends_within(30_ms, ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).lost, 4u - 2u) << l.text();
}

// §7.2: "If RTT has not been measured": the probe waits for a second.
LADDER_TEST(Rfc8985, WithoutARoundTripTheProbeWaitsASecond_7_2) {
  Ladder l(variant, ladder_reno());
  In syn{.flags = SYN, .seq = 0, .window = 32'000, .mss = kLadderMss, .wscale = 7, .sack_permitted = true};
  l.app_listens().receives(syn).sends({.flags = SYN | ACK}).whatever();
  // The SYN-ACK is lost, so its round trip is ambiguous.
  l.sends_within(1100_ms, {.flags = SYN | ACK}).after(50_ms).receives({.seq = 1, .ack = 1, .window = 1000});
  l.app_accepts().app_sends(2 * kLadderMss).whatever().silent_for(980_ms);
  l.sends_within(2100_ms, {}).whatever();
}

// §7.2: the probe never comes behind the timeout.
LADDER_TEST(Rfc8985, TheTimeoutGoesBeforeALaterProbe_7_2) {
  LadderOptions options = ladder_reno();
  options.settings = [](tcp::Settings& s) {
    s.tcp_congestion_control = tcp::CongestionControl::kReno;
    s.tcp_rto_min = 10_ms;
  };
  Ladder l(variant, options);
  // Many even round trips: the timeout comes down to SRTT and a little.
  ladder_opened(l);
  std::int64_t at = 1;
  for (int i = 0; i < 30; ++i, at += 2000) {
    l.app_sends(2 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(at + 2000)).whatever();
  }
  ASSERT_LT(ladder_info(l).rto, 180_ms);
  l.app_sends(2 * kLadderMss).whatever();
  const Duration timeout = ladder_info(l).rto;
  l.sends_within(timeout + Ladder::kSlack, {}).whatever();
}

// §7.3: one probe, then the timeout; nothing is probed twice.
LADDER_TEST(Rfc8985, OneProbeUntilItIsAnswered_7_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(4 * kLadderMss).whatever().sends_within(220_ms, ladder_segment(3001));
  l.sends_within(1_s, ladder_segment(1)).whatever().counter(Counter::kTCPLossProbes, 1);
  l.counter(Counter::kTCPTimeouts, 1);
}

// §7.3: not while recovery is on, which asks for acknowledgements itself.
LADDER_TEST(Rfc8985, NoProbeInRecovery_7_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(10 * kLadderMss).whatever().after(kLadderRtt);
  l.receives(ladder_ack(1, {{1001, 4001}})).sends(ladder_segment(1)).silent_for(250_ms);
  l.counter(Counter::kTCPLossProbes, 0);
}

// §7.4.1: without a DSACK and with an acknowledgement beyond the probe, its loss was repaired: that is
// congestion.
LADDER_TEST(Rfc8985, ARepairByTheProbeIsAnsweredAsALoss_7_4_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l).app_sends(4 * kLadderMss).whatever().sends_within(220_ms, ladder_segment(3001));
  l.after(kLadderRtt).receives(ladder_ack(4001)).app_sends(kLadderMss).sends(ladder_segment(4001));
  l.after(kLadderRtt).receives(ladder_ack(5001)).sends_nothing().counter(Counter::kTCPLossProbeRecovery, 1);
  EXPECT_EQ(ladder_info(l).snd_cwnd, 5u);
}

}  // namespace
}  // namespace synfin::protocol_test
