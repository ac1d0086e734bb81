// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/state.h"

namespace synfin::tcp {

bool is_transition(State from, State to) {
  if (to == State::kClosed) return from != State::kClosed;  // close, reset, abort or time-out
  switch (from) {
    case State::kClosed:
      return to == State::kListen || to == State::kSynSent;
    case State::kListen:
      return to == State::kSynReceived || to == State::kSynSent;
    case State::kSynSent:
      return to == State::kSynReceived || to == State::kEstablished;
    case State::kSynReceived:
      return to == State::kEstablished || to == State::kFinWait1 || to == State::kListen;
    case State::kEstablished:
      return to == State::kFinWait1 || to == State::kCloseWait;
    case State::kFinWait1:
      return to == State::kFinWait2 || to == State::kClosing || to == State::kTimeWait;
    case State::kFinWait2:
    case State::kClosing:
      return to == State::kTimeWait;
    case State::kCloseWait:
      return to == State::kLastAck;
    case State::kLastAck:
      return false;
    case State::kTimeWait:
      return to == State::kSynReceived || to == State::kSynSent;  // MAY-2, RFC 6191
  }
  return false;
}

}  // namespace synfin::tcp
