// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/lesson.h"

#include <algorithm>
#include <array>
#include <optional>

namespace synfin::view {
namespace {

using trace::Event;
using trace::Reason;
using trace::State;

template <std::size_t N>
bool one_of(Reason r, const std::array<Reason, N>& list) {
  return std::find(list.begin(), list.end(), r) != list.end();
}

constexpr std::string_view kOpen = "RFC 9293 §3.5", kClose = "RFC 9293 §3.6", kTimeWait = "RFC 9293 §3.6.1";

std::optional<Lesson> received_fin(const Event& e) {
  if (e.to == State::kCloseWait) {
    return Lesson{
        "FIN: the peer will send nothing more, and everything it sent has arrived. This closes one direction "
        "only; "
        "ours stays open until our program closes it too.",
        kClose};
  }
  if (e.to == State::kClosing) {
    return Lesson{
        "The FINs crossed: the peer closed before it saw ours. Both ends have finished, and each still waits "
        "for "
        "the acknowledgement of its FIN.",
        kClose};
  }
  if (e.to == State::kTimeWait && e.from != State::kTimeWait) {
    return Lesson{
        "The second FIN: the peer has finished too, so nothing more can come. Both directions are closed "
        "once "
        "our ACK arrives there.",
        kClose};
  }
  return std::nullopt;
}

std::optional<Lesson> received_ack_of_fin(const Event& e) {
  if (e.to == State::kFinWait2) {
    return Lesson{
        "The peer has everything that we sent, the FIN included. Our direction is closed; the peer may go on "
        "sending for as long as it likes.",
        kClose};
  }
  if (e.from == State::kLastAck) {
    return Lesson{
        "The last ACK: the peer knows that we have finished, and we know that it knows. Nothing is left to "
        "do "
        "here; the peer waits in TIME-WAIT, in case this ACK had been lost.",
        kTimeWait};
  }
  if (e.from == State::kClosing) {
    return Lesson{"Our FIN is acknowledged as well. As both ends closed at once, both wait in TIME-WAIT.",
                  kTimeWait};
  }
  return std::nullopt;
}

std::optional<Lesson> received(const Event& e) {
  switch (e.from) {
    case State::kClosed:
    case State::kListen:
      if (e.reason == Reason::kSynAccepted) {
        return Lesson{
            "The peer asks to open and announces that its octets begin at ISN+1. Nothing is proved yet: this "
            "SYN "
            "could be an old duplicate.",
            kOpen};
      }
      break;
    case State::kSynSent:
      if (e.reason == Reason::kSynAckAccepted) {
        return Lesson{
            "The peer acknowledges our SYN, so it heard this very attempt, and announces its own first "
            "number. "
            "For us the connection is open; the peer still waits for the same proof.",
            kOpen};
      }
      break;
    case State::kSynReceived:
      if (e.to == State::kEstablished && e.header->flags.syn()) {
        return Lesson{
            "The peer acknowledges our SYN in turn: it has seen our number as we have seen its. The "
            "connection "
            "is open both ways.",
            kOpen};
      }
      if (e.to == State::kEstablished) {
        return Lesson{
            "The third segment acknowledges our SYN: the peer has seen our number, so its SYN was neither an "
            "old "
            "duplicate nor forged. The connection is open both ways.",
            kOpen};
      }
      break;
    case State::kFinWait1:
    case State::kFinWait2:
      if (e.reason == Reason::kDataAccepted && e.payload_size != 0 && !e.header->flags.fin()) {
        return Lesson{
            "Data after our FIN: we closed our own direction only, and still receive what the peer has to "
            "say "
            "(half-close).",
            kClose};
      }
      break;
    case State::kEstablished:
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
    case State::kTimeWait:
      break;
  }
  // What ends a connection here is no acknowledgement.
  if (e.header->flags.rst()) return std::nullopt;
  if (e.header->flags.fin()) {
    if (const auto fin = received_fin(e)) return fin;
  }
  return received_ack_of_fin(e);
}

std::optional<Lesson> sent_fin(const Event& e) {
  // Sending it may be what changes the state.
  switch (e.to) {
    case State::kFinWait1:
      return Lesson{
          "FIN: nothing more will come from this end. It takes a sequence number of its own, so that it is "
          "delivered and acknowledged as data is; the peer may still send.",
          kClose};
    case State::kLastAck:
      return Lesson{
          "The second FIN: our program has finished as well. Once it is acknowledged, both directions are "
          "closed.",
          kClose};
    case State::kClosed:
    case State::kListen:
    case State::kSynSent:
    case State::kSynReceived:
    case State::kEstablished:
    case State::kFinWait2:
    case State::kCloseWait:
    case State::kClosing:
    case State::kTimeWait:
      break;
  }
  return std::nullopt;
}

std::optional<Lesson> sent_ack_of_fin(State state) {
  switch (state) {
    case State::kCloseWait:
      return Lesson{
          "We acknowledge the peer's FIN: it knows that all it sent has arrived. Our program may still send.",
          kClose};
    case State::kTimeWait:
      return Lesson{
          "The last ACK. Nobody acknowledges it, so we stay in TIME-WAIT: if it is lost, the peer sends its "
          "FIN "
          "again and must find somebody who answers.",
          kTimeWait};
    case State::kClosing:
      return Lesson{"We acknowledge the peer's FIN; the acknowledgement of ours is still on its way.",
                    kClose};
    case State::kClosed:
    case State::kListen:
    case State::kSynSent:
    case State::kSynReceived:
    case State::kEstablished:
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kLastAck:
      break;
  }
  return std::nullopt;
}

std::optional<Lesson> sent(const Event& e, const Plot& plot) {
  const wire::Flags flags = e.header->flags;
  if (flags.rst() || e.retransmission) return std::nullopt;
  if (flags.syn() && flags.ack() && plot.crossed) {
    return Lesson{
        "Our SYN again, now with the acknowledgement of the peer's. As both ends asked at once, neither "
        "could "
        "answer and ask in one segment: opening takes four.",
        kOpen};
  }
  if (flags.syn() && flags.ack() && e.reason == Reason::kSynAckSent) {
    return Lesson{
        "Two messages in one segment: the peer's SYN is acknowledged, and our own first number is announced. "
        "That is why opening takes three segments and not four.",
        kOpen};
  }
  if (flags.syn() && !flags.ack()) {
    return Lesson{
        "We ask to open and announce that our octets begin at ISN+1. Whether anybody listens there is not "
        "yet known.",
        kOpen};
  }
  if (flags.fin()) return sent_fin(e);
  if (plot.fin_ack_due && flags.ack() && e.payload_size == 0) return sent_ack_of_fin(e.to);
  if (plot.third_segment_due && flags.ack()) {
    return Lesson{
        "The third segment: by acknowledging the peer's SYN we prove that its SYN-ACK reached us, and that "
        "our SYN "
        "was no old duplicate.",
        kOpen};
  }
  if (e.from == State::kCloseWait && e.payload_size != 0) {
    return Lesson{
        "Data after the peer's FIN: it closed its own direction only, and still receives (half-close).",
        kClose};
  }
  return std::nullopt;
}

}  // namespace

void Plot::follow(const Event& e) {
  if (e.kind == trace::EventKind::kSegmentReceived) {
    if (e.reason == Reason::kSynAckAccepted) third_segment_due = true;
    if (e.reason == Reason::kSimultaneousOpen) crossed = true;
    const bool fin_taken = e.from != e.to && (e.to == State::kCloseWait || e.to == State::kClosing ||
                                              (e.to == State::kTimeWait && e.header->flags.fin()));
    if (fin_taken || e.reason == Reason::kTimeWaitReAck) fin_ack_due = true;
  } else if (e.kind == trace::EventKind::kSegmentSent && e.header->flags.ack()) {
    third_segment_due = false;
    fin_ack_due = false;
  }
}

Lesson lesson_for(const Event& e, const Plot& plot) {
  if (e.header != nullptr && e.kind == trace::EventKind::kSegmentReceived) {
    if (const auto l = received(e)) return *l;
  }
  if (e.header != nullptr && e.kind == trace::EventKind::kSegmentSent) {
    if (const auto l = sent(e, plot)) return *l;
  }
  if (e.reason == Reason::kNone) return {};
  return {trace::sentence(e.reason), trace::section(e.reason)};
}

bool is_routine(Reason r) {
  static constexpr std::array kList{Reason::kNone,         Reason::kDataSent,         Reason::kAckSent,
                                    Reason::kDataAccepted, Reason::kAckAccepted,      Reason::kAckIgnored,
                                    Reason::kWindowUpdate, Reason::kWindowUpdateSent, Reason::kDelayedAck};
  return one_of(r, kList);
}

bool is_repair(const Event& e) {
  static constexpr std::array kList{
      Reason::kDuplicateAck, Reason::kOldDuplicate,      Reason::kDataOutOfOrder,  Reason::kFastRetransmit,
      Reason::kPartialAck,   Reason::kRetransmitTimeout, Reason::kOutOfWindow,     Reason::kDataAfterWindow,
      Reason::kNoMemory,     Reason::kPersistProbe,      Reason::kZeroWindowProbe, Reason::kPawsRejected};
  return one_of(e.reason, kList) || (e.retransmission && (is_routine(e.reason)));
}

bool is_timer(Reason r) {
  static constexpr std::array kList{
      Reason::kTimeWaitExpired,  Reason::kSynRetransmitted,  Reason::kSynAckRetransmitted,
      Reason::kConnectTimedOut,  Reason::kHandshakeTimedOut, Reason::kRetransmitTimeout,
      Reason::kRetransmitGaveUp, Reason::kOrphanGaveUp,      Reason::kPersistProbe,
      Reason::kDelayedAck,       Reason::kKeepaliveProbe,    Reason::kKeepaliveTimedOut,
      Reason::kUserTimeout,      Reason::kFinWait2TimedOut,  Reason::kHoldTimedOut,
      Reason::kLingerTimedOut,   Reason::kRetransmitR1,      Reason::kTailLossProbe};
  return one_of(r, kList);
}

bool is_call(Reason r) {
  static constexpr std::array kList{Reason::kActiveOpen,     Reason::kPassiveOpen,    Reason::kCloseCalled,
                                    Reason::kAbortCalled,    Reason::kUnreadData,     Reason::kLingerAbort,
                                    Reason::kTooManyOrphans, Reason::kTimeWaitReused, Reason::kListenerClosed,
                                    Reason::kStackShutdown};
  return one_of(r, kList);
}

bool is_disbelieved(Reason r) {
  static constexpr std::array kList{Reason::kLandAttack,        Reason::kPortZero,
                                    Reason::kListenReset,       Reason::kListenAck,
                                    Reason::kListenNoSyn,       Reason::kSynFin,
                                    Reason::kSynSentBadAck,     Reason::kSynSentIgnored,
                                    Reason::kSynReceivedBadAck, Reason::kHalfOpenNoAck,
                                    Reason::kOutOfWindowReset,  Reason::kPawsRejected,
                                    Reason::kResetChallenged,   Reason::kChallengeLimited,
                                    Reason::kSynChallenged,     Reason::kNoAck,
                                    Reason::kAckTooOld,         Reason::kAckOfUnsent,
                                    Reason::kDataAfterFin,      Reason::kTimeWaitOldSyn,
                                    Reason::kTimeWaitDropped,   Reason::kTimeWaitResetIgnored,
                                    Reason::kResetWithoutOwner};
  return one_of(r, kList);
}

}  // namespace synfin::view
