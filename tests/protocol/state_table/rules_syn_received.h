// SPDX-License-Identifier: Apache-2.0
//
// SYN-RECEIVED, by way of LISTEN (a half-open record) and by way of SYN-SENT (a connection whose SYN was
// crossed by the peer's): RFC 9293 §3.10.7.4.
#pragma once

#include "rules.h"

namespace synfin::state_table {

using enum Kind;
using enum Position;
using enum Ack;
using enum Guard;
using enum Answer;

// What lies in the window for a segment that begins there: all of it, its text or its FIN.
inline constexpr auto kInWindow = kLeftEdge | kInside | kRightEdge;
// Without text or a second control, a segment just left of the window lies outside of it.
inline constexpr auto kShort = kSyn | kSynAck | kAck | kFin | kFinAck | kNull;
inline constexpr auto kWithText = kData | kUrg | kFinData;
inline constexpr auto kBadAck = kAckDuplicate | kAckOld | kAckTooOld | kAckFuture;

// The fifth step, and what comes behind it.
inline constexpr Rule kHandshakeEnds[] = {
    {.acks = kBadAck,
     .answer = kResetAtAck,
     .reason = Reason::kSynReceivedBadAck,
     .why = "RFC 9293 §3.10.7.4, fifth, SYN-RECEIVED: “If the segment acknowledgment is not acceptable, form "
            "a reset segment <SEQ=SEG.ACK><CTL=RST> and send it.”"},
    {.kinds = kAck,
     .next = State::kEstablished,
     .reason = Reason::kHandshakeComplete,
     .why = "RFC 9293 §3.10.7.4, fifth, SYN-RECEIVED: “If SND.UNA < SEG.ACK =< SND.NXT, then enter "
            "ESTABLISHED state and continue processing”"},
    {.kinds = kData | kUrg,
     .positions = kLeftEdge | kJustBefore,
     .answer = kSendsDelayedAck,
     .next = State::kEstablished,
     .reason = Reason::kHandshakeComplete,
     .why = "RFC 9293 §3.10.7.4, fifth and seventh: the handshake ends and the text is delivered; §3.8.6.3: "
            "its acknowledgement may be delayed"},
    {.kinds = kFinAck | kFinData,
     .positions = kLeftEdge | kJustBefore,
     .answer = kSendsAckOfSegment,
     .next = State::kCloseWait,
     .reason = Reason::kHandshakeComplete,
     .why = "RFC 9293 §3.10.7.4, fifth, then eighth: “Enter the CLOSE-WAIT state”, and “send an "
            "acknowledgment for the FIN”"},
    {.kinds = kFinAck | kWithText,
     .answer = kSendsAck,
     .next = State::kEstablished,
     .reason = Reason::kHandshakeComplete,
     .why = "RFC 9293 §3.10.7.4, fifth, then first: “Segments with higher beginning sequence numbers SHOULD "
            "be held for later processing (SHLD-31)”; RFC 5681 §4.2: an immediate duplicate ACK"},
};

inline constexpr Rule kPassiveChecks[] = {
    {.kinds = kSyn | kSynFin,
     .positions = kJustBefore,
     .answer = kSendsSynAck,
     .reason = Reason::kDuplicateSyn,
     .why = "RFC 9293 §3.10.7.4, first, would send an ACK, which is of no use to a peer that waits for the "
            "SYN-ACK; that is repeated, as on Linux and FreeBSD (§3.8.1: what may be lost is sent again)"},
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .next = State::kListen,
     .reason = Reason::kHalfOpenReset,
     .why = "RFC 9293 §3.10.7.4, second, SYN-RECEIVED: “If this connection was initiated with a passive OPEN "
            "…, then return this connection to LISTEN state and return. The user need not be informed.”"},
    {.kinds = kRst | kRstAck,
     .positions = kInside | kRightEdge,
     .answer = kSendsChallenge,
     .reason = Reason::kResetChallenged,
     .why = why::kInexactReset},
    {.kinds = kRst | kRstAck, .reason = Reason::kOutOfWindowReset, .why = why::kStrayReset},
    {.guards = kStale, .answer = kSendsAck, .reason = Reason::kPawsRejected, .why = why::kOlderTimestamp},
    {.positions = kBefore | kPastEdge | kBeyond,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = why::kNotAcceptable},
    {.kinds = kShort,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should "
            "be sent in reply”; its only octet, if any, is the SYN that has been taken"},
    {.kinds = kSyn | kSynAck | kSynFin,
     .answer = kSendsChallenge,
     .reason = Reason::kSynChallenged,
     .why = "RFC 9293 §3.10.7.4, fourth, would return to LISTEN, so that one forged SYN in the window could "
            "end the handshake; the challenge ACK of the synchronized states is sent instead (RFC 5961 "
            "§4.2): a peer that did begin anew answers it with the exact RST"},
    {.acks = kNoAck, .reason = Reason::kHalfOpenNoAck, .why = why::kNoAckBit},
};
inline constexpr auto kSynReceivedPassiveRules = joined(kPassiveChecks, kHandshakeEnds);
static_assert(EveryCellIsDecided<first_undecided(kSynReceivedPassiveRules, Row::kSynReceivedPassive)>::value);
static_assert(
    EveryRuleDecides<first_dead(kSynReceivedPassiveRules,
                                living(kSynReceivedPassiveRules, Row::kSynReceivedPassive))>::value);

inline constexpr Rule kActiveChecks[] = {
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .next = State::kClosed,
     .reason = Reason::kReset,
     .why = "RFC 9293 §3.10.7.4, second, SYN-RECEIVED: “came from SYN-SENT state … then the connection was "
            "refused; signal the user \"connection refused\" … enter the CLOSED state”"},
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

    {.guards = kStale, .answer = kSendsAck, .reason = Reason::kPawsRejected, .why = why::kOlderTimestamp},
    {.kinds = kSynAck,
     .positions = kJustBefore,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kEstablished,
     .reason = Reason::kHandshakeComplete,
     .why = "RFC 9293 §3.5, figure 7: the peer's SYN-ACK repeats the SYN that has been taken, and its "
            "acknowledgement opens the connection; §3.10.7.4, first: the repeated SYN is acknowledged"},
    {.kinds = kSynAck,
     .positions = kJustBefore,
     .answer = kResetAtAck,
     .reason = Reason::kSynReceivedBadAck,
     .why = "RFC 9293 §3.5.2, group 2: in SYN-RECEIVED, “the incoming segment acknowledges something not yet "
            "sent …, a reset is sent”"},
    {.kinds = kSyn | kSynAck | kSynFin | kFin | kFinAck | kWithText,
     .positions = kBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = why::kNotAcceptable},
    {.kinds = kSyn | kFin | kFinAck,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = "RFC 9293 §3.10.7.4, first: its only octet is the SYN that has been taken; “an acknowledgment "
            "should be sent in reply”, and the SYN-ACK that the peer may lack is sent again by its timer"},
    {.kinds = kSyn | kSynAck | kSynFin | kFin | kFinAck | kWithText,
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
            "be sent in reply”; throttled, lest two ends out of step answer each other for ever"},
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

    {.kinds = kSyn | kSynAck | kSynFin,
     .guards = kNormal,
     .answer = kSendsChallenge,
     .reason = Reason::kSynChallenged,
     .why = "RFC 9293 §3.10.7.4, fourth: “Otherwise, handle per the directions for synchronized states”: "
            "“TCP endpoints MUST send a \"challenge ACK\"”"},
    {.kinds = kSyn | kSynAck | kSynFin,
     .reason = Reason::kChallengeLimited,
     .why = why::kChallengesThrottled},
    {.acks = kNoAck, .reason = Reason::kNoAck, .why = why::kNoAckBit},
};
inline constexpr auto kSynReceivedActiveRules = joined(kActiveChecks, kHandshakeEnds);
static_assert(EveryCellIsDecided<first_undecided(kSynReceivedActiveRules, Row::kSynReceivedActive)>::value);
static_assert(EveryRuleDecides<first_dead(kSynReceivedActiveRules,
                                          living(kSynReceivedActiveRules, Row::kSynReceivedActive))>::value);

}  // namespace synfin::state_table
