// SPDX-License-Identifier: Apache-2.0
//
// SYNs that wait, unanswered, for the program's decision (`ListenOptions::hold`): what proxies need, which
// are to answer a peer as the host behind them would.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using stack::kPending;
using stack::Unreachable;

class HeldSyn : public RawHost {
 protected:
  void SetUp() override { listener_ = listens({.hold = true, .hold_limit = 4, .hold_limit_per_source = 3}); }
  Handle next() {
    const auto pending = stack_.next_pending(listener_);
    EXPECT_TRUE(pending);
    return pending.value_or(Handle{});
  }
  Handle held_from(const wire::Endpoint& from) {
    gives(from, syn());
    sends_nothing();
    return next();
  }
  void expect_stale(Handle pending) {
    EXPECT_FALSE(stack_.remote_endpoint(pending));
    const auto accepted = stack_.accept_pending(pending, now_);
    EXPECT_TRUE(!accepted && accepted.error() == Error::kInvalidHandle);
    for (const auto& done : {stack_.reject_pending(pending, now_), stack_.drop_pending(pending, now_),
                             stack_.unreachable_pending(pending, Unreachable::kHost, now_)}) {
      EXPECT_TRUE(!done && done.error() == Error::kInvalidHandle);
    }
    sends_nothing();
  }
  // But for what `events` was asked about.
  void expect_no_failure_told() {
    collect();
    for (const auto& event : events_) EXPECT_EQ(event.second & kFailed, 0);
  }
  std::size_t held() const { return stack_.population().held; }

  Handle listener_;
};
RAW_HOST_SUITE(HeldSyn);

TEST_P(HeldSyn, IsNotAnsweredAndTold) {
  gives(peer(), syn());
  sends_nothing();
  EXPECT_EQ(events(listener_), kPending);
  EXPECT_EQ(count(Reason::kSynHeld), 1u);
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(half_open() + stack_.population().connections, 0u);
  runs_for(30_s);
  sends_nothing();
  const Handle pending = next();
  EXPECT_EQ(*stack_.remote_endpoint(pending), peer());
  EXPECT_EQ(*stack_.local_endpoint(pending), own());
  const auto more = stack_.next_pending(listener_);
  EXPECT_TRUE(!more && more.error() == Error::kWouldBlock);
  accepts_nothing(listener_);
}

TEST_P(HeldSyn, AcceptedIsAConnectionAtOnceAndOpensWithTheThirdSegment) {
  const Handle pending = held_from(peer());
  const Handle connection = keep(*stack_.accept_pending(pending, now_));
  EXPECT_EQ(stack_.status(connection)->state, State::kSynReceived);
  EXPECT_EQ(held(), 0u);
  const Packet syn_ack = only();
  EXPECT_EQ(syn_ack.flags(), SYN | ACK);
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_EQ(events(connection) & (kConnected | kFailed), 0);
  expect_stale(pending);
  gives(peer(), third(syn_ack.tcp, PSH | ACK), "hello");
  EXPECT_EQ(events(connection) & (kConnected | kReadable), kConnected | kReadable);
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
  EXPECT_EQ(reads(connection), "hello");
  accepts_nothing(listener_);  // it passes no accept queue
  EXPECT_EQ(count(Counter::kPassiveOpens), 1u);
}

TEST_P(HeldSyn, AcceptedKeepsWhatTheSynOffered) {
  TcpHeader h = syn();
  h.options.present |= TcpOptions::kWindowScale | TcpOptions::kSackPermitted;
  h.options.window_scale = 7;
  h.options.mss = 900;
  stamp(h, 4711);
  gives(peer(), h);
  const Handle connection = keep(*stack_.accept_pending(next(), now_));
  const Packet syn_ack = only();
  EXPECT_TRUE(syn_ack.tcp.options.has(TcpOptions::kWindowScale));
  EXPECT_TRUE(syn_ack.tcp.options.has(TcpOptions::kSackPermitted));
  EXPECT_EQ(syn_ack.tcp.options.timestamps.echo, 4711u);
  TcpHeader ack = third(syn_ack.tcp);
  ack.window = {1000};
  stamp(ack, 4712, syn_ack.tcp.options.timestamps.value);
  gives(peer(), ack);
  EXPECT_EQ(stack_.status(connection)->send_window, 128'000u);
  EXPECT_EQ(stack_.status(connection)->mss, 900u - 12u);
}

TEST_P(HeldSyn, DataOnItIsLeftForRetransmission) {
  gives(peer(), syn(), "early");
  const Handle connection = keep(*stack_.accept_pending(next(), now_));
  const Packet syn_ack = only();
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_EQ(*stack_.readable(connection), 0u);
  gives(peer(), third(syn_ack.tcp), "early");
  EXPECT_EQ(reads(connection), "early");
}

TEST_P(HeldSyn, AcceptedSendsItsSynAckAgainAndFailsAfterTheLast) {
  const Instant start = now_;
  const Handle connection = keep(*stack_.accept_pending(held_from(peer()), now_));
  runs_for(62_s);
  EXPECT_EQ(seconds_of_sending(start), (std::vector<std::int64_t>{0, 1, 3, 7, 15, 31}));
  EXPECT_EQ(events(connection) & kFailed, 0);
  runs_for(2_s);
  EXPECT_EQ(events(connection) & kFailed, kFailed);
  EXPECT_EQ(stack_.failure(connection), Error::kTimedOut);
}

TEST_P(HeldSyn, AcceptedAnswersADuplicateSynWithItsSynAck) {
  (void)keep(*stack_.accept_pending(held_from(peer()), now_));
  const Packet first = only();
  const Packet second = knocks(peer());
  EXPECT_EQ(second.flags(), SYN | ACK);
  EXPECT_EQ(second.tcp.seq, first.tcp.seq);
  EXPECT_EQ(stack_.population().connections, 1u);
}

TEST_P(HeldSyn, AcceptedFailsByReset) {
  const Handle connection = keep(*stack_.accept_pending(held_from(peer()), now_));
  (void)only();
  gives(peer(), header(RST, kPeerIss + 1));
  EXPECT_EQ(events(connection) & kFailed, kFailed);
  EXPECT_EQ(stack_.failure(connection), Error::kReset);
}

TEST_P(HeldSyn, AcceptedMayBeWrittenToBeforeItOpens) {
  const Handle connection = keep(*stack_.accept_pending(held_from(peer()), now_));
  const Packet syn_ack = only();
  writes(connection, "220 ready");
  sends_nothing();  // the peer has not proved its address
  gives(peer(), third(syn_ack.tcp));
  EXPECT_EQ(only().text, "220 ready");
}

TEST_P(HeldSyn, RejectedIsAnsweredAsIfNobodyListened) {
  const Handle pending = held_from(peer());
  ASSERT_TRUE(stack_.reject_pending(pending, now_));
  const Packet reset = only();
  EXPECT_EQ(reset.flags(), RST | ACK);
  EXPECT_EQ(reset.tcp.seq, wire::SeqNum{0});
  EXPECT_EQ(reset.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(count(Counter::kOutRsts), 1u);
  expect_stale(pending);
}

TEST_P(HeldSyn, DroppedIsNotAnsweredAndTheNextOneIsNew) {
  const Handle pending = held_from(peer());
  ASSERT_TRUE(stack_.drop_pending(pending, now_));
  expect_stale(pending);
  EXPECT_EQ(held(), 0u);
  const Handle second = held_from(peer());
  EXPECT_NE(second, pending);
  EXPECT_EQ(count(Reason::kSynHeld), 2u);
}

TEST_P(HeldSyn, UnreachableIsAnsweredWithTheIcmpErrorOfTheFamily) {
  const std::pair<Unreachable, wire::IcmpKind> kinds[] = {
      {Unreachable::kNetwork, wire::IcmpKind::kNetUnreachable},
      {Unreachable::kHost, wire::IcmpKind::kHostUnreachable},
      {Unreachable::kPort, wire::IcmpKind::kPortUnreachable},
      {Unreachable::kProhibited, wire::IcmpKind::kAdminProhibited}};
  for (const auto& [what, kind] : kinds) {
    const Handle pending = held_from(peer());
    ASSERT_TRUE(stack_.unreachable_pending(pending, what, now_));
    const Packet error = only();
    ASSERT_TRUE(error.icmp);
    EXPECT_EQ(error.icmp->kind, kind);
    EXPECT_EQ(error.ip.source, own().address);
    EXPECT_EQ(error.ip.destination, peer().address);
    ASSERT_TRUE(error.icmp->quoted);
    EXPECT_EQ(error.icmp->quoted->source, peer());
    EXPECT_EQ(error.icmp->quoted->destination, own());
    EXPECT_EQ(error.icmp->quoted->seq, wire::SeqNum{kPeerIss});
    expect_stale(pending);
  }
}

// A client of ours takes the error for its SYN's.
TEST_P(HeldSyn, UnreachableEndsTheAttemptOfAnotherStack) {
  stack::Config c;
  c.addresses = {{peer().address, 64}};
  SeededEntropy entropy(5);
  stack::Stack client(c, pool_, entropy);
  const auto connection = client.connect(own(), {}, now_);
  ASSERT_TRUE(connection);
  std::array<wire::Frame, 4> frames;
  stack_.receive(std::span{frames}.first(client.transmit(frames, now_)), now_);
  ASSERT_TRUE(stack_.unreachable_pending(next(), Unreachable::kPort, now_));
  client.receive(std::span{frames}.first(stack_.transmit(frames, now_)), now_);
  EXPECT_EQ(client.failure(*connection), Error::kRefused);
  client.close(*connection, now_);
}

TEST_P(HeldSyn, E17_ADuplicateFindsTheSameAndTheCountsStayBalanced) {
  for (int i = 0; i < 5; ++i) gives(peer(), syn());
  sends_nothing();
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(count(Reason::kSynHeld), 1u);
  EXPECT_EQ(count(Reason::kSynHeldAgain), 4u);
  const Handle pending = next();
  EXPECT_FALSE(stack_.next_pending(listener_));
  gives(peer(), syn());
  EXPECT_FALSE(stack_.next_pending(listener_)) << "nor a second one once it was handed";
  ASSERT_TRUE(stack_.drop_pending(pending, now_));
  EXPECT_EQ(held(), 0u);
  // All the places are there again, for the listener and for the source.
  for (std::uint16_t port = 1; port <= 3; ++port) gives(peer(1, port), syn());
  EXPECT_EQ(held(), 3u);
  EXPECT_EQ(count(Reason::kHoldLimitSource), 0u);
}

TEST_P(HeldSyn, AResetTakesItBackAndTellsWhoHoldsTheHandle) {
  const Handle pending = held_from(peer());
  gives(peer(), header(RST, kPeerIss + 1));
  sends_nothing();
  EXPECT_EQ(count(Reason::kHeldReset), 1u);
  EXPECT_EQ(events(pending), kFailed);
  EXPECT_EQ(held(), 0u);
  expect_stale(pending);
}

TEST_P(HeldSyn, AResetBeforeItIsHandedLeavesNothing) {
  gives(peer(), syn());
  gives(peer(), header(RST, kPeerIss + 1));
  EXPECT_FALSE(stack_.next_pending(listener_));
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(stack_.population().armed_timers, 0u);
  expect_no_failure_told();
}

TEST_P(HeldSyn, OtherSegmentsMeanNothing) {
  gives(peer(), syn());
  gives(peer(), header(RST, kPeerIss + 100));
  gives(peer(), header(ACK, kPeerIss + 1, wire::SeqNum{1}));
  gives(peer(), header(FIN | ACK, kPeerIss + 1, wire::SeqNum{1}), "text");
  sends_nothing();
  EXPECT_EQ(count(Reason::kHeldIgnored), 3u);
  EXPECT_EQ(held(), 1u);
}

TEST_P(HeldSyn, IsForgottenWhenItsTimeIsUp) {
  ASSERT_TRUE(stack_.set_listen_options(listener_, {.hold = true, .hold_timeout = 10_s}));
  const Handle handed = held_from(peer(1));
  gives(peer(2), syn());
  runs_for(9_s);
  EXPECT_EQ(held(), 2u);
  runs_for(1_s + kSlack);
  sends_nothing();
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(events(handed), kFailed);
  expect_no_failure_told();  // nobody was handed the other
  EXPECT_FALSE(stack_.next_pending(listener_));
  expect_stale(handed);
}

TEST_P(HeldSyn, IsForgottenWithItsListener) {
  const Handle handed = held_from(peer(1));
  gives(peer(2), syn());
  stack_.close(listener_, now_);
  EXPECT_EQ(held(), 0u);
  EXPECT_EQ(events(handed), kFailed);
  EXPECT_EQ(stack_.population().armed_timers, 0u);
  expect_stale(handed);
  const auto none = stack_.next_pending(listener_);
  EXPECT_TRUE(!none && none.error() == Error::kInvalidHandle);
}

TEST_P(HeldSyn, AcceptedOutlivesItsListener) {
  const Handle connection = keep(*stack_.accept_pending(held_from(peer()), now_));
  const Packet syn_ack = only();
  stack_.close(listener_, now_);
  sends_nothing();
  gives(peer(), third(syn_ack.tcp));
  EXPECT_EQ(events(connection) & kConnected, kConnected);
}

TEST_P(HeldSyn, IsLimitedForAListener) {
  for (std::uint32_t n = 1; n <= 6; ++n) gives(peer(n), syn());
  sends_nothing();
  EXPECT_EQ(held(), 4u);
  EXPECT_EQ(count(Reason::kHoldLimit), 2u);
  EXPECT_EQ(count(Counter::kListenDrops), 2u);
  ASSERT_TRUE(stack_.drop_pending(next(), now_));
  gives(peer(5), syn());
  EXPECT_EQ(held(), 4u);
}

TEST_P(HeldSyn, IsLimitedForASource) {
  for (std::uint16_t port = 1; port <= 5; ++port) gives(peer(1, port), syn());
  EXPECT_EQ(held(), 3u);
  EXPECT_EQ(count(Reason::kHoldLimitSource), 2u);
  gives(peer(2), syn());
  EXPECT_EQ(held(), 4u);
  (void)keep(*stack_.accept_pending(next(), now_));
  (void)sent();
  gives(peer(1, 5), syn());
  EXPECT_EQ(held(), 4u) << "an accepted one counts no longer";
}

TEST_P(HeldSyn, TheOldestIsHandedFirst) {
  for (std::uint32_t n = 1; n <= 3; ++n) gives(peer(n), syn());
  gives(peer(2), header(RST, kPeerIss + 1));
  EXPECT_EQ(*stack_.remote_endpoint(next()), peer(1));
  EXPECT_EQ(*stack_.remote_endpoint(next()), peer(3));
}

TEST_P(HeldSyn, HoldingMayBeSwitchedOffWhileListening) {
  gives(peer(1), syn());
  ASSERT_TRUE(stack_.set_listen_options(listener_, {}));
  completes(peer(2));
  (void)accepts(listener_);
  const Handle connection = keep(*stack_.accept_pending(next(), now_));
  gives(peer(1), third(only().tcp));
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
}

}  // namespace
}  // namespace synfin::protocol_test
