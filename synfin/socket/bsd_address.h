// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <expected>

#include "synfin/socket/endpoint.h"

namespace synfin::socket_detail {

/// What a program gave as an address for a socket of `domain`, or the errno: EFAULT, EINVAL (too short),
/// EAFNOSUPPORT. An AF_INET6 socket takes IPv4-mapped addresses.
std::expected<tcp::endpoint, int> from_sockaddr(int domain, const sockaddr* address, socklen_t size);

/// Writes `e` as a socket of `domain` shows it, cut to the room there is, as POSIX has it; `size` becomes the
/// whole size. Nothing where `address` is null. The result is 0 or EFAULT, EINVAL.
int to_sockaddr(int domain, const tcp::endpoint& e, sockaddr* address, socklen_t* size);

}  // namespace synfin::socket_detail
