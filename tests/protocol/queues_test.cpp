// SPDX-License-Identifier: Apache-2.0
//
// The two queues of a listener: half-open connections and those that wait to be accepted. Bounds, counters
// and schedule are Linux's (net/ipv4: tcp_conn_request, tcp_check_req, reqsk_timer_handler).
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using Seconds = std::vector<std::int64_t>;

class Queues : public RawHost {
 protected:
  // SYNs from as many peers; how many were answered with a record.
  void knock(std::uint32_t peers, std::uint32_t first = 1) {
    for (std::uint32_t n = 0; n < peers; ++n) gives(peer(first + n), syn());
  }
};
RAW_HOST_SUITE(Queues);

TEST_P(Queues, TheAcceptQueueTakesOneMoreThanTheBacklog) {
  const Handle listener = listens({.backlog = 3});
  for (std::uint32_t n = 1; n <= 4; ++n) completes(peer(n));
  EXPECT_EQ(stack_.population().connections, 4u);
  EXPECT_EQ(stack_.status(listener)->receive_queue, 4u);
  EXPECT_EQ(stack_.status(listener)->send_queue, 3u) << "as ss shows it";
  gives(peer(5), syn());
  sends_nothing();
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  EXPECT_EQ(count(Counter::kListenDrops), 1u);
  EXPECT_EQ(count(Reason::kAcceptQueueFull), 1u);
  EXPECT_EQ(half_open(), 0u);
  for (std::uint32_t n = 1; n <= 4; ++n) {
    EXPECT_EQ(*stack_.remote_endpoint(accepts(listener)), peer(n)) << "the oldest first";
  }
  accepts_nothing(listener);
  completes(peer(5));
  (void)accepts(listener);
}

TEST_P(Queues, SomaxconnBoundsTheBacklog) {
  stack_.settings().somaxconn = 1;
  const Handle listener = listens({.backlog = 100});
  EXPECT_EQ(stack_.status(listener)->send_queue, 1u);
  completes(peer(1));
  completes(peer(2));
  gives(peer(3), syn());
  sends_nothing();
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
}

TEST_P(Queues, TheSynQueueTakesOneMoreThanTheBacklog) {
  stack_.settings().tcp_syncookies = 0;
  listens({.backlog = 4});
  knock(10);
  EXPECT_EQ(sent().size(), 5u);
  EXPECT_EQ(half_open(), 5u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop), 5u);
  EXPECT_EQ(count(Counter::kListenDrops), 5u);
  EXPECT_EQ(count(Reason::kSynQueueFull), 5u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDoCookies) + count(Counter::kListenOverflows), 0u);
}

TEST_P(Queues, TheSynQueueIsBoundedByTcpMaxSynBacklog) {
  stack_.settings().tcp_max_syn_backlog = 3;
  listens({.backlog = 100});
  knock(10);
  EXPECT_EQ(half_open(), 3u);
  EXPECT_EQ(sent().size(), 10u) << "the rest gets cookies";
  EXPECT_EQ(count(Counter::kTCPReqQFullDoCookies), 7u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 7u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop) + count(Counter::kListenDrops), 0u);
}

TEST_P(Queues, WithBacklogZeroOneHalfOpenAndOneConnectionFit) {
  const Handle listener = listens({.backlog = 0});
  const Packet syn_ack = knocks(peer(1));
  EXPECT_EQ(half_open(), 1u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 0u);
  const Packet other = knocks(peer(2));
  EXPECT_EQ(half_open(), 1u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 1u);
  gives(peer(1), third(syn_ack.tcp));
  EXPECT_EQ(stack_.population().connections, 1u);
  // The second has no room; its cookie stays good.
  gives(peer(2), third(other.tcp));
  sends_nothing();
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  (void)accepts(listener);
  gives(peer(2), third(other.tcp), "late");
  EXPECT_EQ(reads(accepts(listener)), "late");
}

TEST_P(Queues, CookiesModeTwoKeepsNoRecordEver) {
  stack_.settings().tcp_syncookies = 2;
  listens({.backlog = 100});
  knock(5);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 5u);
  EXPECT_EQ(count(Counter::kTCPReqQFullDoCookies), 5u);
}

TEST_P(Queues, ABacklogThatGrowsWhileListeningTakesEffectAtOnce) {
  stack_.settings().tcp_syncookies = 0;
  const Handle listener = listens({.backlog = 2});
  knock(5);
  EXPECT_EQ(half_open(), 3u);
  ASSERT_TRUE(stack_.set_listen_options(listener, {.backlog = 4}));
  EXPECT_EQ(stack_.listen_options(listener)->backlog, 4u);
  knock(5, 11);
  EXPECT_EQ(half_open(), 5u);
}

TEST_P(Queues, ABacklogThatShrinksWhileListeningKeepsWhatIsThere) {
  stack_.settings().tcp_syncookies = 0;
  const Handle listener = listens({.backlog = 8});
  std::vector<Packet> answers;
  for (std::uint32_t n = 1; n <= 4; ++n) answers.push_back(knocks(peer(n)));
  for (std::uint32_t n = 11; n <= 13; ++n) completes(peer(n));
  ASSERT_TRUE(stack_.set_listen_options(listener, {.backlog = 1}));
  EXPECT_EQ(half_open(), 4u);
  knock(1, 20);
  sends_nothing();
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop), 1u);
  // Three wait where two fit: nothing more gets in until two have been accepted.
  gives(peer(1), third(answers[0].tcp));
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  (void)accepts(listener);
  gives(peer(1), third(answers[0].tcp));
  EXPECT_EQ(count(Counter::kListenOverflows), 2u);
  (void)accepts(listener);
  gives(peer(1), third(answers[0].tcp));
  EXPECT_EQ(stack_.population().connections, 4u);
  EXPECT_EQ(half_open(), 3u);
}

TEST_P(Queues, OverflowWithoutAbortIgnoresTheThirdSegmentUntilThereIsRoom) {
  const Handle listener = listens({.backlog = 1});
  const Instant start = now_;
  const Packet syn_ack = knocks(peer(1));
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), third(syn_ack.tcp));
  sends_nothing();
  EXPECT_EQ(state(peer(1)), State::kSynReceived);
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  EXPECT_EQ(count(Counter::kListenDrops), 1u);
  EXPECT_EQ(count(Counter::kEmbryonicRsts), 0u);
  // Data of a peer that believes that it is connected is dropped too, and may come again.
  gives(peer(1), third(syn_ack.tcp), "hello");
  sends_nothing();
  runs_for(32_s);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{1, 3, 7, 15, 31}));
  (void)accepts(listener);
  gives(peer(1), third(syn_ack.tcp), "hello");
  (void)accepts(listener);
  EXPECT_EQ(reads(accepts(listener)), "hello");
  EXPECT_EQ(half_open(), 0u);
  runs_for(100_s);
}

TEST_P(Queues, OverflowWithoutAbortEndsAfterTheLastSynAck) {
  listens({.backlog = 1});
  const Packet syn_ack = knocks(peer(1));
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), third(syn_ack.tcp));
  runs_for(62_s);
  EXPECT_EQ(half_open(), 1u);
  runs_for(2_s);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(count(Counter::kAttemptFails), 1u);
}

TEST_P(Queues, OverflowWithAbortResets) {
  stack_.settings().tcp_abort_on_overflow = true;
  listens({.backlog = 1});
  const Packet syn_ack = knocks(peer(1));
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), third(syn_ack.tcp));
  const Packet reset = only();
  EXPECT_EQ(reset.flags(), RST);
  EXPECT_EQ(reset.tcp.seq, syn_ack.tcp.seq + 1) << "<SEQ=SEG.ACK>: the peer believes it";
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  EXPECT_EQ(count(Counter::kListenDrops), 1u);
  EXPECT_EQ(count(Counter::kEmbryonicRsts), 1u);
  EXPECT_EQ(count(Reason::kAcceptQueueFullReset), 1u);
  EXPECT_EQ(half_open(), 0u);
}

TEST_P(Queues, AListenersOwnAbortOnOverflowOverridesTheSetting) {
  for (const bool own_choice : {true, false}) {
    stack_.settings().tcp_abort_on_overflow = !own_choice;
    const Handle listener = listens({.backlog = 1, .abort_on_overflow = own_choice});
    const Packet syn_ack = knocks(peer(1));
    completes(peer(2));
    completes(peer(3));
    gives(peer(1), third(syn_ack.tcp));
    EXPECT_EQ(sent().size(), own_choice ? 1u : 0u);
    EXPECT_EQ(half_open(), own_choice ? 0u : 1u);
    stack_.close(listener, now_);
    (void)sent();
  }
}

TEST_P(Queues, OverflowAppliesToACookieToo) {
  stack_.settings().tcp_abort_on_overflow = true;
  listens({.backlog = 0});
  const Packet first = knocks(peer(1));
  const Packet cookie = knocks(peer(2));
  EXPECT_EQ(count(Counter::kSyncookiesSent), 1u);
  gives(peer(1), third(first.tcp));
  gives(peer(2), third(cookie.tcp));
  EXPECT_EQ(only().flags(), RST);
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
}

TEST_P(Queues, ASegmentForAFullAcceptQueueIsNotEvenHalfOpened) {
  listens({.backlog = 1});
  completes(peer(1));
  completes(peer(2));
  gives(peer(3), syn());
  sends_nothing();
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(count(Counter::kListenOverflows), 1u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 0u) << "nor does it get a cookie that could not be honoured";
}

}  // namespace
}  // namespace synfin::protocol_test
