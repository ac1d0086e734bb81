// SPDX-License-Identifier: Apache-2.0
//
// TIME-WAIT: RFC 9293 §3.6.1, §3.10.7.4, RFC 1337, RFC 6191.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

// In TIME-WAIT since time 0, the program having closed; the peer's numbers end at 2, ours at 2.
Ladder& in_time_wait(Ladder& l) {
  l.brought_to(State::kTimeWait).app_reads_end().app_closes().sends_nothing().population(0, 0, 1);
  return l;
}

// MUST-13.
// RFC 9293: MUST-13.
LADDER_TEST(TimeWait, LastsTwoMsl) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.msl = 5_s; }});
  in_time_wait(l).wakes_by(10_s).at(9'900_ms).state(State::kTimeWait);
  l.at(10_s + Ladder::kSlack).sends_nothing().state(State::kClosed).population(0, 0, 0).wakes_never();
  l.counter(Counter::kTW, 1);
}

// The program still holds its handle: the protocol's part ends all the same, once.
LADDER_TEST(TimeWait, ExpiresWhileTheProgramHoldsTheConnection) {
  Ladder l(variant);
  l.brought_to(State::kTimeWait).at(59_s).state(State::kTimeWait);
  l.at(60_s + Ladder::kSlack).state(State::kClosed).wakes_never().no_event(kFailed).app_reads_end();
  l.app_closes().sends_nothing().population(0, 0, 0);
}

// What had arrived before the FIN can be read as long as the program likes.
LADDER_TEST(TimeWait, UnreadDataOutlivesIt) {
  Ladder l(variant);
  l.brought_to(State::kFinWait2)
      .receives({.flags = FIN | ACK, .seq = 1, .ack = 2, .len = 100})
      .sends({.ack = 102});
  l.state(State::kTimeWait)
      .at(100_s)
      .state(State::kClosed)
      .app_reads(100)
      .app_reads_end()
      .app_closes()
      .sends_nothing();
}

// "Acknowledge it, and restart the 2 MSL timeout." (attack R9)
LADDER_TEST(TimeWait, FinAgainIsAcknowledgedAndRestartsTheTimer) {
  Ladder l(variant);
  in_time_wait(l).at(50_s).receives({.flags = FIN | ACK, .seq = 1, .ack = 2}).reason(Reason::kTimeWaitReAck);
  l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0}).sends_nothing();
  l.at(61_s).state(State::kTimeWait).at(109_s).state(State::kTimeWait);
  l.at(110_s + Ladder::kSlack).sends_nothing().state(State::kClosed).wakes_never();
}

// Segments of the old connection: old data is acknowledged (§3.10.7.4 first), nothing comes to life.
LADDER_TEST(TimeWait, OldDataIsAcknowledgedAndDropped) {
  Ladder l(variant);
  in_time_wait(l)
      .receives({.seq = -500, .ack = 2, .len = 100})
      .sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0});
  l.sends_nothing().state(State::kTimeWait);
  l.receives({.seq = 2, .ack = 2}).state(State::kTimeWait);
  EXPECT_LE(l.take_all().size(), 1u);
  l.at(62_s).state(State::kClosed);
}

// RFC 1337 off, as on Linux: an exact reset ends it.
LADDER_TEST(TimeWait, ExactResetEndsItWithRfc1337Off) {
  Ladder l(variant);
  in_time_wait(l).receives({.flags = RST, .seq = 2}).reason(Reason::kTimeWaitReset).sends_nothing();
  l.state(State::kClosed).population(0, 0, 0).wakes_never();
}

// RFC 1337 §3 on: resets are ignored.
LADDER_TEST(TimeWait, ResetIsIgnoredWithRfc1337On) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_rfc1337 = true; }});
  in_time_wait(l).receives({.flags = RST, .seq = 2}).reason(Reason::kTimeWaitResetIgnored).sends_nothing();
  l.state(State::kTimeWait).at(60_s + Ladder::kSlack).state(State::kClosed);
}

// §3.10.7.4 second, check 1: a reset outside the window changes nothing, whatever tcp_rfc1337 says.
LADDER_TEST(TimeWait, OldResetDoesNotEndIt) {
  Ladder l(variant);
  in_time_wait(l);
  for (const std::int64_t seq : {std::int64_t{1}, std::int64_t{-100}, std::int64_t{0x4000'0000}}) {
    l.receives({.flags = RST, .seq = seq}).sends_nothing().state(State::kTimeWait);
  }
}

// MAY-2: a SYN beyond the old numbers reopens, with an ISS beyond the old ones ("larger than the largest
// sequence number it used on the previous connection incarnation").
// RFC 9293: MAY-2.
LADDER_TEST(TimeWait, NewerSynReopens) {
  Ladder l(variant);
  in_time_wait(l).at(10_ms);
  const std::uint32_t old_iss = l.stack_iss();
  l.peer_restarts(50'000).receives({.flags = SYN, .seq = 0, .mss = 1460}).reason(Reason::kTimeWaitReopened);
  l.sends({.flags = SYN | ACK, .seq = 0, .ack = 1}).sends_nothing().population(0, 1, 0);
  EXPECT_GT(static_cast<std::int32_t>(l.stack_iss() - (old_iss + 2)), 0) << l.text();
  l.receives({.seq = 1, .ack = 1}).event(kAcceptable).app_accepts().state(State::kEstablished);
  l.receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).whatever().counter(Counter::kTWRecycled, 1);
}

// An old SYN, or the old connection's own, is answered with an ACK (§3.6.1, §3.10.7.4 fourth).
// RFC 9293: MAY-2.
LADDER_TEST(TimeWait, OldSynGetsAnAck) {
  for (const std::int64_t seq : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{-70'000}}) {
    Ladder l(variant);
    in_time_wait(l).receives({.flags = SYN, .seq = seq, .mss = 1460}).reason(Reason::kTimeWaitOldSyn);
    l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0})
        .sends_nothing()
        .state(State::kTimeWait)
        .population(0, 0, 1);
  }
}

// Nobody listens any more: a newer SYN does not come to life.
LADDER_TEST(TimeWait, NewerSynWithoutListenerDoesNotOpen) {
  Ladder l(variant);
  in_time_wait(l).app_closes_listener().receives({.flags = SYN, .seq = 50'000, .mss = 1460});
  for (const auto& packet : l.take_all()) EXPECT_FALSE(packet.tcp.flags.syn()) << l.text();
  EXPECT_EQ(l.stack().population().half_open, 0u);
}

// RFC 6191 §2: with timestamps on both incarnations the newer timestamp decides, even if the number is older.
// RFC 9293: SHLD-4.
LADDER_TEST(TimeWait, NewerTimestampReopensWithOlderNumber) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  in_time_wait(l).at(2_s);
  l.receives({.flags = SYN,
              .seq = -9000,
              .mss = 1460,
              .ts = wire::Timestamps{.value = l.peer_tsval() + 5000, .echo = 0}});
  l.reason(Reason::kTimeWaitReopened).sends({.flags = SYN | ACK, .ack = -8999}).population(0, 1, 0);
}

// RFC 6191 §2: an older timestamp does not reopen, even if the number is newer (PAWS, RFC 7323 §5.3).
// RFC 9293: SHLD-4.
LADDER_TEST(TimeWait, OlderTimestampDoesNotReopen) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  in_time_wait(l).at(2_s);
  l.receives({.flags = SYN,
              .seq = 50'000,
              .mss = 1460,
              .ts = wire::Timestamps{.value = l.peer_tsval() - 100'000, .echo = 0}});
  l.reason(Reason::kTimeWaitOldSyn).sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0}).sends_nothing();
  l.state(State::kTimeWait);
}

// The timestamps go on in TIME-WAIT (RFC 7323 §3.2). The FIN again lies outside the window, so its TSval is
// not taken (§5.3 R2 comes before R3).
LADDER_TEST(TimeWait, ReAckCarriesTimestamps) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  in_time_wait(l).at(1_s).receives({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0, .timestamps = true});
}

// §3.5.1, MAY-2 "(2) returns to TIME-WAIT state if the SYN turns out to be an old duplicate" is for SYNs
// taken on trust; without a listener or by connect a 4-tuple in TIME-WAIT is taken.
LADDER_TEST(TimeWait, ConnectToTheSamePairIsRefused) {
  Ladder l(variant);
  in_time_wait(l).app_closes_listener();
  const auto again = l.stack().connect(l.tuple().remote, {.local = l.tuple().local}, l.now());
  ASSERT_FALSE(again) << l.text();
  EXPECT_EQ(again.error(), Error::kAddressInUse);
}

// Attack R5: clocks across 2^32 ms. A ladder that starts there still leaves TIME-WAIT.
// tcp_tw_reuse (RFC 6191): with timestamps, and once our clock has moved on, the pair can be had.
LADDER_TEST(TimeWait, ConnectMayTakeThePairOverByTimestamps) {
  Ladder l(variant, {.peer = {.timestamps = true}, .settings = [](tcp::Settings& s) { s.tcp_tw_reuse = 1; }});
  in_time_wait(l).app_closes_listener();
  const auto connect = [&] {
    return l.stack().connect(l.tuple().remote, {.local = l.tuple().local}, l.now());
  };
  EXPECT_EQ(connect().error(), Error::kAddressInUse) << "within a second";
  l.at(1100_ms);
  const std::uint32_t old_iss = l.stack_iss();
  ASSERT_TRUE(connect()) << l.text();
  l.settles().population(1, 0, 0).counter(Counter::kTWRecycled, 1);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_TRUE(sent[0].tcp.flags.syn());
  EXPECT_GT(sent[0].tcp.seq - wire::SeqNum{old_iss}, 2) << "behind all that was used";
}

LADDER_TEST(TimeWait, ConnectDoesNotTakeThePairOverWithoutTimestamps) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_tw_reuse = 1; }});
  in_time_wait(l).app_closes_listener().at(30_s);
  const auto again = l.stack().connect(l.tuple().remote, {.local = l.tuple().local}, l.now());
  ASSERT_FALSE(again) << l.text();
  EXPECT_EQ(again.error(), Error::kAddressInUse);
}

// Ports that nothing holds come first; where there is none, TIME-WAIT gives one away.
LADDER_TEST(TimeWait, AnEphemeralPortIsTakenOverOnlyWhereNoneIsFree) {
  Ladder l(variant, {.peer = {.timestamps = true}, .settings = [](tcp::Settings& s) {
                       s.tcp_tw_reuse = 1;
                       s.ip_local_port_first = Ladder::kStackPort;
                       s.ip_local_port_last = Ladder::kStackPort + 1;
                     }});
  in_time_wait(l).app_closes_listener().at(2_s);
  const auto first = l.stack().connect(l.tuple().remote, {}, l.now());
  ASSERT_TRUE(first) << l.text();
  EXPECT_EQ(l.stack().local_endpoint(*first)->port, Ladder::kStackPort + 1);
  const auto second = l.stack().connect(l.tuple().remote, {}, l.now());
  ASSERT_TRUE(second) << l.text();
  EXPECT_EQ(l.stack().local_endpoint(*second)->port, Ladder::kStackPort);
  const auto third = l.stack().connect(l.tuple().remote, {}, l.now());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), Error::kNoPorts);
  l.settles().whatever();
}

LADDER_TEST(TimeWait, ExpiresAcrossTheWrapOfTheMillisecondClock) {
  Ladder l(variant);
  in_time_wait(l);
  l.at(61_s).state(State::kClosed);
  l.at(Duration::milliseconds((std::int64_t{1} << 32) - 30'000));
  l.peer_restarts(0x1000'0000)
      .receives({.flags = SYN, .seq = 0, .mss = 1460})
      .sends({.flags = SYN | ACK, .ack = 1});
  l.receives({.seq = 1, .ack = 1}).app_accepts().app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 1});
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 2})
      .sends({.flags = ACK, .ack = 2})
      .state(State::kTimeWait);
  l.after(59_s)
      .state(State::kTimeWait)
      .after(1100_ms)
      .state(State::kClosed)
      .population(0, 0, 0)
      .wakes_never();
}

// tcp_max_tw_buckets: more than that are forgotten at once.
LADDER_TEST(TimeWait, RecordsAreBounded) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_max_tw_buckets = 0; }});
  l.brought_to(State::kFinWait2).receives({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.sends({.flags = ACK, .ack = 2}).app_closes().population(0, 0, 0);
  l.counter(Counter::kTCPTimeWaitOverflow, 1);
}

}  // namespace
}  // namespace synfin::protocol_test
