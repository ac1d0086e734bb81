// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::wire {

/// Why bytes cannot be read as a packet. Each has a `trace::Reason` of the same name.
enum class ParseError : std::uint8_t {
  kIpTooShort,          // fewer octets than the smallest IP header
  kIpBadVersion,        // neither 4 nor 6; or 6 with IPv4-mapped addresses, which never belong on a wire
  kIpHeaderLength,      // IHL under 5, or past the packet; or an IPv4 option past the header
  kIpTotalLength,       // total or payload length under the headers or over what arrived
  kIpBadChecksum,       // IPv4 header checksum
  kIpExtensionHeader,   // an IPv6 extension header runs past the packet, is one too many, or must be
                        // understood
  kIpFragment,          // a fragment: TCP's data is never fragmented by its sender (RFC 9293 §3.7.1)
  kIpSourceRoute,       // an IPv4 source route, or an IPv6 routing header still to be followed
  kTcpTooShort,         // fewer than 20 octets
  kTcpDataOffset,       // data offset under 5 or past the segment
  kTcpOptionLength,     // an option with length 0 or 1, or past the header
  kTcpOptionMalformed,  // a known option with a length it cannot have
  kTcpBadChecksum,
  kIcmpTooShort,
  kIcmpBadChecksum,
  kIcmpTruncatedQuote,  // an ICMP error that quotes less than the ports and sequence number
};

}  // namespace synfin::wire
