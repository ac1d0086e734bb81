// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/ladder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "synfin/view/text.h"
#include "synfin/view/view_test_support.h"

namespace synfin::view {
namespace {

using namespace literals;
using namespace test;
using testing::HasSubstr;
using testing::Not;

struct Drawing {
  std::string text;
  Ladder ladder;
  Storyteller tell{ladder};
  explicit Drawing(LadderOptions options = {})
      : ladder([this](std::string_view line) { text += line; }, options) {}
};

// The peer opens, asks, and closes first; the answer goes on after its FIN. A four-segment close.
void tell_passive_life(Storyteller& t) {
  using enum State;
  t.options = syn_options(1000, 0);
  t.at(0_us).state(kListen, kSynReceived, Reason::kSynAccepted);
  t.received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  t.options = syn_options(7, 1000);
  t.at(24_us).sent(F::kSyn | F::kAck, {.ack = 1}, kSynReceived, Reason::kSynAckSent);
  t.at(61_us).state(kSynReceived, kEstablished, Reason::kHandshakeComplete);
  t.received(F::kAck, {.seq = 1, .ack = 1}, kSynReceived, kEstablished, Reason::kHandshakeComplete);
  t.at(130_us).received(F::kPsh | F::kAck, {1, 1, 77}, kEstablished, kEstablished, Reason::kDataAccepted);
  t.at(410_us).sent(F::kPsh | F::kAck, {1, 78, 1448}, kEstablished, Reason::kDataSent);
  t.at(466_us).received(F::kAck, {78, 1449, 0}, kEstablished, kEstablished, Reason::kAckAccepted);
  t.at(900_us).state(kEstablished, kCloseWait, Reason::kFinReceived);
  t.received(F::kFin | F::kAck, {78, 1449, 0}, kEstablished, kCloseWait, Reason::kFinReceived);
  t.at(920_us).sent(F::kAck, {1449, 79, 0}, kCloseWait, Reason::kAckSent);
  t.at(1500_us).sent(F::kPsh | F::kAck, {1449, 79, 500}, kCloseWait, Reason::kDataSent);
  t.at(1540_us).received(F::kAck, {79, 1949, 0}, kCloseWait, kCloseWait, Reason::kAckAccepted);
  t.at(2000_us).call(Reason::kCloseCalled, kCloseWait);
  t.state(kCloseWait, kLastAck, Reason::kCloseCalled);
  t.at(2004_us).sent(F::kFin | F::kAck, {1949, 79, 0}, kLastAck, Reason::kFinSent);
  t.at(2050_us).state(kLastAck, kClosed, Reason::kFinAcknowledged);
  t.received(F::kAck, {79, 1950, 0}, kLastAck, kClosed, Reason::kFinAcknowledged);
}

// We open, ask, and close first; the peer closes later. TIME-WAIT is ours.
void tell_active_life(Storyteller& t) {
  using enum State;
  t.at(0_us).call(Reason::kActiveOpen, kClosed);
  t.state(kClosed, kSynSent, Reason::kActiveOpen);
  t.options = syn_options(7, 0);
  t.at(3_us).sent(F::kSyn, {}, kSynSent, Reason::kSynSent);
  t.options = syn_options(1000, 7);
  t.at(50_us).state(kSynSent, kEstablished, Reason::kSynAckAccepted);
  t.received(F::kSyn | F::kAck, {.ack = 1}, kSynSent, kEstablished, Reason::kSynAckAccepted);
  t.at(52_us).sent(F::kAck, {1, 1, 0}, kEstablished, Reason::kAckSent);
  t.at(90_us).sent(F::kPsh | F::kAck, {1, 1, 10}, kEstablished, Reason::kDataSent);
  t.at(120_us).received(F::kAck, {1, 11, 0}, kEstablished, kEstablished, Reason::kAckAccepted);
  t.at(200_us).call(Reason::kCloseCalled, kEstablished);
  t.state(kEstablished, kFinWait1, Reason::kCloseCalled);
  t.at(201_us).sent(F::kFin | F::kAck, {11, 1, 0}, kFinWait1, Reason::kFinSent);
  t.at(240_us).state(kFinWait1, kFinWait2, Reason::kFinAcknowledged);
  t.received(F::kAck, {1, 12, 0}, kFinWait1, kFinWait2, Reason::kFinAcknowledged);
  t.at(300_us).received(F::kPsh | F::kAck, {1, 12, 5}, kFinWait2, kFinWait2, Reason::kDataAccepted);
  t.at(301_us).sent(F::kAck, {12, 6, 0}, kFinWait2, Reason::kAckSent);
  t.at(350_us).state(kFinWait2, kTimeWait, Reason::kTimeWaitEntered, t.now + 60_s);
  t.received(F::kFin | F::kAck, {6, 12, 0}, kFinWait2, kTimeWait, Reason::kTimeWaitEntered);
  t.at(352_us).sent(F::kAck, {12, 7, 0}, kTimeWait, Reason::kAckSent);
  t.at(60_s + 350_us).state(kTimeWait, kClosed, Reason::kTimeWaitExpired);
}

TEST(Ladder, DrawsAConnectionThatThePeerOpensAndClosesFirst) {
  Drawing d;
  tell_passive_life(d.tell);
  EXPECT_EQ(
      d.text,
      R"drawing(#1  Synfin 10.77.0.2:80                                                             peer 10.77.0.1:43210
    states are its own                    states inferred from its segments (?: if our last ACK arrived)
                             │                                                           │
       0.000000       LISTEN │◄───────────────── SYN  seq 0  win 64256 ──────────────────┤ SYN-SENT
                SYN-RECEIVED │ mss 1460, sackOK, TS 1000/0, wscale 7                     │
                             │ The peer asks to open and announces that its octets begin │
                             │ at ISN+1. Nothing is proved yet: this SYN could be an old │
                             │ duplicate. (RFC 9293 §3.5)                                │
                             │                                                           │
       0.000024              ├──────────── SYN,ACK  seq 0  ack 1  win 64256 ────────────►│
                             │ mss 1460, sackOK, TS 7/1000, wscale 7                     │
                             │ Two messages in one segment: the peer's SYN is            │
                             │ acknowledged, and our own first number is announced. That │
                             │ is why opening takes three segments and not four.         │
                             │ (RFC 9293 §3.5)                                           │
                             │                                                           │
       0.000061              │◄────────────── ACK  seq 1  ack 1  win 64256 ──────────────┤ ESTABLISHED
                 ESTABLISHED │ The third segment acknowledges our SYN: the peer has seen │
                             │ our number, so its SYN was neither an old duplicate nor   │
                             │ forged. The connection is open both ways. (RFC 9293 §3.5) │
                             │                                                           │
       0.000130              │◄──────── PSH,ACK  seq 1:78(77)  ack 1  win 64256 ─────────┤
                             │ The data continues what has arrived; it is ready for the  │
                             │ program. (RFC 9293 §3.10.7.4)                             │
                             │                                                           │
       0.000410              ├────── PSH,ACK  seq 1:1449(1448)  ack 78  win 64256 ──────►│
                             │ Data from the program. (RFC 9293 §3.10.2)                 │
                             │                                                           │
       0.000466              │◄──────────── ACK  seq 78  ack 1449  win 64256 ────────────┤
                             │ The acknowledgement moves the send window on.             │
                             │ (RFC 9293 §3.10.7.4)                                      │
                             │                                                           │
       0.000900              │◄────────── FIN,ACK  seq 78  ack 1449  win 64256 ──────────┤ FIN-WAIT-1
                  CLOSE-WAIT │ FIN: the peer will send nothing more, and everything it   │
                             │ sent has arrived. This closes one direction only; ours    │
                             │ stays open until our program closes it too.               │
                             │ (RFC 9293 §3.6)                                           │
                             │                                                           │
       0.000920              ├──────────── ACK  seq 1449  ack 79  win 64256 ────────────►│
                             │ We acknowledge the peer's FIN: it knows that all it sent  │ FIN-WAIT-2?
                             │ has arrived. Our program may still send. (RFC 9293 §3.6)  │
                             │                                                           │
       0.001500              ├───── PSH,ACK  seq 1449:1949(500)  ack 79  win 64256 ─────►│
                             │ Data after the peer's FIN: it closed its own direction    │
                             │ only, and still receives (half-close). (RFC 9293 §3.6)    │
                             │                                                           │
       0.001540              │◄──────────── ACK  seq 79  ack 1949  win 64256 ────────────┤ FIN-WAIT-2
                             │                                                           │
       0.002000              │ program: close                                            │
                             │ The program has nothing more to send: a FIN follows what  │
                             │ is queued. (RFC 9293 §3.10.4)                             │
                    LAST-ACK │                                                           │
                             │                                                           │
       0.002004              ├────────── FIN,ACK  seq 1949  ack 79  win 64256 ──────────►│
                             │ The second FIN: our program has finished as well. Once it │
                             │ is acknowledged, both directions are closed.              │
                             │ (RFC 9293 §3.6)                                           │
                             │                                                           │
       0.002050              │◄──────────── ACK  seq 79  ack 1950  win 64256 ────────────┤ TIME-WAIT
                      CLOSED │ The last ACK: the peer knows that we have finished, and   │
                             │ we know that it knows. Nothing is left to do here; the    │
                             │ peer waits in TIME-WAIT, in case this ACK had been lost.  │
                             │ (RFC 9293 §3.6.1)                                         │
)drawing");
}

TEST(Ladder, DrawsAConnectionThatWeOpenAndCloseFirst) {
  Drawing d;
  tell_active_life(d.tell);
  EXPECT_EQ(
      d.text,
      R"drawing(#1  Synfin 10.77.0.2:80                                                             peer 10.77.0.1:43210
    states are its own                    states inferred from its segments (?: if our last ACK arrived)
                             │                                                           │
       0.000000       CLOSED │ program: connect                                          │
                             │ The program called connect. (RFC 9293 §3.10.1)            │
                    SYN-SENT │                                                           │
                             │                                                           │
       0.000003              ├───────────────── SYN  seq 0  win 64256 ──────────────────►│
                             │ mss 1460, sackOK, TS 7/0, wscale 7                        │
                             │ We ask to open and announce that our octets begin at      │
                             │ ISN+1. Whether anybody listens there is not yet known.    │
                             │ (RFC 9293 §3.5)                                           │
                             │                                                           │
       0.000050              │◄──────────── SYN,ACK  seq 0  ack 1  win 64256 ────────────┤ SYN-RECEIVED
                 ESTABLISHED │ mss 1460, sackOK, TS 1000/7, wscale 7                     │
                             │ The peer acknowledges our SYN, so it heard this very      │
                             │ attempt, and announces its own first number. For us the   │
                             │ connection is open; the peer still waits for the same     │
                             │ proof. (RFC 9293 §3.5)                                    │
                             │                                                           │
       0.000052              ├────────────── ACK  seq 1  ack 1  win 64256 ──────────────►│
                             │ The third segment: by acknowledging the peer's SYN we     │ ESTABLISHED?
                             │ prove that its SYN-ACK reached us, and that our SYN was   │
                             │ no old duplicate. (RFC 9293 §3.5)                         │
                             │                                                           │
       0.000090              ├──────── PSH,ACK  seq 1:11(10)  ack 1  win 64256 ─────────►│
                             │ Data from the program. (RFC 9293 §3.10.2)                 │
                             │                                                           │
       0.000120              │◄───────────── ACK  seq 1  ack 11  win 64256 ──────────────┤ ESTABLISHED
                             │ The acknowledgement moves the send window on.             │
                             │ (RFC 9293 §3.10.7.4)                                      │
                             │                                                           │
       0.000200              │ program: close                                            │
                             │ The program has nothing more to send: a FIN follows what  │
                             │ is queued. (RFC 9293 §3.10.4)                             │
                  FIN-WAIT-1 │                                                           │
                             │                                                           │
       0.000201              ├─────────── FIN,ACK  seq 11  ack 1  win 64256 ────────────►│
                             │ FIN: nothing more will come from this end. It takes a     │
                             │ sequence number of its own, so that it is delivered and   │
                             │ acknowledged as data is; the peer may still send.         │
                             │ (RFC 9293 §3.6)                                           │
                             │                                                           │
       0.000240              │◄───────────── ACK  seq 1  ack 12  win 64256 ──────────────┤ CLOSE-WAIT
                  FIN-WAIT-2 │ The peer has everything that we sent, the FIN included.   │
                             │ Our direction is closed; the peer may go on sending for   │
                             │ as long as it likes. (RFC 9293 §3.6)                      │
                             │                                                           │
       0.000300              │◄───────── PSH,ACK  seq 1:6(5)  ack 12  win 64256 ─────────┤
                             │ Data after our FIN: we closed our own direction only, and │
                             │ still receive what the peer has to say (half-close).      │
                             │ (RFC 9293 §3.6)                                           │
                             │                                                           │
       0.000301              ├───────────── ACK  seq 12  ack 6  win 64256 ──────────────►│
                             │ What has arrived is acknowledged. (RFC 9293 §3.8.6.3)     │
                             │                                                           │
       0.000350              │◄─────────── FIN,ACK  seq 6  ack 12  win 64256 ────────────┤ LAST-ACK
                   TIME-WAIT │ TIME-WAIT for 60.000 s more                               │
                             │ The second FIN: the peer has finished too, so nothing     │
                             │ more can come. Both directions are closed once our ACK    │
                             │ arrives there. (RFC 9293 §3.6)                            │
                             │                                                           │
       0.000352              ├───────────── ACK  seq 12  ack 7  win 64256 ──────────────►│
                             │ The last ACK. Nobody acknowledges it, so we stay in       │ CLOSED?
                             │ TIME-WAIT: if it is lost, the peer sends its FIN again    │
                             │ and must find somebody who answers. (RFC 9293 §3.6.1)     │
                             │                                                           │
      60.000350       CLOSED │ timer: time wait expired                                  │
                             │ 2 MSL have passed: no segment of the old connection can   │
                             │ still be on the way. (RFC 9293 §3.10.8)                   │
)drawing");
}

TEST(Ladder, DrawsOneLineAStepWithoutExplanations) {
  Drawing d({.explain = false});
  tell_passive_life(d.tell);
  EXPECT_EQ(
      d.text,
      R"drawing(#1  Synfin 10.77.0.2:80                                                             peer 10.77.0.1:43210
    states are its own                    states inferred from its segments (?: if our last ACK arrived)
                             │                                                           │
       0.000000       LISTEN │◄───────────────── SYN  seq 0  win 64256 ──────────────────┤ SYN-SENT
                SYN-RECEIVED │ mss 1460, sackOK, TS 1000/0, wscale 7                     │
       0.000024              ├──────────── SYN,ACK  seq 0  ack 1  win 64256 ────────────►│
                             │ mss 1460, sackOK, TS 7/1000, wscale 7                     │
       0.000061              │◄────────────── ACK  seq 1  ack 1  win 64256 ──────────────┤ ESTABLISHED
                 ESTABLISHED │                                                           │
       0.000130              │◄──────── PSH,ACK  seq 1:78(77)  ack 1  win 64256 ─────────┤
       0.000410              ├────── PSH,ACK  seq 1:1449(1448)  ack 78  win 64256 ──────►│
       0.000466              │◄──────────── ACK  seq 78  ack 1449  win 64256 ────────────┤
       0.000900              │◄────────── FIN,ACK  seq 78  ack 1449  win 64256 ──────────┤ FIN-WAIT-1
                  CLOSE-WAIT │                                                           │
       0.000920              ├──────────── ACK  seq 1449  ack 79  win 64256 ────────────►│
                             │                                                           │ FIN-WAIT-2?
       0.001500              ├───── PSH,ACK  seq 1449:1949(500)  ack 79  win 64256 ─────►│
       0.001540              │◄──────────── ACK  seq 79  ack 1949  win 64256 ────────────┤ FIN-WAIT-2
       0.002000              │ program: close                                            │
                    LAST-ACK │                                                           │
       0.002004              ├────────── FIN,ACK  seq 1949  ack 79  win 64256 ──────────►│
       0.002050              │◄──────────── ACK  seq 79  ack 1950  win 64256 ────────────┤ TIME-WAIT
                      CLOSED │                                                           │
)drawing");
}

// A connection up to ESTABLISHED, as short as can be.
void open(Storyteller& t) {
  using enum State;
  t.at(0_us).received(F::kSyn, {}, kListen, kSynReceived, Reason::kSynAccepted);
  t.sent(F::kSyn | F::kAck, {.ack = 1}, kSynReceived, Reason::kSynAckSent);
  t.received(F::kAck, {.seq = 1, .ack = 1}, kSynReceived, kEstablished, Reason::kHandshakeComplete);
}

void send_and_acknowledge(Storyteller& t, std::uint32_t first, std::uint32_t last) {
  for (std::uint32_t i = first; i < last; ++i) {
    t.now = t.now + 10_us;
    t.sent(F::kAck, {1 + i * 1000, 1, 1000}, State::kEstablished, Reason::kDataSent);
    if (i % 2 == 1) {
      t.received(F::kAck, {1, 1 + (i + 1) * 1000, 0}, State::kEstablished, State::kEstablished,
                 Reason::kAckAccepted);
    }
  }
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Ladder, BulkDataBecomesOneLine) {
  Drawing d({.explain = false});
  open(d.tell);
  send_and_acknowledge(d.tell, 0, 1240);
  EXPECT_LT(lines(d.text), 25U);
  d.tell.state(State::kEstablished, State::kCloseWait, Reason::kFinReceived);
  d.tell.received(F::kFin | F::kAck, {1, 1'240'001, 0}, State::kEstablished, State::kCloseWait,
                  Reason::kFinReceived);
  EXPECT_THAT(d.text, HasSubstr("│ … 1,234 segments, 1,234,000 octets →, 618 ACKs ←"));
  EXPECT_LT(d.text.find("1,234 segments"), d.text.find("FIN,ACK"));
}

TEST(Ladder, AllIsDrawnWhereNothingMayCollapse) {
  Drawing d({.explain = false, .show_segments = 0});
  open(d.tell);
  send_and_acknowledge(d.tell, 0, 100);
  EXPECT_THAT(d.text, HasSubstr("seq 99001:100001(1000)"));
  EXPECT_THAT(d.text, Not(HasSubstr("…")));
}

TEST(Ladder, APauseStartsANewRunAndFinishDrawsWhatIsLeft) {
  Drawing d({.explain = false});
  open(d.tell);
  send_and_acknowledge(d.tell, 0, 20);
  d.tell.now = d.tell.now + 1_s;
  send_and_acknowledge(d.tell, 20, 40);
  EXPECT_THAT(d.text, HasSubstr("… 14 segments, 14,000 octets →"));
  EXPECT_THAT(d.text, HasSubstr("seq 20001:21001(1000)"));
  EXPECT_THAT(d.text, Not(HasSubstr("seq 30001:31001(1000)")));
  const std::size_t before = d.text.size();
  d.ladder.finish();
  EXPECT_THAT(d.text.substr(before), HasSubstr("… 14 segments, 14,000 octets →"));
}

TEST(Ladder, ALongTransferReportsOnTheWay) {
  Drawing d({.explain = false});
  open(d.tell);
  for (std::uint32_t i = 0; i < 100; ++i) {
    d.tell.now = d.tell.now + 50_ms;
    d.tell.sent(F::kAck, {1 + i * 1000, 1, 1000}, State::kEstablished, Reason::kDataSent);
  }
  EXPECT_GE(lines(d.text), 4U + 3U);
  EXPECT_THAT(d.text, HasSubstr("… 20 segments, 20,000 octets →"));
}

TEST(Ladder, SuperSegmentsCountAsWhatTheyBecome) {
  Drawing d({.explain = false, .show_segments = 1});
  open(d.tell);
  d.tell.sent(F::kAck, {1, 1, 100}, State::kEstablished, Reason::kDataSent);
  d.tell.segment_size = 1000;
  d.tell.sent(F::kAck, {101, 1, 9500}, State::kEstablished, Reason::kDataSent);
  d.ladder.finish();
  EXPECT_THAT(d.text, HasSubstr("… 10 segments, 9,500 octets →"));
}

TEST(Ladder, RepairsAreDrawnAndThenCounted) {
  Drawing d({.explain = false, .show_repairs = 3});
  open(d.tell);
  d.tell.sent(F::kAck, {1, 1, 1000}, State::kEstablished, Reason::kDataSent);
  for (int i = 0; i < 10; ++i) {
    d.tell.retransmission = true;
    d.tell.sent(F::kAck, {1, 1, 1000}, State::kEstablished, Reason::kRetransmitTimeout);
  }
  d.ladder.finish();
  std::size_t drawn = 0;
  for (std::size_t at = d.text.find("sent again"); at != std::string::npos;
       at = d.text.find("sent again", at + 1))
    ++drawn;
  EXPECT_EQ(drawn, 3U) << d.text;
  EXPECT_THAT(d.text, HasSubstr("… 7 segments, 7,000 octets →, 7 of them repairs"));
  EXPECT_THAT(d.text, HasSubstr("(retransmit_timeout)"));
}

TEST(Ladder, SackBlocksAreRelativeToWhatTheOtherEndSent) {
  Drawing d({.explain = false});
  open(d.tell);
  d.tell.sent(F::kAck, {1, 1, 1000}, State::kEstablished, Reason::kDataSent);
  d.tell.options = {};
  d.tell.options.present = wire::TcpOptions::kSack;
  d.tell.options.sack_count = 1;
  d.tell.options.sack[0] = {wire::SeqNum{d.tell.local_isn + 1001}, wire::SeqNum{d.tell.local_isn + 2001}};
  d.tell.received(F::kAck, {1, 1, 0}, State::kEstablished, State::kEstablished, Reason::kDuplicateAck);
  EXPECT_THAT(d.text, HasSubstr("│ sack 1001:2001"));
}

TEST(Ladder, AbsoluteNumbersThatDoNotFitTheArrowGoBeneath) {
  Drawing d({.explain = false, .absolute = true, .width = 80});
  open(d.tell);
  d.tell.sent(F::kPsh | F::kAck, {1, 1, 10}, State::kEstablished, Reason::kDataSent);
  EXPECT_THAT(d.text, HasSubstr("seq 4294967040"));
  for (std::size_t from = 0; from < d.text.size();) {
    const std::size_t end = d.text.find('\n', from);
    EXPECT_LE(columns(d.text.substr(from, end - from)), 80U) << d.text.substr(from, end - from);
    from = end + 1;
  }
  EXPECT_THAT(d.text, HasSubstr("│ ack 4294967041, win 64256"));
}

TEST(Ladder, SeveralConnectionsAtOnceAreNumbered) {
  Drawing d({.explain = false});
  Storyteller other(d.ladder, 43211, true);
  open(d.tell);
  EXPECT_THAT(d.text, Not(HasSubstr("#1   ")));
  open(other);
  d.tell.received(F::kPsh | F::kAck, {1, 1, 5}, State::kEstablished, State::kEstablished,
                  Reason::kDataAccepted);
  EXPECT_THAT(d.text, HasSubstr("#2  Synfin [fd77::2]:80"));
  EXPECT_THAT(d.text, HasSubstr("\n#2     0.000000       LISTEN │"));
  EXPECT_THAT(d.text, HasSubstr("\n#1     0.000000              │◄───────── PSH,ACK"));
}

TEST(Ladder, ANewSynOnTheSamePortsIsANewConnection) {
  Drawing d({.explain = false});
  open(d.tell);
  d.tell.state(State::kEstablished, State::kClosed, Reason::kReset);
  d.tell.received(F::kRst, {1, 0, 0}, State::kEstablished, State::kClosed, Reason::kReset);
  d.tell.remote_isn += 77'777;
  open(d.tell);
  EXPECT_THAT(d.text, HasSubstr("#2  Synfin 10.77.0.2:80"));
  const std::string second = d.text.substr(d.text.find("#2"));
  EXPECT_THAT(second, HasSubstr("SYN  seq 0  win"));
  EXPECT_THAT(second, HasSubstr("┤ ESTABLISHED"));
}

TEST(Ladder, AForgedResetDoesNotChangeTheInferredState) {
  Drawing d({.explain = true});
  open(d.tell);
  d.tell.received(F::kRst, {500, 0, 0}, State::kEstablished, State::kEstablished, Reason::kResetChallenged);
  EXPECT_THAT(d.text, Not(HasSubstr("CLOSED")));
  EXPECT_THAT(d.text, HasSubstr("it was answered with a challenge"));
}

TEST(Ladder, UnreadablePacketsTakeALine) {
  Drawing d;
  d.tell.packet(EventKind::kPacketReceived, Reason::kTcpBadChecksum, 52);
  EXPECT_EQ(d.text, "       0.000000 packet received, 52 octets: tcp_bad_checksum (RFC 9293 §3.1)\n");
}

TEST(Ladder, StateChangesWithoutASegmentAreNotLost) {
  Drawing d({.explain = false});
  open(d.tell);
  d.tell.state(State::kEstablished, State::kClosed, Reason::kIcmpHardError);
  EXPECT_THAT(d.text, Not(HasSubstr("CLOSED"))) << "its segment may still come";
  d.tell.at(1_s).call(Reason::kAbortCalled, State::kClosed);
  EXPECT_THAT(d.text, HasSubstr("CLOSED │ icmp_hard_error"));
  EXPECT_THAT(d.text, HasSubstr("program: abort"));
}

TEST(Ladder, ATimeThatRunsOutIsNoDoingOfTheProgram) {
  Drawing d({.explain = false});
  d.tell.timer(Reason::kHoldTimedOut, State::kListen);
  EXPECT_THAT(d.text, HasSubstr("timer: hold timed out"));
}

TEST(Ladder, ALingerTimeIsNoDoingOfTheProgram) {
  Drawing d({.explain = false});
  d.tell.state(State::kFinWait1, State::kClosed, Reason::kLingerTimedOut);
  EXPECT_NE(d.text.find("timer: linger timed out"), std::string::npos) << d.text;
}

TEST(Ladder, AFinThatChangesTheStateIsExplainedByTheNewOne) {
  Drawing d({.width = 200});
  open(d.tell);
  d.tell.state(State::kCloseWait, State::kLastAck, Reason::kFinSent);
  d.tell.sent(F::kFin | F::kAck, {1, 2, 0}, State::kCloseWait, Reason::kFinSent);
  EXPECT_THAT(d.text, HasSubstr("LAST-ACK ├─"));
  EXPECT_THAT(d.text, HasSubstr("The second FIN: our program has finished as well."));
}

TEST(Ladder, AResetInLastAckIsNotTheLastAck) {
  Drawing d;
  d.tell.state(State::kLastAck, State::kClosed, Reason::kReset);
  d.tell.received(F::kRst, {2, 0, 0}, State::kLastAck, State::kClosed, Reason::kReset);
  EXPECT_EQ(d.text.find("The last ACK"), std::string::npos) << d.text;
  EXPECT_NE(d.text.find("A reset with exactly the expected"), std::string::npos) << d.text;
}

TEST(Ladder, ColourOnlyWhereAskedFor) {
  Drawing plain, coloured({.colour = true});
  open(plain.tell);
  open(coloured.tell);
  EXPECT_THAT(plain.text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(coloured.text, HasSubstr("\x1b[1mSYN-SENT\x1b[0m"));
}

TEST(Ladder, ListenersAreNoConnections) {
  Drawing d;
  d.tell.tuple.remote = {};
  d.tell.call(Reason::kPassiveOpen, State::kClosed);
  EXPECT_EQ(d.text, "       0.000000 program: listen on 10.77.0.2:80\n");
}

}  // namespace
}  // namespace synfin::view
