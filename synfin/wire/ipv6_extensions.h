// SPDX-License-Identifier: Apache-2.0
//
// The IPv6 header and the walk over its extension headers (RFC 8200 §3, §4). Used by ip.cpp and icmp.cpp.
#pragma once

#include <cstdint>
#include <expected>

#include "synfin/base/bytes.h"
#include "synfin/wire/parse_error.h"

namespace synfin::wire {

/// Where the fields of the fixed header lie (RFC 8200 §3).
namespace ipv6 {
inline constexpr std::size_t kHeaderSize = 40, kPayloadLength = 4, kNextHeaderField = 6, kHopLimit = 7,
                             kSource = 8, kDestination = 24;
}  // namespace ipv6

struct Ipv6Payload {
  std::uint8_t protocol = 0;
  std::size_t offset = 0;             // where it begins, counted from the IPv6 header
  std::size_t next_header_field = 0;  // where the octet lies that holds `protocol`
};

/// Walks from the fixed header to the first header that is not one of hop-by-hop options, destination
/// options, routing, fragment. At most 8 headers and 256 octets of them. `packet`: begins with the fixed
/// header (at least 40 octets); nothing behind its end is read.
std::expected<Ipv6Payload, ParseError> walk_ipv6_extensions(Bytes packet);

}  // namespace synfin::wire
