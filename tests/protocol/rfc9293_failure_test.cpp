// SPDX-License-Identifier: Apache-2.0
//
// RFC 9293 §3.8.1 to §3.8.4: retransmission, failures, keep-alive. Requirements that no other test shows.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

class AtomicPackets : public RawHost {};
INSTANTIATE_TEST_SUITE_P(Families, AtomicPackets, testing::Values(wire::Family::kIpv4),
                         [](auto&) { return "IPv4"; });

// RFC 9293: MAY-4.
TEST_P(AtomicPackets, RetransmissionsKeepTheIdentification) {
  const Handle listener = listens();
  completes(peer());
  const Handle connection = accepts(listener);
  writes(connection, "lost");
  const Packet first = only();
  runs_for(5_s);
  const auto again = sent();
  ASSERT_GE(again.size(), 2u);
  for (const Packet& p : again) {
    EXPECT_EQ(p.text, "lost");
    EXPECT_EQ(p.ip.identification, first.ip.identification);
    EXPECT_TRUE(p.ip.dont_fragment) << "RFC 6864 §4.1: the field means something only where DF is off";
  }
}

// After a tenth of tcp_retries2's 924 s, nothing having arrived, the connection is still there and tries.
// RFC 9293: SHLD-11.
LADDER_TEST(ConnectionFailure, ComesNoEarlierThanAfterAHundredSeconds) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).sends({.seq = 1, .len = 100});
  std::size_t retransmissions = 0;
  while (l.time() < 100_s) retransmissions += l.after(1_s).take_all().size();
  EXPECT_GE(retransmissions, 5u) << l.text();
  l.state(State::kEstablished).no_event(kFailed).receives({.seq = 1, .ack = 101}).silent_for(100_s);
  l.app_sends(1).sends({.seq = 101, .len = 1});
}

// Three retransmissions (tcp_retries1): told, once, and the connection goes on until R2; then it is over.
// There is one way out of a link, so that nobody below could take another: the advice is the event.
// RFC 9293: MUST-20, SHLD-9, SHLD-10.
LADDER_TEST(ConnectionFailure, IsForetoldAtTheThirdRetransmission) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_retries2 = 6; }});
  l.opened_passively().app_sends(100).sends({.seq = 1, .len = 100}).forgets_events();
  const auto in_trouble = [&] {
    const auto status = l.stack().status(l.connection());
    return status && status->in_trouble;
  };
  for (int retransmission = 1; retransmission <= 6; ++retransmission) {
    l.sends_within(60_s, {.seq = 1, .len = 100}).no_event(kFailed).state(State::kEstablished);
    if (retransmission < 3) l.no_event(stack::kTrouble);
    EXPECT_EQ(in_trouble(), retransmission >= 3) << retransmission << "\n" << l.text();
    if (retransmission == 3) l.event(stack::kTrouble).forgets_events();
    if (retransmission > 3) l.no_event(stack::kTrouble);
  }
  l.after(60_s).sends_nothing().state(State::kClosed).event(kFailed).failure(Error::kTimedOut);
}

// RFC 9293: SHLD-9.
LADDER_TEST(ConnectionFailure, ThatPassesIsNoTroubleAnyMore) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).sends({.seq = 1, .len = 100}).forgets_events();
  for (int i = 0; i < 4; ++i) l.sends_within(60_s, {.seq = 1, .len = 100});
  l.event(stack::kTrouble).receives({.seq = 1, .ack = 101}).sends_nothing().state(State::kEstablished);
  const auto status = l.stack().status(l.connection());
  ASSERT_TRUE(status);
  EXPECT_FALSE(status->in_trouble);
  // The next time begins at nothing.
  l.forgets_events().app_sends(10).sends({.seq = 101, .len = 10});
  for (int i = 0; i < 2; ++i) l.sends_within(60_s, {.seq = 101, .len = 10}).no_event(stack::kTrouble);
  l.sends_within(60_s, {.seq = 101, .len = 10}).event(stack::kTrouble);
}

// RFC 9293: MUST-21.
LADDER_TEST(ConnectionFailure, TimeIsTheProgramsChoiceForEachConnection) {
  for (const Duration timeout : {3_s, 30_s}) {
    Ladder l(variant);
    l.opened_passively();
    ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = timeout}, l.now()));
    l.app_sends(100).sends({.seq = 1, .len = 100});
    const Duration begin = l.time();
    while (l.time() < begin + timeout - 200_ms) l.after(100_ms).whatever();
    l.state(State::kEstablished).no_event(kFailed).after(400_ms).whatever();
    l.state(State::kClosed).event(kFailed).failure(Error::kTimedOut);
  }
}

// A SYN is no other than text: told at R1, given up at R2, which the program may set.
// RFC 9293: MUST-22.
LADDER_TEST(ConnectionFailure, OfASynIsForetoldAndTold) {
  for (const std::uint32_t retries : {0u, 5u}) {
    Ladder l(variant);
    l.app_connects().sends({.flags = SYN, .seq = 0}).forgets_events();
    if (retries > 0) {
      ASSERT_TRUE(l.stack().set_options(l.connection(), {.syn_retries = retries}, l.now()));
    }
    const std::uint32_t most = retries > 0 ? retries : tcp::Settings{}.tcp_syn_retries;
    for (std::uint32_t retransmission = 1; retransmission <= most; ++retransmission) {
      l.sends_within(130_s, {.flags = SYN, .seq = 0}).no_event(kFailed).state(State::kSynSent);
      if (retransmission < 3) l.no_event(stack::kTrouble);
      if (retransmission == 3) l.event(stack::kTrouble).forgets_events();
    }
    l.no_event(stack::kTrouble).after(130_s).sends_nothing().state(State::kClosed);
    l.event(kFailed).failure(Error::kTimedOut);
  }
}

// RFC 9293: MUST-23.
LADDER_TEST(ConnectionFailure, OfASynComesNoEarlierThanAfterThreeMinutes) {
  Ladder l(variant);
  l.app_connects().sends({.flags = SYN, .seq = 0});
  std::size_t retransmissions = 0;
  while (l.time() < 180_s) retransmissions += l.after(1_s).take_all().size();
  EXPECT_GE(retransmissions, 5u) << l.text();
  l.state(State::kSynSent).no_event(kFailed);
  l.receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460}).sends({.flags = ACK, .seq = 1, .ack = 1});
  l.state(State::kEstablished).event(kConnected);
}

class KeepAliveRules : public RawHost {
 protected:
  Handle opens(std::uint32_t n) {
    if (!listener_) listener_ = listens();
    const Packet syn_ack = knocks(peer(n));
    gives(peer(n), third(syn_ack.tcp));
    return accepts(*listener_);
  }
  /// Who was sent anything since last asked.
  std::vector<wire::Endpoint> asked() {
    std::vector<wire::Endpoint> out;
    for (const Packet& p : sent()) out.push_back({p.ip.destination, p.tcp.destination_port});
    return out;
  }

  std::optional<Handle> listener_;
};
RAW_HOST_SUITE(KeepAliveRules);

// RFC 9293: MUST-24.
TEST_P(KeepAliveRules, AreTurnedOnAndOffForEachConnection) {
  const Handle with = opens(1), without = opens(2), turned_off = opens(3);
  (void)without;
  ASSERT_TRUE(stack_.set_options(with, {.keepalive = true}, now_));
  ASSERT_TRUE(stack_.set_options(turned_off, {.keepalive = true}, now_));
  runs_for(3600_s);
  ASSERT_TRUE(stack_.set_options(turned_off, {.keepalive = false}, now_));
  runs_for(3600_s + kSlack);
  EXPECT_EQ(asked(), std::vector{peer(1)});
  ASSERT_TRUE(stack_.set_options(with, {.keepalive = false}, now_));
  runs_for(86'400_s);
  EXPECT_TRUE(asked().empty());
  for (std::uint32_t n = 1; n <= 3; ++n) EXPECT_EQ(state(peer(n)), State::kEstablished);
}

LadderOptions probes_after(Duration time) {
  return {.settings = [time](tcp::Settings& s) { s.tcp_keepalive_time = time; }};
}

// RFC 9293: MUST-27, SHLD-12.
LADDER_TEST(KeepAlive, IntervalIsASettingAndProbesAreEmpty) {
  for (const Duration time : {1_s, 10_s, 20'000_s}) {
    Ladder l(variant, probes_after(time));
    l.opened_passively();
    ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
    l.silent_for(time - 10_ms).after(10_ms + Ladder::kSlack);
    l.sends({.flags = ACK, .seq = 0, .ack = 1, .len = 0}).sends_nothing();
  }
}

// What is in flight has a timer of its own, and its retransmissions say as much as a probe would.
// RFC 9293: MUST-26.
LADDER_TEST(KeepAlive, IsNotSentWhileDataIsInFlight) {
  Ladder l(variant, probes_after(2_s));
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
  l.app_sends(100).sends({.seq = 1, .len = 100});
  std::size_t retransmissions = 0;
  for (int i = 0; i < 60; ++i) {
    l.after(1_s);
    for (const auto& p : l.take_all()) {
      ASSERT_EQ(p.tcp.seq.raw(), l.stack_iss() + 1) << l.text();
      ASSERT_EQ(p.payload_size, 100u) << l.text();
      ++retransmissions;
    }
  }
  EXPECT_GE(retransmissions, 5u) << l.text();
  l.receives({.seq = 1, .ack = 101}).sends_nothing();
  l.silent_for(1900_ms).sends_within(2200_ms, {.flags = ACK, .seq = 100, .len = 0});
}

// RFC 9293: MUST-26.
LADDER_TEST(KeepAlive, CountsFromTheLastSegmentOfThePeer) {
  Ladder l(variant, probes_after(10_s));
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
  l.at(9_s).receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).sends_within(40_ms, {.ack = 11});
  l.at(18_s).sends_nothing().receives({.seq = 11, .ack = 1});
  l.at(27_s).sends_nothing();
  l.at(28_s + Ladder::kSlack).sends({.flags = ACK, .seq = 0, .ack = 11, .len = 0}).sends_nothing();
}

// Eight of nine probes are lost, or their answers: the peer lives.
// RFC 9293: MUST-29.
LADDER_TEST(KeepAlive, OneAnswerOutOfNineIsEnough) {
  Ladder l(variant, probes_after(100_s));
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.keepalive = true}, l.now()));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 9; ++i) l.sends_within(101_s, {.flags = ACK, .seq = 0}).state(State::kEstablished);
    l.receives({.seq = 1, .ack = 1}).sends_nothing().no_event(kFailed);
  }
}

}  // namespace
}  // namespace synfin::protocol_test
