// SPDX-License-Identifier: Apache-2.0
//
// The only file that includes the rules: that every cell is decided, and every rule decides, is checked when
// it is compiled.
#include <array>

#include "rules_records.h"
#include "rules_syn_received.h"
#include "rules_synchronized.h"
#include "rules_unsynchronized.h"

namespace synfin::state_table {

Rules rules_of(Row row) {
  switch (row) {
    case Row::kClosed:
      return kClosedRules;
    case Row::kListen:
      return kListenRules;
    case Row::kSynSent:
      return kSynSentRules;
    case Row::kSynReceivedPassive:
      return kSynReceivedPassiveRules;
    case Row::kSynReceivedActive:
      return kSynReceivedActiveRules;
    case Row::kEstablished:
    case Row::kFinWait1:
    case Row::kFinWait1Orphan:
    case Row::kFinWait2:
    case Row::kCloseWait:
    case Row::kClosing:
    case Row::kLastAck:
      return kSynchronizedRules;
    case Row::kFinWait2Orphan:
      return kFinWait2OrphanRules;
    case Row::kTimeWait:
      return kTimeWaitRules;
    case Row::kRows:
      break;
  }
  return {};
}

std::size_t shared_checks(Row row) {
  return rules_of(row).data() == kSynchronizedRules.data() ? std::size(kChecks) : 0;
}

std::size_t rule_count() {
  constexpr std::array kLists = {std::size(kClosedRules),
                                 std::size(kListenRules),
                                 std::size(kSynSentRules),
                                 std::size(kSynReceivedPassiveRules),
                                 std::size(kSynReceivedActiveRules),
                                 std::size(kSynchronizedRules),
                                 std::size(kFinWait2OrphanRules),
                                 std::size(kTimeWaitRules)};
  std::size_t sum = 0;
  for (const std::size_t n : kLists) sum += n;
  return sum;
}

// A rule less, and the first cell that only it decided is found; a rule that stands behind one that takes all
// its cells is found too.
static_assert(first_undecided(Rules{kListenRules}.first(4), Row::kListen) ==
              Cell{Row::kListen, Kind::kFin, Position::kAny, Ack::kNoAck, Guard::kNormal});
static_assert(first_dead(kClosedRules, 0b011) == 2);

trace::State state_of(Row r) {
  switch (r) {
    case Row::kClosed:
      return State::kClosed;
    case Row::kListen:
      return State::kListen;
    case Row::kSynSent:
      return State::kSynSent;
    case Row::kSynReceivedPassive:
    case Row::kSynReceivedActive:
      return State::kSynReceived;
    case Row::kEstablished:
      return State::kEstablished;
    case Row::kFinWait1:
    case Row::kFinWait1Orphan:
      return State::kFinWait1;
    case Row::kFinWait2:
    case Row::kFinWait2Orphan:
      return State::kFinWait2;
    case Row::kCloseWait:
      return State::kCloseWait;
    case Row::kClosing:
      return State::kClosing;
    case Row::kLastAck:
      return State::kLastAck;
    case Row::kTimeWait:
      return State::kTimeWait;
    case Row::kRows:
      break;
  }
  return State::kClosed;
}

std::string_view name(Row r) {
  switch (r) {
    case Row::kSynReceivedPassive:
      return "SYN-RECEIVED, from LISTEN";
    case Row::kSynReceivedActive:
      return "SYN-RECEIVED, from SYN-SENT";
    case Row::kFinWait1Orphan:
      return "FIN-WAIT-1, program gone";
    case Row::kFinWait2Orphan:
      return "FIN-WAIT-2, program gone";
    case Row::kClosed:
    case Row::kListen:
    case Row::kSynSent:
    case Row::kEstablished:
    case Row::kFinWait1:
    case Row::kFinWait2:
    case Row::kCloseWait:
    case Row::kClosing:
    case Row::kLastAck:
    case Row::kTimeWait:
    case Row::kRows:
      break;
  }
  return trace::name(state_of(r));
}

std::string_view name(Kind k) {
  switch (k) {
    case Kind::kSyn:
      return "SYN";
    case Kind::kSynAck:
      return "SYN,ACK";
    case Kind::kAck:
      return "ACK";
    case Kind::kData:
      return "ACK + text";
    case Kind::kUrg:
      return "ACK,URG + text";
    case Kind::kFin:
      return "FIN";
    case Kind::kFinAck:
      return "FIN,ACK";
    case Kind::kFinData:
      return "FIN,ACK + text";
    case Kind::kRst:
      return "RST";
    case Kind::kRstAck:
      return "RST,ACK";
    case Kind::kSynFin:
      return "SYN,FIN";
    case Kind::kNull:
      return "no flags";
    case Kind::kKinds:
      break;
  }
  return {};
}

std::string_view name(Position p) {
  switch (p) {
    case Position::kAny:
      return "anywhere";
    case Position::kBefore:
      return "before";
    case Position::kJustBefore:
      return "just before";
    case Position::kLeftEdge:
      return "left edge";
    case Position::kInside:
      return "inside";
    case Position::kRightEdge:
      return "right edge";
    case Position::kPastEdge:
      return "just past";
    case Position::kBeyond:
      return "beyond";
    case Position::kPositions:
      break;
  }
  return {};
}

std::string_view name(Ack a) {
  switch (a) {
    case Ack::kNoAck:
      return "no ACK";
    case Ack::kAnyAck:
      return "any";
    case Ack::kAckAll:
      return "all";
    case Ack::kAckSome:
      return "some";
    case Ack::kAckDuplicate:
      return "duplicate";
    case Ack::kAckOld:
      return "old";
    case Ack::kAckTooOld:
      return "too old";
    case Ack::kAckFuture:
      return "future";
    case Ack::kAcks:
      break;
  }
  return {};
}

std::string_view name(Guard g) {
  switch (g) {
    case Guard::kNormal:
      return "normal";
    case Guard::kSpent:
      return "challenge ACKs spent";
    case Guard::kRfc1337:
      return "tcp_rfc1337 on";
    case Guard::kGuards:
      break;
  }
  return {};
}

std::string_view name(Answer a) {
  switch (a) {
    case Answer::kSendsNothing:
      return "nothing";
    case Answer::kSendsAck:
      return "ACK";
    case Answer::kSendsAckOfSegment:
      return "ACK of it";
    case Answer::kSendsDelayedAck:
      return "delayed ACK of it";
    case Answer::kSendsChallenge:
      return "challenge ACK";
    case Answer::kSendsSynAck:
      return "SYN,ACK";
    case Answer::kResetAtAck:
      return "RST at SEG.ACK";
    case Answer::kResetAtZero:
      return "RST,ACK at 0";
    case Answer::kResetAtNext:
      return "RST at SND.NXT";
  }
  return {};
}

}  // namespace synfin::state_table
