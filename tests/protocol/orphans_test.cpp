// SPDX-License-Identifier: Apache-2.0
//
// Connections that their programs have closed and their peers have not: what they cost, what they still do,
// and when they end.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

// The program is gone, our FIN is acknowledged, the peer may still send: FIN-WAIT-2 as a small record.
Ladder& in_orphaned_fin_wait_2(Ladder& l) {
  l.brought_to(State::kFinWait2).app_closes().sends_nothing().state(State::kFinWait2);
  return l.population(0, 0, 1);
}

LADDER_TEST(OrphanInFinWait2, TheFinLeadsToTimeWait) {
  Ladder l(variant);
  in_orphaned_fin_wait_2(l).at(10_s).receives({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.reason(Reason::kTimeWaitEntered).sends({.flags = ACK, .seq = 2, .ack = 2}).state(State::kTimeWait);
  // 2 MSL from here, not what was left of tcp_fin_timeout.
  l.at(69_s).state(State::kTimeWait).at(70_s + Ladder::kSlack).state(State::kClosed).wakes_never();
  l.counter(Counter::kTW, 1).counter(Counter::kTCPAbortOnLinger, 0);
}

LADDER_TEST(OrphanInFinWait2, EndsWithoutTheFin) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_fin_timeout = 20_s; }});
  in_orphaned_fin_wait_2(l).silent_for(19_s).state(State::kFinWait2).after(1_s + Ladder::kSlack);
  l.sends_nothing().state(State::kClosed).counter(Counter::kTCPAbortOnLinger, 1).wakes_never();
}

LADDER_TEST(OrphanInFinWait2, TheTimeIsTheConnectionsWhereItHasOne) {
  Ladder l(variant);
  l.brought_to(State::kFinWait2);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.fin_timeout = 3_s}, l.now()));
  l.app_closes().at(2900_ms).state(State::kFinWait2).at(3_s + Ladder::kSlack).state(State::kClosed);
}

// SHLD-3: nobody will read it, and the peer must learn that.
LADDER_TEST(OrphanInFinWait2, NewDataIsReset) {
  for (const std::uint8_t flags : {ACK, static_cast<std::uint8_t>(FIN | ACK)}) {
    Ladder l(variant);
    in_orphaned_fin_wait_2(l).receives({.flags = flags, .seq = 1, .ack = 2, .len = 10});
    l.reason(Reason::kDataAfterClose).sends({.flags = RST | ACK, .seq = 2, .ack = 1}).sends_nothing();
    l.state(State::kClosed).counter(Counter::kTCPAbortOnData, 1).wakes_never();
  }
}

// What had arrived before may come again, alone or in front of the FIN.
LADDER_TEST(OrphanInFinWait2, OldDataIsAcknowledged) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).whatever();
  l.after(40_ms).whatever().app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 11});
  l.receives({.seq = 11, .ack = 2}).state(State::kFinWait2).population(0, 0, 1);
  l.receives({.seq = 1, .ack = 2, .len = 10}).reason(Reason::kOldDuplicate);
  l.sends({.flags = ACK, .seq = 2, .ack = 11}).state(State::kFinWait2);
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 10});
  l.sends({.flags = ACK, .seq = 2, .ack = 12}).state(State::kTimeWait);
}

// RFC 5961 holds for it as for a full record.
LADDER_TEST(OrphanInFinWait2, OnlyTheExactResetEndsIt) {
  Ladder l(variant);
  in_orphaned_fin_wait_2(l).receives({.flags = RST, .seq = 100}).reason(Reason::kResetChallenged);
  l.sends({.flags = ACK, .seq = 2, .ack = 1}).state(State::kFinWait2);
  l.receives({.flags = RST, .seq = 1'000'000}).reason(Reason::kOutOfWindowReset).sends_nothing();
  l.receives({.flags = SYN, .seq = 1}).reason(Reason::kSynChallenged).sends({.flags = ACK, .ack = 1});
  l.receives({.seq = 1, .ack = 500}).reason(Reason::kAckOfUnsent).sends({.flags = ACK, .ack = 1});
  l.receives({.seq = 1, .ack = 2}).reason(Reason::kAckIgnored).sends_nothing();
  l.receives({.seq = 50, .ack = 2}).reason(Reason::kAckIgnored).sends_nothing();
  l.receives({.flags = RST, .seq = 1}).reason(Reason::kReset).sends_nothing().state(State::kClosed);
}

// The pair of ports is taken as long.
LADDER_TEST(OrphanInFinWait2, KeepsItsPairOfPorts) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_tw_reuse = 1; }});
  in_orphaned_fin_wait_2(l).app_closes_listener().at(10_s);
  const auto again = l.stack().connect(l.tuple().remote, {.local = l.tuple().local}, l.now());
  ASSERT_FALSE(again) << l.text();
  EXPECT_EQ(again.error(), Error::kAddressInUse);
}

LADDER_TEST(OrphanInFinWait2, ShuttingDownTellsThePeer) {
  Ladder l(variant);
  in_orphaned_fin_wait_2(l).stack().shut_down(l.now());
  l.settles().sends({.flags = RST | ACK, .seq = 2, .ack = 1}).population(0, 0, 0);
}

LADDER_TEST(Orphans, AreCountedUntilThePeerHasEverything) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).whatever().app_closes().whatever();
  EXPECT_EQ(l.stack().population().orphans, 1u);
  l.receives({.seq = 1, .ack = 12}).state(State::kFinWait2);
  EXPECT_EQ(l.stack().population().orphans, 0u) << l.text();
}

// Attack R1: beyond tcp_max_orphans a closed connection is not kept.
LADDER_TEST(Orphans, AreBounded) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_max_orphans = 0; }});
  l.opened_passively().app_sends(10).whatever().app_closes();
  l.sends({.flags = RST | ACK, .seq = 11, .ack = 1}).sends_nothing().state(State::kClosed);
  l.counter(Counter::kTCPAbortOnMemory, 1).population(0, 0, 0).wakes_never();
}

// Nothing is owed to the peer in FIN-WAIT-2 and CLOSED, so nothing counts.
LADDER_TEST(Orphans, TheBoundDoesNotTouchWhatIsDelivered) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_max_orphans = 0; }});
  in_orphaned_fin_wait_2(l).counter(Counter::kTCPAbortOnMemory, 0);
}

// --- Linger ---

LADDER_TEST(Linger, ZeroThrowsAwayAndResets) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).whatever();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.linger = Duration::zero()}, l.now()));
  l.app_closes().sends({.flags = RST | ACK, .seq = 11, .ack = 1}).sends_nothing().state(State::kClosed);
  l.population(0, 0, 0).wakes_never();
}

LADDER_TEST(Linger, TimeEndsWhatThePeerDoesNotTake) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.linger = 5_s}, l.now()));
  l.receives({.seq = 1, .ack = 1, .window = 0}).app_sends(10).app_closes();
  l.at(4900_ms).whatever().state(State::kFinWait1).at(5_s + Ladder::kSlack);
  const auto sent = l.take_all();
  ASSERT_FALSE(sent.empty()) << l.text();
  EXPECT_TRUE(sent.back().tcp.flags.rst()) << l.text();
  l.state(State::kClosed).population(0, 0, 0).wakes_never();
}

// Delivered in time: the time that is left is no reason to reset.
LADDER_TEST(Linger, TimeThatSufficesChangesNothing) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.linger = 5_s}, l.now()));
  l.app_sends(10).whatever().app_closes().whatever().receives({.seq = 1, .ack = 12});
  l.state(State::kFinWait2).silent_for(20_s).state(State::kFinWait2);
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 12}).sends({.flags = ACK, .ack = 2});
  l.state(State::kTimeWait);
}

}  // namespace
}  // namespace synfin::protocol_test
