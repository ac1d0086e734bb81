// SPDX-License-Identifier: Apache-2.0
//
// Closing: RFC 9293 §3.6, §3.6.1, §3.10.4, §3.10.5 and the FIN steps of §3.10.7.4.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

// Figure 12, left side: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, 2 MSL, CLOSED.
// RFC 9293: MUST-13.
LADDER_TEST(ActiveClose, FourSegmentsAndTwoMsl) {
  Ladder l(variant);
  l.opened_passively().app_shuts_down(Shutdown::kSend);
  l.sends({.flags = FIN | ACK, .seq = 1, .ack = 1, .len = 0}).sends_nothing().state(State::kFinWait1);
  l.at(10_ms).receives({.seq = 1, .ack = 2}).reason(Reason::kFinAcknowledged).sends_nothing();
  l.state(State::kFinWait2).event(kSendClosed);
  l.at(20_ms).receives({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0})
      .sends_nothing()
      .state(State::kTimeWait)
      .event(kPeerClosed);
  l.app_reads_end().app_closes().sends_nothing().population(0, 0, 1);
  l.wakes_by(60'020_ms).at(60'000_ms).state(State::kTimeWait);
  l.at(60'020_ms + Ladder::kSlack).sends_nothing().state(State::kClosed).population(0, 0, 0).wakes_never();
}

// The same with CLOSE: the handle is gone at once, the stack does the rest alone.
// RFC 9293: MAY-1.
LADDER_TEST(ActiveClose, CloseLetsTheStackFinish) {
  Ladder l(variant);
  l.opened_actively().app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 1}).state(State::kFinWait1);
  const auto status = l.stack().status(l.connection());
  ASSERT_FALSE(status) << l.text();
  EXPECT_EQ(status.error(), Error::kInvalidHandle);
  l.receives({.seq = 1, .ack = 2}).sends_nothing().state(State::kFinWait2);
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2})
      .sends({.flags = ACK, .seq = 2, .ack = 2})
      .state(State::kTimeWait);
  l.population(0, 0, 1);
}

// One FIN+ACK from the peer makes it three segments: FIN-WAIT-1 to TIME-WAIT ("perhaps in this segment").
LADDER_TEST(ActiveClose, ThreeSegments) {
  Ladder l(variant);
  l.brought_to(State::kFinWait1).receives({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0}).sends_nothing().state(State::kTimeWait);
  l.event(kSendClosed | kPeerClosed);
}

// Figure 12, right side: CLOSE-WAIT, LAST-ACK, CLOSED, and no TIME-WAIT.
// RFC 9293: MUST-12.
LADDER_TEST(PassiveClose, FourSegments) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = FIN | ACK, .seq = 1, .ack = 1}).reason(Reason::kFinReceived);
  l.sends({.flags = ACK, .seq = 1, .ack = 2, .len = 0}).sends_nothing().state(State::kCloseWait);
  l.event(kPeerClosed).app_reads_end();
  l.at(10_ms).app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 0}).state(State::kLastAck);
  l.at(20_ms)
      .receives({.seq = 2, .ack = 2})
      .reason(Reason::kFinAcknowledged)
      .sends_nothing()
      .state(State::kClosed);
  l.population(0, 0, 0).wakes_never();
}

// Figure 13: FIN-WAIT-1, CLOSING, TIME-WAIT.
LADDER_TEST(SimultaneousClose, CrossingFins) {
  Ladder l(variant);
  l.brought_to(State::kFinWait1).receives({.flags = FIN | ACK, .seq = 1, .ack = 1});
  l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0})
      .sends_nothing()
      .state(State::kClosing)
      .event(kPeerClosed);
  l.at(10_ms).receives({.seq = 2, .ack = 2}).sends_nothing().state(State::kTimeWait).event(kSendClosed);
  l.app_closes()
      .wakes_by(60'010_ms)
      .at(60'010_ms + Ladder::kSlack)
      .sends_nothing()
      .state(State::kClosed)
      .wakes_never();
}

// §3.10.7.4 fifth, CLOSING: "if the ACK acknowledges our FIN, then enter the TIME-WAIT state; otherwise,
// ignore".
LADDER_TEST(SimultaneousClose, OtherAckInClosingIsIgnored) {
  Ladder l(variant);
  l.brought_to(State::kClosing).receives({.seq = 2, .ack = 1}).state(State::kClosing);
  l.whatever().receives({.seq = 2, .ack = 2}).state(State::kTimeWait);
}

// §3.6.1: "a host is permitted to continue sending data in the open direction". Ours shut, theirs open:
LADDER_TEST(HalfClose, DataFlowsInAfterOurFin) {
  for (const State s : {State::kFinWait1, State::kFinWait2}) {
    Ladder l(variant);
    l.brought_to(s).receives({.seq = 1, .ack = 2, .len = 100}).app_reads(100);
    l.sends_within(40_ms, {.flags = ACK, .seq = 2, .ack = 101, .len = 0}).state(State::kFinWait2);
    l.receives({.seq = 101, .ack = 2, .len = 1460}).whatever().receives({.seq = 1561, .ack = 2, .len = 1460});
    l.sends_within(40_ms, {.flags = ACK, .seq = 2, .ack = 3021})
        .app_reads(2920)
        .app_send_fails(Error::kClosing);
    l.after(200_s).state(State::kFinWait2);  // the program has not closed, so tcp_fin_timeout does not count
    l.receives({.flags = FIN | ACK, .seq = 3021, .ack = 2, .len = 7})
        .sends({.flags = ACK, .seq = 2, .ack = 3029});
    l.app_reads(7).app_reads_end().state(State::kTimeWait);
  }
}

// Theirs shut, ours open:
LADDER_TEST(HalfClose, DataFlowsOutAfterThePeersFin) {
  Ladder l(variant);
  l.brought_to(State::kCloseWait)
      .app_reads_end()
      .app_sends(500)
      .sends({.flags = ACK, .seq = 1, .ack = 2, .len = 500});
  l.receives({.seq = 2, .ack = 501}).sends_nothing().after(100_s).state(State::kCloseWait);
  l.app_sends(600)
      .sends({.seq = 501, .ack = 2, .len = 600})
      .receives({.seq = 2, .ack = 1101})
      .sends_nothing();
  l.app_closes().sends({.flags = FIN | ACK, .seq = 1101, .ack = 2}).state(State::kLastAck);
  l.receives({.seq = 2, .ack = 1102}).state(State::kClosed).population(0, 0, 0);
}

// §3.10.4: "Queue this until all preceding SENDs have been segmentized, then form a FIN segment".
LADDER_TEST(HalfClose, FinFollowsTheData) {
  Ladder l(variant);
  l.opened_passively().app_sends(4000).whatever().app_shuts_down(Shutdown::kSend).state(State::kFinWait1);
  l.whatever().receives({.seq = 1, .ack = 4001});
  l.whatever().receives({.seq = 1, .ack = 4002}).sends_nothing().state(State::kFinWait2).event(kSendClosed);
}

// FIN may ride on the last data segment.
LADDER_TEST(HalfClose, FinWithDataIsOneStep) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = FIN | ACK | PSH, .seq = 1, .ack = 1, .len = 300});
  l.sends({.flags = ACK, .seq = 1, .ack = 302, .len = 0}).sends_nothing().state(State::kCloseWait);
  l.event(kReadable | kPeerClosed).app_reads(300).app_reads_end();
}

// A FIN beyond a hole waits for the data (attack R4).
LADDER_TEST(HalfClose, FinOutOfOrderWaitsForTheData) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50})
      .reason(Reason::kFinOutOfOrder);
  l.sends({.flags = ACK, .ack = 1, .len = 0}).state(State::kEstablished).no_event(kPeerClosed);
  l.app_read_fails(Error::kWouldBlock);
  l.receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 152, .len = 0}).sends_nothing();
  l.state(State::kCloseWait).event(kPeerClosed).app_reads(150).app_reads_end();
}

// The same, the FIN alone beyond the hole.
LADDER_TEST(HalfClose, BareFinOutOfOrderWaitsForTheData) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.flags = FIN | ACK, .seq = 101, .ack = 1})
      .sends({.flags = ACK, .ack = 1, .len = 0});
  l.state(State::kEstablished).receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 102});
  l.state(State::kCloseWait).app_reads(100).app_reads_end();
}

// A hole in FIN-WAIT-2: the FIN that was early brings TIME-WAIT once the hole is filled.
LADDER_TEST(HalfClose, EarlyFinInFinWait2LeadsToTimeWait) {
  Ladder l(variant);
  l.brought_to(State::kFinWait2).receives({.flags = FIN | ACK, .seq = 11, .ack = 2, .len = 5});
  l.sends({.flags = ACK, .seq = 2, .ack = 1}).state(State::kFinWait2);
  l.receives({.seq = 1, .ack = 2, .len = 10})
      .sends({.flags = ACK, .seq = 2, .ack = 17})
      .state(State::kTimeWait);
  l.app_reads(15).app_reads_end();
}

// §3.10.3: shutdown(receive): what still arrives is acknowledged and thrown away; the connection lives.
LADDER_TEST(HalfClose, DataAfterShutdownReceiveIsAcknowledgedAndThrownAway) {
  Ladder l(variant);
  l.opened_passively()
      .app_shuts_down(Shutdown::kReceive)
      .sends_nothing()
      .state(State::kEstablished)
      .app_reads_end();
  l.receives({.seq = 1, .ack = 1, .len = 100}).sends_within(40_ms, {.flags = ACK, .seq = 1, .ack = 101});
  l.app_reads_end().app_sends(10).sends({.seq = 1, .ack = 101, .len = 10});
}

// The whole of a large stream after shutdown(receive) must not stall in a window that nobody empties.
LADDER_TEST(HalfClose, WindowStaysOpenAfterShutdownReceive) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_rmem = 8192; }});
  l.opened_passively().app_shuts_down(Shutdown::kReceive);
  for (std::int64_t seq = 1; seq < 50'000; seq += 1000) {
    l.receives({.seq = seq, .ack = 1, .len = 1000}).sends_within(40_ms, {.flags = ACK, .ack = seq + 1000});
  }
}

// "All segments preceding and including FIN will be retransmitted until acknowledged", with the FIN bit
// (attack R6).
LADDER_TEST(FinRetransmission, FinIsSentAgainInEveryStateThatWaitsForItsAck) {
  for (const State s : {State::kFinWait1, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s);
    for (int i = 0; i < 4; ++i) {
      l.sends_within(20_s, {.flags = FIN | ACK, .seq = 1, .ack = l.peer_next(), .len = 0})
          .sends_nothing()
          .state(s);
    }
    l.receives({.seq = l.peer_next(), .ack = 2}).sends_nothing();
    l.state(s == State::kFinWait1  ? State::kFinWait2
            : s == State::kClosing ? State::kTimeWait
                                   : State::kClosed);
  }
}

// Attack R3: bounded in LAST-ACK, and everywhere else once the program has closed (tcp_orphan_retries).
LADDER_TEST(FinRetransmission, GivesUpAfterOrphanRetries) {
  for (const State s : {State::kFinWait1, State::kClosing, State::kLastAck}) {
    Ladder l(variant, {.settings = [](tcp::Settings& settings) { settings.tcp_orphan_retries = 3; }});
    l.brought_to(s).app_closes().state(s);
    for (int i = 0; i < 3; ++i) l.sends_within(60_s, {.flags = FIN | ACK, .seq = 1}).sends_nothing();
    l.after(60_s).whatever().state(State::kClosed).population(0, 0, 0).wakes_never();
    l.counter(Counter::kTCPAbortOnTimeout, 1);
  }
}

// Data and FIN lost together: both come again.
LADDER_TEST(FinRetransmission, DataAndFinComeAgain) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).sends({.seq = 1, .len = 100}).app_shuts_down(Shutdown::kSend);
  l.sends({.flags = FIN | ACK, .seq = 101, .len = 0});
  l.sends_within(2_s, {.flags = ACK | FIN, .seq = 1, .len = 100});
  l.receives({.seq = 1, .ack = 102}).sends_nothing().state(State::kFinWait2);
}

// The ACK of the data, but not of the FIN, in FIN-WAIT-1.
LADDER_TEST(FinRetransmission, PartialAckLeavesFinWait1) {
  Ladder l(variant);
  l.opened_passively()
      .app_sends(100)
      .sends({.seq = 1, .len = 100})
      .app_shuts_down(Shutdown::kSend)
      .whatever();
  l.receives({.seq = 1, .ack = 101}).sends_nothing().state(State::kFinWait1).no_event(kSendClosed);
  l.sends_within(2_s, {.flags = FIN | ACK, .seq = 101, .len = 0}).receives({.seq = 1, .ack = 102});
  l.state(State::kFinWait2).event(kSendClosed);
}

// SHLD-3, attack R14: CLOSE with unread data: a reset, and TCPAbortOnClose.
// RFC 9293: SHLD-3.
LADDER_TEST(CloseWithData, UnreadDataMeansReset) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10}).sends_within(40_ms, {.ack = 11});
  l.app_closes()
      .sends({.seq = 1, .len = 0})
      .sends_nothing()
      .state(State::kClosed)
      .population(0, 0, 0)
      .wakes_never();
  l.counter(Counter::kTCPAbortOnClose, 1).counter(Counter::kOutRsts, 1);
}

// And what is sent is a reset that the peer accepts: at SND.NXT, of the data queued nothing.
LADDER_TEST(CloseWithData, TheResetIsExact) {
  Ladder l(variant);
  l.opened_passively()
      .app_sends(50)
      .sends({.seq = 1, .len = 50})
      .receives({.seq = 1, .ack = 1, .len = 10})
      .whatever();
  l.app_closes();
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_TRUE(sent[0].tcp.flags.rst()) << l.text();
  EXPECT_EQ(sent[0].tcp.seq.raw(), l.stack_iss() + 51) << l.text();
}

// §3.6.1: "or if new data is received after CLOSE is called, its TCP implementation SHOULD send a RST".
// RFC 9293: MAY-1, SHLD-3.
LADDER_TEST(CloseWithData, DataAfterCloseMeansReset) {
  for (const bool fin_acknowledged : {false, true}) {
    Ladder l(variant);
    l.opened_passively().app_closes().sends({.flags = FIN | ACK, .seq = 1});
    if (fin_acknowledged) l.receives({.seq = 1, .ack = 2}).sends_nothing();
    l.receives({.seq = 1, .ack = 2, .len = 10}).reason(Reason::kDataAfterClose);
    l.sends({.seq = 2, .len = 0}).sends_nothing().state(State::kClosed).population(0, 0, 0).wakes_never();
    l.counter(Counter::kTCPAbortOnData, 1).counter(Counter::kOutRsts, 1);
  }
}

// Old data, already read before the close, is no new data.
LADDER_TEST(CloseWithData, DuplicateOfReadDataAfterCloseIsAcknowledged) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.seq = 1, .ack = 1, .len = 10})
      .app_reads(10)
      .sends_within(40_ms, {.ack = 11});
  l.app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 11});
  l.receives({.seq = 1, .ack = 1, .len = 10})
      .sends({.flags = ACK, .seq = 2, .ack = 11, .len = 0})
      .sends_nothing();
  l.state(State::kFinWait1);
}

// "A TCP implementation will reliably deliver all buffers SENT before the connection was CLOSED": through a
// closed window.
LADDER_TEST(CloseWithData, QueuedDataOutlivesCloseAndZeroWindow) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000);
  l.whatever().app_closes().state(State::kFinWait1);
  l.after(1_s).whatever();  // probes
  l.receives({.seq = 1, .ack = 1, .window = 65535});
  const auto sent = l.take_all();
  ASSERT_FALSE(sent.empty()) << l.text();
  EXPECT_TRUE(sent.back().tcp.flags.fin()) << l.text();
  EXPECT_EQ(sent.back().tcp.seq + static_cast<std::uint32_t>(sent.back().payload_size),
            wire::SeqNum{l.stack_iss() + 1001})
      << l.text();
  l.receives({.seq = 1, .ack = 1002}).sends_nothing().state(State::kFinWait2);
}

// Attack R2: an orphan whose peer keeps the window closed and answers no probe is not kept for ever.
LADDER_TEST(CloseWithData, OrphanWithZeroWindowAndSilentPeerEnds) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_orphan_retries = 3; }});
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000).whatever().app_closes();
  for (int i = 0; i < 100 && l.stack().population().connections != 0; ++i) l.whatever().after(10_s);
  l.whatever().state(State::kClosed).population(0, 0, 0);
}

// §3.10.5: <SEQ=SND.NXT><CTL=RST>, in the states that the RFC lists; the others go without a word.
LADDER_TEST(Abort, ResetsThePeer) {
  for (const State s : {State::kEstablished, State::kFinWait1, State::kFinWait2, State::kCloseWait}) {
    Ladder l(variant);
    l.brought_to(s).app_aborts();
    const auto sent = l.take_all();
    ASSERT_EQ(sent.size(), 1u) << l.text();
    EXPECT_TRUE(sent[0].tcp.flags.rst()) << l.text();
    EXPECT_EQ(sent[0].tcp.seq.raw(), l.stack_iss() + static_cast<std::uint32_t>(l.stack_next())) << l.text();
    l.state(State::kClosed).population(0, 0, 0).wakes_never();
  }
  for (const State s : {State::kClosing, State::kLastAck, State::kTimeWait}) {
    Ladder l(variant);
    l.brought_to(s).app_aborts().whatever();
    if (s != State::kTimeWait) l.state(State::kClosed).population(0, 0, 0).wakes_never();
  }
}

// "all segments queued for transmission (except for the RST formed above) or retransmission should be
// flushed".
LADDER_TEST(Abort, FlushesWhatIsQueued) {
  Ladder l(variant);
  l.opened_passively().app_sends(100'000).whatever().app_aborts();
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_TRUE(sent[0].tcp.flags.rst());
  l.silent_for(300_s).population(0, 0, 0);
  EXPECT_EQ(l.pool().bytes_in_use(), 0u);
}

// The reset of an abort is exact for the peer even where data is in flight.
LADDER_TEST(Abort, SequenceIsSndNxtWithDataInFlight) {
  Ladder l(variant);
  l.opened_passively().app_sends(1000).sends({.seq = 1, .len = 1000}).app_aborts();
  l.sends({.seq = 1001, .len = 0}).sends_nothing();
}

// tcp_fin_timeout, once the program has closed (attack R12).
LADDER_TEST(FinWait2, EndsAfterFinTimeoutOnceClosed) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_fin_timeout = 20_s; }});
  l.brought_to(State::kFinWait2).app_closes().sends_nothing().state(State::kFinWait2);
  l.at(19_s).state(State::kFinWait2).at(20_s + Ladder::kSlack).sends_nothing().state(State::kClosed);
  l.population(0, 0, 0).wakes_never();
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2}).sends({.flags = RST, .seq = 2}).sends_nothing();
}

// … counted from entering FIN-WAIT-2 where the close came before.
LADDER_TEST(FinWait2, TimeoutCountsFromEntering) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_fin_timeout = 20_s; }});
  l.opened_passively().app_closes().sends({.flags = FIN | ACK, .seq = 1});
  l.at(100_ms).receives({.seq = 1, .ack = 2}).state(State::kFinWait2);
  l.at(19_s).state(State::kFinWait2).at(20'100_ms + Ladder::kSlack).state(State::kClosed).wakes_never();
}

// Attack R13: a stack that is shut down with everything open leaves nothing (the ladder itself checks) and
// tells everyone.
LADDER_TEST(StackShutdown, EveryStateEndsWithAnError) {
  for (const State s :
       {State::kListen, State::kSynSent, State::kSynReceived, State::kEstablished, State::kFinWait1,
        State::kFinWait2, State::kCloseWait, State::kClosing, State::kLastAck, State::kTimeWait}) {
    Ladder l(variant);
    l.brought_to(s);
    if (s == State::kEstablished)
      l.app_sends(5000).whatever().receives({.seq = 9, .ack = 1, .len = 10}).whatever();
    l.stack().shut_down(l.now());
    l.after(0_ms).whatever();
    std::array<wire::Frame, 8> frames;
    const std::size_t n = l.stack().transmit(frames, l.now());
    for (std::size_t i = 0; i < n; ++i) frames[i].clear();
    bool failed_event = false;
    while (const auto event = l.stack().poll_event()) failed_event |= (event->what & kFailed) != 0;
    const bool owned = s != State::kListen && s != State::kSynReceived && s != State::kTimeWait;
    if (owned) {
      EXPECT_TRUE(failed_event) << trace::name(s) << "\n" << l.text();
      EXPECT_EQ(l.stack().failure(l.connection()), Error::kStackShutdown) << trace::name(s);
    }
    l.stack().close(l.connection(), l.now());
    l.population(0, 0, 0).state(State::kClosed).wakes_never();
  }
}

// §3.10.4 in states that are closing already: "as long as a second FIN is not emitted".
LADDER_TEST(ActiveClose, SecondCloseSendsNoSecondFin) {
  for (const State s : {State::kFinWait1, State::kFinWait2, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s).app_shuts_down(Shutdown::kSend).sends_nothing().app_closes().sends_nothing().state(s);
  }
}

// §3.10.2: SEND after CLOSE: "connection closing".
LADDER_TEST(ActiveClose, SendAfterShutdownFails) {
  for (const State s : {State::kFinWait1, State::kFinWait2, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s).app_send_fails(Error::kClosing).sends_nothing();
  }
}

}  // namespace
}  // namespace synfin::protocol_test
