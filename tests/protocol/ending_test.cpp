// SPDX-License-Identifier: Apache-2.0
//
// What a program is told of a connection's end: one cause, the rule that decided, and the segment that
// brought it about.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

using stack::kTrouble;
using trace::Cause;

tcp::Ending ending(Ladder& l) {
  return l.stack().ending(l.connection()).value_or(tcp::Ending{});
}

// The numbers of a segment relative to the ends' initial ones, as the ladder's are.
std::int64_t from_peer(const Ladder& l, wire::SeqNum n, const Variant& v) {
  (void)l;
  return n - wire::SeqNum{v.peer_iss};
}
std::int64_t from_stack(const Ladder& l, wire::SeqNum n) {
  return n - wire::SeqNum{l.stack_iss()};
}

LADDER_TEST(Ending, NoneWhileItLives) {
  Ladder l(variant);
  l.opened_passively();
  EXPECT_EQ(ending(l).cause, Cause::kNone);
  EXPECT_FALSE(ending(l).segment);
  l.app_shuts_down(stack::Shutdown::kSend).whatever();
  EXPECT_EQ(ending(l).cause, Cause::kNone) << "FIN-WAIT-1";
}

LADDER_TEST(Ending, OrderlyWithTheLastSegment) {
  Ladder l(variant);
  l.brought_to(State::kFinWait2).at(3_s).receives({.flags = FIN | ACK, .seq = 1, .ack = 2}).whatever();
  const tcp::Ending e = ending(l);
  EXPECT_EQ(e.cause, Cause::kEndOfStream) << l.text();
  EXPECT_EQ(e.at, l.now());
  ASSERT_TRUE(e.segment);
  EXPECT_TRUE(e.segment->received);
  EXPECT_TRUE(e.segment->flags.fin());
  EXPECT_EQ(from_peer(l, e.segment->seq, variant), 1);
  EXPECT_EQ(from_stack(l, e.segment->ack), 2);

  Ladder passive(variant);
  passive.brought_to(State::kLastAck).receives({.seq = 2, .ack = 2});
  EXPECT_EQ(ending(passive).cause, Cause::kEndOfStream) << passive.text();
  EXPECT_EQ(ending(passive).reason, Reason::kFinAcknowledged);
}

// RFC 9293: MUST-12.
LADDER_TEST(Ending, ByThePeersReset) {
  Ladder l(variant);
  l.opened_passively().receives({.flags = RST | ACK, .seq = 1, .ack = 1});
  const tcp::Ending e = ending(l);
  EXPECT_EQ(e.cause, Cause::kResetByPeer) << l.text();
  EXPECT_EQ(e.reason, Reason::kReset);
  ASSERT_TRUE(e.segment);
  EXPECT_TRUE(e.segment->received && e.segment->flags.rst());
  EXPECT_EQ(from_peer(l, e.segment->seq, variant), 1);
}

// The first end counts: TIME-WAIT cannot be undone by what comes after.
LADDER_TEST(Ending, IsSaidOnce) {
  Ladder l(variant);
  l.brought_to(State::kTimeWait).receives({.flags = RST, .seq = 2}).state(State::kClosed);
  EXPECT_EQ(ending(l).cause, Cause::kEndOfStream) << l.text();
  EXPECT_TRUE(ending(l).segment->flags.fin());
}

LADDER_TEST(Ending, RefusedByAReset) {
  Ladder l(variant);
  l.app_connects().whatever().receives({.flags = RST | ACK, .seq = 0, .ack = 1}).event(kFailed);
  EXPECT_EQ(ending(l).cause, Cause::kRefused) << l.text();
  EXPECT_TRUE(ending(l).segment->received);
}

// What timed out is our own segment, named by what the peer did not acknowledge.
LADDER_TEST(Ending, TimedOutWithWhatWasNotAnswered) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_retries2 = 2; }});
  l.opened_passively().app_sends(100).whatever().at(60_s).whatever().state(State::kClosed);
  const tcp::Ending e = ending(l);
  EXPECT_EQ(e.cause, Cause::kTimedOut) << l.text();
  EXPECT_EQ(e.reason, Reason::kRetransmitGaveUp);
  ASSERT_TRUE(e.segment);
  EXPECT_FALSE(e.segment->received);
  EXPECT_EQ(from_stack(l, e.segment->seq), 1);
  EXPECT_EQ(e.segment->text_size, 100u);

  Ladder connecting(variant, {.settings = [](tcp::Settings& s) { s.tcp_syn_retries = 1; }});
  connecting.app_connects().whatever().at(60_s).whatever();
  EXPECT_EQ(ending(connecting).cause, Cause::kTimedOut) << connecting.text();
  EXPECT_EQ(ending(connecting).reason, Reason::kConnectTimedOut);
  EXPECT_EQ(ending(connecting).segment->flags, wire::Flags{SYN});
}

LADDER_TEST(Ending, ByCallsOfTheProgram) {
  // Nobody can ask after close and abort; shutting the stack down leaves the handle.
  Ladder l(variant);
  l.opened_passively().stack().shut_down(l.now());
  l.settles().whatever();
  EXPECT_EQ(ending(l).cause, Cause::kStackShutdown);
  EXPECT_FALSE(ending(l).segment);
}

// --- Patience: R1, R2, user timeout, keep-alive ---

// RFC 9293 SHLD-9: the program hears of trouble before the end, and of its passing.
// RFC 9293: SHLD-9, SHLD-10.
LADDER_TEST(Patience, TroubleIsToldAtR1) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).whatever().forgets_events();
  const auto in_trouble = [&] { return l.stack().status(l.connection())->in_trouble; };
  for (int i = 0; i < 200 && !in_trouble(); ++i) l.after(100_ms).whatever();
  ASSERT_TRUE(in_trouble()) << l.text();
  EXPECT_GE(l.stack().counters()[Counter::kTCPTimeouts], 3u) << "SHLD-10";
  l.event(kTrouble).state(State::kEstablished).receives({.seq = 1, .ack = 101});
  EXPECT_FALSE(in_trouble());
}

// SHLD-25: the program may want not to hear of it.
// RFC 9293: SHLD-20.
LADDER_TEST(Patience, TroubleIsNotToldToWhoDoesNotWantToHear) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.report_trouble = false}, l.now()));
  l.app_sends(100).whatever().forgets_events().at(20_s).whatever().no_event(kTrouble);
  EXPECT_TRUE(l.stack().status(l.connection())->in_trouble) << l.text();
}

LADDER_TEST(Patience, UserTimeoutCountsAClosedWindow) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 10_s}, l.now()));
  l.receives({.seq = 1, .ack = 1, .window = 0}).app_sends(10);
  // The peer answers each probe, so R2 alone would never end it.
  for (int i = 0; i < 95; ++i) {
    l.after(100_ms);
    if (!l.take_all().empty()) l.receives({.seq = 1, .ack = 1, .window = 0});
  }
  l.state(State::kEstablished).after(1_s).whatever().state(State::kClosed).failure(Error::kTimedOut);
  EXPECT_EQ(ending(l).cause, Cause::kUserTimedOut);
}

// RFC 9293: MUST-21, MUST-22.
LADDER_TEST(Patience, UserTimeoutCountsFromTheSyn) {
  Ladder l(variant);
  const auto c = l.stack().connect(l.endpoint(1, 7), {.connection = {.user_timeout = 3_s}}, l.now());
  ASSERT_TRUE(c);
  l.settles().whatever().at(2900_ms).whatever();
  EXPECT_EQ(l.stack().failure(*c), Error::kWouldBlock);
  l.at(3_s + Ladder::kSlack).whatever();
  EXPECT_EQ(l.stack().failure(*c), Error::kTimedOut) << l.text();
  EXPECT_EQ(l.stack().ending(*c)->cause, Cause::kUserTimedOut);
  l.stack().close(*c, l.now());
}

LADDER_TEST(Patience, AnEndedUserTimeoutIsForgotten) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 5_s}, l.now()));
  l.app_sends(10).whatever().at(1_s).whatever().receives({.seq = 1, .ack = 11});
  l.silent_for(60_s).state(State::kEstablished).wakes_never();
}

// RFC 9293: MUST-24, MUST-27.
LADDER_TEST(Patience, KeepaliveAsTheConnectionWantsIt) {
  Ladder l(variant);
  l.opened_passively();
  const tcp::Options wanted{
      .keepalive = true, .keepalive_time = 10_s, .keepalive_interval = 2_s, .keepalive_probes = 2};
  ASSERT_TRUE(l.stack().set_options(l.connection(), wanted, l.now()));
  EXPECT_EQ(l.stack().options(l.connection()), wanted);
  l.at(10_s).sends({.flags = ACK, .seq = 0, .ack = 1});
  l.at(12_s).sends({.flags = ACK, .seq = 0, .ack = 1});
  l.at(14_s + Ladder::kSlack).sends({.flags = RST | ACK, .seq = 1}).state(State::kClosed);
  EXPECT_EQ(ending(l).cause, Cause::kKeepaliveTimedOut);
  EXPECT_EQ(from_stack(l, ending(l).segment->seq), 0);
}

// With both, the user timeout says how long the silence may last, as on Linux.
LADDER_TEST(Patience, UserTimeoutReplacesTheCountOfProbes) {
  Ladder l(variant);
  l.opened_passively();
  const tcp::Options wanted{.keepalive = true,
                            .keepalive_time = 10_s,
                            .keepalive_interval = 2_s,
                            .keepalive_probes = 1,
                            .user_timeout = 15_s};
  ASSERT_TRUE(l.stack().set_options(l.connection(), wanted, l.now()));
  l.at(14_s + Ladder::kSlack).whatever().state(State::kEstablished);
  l.at(16_s + Ladder::kSlack).whatever().state(State::kClosed);
}

TEST(OptionsOfAConnection, NegativeTimesAreRefused) {
  Ladder l(all_variants().front());
  l.opened_passively();
  for (const tcp::Options& bad :
       {tcp::Options{.keepalive_time = Duration::zero() - 1_s},
        tcp::Options{.user_timeout = Duration::zero() - 1_s}, tcp::Options{.linger = Duration::zero() - 1_s},
        tcp::Options{.fin_timeout = Duration::zero() - 1_s}}) {
    const auto done = l.stack().set_options(l.connection(), bad, l.now());
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(), Error::kInvalidArgument);
  }
  EXPECT_EQ(l.stack().options(l.connection()), tcp::Options{});
}

// What comes in begins as its listener says.
LADDER_TEST(OptionsOfAConnection, AreInheritedFromTheListener) {
  Ladder l(variant);
  l.brought_to(State::kListen);
  const stack::Handle listener = l.listener();
  auto options = *l.stack().listen_options(listener);
  options.connection.keepalive = true;
  options.connection.keepalive_time = 10_s;
  ASSERT_TRUE(l.stack().set_listen_options(listener, options));
  l.receives({.flags = SYN, .seq = 0, .mss = 1460}).whatever().receives({.seq = 1, .ack = 1}).app_accepts();
  EXPECT_EQ(l.stack().options(l.connection()), options.connection);
  l.at(10_s).sends({.flags = ACK, .seq = 0, .ack = 1});
}

}  // namespace
}  // namespace synfin::protocol_test
