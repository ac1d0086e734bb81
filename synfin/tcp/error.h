// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace synfin::tcp {

/// Why a call of the program did not succeed. RFC 9293 §3.9.1 names most of them; in brackets the errno that
/// the BSD-style layer gives.
enum class Error : std::uint8_t {
  kWouldBlock,        // nothing to do now; wait for an event [EAGAIN]
  kInvalidHandle,     // "connection does not exist": the handle is stale or never was one [EBADF]
  kNotConnected,      // the connection is not open (yet, or any more) [ENOTCONN]
  kAlreadyConnected,  // "connection already exists" [EISCONN]
  kInProgress,        // the handshake has not ended [EINPROGRESS]
  kClosing,           // "connection closing": this direction has been shut down by the program [EPIPE]
  kRefused,           // "connection refused": a reset answered our SYN [ECONNREFUSED]
  kReset,             // "connection reset" by the peer [ECONNRESET]
  kAborted,           // "connection aborted" by this program, or before it could be accepted [ECONNABORTED]
  kTimedOut,          // "connection aborted due to user timeout", retransmissions or keep-alive [ETIMEDOUT]
  kHostUnreachable,   // ICMP while opening [EHOSTUNREACH]
  kNetUnreachable,    // no source address or route for the family, or ICMP while opening [ENETUNREACH]
  kAddressInUse,      // the port has a listener, or the 4-tuple a connection or TIME-WAIT [EADDRINUSE]
  kAddressNotAvailable,  // not an address of this stack [EADDRNOTAVAIL]
  kNoPorts,  // every ephemeral port towards this peer is taken; `port_use` says by what [EADDRNOTAVAIL]
  kInvalidArgument,  // [EINVAL]
  kNoMemory,         // "insufficient resources" [ENOBUFS]
  kNoBuffers,        // the stack's packet memory is used up (`tcp_mem`); kWritable follows [EAGAIN]
  kStackShutdown,    // the stack has been shut down [ECANCELED]
};

/// `connection refused`: words for people, lower case, no period.
std::string_view message(Error e);
/// The errno of the BSD-style layer.
int to_errno(Error e);

}  // namespace synfin::tcp
