// SPDX-License-Identifier: Apache-2.0
//
// Writing a network header, in line: every packet that leaves comes by here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "synfin/wire/checksum.h"
#include "synfin/wire/header_writer.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/ipv4_fields.h"
#include "synfin/wire/ipv6_extensions.h"

namespace synfin::wire {

inline constexpr std::size_t kMaxLengthField = 0xffff;

inline void emit_ipv4(const IpHeader& h, std::uint8_t protocol, std::size_t payload_size, std::byte* p) {
  const std::size_t total = std::min(ipv4::kMinHeaderSize + payload_size, kMaxLengthField);
  constexpr std::uint32_t kVersionAndLength = 0x4500'0000;
  HeaderWriter w{p};
  w.word(kVersionAndLength | std::uint32_t{h.traffic_class} << 16 | static_cast<std::uint32_t>(total));
  w.word(std::uint32_t{h.identification} << 16 | (h.dont_fragment ? ipv4::kDontFragment : 0u));
  w.word(std::uint32_t{h.hop_limit} << 24 | std::uint32_t{protocol} << 16);
  w.word(h.source.v4_bits());
  w.word(h.destination.v4_bits());
  store_be16(p + ipv4::kChecksum, static_cast<std::uint16_t>(~fold_words(w.written().sum)));
}

inline void emit_ipv6(const IpHeader& h, std::uint8_t protocol, std::size_t payload_size, std::byte* p) {
  store_be32(p, 0x6000'0000U | std::uint32_t{h.traffic_class} << 20 | (h.flow_label & 0xf'ffff));
  store_be16(p + ipv6::kPayloadLength, static_cast<std::uint16_t>(std::min(payload_size, kMaxLengthField)));
  store_u8(p + ipv6::kNextHeaderField, protocol);
  store_u8(p + ipv6::kHopLimit, h.hop_limit);
  std::memcpy(p + ipv6::kSource, h.source.octets().data(), 16);
  std::memcpy(p + ipv6::kDestination, h.destination.octets().data(), 16);
}

}  // namespace synfin::wire
