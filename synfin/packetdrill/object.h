// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "synfin/packetdrill/flags.h"
#include "synfin/packetdrill/gate.h"
#include "synfin/packetdrill/interface.h"
#include "synfin/packetdrill/virtual_host.h"

namespace synfin::packetdrill {

/// What is behind `packetdrill_interface::userdata`: one script's world. Results are those of the calls of
/// the same names: -1 and errno on failure.
///
/// Each socket's number is also a descriptor of the process (of /dev/null), as the tool closes what a script
/// leaves open with the system's own close.
class Object {
 public:
  explicit Object(const Flags& flags);
  ~Object();
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  int socket(int domain, int type, int protocol);
  int bind(int fd, const sockaddr* address, socklen_t size);
  int accept(int fd, sockaddr* address, socklen_t* size);
  int connect(int fd, const sockaddr* address, socklen_t size);
  ssize_t read(int fd, const iovec* parts, int count, int flags);
  ssize_t recvmsg(int fd, msghdr* message, int flags);
  ssize_t write(int fd, const iovec* parts, int count, int flags, const sockaddr* address, socklen_t size);
  ssize_t sendmsg(int fd, const msghdr* message, int flags);
  int close(int fd);
  int poll(pollfd* fds, nfds_t count, int timeout);
  int epoll_create(int size);
  int epoll_wait(int fd, epoll_event* events, int most, int timeout);

  /// A call that never waits: `call(sockets())` under the lock, with what it has to send taken along.
  template <class Call>
  auto at_once(Call call) {
    Gate::Lock lock(gate_.mutex());
    refresh();
    const auto result = call(host_.sockets());
    const int code = errno;
    host_.settle();
    if (gate_.on_driver()) gate_.something_happened(lock);
    errno = code;
    return result;
  }

  int netdev_send(const void* packet, std::size_t size);
  int netdev_receive(void* packet, std::size_t* size, long long* usecs);
  void usleep(useconds_t usecs);
  timeval time();

  /// Whether `fd` is a socket of this world.
  bool owns(int fd);

 private:
  /// Calls `attempt` until it gives something other than "would block", as long as the socket waits.
  template <class Result>
  Result wait_for(int fd, int flags, const std::function<std::optional<Result>()>& attempt);
  bool waits(int fd, int flags);
  bool is_writable(int fd);
  std::size_t room(int fd);
  int error_of(int fd);
  void refresh();
  int show(int fd);
  Instant deadline_of(int timeout_ms) const;

  Flags flags_;
  VirtualHost host_;
  Gate gate_;
};

}  // namespace synfin::packetdrill
