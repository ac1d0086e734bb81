// SPDX-License-Identifier: Apache-2.0
//
// NewReno (RFC 6582), rule by rule: what a sender does without SACK. Segments are 1000 octets, round trips
// 100 ms.
#include "ladder_sender.h"

namespace synfin::protocol_test {
namespace {

void three_duplicates(Ladder& l, std::int64_t of) {
  for (int i = 0; i < 3; ++i) l.receives(ladder_ack(of));
}

// Step 1: before anything was lost, "recover" is the initial number: the first three duplicates count.
LADDER_TEST(Rfc6582, TheFirstThreeDuplicatesBeginRecovery_3_2_1) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(1));
  l.receives(ladder_ack(1)).sends_nothing().receives(ladder_ack(1)).sends(ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, tcp::CaState::kRecovery);
  EXPECT_EQ(ladder_info(l).snd_ssthresh, 4u) << l.text();
}

// Step 2: duplicates of what was in flight when the timer ran out are no further loss.
LADDER_TEST(Rfc6582, DuplicatesThatDoNotCoverRecoverProveNothing_3_2_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false)
      .app_sends(8 * kLadderMss)
      .whatever()
      .sends_within(310_ms, ladder_segment(1))
      .sends_nothing();
  // What arrived of the first flight is answered by duplicates.
  l.after(kLadderRtt).receives(ladder_ack(2001)).whatever();
  for (int i = 0; i < 6; ++i) l.receives(ladder_ack(2001)).whatever();
  l.counter(Counter::kTCPRenoRecovery, 0);
  EXPECT_EQ(ladder_info(l).ca_state, tcp::CaState::kLoss);
}

// Step 3: an acknowledgement of all that was in flight ends it, and the window is the threshold.
LADDER_TEST(Rfc6582, AFullAcknowledgementEndsRecovery_3_2_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1)).sends_nothing().after(kLadderRtt).receives(ladder_ack(8001)).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, tcp::CaState::kOpen);
  EXPECT_LE(ladder_info(l).snd_cwnd, 4u);
  l.silent_for(100_s).counter(Counter::kTCPTimeouts, 0);
}

// Step 3: each partial acknowledgement sends the next hole again, one a round trip, without a timeout.
LADDER_TEST(Rfc6582, APartialAcknowledgementSendsTheNextHole_3_2_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1)).sends_nothing();
  for (const std::int64_t hole : {2001, 4001, 5001}) {
    l.after(kLadderRtt).receives(ladder_ack(hole)).sends(ladder_segment(hole)).sends_nothing();
    EXPECT_EQ(ladder_info(l).ca_state, tcp::CaState::kRecovery);
  }
  l.after(kLadderRtt).receives(ladder_ack(8001)).sends_nothing().silent_for(100_s);
  l.counter(Counter::kTCPTimeouts, 0).counter(Counter::kTCPRenoRecovery, 1);
}

// Step 3, "reset the retransmit timer": each partial acknowledgement gives what was sent again its time.
LADDER_TEST(Rfc6582, APartialAcknowledgementRestartsTheTimer_3_2_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1))
      .after(200_ms)
      .receives(ladder_ack(2001))
      .sends(ladder_segment(2001))
      .sends_nothing();
  l.silent_for(280_ms).counter(Counter::kTCPTimeouts, 0);
  l.sends_within(400_ms, ladder_segment(2001)).counter(Counter::kTCPTimeouts, 1);
}

// The window is reduced once, however many holes there are.
LADDER_TEST(Rfc6582, ManyHolesAreOneReduction_3_2_3) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(10 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1));
  for (const std::int64_t hole : {2001, 3001, 5001}) {
    l.after(kLadderRtt).receives(ladder_ack(hole)).whatever();
    EXPECT_EQ(ladder_info(l).snd_ssthresh, 5u) << l.text();
  }
}

// Step 4: a timeout ends recovery, and what it sends again is answered without fast retransmissions.
LADDER_TEST(Rfc6582, ATimeoutEndsRecovery_3_2_4) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1)).sends_nothing().sends_within(1_s, ladder_segment(1)).sends_nothing();
  EXPECT_EQ(ladder_info(l).ca_state, tcp::CaState::kLoss);
  EXPECT_EQ(ladder_info(l).snd_cwnd, 1u);
  l.after(kLadderRtt).receives(ladder_ack(1001)).whatever();
  for (int i = 0; i < 4; ++i) l.receives(ladder_ack(1001)).whatever();
  l.counter(Counter::kTCPRenoRecovery, 1).counter(Counter::kTCPTimeouts, 1);
}

// Behind "recover" duplicates count again.
LADDER_TEST(Rfc6582, WhatWasSentLaterCanBeLostAgain_3_2_2) {
  Ladder l(variant, ladder_reno());
  ladder_opened(l, false).app_sends(8 * kLadderMss).whatever().after(kLadderRtt);
  three_duplicates(l, 1);
  l.sends(ladder_segment(1)).after(kLadderRtt).receives(ladder_ack(8001)).sends_nothing();
  l.app_sends(5 * kLadderMss).whatever().after(kLadderRtt).receives(ladder_ack(9001)).whatever();
  for (int i = 0; i < 3; ++i) l.receives(ladder_ack(9001));
  l.whatever().counter(Counter::kTCPRenoRecovery, 2).counter(Counter::kTCPTimeouts, 0);
}

}  // namespace
}  // namespace synfin::protocol_test
