// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::tcp {

/// What a program may want to know about a socket; bits.
enum SocketEventBits : std::uint16_t {
  kConnected = 1,    // the handshake that `connect` began has ended well
  kReadable = 2,     // `receive` would give octets or end of stream
  kWritable = 4,     // there is room in the send buffer: at the start, and again after it was full
  kAcceptable = 8,   // a listener has a connection to accept
  kFailed = 16,      // the connection is gone; `failure` says why
  kPeerClosed = 32,  // the peer's FIN has arrived behind everything it sent
  kSendClosed = 64,  // our FIN has been acknowledged: all that was sent has arrived
  kPending = 128,    // a listener holds a SYN about which the program is to decide
  kTrouble = 256,    // the peer does not answer (R1) or ICMP says why; it may pass. `status` says which
  kUrgent = 512,     // the peer has urgent data, or more of it; `status` says up to where
};

}  // namespace synfin::tcp
