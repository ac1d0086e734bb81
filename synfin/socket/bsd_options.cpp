// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

namespace {

/// Copies as much as there is room for, as POSIX has it: "If the size of the option value is greater than
/// option_len, the value … shall be silently truncated."
template <typename T>
int give(const T& value, void* into, socklen_t* size) {
  *size = std::min(*size, static_cast<socklen_t>(sizeof value));
  std::memcpy(into, &value, *size);
  return 0;
}

template <typename T>
std::optional<T> take(const void* value, socklen_t size) {
  if (size < sizeof(T)) return std::nullopt;
  T v;
  std::memcpy(&v, value, sizeof v);
  return v;
}

constexpr std::int64_t kSecond = 1'000'000'000;

/// Linux counts TCP_DEFER_ACCEPT in SYN-ACK retransmissions, 255 at most: after 1, 3, 7 … s, and, once they
/// are two minutes apart, every two minutes.
Duration round_defer_accept(int seconds) {
  constexpr int kFurthestApart = 120;
  int period = 0;
  int timeout = 1;
  for (int count = 0; period < seconds && count < 255; ++count) {
    period += timeout;
    timeout = std::min(timeout * 2, kFurthestApart);
  }
  return Duration::seconds(period);
}

}  // namespace

void Bsd::apply_options(const Entry& e) {
  if (e.phase == Entry::Phase::kListening) std::ignore = stack_.set_listen_options(e.handle, e.listening);
  if (e.handle.kind() != stack::HandleKind::kConnection) return;
  tcp::Options options{.no_delay = e.no_delay, .keepalive = e.keep_alive, .user_timeout = e.user_timeout};
  // A time other than 0 bounds how long close waits, and close never waits here.
  if (e.on_close.l_onoff != 0 && e.on_close.l_linger == 0) options.linger = Duration::zero();
  // It can only fail for a handle that is none.
  std::ignore = stack_.set_options(e.handle, options, now());
}

int Bsd::getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (value == nullptr || size == nullptr) return failed(EFAULT);
  const auto flag = [&](bool on) { return give(on ? 1 : 0, value, size); };
  if (level == SOL_SOCKET) {
    switch (name) {
      case SO_ERROR:
        return give(take_error(*e), value, size);
      case SO_LINGER:
        return give(e->on_close, value, size);
      case SO_KEEPALIVE:
        return flag(e->keep_alive);
      case SO_REUSEADDR:
        return flag(e->reuse_address);
      case SO_TYPE:
        return give(static_cast<int>(SOCK_STREAM), value, size);
      case SO_DOMAIN:
        return give(e->domain, value, size);
      case SO_PROTOCOL:
        return give(static_cast<int>(IPPROTO_TCP), value, size);
      case SO_ACCEPTCONN:
        return flag(e->phase == Entry::Phase::kListening);
    }
  } else if (level == IPPROTO_TCP) {
    switch (name) {
      case TCP_NODELAY:
        return flag(e->no_delay);
      case TCP_USER_TIMEOUT:
        return give(static_cast<unsigned>(e->user_timeout.ms()), value, size);
      case TCP_DEFER_ACCEPT:
        return give(static_cast<int>(e->listening.defer_accept.ns() / kSecond), value, size);
      case TCP_FASTOPEN:
        return give(static_cast<int>(e->listening.fast_open), value, size);
      case TCP_FASTOPEN_CONNECT:
        return flag(e->fast_open_connect);
      case TCP_MAXSEG: {
        const auto status = stack_.status(e->handle);
        return give(status ? static_cast<int>(status->mss) : 536, value, size);
      }
    }
  }
  return failed(ENOPROTOOPT);
}

// The errno, or 0.
int Bsd::set_opening_option(Entry& e, int name, int value) {
  const bool closed = e.phase == Entry::Phase::kFresh || (e.handle.kind() == stack::HandleKind::kConnection &&
                                                          stack_.failure(e.handle) != Error::kWouldBlock);
  if (name == TCP_DEFER_ACCEPT) {
    e.listening.defer_accept = round_defer_accept(value);
  } else if (name == TCP_FASTOPEN) {
    if (value < 0 || !(closed || e.phase == Entry::Phase::kListening)) return EINVAL;
    e.listening.fast_open = std::min(static_cast<std::uint32_t>(value), stack_.settings().somaxconn);
  } else {
    if (value != 0 && value != 1) return EINVAL;
    if ((stack_.settings().tcp_fastopen & 1) == 0) return EOPNOTSUPP;
    if (!closed) return EINVAL;
    e.fast_open_connect = value == 1;
  }
  return 0;
}

int Bsd::setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (value == nullptr) return failed(EFAULT);
  const auto number = take<int>(value, size);
  if (level == SOL_SOCKET && name == SO_LINGER) {
    const auto wanted = take<linger>(value, size);
    if (!wanted) return failed(EINVAL);
    e->on_close = *wanted;
  } else if (level == SOL_SOCKET && (name == SO_KEEPALIVE || name == SO_REUSEADDR)) {
    if (!number) return failed(EINVAL);
    (name == SO_KEEPALIVE ? e->keep_alive : e->reuse_address) = *number != 0;
  } else if (level == IPPROTO_TCP && (name == TCP_NODELAY || name == TCP_USER_TIMEOUT)) {
    if (!number || (name == TCP_USER_TIMEOUT && *number < 0)) return failed(EINVAL);
    if (name == TCP_NODELAY) e->no_delay = *number != 0;
    if (name == TCP_USER_TIMEOUT) e->user_timeout = Duration::milliseconds(*number);
  } else if (level == IPPROTO_TCP &&
             (name == TCP_DEFER_ACCEPT || name == TCP_FASTOPEN || name == TCP_FASTOPEN_CONNECT)) {
    if (!number) return failed(EINVAL);
    if (const int code = set_opening_option(*e, name, *number); code != 0) return failed(code);
  } else {
    return failed(ENOPROTOOPT);
  }
  apply_options(*e);
  return 0;
}

}  // namespace synfin::tcp
