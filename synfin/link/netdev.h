// SPDX-License-Identifier: Apache-2.0
//
// Setting up Linux network devices over rtnetlink, without the `ip` program. All functions act in the network
// namespace of the calling thread, need CAP_NET_ADMIN there unless they only read, and fail with one line
// that names the device and, where the kernel gives one, its own explanation.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "synfin/link/link.h"
#include "synfin/wire/address.h"

namespace synfin::link {

using NetdevResult = std::expected<void, LinkError>;

[[nodiscard]] std::expected<unsigned, LinkError> device_index(std::string_view name);
[[nodiscard]] std::expected<std::uint32_t, LinkError> device_mtu(std::string_view name);

[[nodiscard]] NetdevResult set_up(std::string_view name);
[[nodiscard]] NetdevResult set_down(std::string_view name);
[[nodiscard]] NetdevResult set_mtu(std::string_view name, std::uint32_t mtu);

/// Gives the kernel an address on the device, with the connected route. Duplicate
/// address detection is left out for IPv6, but see `wait_until_local`. An address that is there already is no
/// error.
[[nodiscard]] NetdevResult add_address(std::string_view name, const wire::Prefix& address);

/// Returns once packets to `address`, one of the kernel's own, are delivered. An IPv6 address is taken up by
/// a worker of the kernel some time after `add_address` has returned or its device went up; this waits for
/// it, at most 2 s.
[[nodiscard]] NetdevResult wait_until_local(const wire::IpAddress& address);

/// A route to `destination` (host bits zero) through the device, by way of `gateway` where given. Replaces a
/// route to the same destination.
[[nodiscard]] NetdevResult add_route(const wire::Prefix& destination, std::string_view name,
                                     const std::optional<wire::IpAddress>& gateway = std::nullopt);

/// Keeps the kernel from giving the device an IPv6 link-local address, and so from soliciting routers on it.
/// To be called before the device goes up.
[[nodiscard]] NetdevResult set_no_link_local(std::string_view name);

/// A pair of virtual Ethernet devices.
[[nodiscard]] NetdevResult add_veth(std::string_view name, std::string_view peer);
/// Moves the device into the network namespace of process `pid`; its addresses are lost.
[[nodiscard]] NetdevResult move_to_namespace(std::string_view name, pid_t pid);
[[nodiscard]] NetdevResult remove_device(std::string_view name);

/// "WHAT: WHY", with the system's words for `code`.
LinkError system_error(std::string_view what, int code);

}  // namespace synfin::link
