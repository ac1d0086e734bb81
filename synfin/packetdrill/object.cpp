// SPDX-License-Identifier: Apache-2.0
#include "synfin/packetdrill/object.h"

#include <fcntl.h>
#include <linux/sock_diag.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "synfin/socket/bsd_address.h"

namespace synfin::packetdrill {

namespace {

constexpr Duration kTick = Duration::microseconds(1);

bool would_block(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// What is left of the parts behind the first `done` octets.
std::vector<iovec> rest_of(const iovec* parts, int count, std::size_t done) {
  std::vector<iovec> rest;
  for (const iovec& part : std::span(parts, static_cast<std::size_t>(count))) {
    const std::size_t skip = std::min(done, part.iov_len);
    done -= skip;
    if (skip < part.iov_len || skip == 0)
      rest.push_back({static_cast<std::byte*>(part.iov_base) + skip, part.iov_len - skip});
  }
  return rest;
}

}  // namespace

Object::Object(const Flags& flags) : flags_(flags), host_(settings_of(flags), flags.mtu), gate_(host_) {
  refresh();
}

Object::~Object() = default;

void Object::refresh() {
  if (!flags_.sysctl) return;
  host_.stack().settings() = settings_of(flags_);
  if (const auto key = fast_open_key()) host_.stack().set_fast_open_keys(*key, *key);
}

// --- Waiting ---

bool Object::waits(int fd, int flags) {
  return (flags & MSG_DONTWAIT) == 0 && (host_.sockets().fcntl(fd, F_GETFL, 0) & O_NONBLOCK) == 0;
}

template <class Result>
Result Object::wait_for(int fd, int flags, const std::function<std::optional<Result>()>& attempt) {
  Gate::Lock lock(gate_.mutex());
  refresh();
  std::optional<Result> result = attempt();
  int code = errno;
  host_.settle();
  if (!result && waits(fd, flags)) {
    gate_.wait(
        lock,
        [&] {
          result = attempt();
          code = errno;
          return result.has_value();
        },
        Instant::never());
  } else if (gate_.on_driver()) {
    gate_.something_happened(lock);
  }
  errno = code;
  return result.value_or(-1);
}

Instant Object::deadline_of(int timeout_ms) const {
  return timeout_ms < 0 ? Instant::never() : host_.now() + Duration::milliseconds(timeout_ms);
}

// --- Descriptors ---

// Makes the socket's number a descriptor of the process.
int Object::show(int fd) {
  if (fd < 0) return fd;
  const int code = errno;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, fd);
    ::close(null);
  }
  errno = code;
  return fd;
}

int Object::socket(int domain, int type, int protocol) {
  return at_once([&](tcp::Bsd& s) { return show(s.socket(domain, type, protocol)); });
}

int Object::epoll_create(int size) {
  return at_once([&](tcp::Bsd& s) { return show(s.epoll_create(size)); });
}

int Object::close(int fd) {
  return at_once([&](tcp::Bsd& s) {
    const int result = s.close(fd);
    if (result == 0) ::close(fd);
    return result;
  });
}

bool Object::owns(int fd) {
  Gate::Lock lock(gate_.mutex());
  return host_.sockets().is_open(fd);
}

// --- Opening ---

int Object::bind(int fd, const sockaddr* address, socklen_t size) {
  return at_once([&](tcp::Bsd& s) {
    // What scripts bind to is this host's address.
    if (address != nullptr && size >= sizeof(sa_family_t)) {
      const auto local = socket_detail::from_sockaddr(address->sa_family, address, size);
      if (local && !local->address.is_unspecified())
        host_.stack().add_address(
            {local->address, static_cast<std::uint8_t>(local->address.is_v4() ? 16 : 64)});
    }
    return s.bind(fd, address, size);
  });
}

int Object::accept(int fd, sockaddr* address, socklen_t* size) {
  return wait_for<int>(fd, 0, [&]() -> std::optional<int> {
    const int accepted = host_.sockets().accept(fd, address, size);
    if (would_block(accepted)) return std::nullopt;
    return show(accepted);
  });
}

int Object::connect(int fd, const sockaddr* address, socklen_t size) {
  return wait_for<int>(fd, 0, [&]() -> std::optional<int> {
    const int result = host_.sockets().connect(fd, address, size);
    if (result == 0 || (errno != EINPROGRESS && errno != EALREADY)) return result;
    return std::nullopt;
  });
}

// --- Data ---

ssize_t Object::read(int fd, const iovec* parts, int count, int flags) {
  return wait_for<ssize_t>(fd, flags, [&]() -> std::optional<ssize_t> {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<std::size_t>(count);
    const ssize_t got = host_.sockets().recvmsg(fd, &message, flags);
    if (would_block(got)) return std::nullopt;
    return got;
  });
}

ssize_t Object::recvmsg(int fd, msghdr* message, int flags) {
  return wait_for<ssize_t>(fd, flags, [&]() -> std::optional<ssize_t> {
    const ssize_t got = host_.sockets().recvmsg(fd, message, flags);
    if (would_block(got)) return std::nullopt;
    return got;
  });
}

// A call that waits takes everything before it ends; one that does not takes what there is room for. One that
// connects too (Fast Open) waits for the handshake, whatever the SYN took along: if that fails, so does the
// call.
ssize_t Object::write(int fd, const iovec* parts, int count, int flags, const sockaddr* address,
                      socklen_t size) {
  std::size_t total = 0;
  for (int i = 0; i < count; ++i) total += parts[i].iov_len;
  std::size_t done = 0;
  bool began = false;
  bool connecting = false;
  return wait_for<ssize_t>(fd, flags, [&]() -> std::optional<ssize_t> {
    tcp::Bsd& sockets = host_.sockets();
    if (connecting) {
      if (sockets.is_connecting(fd)) return std::nullopt;
      connecting = false;
      if (const int code = error_of(fd); code != 0) {
        errno = code;
        return -1;
      }
      if (done == total) return static_cast<ssize_t>(done);
    } else if (began && !is_writable(fd) && total - done > room(fd)) {
      return std::nullopt;
    }
    std::vector<iovec> rest = rest_of(parts, count, done);
    msghdr message{};
    message.msg_iov = rest.data();
    message.msg_iovlen = rest.size();
    message.msg_name = const_cast<sockaddr*>(address);
    message.msg_namelen = size;
    const ssize_t taken = sockets.sendmsg(fd, &message, began ? flags & ~MSG_FASTOPEN : flags);
    const int code = errno;
    began = true;
    if (taken > 0) done += static_cast<std::size_t>(taken);
    if (!waits(fd, flags)) return taken;
    connecting = sockets.is_connecting(fd);
    if (connecting) return std::nullopt;
    errno = code;
    if (taken < 0 && !would_block(taken)) return done > 0 ? static_cast<ssize_t>(done) : taken;
    if (taken >= 0 && done == total) return static_cast<ssize_t>(done);
    return std::nullopt;
  });
}

bool Object::is_writable(int fd) {
  pollfd p{fd, POLLOUT, 0};
  return host_.sockets().poll({&p, 1}) > 0;
}

// Octets that the send buffer takes.
std::size_t Object::room(int fd) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  host_.sockets().getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &size);
  const std::uint32_t most = memory[SK_MEMINFO_SNDBUF];
  return most - std::min(most, memory[SK_MEMINFO_WMEM_QUEUED]);
}

int Object::error_of(int fd) {
  int code = 0;
  socklen_t size = sizeof code;
  host_.sockets().getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
  return code;
}

ssize_t Object::sendmsg(int fd, const msghdr* message, int flags) {
  if (message == nullptr || message->msg_controllen != 0)
    return at_once([&](tcp::Bsd& s) { return s.sendmsg(fd, message, flags); });
  return write(fd, message->msg_iov, static_cast<int>(message->msg_iovlen), flags,
               static_cast<const sockaddr*>(message->msg_name), message->msg_namelen);
}

// --- Waiting for several ---

int Object::poll(pollfd* fds, nfds_t count, int timeout) {
  Gate::Lock lock(gate_.mutex());
  refresh();
  int ready = 0;
  gate_.wait(
      lock,
      [&] {
        ready = host_.sockets().poll({fds, count});
        return ready != 0;
      },
      deadline_of(timeout));
  return ready;
}

int Object::epoll_wait(int fd, epoll_event* events, int most, int timeout) {
  Gate::Lock lock(gate_.mutex());
  refresh();
  int ready = 0;
  int code = 0;
  gate_.wait(
      lock,
      [&] {
        ready = host_.sockets().epoll_wait(fd, events, most);
        code = errno;
        return ready != 0;
      },
      deadline_of(timeout));
  errno = code;
  // The tool looks at the first event even where there is none.
  if (ready == 0 && most > 0 && events != nullptr) std::memset(events, 0, sizeof *events);
  return ready;
}

// --- The network and the clock ---

int Object::netdev_send(const void* packet, std::size_t size) {
  Gate::Lock lock(gate_.mutex());
  refresh();
  host_.deliver({static_cast<const std::byte*>(packet), size});
  gate_.something_happened(lock);
  return 0;
}

int Object::netdev_receive(void* packet, std::size_t* size, long long* usecs) {
  Gate::Lock lock(gate_.mutex());
  refresh();
  while (!host_.has_packet() && gate_.step(lock, Instant::never())) {
  }
  const auto next = host_.take_packet();
  if (!next) {
    *size = 0;
    *usecs = host_.now().ns() / 1000;
    return 0;
  }
  *size = std::min(*size, next->octets.size());
  std::memcpy(packet, next->octets.data(), *size);
  *usecs = next->at.ns() / 1000;
  return 0;
}

void Object::usleep(useconds_t usecs) {
  Gate::Lock lock(gate_.mutex());
  // The tool has let go of its own lock for this call.
  gate_.let_caller_finish(lock);
  gate_.run_to(lock, host_.now() + Duration::microseconds(usecs));
}

// The tool waits for moments by reading the clock over and over, so each reading takes time.
timeval Object::time() {
  Gate::Lock lock(gate_.mutex());
  // Not so for the thread whose call has just ended. Before a call that will wait, it is that thread that
  // waits for the moment.
  if (!gate_.time_was_read()) gate_.run_to(lock, host_.now() + kTick);
  const std::int64_t us = host_.now().ns() / 1000;
  return {.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
}

}  // namespace synfin::packetdrill
