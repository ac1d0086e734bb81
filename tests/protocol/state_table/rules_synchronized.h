// SPDX-License-Identifier: Apache-2.0
//
// The synchronized states that are full connections: what is left once `kChecks` has let a segment through,
// that is RFC 9293 §3.10.7.4 from the fifth step on.
#pragma once

#include "rules_checks.h"

namespace synfin::state_table {

inline constexpr Rule kStateRules[] = {
    // LAST-ACK and CLOSING: all that matters is whether our FIN is acknowledged.
    {.rows = Row::kLastAck,
     .acks = kAckAll,
     .next = State::kClosed,
     .reason = Reason::kFinAcknowledged,
     .why = "RFC 9293 §3.10.7.4, fifth, LAST-ACK: “If our FIN is now acknowledged, delete the TCB, enter the "
            "CLOSED state, and return.”"},
    {.rows = Row::kClosing,
     .kinds = kFinAck,
     .positions = kJustBefore,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kTimeWait,
     .reason = Reason::kFinAcknowledged,
     .why = "RFC 9293 §3.10.7.4, first: the FIN again is acknowledged; §A.2: in a simultaneous close what it "
            "acknowledges must count; fifth, CLOSING: “if the ACK acknowledges our FIN, then enter the "
            "TIME-WAIT state”"},
    {.rows = Row::kClosing,
     .kinds = kFinAck,
     .positions = kJustBefore,
     .acks = kAckSome,
     .answer = kSendsAck,
     .reason = Reason::kAckAccepted,
     .why =
         "RFC 9293 §3.10.7.4, first: the FIN again is acknowledged, and what it acknowledges counts (§A.2)"},
    {.rows = Row::kClosing,
     .kinds = kFinAck,
     .positions = kJustBefore,
     .acks = kAckDuplicate | kAckOld,
     .answer = kSendsAck,
     .reason = Reason::kAckIgnored,
     .why = "RFC 9293 §3.10.7.4, first: the FIN again is acknowledged; fifth, CLOSING: “otherwise, ignore "
            "the segment.”"},
    {.rows = Row::kFinWait1 | Row::kFinWait1Orphan,
     .kinds = kFinAck,
     .positions = kJustBefore,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kFinWait2,
     .reason = Reason::kOldDuplicate,
     .why = "RFC 9293 §3.10.7.4, first: an old octet is acknowledged; §A.2: what it acknowledges must count; "
            "fifth: “enter FIN-WAIT-2”"},
    {.rows = Row::kEstablished | Row::kFinWait1 | Row::kFinWait1Orphan | Row::kFinWait2 | Row::kCloseWait |
             Row::kLastAck,
     .kinds = kFinAck,
     .positions = kJustBefore,
     .answer = kSendsAck,
     .reason = Reason::kOldDuplicate,
     .why = "RFC 9293 §3.10.7.4, first: “an acknowledgment should be sent in reply”, as its own may have "
            "been lost; what it acknowledges counts (§A.2)"},
    {.rows = Row::kClosing,
     .acks = kAckAll,
     .next = State::kTimeWait,
     .reason = Reason::kFinAcknowledged,
     .why = "RFC 9293 §3.10.7.4, fifth, CLOSING: “if the ACK acknowledges our FIN, then enter the TIME-WAIT "
            "state; otherwise, ignore the segment.”"},
    // Text and FIN where a FIN has come before.
    {.rows = Row::kCloseWait | Row::kLastAck,
     .kinds = kData | kUrg | kFinData,
     .reason = Reason::kDataAfterFin,
     .why = "RFC 9293 §3.10.7.4, seventh: “This should not occur since a FIN has been received from the "
            "remote side. Ignore the segment text.”"},
    {.rows = Row::kCloseWait | Row::kClosing | Row::kLastAck,
     .kinds = kFinAck | kData | kUrg | kFinData,
     .acks = kAckAll | kAckSome,
     .reason = Reason::kAckAccepted,
     .why = "RFC 9293 §3.10.7.4, fifth: “If SND.UNA < SEG.ACK =< SND.NXT, then set SND.UNA <- SEG.ACK”; a "
            "FIN behind the peer's FIN changes nothing (eighth: remain)"},
    {.rows = Row::kCloseWait | Row::kClosing | Row::kLastAck,
     .kinds = kFinAck | kData | kUrg | kFinData,
     .reason = Reason::kAckIgnored,
     .why = "RFC 9293 §3.10.7.4, fifth: “If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored”; "
            "a FIN behind the peer's FIN changes nothing (eighth: remain)"},

    // Bare acknowledgements.
    {.rows = Row::kFinWait1 | Row::kFinWait1Orphan,
     .kinds = kAck,
     .acks = kAckAll,
     .next = State::kFinWait2,
     .reason = Reason::kFinAcknowledged,
     .why = "RFC 9293 §3.10.7.4, fifth, FIN-WAIT-1: “if the FIN segment is now acknowledged, then enter "
            "FIN-WAIT-2”"},
    {.rows = Row::kFinWait2, .kinds = kAck, .reason = Reason::kAckIgnored, .why = why::kAckAgain},
    {.kinds = kAck,
     .acks = kAckAll | kAckSome,
     .reason = Reason::kAckAccepted,
     .why = "RFC 9293 §3.10.7.4, fifth: “If SND.UNA < SEG.ACK =< SND.NXT, then set SND.UNA <- SEG.ACK.”"},
    {.kinds = kAck,
     .acks = kAckDuplicate,
     .reason = Reason::kDuplicateAck,
     .why = "RFC 9293 §3.10.7.4, fifth: it “can be ignored”, but RFC 5681 §2 counts it: data is outstanding, "
            "and nothing but the acknowledgement is said"},
    {.kinds = kAck, .reason = Reason::kAckIgnored, .why = why::kAckAgain},

    // New text when nobody is left to read it.
    {.rows = Row::kFinWait1Orphan,
     .kinds = kData | kUrg | kFinData,
     .answer = kResetAtNext,
     .next = State::kClosed,
     .reason = Reason::kDataAfterClose,
     .why = why::kNobodyReads},

    // Text.
    {.rows = Row::kFinWait1,
     .kinds = kData | kUrg,
     .positions = kJustBefore | kLeftEdge,
     .acks = kAckAll,
     .answer = kSendsDelayedAck,
     .next = State::kFinWait2,
     .reason = Reason::kDataAccepted,
     .why = "RFC 9293 §3.10.7.4, fifth: “if the FIN segment is now acknowledged, then enter FIN-WAIT-2 and "
            "continue processing in that state”; seventh: the text is delivered"},
    {.kinds = kData | kUrg,
     .positions = kJustBefore | kLeftEdge,
     .answer = kSendsDelayedAck,
     .reason = Reason::kDataAccepted,
     .why =
         "RFC 9293 §3.10.7.4, seventh: “deliver segment data to user RECEIVE buffers … it must also "
         "acknowledge the receipt”; first: “only the new parts are processed”; §3.8.6.3: the ACK may wait"},
    {.rows = Row::kFinWait1,
     .kinds = kData | kUrg,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kFinWait2,
     .reason = Reason::kDataOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, fifth: “enter FIN-WAIT-2 and continue processing in that state”; first: "
            "“Segments with higher beginning sequence numbers SHOULD be held” (SHLD-31)"},
    {.kinds = kData | kUrg,
     .answer = kSendsAck,
     .reason = Reason::kDataOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, first: “Segments with higher beginning sequence numbers SHOULD be held for "
            "later processing (SHLD-31)”; RFC 5681 §4.2: an immediate duplicate ACK"},

    // FIN, the next octet to come.
    {.rows = Row::kEstablished,
     .kinds = kFinAck | kFinData,
     .positions = kJustBefore | kLeftEdge,
     .answer = kSendsAckOfSegment,
     .next = State::kCloseWait,
     .reason = Reason::kFinReceived,
     .why = "RFC 9293 §3.10.7.4, eighth, ESTABLISHED: “Enter the CLOSE-WAIT state”, and “send an "
            "acknowledgment for the FIN”"},
    {.rows = Row::kFinWait1 | Row::kFinWait1Orphan,
     .kinds = kFinAck | kFinData,
     .positions = kJustBefore | kLeftEdge,
     .acks = kAckAll,
     .answer = kSendsAckOfSegment,
     .next = State::kTimeWait,
     .reason = Reason::kFinReceived,
     .why = "RFC 9293 §3.10.7.4, eighth, FIN-WAIT-1: “If our FIN has been ACKed (perhaps in this segment), "
            "then enter TIME-WAIT”"},
    {.rows = Row::kFinWait1 | Row::kFinWait1Orphan,
     .kinds = kFinAck | kFinData,
     .positions = kJustBefore | kLeftEdge,
     .answer = kSendsAckOfSegment,
     .next = State::kClosing,
     .reason = Reason::kFinReceived,
     .why = "RFC 9293 §3.10.7.4, eighth, FIN-WAIT-1: “otherwise, enter the CLOSING state”"},
    {.rows = Row::kFinWait2,
     .kinds = kFinAck | kFinData,
     .positions = kJustBefore | kLeftEdge,
     .answer = kSendsAckOfSegment,
     .next = State::kTimeWait,
     .reason = Reason::kFinReceived,
     .why = why::kTimeWaitBegins},

    // FIN with a hole before it.
    {.rows = Row::kFinWait1 | Row::kFinWait1Orphan,
     .kinds = kFinAck,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kFinWait2,
     .reason = Reason::kFinOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, fifth: “enter FIN-WAIT-2 and continue processing in that state”; first: the "
            "FIN is held until what is missing has come (SHLD-31)"},
    {.rows = Row::kFinWait1,
     .kinds = kFinData,
     .positions = kInside,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kFinWait2,
     .reason = Reason::kFinOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, fifth: “enter FIN-WAIT-2 and continue processing in that state”; first: "
            "text and FIN are held until what is missing has come (SHLD-31)"},
    {.rows = Row::kFinWait1,
     .kinds = kFinData,
     .acks = kAckAll,
     .answer = kSendsAck,
     .next = State::kFinWait2,
     .reason = Reason::kDataOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, fifth: “enter FIN-WAIT-2 and continue processing in that state”; first: "
            "what lies outside the window is trimmed “(including SYN and FIN)”"},
    {.kinds = kFinAck | kFinData,
     .positions = kInside,
     .answer = kSendsAck,
     .reason = Reason::kFinOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, first: “Segments with higher beginning sequence numbers SHOULD be held for "
            "later processing (SHLD-31)”, and the FIN with them"},
    {.kinds = kFinAck,
     .answer = kSendsAck,
     .reason = Reason::kFinOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, first: the FIN is the last octet in the window; “SHOULD be held for later "
            "processing (SHLD-31)”"},
    {.kinds = kFinData,
     .answer = kSendsAck,
     .reason = Reason::kDataOutOfOrder,
     .why = "RFC 9293 §3.10.7.4, first: one octet lies in the window and is held; the rest is trimmed "
            "“(including SYN and FIN)”"},
};

inline constexpr auto kSynchronizedRules = joined(kChecks, kStateRules);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kEstablished)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kFinWait1)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kFinWait1Orphan)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kFinWait2)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kCloseWait)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kClosing)>::value);
static_assert(EveryCellIsDecided<first_undecided(kSynchronizedRules, Row::kLastAck)>::value);
// One evaluation a row, as compilers bound what one may take.
template <Row row>
inline constexpr std::uint64_t kLiving = living(kSynchronizedRules, row);
static_assert(EveryRuleDecides<first_dead(kSynchronizedRules,
                                          kLiving<Row::kEstablished> | kLiving<Row::kFinWait1> |
                                              kLiving<Row::kFinWait1Orphan> | kLiving<Row::kFinWait2> |
                                              kLiving<Row::kCloseWait> | kLiving<Row::kClosing> |
                                              kLiving<Row::kLastAck>)>::value);

}  // namespace synfin::state_table
