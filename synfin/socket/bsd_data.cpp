// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing, and connecting by writing (RFC 7413).
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "synfin/socket/bsd_address.h"
#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

namespace {

constexpr std::size_t kMostParts = 1024;  // IOV_MAX of Linux
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_FASTOPEN | MSG_OOB;
constexpr int kReceiveFlags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL | MSG_PEEK | MSG_OOB;

/// The parts of a vector as the stack takes them; false where POSIX says EINVAL.
template <typename View>
bool take_parts(const iovec* parts, int count, std::vector<View>& views) {
  if (count < 0 || static_cast<std::size_t>(count) > kMostParts) return false;
  std::size_t total = 0;
  for (const iovec& part : std::span(parts, static_cast<std::size_t>(count))) {
    if (__builtin_add_overflow(total, part.iov_len, &total) || total > SSIZE_MAX) return false;
    if (part.iov_len != 0)
      views.emplace_back(static_cast<typename View::pointer>(part.iov_base), part.iov_len);
  }
  return true;
}

// The text of a SYN is not urgent.
bool sendable(int flags) {
  constexpr int kNotBoth = MSG_FASTOPEN | MSG_OOB;
  return (flags & ~kSendFlags) == 0 && (flags & kNotBoth) != kNotBoth;
}

More more(int flags) {
  return (flags & MSG_MORE) != 0 ? More::kYes : More::kNo;
}

/// Null is the one address of which it is known that nothing is there.
template <typename View>
bool readable_memory(std::span<const View> parts) {
  return std::none_of(parts.begin(), parts.end(), [](const View& part) { return part.data() == nullptr; });
}

}  // namespace

ssize_t Bsd::write_parts(int fd, std::span<const Bytes> parts, int flags) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (e->phase == Entry::Phase::kFresh || e->phase == Entry::Phase::kListening) return failed(ENOTCONN);
  if (e->phase == Entry::Phase::kDeferred) return write_with_syn(*e, e->remote, parts);
  if (handshaking(*e)) return failed(EAGAIN);
  if (const int code = take_error(*e); code != 0) return failed(code);
  if (e->send_shut || stack_.failure(e->handle) != Error::kWouldBlock) return failed(EPIPE);
  if (parts.empty()) return 0;
  if (!readable_memory(parts)) return failed(EFAULT);
  const auto taken = (flags & MSG_OOB) != 0 ? stack_.send_urgent(e->handle, parts, now())
                                            : stack_.send(e->handle, parts, now(), more(flags));
  std::size_t wanted = 0;
  for (const Bytes& part : parts) wanted += part.size();
  if (!taken || *taken < wanted) ++e->refusals;
  if (taken) return static_cast<ssize_t>(*taken);
  if (taken.error() == Error::kWouldBlock || taken.error() == Error::kNoBuffers)
    return failed(to_errno(taken.error()));
  // "[EPIPE] The socket is shut down for writing, or … is no longer connected."
  return failed(EPIPE);
}

// Linux's rules: what the SYN takes along is the result; where it can take nothing, the call was a connect.
ssize_t Bsd::write_with_syn(Entry& e, const wire::Endpoint& remote, std::span<const Bytes> parts) {
  if (!readable_memory(parts)) return failed(EFAULT);
  const std::uint32_t room = parts.empty() ? 0 : stack_.fast_open_room(remote.address, now());
  begin_connect(e, remote, true);
  if (room == 0 || e.phase != Entry::Phase::kConnecting) return -1;
  std::vector<Bytes> fitting;
  std::size_t left = room;
  for (const Bytes& part : parts) {
    fitting.push_back(part.first(std::min(part.size(), left)));
    left -= fitting.back().size();
  }
  const auto taken = stack_.send(e.handle, fitting, now());
  return taken ? static_cast<ssize_t>(*taken) : failed(EINPROGRESS);
}

ssize_t Bsd::fast_open_parts(int fd, std::span<const Bytes> parts, int flags, const sockaddr* address,
                             socklen_t size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if ((stack_.settings().tcp_fastopen & 1) == 0) return failed(EOPNOTSUPP);
  switch (e->phase) {
    case Entry::Phase::kFresh: {
      if (address == nullptr) return failed(EINVAL);
      const auto remote = socket_detail::from_sockaddr(e->domain, address, size);
      return remote ? write_with_syn(*e, *remote, parts) : failed(remote.error());
    }
    case Entry::Phase::kConnecting:
      if (finish_connect(*e) != 0) return -1;
      return write_parts(fd, parts, flags);
    case Entry::Phase::kDeferred:
      return write_parts(fd, parts, flags);
    case Entry::Phase::kListening:
    case Entry::Phase::kConnected:
      break;
  }
  return failed(EISCONN);
}

ssize_t Bsd::read_parts(int fd, std::span<const MutableBytes> parts, int flags) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if ((flags & ~kReceiveFlags) != 0) return failed(EOPNOTSUPP);
  if (e->phase == Entry::Phase::kFresh || e->phase == Entry::Phase::kListening) return failed(ENOTCONN);
  if (e->phase == Entry::Phase::kDeferred || handshaking(*e)) return failed(EAGAIN);
  if (parts.empty()) return 0;
  if (!readable_memory(parts) && stack_.readable(e->handle).value_or(0) > 0) return failed(EFAULT);
  // What arrived before the connection failed comes first.
  const bool peek = (flags & MSG_PEEK) != 0;
  if ((flags & MSG_OOB) != 0) return read_urgent(*e, parts, peek);
  const auto got = read_in_band(*e, parts, peek);
  if (got) return static_cast<ssize_t>(*got);
  if (got.error() == Error::kWouldBlock) return e->receive_shut ? 0 : failed(EAGAIN);
  if (const int code = take_error(*e); code != 0) return failed(code);
  return 0;
}

ssize_t Bsd::send(int fd, const void* data, std::size_t size, int flags) {
  return sendto(fd, data, size, flags, nullptr, 0);
}

ssize_t Bsd::sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
                    socklen_t address_size) {
  if (!sendable(flags)) return failed(EOPNOTSUPP);
  const Bytes part{static_cast<const std::byte*>(data), std::min<std::size_t>(size, SSIZE_MAX)};
  const std::span parts(&part, size == 0 ? 0 : 1);
  if ((flags & MSG_FASTOPEN) != 0) return fast_open_parts(fd, parts, flags, address, address_size);
  return write_parts(fd, parts, flags);
}

ssize_t Bsd::sendmsg(int fd, const msghdr* message, int flags) {
  if (message == nullptr) return failed(EFAULT);
  if (!sendable(flags)) return failed(EOPNOTSUPP);
  if (message->msg_controllen != 0) return failed(EINVAL);
  if (message->msg_iovlen > kMostParts) return failed(EMSGSIZE);
  std::vector<Bytes> views;
  if (!take_parts(message->msg_iov, static_cast<int>(message->msg_iovlen), views)) return failed(EINVAL);
  if ((flags & MSG_FASTOPEN) == 0) return write_parts(fd, views, flags);
  return fast_open_parts(fd, views, flags, static_cast<const sockaddr*>(message->msg_name),
                         message->msg_namelen);
}

ssize_t Bsd::recv(int fd, void* into, std::size_t size, int flags) {
  const MutableBytes part{static_cast<std::byte*>(into), std::min<std::size_t>(size, SSIZE_MAX)};
  return read_parts(fd, std::span(&part, size == 0 ? 0 : 1), flags);
}

ssize_t Bsd::writev(int fd, const iovec* parts, int count) {
  std::vector<Bytes> views;
  if (!take_parts(parts, count, views)) return failed(EINVAL);
  return write_parts(fd, views, 0);
}

ssize_t Bsd::readv(int fd, const iovec* parts, int count) {
  std::vector<MutableBytes> views;
  if (!take_parts(parts, count, views)) return failed(EINVAL);
  return read_parts(fd, views, 0);
}

ssize_t Bsd::recvmsg(int fd, msghdr* message, int flags) {
  if (message == nullptr) return failed(EFAULT);
  if (message->msg_iovlen > kMostParts) return failed(EMSGSIZE);
  std::vector<MutableBytes> views;
  if (!take_parts(message->msg_iov, static_cast<int>(message->msg_iovlen), views)) return failed(EINVAL);
  const ssize_t got = read_parts(fd, views, flags);
  if (got < 0) return got;
  message->msg_namelen = 0;
  message->msg_flags = flags & MSG_OOB;
  const Entry* e = find(fd);
  if (e->tell_queue) {
    tell_queue(*e, *message);
  } else {
    message->msg_controllen = 0;
  }
  return got;
}

// TCP_CM_INQ: how much is left to read; 1 where that is the end of the stream, which is worth a call too.
void Bsd::tell_queue(const Entry& e, msghdr& message) const {
  const std::size_t left = readable_in_band(e);
  const auto status = stack_.status(e.handle);
  const bool ended = status && fin_received(status->state);
  const int value = left > 0 ? static_cast<int>(left) : ended ? 1 : 0;
  if (message.msg_control == nullptr || message.msg_controllen < CMSG_LEN(sizeof value)) {
    message.msg_controllen = 0;
    message.msg_flags |= MSG_CTRUNC;
    return;
  }
  cmsghdr* control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = IPPROTO_TCP;
  control->cmsg_type = TCP_CM_INQ;
  control->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(control), &value, sizeof value);
  message.msg_controllen = CMSG_SPACE(sizeof value);
}

}  // namespace synfin::tcp
