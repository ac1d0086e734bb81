// SPDX-License-Identifier: Apache-2.0
//
// Sentences that decide in more than one list of rules.
#pragma once

#include <string_view>

namespace synfin::state_table::why {

inline constexpr std::string_view kExactReset =
    "RFC 9293 §3.10.7.4, second, 2: “the sequence number exactly matches the next expected sequence number "
    "(RCV.NXT), then TCP endpoints MUST reset the connection”";
inline constexpr std::string_view kInexactReset =
    "RFC 9293 §3.10.7.4, second, 3: “does not exactly match the next expected sequence value, yet is within "
    "the current receive window, TCP endpoints MUST send an acknowledgment (challenge ACK)”";
inline constexpr std::string_view kStrayReset =
    "RFC 9293 §3.10.7.4, second, 1: “the sequence number is outside the current receive window, silently "
    "drop the segment.”";
inline constexpr std::string_view kOlderTimestamp =
    "RFC 7323 §5.3, R1: an older timestamp makes the segment not acceptable, wherever its number lies: an "
    "acknowledgment is sent, and it is dropped";
inline constexpr std::string_view kChallengesThrottled = "RFC 5961 §7: challenge ACKs are throttled";
inline constexpr std::string_view kAnswersThrottled =
    "RFC 5961 §7: answers to what proves nothing are throttled";
inline constexpr std::string_view kNotAcceptable =
    "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should be sent "
    "in reply”";
inline constexpr std::string_view kOldTextAgain =
    "RFC 9293 §3.10.7.4, first: “If an incoming segment is not acceptable, an acknowledgment should be sent "
    "in reply”; its own may have been lost";
inline constexpr std::string_view kEdgeIsForAcks =
    "RFC 9293 §3.10.7.4, first: SEG.SEQ = RCV.NXT+RCV.WND is not acceptable; the allowance for a full window "
    "is for ACKs only";
inline constexpr std::string_view kNoAckBit =
    "RFC 9293 §3.10.7.4, fifth: “if the ACK bit is off, drop the segment and return”";
inline constexpr std::string_view kAcksTheUnsent =
    "RFC 9293 §3.10.7.4, fifth: “If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an "
    "ACK, drop the segment, and return.”";
inline constexpr std::string_view kAckAgain =
    "RFC 9293 §3.10.7.4, fifth: “If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored.”";
inline constexpr std::string_view kNobodyReads =
    "RFC 9293 §3.6.1: “if new data is received after CLOSE is called, its TCP implementation SHOULD send a "
    "RST to show that data was lost (SHLD-3)”";
inline constexpr std::string_view kTimeWaitBegins =
    "RFC 9293 §3.10.7.4, eighth, FIN-WAIT-2: “Enter the TIME-WAIT state. Start the time-wait timer”";

}  // namespace synfin::state_table::why
