// SPDX-License-Identifier: Apache-2.0
//
// What ended a connection: few words for programs, where `Reason` has many for people.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "synfin/trace/reason.h"

namespace synfin::trace {

// X(enumerator, name, meaning)
// clang-format off
#define SYNFIN_CAUSES(X) \
  X(kNone,             "none",                "The connection has not ended.") \
  X(kEndOfStream,      "end_of_stream",       "Both sides have finished: everything was delivered and both FINs are acknowledged.") \
  X(kResetByPeer,      "reset_by_peer",       "The peer reset the connection: its program aborted or is gone, or its machine knows nothing of the connection.") \
  X(kRefused,          "refused",             "The peer answered our SYN with a reset: nobody listens there.") \
  X(kTimedOut,         "timed_out",           "The peer acknowledged nothing through all retransmissions: of the SYN, of data, of the FIN, or of probes of its closed window.") \
  X(kUserTimedOut,     "user_timed_out",      "Something stayed unacknowledged longer than the program allows (user timeout).") \
  X(kKeepaliveTimedOut, "keepalive_timed_out", "The idle peer answered no keep-alive probe.") \
  X(kUnreachable,      "unreachable",         "An ICMP error said that the peer cannot be reached while the connection was being opened.") \
  X(kAbortedLocally,   "aborted_locally",     "The program threw the connection away: abort, a linger time that was 0 or ran out, a listener or a SYN-SENT that it closed.") \
  X(kDataLost,         "data_lost",           "The program closed before it had read everything, or data came after it had closed; the peer was told by a reset.") \
  X(kPeerDidNotClose,  "peer_did_not_close",  "The program has closed, and the peer did not close its side within tcp_fin_timeout.") \
  X(kNoResources,      "no_resources",        "A limit of the stack was reached (tcp_max_orphans).") \
  X(kStackShutdown,    "stack_shutdown",      "The stack was shut down.")
// clang-format on

enum class Cause : std::uint8_t {
#define SYNFIN_CAUSE(id, name, meaning) id,
  SYNFIN_CAUSES(SYNFIN_CAUSE)
#undef SYNFIN_CAUSE
};

#define SYNFIN_CAUSE(id, name, meaning) +1
inline constexpr std::size_t kCauseCount = 0 SYNFIN_CAUSES(SYNFIN_CAUSE);
#undef SYNFIN_CAUSE

std::string_view name(Cause c);
/// One sentence for people.
std::string_view meaning(Cause c);
std::optional<Cause> cause_named(std::string_view name);

/// The cause that a reason for leaving a state comes down to; kNone for a reason that ends nothing.
Cause cause_of(Reason r);

}  // namespace synfin::trace
