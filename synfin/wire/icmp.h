// SPDX-License-Identifier: Apache-2.0
//
// ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and the errors that concern a TCP connection.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "synfin/base/bytes.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/parse_error.h"
#include "synfin/wire/seq_num.h"

namespace synfin::wire {

/// One vocabulary for both families.
enum class IcmpKind : std::uint8_t {
  kEchoRequest,
  kEchoReply,
  kNetUnreachable,       // v4 3/0, 3/5 …; v6 1/0
  kHostUnreachable,      // v4 3/1; v6 1/3
  kProtocolUnreachable,  // v4 3/2; v6 4/1
  kPortUnreachable,      // v4 3/3; v6 1/4
  kPacketTooBig,         // v4 3/4; v6 2
  kAdminProhibited,      // v4 3/9, 3/10, 3/13; v6 1/1
  kTimeExceeded,         // v4 11; v6 3
  kParameterProblem,     // v4 12; v6 4/0, 4/2
  kOther,                // read, and of no concern to TCP
};

/// The TCP segment that an ICMP error quotes.
struct QuotedSegment {
  Endpoint source;
  Endpoint destination;
  SeqNum seq;
};

struct IcmpMessage {
  IcmpKind kind = IcmpKind::kOther;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t mtu = 0;                // packet too big: the next hop's MTU, 0 if the router did not say
  std::optional<QuotedSegment> quoted;  // errors only, where the quote is TCP
};

/// Reads an ICMP message, checksum verified, that lies at `offset` in `frame`, `ip` being the packet's
/// header.
std::expected<IcmpMessage, ParseError> parse_icmp(const IpHeader& ip, const Frame& frame, std::size_t offset,
                                                  std::size_t size);

/// Turns a received echo request into its reply, copied into a frame of its own (identifier, sequence number
/// and data as they came); empty when the pool has no memory.
std::optional<Frame> make_echo_reply(const IpHeader& request, const Frame& frame, std::size_t offset,
                                     std::size_t size, BlockPool& pool);

/// An ICMP error about the packet in `offending` (as much of it as RFC 1812 §4.3.2.3 and RFC 4443 §2.4 let
/// quote): network, host, port or protocol unreachable, administratively prohibited. `source` is the sender's
/// own address. Empty when the pool has no memory or the kind is not an error that hosts send.
std::optional<Frame> make_icmp_error(IcmpKind kind, const IpAddress& source, const IpHeader& about,
                                     const Frame& offending, BlockPool& pool);

}  // namespace synfin::wire
