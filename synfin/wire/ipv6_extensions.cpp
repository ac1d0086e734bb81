// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/ipv6_extensions.h"

namespace synfin::wire {
namespace {

constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
constexpr int kMaxHeaders = 8;
constexpr std::size_t kMaxOctets = 256;
constexpr std::size_t kFragmentSize = 8;

// RFC 8200 §4.2: the two highest bits of an option that is not known here say whether the packet may go on.
bool options_can_be_skipped(Bytes options) {
  constexpr std::uint8_t kPad1 = 0, kMustUnderstand = 0xc0;
  while (!options.empty()) {
    const std::uint8_t type = load_u8(options.data());
    if (type == kPad1) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2) return false;
    const std::size_t size = std::size_t{2} + load_u8(options.data() + 1);
    if (size > options.size() || (type & kMustUnderstand) != 0) return false;
    options = options.subspan(size);
  }
  return true;
}

// What keeps the walk from going on behind `header`, a whole extension header.
std::expected<void, ParseError> check(std::uint8_t type, Bytes header) {
  switch (type) {
    case kRouting: {
      const std::uint8_t segments_left = load_u8(header.data() + 3);
      if (segments_left != 0) return std::unexpected(ParseError::kIpSourceRoute);
      return {};
    }
    case kFragment: {
      // RFC 8200 §4.5, RFC 6946: offset 0 and no more fragments is a whole packet, and is taken as one.
      constexpr std::uint16_t kOffsetAndMore = 0xfff9;
      if ((load_be16(header.data() + 2) & kOffsetAndMore) != 0)
        return std::unexpected(ParseError::kIpFragment);
      return {};
    }
    default:  // hop-by-hop or destination options
      if (!options_can_be_skipped(header.subspan(2))) return std::unexpected(ParseError::kIpExtensionHeader);
      return {};
  }
}

}  // namespace

std::expected<Ipv6Payload, ParseError> walk_ipv6_extensions(Bytes packet) {
  Ipv6Payload at{load_u8(packet.data() + ipv6::kNextHeaderField), ipv6::kHeaderSize, ipv6::kNextHeaderField};
  for (int headers = 0;; ++headers) {
    const bool hop_by_hop = at.protocol == kHopByHop;
    const bool fragment = at.protocol == kFragment;
    if (!hop_by_hop && !fragment && at.protocol != kRouting && at.protocol != kDestinationOptions) return at;
    // RFC 8200 §4.1: hop-by-hop options only directly behind the IPv6 header.
    if ((hop_by_hop && headers != 0) || headers == kMaxHeaders) break;

    const Bytes rest = packet.subspan(at.offset);
    if (rest.size() < 8) break;
    const std::size_t size = fragment ? kFragmentSize : 8 + 8 * std::size_t{load_u8(rest.data() + 1)};
    if (size > rest.size() || at.offset + size > ipv6::kHeaderSize + kMaxOctets) break;
    if (const auto checked = check(at.protocol, rest.first(size)); !checked)
      return std::unexpected(checked.error());
    at = {load_u8(rest.data()), at.offset + size, at.offset};
  }
  return std::unexpected(ParseError::kIpExtensionHeader);
}

}  // namespace synfin::wire
