// SPDX-License-Identifier: Apache-2.0
//
// Retransmission: RFC 9293 §3.8.1, §3.8.3, RFC 6298, fast retransmit and NewReno (RFC 5681 §3.2, RFC 6582),
// keep-alive.
#include <algorithm>

#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

std::uint32_t full(const Ladder& l) {
  return std::min(1460u, l.own_mss());
}

// A handshake with a round trip of `rtt`, so that the timeout has a sample.
Ladder& opened_with_rtt(Ladder& l, Duration rtt) {
  l.brought_to(State::kSynSent).at(rtt).receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460});
  return l.sends({.flags = ACK, .seq = 1, .ack = 1});
}

// RFC 6298 (2.2) and §3: the handshake is the first round trip that can be measured, at both ends.
LADDER_TEST(RetransmissionTimeout, HandshakeGivesAPassiveOpenItsFirstSample) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived).at(100_ms).receives({.seq = 1, .ack = 1}).app_accepts();
  l.app_sends(100).sends({.seq = 1, .len = 100}).sends_within(300_ms, {.seq = 1, .len = 100});
}

LADDER_TEST(RetransmissionTimeout, HandshakeGivesAnActiveOpenItsFirstSample) {
  Ladder l(variant);
  opened_with_rtt(l, 100_ms).app_sends(100).sends({.seq = 1, .len = 100});
  l.sends_within(300_ms, {.seq = 1, .len = 100});
}

// RFC 6298 (2.3), (5.1), (5.4), (5.5), (5.6): the round trip and 200 ms at least, doubled each time.
// RFC 9293: MUST-19.
LADDER_TEST(RetransmissionTimeout, DoublesFromTheMinimum) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100});
  Duration at = l.time();
  Duration rto = 201_ms;  // SRTT 1 ms
  for (int i = 0; i < 8; ++i) {
    at += rto;
    l.wakes_by(at).at(at).sends({.flags = ACK, .seq = 1, .ack = 1, .len = 100}).sends_nothing();
    at = l.time();
    rto = rto * 2;
  }
  l.receives({.seq = 1, .ack = 101}).silent_for(200_s).counter(Counter::kTCPTimeouts, 8);
}

// RFC 6298 (2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, FollowsTheFirstSample) {
  Ladder l(variant);
  opened_with_rtt(l, 200_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100});
  // SRTT 200, RTTVAR 100: 600 ms.
  l.silent_for(580_ms).after(20_ms).sends({.seq = 1, .len = 100});
}

// RFC 6298 (2.3): RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT = 7/8 SRTT + 1/8 R'.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, FollowsFurtherSamples) {
  Ladder l(variant);
  opened_with_rtt(l, 400_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100}).after(400_ms).receives({.seq = 1, .ack = 101});
  // SRTT 400, RTTVAR 150: 1000 ms.
  l.app_sends(100).sends({.seq = 101, .len = 100});
  l.silent_for(980_ms).after(20_ms).sends({.seq = 101, .len = 100}).receives({.seq = 1, .ack = 201});
}

// RFC 6298 (2.3): RTO = SRTT + max(G, 4 * RTTVAR), with tcp_rto_min in the place of G: where the round trip
// does not vary there is still room for a delayed ACK.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, LeavesRoomForADelayedAckOnAnEvenPath) {
  Ladder l(variant);
  opened_with_rtt(l, 300_ms);
  std::int64_t seq = 1;
  for (int i = 0; i < 12; ++i, seq += 100) {
    l.app_sends(100).sends({.seq = seq, .len = 100}).after(300_ms).receives({.seq = 1, .ack = seq + 100});
  }
  // SRTT 300, RTTVAR 5: 500 ms.
  l.app_sends(100).sends({.seq = seq, .len = 100});
  l.silent_for(490_ms).after(10_ms).sends({.seq = seq, .len = 100}).receives({.seq = 1, .ack = seq + 100});
  l.counter(Counter::kTCPTimeouts, 1);
  Ladder m(variant);
  opened_with_rtt(m, 300_ms);
  for (seq = 1; seq < 1200; seq += 100) {
    m.app_sends(100).sends({.seq = seq, .len = 100}).after(300_ms).receives({.seq = 1, .ack = seq + 100});
  }
  m.app_sends(100).sends({.seq = seq, .len = 100}).silent_for(480_ms).receives({.seq = 1, .ack = seq + 100});
  m.silent_for(100_s).counter(Counter::kTCPTimeouts, 0);
}

// RFC 6298 (2.1): one second before there is a sample; (5.7): three once the SYN's own timer has run out.
LADDER_TEST(RetransmissionTimeout, IsThreeSecondsAfterALostHandshakeSegment) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived).at(1_s).sends({.flags = SYN | ACK});
  l.at(1100_ms).receives({.seq = 1, .ack = 1}).app_accepts().app_sends(100).sends({.seq = 1, .len = 100});
  l.silent_for(2900_ms).sends_within(100_ms, {.seq = 1, .len = 100});
  Ladder m(variant);
  m.brought_to(State::kSynSent).at(1_s).sends({.flags = SYN});
  m.at(1100_ms).receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460}).sends({.flags = ACK});
  m.app_sends(100)
      .sends({.seq = 1, .len = 100})
      .silent_for(2900_ms)
      .sends_within(100_ms, {.seq = 1, .len = 100});
}

// (5.3): an ACK of new data restarts the timer; (5.2): the last one stops it.
LADDER_TEST(RetransmissionTimeout, NewAckRestartsTheTimer) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(2 * full(l)).sends({.len = full(l)}).sends({.len = full(l)});
  const Duration sent = l.time();
  l.at(sent + 150_ms).receives({.seq = 1, .ack = 1 + full(l)}).sends_nothing();
  const auto rto = l.stack().status(l.connection());
  ASSERT_TRUE(rto);
  l.silent_for(150_ms).sends_within(1_s, {.seq = 1 + full(l), .len = full(l)});
  l.receives({.seq = 1, .ack = 1 + 2 * std::int64_t{full(l)}}).wakes_never();
}

// Karn (RFC 6298 §3): no sample from what was sent twice; §5: the backed-off timeout stays until there is
// one.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, KarnKeepsTheBackedOffTimeout) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100});
  l.after(201_ms).sends({.seq = 1, .len = 100}).after(402_ms).sends({.seq = 1, .len = 100});
  l.after(10_ms).receives({.seq = 1, .ack = 101});
  l.app_sends(100).sends({.seq = 101, .len = 100});
  // 804 ms stood when the ACK came: "the RTO … back down" only by a measurement of new data.
  l.silent_for(700_ms).sends_within(110_ms, {.seq = 101, .len = 100});
}

// Nor from what was sent once, but whose acknowledgement waited for what was sent twice.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, KarnTakesNoSampleFromBehindAHole) {
  Ladder l(variant);
  opened_with_rtt(l, 10_ms).app_sends(2 * full(l)).sends({.len = full(l)}).sends({.len = full(l)});
  l.after(210_ms).sends({.seq = 1, .len = full(l)}).after(420_ms).sends({.seq = 1, .len = full(l)});
  l.after(10_ms).receives({.seq = 1, .ack = 1 + 2 * std::int64_t{full(l)}});
  const auto status = l.stack().status(l.connection());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->smoothed_rtt.ms(), 10) << l.text();
  EXPECT_EQ((status->retransmission_timeout + 500_us).ms(), 840) << l.text();
}

// … and then it collapses.
// RFC 9293: MUST-18.
LADDER_TEST(RetransmissionTimeout, FreshSampleCollapsesTheBackoff) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100}).after(201_ms).sends({.seq = 1, .len = 100});
  l.after(1_ms).receives({.seq = 1, .ack = 101});
  l.app_sends(100).sends({.seq = 101, .len = 100}).after(1_ms).receives({.seq = 1, .ack = 201});
  l.app_sends(100).sends({.seq = 201, .len = 100});
  l.silent_for(190_ms).after(11_ms).sends({.seq = 201, .len = 100});
}

// With timestamps what was sent twice can be measured (RFC 7323 §4.1).
LADDER_TEST(RetransmissionTimeout, TimestampsMeasureRetransmissions) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.app_listens().receives(
      {.flags = SYN, .seq = 0, .mss = 1460, .ts = wire::Timestamps{.value = l.peer_tsval()}});
  l.sends({.flags = SYN | ACK}).receives({.seq = 1, .ack = 1}).app_accepts();
  l.app_sends(100).sends({.seq = 1, .len = 100}).after(200_ms).sends({.seq = 1, .len = 100});
  l.after(10_ms).receives({.seq = 1, .ack = 101});
  l.app_sends(100)
      .sends({.seq = 101, .len = 100})
      .silent_for(150_ms)
      .sends_within(150_ms, {.seq = 101, .len = 100});
}

// Only the earliest segment at first (RFC 6298 (5.4)), the rest as the ACKs come (RFC 5681 §3.1: the window
// is one).
LADDER_TEST(RetransmissionTimeout, SendsTheEarliestSegmentOnly) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(5 * full(l)).whatever().after(201_ms).sends({.seq = 1, .len = full(l)}).sends_nothing();
  l.after(5_ms).receives({.seq = 1, .ack = 1 + full(l)});
  const auto next = l.take_all();
  ASSERT_GE(next.size(), 1u) << l.text();
  EXPECT_LE(next.size(), 2u) << l.text();
  EXPECT_EQ(next[0].tcp.seq.raw(), l.stack_iss() + 1 + full(l)) << l.text();
}

// What has arrived behind the hole need not be sent again: the ACK jumps.
LADDER_TEST(RetransmissionTimeout, CumulativeAckEndsIt) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(5 * full(l)).whatever().after(201_ms).sends({.seq = 1, .len = full(l)});
  l.receives({.seq = 1, .ack = 1 + 5 * std::int64_t{full(l)}}).sends_nothing().silent_for(100_s);
}

// §3.8.3, tcp_retries2: then the program is told (MUST-20 R2).
LADDER_TEST(RetransmissionTimeout, GivesUpAfterRetries2) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_retries2 = 3; }});
  opened_with_rtt(l, 1_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100});
  l.after(201_ms).sends({.seq = 1}).after(402_ms).sends({.seq = 1}).after(804_ms).sends({.seq = 1});
  l.state(State::kEstablished).no_event(kFailed).after(1608_ms + Ladder::kSlack).whatever();
  l.state(State::kClosed).event(kFailed).failure(Error::kTimedOut).wakes_never();
  l.counter(Counter::kTCPAbortOnTimeout, 1).app_closes().population(0, 0, 0);
}

// §3.8.3 (3): the program may say how long; RFC 5482.
// RFC 9293: MUST-21.
LADDER_TEST(RetransmissionTimeout, UserTimeoutEndsIt) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 5_s}, l.now()));
  l.app_sends(100).sends({.seq = 1, .len = 100});
  for (int i = 0; i < 45; ++i) l.after(100_ms).whatever().state(State::kEstablished);
  for (int i = 0; i < 45; ++i) l.after(100_ms).whatever();
  l.state(State::kClosed).event(kFailed).failure(Error::kTimedOut);
}

// The timeout never exceeds 120 s.
LADDER_TEST(RetransmissionTimeout, IsBoundedByItsMaximum) {
  Ladder l(variant);
  opened_with_rtt(l, 1_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100});
  Duration rto = 201_ms;  // SRTT 1 ms
  for (int i = 0; i < 13; ++i) {
    l.after(rto).sends({.seq = 1, .len = 100});
    rto = std::min(rto * 2, 120_s);
  }
}

// RFC 5681 §3.2: the third duplicate, not the second.
LADDER_TEST(FastRetransmit, ThirdDuplicateAckResendsTheHole) {
  Ladder l(variant);
  opened_with_rtt(l, 10_ms);
  l.app_sends(5 * full(l)).whatever().after(10_ms);
  l.receives({.seq = 1, .ack = 1}).reason(Reason::kDuplicateAck).sends_nothing();
  l.receives({.seq = 1, .ack = 1}).sends_nothing();
  l.receives({.seq = 1, .ack = 1}).sends({.flags = ACK, .seq = 1, .len = full(l)}).sends_nothing();
  l.counter(Counter::kTCPFastRetrans, 1);
  l.receives({.seq = 1, .ack = 1 + 5 * std::int64_t{full(l)}}).sends_nothing().silent_for(100_s);
}

// RFC 5681 §2: a duplicate ACK carries no data, changes no window, and something is outstanding.
LADDER_TEST(FastRetransmit, OtherAcksAreNoDuplicates) {
  Ladder l(variant);
  opened_with_rtt(l, 10_ms);
  l.app_sends(5 * full(l)).whatever();
  for (std::uint16_t i = 1; i <= 6; ++i) {
    l.receives({.seq = 1, .ack = 1, .window = static_cast<std::uint16_t>(60'000 + i)}).sends_nothing();
  }
  for (std::int64_t i = 0; i < 6; ++i) {
    l.receives({.seq = 1 + 10 * i, .ack = 1, .len = 10, .window = 60'006});
    for (const auto& p : l.take_all()) ASSERT_EQ(p.payload_size, 0u) << l.text();
  }
}

LADDER_TEST(FastRetransmit, NothingOutstandingNothingSent) {
  Ladder l(variant);
  l.opened_passively();
  for (int i = 0; i < 6; ++i) l.receives({.seq = 1, .ack = 1}).sends_nothing();
}

// RFC 6582 §3.2: a partial ACK shows the next hole, which is filled at once.
LADDER_TEST(FastRetransmit, PartialAckResendsTheNextHole) {
  Ladder l(variant);
  opened_with_rtt(l, 10_ms);
  const std::int64_t mss = full(l);
  l.app_sends(6 * full(l)).whatever().after(10_ms);
  l.receives({.seq = 1, .ack = 1}).receives({.seq = 1, .ack = 1}).receives({.seq = 1, .ack = 1});
  l.sends({.seq = 1, .len = full(l)}).sends_nothing();
  l.after(10_ms)
      .receives({.seq = 1, .ack = 1 + 2 * mss})
      .sends({.seq = 1 + 2 * mss, .len = full(l)})
      .sends_nothing();
  l.after(10_ms).receives({.seq = 1, .ack = 1 + 6 * mss}).sends_nothing().silent_for(100_s);
  l.counter(Counter::kTCPTimeouts, 0);
}

// RFC 5681 §3.2 step 3: half of what was in flight remains.
LADDER_TEST(FastRetransmit, HalvesTheCongestionWindow) {
  Ladder l(variant,
           {.settings = [](tcp::Settings& s) { s.tcp_congestion_control = tcp::CongestionControl::kReno; }});
  opened_with_rtt(l, 10_ms);
  const std::int64_t mss = full(l);
  l.app_sends(40 * full(l)).whatever().after(10_ms);  // ten are in flight
  for (int i = 0; i < 3; ++i) l.receives({.seq = 1, .ack = 1}).whatever();
  l.whatever().receives({.seq = 1, .ack = 1 + 10 * mss}).whatever();
  const auto status = l.stack().status(l.connection());
  ASSERT_TRUE(status);
  EXPECT_LE(status->congestion_window, 7 * full(l)) << l.text();
  EXPECT_GE(status->congestion_window, 2 * full(l)) << l.text();
}

// The contract of `next_deadline`: when `advance` is due, "rounded by at most the wheel's tick". An embedder
// that sleeps until then wakes once for a timer.
LADDER_TEST(Deadline, IsTheTimersOwn) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  EXPECT_GE(l.stack().next_deadline(), l.now() + 990_ms) << "one SYN-ACK timer of 1 s runs";
  EXPECT_LE(l.stack().next_deadline(), l.now() + 1000_ms + Ladder::kSlack);
}

// Keep-alive: off by default (MUST-25); two hours (MUST-28); nine probes 75 s apart, then the end.
// RFC 9293: MUST-25.
LADDER_TEST(KeepAlive, IsOffByDefault) {
  Ladder l(variant);
  l.opened_passively().silent_for(86'400_s * 10).state(State::kEstablished).wakes_never();
}

// RFC 9293: MAY-5, MUST-28, MUST-29.
LADDER_TEST(KeepAlive, ProbesAndGivesUp) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
  l.at(7200_s);
  for (int i = 0; i < 9; ++i) {
    l.sends({.flags = ACK, .seq = 0, .ack = 1}).sends_nothing().state(State::kEstablished).after(75_s);
  }
  l.after(Ladder::kSlack)
      .whatever()
      .state(State::kClosed)
      .event(kFailed)
      .failure(Error::kTimedOut)
      .wakes_never();
}

// What is counted in an octet must end all the same.
LADDER_TEST(KeepAlive, MoreProbesThanAreCountedAreTheMostThatAre) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(
      l.connection(),
      {.keepalive = true, .keepalive_time = 100_s, .keepalive_interval = 1_s, .keepalive_probes = 1000},
      l.now()));
  l.after(100_s + 300_s).whatever().state(State::kClosed).failure(Error::kTimedOut).wakes_never();
  l.counter(Counter::kTCPKeepAlive, 255);
}

LADDER_TEST(SynRetries, MoreThanAreCountedAreTheMostThatAre) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_rto_max = 1_s; }});
  l.app_connects().whatever();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.syn_retries = 1000}, l.now()));
  l.after(300_s).whatever().state(State::kClosed).failure(Error::kTimedOut).wakes_never();
  l.counter(Counter::kTCPSynRetrans, 255);
}

LADDER_TEST(KeepAlive, AnswerKeepsItAlive) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
  l.at(7200_s).sends({.flags = ACK, .seq = 0}).after(1_s).receives({.seq = 1, .ack = 1}).sends_nothing();
  l.silent_for(7100_s).sends_within(110_s, {.flags = ACK, .seq = 0});
}

// The other side's probe is answered (§3.8.4): SEG.SEQ = RCV.NXT - 1.
LADDER_TEST(KeepAlive, ProbeIsAnswered) {
  for (const std::uint32_t len : {0u, 1u}) {
    Ladder l(variant);
    l.opened_passively()
        .receives({.seq = 1, .ack = 1, .len = 1})
        .app_reads(1)
        .sends_within(40_ms, {.ack = 2});
    l.receives({.seq = 1, .ack = 1, .len = len})
        .sends({.flags = ACK, .seq = 1, .ack = 2, .len = 0})
        .sends_nothing();
  }
}

}  // namespace
}  // namespace synfin::protocol_test
