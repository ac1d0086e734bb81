// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>

#include "synfin/socket/bsd.h"

namespace synfin::tcp {

/// What is behind a descriptor.
struct Bsd::Entry {
  enum class Phase : std::uint8_t {
    kFresh,     // not connected and not listening
    kDeferred,  // connect has succeeded, and the first data is to leave with the SYN (TCP_FASTOPEN_CONNECT)
    kListening,
    kConnecting,  // connect has not reported the end of the handshake yet
    kConnected,   // or was, once
  };

  int domain = AF_INET;
  Phase phase = Phase::kFresh;
  stack::Handle handle;
  bool is_bound = false;
  wire::Endpoint bound;
  wire::Endpoint remote;  // in kDeferred
  bool error_taken = false;
  bool send_shut = false;
  bool receive_shut = false;
  /// A connection that `poll` took from the listener to see that it is there.
  stack::Handle next_accepted;

  // Options.
  bool no_delay = false;
  bool keep_alive = false;
  bool reuse_address = false;
  linger on_close{};
  Duration user_timeout;
  bool fast_open_connect = false;
  stack::ListenOptions listening;
};

/// Sets errno, and is what a failed call returns.
inline int failed(int code) {
  errno = code;
  return -1;
}

}  // namespace synfin::tcp
