// SPDX-License-Identifier: Apache-2.0
//
// getsockopt.
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string_view>

#include "synfin/socket/bsd_entry.h"
#include "synfin/socket/bsd_tcp_info.h"

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

constexpr std::int64_t kSecond = 1'000'000'000;

int seconds(Duration chosen, Duration setting) {
  const Duration d = chosen > Duration::zero() ? chosen : setting;
  return static_cast<int>(d.ns() / kSecond);
}

int or_setting(std::uint32_t chosen, std::uint32_t setting) {
  return static_cast<int>(chosen > 0 ? chosen : setting);
}

int clamped(std::uint32_t n) {
  return static_cast<int>(std::min<std::uint32_t>(n, std::numeric_limits<int>::max()));
}

}  // namespace

CongestionControl Bsd::congestion_control_of(const Entry& e) const {
  if (e.handle.kind() == stack::HandleKind::kConnection) {
    if (const auto status = stack_.status(e.handle)) return status->congestion_control;
  }
  return e.options.congestion.value_or(stack_.settings().tcp_congestion_control);
}

std::uint32_t Bsd::send_buffer_of(const Entry& e) const {
  if (e.options.send_buffer > 0) return e.options.send_buffer;
  const auto status = status_of_connection(e);
  return status ? status->send_buffer : stack_.settings().tcp_wmem.initial;
}

std::uint32_t Bsd::receive_buffer_of(const Entry& e) const {
  if (e.options.receive_buffer > 0) return e.options.receive_buffer;
  const auto status = status_of_connection(e);
  return status ? status->receive_buffer : stack_.settings().tcp_rmem.initial;
}

std::optional<stack::Status> Bsd::status_of_connection(const Entry& e) const {
  if (e.handle.kind() != stack::HandleKind::kConnection) return std::nullopt;
  const auto status = stack_.status(e.handle);
  return status ? std::optional(*status) : std::nullopt;
}

// How much memory a socket has and may have; what is counted here are octets of data.
int Bsd::give_memory(const Entry& e, void* value, socklen_t* size) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  const auto status = stack_.status(e.handle);
  if (status && e.handle.kind() == stack::HandleKind::kConnection) {
    memory[SK_MEMINFO_RMEM_ALLOC] = status->receive_queue;
    memory[SK_MEMINFO_WMEM_ALLOC] = status->send_queue - status->not_sent;
    memory[SK_MEMINFO_WMEM_QUEUED] = status->send_queue;
  }
  memory[SK_MEMINFO_RCVBUF] = static_cast<std::uint32_t>(
      e.receive_buffer > 0 ? e.receive_buffer : clamped(receive_buffer_of(e)));
  memory[SK_MEMINFO_SNDBUF] =
      e.send_buffer > 0 ? static_cast<std::uint32_t>(e.send_buffer) : send_buffer_of(e);
  return give(memory, value, size);
}

// As large as the program has room for.
int Bsd::give_max_pacing_rate(const Entry& e, void* value, socklen_t* size) {
  const std::uint64_t rate = e.options.max_pacing_rate > 0 ? e.options.max_pacing_rate : ~std::uint64_t{0};
  if (*size >= sizeof rate) return give(rate, value, size);
  return give(static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, ~std::uint32_t{0})), value, size);
}

int Bsd::get_socket_option(Entry& e, int name, void* value, socklen_t* size) {
  const auto flag = [&](bool on) { return give(on ? 1 : 0, value, size); };
  switch (name) {
    case SO_ERROR:
      return give(take_error(e), value, size);
    case SO_LINGER:
      return give(e.on_close, value, size);
    case SO_KEEPALIVE:
      return flag(e.options.keepalive);
    case SO_OOBINLINE:
      return flag(e.urgent_inline);
    case SO_REUSEADDR:
      return flag(e.reuse_address);
    case SO_TYPE:
      return give(static_cast<int>(SOCK_STREAM), value, size);
    case SO_DOMAIN:
      return give(e.domain, value, size);
    case SO_PROTOCOL:
      return give(static_cast<int>(IPPROTO_TCP), value, size);
    case SO_ACCEPTCONN:
      return flag(e.phase == Entry::Phase::kListening);
    case SO_SNDBUF:
      return give(e.send_buffer > 0 ? e.send_buffer : clamped(send_buffer_of(e)), value, size);
    case SO_MAX_PACING_RATE:
      return give_max_pacing_rate(e, value, size);
    case SO_RCVBUF:
      return give(e.receive_buffer > 0 ? e.receive_buffer : clamped(receive_buffer_of(e)), value, size);
    case SO_MEMINFO:
      return give_memory(e, value, size);
  }
  return failed(ENOPROTOOPT);
}

int Bsd::get_max_segment(const Entry& e) const {
  constexpr int kDefault = 536;  // RFC 9293 §3.7.1
  const bool connected = e.phase == Entry::Phase::kConnecting || e.phase == Entry::Phase::kConnected;
  if (!connected) return e.options.max_segment > 0 ? e.options.max_segment : kDefault;
  const auto status = stack_.status(e.handle);
  return status ? static_cast<int>(status->mss) : kDefault;
}

int Bsd::get_info(const Entry& e, void* value, socklen_t* size) {
  Info info;
  if (const auto known = stack_.info(e.handle, now())) info = *known;
  if (e.phase == Entry::Phase::kListening) info.state = trace::State::kListen;
  return give(socket_detail::to_tcp_info(info), value, size);
}

int Bsd::get_tcp_option(Entry& e, int name, void* value, socklen_t* size) {
  const tcp::Settings& s = stack_.settings();
  const tcp::Options& o = e.options;
  const auto number = [&](int n) { return give(n, value, size); };
  switch (name) {
    case TCP_NODELAY:
      return number(o.no_delay ? 1 : 0);
    case TCP_CORK:
      return number(o.cork ? 1 : 0);
    case TCP_QUICKACK:
      return number(o.quick_ack ? 1 : 0);
    case TCP_MAXSEG:
      return number(get_max_segment(e));
    case TCP_USER_TIMEOUT:
      return give(static_cast<unsigned>(o.user_timeout.ms()), value, size);
    case TCP_KEEPIDLE:
      return number(seconds(o.keepalive_time, s.tcp_keepalive_time));
    case TCP_KEEPINTVL:
      return number(seconds(o.keepalive_interval, s.tcp_keepalive_intvl));
    case TCP_KEEPCNT:
      return number(or_setting(o.keepalive_probes, s.tcp_keepalive_probes));
    case TCP_SYNCNT:
      return number(or_setting(o.syn_retries, s.tcp_syn_retries));
    case TCP_LINGER2:
      return number(o.fin_timeout == Duration::nanoseconds(1) ? -1
                                                              : seconds(o.fin_timeout, s.tcp_fin_timeout));
    case TCP_DEFER_ACCEPT:
      return number(static_cast<int>(e.listening.defer_accept.ns() / kSecond));
    case TCP_FASTOPEN:
      return number(static_cast<int>(e.listening.fast_open));
    case TCP_FASTOPEN_CONNECT:
      return number(e.fast_open_connect ? 1 : 0);
    case TCP_NOTSENT_LOWAT:
      return give(o.notsent_lowat, value, size);
    case TCP_INQ:
      return number(e.tell_queue ? 1 : 0);
    case TCP_CONGESTION: {
      // As Linux has it: 16 octets, the rest of them 0.
      std::array<char, 16> name_and_zeros{};
      const std::string_view in_use = name_of(congestion_control_of(e));
      std::copy(in_use.begin(), in_use.end(), name_and_zeros.begin());
      return give(name_and_zeros, value, size);
    }
    case TCP_INFO:
      return get_info(e, value, size);
    case TCP_CC_INFO:
      *size = 0;
      return 0;
  }
  return failed(ENOPROTOOPT);
}

int Bsd::getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  Entry* e = find(fd);
  if (e == nullptr) return not_a_socket(fd);
  if (value == nullptr || size == nullptr) return failed(EFAULT);
  if (level == SOL_SOCKET) return get_socket_option(*e, name, value, size);
  if (level == IPPROTO_TCP) return get_tcp_option(*e, name, value, size);
  const bool known = level == IPPROTO_IP || (level == IPPROTO_IPV6 && e->domain == AF_INET6);
  if (level == IPPROTO_IP && name == IP_MTU_DISCOVER) return give(e->mtu_discovery, value, size);
  if (known && name == (level == IPPROTO_IP ? IP_TOS : IPV6_TCLASS))
    return give(static_cast<int>(e->options.traffic_class), value, size);
  return failed(ENOPROTOOPT);
}

}  // namespace synfin::tcp
