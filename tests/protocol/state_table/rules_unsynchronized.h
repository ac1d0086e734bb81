// SPDX-License-Identifier: Apache-2.0
//
// CLOSED, LISTEN and SYN-SENT: RFC 9293 §3.10.7.1 to §3.10.7.3. None of them has a receive window, so that
// the sequence number decides nothing.
#pragma once

#include "rules.h"

namespace synfin::state_table {

using enum Kind;
using enum Position;
using enum Ack;
using enum Guard;
using enum Answer;

inline constexpr Rule kClosedRules[] = {
    {.kinds = kRst | kRstAck,
     .reason = Reason::kResetWithoutOwner,
     .why = "RFC 9293 §3.10.7.1: “An incoming segment containing a RST is discarded.”"},
    {.acks = kAnyAck,
     .answer = kResetAtAck,
     .reason = Reason::kNoOwner,
     .why = "RFC 9293 §3.10.7.1: “If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>”"},
    {.answer = kResetAtZero,
     .reason = Reason::kNoOwner,
     .why = "RFC 9293 §3.10.7.1: “If the ACK bit is off, sequence number zero is used, "
            "<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>”"},
};
static_assert(EveryCellIsDecided<first_undecided(kClosedRules, Row::kClosed)>::value);
static_assert(EveryRuleDecides<first_dead(kClosedRules, living(kClosedRules, Row::kClosed))>::value);

inline constexpr Rule kListenRules[] = {
    {.kinds = kRst | kRstAck,
     .reason = Reason::kListenReset,
     .why = "RFC 9293 §3.10.7.2, first: “An incoming RST should be ignored.”"},
    {.acks = kAnyAck,
     .answer = kResetAtAck,
     .reason = Reason::kListenAck,
     .why = "RFC 9293 §3.10.7.2, second: “Any acknowledgment is bad if it arrives on a connection still in "
            "the LISTEN state. An acceptable reset segment should be formed”"},
    {.kinds = kSyn,
     .answer = kSendsSynAck,
     .next = State::kSynReceived,
     .reason = Reason::kSynAccepted,
     .why = "RFC 9293 §3.10.7.2, third: “Set RCV.NXT to SEG.SEQ+1 … ISS should be selected and a SYN segment "
            "sent of the form: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>”"},
    {.kinds = kSynFin,
     .reason = Reason::kSynFin,
     .why = "RFC 9293 §3.10.7.2, third, would queue the FIN; T/TCP (RFC 1644, historic) was its only user, "
            "so it is taken for a probe and dropped, as on Linux"},
    {.reason = Reason::kListenNoSyn,
     .why = "RFC 9293 §3.10.7.2, fourth: “This should not be reached. Drop the segment and return.”"},
};
static_assert(EveryCellIsDecided<first_undecided(kListenRules, Row::kListen)>::value);
static_assert(EveryRuleDecides<first_dead(kListenRules, living(kListenRules, Row::kListen))>::value);

inline constexpr Rule kSynSentRules[] = {
    {.kinds = kRstAck,
     .acks = kAckAll,
     .next = State::kClosed,
     .reason = Reason::kConnectionRefused,
     .why = "RFC 9293 §3.10.7.3, second: “If the ACK was acceptable, then signal to the user \"error: "
            "connection reset\", drop the segment, enter CLOSED state, delete TCB, and return.”"},
    {.kinds = kRst | kRstAck,
     .reason = Reason::kSynSentIgnored,
     .why = "RFC 9293 §3.10.7.3, first and second: “send a reset (unless the RST bit is set, if so drop the "
            "segment and return)”; “Otherwise (no ACK), drop the segment and return.”"},
    {.acks = kAckDuplicate | kAckOld | kAckFuture,
     .answer = kResetAtAck,
     .reason = Reason::kSynSentBadAck,
     .why = "RFC 9293 §3.10.7.3, first: “If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset”"},
    {.kinds = kSynAck,
     .answer = kSendsAckOfSegment,
     .next = State::kEstablished,
     .reason = Reason::kSynAckAccepted,
     .why = "RFC 9293 §3.10.7.3, fourth: “If SND.UNA > ISS (our SYN has been ACKed), change the connection "
            "state to ESTABLISHED, form an ACK segment … and send it.”"},
    {.kinds = kSyn | kSynFin,
     .answer = kSendsSynAck,
     .next = State::kSynReceived,
     .reason = Reason::kSimultaneousOpen,
     .why = "RFC 9293 §3.10.7.3, fourth: “Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment … and send "
            "it.” A FIN beside it is not acknowledged yet and comes again"},
    {.reason = Reason::kSynSentIgnored,
     .why = "RFC 9293 §3.10.7.3, fifth: “if neither of the SYN or RST bits is set, then drop the segment and "
            "return.”"},
};
static_assert(EveryCellIsDecided<first_undecided(kSynSentRules, Row::kSynSent)>::value);
static_assert(EveryRuleDecides<first_dead(kSynSentRules, living(kSynSentRules, Row::kSynSent))>::value);

}  // namespace synfin::state_table
