// SPDX-License-Identifier: Apache-2.0
//
// A whole TCP packet: from a frame to header values and back.
#pragma once

#include <cstdint>
#include <expected>

#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

struct TcpPacket {
  TcpPacket() {}  // members only; to clear all of it first would take longer than to fill it
  IpHeader ip;
  TcpHeader tcp;
  std::size_t payload_offset = 0;  // in the frame
  std::size_t payload_size = 0;
};

enum class VerifyChecksum : std::uint8_t {
  kNo,
  kYes
};

/// The TCP part of a packet whose network header has been read. The checksum is verified unless `verify` is
/// kNo or the link vouched for it.
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
