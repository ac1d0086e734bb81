// SPDX-License-Identifier: Apache-2.0
//
// TCP_DEFER_ACCEPT: a third segment without data does not wake the program, for a while (Linux:
// tcp_check_req, syn_ack_recalc).
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

using Seconds = std::vector<std::int64_t>;

class DeferAccept : public RawHost {
 protected:
  // 5 s are three periods: 1, 2 and 4 s.
  void SetUp() override { listener_ = listens({.defer_accept = 5_s}); }
  Handle listener_;
};
RAW_HOST_SUITE(DeferAccept);

TEST_P(DeferAccept, ABareThirdSegmentWaitsForData) {
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  sends_nothing();
  EXPECT_EQ(count(Reason::kDeferAccept), 1u);
  EXPECT_EQ(count(Counter::kTCPDeferAcceptDrop), 1u);
  EXPECT_EQ(state(peer()), State::kSynReceived);
  EXPECT_EQ(events(listener_) & kAcceptable, 0);
  accepts_nothing(listener_);
  runs_for(300_ms);
  gives(peer(), third(syn_ack.tcp, PSH | ACK), "GET /");
  EXPECT_EQ(events(listener_) & kAcceptable, kAcceptable);
  EXPECT_EQ(reads(accepts(listener_)), "GET /");
  EXPECT_EQ(half_open(), 0u);
}

TEST_P(DeferAccept, DataOnTheThirdSegmentOpensAtOnce) {
  gives(peer(), third(knocks(peer()).tcp, PSH | ACK), "now");
  EXPECT_EQ(reads(accepts(listener_)), "now");
  EXPECT_EQ(count(Counter::kTCPDeferAcceptDrop), 0u);
}

TEST_P(DeferAccept, AFinOpensToo) {
  gives(peer(), third(knocks(peer()).tcp, FIN | ACK));
  const Handle connection = accepts(listener_);
  EXPECT_EQ(stack_.status(connection)->state, State::kCloseWait);
}

// The peer has acknowledged, so the SYN-ACK stays away until the last period: then it asks for a last sign.
TEST_P(DeferAccept, TheSynAckComesAgainOnlyAtTheEndOfTheTime) {
  const Instant start = now_;
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  runs_for(6_s);
  sends_nothing();
  runs_for(2_s);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{7}));
  gives(peer(), third(syn_ack.tcp));
  (void)accepts(listener_);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(count(Counter::kTCPDeferAcceptDrop), 1u);
}

TEST_P(DeferAccept, EveryBareAckWithinTheTimeIsIgnored) {
  const Packet syn_ack = knocks(peer());
  for (int i = 0; i < 3; ++i) {
    gives(peer(), third(syn_ack.tcp));
    runs_for(2_s);
  }
  accepts_nothing(listener_);
  EXPECT_EQ(count(Counter::kTCPDeferAcceptDrop), 3u);
}

// A peer that never says more is forgotten like one that never acknowledged.
TEST_P(DeferAccept, SilenceEndsAfterTheLastSynAck) {
  const Instant start = now_;
  gives(peer(), third(knocks(peer()).tcp));
  runs_for(62_s);
  EXPECT_EQ(half_open(), 1u);
  runs_for(2_s);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{7, 15, 31}));
  EXPECT_EQ(count(Counter::kAttemptFails), 1u);
}

// A time beyond tcp_synack_retries keeps the record for as long.
TEST_P(DeferAccept, ALongerTimeThanTheRetriesIsKept) {
  stack_.settings().tcp_synack_retries = 1;
  const Instant start = now_;
  gives(peer(), third(knocks(peer()).tcp));
  (void)knocks(peer(2));
  runs_for(4_s);
  EXPECT_EQ(half_open(), 1u) << "the one that did not acknowledge is gone";
  EXPECT_EQ(seconds_of_sending(start), (Seconds{1})) << "to the other peer";
  EXPECT_EQ(state(peer()), State::kSynReceived);
  runs_for(4_s);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{7}));
  runs_for(10_s);
  EXPECT_EQ(half_open(), 0u);
}

TEST_P(DeferAccept, WithoutAcknowledgementTheSynAckComesAgainAsEver) {
  const Instant start = now_;
  (void)knocks(peer());
  runs_for(8_s);
  EXPECT_EQ(seconds_of_sending(start), (Seconds{1, 3, 7}));
}

TEST_P(DeferAccept, ItMayBeTakenBackWhileListening) {
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  accepts_nothing(listener_);
  ASSERT_TRUE(stack_.set_listen_options(listener_, {}));
  gives(peer(), third(syn_ack.tcp));
  (void)accepts(listener_);
}

TEST_P(DeferAccept, AResetFreesWhatWaitsForData) {
  gives(peer(), third(knocks(peer()).tcp));
  gives(peer(), header(RST, kPeerIss + 1));
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(stack_.population().armed_timers, 0u);
}

}  // namespace
}  // namespace synfin::protocol_test
