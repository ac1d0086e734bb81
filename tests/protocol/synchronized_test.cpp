// SPDX-License-Identifier: Apache-2.0
//
// Segments that are wrong for an open connection, in every synchronized state: RFC 9293 §3.10.7.4 steps one
// to six, §3.5.2 group 3, RFC 5961.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

constexpr std::int64_t kFarOutside = 0x4000'0000;

// Second, check 2: exactly RCV.NXT: the connection is reset, the user told (MUST-12; attack R11: even after
// EOF).
// RFC 9293: MUST-12.
LADDER_TEST(Reset, ExactResetEndsEveryState) {
  for (const State s : kConnectionStates) {
    for (const std::uint8_t flags : {RST, static_cast<std::uint8_t>(RST | ACK)}) {
      Ladder l(variant);
      l.brought_to(s).no_event(kFailed);
      l.receives({.flags = flags, .seq = l.peer_next(), .ack = l.stack_next()})
          .reason(Reason::kReset)
          .sends_nothing();
      l.state(State::kClosed).event(kFailed).failure(Error::kReset).wakes_never();
      l.app_send_fails(Error::kReset);
      l.app_closes().sends_nothing().population(0, 0, 0);
    }
  }
}

// SHLD-2: a reset may carry data.
// RFC 9293: SHLD-2.
LADDER_TEST(Reset, ResetMayCarryData) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = RST, .seq = 1, .len = 30}).sends_nothing().state(State::kClosed);
  l.event(kFailed).failure(Error::kReset);
}

// The program may still read what had arrived in order before the reset, then learns of it (contract of
// `receive`).
LADDER_TEST(Reset, DataBeforeTheResetCanBeRead) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 30}).whatever();
  l.receives({.flags = RST, .seq = 31}).whatever().event(kFailed).app_reads(30).app_read_fails(Error::kReset);
}

// Second, check 3: in the window, not exact: challenge ACK, and nothing happens (RFC 5961 §3; attack D2).
LADDER_TEST(Reset, InexactResetIsChallenged) {
  for (const State s : kConnectionStates) {
    for (const std::int64_t off : {1, 1000}) {
      Ladder l(variant);
      l.brought_to(s).receives({.flags = RST, .seq = l.peer_next() + off}).reason(Reason::kResetChallenged);
      l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0}).sends_nothing();
      l.state(s).no_event(kFailed);
    }
  }
}

// Second, check 1: outside the window: silently dropped.
LADDER_TEST(Reset, ResetOutsideTheWindowIsDropped) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    for (const std::int64_t off : {std::int64_t{-1}, std::int64_t{-1000}, kFarOutside}) {
      l.receives({.flags = RST, .seq = l.peer_next() + off})
          .reason(Reason::kOutOfWindowReset)
          .sends_nothing()
          .state(s);
    }
    l.no_event(kFailed);
  }
}

// Figure 10: the peer has forgotten the connection.
LADDER_TEST(Reset, HalfOpenConnectionIsFoundOutByData) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).sends({.seq = 1, .ack = 1, .len = 10});
  l.receives({.flags = RST, .seq = 1}).sends_nothing().event(kFailed).failure(Error::kReset).wakes_never();
}

// Fourth: a SYN, "irrespective of the sequence number": challenge ACK (RFC 5961 §4; Figure 9 lines 3 to 5).
LADDER_TEST(SynOnOpenConnection, IsChallengedInEveryState) {
  for (const State s : kConnectionStates) {
    for (const std::int64_t off :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{5000}, kFarOutside}) {
      for (const std::uint8_t more : {std::uint8_t{0}, ACK}) {
        Ladder l(variant);
        l.brought_to(s);
        l.receives({.flags = static_cast<std::uint8_t>(SYN | more),
                    .seq = l.peer_next() + off,
                    .ack = l.stack_next()});
        l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0}).sends_nothing();
        l.state(s).no_event(kFailed);
      }
    }
  }
}

// Figure 9 whole: the peer that restarted answers the challenge with an exact reset, and then opens anew.
LADDER_TEST(SynOnOpenConnection, RestartedPeerResetsAndOpensAnew) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = SYN, .seq = 70'000, .mss = 1460});
  l.sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0});
  l.receives({.flags = RST, .seq = 1}).event(kFailed).state(State::kClosed);
  l.peer_restarts(70'000)
      .receives({.flags = SYN, .seq = 0, .mss = 1460})
      .sends({.flags = SYN | ACK, .ack = 1});
}

// RFC 5961 §7 and attack D1: the limit is the connection's own.
LADDER_TEST(SynOnOpenConnection, ChallengesAreLimitedPerSecond) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_challenge_ack_limit = 5; }});
  l.opened_passively();
  std::size_t challenges = 0;
  for (int i = 0; i < 50; ++i) challenges += l.receives({.flags = SYN, .seq = 9}).take_all().size();
  EXPECT_GE(challenges, 1u) << l.text();
  EXPECT_LE(challenges, 10u) << l.text();  // 5 a second, perhaps two periods
  l.reason(Reason::kChallengeLimited);
  l.after(2_s).receives({.flags = SYN, .seq = 9}).sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0});
}

// First: an unacceptable segment gets <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK> and is dropped.
LADDER_TEST(SequenceCheck, SegmentOutsideTheWindowIsAcknowledged) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    for (const std::uint32_t len : {0u, 1u, 1000u}) {
      for (const std::int64_t off : {-2000, -1001, -1000}) {
        if (len == 0 && off == -1000) continue;
        l.receives({.seq = l.peer_next() + off,
                    .ack = l.stack_next() - (s == State::kEstablished ? 0 : 1),
                    .len = len});
        l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0})
            .sends_nothing()
            .state(s);
        l.after(1_s).whatever();
      }
      l.receives({.seq = l.peer_next() + kFarOutside, .ack = l.stack_next(), .len = len})
          .reason(Reason::kOutOfWindow);
      l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0}).sends_nothing().state(s);
      l.after(1_s).whatever();
    }
    // Not even the ACK of a FIN counts there.
  }
}

// The window's edges, exactly (Table 6): the last octet inside is taken, the first one outside is not.
LADDER_TEST(SequenceCheck, RightEdgeIsExact) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 16384;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively();
  l.receives({.seq = -10, .ack = 1});
  const auto probe = l.take_all();
  ASSERT_EQ(probe.size(), 1u) << l.text();
  const std::int64_t edge = std::int64_t{probe[0].tcp.window.field} + 1;  // RCV.NXT + RCV.WND
  l.receives({.seq = edge, .ack = 1, .len = 1}).reason(Reason::kOutOfWindow).sends({.flags = ACK, .ack = 1});
  l.receives({.seq = edge - 1, .ack = 1, .len = 1})
      .reason(Reason::kDataOutOfOrder)
      .sends({.flags = ACK, .ack = 1});
  // Straddling the edge: the part inside counts.
  l.receives({.seq = edge - 3, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 1});
}

// Fifth: "if the ACK bit is off, drop the segment and return".
LADDER_TEST(AckCheck, SegmentWithoutAckIsDropped) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    l.receives({.flags = PSH, .seq = l.peer_next(), .len = 10})
        .reason(Reason::kNoAck)
        .sends_nothing()
        .state(s);
    l.receives({.flags = FIN, .seq = l.peer_next()}).reason(Reason::kNoAck).sends_nothing().state(s);
  }
}

// Fifth: "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK, drop the segment, and
// return." Nothing else in the segment counts: no text, no FIN (attack R10), no window.
LADDER_TEST(AckCheck, AckOfUnsentDataIsAnsweredAndDropped) {
  for (const State s : kConnectionStates) {
    for (const std::int64_t beyond : {std::int64_t{1}, std::int64_t{1000}, kFarOutside}) {
      Ladder l(variant);
      l.brought_to(s);
      l.receives({.flags = FIN | ACK, .seq = l.peer_next(), .ack = l.stack_next() + beyond, .len = 5});
      l.reason(Reason::kAckOfUnsent);
      l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0}).sends_nothing().state(s);
    }
  }
}

// RFC 5961 §5.2 (MAY-12): acceptable only from SND.UNA - MAX.SND.WND on (attack E8).
// RFC 9293: MAY-12.
LADDER_TEST(AckCheck, AckTooOldIsAnsweredAndDropped) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.seq = 1, .ack = 1 - 65535 - 1, .len = 5}).reason(Reason::kAckTooOld);
  l.sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0}).sends_nothing().app_read_fails(Error::kWouldBlock);
  l.receives({.seq = 1, .ack = 1 - kFarOutside, .len = 5}).reason(Reason::kAckTooOld).whatever();
  l.app_read_fails(Error::kWouldBlock);
}

// "If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored", its text not.
LADDER_TEST(AckCheck, OldAckWithNewDataIsTaken) {
  Ladder l(variant);
  l.opened_passively()
      .app_sends(100)
      .sends({.seq = 1, .len = 100})
      .receives({.seq = 1, .ack = 101})
      .sends_nothing();
  l.receives({.seq = 1, .ack = 51, .len = 20})
      .app_reads(20)
      .sends_within(40_ms, {.flags = ACK, .seq = 101, .ack = 21});
}

// Sixth: URG is tolerated; the octet stays in the stream (MUST-30 is about the interface; attacks D13 to
// D15).
LADDER_TEST(Urgent, UrgentDataStaysInTheStream) {
  for (const int pointer : {0, 1, 5, 11, 0xffff}) {
    Ladder l(variant);
    l.opened_passively().receives({.flags = ACK | URG | PSH,
                                   .seq = 1,
                                   .ack = 1,
                                   .len = 10,
                                   .urgent_pointer = static_cast<std::uint16_t>(pointer)});
    l.app_reads(10).sends_within(40_ms, {.flags = ACK, .ack = 11});
    l.receives(
        {.flags = ACK | URG, .seq = 11, .ack = 1, .urgent_pointer = static_cast<std::uint16_t>(pointer)});
    l.whatever().state(State::kEstablished);
  }
}

// "This should not occur since a FIN has been received … Ignore the segment text." (and the URG).
LADDER_TEST(AfterPeersFin, TextIsIgnored) {
  for (const State s : {State::kCloseWait, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s);
    l.receives({.flags = ACK | URG | PSH, .seq = l.peer_next(), .ack = 1, .len = 10, .urgent_pointer = 3});
    EXPECT_LE(l.take_all().size(), 1u) << l.text();
    l.state(s).app_reads_end();
    // RCV.NXT did not move.
    l.after(1_s).whatever();
    l.receives({.seq = l.peer_next() - 5, .ack = 1, .len = 1})
        .sends({.flags = ACK, .ack = l.peer_next(), .len = 0});
  }
}

// Eighth: CLOSE-WAIT, CLOSING, LAST-ACK remain; the FIN is acknowledged again.
LADDER_TEST(AfterPeersFin, FinAgainIsAcknowledgedAgain) {
  for (const State s : {State::kCloseWait, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s).receives({.flags = FIN | ACK, .seq = 1, .ack = 1});
    l.sends({.flags = ACK, .seq = l.stack_next(), .ack = 2, .len = 0}).sends_nothing().state(s);
  }
}

// Attack D21: two ends that each think the other is out of window must not answer each other for ever; a pure
// ACK outside the window is answered, so the limit has to come from somewhere. One answer for each segment at
// most.
LADDER_TEST(SequenceCheck, NeverMoreThanOneAnswerForASegment) {
  for (const State s : kConnectionStates) {
    Ladder l(variant);
    l.brought_to(s);
    for (int i = 0; i < 30; ++i) {
      l.receives({.seq = l.peer_next() - 7, .ack = l.stack_next() - 1});
      EXPECT_LE(l.take_all().size(), 1u) << l.text();
    }
  }
}

}  // namespace
}  // namespace synfin::protocol_test
