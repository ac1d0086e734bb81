// SPDX-License-Identifier: Apache-2.0
//
// Where the fields of the IPv4 header lie (RFC 791 §3.1); those of IPv6 are in ipv6_extensions.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace synfin::wire::ipv4 {

inline constexpr std::size_t kTypeOfService = 1, kTotalLength = 2, kIdentification = 4, kFragment = 6,
                             kTimeToLive = 8, kProtocol = 9, kChecksum = 10, kSource = 12, kDestination = 16,
                             kMinHeaderSize = 20;
inline constexpr std::uint16_t kDontFragment = 0x4000, kMoreFragmentsOrOffset = 0x3fff;

}  // namespace synfin::wire::ipv4
