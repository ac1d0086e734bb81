// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/packet.h"

#include "synfin/wire/checksum.h"
#include "synfin/wire/ipv4_fields.h"
#include "synfin/wire/packet_writer.h"

namespace synfin::wire {

std::optional<ParseError> read_tcp_part(const ParsedIp& ip, const Frame& frame, VerifyChecksum verify,
                                        TcpPart& out) {
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
  out.payload_offset = ip.header_size + *header_size;
  out.payload_size = ip.payload_size - *header_size;
  return std::nullopt;
}

bool read_usual_packet(const Frame& frame, TcpPacket& out) {
  const Bytes front = frame.front();
  if (front.size() < ipv4::kMinHeaderSize + TcpHeader::kMinSize) return false;
  const std::byte* const p = front.data();
  constexpr std::uint8_t kUsualVersionAndLength = 0x45;
  const std::size_t total = load_be16(p + ipv4::kTotalLength);
  const std::uint16_t fragment = load_be16(p + ipv4::kFragment);
  if (load_u8(p) != kUsualVersionAndLength || load_u8(p + ipv4::kProtocol) != protocol::kTcp ||
      (fragment & ipv4::kMoreFragmentsOrOffset) != 0 || ones_sum(Bytes{p, ipv4::kMinHeaderSize}) != 0xffff)
    return false;
  const Bytes segment = front.subspan(ipv4::kMinHeaderSize);
  const std::size_t segment_size = total - ipv4::kMinHeaderSize;
  // What links wrote ahead of the slices, or read into the first of them.
  std::size_t size = front.size();
  const std::size_t first_slice = frame.header_size != 0 ? 0 : 1;
  for (std::size_t i = first_slice; i < frame.slice_count; ++i) size += frame.slices[i].size();
  if (total != size) return false;
  if (!frame.checksum_verified) {
    ChecksumAccumulator sum;
    sum.add_pseudo_header_v4(p + ipv4::kSource, protocol::kTcp, static_cast<std::uint32_t>(segment_size));
    sum.add(segment);
    for (std::size_t i = first_slice; i < frame.slice_count; ++i) sum.add(frame.slices[i].bytes());
    if (sum.finish() != 0) return false;
  }
  const std::size_t header_size = read_usual_header(segment, out.tcp);
  if (header_size == 0) return false;
  out.payload_offset = ipv4::kMinHeaderSize + header_size;
  out.payload_size = segment_size - header_size;
  IpHeader& ip = out.ip;
  ip.source = IpAddress::from_v4_octets(p + ipv4::kSource);
  ip.destination = IpAddress::from_v4_octets(p + ipv4::kDestination);
  ip.protocol = protocol::kTcp;
  ip.hop_limit = load_u8(p + ipv4::kTimeToLive);
  ip.traffic_class = load_u8(p + ipv4::kTypeOfService);
  ip.identification = load_be16(p + ipv4::kIdentification);
  ip.dont_fragment = (fragment & ipv4::kDontFragment) != 0;
  ip.flow_label = 0;
  return true;
}

std::expected<TcpPacket, ParseError> parse_tcp_packet(const ParsedIp& ip, const Frame& frame,
                                                      VerifyChecksum verify) {
  std::expected<TcpPacket, ParseError> packet;
  packet->ip = ip.header;
  if (const auto error = read_tcp_part(ip, frame, verify, *packet)) packet = std::unexpected(*error);
  return packet;
}

void emit_tcp_packet(const IpHeader& ip, const TcpHeader& tcp, Frame& frame, FillChecksum fill) {
  write_tcp_packet(ip, tcp, frame, fill);
}

}  // namespace synfin::wire
