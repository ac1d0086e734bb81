// SPDX-License-Identifier: Apache-2.0
//
// The stack with the calls of <sys/socket.h>, for bindings and for programs that have a loop of their own.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "synfin/stack/stack.h"

namespace synfin::tcp {

/// TCP sockets as POSIX (IEEE 1003.1-2017) describes them, every one of them non-blocking. Where POSIX leaves
/// it open, as on Linux. Each call returns -1 and sets `errno` on failure, as the call of the same name does;
/// none raises SIGPIPE.
///
/// Descriptors are of this object's own, the lowest free one first; they mean nothing to the system. Nothing
/// here moves packets: the embedder drives the stack (see stack::Stack) and leaves its events unread or uses
/// them as hints; `poll` asks the stack itself.
///
/// Urgent data is one octet, as on Linux: the last one that was sent with MSG_OOB. It is missing from the
/// stream and read by MSG_OOB, or has its place there with SO_OOBINLINE. A call that reads ends ahead of it,
/// and SIOCATMARK says whether it is next. A program that reads past it without asking for it loses it; as
/// long as nothing has come behind it, it waits. SIGURG is not sent.
///
/// Differences: a linger time other than 0 does not bound the close; MSG_ZEROCOPY, MSG_EOR and
/// SO_TIMESTAMPING are not there.
class Bsd {
 public:
  /// `stack` must outlive the object. `clock` says what time it is; it must not go back. `first`: the lowest
  /// descriptor.
  Bsd(stack::Stack& stack, std::function<Instant()> clock, int first = 3);
  /// Closes everything.
  ~Bsd();
  Bsd(const Bsd&) = delete;
  Bsd& operator=(const Bsd&) = delete;

  /// `domain` AF_INET or AF_INET6 (EAFNOSUPPORT), `type` SOCK_STREAM with or without SOCK_NONBLOCK and
  /// SOCK_CLOEXEC (EINVAL for more, EPROTONOSUPPORT for another), `protocol` 0 or IPPROTO_TCP
  /// (EPROTONOSUPPORT). EMFILE.
  int socket(int domain, int type, int protocol);
  /// EINVAL where bound already, EADDRNOTAVAIL, EADDRINUSE. Port 0: chosen by listen or connect.
  int bind(int fd, const sockaddr* address, socklen_t size);
  /// EADDRINUSE, EINVAL where connected. On a socket that listens it changes the backlog.
  int listen(int fd, int backlog);
  /// EAGAIN, EINVAL where not listening, ECONNABORTED. The new socket inherits the listener's options.
  int accept(int fd, sockaddr* address, socklen_t* size);
  /// EINPROGRESS, then EALREADY until the handshake has ended; then once 0 or its error, then EISCONN. At
  /// once: ENETUNREACH (no address of that family), EADDRINUSE, EADDRNOTAVAIL (no ephemeral port is free).
  /// In the end: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT. With TCP_FASTOPEN_CONNECT, and where the
  /// server's cookie is known, 0: the SYN leaves with what is written first, and errors come there.
  int connect(int fd, const sockaddr* address, socklen_t size);

  /// EAGAIN, EPIPE, ENOTCONN, or once what ended the connection. MSG_OOB: the last octet is urgent.
  ssize_t send(int fd, const void* data, std::size_t size, int flags);
  ssize_t writev(int fd, const iovec* parts, int count);
  /// As `send`; the address is for MSG_FASTOPEN alone, which connects and sends in one: the result is what
  /// was taken where the server's cookie is known, and EINPROGRESS where the SYN asks for one, with nothing
  /// taken. EOPNOTSUPP where `tcp_fastopen` has no bit 1, else as connect.
  ssize_t sendto(int fd, const void* data, std::size_t size, int flags, const sockaddr* address,
                 socklen_t address_size);
  /// The same; EMSGSIZE for too many parts, EINVAL for control data.
  ssize_t sendmsg(int fd, const msghdr* message, int flags);
  /// 0 at the end of the stream. EAGAIN, ENOTCONN, or once what ended the connection. MSG_OOB: the urgent
  /// octet, once; EINVAL where there is none or SO_OOBINLINE is on, EAGAIN where it has not arrived.
  ssize_t recv(int fd, void* into, std::size_t size, int flags);
  ssize_t readv(int fd, const iovec* parts, int count);

  /// As `recv`, with the flags of `msghdr`: MSG_CTRUNC where the control data did not fit. With TCP_INQ on,
  /// control data TCP_CM_INQ: what is left to read, 1 where that is only the end of the stream.
  ssize_t recvmsg(int fd, msghdr* message, int flags);

  /// SHUT_RD, SHUT_WR, SHUT_RDWR. ENOTCONN, EINVAL. After SHUT_RD reading gives what still arrives, and the
  /// end of the stream where there is nothing, as on Linux.
  int shutdown(int fd, int how);
  /// Orderly, or with a reset where SO_LINGER is on with a time of 0.
  int close(int fd);

  /// Options, as in socket(7) and tcp(7); "once connected" they change what they still can.
  ///
  /// SOL_SOCKET: SO_ERROR, SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN and SO_MEMINFO (read only),
  /// SO_LINGER, SO_KEEPALIVE, SO_OOBINLINE, SO_REUSEADDR (no effect), SO_MAX_PACING_RATE (octets a second, of
  /// 32 bits or 64), SO_SNDBUF and SO_RCVBUF. These two are shown doubled, as Linux does to leave room for
  /// its bookkeeping. Synfin counts octets: two thirds of what is shown may be queued to be sent, and as many
  /// may wait to be read as was asked for.
  ///
  /// IPPROTO_TCP: TCP_NODELAY, TCP_CORK, TCP_QUICKACK (stays until it is taken back), TCP_MAXSEG (before
  /// connect or listen; 88 to 32767, EINVAL else; shows what is in use once connected), TCP_USER_TIMEOUT
  /// (milliseconds), TCP_KEEPIDLE, TCP_KEEPINTVL (seconds, 1 to 32767), TCP_KEEPCNT (1 to 127), TCP_SYNCNT (1
  /// to 127), TCP_LINGER2 (seconds; a negative time is none at all), TCP_DEFER_ACCEPT (seconds, rounded up to
  /// SYN-ACK retransmissions as on Linux: 1, 3, 7 …), TCP_FASTOPEN (connections at a time, within
  /// `somaxconn`; before or after listen, else EINVAL), TCP_FASTOPEN_CONNECT (before connect, else EINVAL),
  /// TCP_NOTSENT_LOWAT, TCP_INQ, TCP_CONGESTION ("cubic", "reno" or "none", at any time; ENOENT else),
  /// TCP_INFO (Linux 6.18's 280 octets) and TCP_CC_INFO (empty), which are read only.
  ///
  /// IPPROTO_IP: IP_TOS, IP_MTU_DISCOVER (IP_PMTUDISC_DONT lets routers make fragments). IPPROTO_IPV6:
  /// IPV6_TCLASS. Without the bits of ECN, which are the stack's.
  ///
  /// ENOPROTOOPT for others, EINVAL for a value that is too short or out of range, EFAULT.
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size);
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size);

  int getsockname(int fd, sockaddr* address, socklen_t* size);
  /// ENOTCONN.
  int getpeername(int fd, sockaddr* address, socklen_t* size);

  /// F_GETFL and F_SETFL with O_NONBLOCK, F_GETFD and F_SETFD with FD_CLOEXEC; both only kept, as no call
  /// here waits: a binding whose calls do asks for them. EINVAL for other commands.
  int fcntl(int fd, int command, int argument);
  /// FIONREAD (what `recv` would give), SIOCATMARK (whether urgent data is next), SIOCOUTQ (queued and not
  /// acknowledged), SIOCOUTQNSD (queued and not sent). EINVAL for a listener and for other requests, EFAULT.
  int ioctl(int fd, unsigned long request, int* value);

  /// What is there now, without waiting: fills in `revents` and returns how many have any. Negative
  /// descriptors are passed over.
  int poll(std::span<pollfd> fds);

  /// epoll(7) for the descriptors of this object; its own is one of them, closed by `close`. EINVAL for a
  /// size that is not positive, EMFILE.
  int epoll_create(int size);
  /// EBADF, EINVAL (no epoll descriptor, or one in itself), EEXIST, ENOENT, EFAULT. EPOLLET and EPOLLONESHOT
  /// are kept, EPOLLEXCLUSIVE is EINVAL.
  int epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
  /// What is there now, without waiting. EINVAL for `most` below 1, EFAULT.
  int epoll_wait(int epoll, epoll_event* events, int most);

  /// Whether `fd` is a descriptor of this object's.
  bool is_open(int fd) const { return slot(fd) != nullptr; }

  /// Whether a handshake that `fd` began is under way.
  bool is_connecting(int fd) const;

  /// The stack's name for what is behind a descriptor; empty where nothing is.
  stack::Handle handle(int fd) const;

 private:
  struct Entry;

  struct Epoll;

  /// What `fd` stands for, socket or not.
  Entry* slot(int fd) const;
  Entry* find(int fd) const;
  /// What a call for sockets says where `find` found none: EBADF, or ENOTSOCK for an epoll descriptor.
  int not_a_socket(int fd) const;
  Epoll* find_epoll(int fd) const;
  int install(std::unique_ptr<Entry> entry);
  Instant now() const { return clock_(); }
  /// What ended the connection, once; 0 for nothing new.
  int take_error(Entry& e);
  bool handshaking(const Entry& e) const;
  int begin_connect(Entry& e, const wire::Endpoint& remote, bool fast_open);
  int finish_connect(Entry& e);
  std::expected<stack::Handle, Error> listen_somewhere(const Entry& e, const stack::ListenOptions& options);
  void apply_options(const Entry& e);
  void forget_in_epolls(const Entry& e);
  int set_opening_option(Entry& e, int name, int value);
  int set_socket_option(Entry& e, int name, int value);
  int set_tcp_option(Entry& e, int name, int value);
  int set_ip_option(Entry& e, int level, int name, int value);
  int set_max_pacing_rate(Entry& e, std::uint64_t rate);
  int set_mtu_discovery(Entry& e, int value);
  int get_socket_option(Entry& e, int name, void* value, socklen_t* size);
  int get_tcp_option(Entry& e, int name, void* value, socklen_t* size);
  int get_max_segment(const Entry& e) const;
  int get_info(const Entry& e, void* value, socklen_t* size);
  int give_memory(const Entry& e, void* value, socklen_t* size);
  int give_max_pacing_rate(const Entry& e, void* value, socklen_t* size);
  CongestionControl congestion_control_of(const Entry& e) const;
  std::optional<std::size_t> urgent_octet(const Entry& e) const;
  bool urgent_waits(const Entry& e) const;
  std::size_t readable_in_band(const Entry& e) const;
  std::expected<std::size_t, Error> read_in_band(Entry& e, std::span<const MutableBytes> parts, bool peek);
  ssize_t read_urgent(Entry& e, std::span<const MutableBytes> parts, bool peek);
  short events_of(Entry& e);
  void tell_queue(const Entry& e, msghdr& message) const;
  std::uint64_t received(const Entry& e) const;
  bool is_writable(const Entry& e) const;
  std::uint32_t send_buffer_of(const Entry& e) const;
  std::uint32_t receive_buffer_of(const Entry& e) const;
  /// Nothing: it is none yet, or no more.
  std::optional<stack::Status> status_of_connection(const Entry& e) const;
  ssize_t write_parts(int fd, std::span<const Bytes> parts, int flags);
  ssize_t write_with_syn(Entry& e, const wire::Endpoint& remote, std::span<const Bytes> parts);
  ssize_t fast_open_parts(int fd, std::span<const Bytes> parts, int flags, const sockaddr* address,
                          socklen_t size);
  ssize_t read_parts(int fd, std::span<const MutableBytes> parts, int flags);

  stack::Stack& stack_;
  std::function<Instant()> clock_;
  int first_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace synfin::tcp
