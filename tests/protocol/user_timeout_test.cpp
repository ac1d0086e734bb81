// SPDX-License-Identifier: Apache-2.0
//
// The User Timeout option on connections (RFC 5482).
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

void advertise(Ladder& l, Duration t) {
  tcp::Options o = *l.stack().options(l.connection());
  o.advertised_user_timeout = t;
  ASSERT_TRUE(l.stack().set_options(l.connection(), o, l.now()));
}

// Off by default: neither sent nor heeded ("ENABLED … default false", §3.1).
LADDER_TEST(UserTimeoutOption, IsNotUsedUnlessAskedFor) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).sends({.seq = 1, .len = 10, .user_timeout = -1});
  l.receives({.seq = 1, .ack = 1, .user_timeout = 120}).at(130_s).whatever().state(State::kEstablished);
}

// "in the <SYN> … and in the first segment thereafter", as a SYN cookie forgets it (§3.1).
LADDER_TEST(UserTimeoutOption, GoesWithTheSynAndTheSegmentBehindIt) {
  Ladder l(variant);
  const stack::ConnectOptions options{.connection = {.advertised_user_timeout = 300_s}};
  const auto c = l.stack().connect(l.endpoint(1, Ladder::kPeerPort), options, l.now());
  ASSERT_TRUE(c);
  l.settles();
  auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_TRUE(sent[0].tcp.options.has(wire::TcpOptions::kUserTimeout));
  EXPECT_EQ(sent[0].tcp.options.user_timeout, 300);
  l.stack().close(*c, l.now());
}

LADDER_TEST(UserTimeoutOption, IsToldOnce) {
  Ladder l(variant);
  l.opened_passively();
  advertise(l, 300_s);
  l.app_sends(10).sends({.seq = 1, .len = 10, .user_timeout = 300});
  l.receives({.seq = 1, .ack = 11}).app_sends(10).sends({.seq = 11, .len = 10, .user_timeout = -1});
}

// A change of mind is told, too.
LADDER_TEST(UserTimeoutOption, IsToldAgainWhenItChanges) {
  Ladder l(variant);
  l.opened_passively();
  advertise(l, 300_s);
  l.app_sends(10).sends({.user_timeout = 300}).receives({.seq = 1, .ack = 11});
  advertise(l, 300_s);
  l.app_sends(10).sends({.user_timeout = -1}).receives({.seq = 1, .ack = 21});
  advertise(l, 32768_s);
  l.app_sends(10).sends({.user_timeout = 0x8000 | 547});
}

// The peer's wish bounds our patience: 120 s here, against the 924 s of R2.
LADDER_TEST(UserTimeoutOption, ThePeersIsFollowed) {
  Ladder l(variant);
  l.opened_passively();
  advertise(l, 60_s);
  l.receives({.seq = 1, .ack = 1, .user_timeout = 120}).app_sends(10).whatever();
  l.at(119_s).whatever().state(State::kEstablished);
  l.at(120_s + Ladder::kSlack).whatever().state(State::kClosed).failure(Error::kTimedOut);
}

// … and prolongs it: R2 is the user timeout (MUST-21), here an hour at most.
LADDER_TEST(UserTimeoutOption, APatientPeerIsWaitedFor) {
  Ladder l(variant);
  l.opened_passively();
  advertise(l, 60_s);
  l.receives({.seq = 1, .ack = 1, .user_timeout = 0x8000 | 1000}).app_sends(10).whatever();
  l.at(3599_s).whatever().state(State::kEstablished);
  l.at(3600_s + Ladder::kSlack).whatever().state(State::kClosed);
}

// "CHANGEABLE … false": what the program set itself, no peer changes.
LADDER_TEST(UserTimeoutOption, TheProgramsOwnTimeoutStands) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 30_s, .advertised_user_timeout = 30_s},
                                    l.now()));
  l.receives({.seq = 1, .ack = 1, .user_timeout = 1000}).app_sends(10).whatever();
  l.at(30_s + Ladder::kSlack).whatever().state(State::kClosed);
}

}  // namespace
}  // namespace synfin::protocol_test
