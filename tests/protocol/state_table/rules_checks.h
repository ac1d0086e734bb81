// SPDX-License-Identifier: Apache-2.0
//
// What RFC 9293 §3.10.7.4 asks of every segment in a synchronized state before the state matters: the
// sequence number, RST, SYN, and whether the acknowledgement can be true.
#pragma once

#include "rules.h"

namespace synfin::state_table {

using enum Kind;
using enum Position;
using enum Ack;
using enum Guard;
using enum Answer;

inline constexpr Rule kChecks[] = {
    // Second, which for a reset comes to the same as first.
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .next = State::kClosed,
     .reason = Reason::kReset,
     .why = why::kExactReset},
    {.kinds = kRst | kRstAck,
     .positions = kInside | kRightEdge,
     .guards = kNormal | kStale,
     .answer = kSendsChallenge,
     .reason = Reason::kResetChallenged,
     .why = why::kInexactReset},
    {.kinds = kRst | kRstAck,
     .positions = kInside | kRightEdge,
     .reason = Reason::kChallengeLimited,
     .why = why::kChallengesThrottled},
    {.kinds = kRst | kRstAck, .reason = Reason::kOutOfWindowReset, .why = why::kStrayReset},

    // PAWS, which spares resets.
    {.guards = kStale, .answer = kSendsAck, .reason = Reason::kPawsRejected, .why = why::kOlderTimestamp},

    // Fourth, which does not wait for the first.
    {.kinds = kSyn | kSynAck | kSynFin,
     .guards = kNormal,
     .answer = kSendsChallenge,
     .reason = Reason::kSynChallenged,
     .why = "RFC 9293 §3.10.7.4, fourth: “if the SYN bit is set, irrespective of the sequence number, TCP "
            "endpoints MUST send a \"challenge ACK\" to the remote peer”, so that this comes before the "
            "first step"},
    {.kinds = kSyn | kSynAck | kSynFin,
     .reason = Reason::kChallengeLimited,
     .why = why::kChallengesThrottled},

    // First.
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .positions = kBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = why::kOldTextAgain},
    {.kinds = kFin | kFinAck,
     .positions = kJustBefore,
     .acks = kNoAck | kAckTooOld | kAckFuture,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should "
            "be sent in reply”; the FIN again, whose acknowledgement was lost"},
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .positions = kPastEdge | kBeyond,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = why::kNotAcceptable},
    {.kinds = kAck | kNull,
     .positions = kBefore | kJustBefore | kBeyond,
     .guards = kNormal,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should "
            "be sent in reply”, which answers a keep-alive probe (§3.8.4); throttled, lest two ends out of "
            "step answer each other for ever"},
    {.kinds = kNull,
     .positions = kPastEdge,
     .guards = kNormal,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = why::kEdgeIsForAcks},
    {.kinds = kAck | kNull,
     .positions = kBefore | kJustBefore | kBeyond,
     .reason = Reason::kChallengeLimited,
     .why = why::kAnswersThrottled},
    {.kinds = kNull,
     .positions = kPastEdge,
     .reason = Reason::kChallengeLimited,
     .why = why::kAnswersThrottled},

    // Fifth, as far as the state does not matter. A FIN,ACK just left of the window gets here too, for what
    // it
    // acknowledges.
    {.acks = kNoAck, .reason = Reason::kNoAck, .why = why::kNoAckBit},
    {.acks = kAckFuture,
     .guards = kNormal,
     .answer = kSendsAck,
     .reason = Reason::kAckOfUnsent,
     .why = why::kAcksTheUnsent},
    {.acks = kAckTooOld,
     .guards = kNormal,
     .answer = kSendsChallenge,
     .reason = Reason::kAckTooOld,
     .why = "RFC 9293 §3.10.7.4, fifth: “acceptable only if it is in the range of ((SND.UNA - MAX.SND.WND) "
            "=< SEG.ACK =< SND.NXT). All incoming segments whose ACK value doesn't satisfy the above "
            "condition MUST be discarded and an ACK sent back.”"},
    {.acks = kAckFuture | kAckTooOld, .reason = Reason::kChallengeLimited, .why = why::kAnswersThrottled},
};

}  // namespace synfin::state_table
