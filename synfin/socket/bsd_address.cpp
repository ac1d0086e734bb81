// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/bsd_address.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace synfin::socket_detail {

std::expected<tcp::endpoint, int> from_sockaddr(int domain, const sockaddr* address, socklen_t size) {
  if (address == nullptr) return std::unexpected(EFAULT);
  if (size < sizeof(sa_family_t)) return std::unexpected(EINVAL);
  if (domain == AF_INET) {
    sockaddr_in in{};
    if (size < sizeof in) return std::unexpected(EINVAL);
    std::memcpy(&in, address, sizeof in);
    if (in.sin_family != AF_INET) return std::unexpected(EAFNOSUPPORT);
    return tcp::endpoint{wire::IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  sockaddr_in6 in{};
  if (size < sizeof in) return std::unexpected(EINVAL);
  std::memcpy(&in, address, sizeof in);
  if (in.sin6_family != AF_INET6) return std::unexpected(EAFNOSUPPORT);
  const auto octets = std::as_bytes(std::span(in.sin6_addr.s6_addr));
  return tcp::endpoint{wire::IpAddress::from_v6_octets(octets.data()), ntohs(in.sin6_port)};
}

int to_sockaddr(int domain, const tcp::endpoint& e, sockaddr* address, socklen_t* size) {
  if (address == nullptr) return 0;
  if (size == nullptr) return EFAULT;
  const auto write = [&](const auto& whole) {
    std::memcpy(address, &whole, std::min<std::size_t>(*size, sizeof whole));
    *size = sizeof whole;
  };
  if (domain == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(e.port);
    in.sin_addr.s_addr = htonl(e.address.is_v4() ? e.address.v4_bits() : 0);
    write(in);
  } else {
    // IPv4 addresses are held as IPv4-mapped ones, which is how such a socket shows them.
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(e.port);
    std::memcpy(in.sin6_addr.s6_addr, e.address.octets().data(), sizeof in.sin6_addr.s6_addr);
    write(in);
  }
  return 0;
}

}  // namespace synfin::socket_detail
