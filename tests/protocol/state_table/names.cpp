// SPDX-License-Identifier: Apache-2.0
//
// What the page and the tests call things.
#include "calls.h"

namespace synfin::state_table {

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
    case Guard::kStale:
      return "older timestamp";
    case Guard::kNewer:
      return "newer timestamp";
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

std::string_view name(Call c) {
  switch (c) {
    case Call::kListenHere:
      return "listen";
    case Call::kConnect:
      return "connect";
    case Call::kAcceptOne:
      return "accept";
    case Call::kSend:
      return "send";
    case Call::kReceive:
      return "receive";
    case Call::kShutdownSend:
      return "shutdown(send)";
    case Call::kShutdownReceive:
      return "shutdown(receive)";
    case Call::kShutdownBoth:
      return "shutdown(both)";
    case Call::kClose:
      return "close";
    case Call::kCloseLinger0:
      return "close, linger 0";
    case Call::kAbort:
      return "abort";
    case Call::kSetOptions:
      return "set_options";
    case Call::kCalls:
      break;
  }
  return {};
}

std::string_view name(Load l) {
  switch (l) {
    case Load::kPlain:
      return "nothing waits";
    case Load::kUnread:
      return "unread text";
    case Load::kBlocked:
      return "unsent text";
    case Load::kLoads:
      break;
  }
  return {};
}

std::string_view name(Told t) {
  switch (t) {
    case Told::kDone:
      return "ok";
    case Told::kText:
      return "the text";
    case Told::kEndOfStream:
      return "end of stream";
    case Told::kWouldBlock:
      return "would block";
    case Told::kIsClosing:
      return "closing";
    case Told::kNoSuchHandle:
      return "no such handle";
    case Told::kInUse:
      return "address in use";
    case Told::kToldNothing:
      return "—";
  }
  return {};
}

std::string_view name(Output o) {
  switch (o) {
    case Output::kNoOutput:
      return "";
    case Output::kOurSyn:
      return "SYN";
    case Output::kOurText:
      return "ACK + text";
    case Output::kOurFin:
      return "FIN,ACK";
    case Output::kOurReset:
      return "RST at SND.NXT";
  }
  return {};
}

}  // namespace synfin::state_table
