// SPDX-License-Identifier: Apache-2.0
//
// What is kept as a record of 52 octets once the program has gone: FIN-WAIT-2, and TIME-WAIT. RFC 9293
// §3.6.1, §3.10.7.4, RFC 1337, RFC 6191.
#pragma once

#include "rules.h"

namespace synfin::state_table {

using enum Kind;
using enum Position;
using enum Ack;
using enum Guard;
using enum Answer;

inline constexpr Rule kFinWait2OrphanRules[] = {
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .next = State::kClosed,
     .reason = Reason::kReset,
     .why = why::kExactReset},
    {.kinds = kRst | kRstAck,
     .positions = kInside | kRightEdge,
     .answer = kSendsChallenge,
     .reason = Reason::kResetChallenged,
     .why = why::kInexactReset},
    {.kinds = kRst | kRstAck, .reason = Reason::kOutOfWindowReset, .why = why::kStrayReset},
    {.kinds = kSyn | kSynAck | kSynFin | kFin | kFinAck | kData | kUrg | kFinData,
     .guards = kStale,
     .answer = kSendsAck,
     .reason = Reason::kPawsRejected,
     .why = why::kOlderTimestamp},
    {.kinds = kSyn | kSynAck | kSynFin,
     .answer = kSendsChallenge,
     .reason = Reason::kSynChallenged,
     .why = "RFC 9293 §3.10.7.4, fourth: “if the SYN bit is set, irrespective of the sequence number, TCP "
            "endpoints MUST send a \"challenge ACK\" to the remote peer”"},
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .positions = kBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = why::kOldTextAgain},
    {.kinds = kFin | kFinAck,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = why::kNotAcceptable},
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .positions = kPastEdge | kBeyond,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = why::kNotAcceptable},
    {.kinds = kAck,
     .guards = kStale,
     .reason = Reason::kAckIgnored,
     .why = "RFC 7323 §5.3, R1, would answer; a segment of no length is not, as the record has no room to "
            "count answers, and two ends out of step would answer each other for ever"},
    {.kinds = kAck,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should "
            "be sent in reply”: it is the form of a keep-alive probe (§3.8.4), and the peer waits for a sign "
            "of life"},
    {.kinds = kAck,
     .positions = kBefore | kPastEdge | kBeyond,
     .reason = Reason::kAckIgnored,
     .why = "RFC 9293 §3.10.7.4, first, would answer; RFC 5961 §7 asks for a limit, for which the record has "
            "no room, and two ends out of step would answer each other for ever"},
    {.kinds = kNull,
     .reason = Reason::kNoAck,
     .why = "RFC 9293 §3.10.7.4, fifth: “if the ACK bit is off, drop the segment and return”; where it lies "
            "outside of the window it is not answered either, as there is no honest sender of it"},
    {.acks = kNoAck, .reason = Reason::kNoAck, .why = why::kNoAckBit},
    {.acks = kAckFuture, .answer = kSendsAck, .reason = Reason::kAckOfUnsent, .why = why::kAcksTheUnsent},
    {.acks = kAckTooOld,
     .answer = kSendsChallenge,
     .reason = Reason::kAckTooOld,
     .why = "RFC 9293 §3.10.7.4, fifth: “All incoming segments whose ACK value doesn't satisfy the above "
            "condition MUST be discarded and an ACK sent back.”"},
    {.kinds = kData | kUrg | kFinData,
     .answer = kResetAtNext,
     .next = State::kClosed,
     .reason = Reason::kDataAfterClose,
     .why = why::kNobodyReads},
    {.kinds = kAck, .reason = Reason::kAckIgnored, .why = why::kAckAgain},
    {.positions = kLeftEdge,
     .answer = kSendsAckOfSegment,
     .next = State::kTimeWait,
     .reason = Reason::kTimeWaitEntered,
     .why = why::kTimeWaitBegins},
    {.answer = kResetAtNext,
     .next = State::kClosed,
     .reason = Reason::kDataAfterClose,
     .why = "RFC 9293 §3.6.1: a FIN beyond RCV.NXT proves that text was sent “after CLOSE is called”: "
            "“SHOULD send a RST to show that data was lost (SHLD-3)”, as on Linux"},
};
static_assert(EveryCellIsDecided<first_undecided(kFinWait2OrphanRules, Row::kFinWait2Orphan)>::value);
static_assert(EveryRuleDecides<first_dead(kFinWait2OrphanRules,
                                          living(kFinWait2OrphanRules, Row::kFinWait2Orphan))>::value);

inline constexpr Rule kTimeWaitRules[] = {
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .guards = kNormal | kStale | kNewer,
     .next = State::kClosed,
     .reason = Reason::kTimeWaitReset,
     .why = "RFC 9293 §3.10.7.4, second, TIME-WAIT: “If the RST bit is set, then enter the CLOSED state, "
            "delete the TCB, and return.”"},
    {.kinds = kRst | kRstAck,
     .positions = kLeftEdge,
     .reason = Reason::kTimeWaitResetIgnored,
     .why = "RFC 1337 §3, fix F1: ignore RST segments in TIME-WAIT"},
    {.kinds = kRst | kRstAck,
     .positions = kInside | kRightEdge,
     .answer = kSendsChallenge,
     .reason = Reason::kResetChallenged,
     .why = "RFC 9293 §3.10.7.4, second, 3, which excepts no state: “within the current receive window, TCP "
            "endpoints MUST send an acknowledgment (challenge ACK)”"},
    {.kinds = kRst | kRstAck, .reason = Reason::kOutOfWindowReset, .why = why::kStrayReset},
    {.kinds = kSyn,
     .positions = kInside | kRightEdge | kPastEdge | kBeyond,
     .guards = kNormal | kRfc1337,
     .answer = kSendsSynAck,
     .next = State::kSynReceived,
     .reason = Reason::kTimeWaitReopened,
     .why = "RFC 9293 §3.6.1: “it MAY accept a new SYN from the remote TCP endpoint to reopen the connection "
            "directly from TIME-WAIT state (MAY-2)”; RFC 6191 §2: where its number is beyond the last one"},
    {.kinds = kSyn,
     .guards = kNewer,
     .answer = kSendsSynAck,
     .next = State::kSynReceived,
     .reason = Reason::kTimeWaitReopened,
     .why = "RFC 9293 §3.6.1: “This algorithm for reducing TIME-WAIT is a Best Current Practice that SHOULD "
            "be implemented” (SHLD-4); RFC 6191 §2: a newer timestamp proves a later connection, whatever "
            "the number"},
    {.kinds = kSyn | kSynAck | kSynFin,
     .answer = kSendsAck,
     .reason = Reason::kTimeWaitOldSyn,
     .why = "RFC 9293 §3.10.7.4, fourth: “if the SYN bit is set, irrespective of the sequence number, TCP "
            "endpoints MUST send a \"challenge ACK\"”; §3.6.1: it “turns out to be an old duplicate”"},
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .guards = kStale,
     .answer = kSendsAck,
     .reason = Reason::kPawsRejected,
     .why = why::kOlderTimestamp},
    {.kinds = kFin | kFinAck,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kTimeWaitReAck,
     .why = "RFC 9293 §3.10.7.4, fifth, TIME-WAIT: “a retransmission of the remote FIN. Acknowledge it, and "
            "restart the 2 MSL timeout.”"},
    {.kinds = kFin | kFinAck | kData | kUrg | kFinData,
     .answer = kSendsAck,
     .reason = Reason::kOutOfWindow,
     .why = "RFC 9293 §3.10.7.4, first: “an acknowledgment should be sent in reply”; behind the peer's FIN "
            "there is nothing that a window could be open for (seventh: “Ignore the segment text”)"},
    {.reason = Reason::kTimeWaitDropped,
     .why = "RFC 9293 §3.10.7.4, fifth, TIME-WAIT: “The only thing that can arrive in this state is a "
            "retransmission of the remote FIN”; a segment of no length is never answered, as two ends in "
            "TIME-WAIT would answer each other for ever"},
};
static_assert(EveryCellIsDecided<first_undecided(kTimeWaitRules, Row::kTimeWait)>::value);
static_assert(EveryRuleDecides<first_dead(kTimeWaitRules, living(kTimeWaitRules, Row::kTimeWait))>::value);

}  // namespace synfin::state_table
