// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/icmp.h"

#include <algorithm>

#include "synfin/wire/checksum.h"
#include "synfin/wire/ipv6_extensions.h"

namespace synfin::wire {
namespace {

constexpr std::size_t kChecksumField = 2, kHeaderSize = 8;
constexpr std::uint8_t kEchoReplyV4 = 0, kEchoRequestV4 = 8, kEchoRequestV6 = 128, kEchoReplyV6 = 129;
constexpr std::uint8_t kUnreachableV4 = 3, kUnreachableV6 = 1, kParameterProblemV6 = 4;
constexpr std::uint8_t kFragmentationNeeded = 4, kTooBigV6 = 2;

IcmpKind unreachable_v4(std::uint8_t code) {
  switch (code) {  // RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1
    case 0:
    case 5:   // source route failed
    case 6:   // destination network unknown
    case 11:  // network unreachable for type of service
      return IcmpKind::kNetUnreachable;
    case 1:
    case 7:   // destination host unknown
    case 8:   // source host isolated
    case 12:  // host unreachable for type of service
    case 14:  // host precedence violation
    case 15:  // precedence cutoff
      return IcmpKind::kHostUnreachable;
    case 2:
      return IcmpKind::kProtocolUnreachable;
    case 3:
      return IcmpKind::kPortUnreachable;
    case kFragmentationNeeded:
      return IcmpKind::kPacketTooBig;
    case 9:
    case 10:
    case 13:
      return IcmpKind::kAdminProhibited;
    default:
      return IcmpKind::kOther;
  }
}

IcmpKind kind_v4(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case kEchoReplyV4:
      return IcmpKind::kEchoReply;
    case kEchoRequestV4:
      return IcmpKind::kEchoRequest;
    case kUnreachableV4:
      return unreachable_v4(code);
    case 11:
      return IcmpKind::kTimeExceeded;
    case 12:
      return IcmpKind::kParameterProblem;
    default:
      return IcmpKind::kOther;
  }
}

IcmpKind unreachable_v6(std::uint8_t code) {
  switch (code) {  // RFC 4443 §3.1
    case 0:
      return IcmpKind::kNetUnreachable;
    case 1:
    case 5:  // source address failed a policy
    case 6:  // reject route
      return IcmpKind::kAdminProhibited;
    case 2:  // beyond the scope of the source address
    case 3:
      return IcmpKind::kHostUnreachable;
    case 4:
      return IcmpKind::kPortUnreachable;
    default:
      return IcmpKind::kOther;
  }
}

IcmpKind kind_v6(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case kEchoReplyV6:
      return IcmpKind::kEchoReply;
    case kEchoRequestV6:
      return IcmpKind::kEchoRequest;
    case kUnreachableV6:
      return unreachable_v6(code);
    case kTooBigV6:
      return IcmpKind::kPacketTooBig;
    case 3:
      return IcmpKind::kTimeExceeded;
    case kParameterProblemV6:
      if (code == 1) return IcmpKind::kProtocolUnreachable;  // unrecognised next header
      return code == 0 || code == 2 ? IcmpKind::kParameterProblem : IcmpKind::kOther;
    default:
      return IcmpKind::kOther;
  }
}

bool is_error(IcmpKind kind) {
  switch (kind) {
    case IcmpKind::kEchoRequest:
    case IcmpKind::kEchoReply:
    case IcmpKind::kOther:
      return false;
    case IcmpKind::kNetUnreachable:
    case IcmpKind::kHostUnreachable:
    case IcmpKind::kProtocolUnreachable:
    case IcmpKind::kPortUnreachable:
    case IcmpKind::kPacketTooBig:
    case IcmpKind::kAdminProhibited:
    case IcmpKind::kTimeExceeded:
    case IcmpKind::kParameterProblem:
      return true;
  }
  return false;
}

std::uint8_t protocol_of(const IpHeader& ip) {
  return ip.source.is_v4() ? protocol::kIcmp : protocol::kIcmpV6;
}

// ICMPv6 covers the pseudo-header (RFC 4443 §2.3), ICMP does not.
ChecksumAccumulator begin_checksum(const IpHeader& ip, std::size_t size) {
  ChecksumAccumulator sum;
  if (!ip.source.is_v4()) {
    sum.add_pseudo_header(ip.source, ip.destination, protocol::kIcmpV6, static_cast<std::uint32_t>(size));
  }
  return sum;
}

using Quote = std::expected<std::optional<QuotedSegment>, ParseError>;

// RFC 792 promises 64 bits of the payload: the ports and the sequence number.
Quote quoted_tcp(const IpAddress& source, const IpAddress& destination, Bytes segment) {
  if (segment.size() < 8) return std::unexpected(ParseError::kIcmpTruncatedQuote);
  const std::byte* p = segment.data();
  return QuotedSegment{{source, load_be16(p)}, {destination, load_be16(p + 2)}, SeqNum{load_be32(p + 4)}};
}

// Routers change headers before they quote them: neither checksum nor length of the quoted packet says
// anything.
Quote read_quote_v4(Bytes quote) {
  if (quote.size() < 20) return std::unexpected(ParseError::kIcmpTruncatedQuote);
  const std::byte* p = quote.data();
  const std::size_t header_size = std::size_t{load_u8(p)} % 16 * 4;
  constexpr std::uint16_t kFragmentOffset = 0x1fff;
  if (load_u8(p) >> 4 != 4 || header_size < 20 || load_u8(p + 9) != protocol::kTcp ||
      (load_be16(p + 6) & kFragmentOffset) != 0) {
    return std::nullopt;
  }
  if (header_size > quote.size()) return std::unexpected(ParseError::kIcmpTruncatedQuote);
  return quoted_tcp(IpAddress::from_v4_octets(p + 12), IpAddress::from_v4_octets(p + 16),
                    quote.subspan(header_size));
}

Quote read_quote_v6(Bytes quote) {
  if (quote.size() < ipv6::kHeaderSize) return std::unexpected(ParseError::kIcmpTruncatedQuote);
  const std::byte* p = quote.data();
  const IpAddress source = IpAddress::from_v6_octets(p + ipv6::kSource);
  const IpAddress destination = IpAddress::from_v6_octets(p + ipv6::kDestination);
  if (load_u8(p) >> 4 != 6 || source.is_v4() || destination.is_v4()) return std::nullopt;
  const auto payload = walk_ipv6_extensions(quote);
  if (!payload) {
    if (payload.error() == ParseError::kIpExtensionHeader)
      return std::unexpected(ParseError::kIcmpTruncatedQuote);
    return std::nullopt;  // a fragment, or on its way along a source route: nothing that was sent here
  }
  if (payload->protocol != protocol::kTcp) return std::nullopt;
  return quoted_tcp(source, destination, quote.subspan(payload->offset));
}

// Type, code and the octet `pointer` of a parameter problem.
struct ErrorCode {
  std::uint8_t type;
  std::uint8_t code;
  std::uint32_t pointer = 0;
};

std::optional<ErrorCode> error_code_v4(IcmpKind kind) {
  switch (kind) {
    case IcmpKind::kNetUnreachable:
      return ErrorCode{kUnreachableV4, 0};
    case IcmpKind::kHostUnreachable:
      return ErrorCode{kUnreachableV4, 1};
    case IcmpKind::kProtocolUnreachable:
      return ErrorCode{kUnreachableV4, 2};
    case IcmpKind::kPortUnreachable:
      return ErrorCode{kUnreachableV4, 3};
    case IcmpKind::kAdminProhibited:
      return ErrorCode{kUnreachableV4, 10};  // the host is prohibited
    case IcmpKind::kEchoRequest:
    case IcmpKind::kEchoReply:
    case IcmpKind::kPacketTooBig:
    case IcmpKind::kTimeExceeded:
    case IcmpKind::kParameterProblem:
    case IcmpKind::kOther:
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<ErrorCode> error_code_v6(IcmpKind kind, Bytes offending) {
  switch (kind) {
    case IcmpKind::kNetUnreachable:
      return ErrorCode{kUnreachableV6, 0};
    case IcmpKind::kHostUnreachable:
      return ErrorCode{kUnreachableV6, 3};
    case IcmpKind::kProtocolUnreachable: {
      const auto payload = walk_ipv6_extensions(offending);
      if (!payload) return std::nullopt;
      return ErrorCode{kParameterProblemV6, 1, static_cast<std::uint32_t>(payload->next_header_field)};
    }
    case IcmpKind::kPortUnreachable:
      return ErrorCode{kUnreachableV6, 4};
    case IcmpKind::kAdminProhibited:
      return ErrorCode{kUnreachableV6, 1};
    case IcmpKind::kEchoRequest:
    case IcmpKind::kEchoReply:
    case IcmpKind::kPacketTooBig:
    case IcmpKind::kTimeExceeded:
    case IcmpKind::kParameterProblem:
    case IcmpKind::kOther:
      return std::nullopt;
  }
  return std::nullopt;
}

bool is_unicast(const IpAddress& a) {
  return !a.is_unspecified() && !a.is_multicast() && !a.is_limited_broadcast();
}

// RFC 1122 §3.2.2, RFC 4443 §2.4 (e): no error about what was not sent by one host to one host, nor about
// ICMP.
bool may_be_answered_with_error(const IpHeader& about) {
  return is_unicast(about.source) && !about.source.is_loopback() && is_unicast(about.destination) &&
         about.protocol != protocol_of(about);
}

// How much of the offending packet fits: 576 octets in all (RFC 1812 §4.3.2.3), 1280 for IPv6 (RFC 4443 §2.4
// (c)).
std::size_t quote_limit(const IpHeader& ip) {
  return (ip.source.is_v4() ? 576U : 1280U) - emitted_size(ip) - kHeaderSize;
}

// `message`: an ICMP message of `size` octets at the beginning of a block, its checksum field 0.
Frame finish_message(const IpHeader& ip, Block* block, std::uint32_t size) {
  block->used = size;
  ChecksumAccumulator sum = begin_checksum(ip, size);
  sum.add({block->data, size});
  store_be16(block->data + kChecksumField, sum.finish());

  Frame frame;
  frame.header_size = static_cast<std::uint16_t>(emit_ip(ip, size, frame.header));
  frame.add(Slice{block, 0, size});
  return frame;
}

}  // namespace

std::expected<IcmpMessage, ParseError> parse_icmp(const IpHeader& ip, const Frame& frame, std::size_t offset,
                                                  std::size_t size) {
  if (size < kHeaderSize || frame.size() < offset + size) return std::unexpected(ParseError::kIcmpTooShort);
  ChecksumAccumulator sum = begin_checksum(ip, size);
  sum.add_frame(frame, offset, size);
  if (sum.finish() != 0) return std::unexpected(ParseError::kIcmpBadChecksum);

  // The message may lie in pieces. What is read of it is at most: its header, an IPv6 header with as many
  // extension headers as are walked, ports and sequence number.
  std::array<std::byte, kHeaderSize + ipv6::kHeaderSize + 256 + 8> buffer;
  const MutableBytes message{buffer.data(), std::min(size, buffer.size())};
  frame.copy_out(offset, message);

  const bool v4 = ip.source.is_v4();
  const std::byte* p = message.data();
  IcmpMessage out{.type = load_u8(p), .code = load_u8(p + 1)};
  out.kind = v4 ? kind_v4(out.type, out.code) : kind_v6(out.type, out.code);
  if (out.kind == IcmpKind::kPacketTooBig) out.mtu = v4 ? load_be16(p + 6) : load_be32(p + 4);
  if (is_error(out.kind)) {
    const Bytes quote = Bytes{message}.subspan(kHeaderSize);
    const Quote quoted = v4 ? read_quote_v4(quote) : read_quote_v6(quote);
    if (!quoted) return std::unexpected(quoted.error());
    out.quoted = *quoted;
  }
  return out;
}

std::optional<Frame> make_echo_reply(const IpHeader& request, const Frame& frame, std::size_t offset,
                                     std::size_t size, BlockPool& pool) {
  if (size < kHeaderSize || size > BlockPool::kLarge || frame.size() < offset + size) return std::nullopt;
  // The reply's source is the request's destination, which must be an address that can send.
  if (!is_unicast(request.source) || !is_unicast(request.destination)) return std::nullopt;
  Block* const block = pool.allocate(static_cast<std::uint32_t>(size));
  if (block == nullptr) return std::nullopt;
  frame.copy_out(offset, {block->data, size});
  store_u8(block->data, request.source.is_v4() ? kEchoReplyV4 : kEchoReplyV6);
  store_be16(block->data + kChecksumField, 0);
  return finish_message({.source = request.destination,
                         .destination = request.source,
                         .protocol = protocol_of(request),
                         .traffic_class = request.traffic_class},
                        block, static_cast<std::uint32_t>(size));
}

std::optional<Frame> make_icmp_error(IcmpKind kind, const IpAddress& source, const IpHeader& about,
                                     const Frame& offending, BlockPool& pool) {
  if (!may_be_answered_with_error(about) || source.family() != about.source.family()) return std::nullopt;
  const auto parsed = parse_ip(offending.front(), offending.size());
  if (!parsed) return std::nullopt;
  const auto error = source.is_v4() ? error_code_v4(kind) : error_code_v6(kind, offending.front());
  if (!error) return std::nullopt;

  const IpHeader ip{.source = source, .destination = about.source, .protocol = protocol_of(about)};
  const std::size_t quote = std::min(parsed->header_size + parsed->payload_size, quote_limit(ip));
  const auto size = static_cast<std::uint32_t>(kHeaderSize + quote);
  Block* const block = pool.allocate(size);
  if (block == nullptr) return std::nullopt;
  store_u8(block->data, error->type);
  store_u8(block->data + 1, error->code);
  store_be16(block->data + kChecksumField, 0);
  store_be32(block->data + 4, error->pointer);
  offending.copy_out(0, {block->data + kHeaderSize, quote});
  return finish_message(ip, block, size);
}

}  // namespace synfin::wire
