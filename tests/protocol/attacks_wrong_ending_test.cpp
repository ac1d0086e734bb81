// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, release: last segments that are judged wrongly, and programs
// that are not told how it ended. Rows R8 to R11, R13 and R14 of the list of attacks, by whose number a name
// begins; what never ends is in attacks_never_ending_test.cpp. What must happen in general stands in
// closing_test.cpp and time_wait_test.cpp.
#include <string>
#include <vector>

#include "accepted_peer.h"

namespace synfin::protocol_test {
namespace {

class WrongEndingAttacks : public AcceptedPeers {};
RAW_HOST_SUITE(WrongEndingAttacks);

// R8, RFC 1337 against reuse: what the documentation says for each setting of tcp_rfc1337, and that a new
// connection opens either way (RFC 6191).
LADDER_TEST(Attacks, R8_ResetsInTimeWaitFollowTheSettingAndNewSynsOpen) {
  for (const bool protect : {false, true}) {
    for (const bool stamped : {false, true}) {
      const auto settings = [&](tcp::Settings& s) { s.tcp_rfc1337 = protect; };
      const auto in_time_wait = [&](Ladder& l) {
        l.brought_to(State::kTimeWait).app_closes().sends_nothing().at(2_s);
      };
      const LadderOptions options{.peer = {.timestamps = stamped}, .settings = settings};
      // Old duplicates: data, a FIN with other numbers, a SYN that opened the old connection.
      Ladder old(variant, options);
      in_time_wait(old);
      old.receives({.flags = PSH | ACK, .seq = -2000, .ack = 1, .len = 100}).whatever();
      old.receives({.flags = FIN | ACK, .seq = -2000, .ack = 1}).whatever();
      std::optional<wire::Timestamps> opening;
      if (stamped) opening = wire::Timestamps{old.peer_tsval() - 5000, 0};
      old.receives({.flags = SYN, .seq = 0, .mss = 1460, .ts = opening}).whatever();
      old.receives({.flags = RST, .seq = -2000}).sends_nothing();
      old.receives({.flags = RST, .seq = 3}).whatever();
      old.state(State::kTimeWait).population(0, 0, 1);

      Ladder reset(variant, options);
      in_time_wait(reset);
      reset.receives({.flags = RST, .seq = 2}).sends_nothing();
      reset.reason(protect ? Reason::kTimeWaitResetIgnored : Reason::kTimeWaitReset);
      reset.population(0, 0, protect ? 1 : 0);

      Ladder reopened(variant, options);
      in_time_wait(reopened);
      std::optional<wire::Timestamps> ts;
      if (stamped) ts = wire::Timestamps{reopened.peer_tsval() + 1, 0};
      reopened.peer_restarts(90'000).receives({.flags = SYN, .seq = 0, .mss = 1460, .ts = ts});
      reopened.sends({.flags = SYN | ACK, .ack = 1}).population(0, 1, 0).reason(Reason::kTimeWaitReopened);
    }
  }
}

// R9: a FIN again in TIME-WAIT does not restart the 2 MSL, or races with their end.
LADDER_TEST(Attacks, R9_AFinAgainRestartsTheTwoMslUpToTheirLastInstant) {
  Ladder l(variant);
  l.brought_to(State::kTimeWait).app_closes().sends_nothing();
  for (int i = 0; i < 3; ++i) {
    l.after(60_s - 1_ms).state(State::kTimeWait);
    l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2})
        .sends({.flags = ACK, .seq = 2, .ack = 2})
        .sends_nothing();
  }
  l.after(60_s - 1_ms).state(State::kTimeWait).population(0, 0, 1);
  l.after(1_ms + Ladder::kSlack).state(State::kClosed).population(0, 0, 0).wakes_never();
  // Too late: nobody is there.
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2}).sends({.flags = RST, .seq = 2});
}

// The FIN and the end of the 2 MSL at the same instant, the timer not having been looked at.
TEST_P(WrongEndingAttacks, R9_AFinAtTheInstantOfExpiryIsNoRace) {
  const Handle listener = listens();
  for (const bool advance_first : {false, true}) {
    const Open c = opens(listener, peer(1, advance_first ? 20'001 : 20'000));
    stack_.close(c.handle, now_);
    (void)only();
    gives(c.from, from_peer(c, FIN | ACK, 0, 1));
    (void)only();
    now_ = stack_.next_deadline();
    if (advance_first) stack_.advance(now_);
    gives(c.from, from_peer(c, FIN | ACK, 0, 1));
    EXPECT_EQ(only().flags(), advance_first ? RST : ACK);
    if (!advance_first) {
      stack_.advance(now_);
      EXPECT_EQ(stack_.population().time_wait, 1u) << "restarted";
      runs_for(60_s + kSlack);
    }
    EXPECT_EQ(stack_.population().time_wait, 0u);
    EXPECT_EQ(stack_.population().armed_timers, 0u);
  }
}

// R10: FIN,ACK that acknowledges what was never sent.
LADDER_TEST(Attacks, R10_AFinThatAcknowledgesTheUnsentIsNotProcessed) {
  for (const State s : kConnectionStates) {
    for (const std::uint32_t len : {0u, 10u}) {
      Ladder l(variant);
      l.brought_to(s).receives({.flags = FIN | ACK, .seq = l.peer_next(), .ack = 5000, .len = len});
      l.sends({.flags = ACK, .seq = l.stack_next(), .ack = l.peer_next(), .len = 0}).sends_nothing();
      l.state(s).reason(Reason::kAckOfUnsent);
    }
  }
}

// R11: a reset behind the end of the stream.
// RFC 9293: MUST-12.
LADDER_TEST(Attacks, R11_AResetAfterTheEndOfTheStreamIsTold) {
  Ladder l(variant);
  l.brought_to(State::kCloseWait).app_reads_end().forgets_events();
  l.receives({.flags = RST, .seq = 2}).event(kFailed).failure(Error::kReset).app_send_fails(Error::kReset);
}

// The same with a program that has still to write, and with one that waits for its buffer.
LADDER_TEST(Attacks, R11_AProgramThatWaitsForRoomIsTold) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_wmem = 4096; }});
  l.brought_to(State::kCloseWait).app_reads_end().app_sends(4096).whatever();
  l.app_send_fails(Error::kWouldBlock).forgets_events().receives({.flags = RST, .seq = 2});
  l.event(kFailed | kWritable).failure(Error::kReset).app_send_fails(Error::kReset);
  // An end that was read stays read; what it learns from now on is the reset.
  l.app_read_fails(Error::kReset).app_closes().sends_nothing().population(0, 0, 0);
}

// And where the program sent its own FIN before, it is the reader that must learn it.
LADDER_TEST(Attacks, R11_AResetAfterOurOwnFinIsTold) {
  for (const State s : {State::kFinWait1, State::kFinWait2, State::kClosing, State::kLastAck}) {
    Ladder l(variant);
    l.brought_to(s).forgets_events().receives({.flags = RST, .seq = l.peer_next()});
    l.event(kFailed).failure(Error::kReset).app_read_fails(Error::kReset);
  }
}

// A program may keep the handle of a connection whose pair of ports is used again.
TEST_P(WrongEndingAttacks, AbortOfAnOldHandleSparesTheTimeWaitOfALaterConnection) {
  const Handle listener = listens();
  const Open old = opens(listener, peer());
  EXPECT_TRUE(stack_.shutdown(old.handle, Shutdown::kSend, now_));
  EXPECT_TRUE(only().tcp.flags.fin());
  gives(peer(), from_peer(old, FIN | ACK, 0, 1));
  ASSERT_EQ(state(peer()), State::kTimeWait);
  (void)sent();
  const Packet syn_ack = knocks(peer(), syn(kPeerIss + 1000));
  gives(peer(), third(syn_ack.tcp));
  const Handle later = accepts(listener);
  stack_.close(later, now_);
  EXPECT_TRUE(only().tcp.flags.fin());
  gives(peer(), header(FIN | ACK, kPeerIss + 1001, syn_ack.tcp.seq + 2));
  ASSERT_EQ(state(peer()), State::kTimeWait);
  stack_.abort(old.handle, now_);
  EXPECT_EQ(state(peer()), State::kTimeWait);
  (void)sent();
}

// R13: a stack that is closed with everything in it.
TEST_P(WrongEndingAttacks, R13_ShuttingDownEndsEverythingAndLeavesNothing) {
  stack_.settings().tcp_fastopen = 3;
  std::vector<Handle> told;  // each must hear of it
  const Handle listener = listens({.backlog = 64, .hold_limit = 64});
  std::uint16_t port = 20'000;
  const auto open = [&] { return opens(listener, peer(1, port++)); };
  const auto finish_by_peer = [&](const Open& c, std::uint32_t ack) {
    gives(c.from, from_peer(c, FIN | ACK, 0, ack));
  };
  // SYN-SENT and SYN-RECEIVED with a program, and SYN-RECEIVED without.
  told.push_back(connects(peer(9, 443)));
  const Handle crossing = connects(peer(9, 444));
  const auto syns = sent();
  ASSERT_EQ(syns.size(), 2u);
  gives(peer(9, 444), syn(), {}, false, own(syns[1].tcp.source_port));
  told.push_back(crossing);
  (void)sent();
  (void)knocks(peer(2));
  // ESTABLISHED: idle; with data both ways, unread and unsent; with a hole and a FIN beyond it.
  told.push_back(open().handle);
  const Open busy = open();
  gives(busy.from, from_peer(busy, PSH | ACK, 0, 0, 0), "not read");
  writes(busy.handle, std::string(5000, 'x'));
  told.push_back(busy.handle);
  const Open hole = open();
  gives(hole.from, from_peer(hole, FIN | ACK, 100, 0), "beyond");
  told.push_back(hole.handle);
  // FIN-WAIT-1, FIN-WAIT-2, CLOSING; CLOSE-WAIT, LAST-ACK: with a program and without.
  for (const bool orphan : {false, true}) {
    const auto lets_go = [&](const Open& c) {
      if (orphan) {
        stack_.close(c.handle, now_);
      } else {
        ASSERT_TRUE(stack_.shutdown(c.handle, Shutdown::kSend, now_));
        told.push_back(c.handle);
      }
      (void)sent();
    };
    lets_go(open());
    const Open fin_wait_2 = open();
    lets_go(fin_wait_2);
    gives(fin_wait_2.from, from_peer(fin_wait_2, ACK, 0, 1));
    const Open closing = open();
    lets_go(closing);
    finish_by_peer(closing, 0);
    const Open last_ack = open();
    finish_by_peer(last_ack, 0);
    lets_go(last_ack);
    const Open time_wait = open();
    if (orphan) {
      stack_.close(time_wait.handle, now_);
      (void)sent();
      finish_by_peer(time_wait, 1);
      EXPECT_EQ(state(time_wait.from), State::kTimeWait);
    }
  }
  const Open close_wait = open();
  finish_by_peer(close_wait, 0);
  told.push_back(close_wait.handle);
  // Not accepted: whole, with data, and reset meanwhile.
  for (int i = 0; i < 3; ++i) {
    const wire::Endpoint from = peer(3, port++);
    (void)sent();
    const Packet syn_ack = knocks(from);
    gives(from, third(syn_ack.tcp), i == 1 ? "data" : "");
    if (i == 2) gives(from, header(RST, kPeerIss + 1));
  }
  // SYNs that wait for a decision, one of them handed to the program.
  const auto holder = stack_.listen(own(81), {.hold = true}, now_);
  ASSERT_TRUE(holder);
  for (std::uint16_t i = 0; i < 3; ++i)
    gives(peer(4, static_cast<std::uint16_t>(30'000 + i)), syn(), {}, false, own(81));
  const auto handed = stack_.next_pending(*holder);
  ASSERT_TRUE(handed);
  // Cookies and Fast Open.
  (void)sent();
  events_.clear();
  const stack::Population before = stack_.population();
  EXPECT_GE(before.connections, 10u);
  EXPECT_EQ(before.half_open, 1u);
  EXPECT_EQ(before.held, 3u);
  EXPECT_GE(before.time_wait, 1u);
  EXPECT_EQ(before.listeners, 2u);

  stack_.shut_down(now_);
  const std::vector<Packet> last = sent();
  EXPECT_FALSE(last.empty());
  for (const Packet& p : last) EXPECT_TRUE(p.tcp.flags.rst() || p.icmp);
  for (const Handle h : told) {
    EXPECT_NE(events(h) & kFailed, 0);
    EXPECT_EQ(stack_.failure(h), Error::kStackShutdown);
    const Bytes bytes = std::as_bytes(std::span{"text", 4});
    EXPECT_EQ(stack_.send(h, std::span{&bytes, 1}, now_).error(), Error::kStackShutdown);
    // What had arrived can be read before the error comes.
    if (h == busy.handle) {
      EXPECT_EQ(reads(h), "not read");
    }
    std::array<std::byte, 8> room;
    const std::array<MutableBytes, 1> into = {room};
    const auto n = stack_.receive(h, into, now_);
    ASSERT_FALSE(n) << trace::name(stack_.status(h)->state);
    EXPECT_EQ(n.error(), Error::kStackShutdown);
    EXPECT_FALSE(stack_.shutdown(h, Shutdown::kSend, now_));
  }
  EXPECT_NE(events(*handed) & kFailed, 0);
  EXPECT_FALSE(stack_.accept_pending(*handed, now_));
  EXPECT_FALSE(stack_.accept(listener, now_));
  EXPECT_FALSE(stack_.next_pending(*holder));
  EXPECT_EQ(stack_.population().armed_timers, 0u);
  EXPECT_TRUE(stack_.next_deadline().is_never());
  for (const Handle h : told) stack_.close(h, now_);
  for (const Handle h : kept_) stack_.close(h, now_);
  sends_nothing();
  expect_nothing_left();
  EXPECT_EQ(stack_.population().listeners, 0u);
  // A second time does no harm, and what still arrives is answered as by a host without programs.
  stack_.shut_down(now_);
  gives(busy.from, from_peer(busy, ACK, 8, 0));
  EXPECT_EQ(only().flags(), RST);
  expect_nothing_left();
}

// R14: closing while something is unread.
LADDER_TEST(Attacks, R14_ClosingWithUnreadDataResets) {
  for (const bool fin : {false, true}) {
    Ladder l(variant);
    l.opened_passively();
    l.receives(
        {.flags = static_cast<std::uint8_t>(PSH | ACK | (fin ? FIN : 0)), .seq = 1, .ack = 1, .len = 10});
    l.whatever().app_closes().sends({.flags = RST | ACK, .seq = 1}).sends_nothing();
    l.counter(Counter::kTCPAbortOnClose, 1).counter(Counter::kOutRsts, 1).population(0, 0, 0).wakes_never();
  }
}

// What was read is not unread, though the window that it filled was never told open again.
LADDER_TEST(Attacks, R14_ClosingAfterEverythingWasReadDoesNot) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 10}).app_reads(10);
  l.app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 11}).counter(Counter::kTCPAbortOnClose, 0);
}

}  // namespace
}  // namespace synfin::protocol_test
