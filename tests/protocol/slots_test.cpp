// SPDX-License-Identifier: Apache-2.0
//
// Every way a slot of the SYN queue comes back, and who gets the last ones.
#include <algorithm>

#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using Seconds = std::vector<std::int64_t>;

// A SYN queue with one place, taken by peer 1; without cookies, so that nothing else helps.
class Slots : public RawHost {
 protected:
  void SetUp() override {
    stack_.settings().tcp_syncookies = 0;
    listener_ = listens({.backlog = 0});
    syn_ack_ = knocks(peer(1));
    ASSERT_EQ(half_open(), 1u);
    gives(peer(2), syn());
    sends_nothing();
  }
  // The next legitimate SYN is served.
  void expect_free() {
    EXPECT_EQ(half_open(), 0u);
    completes(peer(3));
    (void)accepts(listener_);
    accepts_nothing(listener_);
  }

  Handle listener_;
  Packet syn_ack_;
};
RAW_HOST_SUITE(Slots);

TEST_P(Slots, ComeBackByCompletion) {
  gives(peer(1), third(syn_ack_.tcp));
  (void)accepts(listener_);
  expect_free();
}

TEST_P(Slots, ComeBackByTimeOut) {
  const Instant start = now_;
  runs_for(62_s);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{1, 3, 7, 15, 31}));
  EXPECT_EQ(half_open(), 1u);
  runs_for(2_s);
  sends_nothing();
  EXPECT_EQ(count(Counter::kTCPSynRetrans), 5u);
  EXPECT_EQ(count(Counter::kAttemptFails), 1u);
  expect_free();
}

TEST_P(Slots, ComeBackAtOnceWhereNoSynAckIsToBeSentAgain) {
  stack_.settings().tcp_synack_retries = 0;
  runs_for(1_s + kSlack);
  sends_nothing();
  expect_free();
}

TEST_P(Slots, ComeBackByReset) {
  gives(peer(1), header(RST, kPeerIss + 1));
  sends_nothing();
  EXPECT_EQ(count(Counter::kEmbryonicRsts), 1u);
  EXPECT_EQ(count(Counter::kAttemptFails), 1u);
  expect_free();
}

TEST_P(Slots, ComeBackByPortUnreachable) {
  gives_error(wire::IcmpKind::kPortUnreachable, syn_ack_);
  EXPECT_EQ(count(Reason::kIcmpHardError), 1u);
  EXPECT_EQ(count(Counter::kAttemptFails), 1u);
  expect_free();
}

TEST_P(Slots, ComeBackByProhibition) {
  gives_error(wire::IcmpKind::kAdminProhibited, syn_ack_);
  expect_free();
}

// RFC 5461: what may pass does not end the attempt.
TEST_P(Slots, StayThroughSoftAndForgedErrors) {
  gives_error(wire::IcmpKind::kHostUnreachable, syn_ack_);
  gives_error(wire::IcmpKind::kNetUnreachable, syn_ack_);
  EXPECT_EQ(count(Reason::kIcmpSoftError), 2u);
  Packet forged = syn_ack_;
  forged.tcp.seq = syn_ack_.tcp.seq + 1;
  gives_error(wire::IcmpKind::kPortUnreachable, forged);
  EXPECT_EQ(count(Reason::kIcmpIgnored), 1u);
  EXPECT_EQ(half_open(), 1u);
  gives(peer(1), third(syn_ack_.tcp));
  (void)accepts(listener_);
}

TEST_P(Slots, ComeBackByClosingTheListener) {
  const std::size_t timers = stack_.population().armed_timers;
  stack_.close(listener_, now_);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_LT(stack_.population().armed_timers, timers);
  sends_nothing();
  // The peer learns it from the reset that its third segment gets.
  gives(peer(1), third(syn_ack_.tcp));
  EXPECT_EQ(only().flags(), RST);
  listener_ = listens({.backlog = 0});
  expect_free();
}

TEST_P(Slots, ComeBackByOverflowWithAbort) {
  ASSERT_TRUE(stack_.set_listen_options(listener_, {.backlog = 4}));
  for (std::uint32_t n = 11; n <= 15; ++n) completes(peer(n));
  ASSERT_TRUE(stack_.set_listen_options(listener_, {.backlog = 4, .abort_on_overflow = true}));
  gives(peer(1), third(syn_ack_.tcp));
  EXPECT_EQ(only().flags(), RST);
  for (int n = 0; n < 5; ++n) (void)accepts(listener_);
  expect_free();
}

TEST_P(Slots, OfOneListenerAreNoneOfAnothers) {
  const auto other = stack_.listen(own(81), {.backlog = 1}, now_);
  ASSERT_TRUE(other);
  gives(peer(4), syn(), {}, false, own(81));
  EXPECT_EQ(half_open(), 2u);
  stack_.close(*other, now_);
  EXPECT_EQ(half_open(), 1u);
  EXPECT_EQ(state(peer(1)), State::kSynReceived);
}

class LastQuarter : public RawHost {};
RAW_HOST_SUITE(LastQuarter);

TEST_P(LastQuarter, IsForPeersThatCompletedAHandshakeBefore) {
  stack_.settings().tcp_syncookies = 0;
  stack_.settings().tcp_max_syn_backlog = 16;
  const Handle listener = listens({.backlog = 100});
  completes(peer(500));
  (void)accepts(listener);
  // max - length < max/4: with 13 there, 3 are left.
  for (std::uint32_t n = 1; n <= 20; ++n) gives(peer(n), syn());
  EXPECT_EQ(sent().size(), 13u);
  EXPECT_EQ(half_open(), 13u);
  EXPECT_EQ(count(Reason::kSynQueueReserved), 7u);
  EXPECT_EQ(count(Counter::kListenDrops), 7u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop), 0u) << "it is not full";
  for (std::uint16_t port = 1; port <= 3; ++port) gives(peer(500, port), syn());
  EXPECT_EQ(half_open(), 16u);
  gives(peer(500, 4), syn());
  EXPECT_EQ(half_open(), 16u);
  EXPECT_EQ(count(Reason::kSynQueueFull), 1u);
  EXPECT_EQ(count(Counter::kListenDrops), 8u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop), 0u) << "Linux counts there only what the backlog refused";
}

TEST_P(LastQuarter, IsForEverybodyWhereThereAreCookies) {
  stack_.settings().tcp_max_syn_backlog = 16;
  listens({.backlog = 100});
  for (std::uint32_t n = 1; n <= 20; ++n) gives(peer(n), syn());
  EXPECT_EQ(half_open(), 16u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 4u);
  EXPECT_EQ(count(Reason::kSynQueueReserved), 0u);
}

class YoungAndOld : public RawHost {};
RAW_HOST_SUITE(YoungAndOld);

// More than half of the queue is taken, and none of it is young: two SYN-ACKs again instead of five.
TEST_P(YoungAndOld, OldRecordsGoEarlierFromAFullQueue) {
  stack_.settings().tcp_syncookies = 0;
  listens({.backlog = 10});
  const Instant start = now_;
  for (std::uint32_t n = 1; n <= 6; ++n) gives(peer(n), syn());
  (void)sent();
  runs_for(6_s);
  EXPECT_EQ(half_open(), 6u);
  runs_for(2_s);
  // At 7 s each has been sent again twice. They go one by one, until half of the queue is free.
  EXPECT_EQ(half_open(), 5u);
  const Seconds times = seconds_of_sending(start);
  EXPECT_EQ(std::ranges::count(times, 1), 6);
  EXPECT_EQ(std::ranges::count(times, 3), 6);
  EXPECT_EQ(std::ranges::count(times, 7), 5);
  runs_for(60_s);
  EXPECT_EQ(half_open(), 0u);
}

TEST_P(YoungAndOld, NothingGoesEarlierWhileHalfTheQueueIsFree) {
  listens({.backlog = 12});
  for (std::uint32_t n = 1; n <= 6; ++n) gives(peer(n), syn());
  runs_for(62_s);
  EXPECT_EQ(half_open(), 6u);
  EXPECT_EQ(sent().size(), 6u * 6u);
}

class ReopenedTimeWait : public RawHost {
 protected:
  // A connection of peer 1 that this host closed first; it is in TIME-WAIT.
  void SetUp() override {
    listener_ = listens({.backlog = 1});
    const Packet syn_ack = knocks(peer(1));
    gives(peer(1), third(syn_ack.tcp));
    const auto connection = stack_.accept(listener_, now_);
    stack_.close(*connection, now_);
    last_ = only();
    gives(peer(1), header(FIN | ACK, kPeerIss + 1, last_.tcp.seq + 1));
    (void)sent();
    ASSERT_EQ(state(peer(1)), State::kTimeWait);
  }

  Handle listener_;
  Packet last_;  // our FIN
};
RAW_HOST_SUITE(ReopenedTimeWait);

// A cookie could not promise a number beyond those of the old connection.
TEST_P(ReopenedTimeWait, GetsARecordWhereOthersGetCookies) {
  (void)knocks(peer(2));
  (void)knocks(peer(3));
  (void)knocks(peer(4));
  EXPECT_EQ(half_open(), 2u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 1u);
  const Packet syn_ack = knocks(peer(1), syn(kPeerIss + 1000));
  EXPECT_EQ(count(Counter::kSyncookiesSent), 1u);
  EXPECT_EQ(count(Counter::kTWRecycled), 1u);
  EXPECT_EQ(half_open(), 3u);
  EXPECT_TRUE(syn_ack.tcp.seq.after(last_.tcp.seq + 1));
  gives(peer(1), third(syn_ack.tcp), "again");
  EXPECT_EQ(reads(accepts(listener_)), "again");
}

// Room to be accepted it needs like any other (Linux: sk_acceptq_is_full is asked for every SYN).
TEST_P(ReopenedTimeWait, IsDroppedWhereTheAcceptQueueIsFull) {
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), syn(kPeerIss + 1000));
  sends_nothing();
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  EXPECT_EQ(count(Counter::kListenDrops), 1u);
  EXPECT_EQ(count(Reason::kAcceptQueueFull), 1u) << "the reason of the drop, not of the attempt";
}

}  // namespace
}  // namespace synfin::protocol_test
