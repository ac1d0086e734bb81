// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, and what must happen instead. A name begins with the row of
// the project's list of attacks; E establishment, D data, R release. What is injected into open connections
// is in attacks_injection_test.cpp and attacks_ack_war_test.cpp, what segments and acknowledgements cost in
// attacks_receiver_test.cpp, attacks_small_segments_test.cpp and attacks_sender_test.cpp, release in
// attacks_never_ending_test.cpp and attacks_wrong_ending_test.cpp, floods and cookies in
// synfin/stack/syn_flood_test.cpp, malformed packets in synfin/wire.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

LADDER_TEST(Attacks, E4_LandIsNotAnswered) {
  Ladder l(variant);
  l.app_listens();
  const wire::Endpoint self = l.endpoint(2, Ladder::kStackPort);
  l.receives({.flags = SYN, .seq = 0, .mss = 1460, .from = self}).sends_nothing().population(0, 0, 0);
  l.silent_for(10_s).wakes_never();
}

LADDER_TEST(Attacks, E5_NoRecordForFlagsThatNoHonestPeerSends) {
  for (const int flags : {SYN | FIN, SYN | RST, 0, FIN | PSH | URG, SYN | FIN | RST | PSH | URG, int{FIN}}) {
    Ladder l(variant);
    l.app_listens()
        .receives({.flags = static_cast<std::uint8_t>(flags), .seq = 0})
        .sends_nothing()
        .population(0, 0, 0);
  }
}

LADDER_TEST(Attacks, E6_ResetWithoutAckRemovesAHalfOpen) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived).population(0, 1, 0);
  l.receives({.flags = RST, .seq = 1}).sends_nothing().population(0, 0, 0).wakes_never();
}

LADDER_TEST(Attacks, E7_NoFinBeforeASimultaneousOpenHasEnded) {
  Ladder l(variant);
  l.crossed_syns().app_shuts_down(Shutdown::kSend).sends_nothing().state(State::kSynReceived);
  l.app_read_fails(Error::kWouldBlock);
  l.receives({.flags = ACK, .seq = 1, .ack = 1})
      .sends({.flags = FIN | ACK, .seq = 1, .ack = 1})
      .state(State::kFinWait1);
}

// RFC 9293: MAY-12.
LADDER_TEST(Attacks, E8_AnAckFarBehindBringsNoDataIn) {
  Ladder l(variant, {.peer = {.wscale = 14}});
  l.opened_passively();
  l.receives({.flags = PSH | ACK, .seq = 1, .ack = 1 - (std::int64_t{1} << 30) - 1, .len = 10});
  l.sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0}).sends_nothing().reason(Reason::kAckTooOld);
  l.app_read_fails(Error::kWouldBlock);
}

LADDER_TEST(Attacks, E9_AThirdSegmentWithoutTheNegotiatedTimestampOpens) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.app_listens().receives({.flags = SYN, .seq = 0, .mss = 1460, .ts = wire::Timestamps{1000, 0}});
  l.sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .timestamps = true});
  l.receives({.flags = ACK, .seq = 1, .ack = 1, .without_ts = true}).sends_nothing();
  l.event(kAcceptable).app_accepts().state(State::kEstablished);
}

LADDER_TEST(Attacks, E15_EverySlotComesBackHoweverOftenTheHandshakeIsReset) {
  Ladder l(variant);
  l.app_listens(4);
  for (int i = 0; i < 100; ++i) {
    l.receives({.flags = SYN, .seq = 0, .mss = 1460})
        .sends_within(0_ms, {.flags = SYN | ACK})
        .population(0, 1, 0);
    l.receives({.flags = RST, .seq = 1}).sends_nothing().population(0, 0, 0);
    l.peer_restarts(70'000).after(1_ms);
  }
  l.wakes_never();
}

LADDER_TEST(Attacks, E20_NothingToAcceptBeforeTheThirdSegment) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived).app_accepts_nothing().silent_for(900_ms).app_accepts_nothing();
}

LADDER_TEST(Attacks, E21_ADuplicateSynGetsTheSameAnswerAndNoSecondRecord) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  for (int i = 0; i < 3; ++i) {
    l.receives({.flags = SYN, .seq = 0, .mss = 1460});
    l.sends({.flags = SYN | ACK, .seq = 0, .ack = 1}).sends_nothing().population(0, 1, 0);
  }
  l.receives({.flags = ACK, .seq = 1, .ack = 1}).app_accepts().state(State::kEstablished).population(1, 0, 0);
}

LADDER_TEST(Attacks, D7_AForgedTimestampOutsideTheWindowPoisonsNothing) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively();
  const std::uint32_t far = l.peer_tsval() + 1'000'000'000;
  l.receives(
       {.flags = ACK, .seq = -500'000, .ack = 1, .len = 10, .ts = wire::Timestamps{far, l.last_tsval()}})
      .whatever();
  l.receives({.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 100}).app_reads(100);
}

}  // namespace
}  // namespace synfin::protocol_test
