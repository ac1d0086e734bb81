// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/ip.h"

#include <algorithm>
#include <cassert>
#include <optional>

#include "synfin/wire/checksum.h"
#include "synfin/wire/header_writer.h"
#include "synfin/wire/ipv6_extensions.h"

namespace synfin::wire {
namespace {

// Where the fields of the IPv4 header lie (RFC 791 §3.1); those of IPv6 are in ipv6_extensions.h.
namespace ipv4 {
constexpr std::size_t kTypeOfService = 1, kTotalLength = 2, kIdentification = 4, kFragment = 6,
                      kTimeToLive = 8, kProtocol = 9, kChecksum = 10, kSource = 12, kDestination = 16,
                      kMinHeaderSize = 20;
constexpr std::uint16_t kDontFragment = 0x4000, kMoreFragmentsOrOffset = 0x3fff;
}  // namespace ipv4

constexpr std::size_t kMaxLengthField = 0xffff;

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
  if (ones_sum(front.first(header_size)) != 0xffff) return ParseError::kIpBadChecksum;
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

void emit_ipv4(const IpHeader& h, std::size_t payload_size, std::byte* p) {
  const std::size_t total = std::min(ipv4::kMinHeaderSize + payload_size, kMaxLengthField);
  constexpr std::uint32_t kVersionAndLength = 0x4500'0000;
  HeaderWriter w{p};
  w.word(kVersionAndLength | std::uint32_t{h.traffic_class} << 16 | static_cast<std::uint32_t>(total));
  w.word(std::uint32_t{h.identification} << 16 | (h.dont_fragment ? ipv4::kDontFragment : 0u));
  w.word(std::uint32_t{h.hop_limit} << 24 | std::uint32_t{h.protocol} << 16);
  w.word(h.source.v4_bits());
  w.word(h.destination.v4_bits());
  ChecksumAccumulator sum;
  sum.add_words(w.written().sum);
  store_be16(p + ipv4::kChecksum, sum.finish());
}

void emit_ipv6(const IpHeader& h, std::size_t payload_size, std::byte* p) {
  store_be32(p, 0x6000'0000U | std::uint32_t{h.traffic_class} << 20 | (h.flow_label & 0xf'ffff));
  store_be16(p + ipv6::kPayloadLength, static_cast<std::uint16_t>(std::min(payload_size, kMaxLengthField)));
  store_u8(p + ipv6::kNextHeaderField, h.protocol);
  store_u8(p + ipv6::kHopLimit, h.hop_limit);
  std::memcpy(p + ipv6::kSource, h.source.octets().data(), 16);
  std::memcpy(p + ipv6::kDestination, h.destination.octets().data(), 16);
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
  const std::size_t size = emitted_size(header);
  assert(out.size() >= size);
  assert(header.source.is_v4() == header.destination.is_v4());
  if (header.source.is_v4()) {
    emit_ipv4(header, payload_size, out.data());
  } else {
    emit_ipv6(header, payload_size, out.data());
  }
  return size;
}

}  // namespace synfin::wire
