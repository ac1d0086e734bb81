// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/packet.h"

#include <optional>

#include "synfin/wire/checksum.h"
#include "synfin/wire/tcp_options.h"

namespace synfin::wire {
namespace {

constexpr std::size_t kTcpChecksumField = 16;

// Fills what is returned where it lies: to move it would wait for its fields to be stored.
std::optional<ParseError> read_tcp_packet(const ParsedIp& ip, const Frame& frame, VerifyChecksum verify,
                                          TcpPacket& out) {
  const Bytes front = frame.front();
  const std::size_t end = ip.header_size + ip.payload_size;
  const bool in_one_piece = front.size() >= end;
  if (front.size() < ip.header_size + TcpHeader::kMinSize || ip.payload_size < TcpHeader::kMinSize ||
      (!in_one_piece && frame.size() < end)) {
    return ParseError::kTcpTooShort;
  }
  // The sum comes first: behind a wrong one, what the header says is noise.
  if (verify == VerifyChecksum::kYes && !frame.checksum_verified) {
    ChecksumAccumulator sum;
    sum.add_pseudo_header(ip.header.source, ip.header.destination, protocol::kTcp,
                          static_cast<std::uint32_t>(ip.payload_size));
    if (in_one_piece) {
      sum.add(front.subspan(ip.header_size, ip.payload_size));
    } else {
      sum.add_frame(frame, ip.header_size, ip.payload_size);
    }
    if (sum.finish() != 0) return ParseError::kTcpBadChecksum;
  }
  const auto header_size = parse_tcp_into(front.subspan(ip.header_size), ip.payload_size, out.tcp);
  if (!header_size) return header_size.error();
  out.ip = ip.header;
  out.payload_offset = ip.header_size + *header_size;
  out.payload_size = ip.payload_size - *header_size;
  return std::nullopt;
}

}  // namespace

std::expected<TcpPacket, ParseError> parse_tcp_packet(const ParsedIp& ip, const Frame& frame,
                                                      VerifyChecksum verify) {
  std::expected<TcpPacket, ParseError> packet;
  if (const auto error = read_tcp_packet(ip, frame, verify, *packet)) packet = std::unexpected(*error);
  return packet;
}

void emit_tcp_packet(const IpHeader& ip, const TcpHeader& tcp, Frame& frame, FillChecksum fill) {
  frame.header_size = 0;
  const std::size_t payload_size = frame.size();
  const std::size_t ip_size = emitted_size(ip);
  std::byte* const tcp_bytes = frame.header.data() + ip_size;
  const auto [tcp_size, tcp_sum] = write_tcp(tcp, tcp_bytes);
  IpHeader header = ip;
  header.protocol = protocol::kTcp;
  emit_ip(header, tcp_size + payload_size, frame.header);
  frame.header_size = static_cast<std::uint16_t>(ip_size + tcp_size);

  ChecksumAccumulator sum;
  sum.add_pseudo_header(ip.source, ip.destination, protocol::kTcp,
                        static_cast<std::uint32_t>(tcp_size + payload_size));
  frame.needs_checksum = fill == FillChecksum::kPseudoHeaderOnly;
  if (fill == FillChecksum::kYes) {
    sum.add_words(tcp_sum);
    for (std::size_t i = 0; i < frame.slice_count; ++i) sum.add(frame.slices[i].bytes());
    store_be16(tcp_bytes + kTcpChecksumField, sum.finish());
  } else {
    // Not complemented: the link adds the rest of the segment to it.
    store_be16(tcp_bytes + kTcpChecksumField, sum.folded());
  }
}

}  // namespace synfin::wire
