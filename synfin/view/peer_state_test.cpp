// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/peer_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

namespace synfin::view {

void PrintTo(const PeerStep& s, std::ostream* out) {
  *out << trace::name(s.state) << (s.certain ? "" : "?");
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using enum trace::State;
using F = wire::Flags;

constexpr PeerStep sure(trace::State s) {
  return {s, true};
}
constexpr PeerStep unsure(trace::State s) {
  return {s, false};
}

// Both ends' numbers near the wrap and elsewhere.
struct Start {
  std::uint32_t ours, theirs;
};

class PeerStateTest : public testing::TestWithParam<Start> {
 protected:
  using Steps = std::vector<PeerStep>;
  PeerState::Segment segment(F flags, std::uint32_t from, std::uint32_t to, std::uint32_t seq,
                             std::uint32_t ack, std::uint32_t payload) const {
    return {flags, wire::SeqNum{from + seq}, wire::SeqNum{flags.ack() ? to + ack : 0}, payload};
  }
  // Relative numbers; `ours` sends, `theirs` is received.
  Steps ours(F flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint32_t payload = 0) {
    return peer.on_sent(segment(flags, GetParam().ours, GetParam().theirs, seq, ack, payload));
  }
  Steps theirs(F flags, std::uint32_t seq, std::uint32_t ack = 0, std::uint32_t payload = 0) {
    return peer.on_received(segment(flags, GetParam().theirs, GetParam().ours, seq, ack, payload));
  }
  void peer_opens() {
    theirs(F::kSyn, 0);
    ours(F::kSyn | F::kAck, 0, 1);
    theirs(F::kAck, 1, 1);
  }
  PeerState peer;
};

TEST_P(PeerStateTest, NothingIsKnownBeforeThePeerSpeaks) {
  EXPECT_FALSE(peer.current());
  EXPECT_THAT(ours(F::kSyn, 0), IsEmpty());
  EXPECT_FALSE(peer.current());
}

TEST_P(PeerStateTest, PeerOpens) {
  EXPECT_THAT(theirs(F::kSyn, 0), ElementsAre(sure(kSynSent)));
  EXPECT_THAT(ours(F::kSyn | F::kAck, 0, 1), IsEmpty()) << "the peer will say whether it arrived";
  EXPECT_THAT(ours(F::kSyn | F::kAck, 0, 1), IsEmpty()) << "sent again";
  EXPECT_THAT(theirs(F::kAck, 1, 1), ElementsAre(sure(kEstablished)));
}

TEST_P(PeerStateTest, WeOpenAndDataConfirmsTheThirdSegment) {
  ours(F::kSyn, 0);
  EXPECT_THAT(theirs(F::kSyn | F::kAck, 0, 1), ElementsAre(sure(kSynReceived)));
  EXPECT_THAT(ours(F::kAck, 1, 1), ElementsAre(unsure(kEstablished)));
  EXPECT_THAT(ours(F::kPsh | F::kAck, 1, 1, 10), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 1, 11), ElementsAre(sure(kEstablished)));
}

TEST_P(PeerStateTest, AThirdSegmentWithDataIsConfirmedByItsAcknowledgement) {
  ours(F::kSyn, 0);
  theirs(F::kSyn | F::kAck, 0, 1);
  EXPECT_THAT(ours(F::kPsh | F::kAck, 1, 1, 10), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 1, 11), ElementsAre(sure(kEstablished)));
}

TEST_P(PeerStateTest, PeerThatListensAndSpeaksFirst) {
  ours(F::kSyn, 0);
  theirs(F::kSyn | F::kAck, 0, 1);
  ours(F::kAck, 1, 1);
  EXPECT_THAT(theirs(F::kPsh | F::kAck, 1, 1, 20), ElementsAre(sure(kEstablished)));
}

TEST_P(PeerStateTest, SimultaneousOpen) {
  ours(F::kSyn, 0);
  EXPECT_THAT(theirs(F::kSyn, 0), ElementsAre(sure(kSynSent)));
  EXPECT_THAT(ours(F::kSyn | F::kAck, 0, 1), IsEmpty());
  EXPECT_THAT(theirs(F::kSyn | F::kAck, 0, 1), ElementsAre(sure(kSynReceived), unsure(kEstablished)));
  EXPECT_THAT(theirs(F::kAck, 1, 1), ElementsAre(sure(kEstablished)));
}

TEST_P(PeerStateTest, FourSegmentCloseByThePeerWithDataBetween) {
  peer_opens();
  EXPECT_THAT(theirs(F::kFin | F::kAck, 1, 1), ElementsAre(sure(kFinWait1)));
  EXPECT_THAT(ours(F::kAck, 1, 2), ElementsAre(unsure(kFinWait2)));
  EXPECT_THAT(ours(F::kPsh | F::kAck, 1, 2, 100), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 2, 101), ElementsAre(sure(kFinWait2)));
  EXPECT_THAT(ours(F::kFin | F::kAck, 101, 2), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 2, 102), ElementsAre(sure(kTimeWait)));
}

TEST_P(PeerStateTest, ThreeSegmentCloseByThePeer) {
  peer_opens();
  theirs(F::kFin | F::kAck, 1, 1);
  EXPECT_THAT(ours(F::kFin | F::kAck, 1, 2), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 2, 2), ElementsAre(sure(kTimeWait)));
}

TEST_P(PeerStateTest, DataAndFinTogetherAcknowledgedAtOncePassFinWait2) {
  peer_opens();
  theirs(F::kFin | F::kAck, 1, 1);
  EXPECT_THAT(ours(F::kAck, 1, 2, 100), IsEmpty());
  EXPECT_THAT(ours(F::kFin | F::kAck, 101, 2), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 2, 102), ElementsAre(sure(kFinWait2), sure(kTimeWait)));
}

TEST_P(PeerStateTest, ARepeatedFinSaysThatOurAckWasLost) {
  peer_opens();
  theirs(F::kFin | F::kAck, 1, 1);
  EXPECT_THAT(ours(F::kAck, 1, 2), ElementsAre(unsure(kFinWait2)));
  EXPECT_THAT(theirs(F::kFin | F::kAck, 1, 1), ElementsAre(sure(kFinWait1)));
  EXPECT_THAT(ours(F::kAck, 1, 2), ElementsAre(unsure(kFinWait2)));
}

TEST_P(PeerStateTest, FourSegmentCloseByUs) {
  peer_opens();
  EXPECT_THAT(ours(F::kFin | F::kAck, 1, 1), IsEmpty());
  EXPECT_THAT(theirs(F::kAck, 1, 2), ElementsAre(sure(kCloseWait)));
  EXPECT_THAT(theirs(F::kPsh | F::kAck, 1, 2, 50), IsEmpty());
  EXPECT_THAT(ours(F::kAck, 2, 51), IsEmpty());
  EXPECT_THAT(theirs(F::kFin | F::kAck, 51, 2), ElementsAre(sure(kLastAck)));
  EXPECT_THAT(ours(F::kAck, 2, 52), ElementsAre(unsure(kClosed)));
  EXPECT_THAT(theirs(F::kFin | F::kAck, 51, 2), ElementsAre(sure(kLastAck)));
  EXPECT_THAT(ours(F::kAck, 2, 52), ElementsAre(unsure(kClosed)));
}

TEST_P(PeerStateTest, FinAndAckOfOursInOneSegment) {
  peer_opens();
  ours(F::kFin | F::kAck, 1, 1);
  EXPECT_THAT(theirs(F::kFin | F::kAck, 1, 2), ElementsAre(sure(kCloseWait), sure(kLastAck)));
  EXPECT_THAT(ours(F::kAck, 2, 2), ElementsAre(unsure(kClosed)));
}

TEST_P(PeerStateTest, SimultaneousClose) {
  peer_opens();
  ours(F::kFin | F::kAck, 1, 1);
  EXPECT_THAT(theirs(F::kFin | F::kAck, 1, 1), ElementsAre(sure(kFinWait1)));
  EXPECT_THAT(ours(F::kAck, 2, 2), IsEmpty()) << "our FIN is ahead of it, and the peer will acknowledge that";
  EXPECT_THAT(theirs(F::kAck, 2, 2), ElementsAre(sure(kClosing), unsure(kTimeWait)));
}

TEST_P(PeerStateTest, ResetByThePeerIsCertainAndOursIsNot) {
  peer_opens();
  EXPECT_THAT(ours(F::kRst, 1), ElementsAre(unsure(kClosed)));
  EXPECT_THAT(theirs(F::kRst, 1), ElementsAre(sure(kClosed)));
}

TEST_P(PeerStateTest, RefusedByThePeer) {
  ours(F::kSyn, 0);
  EXPECT_THAT(theirs(F::kRst | F::kAck, 0, 1), ElementsAre(sure(kClosed)));
}

TEST_P(PeerStateTest, RefusedByUs) {
  EXPECT_THAT(theirs(F::kSyn, 0), ElementsAre(sure(kSynSent)));
  EXPECT_THAT(ours(F::kRst | F::kAck, 0, 1), ElementsAre(unsure(kClosed)));
}

TEST_P(PeerStateTest, AConnectionMetMidwayStaysUncertain) {
  EXPECT_THAT(theirs(F::kPsh | F::kAck, 500, 700, 10), ElementsAre(unsure(kEstablished)));
  EXPECT_THAT(ours(F::kAck, 700, 510), IsEmpty());
  EXPECT_THAT(theirs(F::kFin | F::kAck, 510, 700), ElementsAre(unsure(kFinWait1)));
}

INSTANTIATE_TEST_SUITE_P(Starts, PeerStateTest,
                         testing::Values(Start{1000, 5000}, Start{0xffff'ffff, 0xffff'fffe},
                                         Start{0x7fff'ffff, 0xffff'ffd0}),
                         [](const auto& i) {
                           return "ours" + std::to_string(i.param.ours) + "theirs" +
                                  std::to_string(i.param.theirs);
                         });

}  // namespace
}  // namespace synfin::view
