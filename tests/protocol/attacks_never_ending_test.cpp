// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, release: what keeps a connection or a record for ever. Rows
// R1 to R7 and R12 of the list of attacks, by whose number a name begins; the rest of the R rows is in
// attacks_wrong_ending_test.cpp. That every record has a timer or an idle owner is checked by the ladder
// itself, at every line.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "accepted_peer.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint16_t kClosed = 0;  // a window

class NeverEndingAttacks : public AcceptedPeers {
 protected:
  // Runs for `d`; whatever asks for an answer gets this window and no acknowledgement.
  void answers_for(Duration d, const std::vector<Open>& peers, std::uint16_t window) {
    const Instant end = now_ + d;
    while (now_ < end) {
      runs_for(std::min(end - now_, 500_ms));
      for (const Packet& p : sent()) {
        if (p.tcp.flags.rst()) continue;
        const auto to = std::ranges::find_if(peers, [&](const Open& c) {
          return c.from == wire::Endpoint{p.ip.destination, p.tcp.destination_port};
        });
        if (to != peers.end() && stack_.state_of({own(), to->from}) != State::kClosed)
          gives(to->from, from_peer(*to, ACK, 0, 0, window));
      }
    }
  }
};
RAW_HOST_SUITE(NeverEndingAttacks);

// R1, CVE-2008-4609 (sockstress): many connections whose peer shuts its window and answers every probe.

// A program that set a user timeout is rid of it: a closed window counts as no progress (RFC 5482 §3).
LADDER_TEST(Attacks, R1_TheUserTimeoutCountsAClosedWindow) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 30_s}, l.now()));
  l.receives({.seq = 1, .ack = 1, .window = kClosed}).app_sends(1000).whatever();
  for (int i = 0; i < 29; ++i)
    l.after(1_s).whatever().receives({.seq = 1, .ack = 1, .window = kClosed}).state(State::kEstablished);
  for (int i = 0; i < 3; ++i) {
    l.after(1_s).whatever();
    if (l.stack().failure(l.connection()) == Error::kWouldBlock)
      l.receives({.seq = 1, .ack = 1, .window = kClosed}).whatever();
  }
  l.event(kFailed).failure(Error::kTimedOut).counter(Counter::kTCPAbortOnTimeout, 1).state(State::kClosed);
}

// Progress, however slow, is none of its business.
LADDER_TEST(Attacks, R1_TheUserTimeoutSparesASlowPeer) {
  Ladder l(variant);
  l.opened_passively();
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 10_s}, l.now()));
  l.app_sends(100).sends({.seq = 1, .len = 100});
  for (std::int64_t acked = 11; acked <= 101; acked += 10)
    l.after(9_s).whatever().receives({.seq = 1, .ack = acked}).whatever().state(State::kEstablished);
  l.silent_for(60_s).state(State::kEstablished).no_event(kFailed);
}

// Without one, R2 does not count answered probes (RFC 9293 §3.8.6.1: "a TCP … MUST allow the connection to
// stay open"), so the program decides; once it has closed, tcp_orphan_retries does.
TEST_P(NeverEndingAttacks, R1_OrphansWithAClosedWindowEndHoweverWellTheyAnswer) {
  const Handle listener = listens({.backlog = 512});
  std::vector<Open> peers;
  for (std::uint32_t i = 0; i < 200; ++i) {
    peers.push_back(opens(listener, peer(1 + i % 3, static_cast<std::uint16_t>(20'000 + i))));
    gives(peers.back().from, from_peer(peers.back(), ACK, 0, 0, kClosed));
    writes(peers.back().handle, std::string(2000, 'x'));
  }
  answers_for(60_s, peers, kClosed);
  EXPECT_EQ(stack_.population().connections, 200u);
  for (const Open& c : peers) stack_.close(c.handle, now_);
  // Eight probes, each of them at most tcp_rto_max after the last.
  answers_for(120_s * 9, peers, kClosed);
  expect_nothing_left();
  EXPECT_EQ(count(Counter::kTCPAbortOnTimeout), 200u);
}

// Nor can they be more than tcp_max_orphans at a time.
TEST_P(NeverEndingAttacks, R1_NoMoreOrphansThanTheSettingAllows) {
  stack_.settings().tcp_max_orphans = 10;
  const Handle listener = listens();
  std::vector<Open> peers;
  for (std::uint32_t i = 0; i < 30; ++i) {
    peers.push_back(opens(listener, peer(1, static_cast<std::uint16_t>(20'000 + i))));
    gives(peers.back().from, from_peer(peers.back(), ACK, 0, 0, kClosed));
    writes(peers.back().handle, "never to be taken");
  }
  (void)sent();
  for (const Open& c : peers) stack_.close(c.handle, now_);
  EXPECT_EQ(stack_.population().orphans, 10u);
  EXPECT_EQ(stack_.population().connections, 10u);
  const auto resets = std::ranges::count_if(sent(), [](const Packet& p) { return p.tcp.flags.rst(); });
  EXPECT_EQ(resets, 20);
  EXPECT_EQ(count(Counter::kTCPAbortOnMemory), 20u);
  answers_for(120_s * 9, peers, kClosed);
  EXPECT_EQ(stack_.population().orphans, 0u);
  expect_nothing_left();
}

// R2, CVE-2009-1926: FIN-WAIT-1 and FIN-WAIT-2 without a program, kept for ever by a zero window.
LADDER_TEST(Attacks, R2_AnOrphanInFinWait1WithAClosedWindowEnds) {
  for (const bool answers : {false, true}) {
    Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_orphan_retries = 3; }});
    l.opened_passively().receives({.seq = 1, .ack = 1, .window = kClosed}).app_sends(1000).whatever();
    l.app_closes().whatever().state(State::kFinWait1);
    for (int i = 0; i < 60 && l.stack().population().connections != 0; ++i) {
      l.after(1_s).whatever();
      if (answers && l.stack().population().connections != 0)
        l.receives({.seq = 1, .ack = 1, .window = kClosed}).whatever();
    }
    l.state(State::kClosed).population(0, 0, 0).wakes_never().counter(Counter::kTCPAbortOnTimeout, 1);
  }
}

// The FIN alone waits for the window.
LADDER_TEST(Attacks, R2_AnOrphanWithNothingButItsFinAndAClosedWindowEnds) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_orphan_retries = 3; }});
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = kClosed}).app_closes().whatever();
  for (int i = 0; i < 60 && l.stack().population().connections != 0; ++i) {
    l.after(1_s).whatever();
    if (l.stack().population().connections != 0)
      l.receives({.seq = 1, .ack = 1, .window = kClosed}).whatever();
  }
  l.state(State::kClosed).population(0, 0, 0).wakes_never();
}

LADDER_TEST(Attacks, R2_AnOrphanInFinWait2EndsHoweverOftenThePeerSaysThatItIsThere) {
  Ladder l(variant);
  l.brought_to(State::kFinWait2).app_closes().sends_nothing();
  for (int i = 0; i < 11; ++i)
    l.state(State::kFinWait2).receives({.seq = 1, .ack = 2, .window = kClosed}).after(5_s).whatever();
  l.after(6_s).whatever().state(State::kClosed).population(0, 0, 0).wakes_never();
}

// R3, CVE-2015-5358: stuck in LAST-ACK.
LADDER_TEST(Attacks, R3_LastAckIsBoundedWhateverThePeerDoes) {
  enum class Peer {
    kSilent,
    kAcknowledgesNothing,
    kShutsItsWindow,
    kSendsItsFinAgain
  };
  for (const bool data : {false, true}) {
    for (const auto how :
         {Peer::kSilent, Peer::kAcknowledgesNothing, Peer::kShutsItsWindow, Peer::kSendsItsFinAgain}) {
      Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_orphan_retries = 4; }});
      l.brought_to(State::kCloseWait);
      if (data) l.app_sends(100).whatever();
      l.app_closes().whatever().state(State::kLastAck);
      for (int i = 0; i < 120 && l.stack().population().connections != 0; ++i) {
        switch (how) {
          case Peer::kSilent:
            break;
          case Peer::kAcknowledgesNothing:
            l.receives({.seq = 2, .ack = 1});
            break;
          case Peer::kShutsItsWindow:
            l.receives({.seq = 2, .ack = 1, .window = kClosed});
            break;
          case Peer::kSendsItsFinAgain:
            l.receives({.flags = FIN | ACK, .seq = 1, .ack = 1});
            break;
        }
        l.whatever().after(1_s).whatever();
      }
      l.state(State::kClosed).population(0, 0, 0).wakes_never();
    }
  }
}

// R4, FreeBSD D30451: the FIN was lost in reassembly, LAST-ACK had no timer, and the ends answered each other
// for ever.
LADDER_TEST(Attacks, R4_FinSurvivesReassembly) {
  // The order in which three segments of 100, 1 and 49 octets and a bare FIN arrive.
  std::vector<int> order = {0, 1, 2, 3};
  const In parts[] = {{.flags = ACK, .seq = 1, .ack = 1, .len = 100},
                      {.flags = ACK, .seq = 101, .ack = 1, .len = 1},
                      {.flags = ACK, .seq = 102, .ack = 1, .len = 49},
                      {.flags = FIN | ACK, .seq = 151, .ack = 1}};
  do {
    for (const bool fin_with_data : {false, true}) {
      Ladder l(variant);
      l.opened_passively();
      for (const int i : order) {
        In part = parts[i];
        if (fin_with_data && i == 2) part.flags = FIN | ACK;
        if (fin_with_data && i == 3) continue;
        l.receives(part).whatever();
      }
      l.state(State::kCloseWait).event(kPeerClosed).app_reads(150).app_reads_end();
      l.app_closes()
          .sends({.flags = FIN | ACK, .seq = 1, .ack = 152})
          .state(State::kLastAck)
          .wakes_by(l.time() + 3_s);
      l.sends_within(3_s, {.flags = FIN | ACK, .seq = 1, .ack = 152});
      l.receives({.seq = 152, .ack = 2}).sends_nothing().population(0, 0, 0).wakes_never();
    }
  } while (std::ranges::next_permutation(order).found);
}

// The FIN comes first, then again with other data around it, then what was missing.
LADDER_TEST(Attacks, R4_AFinThatComesAgainWhileItWaitsCountsOnce) {
  Ladder l(variant);
  l.opened_passively();
  for (int i = 0; i < 3; ++i)
    l.receives({.flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50}).sends({.ack = 1}).sends_nothing();
  // Text behind the FIN, and another FIN behind that, are a forgery or a bug.
  l.receives({.flags = FIN | ACK, .seq = 151, .ack = 1, .len = 10}).whatever().state(State::kEstablished);
  l.receives({.flags = ACK, .seq = 1, .ack = 1, .len = 100}).sends({.ack = 152}).state(State::kCloseWait);
  l.receives({.flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50}).sends({.ack = 152}).sends_nothing();
  l.app_reads(150).app_reads_end();
}

// R5, macOS 2026: the millisecond clock wrapped, TIME-WAIT never ended, and ports ran out. On either side of
// every wrap that a clock in this stack could have, and up to the end of time.
TEST_P(NeverEndingAttacks, R5_TimeWaitEndsOnEitherSideOfEveryWrap) {
  constexpr std::int64_t kMs = 1'000'000, kUs = 1'000;
  constexpr std::int64_t k31 = std::int64_t{1} << 31, k32 = std::int64_t{1} << 32;
  std::vector<std::int64_t> wraps = {k32,  // ns
                                     k31 * kUs,
                                     k32 * kUs,      // µs
                                     k32 << 17,      // ticks of the timing wheel
                                     k32 * kUs * 4,  // the clock of ISNs
                                     k31 * kMs,
                                     k32 * kMs,  // ms: timestamps
                                     2 * k32 * kMs,
                                     k31 * kUs * kMs / 1000,
                                     k32 * kMs * 1000,  // s
                                     std::numeric_limits<std::int64_t>::max() - 130 * 1000 * kMs};
  std::ranges::sort(wraps);
  const Handle listener = listens();
  now_ = Instant::from_ns(0);
  std::uint16_t port = 20'000;
  for (const std::int64_t wrap : wraps) {
    for (const Duration before : {59_s, 30_s, 1_ms, 0_s}) {
      const Instant entered = Instant::from_ns(wrap) - before;
      // Runs past what the wrap before left. A clock that begins at 0 has no time before.
      if (entered <= now_) continue;
      now_ = entered;
      stack_.advance(now_);
      EXPECT_EQ(stack_.population().time_wait, 0u);
      const Open c = opens(listener, peer(1, port++));
      stack_.close(c.handle, now_);
      EXPECT_EQ(only().flags(), FIN | ACK);
      gives(c.from, from_peer(c, FIN | ACK, 0, 1));
      EXPECT_EQ(only().flags(), ACK);
      ASSERT_EQ(stack_.population().time_wait, 1u);
      runs_for(29_s + 500_ms);
      // The last ACK is still given, with a clock that has wrapped meanwhile.
      gives(c.from, from_peer(c, FIN | ACK, 0, 1));
      EXPECT_EQ(only().flags(), ACK);
      runs_for(60_s - kSlack);
      ASSERT_EQ(stack_.population().time_wait, 1u) << wrap << " ns, " << before.ms() << " ms before";
      runs_for(kSlack * 2);
      ASSERT_EQ(stack_.population().time_wait, 0u) << wrap << " ns, " << before.ms() << " ms before";
      ASSERT_TRUE(stack_.next_deadline().is_never());
      break;
    }
    // Once more from the other side.
    const Instant after = std::max(now_, Instant::from_ns(wrap) + 1_ms);
    if (Instant::never() - after < 62_s) continue;
    now_ = after;
    const Open c = opens(listener, peer(2, port++));
    stack_.close(c.handle, now_);
    (void)only();
    gives(c.from, from_peer(c, FIN | ACK, 0, 1));
    (void)only();
    ASSERT_EQ(stack_.population().time_wait, 1u);
    runs_for(60_s + kSlack);
    ASSERT_EQ(stack_.population().time_wait, 0u) << wrap << " ns, after";
  }
}

// And the ports: as many connections as there are, on both sides of the wrap.
TEST_P(NeverEndingAttacks, R5_PortsComeBackOnEitherSideOfTheWrapOfMilliseconds) {
  stack_.settings().ip_local_port_first = 50'000;
  stack_.settings().ip_local_port_last = 50'009;
  const Instant wrap = Instant::from_ns((std::int64_t{1} << 32) * 1'000'000);
  for (const Instant start : {wrap - 90_s, wrap - 30_s, wrap + 60_s}) {
    now_ = std::max(now_, start);
    for (int i = 0; i < 10; ++i) {
      const Handle c = connects(peer(1, 443));
      const Packet syn = only();
      const wire::Endpoint client = own(syn.tcp.source_port);
      gives(peer(1, 443), header(SYN | ACK, 9000, syn.tcp.seq + 1), {}, false, client);
      stack_.close(c, now_);
      (void)sent();
      gives(peer(1, 443), header(FIN | ACK, 9001, syn.tcp.seq + 2), {}, false, client);
      (void)sent();
    }
    EXPECT_EQ(stack_.population().time_wait, 10u);
    EXPECT_FALSE(stack_.connect(peer(1, 443), {}, now_));
    runs_for(60_s + kSlack);
    EXPECT_EQ(stack_.population().time_wait, 0u);
  }
}

// R6: simultaneous close with the FIN lost: sent again without its bit, or never again in CLOSING.
LADDER_TEST(Attacks, R6_TheFinIsSentAgainWithItsBit) {
  for (const State s : {State::kFinWait1, State::kClosing, State::kLastAck}) {
    for (const bool data : {false, true}) {
      Ladder l(variant);
      const std::uint32_t len = data ? 10 : 0;
      if (s == State::kLastAck) {
        l.brought_to(State::kCloseWait);
      } else {
        l.opened_passively();
      }
      if (data) l.app_sends(len).sends({.seq = 1, .len = len});
      l.app_shuts_down(Shutdown::kSend).sends({.flags = FIN | ACK, .seq = 1 + len});
      if (s == State::kClosing)
        l.receives({.flags = FIN | ACK, .seq = 1, .ack = 1}).sends({.seq = 2 + len, .ack = 2});
      l.state(s);
      const std::int64_t peer_next = s == State::kFinWait1 ? 1 : 2;
      for (int i = 0; i < 3; ++i) {
        std::int64_t fin_at = -1;
        l.after(Duration::seconds(4 << i));
        for (const auto& packet : l.take_all()) {
          if (packet.tcp.flags.fin())
            fin_at = static_cast<std::int64_t>(packet.tcp.seq.raw() - l.stack_iss()) +
                     static_cast<std::int64_t>(packet.payload_size);
        }
        EXPECT_EQ(fin_at, 1 + len) << l.text();
        l.state(s);
      }
      l.receives({.seq = peer_next, .ack = 2 + len}).sends_nothing();
      l.state(s == State::kFinWait1  ? State::kFinWait2
              : s == State::kClosing ? State::kTimeWait
                                     : State::kClosed);
    }
  }
}

// R7: CLOSING to TIME-WAIT without a timer.
LADDER_TEST(Attacks, R7_ClosingLeadsToATimeWaitThatEnds) {
  Ladder l(variant);
  l.brought_to(State::kClosing).app_closes().receives({.seq = 2, .ack = 2}).state(State::kTimeWait);
  l.population(0, 0, 1).after(60_s + Ladder::kSlack).state(State::kClosed).wakes_never();
}

// A reset with a wrong number in CLOSING: one challenge, and the exact one ends it.
LADDER_TEST(Attacks, R7_AResetInClosingLoopsNothing) {
  Ladder l(variant);
  l.brought_to(State::kClosing);
  l.receives({.flags = RST, .seq = 3}).sends({.flags = ACK, .seq = 2, .ack = 2, .len = 0}).sends_nothing();
  for (const std::int64_t seq : {1, -5, -100'000}) l.receives({.flags = RST, .seq = seq}).sends_nothing();
  // A peer that is gone answers the challenge so.
  l.receives({.flags = RST, .seq = 2}).sends_nothing().state(State::kClosed).event(kFailed).wakes_never();
}

// R12: the peer died behind our FIN, or behind its own.
LADDER_TEST(Attacks, R12_AnOrphanIsForgotten) {
  Ladder l(variant);
  l.opened_passively().app_closes().sends({.flags = FIN | ACK, .seq = 1});
  l.receives({.seq = 1, .ack = 2}).state(State::kFinWait2).silent_for(59_s).state(State::kFinWait2);
  l.after(2_s).sends_nothing().population(0, 0, 0).wakes_never();
}

// A program that holds its half of the connection has keep-alive as a reaper …
LADDER_TEST(Attacks, R12_KeepAliveEndsAHalfClosedConnection) {
  for (const State s : {State::kFinWait2, State::kCloseWait}) {
    Ladder l(variant);
    l.brought_to(s);
    ASSERT_TRUE(l.stack().set_options(
        l.connection(),
        {.keepalive = true, .keepalive_time = 100_s, .keepalive_interval = 10_s, .keepalive_probes = 3},
        l.now()));
    l.silent_for(99_s);
    for (int i = 0; i < 3; ++i)
      l.sends_within(11_s, {.flags = ACK, .seq = l.stack_next() - 1, .len = 0}).sends_nothing().state(s);
    l.after(11_s).whatever().state(State::kClosed).event(kFailed).failure(Error::kTimedOut).wakes_never();
  }
}

// … and without it the half-closed connection is the program's to keep (RFC 9293 §3.6).
LADDER_TEST(Attacks, R12_WithoutItTheProgramMayWaitAsLongAsItLikes) {
  for (const State s : {State::kFinWait2, State::kCloseWait}) {
    Ladder l(variant);
    l.brought_to(s).silent_for(100'000_s).state(s).wakes_never();
    l.app_closes().whatever();
    l.after(2000_s).whatever().state(State::kClosed).population(0, 0, 0).wakes_never();
  }
}

// The user timeout ends what the program still writes in CLOSE-WAIT.
LADDER_TEST(Attacks, R12_TheUserTimeoutEndsCloseWaitWithData) {
  Ladder l(variant);
  l.brought_to(State::kCloseWait);
  ASSERT_TRUE(l.stack().set_options(l.connection(), {.user_timeout = 20_s}, l.now()));
  l.app_sends(100).whatever().after(19_s).whatever().state(State::kCloseWait);
  l.after(2_s).whatever().event(kFailed).failure(Error::kTimedOut).state(State::kClosed).wakes_never();
}

}  // namespace
}  // namespace synfin::protocol_test
