// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/tcp.h"

#include <algorithm>
#include <cassert>

#include "synfin/wire/tcp_options.h"
#include "synfin/wire/tcp_writer.h"
#include "synfin/wire/usual_syn.h"

namespace synfin::wire {
namespace {

// Where the fields lie (RFC 9293 §3.1).
constexpr std::size_t kSourcePort = 0, kDestinationPort = 2, kSequence = 4, kAcknowledgment = 8,
                      kDataOffset = 12, kFlags = 13, kWindow = 14, kUrgentPointer = 18;

constexpr std::size_t kAlignedTimestampsSize = 12;

// False, and nothing changed, where the options are others.
bool read_usual_options(Bytes options, TcpOptions& o) {
  if (options.empty()) return true;
  const std::byte* p = options.data();
  if (options.size() != kAlignedTimestampsSize) return read_usual_syn(options, o);
  if (load_be32(p) != kAlignedTimestamps) return false;
  o.present = TcpOptions::kTimestamps;
  o.timestamps = {.value = load_be32(p + 4), .echo = load_be32(p + 8)};
  return true;
}

void read_fixed(const std::byte* p, TcpHeader& h) {
  h.source_port = load_be16(p + kSourcePort);
  h.destination_port = load_be16(p + kDestinationPort);
  h.seq = SeqNum{load_be32(p + kSequence)};
  h.ack = SeqNum{load_be32(p + kAcknowledgment)};
  h.flags = Flags{load_u8(p + kFlags)};
  h.reserved = load_u8(p + kDataOffset) & 0x0f;
  h.window = {load_be16(p + kWindow)};
  h.urgent_pointer = load_be16(p + kUrgentPointer);
}

}  // namespace

std::expected<std::size_t, ParseError> parse_tcp_into(Bytes bytes, std::size_t segment_size, TcpHeader& h) {
  const std::size_t available = std::min(bytes.size(), segment_size);
  if (available < TcpHeader::kMinSize) return std::unexpected(ParseError::kTcpTooShort);
  const std::byte* p = bytes.data();
  const std::size_t header_size = std::size_t{load_u8(p + kDataOffset)} / 16 * 4;
  if (header_size < TcpHeader::kMinSize || header_size > available) {
    return std::unexpected(ParseError::kTcpDataOffset);
  }

  read_fixed(p, h);
  const Bytes options = bytes.subspan(TcpHeader::kMinSize, header_size - TcpHeader::kMinSize);
  if (!read_usual_options(options, h.options)) {
    if (const auto read = parse_tcp_options(options, h.options); !read) return std::unexpected(read.error());
  }
  return header_size;
}

std::size_t read_usual_header(Bytes segment, TcpHeader& h) {
  assert(segment.size() >= TcpHeader::kMinSize);
  const std::size_t header_size = std::size_t{load_u8(segment.data() + kDataOffset)} / 16 * 4;
  if (header_size < TcpHeader::kMinSize || header_size > segment.size()) return 0;
  if (!read_usual_options(segment.first(header_size).subspan(TcpHeader::kMinSize), h.options)) return 0;
  read_fixed(segment.data(), h);
  return header_size;
}

std::expected<ParsedTcp, ParseError> parse_tcp(Bytes bytes, std::size_t segment_size) {
  std::expected<ParsedTcp, ParseError> result;
  const auto size = parse_tcp_into(bytes, segment_size, result->header);
  if (!size) return std::unexpected(size.error());
  result->header_size = *size;
  return result;
}

std::size_t emitted_size(const TcpHeader& header) {
  return TcpHeader::kMinSize + emitted_options_size(header.options);
}

std::size_t emit_tcp(const TcpHeader& header, MutableBytes out) {
  assert(out.size() >= emitted_size(header));
  return write_tcp(header, out.data()).size;
}

}  // namespace synfin::wire
