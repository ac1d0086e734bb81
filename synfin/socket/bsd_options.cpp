// SPDX-License-Identifier: Apache-2.0
//
// setsockopt.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>

#include "synfin/socket/bsd_entry.h"

namespace synfin::tcp {

namespace {

template <typename T>
std::optional<T> take(const void* value, socklen_t size) {
  if (size < sizeof(T)) return std::nullopt;
  T v;
  std::memcpy(&v, value, sizeof v);
  return v;
}

bool within(int value, int least, int most) {
  return value >= least && value <= most;
}

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

// Linux's bounds, doubled ones: SOCK_MIN_SNDBUF and SOCK_MIN_RCVBUF below, 2^31 - 1 above.
constexpr int kLeastSendBuffer = 4608;
constexpr int kLeastReceiveBuffer = 2304;

int doubled(int value, int least) {
  constexpr int kMost = std::numeric_limits<int>::max() / 2;
  return std::max(std::clamp(value, 0, kMost) * 2, least);
}

}  // namespace

void Bsd::apply_options(const Entry& e) {
  if (e.phase == Entry::Phase::kListening) {
    stack::ListenOptions listening = e.listening;
    listening.connection = e.options;
    std::ignore = stack_.set_listen_options(e.handle, listening);
  }
  // It can only fail for a handle that is none.
  if (e.handle.kind() == stack::HandleKind::kConnection)
    std::ignore = stack_.set_options(e.handle, e.options, now());
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

int Bsd::set_tcp_option(Entry& e, int name, int value) {
  constexpr int kLongest = 32767;
  tcp::Options& o = e.options;
  switch (name) {
    case TCP_NODELAY:
      o.no_delay = value != 0;
      return 0;
    case TCP_CORK:
      o.cork = value != 0;
      return 0;
    case TCP_QUICKACK:
      o.quick_ack = value != 0;
      return 0;
    case TCP_MAXSEG:
      // "0 … default"
      if (value != 0 && !within(value, 88, 32767)) return EINVAL;
      o.max_segment = static_cast<std::uint16_t>(value);
      return 0;
    case TCP_USER_TIMEOUT:
      if (value < 0) return EINVAL;
      o.user_timeout = Duration::milliseconds(value);
      return 0;
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
      if (!within(value, 1, kLongest)) return EINVAL;
      (name == TCP_KEEPIDLE ? o.keepalive_time : o.keepalive_interval) = Duration::seconds(value);
      return 0;
    case TCP_KEEPCNT:
    case TCP_SYNCNT:
      if (!within(value, 1, 127)) return EINVAL;
      (name == TCP_KEEPCNT ? o.keepalive_probes : o.syn_retries) = static_cast<std::uint32_t>(value);
      return 0;
    case TCP_LINGER2:
      // Below 0 there is no FIN-WAIT-2 without a program at all; 0 takes back what was set.
      o.fin_timeout =
          value < 0 ? Duration::nanoseconds(1) : std::min(Duration::seconds(value), Duration::seconds(120));
      return 0;
    case TCP_NOTSENT_LOWAT:
      o.notsent_lowat = static_cast<std::uint32_t>(value);
      return 0;
    case TCP_INQ:
      if (!within(value, 0, 1)) return EINVAL;
      e.tell_queue = value == 1;
      return 0;
    case TCP_DEFER_ACCEPT:
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
      return set_opening_option(e, name, value);
  }
  return ENOPROTOOPT;
}

// All ones, of 32 bits or 64, mean no bound.
int Bsd::set_max_pacing_rate(Entry& e, std::uint64_t rate) {
  if (rate == 0) return EINVAL;
  const bool unbounded = rate == ~std::uint64_t{0} || rate == ~std::uint32_t{0};
  e.options.max_pacing_rate = unbounded ? 0 : rate;
  return 0;
}

int Bsd::set_socket_option(Entry& e, int name, int value) {
  switch (name) {
    case SO_KEEPALIVE:
      e.options.keepalive = value != 0;
      return 0;
    case SO_OOBINLINE:
      e.urgent_inline = value != 0;
      return 0;
    case SO_REUSEADDR:
      e.reuse_address = value != 0;
      return 0;
    case SO_SNDBUF:
      e.send_buffer = doubled(value, kLeastSendBuffer);
      // A full segment of 1,460 octets lies in a block of 2,048.
      e.options.send_buffer = static_cast<std::uint32_t>(e.send_buffer) / 3 * 2;
      return 0;
    case SO_MAX_PACING_RATE:
      return set_max_pacing_rate(e, static_cast<std::uint32_t>(value));
    case SO_RCVBUF:
      e.receive_buffer = doubled(value, kLeastReceiveBuffer);
      e.options.receive_buffer = static_cast<std::uint32_t>(e.receive_buffer / 2);
      return 0;
  }
  return ENOPROTOOPT;
}

// IP_MTU_DISCOVER: whether routers may make fragments. IP_PMTUDISC_WANT and _DO are the same here, as no
// segment is ever larger than the path is known to carry.
int Bsd::set_mtu_discovery(Entry& e, int value) {
  if (!within(value, IP_PMTUDISC_DONT, IP_PMTUDISC_DO)) return EINVAL;
  e.mtu_discovery = value;
  e.options.may_fragment = value == IP_PMTUDISC_DONT;
  return 0;
}

// IP_TOS takes an octet too. The two bits of ECN are the stack's (ip(7)); -1 of IPV6_TCLASS is the default.
int Bsd::set_ip_option(Entry& e, int level, int name, int value) {
  const bool v6 = level == IPPROTO_IPV6;
  if (!v6 && name == IP_MTU_DISCOVER) return set_mtu_discovery(e, value);
  if (name != (v6 ? IPV6_TCLASS : IP_TOS)) return ENOPROTOOPT;
  if (v6 && e.domain == AF_INET) return ENOPROTOOPT;
  if (v6 && !within(value, -1, 255)) return EINVAL;
  constexpr unsigned kEcn = 3;
  e.options.traffic_class = static_cast<std::uint8_t>(std::max(value, 0) & 0xff & ~kEcn);
  return 0;
}

int Bsd::setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  const bool ip = level == IPPROTO_IP || level == IPPROTO_IPV6;
  if (level != SOL_SOCKET && level != IPPROTO_TCP && !ip) return failed(ENOPROTOOPT);
  if (value == nullptr) return failed(EFAULT);
  int code = EINVAL;
  if (level == SOL_SOCKET && name == SO_LINGER) {
    if (const auto wanted = take<linger>(value, size)) {
      e->on_close = *wanted;
      // A time other than 0 bounds how long close waits, and close never waits here.
      e->options.linger.reset();
      if (wanted->l_onoff != 0 && wanted->l_linger == 0) e->options.linger = Duration::zero();
      code = 0;
    }
  } else if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE && size >= sizeof(std::uint64_t)) {
    code = set_max_pacing_rate(*e, *take<std::uint64_t>(value, size));
  } else if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    const std::string_view wanted(static_cast<const char*>(value), size);
    const auto known = congestion_control(wanted.substr(0, wanted.find('\0')));
    if (known) e->options.congestion = known;
    code = known ? 0 : ENOENT;
  } else if (level == IPPROTO_IP && size > 0 && size < sizeof(int)) {
    code = set_ip_option(*e, level, name, *take<std::uint8_t>(value, size));
  } else if (const auto number = take<int>(value, size)) {
    code = ip                    ? set_ip_option(*e, level, name, *number)
           : level == SOL_SOCKET ? set_socket_option(*e, name, *number)
                                 : set_tcp_option(*e, name, *number);
  }
  if (code != 0) return failed(code);
  apply_options(*e);
  return 0;
}

}  // namespace synfin::tcp
