// SPDX-License-Identifier: Apache-2.0
//
// What every protocol test includes. Read RFC 9293 §3.3–3.10 beside them; each test is named for its rule and
// cites the section (of RFC 9293 where no other is named).
#pragma once

#include <gtest/gtest.h>

#include "synfin/sim/ladder_test_kit.h"
#include "synfin/tcp/error.h"
#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"

namespace synfin::protocol_test {

using namespace synfin::literals;
using namespace synfin::sim;
using stack::kAcceptable;
using stack::kConnected;
using stack::kFailed;
using stack::kPeerClosed;
using stack::kReadable;
using stack::kSendClosed;
using stack::kWritable;
using stack::Shutdown;
using tcp::Error;
using trace::Counter;
using trace::Reason;
using trace::State;

/// The states in which both ends know each other's numbers (§3.3.2), with a record on this side.
inline constexpr State kSynchronized[] = {State::kEstablished, State::kFinWait1, State::kFinWait2,
                                          State::kCloseWait,   State::kClosing,  State::kLastAck,
                                          State::kTimeWait};
/// Those of them that are full connections.
inline constexpr State kConnectionStates[] = {State::kEstablished, State::kFinWait1, State::kFinWait2,
                                              State::kCloseWait,   State::kClosing,  State::kLastAck};

}  // namespace synfin::protocol_test
