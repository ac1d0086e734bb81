// SPDX-License-Identifier: Apache-2.0
//
// Writing both headers of a segment, in line, so that a caller who has their fields at hand need not put them
// into structures first.
#pragma once

#include <cstddef>
#include <cstdint>

#include "synfin/wire/checksum.h"
#include "synfin/wire/ip_writer.h"
#include "synfin/wire/ipv4_fields.h"
#include "synfin/wire/packet.h"
#include "synfin/wire/tcp_writer.h"

namespace synfin::wire {

/// `emit_tcp_packet`.
[[gnu::always_inline]] inline void write_tcp_packet(const IpHeader& ip, const TcpHeader& tcp, Frame& frame,
                                                    FillChecksum fill) {
  constexpr std::size_t kChecksumField = 16;
  frame.header_size = 0;
  const std::size_t payload_size = frame.size();
  const bool v4 = ip.source.is_v4();
  const std::size_t ip_size = v4 ? ipv4::kMinHeaderSize : ipv6::kHeaderSize;
  std::byte* const tcp_bytes = frame.header.data() + ip_size;
  const Written written = write_tcp(tcp, tcp_bytes);
  const std::size_t segment_size = written.size + payload_size;
  if (v4) {
    emit_ipv4(ip, protocol::kTcp, segment_size, frame.header.data());
  } else {
    emit_ipv6(ip, protocol::kTcp, segment_size, frame.header.data());
  }
  frame.header_size = static_cast<std::uint16_t>(ip_size + written.size);

  // 32-bit words in host order, below 2^64.
  std::uint64_t sum = protocol::kTcp + segment_size;
  if (v4) {
    sum += std::uint64_t{ip.source.v4_bits()} + ip.destination.v4_bits();
  } else {
    for (const IpAddress* address : {&ip.source, &ip.destination}) {
      for (std::size_t at = 0; at < 16; at += 4) sum += load_be32(address->octets().data() + at);
    }
  }
  frame.needs_checksum = fill == FillChecksum::kPseudoHeaderOnly;
  if (frame.needs_checksum) {
    // Not complemented: the link adds the rest of the segment to it.
    store_be16(tcp_bytes + kChecksumField, fold_words(sum));
    return;
  }
  sum += written.sum;
  if (payload_size > 0) {
    ChecksumAccumulator payload;
    for (std::size_t i = 0; i < frame.slice_count; ++i) payload.add_slice(frame.slices[i]);
    sum += payload.folded();
  }
  store_be16(tcp_bytes + kChecksumField, static_cast<std::uint16_t>(~fold_words(sum)));
}

}  // namespace synfin::wire
