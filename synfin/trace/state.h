// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace synfin::trace {

/// The states of RFC 9293 §3.3.2, all eleven.
enum class State : std::uint8_t {
  kClosed,
  kListen,
  kSynSent,
  kSynReceived,
  kEstablished,
  kFinWait1,
  kFinWait2,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait,
};
inline constexpr std::size_t kStateCount = 11;

/// As RFC 9293 spells it: `SYN-RECEIVED`.
std::string_view name(State s);
/// As `ss` prints it: `SYN-RECV`.
std::string_view ss_name(State s);
/// What being in the state means for the program and the peer, in a sentence.
std::string_view meaning(State s);

}  // namespace synfin::trace
