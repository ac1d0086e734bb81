// SPDX-License-Identifier: Apache-2.0
//
// IPv4 (RFC 791) and IPv6 (RFC 8200) headers, extension headers walked with bounds.
#pragma once

#include <cstdint>
#include <expected>

#include "synfin/base/bytes.h"
#include "synfin/wire/address.h"
#include "synfin/wire/parse_error.h"

namespace synfin::wire {

namespace protocol {
inline constexpr std::uint8_t kIcmp = 1, kTcp = 6, kIcmpV6 = 58, kNone = 59;
}

/// The two lowest bits of the traffic class (RFC 3168 §5).
namespace ecn {
inline constexpr std::uint8_t kMask = 3, kNotCapable = 0, kEct1 = 1, kEct0 = 2, kMarked = 3;
}

struct IpHeader {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;         // of the payload, behind any extension headers
  std::uint8_t hop_limit = 64;       // TTL
  std::uint8_t traffic_class = 0;    // DSCP and ECN
  std::uint16_t identification = 0;  // IPv4 only
  bool dont_fragment = true;         // IPv4 only
  std::uint32_t flow_label = 0;      // IPv6 only
  friend bool operator==(const IpHeader&, const IpHeader&) = default;
};

struct ParsedIp {
  IpHeader header;
  std::size_t header_size = 0;   // where the payload begins, extension headers included
  std::size_t payload_size = 0;  // by the length field; what follows in the packet is padding
};

/// Reads the network header of a packet that is `packet_size` octets long in all, of which `front` is the
/// contiguous beginning. Verifies lengths and the IPv4 header checksum. Fragments are refused.
std::expected<ParsedIp, ParseError> parse_ip(Bytes front, std::size_t packet_size);

/// 20 or 40.
std::size_t emitted_size(const IpHeader& header);
/// Writes the header of a packet with `payload_size` octets behind it, IPv4 checksum filled in. Returns the
/// size.
std::size_t emit_ip(const IpHeader& header, std::size_t payload_size, MutableBytes out);

}  // namespace synfin::wire
