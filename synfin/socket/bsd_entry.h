// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include <cerrno>
#include <memory>
#include <vector>

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

  /// Not null: no socket but a set of them.
  std::unique_ptr<Epoll> epoll;

  // For edge-triggered watchers.
  std::uint64_t read = 0;      // octets that the program has read
  std::uint64_t refusals = 0;  // writes for which there was no room, or too little

  std::optional<std::uint64_t> urgent_taken;  // the urgent octet that was read by MSG_OOB, as `read` counts

  // Options.
  bool urgent_inline = false;  // SO_OOBINLINE
  bool non_blocking = false;
  bool close_on_exec = false;
  tcp::Options options;
  bool reuse_address = false;
  linger on_close{};
  int send_buffer = 0;  // SO_SNDBUF and SO_RCVBUF as getsockopt shows them; 0: as the settings say
  int receive_buffer = 0;
  int mtu_discovery = IP_PMTUDISC_WANT;  // IP_MTU_DISCOVER
  bool fast_open_connect = false;
  bool tell_queue = false;  // TCP_INQ
  stack::ListenOptions listening;
};

/// What epoll_ctl was told.
struct Bsd::Epoll {
  struct Interest {
    int fd = -1;
    const Entry* entry = nullptr;  // a number that is used again is not the same descriptor
    epoll_event wanted{};
    bool disarmed = false;  // EPOLLONESHOT has fired
    // What it was told last, so that edge-triggered ones are told once.
    std::uint32_t told = 0;
    std::uint64_t told_received = 0;
    std::uint64_t told_refusals = 0;
  };
  std::vector<Interest> interests;
};

/// Whether the peer has said that nothing more comes.
inline bool fin_received(trace::State s) {
  using trace::State;
  return s != State::kSynSent && s != State::kSynReceived && s != State::kEstablished &&
         s != State::kFinWait1 && s != State::kFinWait2;
}

/// Sets errno, and is what a failed call returns.
inline int failed(int code) {
  errno = code;
  return -1;
}

}  // namespace synfin::tcp
