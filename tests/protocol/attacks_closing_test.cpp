// SPDX-License-Identifier: Apache-2.0
//
// Bugs and attacks that TCP stacks have shipped, release: rows R1 to R14 of the list of attacks, by whose
// number a name begins. What must happen in general stands in closing_test.cpp and time_wait_test.cpp. That
// every record has a timer or an idle owner is checked by the ladder itself, at every line.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint16_t kClosed = 0;  // a window

class ClosingAttacks : public RawHost {
 protected:
  // A connection from there, accepted. The peer's next number is kPeerIss + 1.
  struct Open {
    wire::Endpoint from;
    Handle handle;
    std::uint32_t iss = 0;  // of the stack
  };
  Open opens(Handle listener, const wire::Endpoint& from) {
    (void)sent();
    const Packet syn_ack = knocks(from);
    gives(from, third(syn_ack.tcp));
    return {from, accepts(listener), syn_ack.tcp.seq.raw()};
  }
  TcpHeader from_peer(const Open& c, std::uint8_t flags, std::uint32_t seq_after_syn,
                      std::uint32_t ack_after_syn, std::uint16_t window = 65'535) const {
    TcpHeader h = header(flags, kPeerIss + 1 + seq_after_syn, wire::SeqNum{c.iss + 1 + ack_after_syn});
    h.window = {window};
    return h;
  }
  void expect_nothing_left() {
    const stack::Population p = stack_.population();
    EXPECT_EQ(p.connections + p.half_open + p.held + p.time_wait, 0u);
    EXPECT_EQ(pool_.bytes_in_use(), 0u);
  }
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
RAW_HOST_SUITE(ClosingAttacks);

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
TEST_P(ClosingAttacks, R1_OrphansWithAClosedWindowEndHoweverWellTheyAnswer) {
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
TEST_P(ClosingAttacks, R1_NoMoreOrphansThanTheSettingAllows) {
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
TEST_P(ClosingAttacks, R5_TimeWaitEndsOnEitherSideOfEveryWrap) {
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
TEST_P(ClosingAttacks, R5_PortsComeBackOnEitherSideOfTheWrapOfMilliseconds) {
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
TEST_P(ClosingAttacks, R9_AFinAtTheInstantOfExpiryIsNoRace) {
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

// R13: a stack that is closed with everything in it.
TEST_P(ClosingAttacks, R13_ShuttingDownEndsEverythingAndLeavesNothing) {
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
  gives(busy.from, from_peer(busy, PSH | ACK, 0, 0, kClosed), "not read");
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
