// SPDX-License-Identifier: Apache-2.0
//
// A whole TCP packet: from a frame to header values and back.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// What lies behind the network header.
struct TcpPart {
  TcpPart() {}  // members only; to clear all of it first would take longer than to fill it
  TcpHeader tcp;
  std::size_t payload_offset = 0;  // in the frame
  std::size_t payload_size = 0;
};

struct TcpPacket : TcpPart {
  IpHeader ip;
};

/// A TCP packet as nearly all are: IPv4 without options, all of the frame, with no TCP options, timestamps, or
/// those of a usual SYN, and both checksums right. False: it is something else, and `parse_ip` and
/// `read_tcp_part` say what; where it is true, they would say the same. `out` is as newly constructed, and but
/// for its addresses and numbers still is where it is false.
bool read_usual_packet(const Frame& frame, TcpPacket& out);

enum class VerifyChecksum : std::uint8_t {
  kNo,
  kYes
};

/// The TCP part of a packet whose network header has been read, filled in where it lies: to move it would
/// wait for its fields to be stored. The checksum is verified unless `verify` is kNo or the link vouched for
/// it.
std::optional<ParseError> read_tcp_part(const ParsedIp& ip, const Frame& frame, VerifyChecksum verify,
                                        TcpPart& out);
/// The same with the network header.
std::expected<TcpPacket, ParseError> parse_tcp_packet(const ParsedIp& ip, const Frame& frame,
                                                      VerifyChecksum verify);

enum class FillChecksum : std::uint8_t {
  kPseudoHeaderOnly,
  kYes
};

/// Writes the IP and TCP headers of a segment into `frame.header`; the payload is what lies in
/// `frame.slices`. kPseudoHeaderOnly leaves the sum to the link (`frame.needs_checksum` is set).
void emit_tcp_packet(const IpHeader& ip, const TcpHeader& tcp, Frame& frame, FillChecksum fill);

}  // namespace synfin::wire
