// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/bsd.h"

#include <limits.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "synfin/socket/bsd_address.h"
#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

Bsd::Bsd(stack::Stack& stack, std::function<Instant()> clock, int first)
    : stack_(stack), clock_(std::move(clock)), first_(first) {}

Bsd::~Bsd() {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i]) close(first_ + static_cast<int>(i));
  }
}

// --- Descriptors ---

Bsd::Entry* Bsd::slot(int fd) const {
  const auto index = static_cast<std::size_t>(static_cast<std::int64_t>(fd) - first_);
  return fd >= first_ && index < entries_.size() ? entries_[index].get() : nullptr;
}

Bsd::Entry* Bsd::find(int fd) const {
  Entry* e = slot(fd);
  return e == nullptr || e->epoll != nullptr ? nullptr : e;
}

int Bsd::not_a_socket(int fd) const {
  return failed(slot(fd) == nullptr ? EBADF : ENOTSOCK);
}

int Bsd::install(std::unique_ptr<Entry> entry) {
  const auto free = std::find(entries_.begin(), entries_.end(), nullptr);
  const auto index = static_cast<std::size_t>(free - entries_.begin());
  if (free == entries_.end()) {
    if (index >= static_cast<std::size_t>(INT_MAX - first_)) return failed(EMFILE);
    entries_.push_back(std::move(entry));
  } else {
    *free = std::move(entry);
  }
  return first_ + static_cast<int>(index);
}

int Bsd::socket(int domain, int type, int protocol) {
  if (domain != AF_INET && domain != AF_INET6) return failed(EAFNOSUPPORT);
  constexpr int kTypeBits = 0xf;
  if ((type & ~(kTypeBits | SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return failed(EINVAL);
  if ((type & kTypeBits) != SOCK_STREAM) return failed(EPROTONOSUPPORT);
  if (protocol != 0 && protocol != IPPROTO_TCP) return failed(EPROTONOSUPPORT);
  auto entry = std::make_unique<Entry>();
  entry->domain = domain;
  entry->non_blocking = (type & SOCK_NONBLOCK) != 0;
  entry->close_on_exec = (type & SOCK_CLOEXEC) != 0;
  return install(std::move(entry));
}

stack::Handle Bsd::handle(int fd) const {
  const Entry* e = find(fd);
  return e == nullptr ? stack::Handle{} : e->handle;
}

// --- Opening ---

int Bsd::bind(int fd, const sockaddr* address, socklen_t size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  const auto local = socket_detail::from_sockaddr(e->domain, address, size);
  if (!local) return failed(local.error());
  if (e->is_bound || e->phase != Entry::Phase::kFresh) return failed(EINVAL);
  const auto& own = stack_.config().addresses;
  const bool known =
      local->address.is_unspecified() ||
      std::any_of(own.begin(), own.end(), [&](const wire::Prefix& p) { return p.address == local->address; });
  if (!known) return failed(EADDRNOTAVAIL);
  e->bound = *local;
  e->is_bound = true;
  return 0;
}

std::expected<stack::Handle, Error> Bsd::listen_somewhere(const Entry& e,
                                                          const stack::ListenOptions& options) {
  wire::Endpoint local = e.bound;
  if (!e.is_bound)
    local.address = wire::IpAddress::any(e.domain == AF_INET ? wire::Family::kIpv4 : wire::Family::kIpv6);
  if (local.port != 0) return stack_.listen(local, options, now());
  const tcp::Settings& s = stack_.settings();
  for (std::uint32_t port = s.ip_local_port_first; port <= s.ip_local_port_last; ++port) {
    local.port = static_cast<std::uint16_t>(port);
    const auto listener = stack_.listen(local, options, now());
    if (listener || listener.error() != Error::kAddressInUse) return listener;
  }
  return std::unexpected(Error::kAddressInUse);
}

int Bsd::listen(int fd, int backlog) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (e->phase != Entry::Phase::kFresh && e->phase != Entry::Phase::kListening) return failed(EINVAL);
  // "If listen() is called with a backlog argument value that is less than 0, the function behaves as if …
  // 0."
  e->listening.backlog = static_cast<std::uint32_t>(std::max(backlog, 0));
  e->listening.connection = e->options;
  if (e->phase == Entry::Phase::kListening) {
    apply_options(*e);
    return 0;
  }
  const auto listener = listen_somewhere(*e, e->listening);
  if (!listener) return failed(to_errno(listener.error()));
  e->handle = *listener;
  e->phase = Entry::Phase::kListening;
  return 0;
}

int Bsd::accept(int fd, sockaddr* address, socklen_t* size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (e->phase != Entry::Phase::kListening) return failed(EINVAL);
  if (address != nullptr && size == nullptr) return failed(EFAULT);
  stack::Handle connection = std::exchange(e->next_accepted, {});
  if (!connection) {
    const auto accepted = stack_.accept(e->handle, now());
    if (!accepted) return failed(to_errno(accepted.error()));
    connection = *accepted;
  }
  auto fresh = std::make_unique<Entry>();
  fresh->domain = e->domain;
  fresh->phase = Entry::Phase::kConnected;
  fresh->handle = connection;
  fresh->options = e->options;
  fresh->reuse_address = e->reuse_address;
  fresh->on_close = e->on_close;
  fresh->send_buffer = e->send_buffer;
  fresh->receive_buffer = e->receive_buffer;
  fresh->tell_queue = e->tell_queue;
  apply_options(*fresh);
  if (const auto remote = stack_.remote_endpoint(connection)) {
    socket_detail::to_sockaddr(fresh->domain, *remote, address, size);
  }
  return install(std::move(fresh));
}

// A connection that was accepted may be in SYN-RECEIVED too, by Fast Open, and can be used all the same.
bool Bsd::handshaking(const Entry& e) const {
  if (e.phase != Entry::Phase::kConnecting) return false;
  const auto status = stack_.status(e.handle);
  return status && stack_.failure(e.handle) == Error::kWouldBlock &&
         (status->state == trace::State::kSynSent || status->state == trace::State::kSynReceived);
}

bool Bsd::is_connecting(int fd) const {
  const Entry* e = find(fd);
  return e != nullptr && handshaking(*e);
}

int Bsd::begin_connect(Entry& e, const wire::Endpoint& remote, bool fast_open) {
  e.phase = Entry::Phase::kFresh;
  const auto connection =
      stack_.connect(remote, {.local = e.bound, .fast_open = fast_open, .connection = e.options}, now());
  if (!connection) return failed(to_errno(connection.error()));
  e.handle = *connection;
  e.phase = Entry::Phase::kConnecting;
  e.error_taken = e.send_shut = e.receive_shut = false;
  apply_options(e);
  return failed(EINPROGRESS);
}

int Bsd::connect(int fd, const sockaddr* address, socklen_t size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  const auto remote = socket_detail::from_sockaddr(e->domain, address, size);
  if (!remote) return failed(remote.error());
  switch (e->phase) {
    case Entry::Phase::kFresh:
      if (!e->fast_open_connect || stack_.fast_open_room(remote->address, now()) == 0)
        return begin_connect(*e, *remote, e->fast_open_connect);
      e->phase = Entry::Phase::kDeferred;
      e->remote = *remote;
      return 0;
    case Entry::Phase::kConnecting:
      return finish_connect(*e);
    case Entry::Phase::kListening:
      // "[EOPNOTSUPP] The socket is listening and cannot be connected."
      return failed(EOPNOTSUPP);
    case Entry::Phase::kDeferred:
    case Entry::Phase::kConnected:
      break;
  }
  return failed(EISCONN);
}

int Bsd::finish_connect(Entry& e) {
  if (handshaking(e)) return failed(EALREADY);
  if (stack_.failure(e.handle) == Error::kWouldBlock) {
    e.phase = Entry::Phase::kConnected;
    return 0;
  }
  // The attempt is over, and the socket may try again. As on Linux, an error that was read before leaves this
  // one.
  const int code = take_error(e);
  stack_.close(std::exchange(e.handle, {}), now());
  e.phase = Entry::Phase::kFresh;
  return failed(code != 0 ? code : ECONNABORTED);
}

int Bsd::take_error(Entry& e) {
  if (e.error_taken || e.handle.kind() != stack::HandleKind::kConnection) return 0;
  const Error why = stack_.failure(e.handle);
  if (why == Error::kWouldBlock) return 0;
  e.error_taken = true;
  return to_errno(why);
}

// --- Closing ---

int Bsd::shutdown(int fd, int how) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return failed(EINVAL);
  const bool open = e->phase == Entry::Phase::kConnecting || e->phase == Entry::Phase::kConnected;
  if (!open || handshaking(*e)) return failed(ENOTCONN);
  // The receiving half is shut here alone: what still arrives can be read (tcp(7) says nothing, Linux has it
  // so for ever).
  if (how != SHUT_RD) {
    const auto done = stack_.shutdown(e->handle, stack::Shutdown::kSend, now());
    if (!done) return failed(to_errno(done.error()));
  } else if (stack_.failure(e->handle) != Error::kWouldBlock) {
    return failed(ENOTCONN);
  }
  e->receive_shut |= how != SHUT_WR;
  e->send_shut |= how != SHUT_RD;
  return 0;
}

int Bsd::close(int fd) {
  Entry* e = slot(fd);
  if (e == nullptr) return failed(EBADF);
  forget_in_epolls(*e);
  if (e->next_accepted) stack_.abort(e->next_accepted, now());
  if (e->handle) stack_.close(e->handle, now());
  entries_[static_cast<std::size_t>(fd - first_)].reset();
  return 0;
}

// --- Questions ---

int Bsd::getsockname(int fd, sockaddr* address, socklen_t* size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (address == nullptr || size == nullptr) return failed(EFAULT);
  wire::Endpoint local = e->bound;
  if (e->handle) local = stack_.local_endpoint(e->handle).value_or(local);
  socket_detail::to_sockaddr(e->domain, local, address, size);
  return 0;
}

int Bsd::getpeername(int fd, sockaddr* address, socklen_t* size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (address == nullptr || size == nullptr) return failed(EFAULT);
  const bool open = e->phase == Entry::Phase::kConnecting || e->phase == Entry::Phase::kConnected;
  if (!open || handshaking(*e) || stack_.failure(e->handle) != Error::kWouldBlock) return failed(ENOTCONN);
  const auto remote = stack_.remote_endpoint(e->handle);
  if (!remote) return failed(ENOTCONN);
  socket_detail::to_sockaddr(e->domain, *remote, address, size);
  return 0;
}

int Bsd::poll(std::span<pollfd> fds) {
  int ready = 0;
  for (pollfd& p : fds) {
    p.revents = 0;
    if (p.fd < 0) continue;
    Entry* e = find(p.fd);
    // These three are told whether asked for or not.
    constexpr short kAlways = POLLERR | POLLHUP | POLLNVAL;
    const int what = e == nullptr ? POLLNVAL : events_of(*e) & (p.events | kAlways);
    p.revents = static_cast<short>(what);
    if (what != 0) ++ready;
  }
  return ready;
}

short Bsd::events_of(Entry& e) {
  constexpr int kIn = POLLIN | POLLRDNORM;
  constexpr int kOut = POLLOUT | POLLWRNORM;
  switch (e.phase) {
    case Entry::Phase::kFresh:
      return POLLHUP | kOut;
    case Entry::Phase::kDeferred:
      return kOut;
    case Entry::Phase::kListening:
      if (!e.next_accepted) e.next_accepted = stack_.accept(e.handle, now()).value_or(stack::Handle{});
      return e.next_accepted ? kIn : 0;
    case Entry::Phase::kConnecting:
    case Entry::Phase::kConnected:
      break;
  }
  if (handshaking(e)) return 0;
  if (stack_.failure(e.handle) != Error::kWouldBlock) {
    return static_cast<short>(kIn | kOut | POLLRDHUP | POLLHUP | (e.error_taken ? 0 : POLLERR));
  }
  int what = 0;
  const auto status = stack_.status(e.handle);
  using trace::State;
  const State state = status ? status->state : State::kClosed;
  const bool ended = fin_received(state);
  const auto readable = stack_.receive(e.handle, {}, now());
  if (readable ? readable_in_band(e) > 0 || ended : readable.error() != Error::kWouldBlock) what |= kIn;
  if (urgent_waits(e)) what |= POLLPRI;
  if (ended || e.receive_shut) what |= kIn | POLLRDHUP;
  if (is_writable(e)) what |= kOut;
  if (state == State::kClosed || ((ended || e.receive_shut) && e.send_shut)) what |= POLLHUP;
  return static_cast<short>(what);
}

// From two thirds on, so that a program that waits for room finds some worth writing into, as on Linux.
bool Bsd::is_writable(const Entry& e) const {
  const auto status = stack_.status(e.handle);
  if (e.send_shut || !status) return true;
  const std::uint32_t most = e.options.notsent_lowat;
  if (status->send_queue > send_buffer_of(e) / 3 * 2 || (most > 0 && status->not_sent >= most)) return false;
  const auto memory = stack_.send(e.handle, {}, now());
  return memory || memory.error() != Error::kNoBuffers;
}

}  // namespace synfin::tcp
