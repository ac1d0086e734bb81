// SPDX-License-Identifier: Apache-2.0
//
// RFC 9293 §3.10.1 to §3.10.5, and what sockets add: half-closing one direction, linger and options.
#include "calls.h"

#include <array>

namespace synfin::state_table {

using enum Row;
using enum Call;
using enum Load;
using enum Told;
using enum Output;

namespace {

constexpr auto kAfterClose = kFinWait1 | kFinWait2 | kClosing | kLastAck | kTimeWait;
constexpr auto kOpening = kSynSent | kSynReceivedActive;

constexpr CallRule kCallRules[] = {
    // OPEN.
    {.rows = kClosed,
     .calls = kListenHere,
     .next = State::kListen,
     .reason = Reason::kPassiveOpen,
     .why = "RFC 9293 §3.10.1, CLOSED: “If passive, enter the LISTEN state and return.”"},
    {.rows = kOpening,
     .calls = kListenHere,
     .why = "RFC 9293 §3.9.1.1: “an OPEN call that will functionally allow an application to LISTEN on "
            "a port while a connection block with the same local port is in SYN-SENT or SYN-RECEIVED "
            "state (MUST-42)”"},
    {.calls = kListenHere,
     .told = kInUse,
     .why = "RFC 9293 §3.10.1: “Return \"error: connection already exists\".” A port and address have "
            "one listener; §3.9.1.1: a passive OPEN “either creates a new connection record in LISTEN "
            "state, or it returns an error” (MUST-41)"},
    {.rows = kClosed | Row::kListen,
     .calls = kConnect,
     .output = kOurSyn,
     .next = State::kSynSent,
     .reason = Reason::kActiveOpen,
     .why =
         "RFC 9293 §3.10.1: “issue a SYN segment. An initial send sequence number (ISS) is selected. A SYN "
         "segment of the form <SEQ=ISS><CTL=SYN> is sent.” A listener stays what it is"},
    {.calls = kConnect,
     .told = kInUse,
     .why = "RFC 9293 §3.10.1: “Return \"error: connection already exists\".” In TIME-WAIT `tcp_tw_reuse` "
            "makes an exception where both ends use timestamps (RFC 6191)"},
    {.calls = kAcceptOne,
     .told = kWouldBlock,
     .why = "RFC 9293 §3.10.7.4, fifth: the connection is established, and accepted, with the third segment"},

    // No connection.
    {.rows = kClosed,
     .calls = kClose | kAbort,
     .why = "RFC 9293 §3.10.4, §3.10.5, CLOSED: “connection does not exist”; a handle that is stale is "
            "recognised, and nothing happens"},
    {.rows = kClosed,
     .told = kNoSuchHandle,
     .why = "RFC 9293 §3.10.2 to §3.10.4, CLOSED: “return \"error: connection does not exist\".”"},
    {.rows = Row::kListen,
     .calls = kClose,
     .next = State::kClosed,
     .reason = Reason::kListenerClosed,
     .why = "RFC 9293 §3.10.4, LISTEN: “Delete TCB, enter CLOSED state, and return.”"},
    {.rows = Row::kListen,
     .told = kNoSuchHandle,
     .why = "RFC 9293 §3.10.2, LISTEN: “If the remote socket was not specified, then return \"error: remote "
            "socket unspecified\".” A listener is no connection here, and its options are set by "
            "`set_listen_options`"},
    {.rows = kSynReceivedPassive,
     .calls = kClose,
     .next = State::kClosed,
     .reason = Reason::kListenerClosed,
     .why =
         "RFC 9293 §3.10.4, LISTEN: the listener is closed, and what it had not completed is forgotten; the "
         "peer's third segment gets a reset (§3.10.7.1)"},

    // SEND.
    {.rows = kOpening,
     .calls = kSend,
     .why = "RFC 9293 §3.10.2, SYN-SENT, SYN-RECEIVED: “Queue the data for transmission after entering "
            "ESTABLISHED state.”"},
    {.rows = kAfterClose,
     .calls = kSend,
     .told = kIsClosing,
     .why = "RFC 9293 §3.10.2: “Return \"error: connection closing\" and do not service request.”"},
    {.calls = kSend,
     .loads = kBlocked,
     .why =
         "RFC 9293 §3.10.2, ESTABLISHED, CLOSE-WAIT, within §3.8.6: the peer's window is zero, so the text "
         "waits behind what waits already"},
    {.calls = kSend,
     .output = kOurText,
     .why =
         "RFC 9293 §3.10.2, ESTABLISHED, CLOSE-WAIT: “Segmentize the buffer and send it with a piggybacked "
         "acknowledgment (acknowledgment value = RCV.NXT).”"},

    // RECEIVE.
    {.calls = kReceive,
     .loads = kUnread,
     .told = kText,
     .why =
         "RFC 9293 §3.10.3, ESTABLISHED, CLOSE-WAIT: “Reassemble queued incoming segments into receive "
         "buffer and return to user.” The RFC would withhold it from CLOSING on; nothing is gained by that"},
    {.rows = kCloseWait | kClosing | kLastAck | kTimeWait,
     .calls = kReceive,
     .told = kEndOfStream,
     .why = "RFC 9293 §3.10.3: “If no text is awaiting delivery, the RECEIVE will get an \"error: connection "
            "closing\" response”, which sockets spell as 0 octets"},
    {.calls = kReceive,
     .told = kWouldBlock,
     .why =
         "RFC 9293 §3.10.3: “If insufficient incoming segments are queued to satisfy the request, queue the "
         "request.” No call blocks here; an event tells when to ask again"},

    // Calls that reach no peer.
    {.calls = kSetOptions, .why = "RFC 9293 §3.9.1: options count from now on"},
    {.calls = kShutdownReceive,
     .why = "RFC 9293 §3.6: CLOSE says nothing of receiving. What still arrives is acknowledged and thrown "
            "away, as on Linux"},

    // ABORT, and CLOSE with linger 0, which is the same.
    {.rows = kTimeWait,
     .calls = kCloseLinger0,
     .why = "RFC 9293 §3.6.1: TIME-WAIT is the stack's, not the program's: nothing is left to throw away, so "
            "that linger is meaningless"},
    {.rows = kSynSent,
     .calls = kClose | kCloseLinger0,
     .next = State::kClosed,
     .reason = Reason::kCloseCalled,
     .why =
         "RFC 9293 §3.10.4, SYN-SENT: “Delete the TCB and return \"error: closing\" responses to any queued "
         "SENDs, or RECEIVEs.”"},
    {.rows = kSynSent | kClosing | kLastAck | kTimeWait,
     .calls = kAbort,
     .next = State::kClosed,
     .reason = Reason::kAbortCalled,
     .why =
         "RFC 9293 §3.10.5, SYN-SENT: “Delete the TCB”; CLOSING, LAST-ACK, TIME-WAIT: “Respond with \"ok\" "
         "and delete the TCB, enter CLOSED state, and return.”"},
    {.calls = kAbort,
     .output = kOurReset,
     .next = State::kClosed,
     .reason = Reason::kAbortCalled,
     .why = "RFC 9293 §3.10.5: “Send a reset segment: <SEQ=SND.NXT><CTL=RST> … Delete the TCB, enter CLOSED "
            "state, and return.”"},

    // CLOSE with unread text.
    {.rows = kTimeWait,
     .calls = kClose,
     .loads = kUnread,
     .why = "RFC 9293 §3.10.4, TIME-WAIT: “Respond with \"error: connection closing\"”; the peer has long "
            "gone, and a reset would have nobody to reach"},
    {.calls = kClose | kCloseLinger0,
     .loads = kUnread,
     .output = kOurReset,
     .next = State::kClosed,
     .reason = Reason::kUnreadData,
     .why =
         "RFC 9293 §3.6.1: “If such a host issues a CLOSE call while received data is still pending in the "
         "TCP connection … its TCP implementation SHOULD send a RST to show that data was lost (SHLD-3)”"},
    {.rows = kClosing | kLastAck,
     .calls = kCloseLinger0,
     .next = State::kClosed,
     .reason = Reason::kLingerAbort,
     .why =
         "RFC 9293 §3.10.5, CLOSING, LAST-ACK: “Respond with \"ok\" and delete the TCB”: linger 0 is ABORT"},
    {.calls = kCloseLinger0,
     .output = kOurReset,
     .next = State::kClosed,
     .reason = Reason::kLingerAbort,
     .why = "RFC 9293 §3.10.5: “Send a reset segment: <SEQ=SND.NXT><CTL=RST>”: linger 0 is ABORT"},

    // CLOSE, and half-closing the sending direction.
    {.rows = kOpening,
     .calls = kShutdownSend | kShutdownBoth,
     .why =
         "RFC 9293 §3.10.4, SYN-RECEIVED: “queue for processing after entering ESTABLISHED state”; the FIN "
         "follows the third segment, so that what was queued can go before it"},
    {.rows = kSynReceivedActive,
     .calls = kClose,
     .why =
         "RFC 9293 §3.10.4, SYN-RECEIVED: “queue for processing after entering ESTABLISHED state”; that is "
         "done whether or not there is data, where the RFC would enter FIN-WAIT-1 at once without any"},
    {.rows = Row::kEstablished,
     .calls = kShutdownSend | kShutdownBoth | kClose,
     .loads = kPlain | kUnread,
     .output = kOurFin,
     .next = State::kFinWait1,
     .reason = Reason::kCloseCalled,
     .why = "RFC 9293 §3.10.4, ESTABLISHED: “form a FIN segment and send it. In any case, enter FIN-WAIT-1 "
            "state.”"},
    {.rows = Row::kEstablished,
     .calls = kShutdownSend | kShutdownBoth | kClose,
     .next = State::kFinWait1,
     .reason = Reason::kCloseCalled,
     .why = "RFC 9293 §3.10.4, ESTABLISHED: “Queue this until all preceding SENDs have been segmentized … In "
            "any case, enter FIN-WAIT-1 state.”"},
    {.rows = kCloseWait,
     .calls = kShutdownSend | kShutdownBoth | kClose,
     .loads = kPlain | kUnread,
     .output = kOurFin,
     .next = State::kLastAck,
     .reason = Reason::kFinSent,
     .why = "RFC 9293 §3.10.4, CLOSE-WAIT: “then send a FIN segment, enter LAST-ACK state.”"},
    {.rows = kCloseWait,
     .calls = kShutdownSend | kShutdownBoth | kClose,
     .why = "RFC 9293 §3.10.4, CLOSE-WAIT: “Queue this request until all preceding SENDs have been "
            "segmentized”"},
    {.calls = kShutdownSend | kShutdownBoth,
     .why = "RFC 9293 §3.10.4, FIN-WAIT-1: “An \"ok\" response would be acceptable, too, as long as a second "
            "FIN is not emitted”; from CLOSING on the RFC prefers an error, which would tell the program "
            "nothing that it does not know"},
    {.calls = kClose,
     .why = "RFC 9293 §3.10.4, FIN-WAIT-1: “An \"ok\" response would be acceptable, too, as long as a second "
            "FIN is not emitted”"},
};

consteval CallCell first_undecided_call() {
  CallCell found = kNoCallCell;
  for_each_call([&](const CallCell& cell) {
    for (const CallRule& rule : kCallRules)
      if (rule.fits(cell)) return true;
    found = cell;
    return false;
  });
  return found;
}
consteval std::size_t first_dead_call() {
  std::array<bool, std::size(kCallRules)> alive{};
  for_each_call([&](const CallCell& cell) {
    for (std::size_t i = 0; i < alive.size(); ++i) {
      if (!kCallRules[i].fits(cell)) continue;
      alive[i] = true;
      break;
    }
    return true;
  });
  for (std::size_t i = 0; i < alive.size(); ++i)
    if (!alive[i]) return i;
  return kNoRule;
}
template <CallCell undecided>
struct EveryCallIsDecided {
  static_assert(undecided == kNoCallCell, "nobody decided this call");
  static constexpr bool value = true;
};
static_assert(EveryCallIsDecided<first_undecided_call()>::value);
static_assert(EveryRuleDecides<first_dead_call()>::value);

}  // namespace

std::span<const CallRule> call_rules() {
  return kCallRules;
}

const CallRule* decide(const CallCell& cell) {
  return std::ranges::find_if(kCallRules, [&](const CallRule& rule) { return rule.fits(cell); });
}

}  // namespace synfin::state_table
