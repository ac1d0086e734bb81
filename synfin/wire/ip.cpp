// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/ip.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "synfin/wire/checksum.h"
#include "synfin/wire/ip_writer.h"
#include "synfin/wire/ipv4_fields.h"
#include "synfin/wire/ipv6_extensions.h"

namespace synfin::wire {
namespace {

std::expected<void, ParseError> check_ipv4_options(Bytes options) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kLooseSourceRoute = 131, kStrictSourceRoute = 137;
  while (!options.empty()) {
    const std::uint8_t type = load_u8(options.data());
    if (type == kEnd) break;
    std::size_t size = 1;
    if (type != kNop) {
      // Whoever may name the path may also see answers to an address that is not theirs: refused as Linux
      // does unless told otherwise.
      if (type == kLooseSourceRoute || type == kStrictSourceRoute)
        return std::unexpected(ParseError::kIpSourceRoute);
      if (options.size() < 2) return std::unexpected(ParseError::kIpHeaderLength);
      size = load_u8(options.data() + 1);
      if (size < 2 || size > options.size()) return std::unexpected(ParseError::kIpHeaderLength);
    }
    options = options.subspan(size);
  }
  return {};
}

// These fill what is returned where it lies: to move it would wait for its fields to be stored.

std::optional<ParseError> read_ipv4(Bytes front, std::size_t packet_size, ParsedIp& out) {
  if (front.size() < ipv4::kMinHeaderSize) return ParseError::kIpTooShort;
  const std::byte* p = front.data();
  const std::size_t header_size = std::size_t{load_u8(p)} % 16 * 4;
  if (header_size < ipv4::kMinHeaderSize || header_size > front.size()) {
    return ParseError::kIpHeaderLength;
  }
  // The usual size apart, as its sum needs no loop.
  const std::uint16_t sum = header_size == ipv4::kMinHeaderSize ? ones_sum(Bytes{p, ipv4::kMinHeaderSize})
                                                                : ones_sum(front.first(header_size));
  if (sum != 0xffff) return ParseError::kIpBadChecksum;
  const std::size_t total = load_be16(p + ipv4::kTotalLength);
  if (total < header_size || total > packet_size) return ParseError::kIpTotalLength;
  const std::uint16_t fragment = load_be16(p + ipv4::kFragment);
  if ((fragment & ipv4::kMoreFragmentsOrOffset) != 0) return ParseError::kIpFragment;
  if (header_size != ipv4::kMinHeaderSize) {
    const Bytes options = front.subspan(ipv4::kMinHeaderSize, header_size - ipv4::kMinHeaderSize);
    if (const auto checked = check_ipv4_options(options); !checked) return checked.error();
  }
  out.header_size = header_size;
  out.payload_size = total - header_size;
  IpHeader& h = out.header;
  h.source = IpAddress::from_v4_octets(p + ipv4::kSource);
  h.destination = IpAddress::from_v4_octets(p + ipv4::kDestination);
  h.protocol = load_u8(p + ipv4::kProtocol);
  h.hop_limit = load_u8(p + ipv4::kTimeToLive);
  h.traffic_class = load_u8(p + ipv4::kTypeOfService);
  h.identification = load_be16(p + ipv4::kIdentification);
  h.dont_fragment = (fragment & ipv4::kDontFragment) != 0;
  return std::nullopt;
}

std::optional<ParseError> read_ipv6(Bytes front, std::size_t packet_size, ParsedIp& out) {
  if (front.size() < ipv6::kHeaderSize) return ParseError::kIpTooShort;
  const std::byte* p = front.data();
  const std::size_t total = ipv6::kHeaderSize + load_be16(p + ipv6::kPayloadLength);
  if (total > packet_size) return ParseError::kIpTotalLength;
  IpHeader& h = out.header;
  h.source = IpAddress::from_v6_octets(p + ipv6::kSource);
  h.destination = IpAddress::from_v6_octets(p + ipv6::kDestination);
  // An IPv4-mapped address means an IPv4 node in every table above; on the wire it is a forgery (RFC 4942
  // §2.2).
  if (h.source.is_v4() || h.destination.is_v4()) return ParseError::kIpBadVersion;
  const auto payload = walk_ipv6_extensions(front.first(std::min(front.size(), total)));
  if (!payload) return payload.error();
  const std::uint32_t first_word = load_be32(p);
  h.protocol = payload->protocol;
  h.hop_limit = load_u8(p + ipv6::kHopLimit);
  h.traffic_class = static_cast<std::uint8_t>(first_word >> 20);
  h.flow_label = first_word & 0xf'ffff;
  out.header_size = payload->offset;
  out.payload_size = total - payload->offset;
  return std::nullopt;
}

std::optional<ParseError> read_ip(Bytes front, std::size_t packet_size, ParsedIp& out) {
  if (front.empty()) return ParseError::kIpTooShort;
  switch (load_u8(front.data()) >> 4) {
    case 4:
      return read_ipv4(front, packet_size, out);
    case 6:
      return read_ipv6(front, packet_size, out);
    default:
      return ParseError::kIpBadVersion;
  }
}

}  // namespace

std::expected<ParsedIp, ParseError> parse_ip(Bytes front, std::size_t packet_size) {
  std::expected<ParsedIp, ParseError> out;
  if (const auto error = read_ip(front.first(std::min(front.size(), packet_size)), packet_size, *out))
    out = std::unexpected(*error);
  return out;
}

std::size_t emitted_size(const IpHeader& header) {
  return header.source.is_v4() ? ipv4::kMinHeaderSize : ipv6::kHeaderSize;
}

std::size_t emit_ip(const IpHeader& header, std::size_t payload_size, MutableBytes out) {
  assert(header.source.is_v4() == header.destination.is_v4());
  assert(out.size() >= emitted_size(header));
  if (header.source.is_v4()) {
    emit_ipv4(header, header.protocol, payload_size, out.data());
  } else {
    emit_ipv6(header, header.protocol, payload_size, out.data());
  }
  return emitted_size(header);
}

}  // namespace synfin::wire
