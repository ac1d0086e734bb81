// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "synfin/trace/state.h"

namespace synfin::tcp {

using trace::State;

/// Whether the diagram of RFC 9293 §3.3.2 (figure 5), with the resets, aborts and time-outs that it leaves
/// out, has this edge. Needs no connection: whoever follows a capture may ask too.
bool is_transition(State from, State to);

/// Both SYNs are acknowledged.
constexpr bool is_synchronized(State s) {
  return s >= State::kEstablished;
}
/// The peer may still send text.
constexpr bool may_receive_text(State s) {
  return s == State::kEstablished || s == State::kFinWait1 || s == State::kFinWait2;
}
/// Our program may still queue text.
constexpr bool may_send_text(State s) {
  return s == State::kSynSent || s == State::kSynReceived || s == State::kEstablished ||
         s == State::kCloseWait;
}

}  // namespace synfin::tcp
