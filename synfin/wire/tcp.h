// SPDX-License-Identifier: Apache-2.0
//
// The TCP header and its options (RFC 9293 §3.1, RFC 7323, RFC 2018, RFC 7413). Parsing makes no judgement as
// to content: it says what the bytes mean or why they cannot be read.
#pragma once

#include <array>
#include <cstdint>
#include <expected>

#include "synfin/base/bytes.h"
#include "synfin/wire/parse_error.h"
#include "synfin/wire/seq_num.h"

namespace synfin::wire {

/// The control bits of RFC 9293 §3.1 as they lie in the header; the AE bit is among the reserved ones (see
/// `TcpHeader::ae`).
class Flags {
 public:
  static constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20,
                                kEce = 0x40, kCwr = 0x80;
  constexpr Flags() = default;
  constexpr Flags(std::uint8_t bits) : bits_(bits) {}  // implicit: Flags::kSyn | Flags::kAck reads as such
  constexpr std::uint8_t bits() const { return bits_; }
  constexpr bool fin() const { return (bits_ & kFin) != 0; }
  constexpr bool syn() const { return (bits_ & kSyn) != 0; }
  constexpr bool rst() const { return (bits_ & kRst) != 0; }
  constexpr bool psh() const { return (bits_ & kPsh) != 0; }
  constexpr bool ack() const { return (bits_ & kAck) != 0; }
  constexpr bool urg() const { return (bits_ & kUrg) != 0; }
  constexpr bool ece() const { return (bits_ & kEce) != 0; }
  constexpr bool cwr() const { return (bits_ & kCwr) != 0; }
  constexpr Flags with(std::uint8_t more) const { return Flags{static_cast<std::uint8_t>(bits_ | more)}; }
  friend constexpr bool operator==(Flags, Flags) = default;

 private:
  std::uint8_t bits_ = 0;
};

/// [left, right): octets that arrived out of order (RFC 2018 §3).
struct SackBlock {
  SeqNum left, right;
  friend constexpr bool operator==(SackBlock, SackBlock) = default;
};

struct Timestamps {
  std::uint32_t value = 0;  // TSval
  std::uint32_t echo = 0;   // TSecr
  friend constexpr bool operator==(Timestamps, Timestamps) = default;
};

/// An AccECN option (RFC 9768 §3.2.3): octets that arrived with each congestion codepoint, modulo 2^24. A
/// short option leaves out the last fields of its order.
struct EcnOctets {
  static constexpr std::uint8_t kMostFields = 3;
  std::uint8_t fields = 0;       // so many are there: of ECT(0), CE, ECT(1), or from the other end
  bool reversed = false;         // ECT(1), CE, ECT(0): kind 174, not 172
  std::uint32_t ect0, ce, ect1;  // those that are not there mean nothing

  bool has_ect0() const { return fields > (reversed ? 2 : 0); }
  bool has_ce() const { return fields > 1; }
  bool has_ect1() const { return fields > (reversed ? 0 : 2); }
  /// Octets in a header, padded to whole words; one field takes as much room as two.
  std::uint32_t padded_size() const { return fields == 0 ? 4u : fields < kMostFields ? 8u : 12u; }
  friend bool operator==(const EcnOctets& a, const EcnOctets& b);
};

/// The options of one segment. A field counts only where its bit is set in `present`.
struct TcpOptions {
  enum : std::uint16_t {
    kMss = 1,
    kWindowScale = 2,
    kSackPermitted = 4,
    kSack = 8,
    kTimestamps = 16,
    kFastOpen = 32,
    kMd5 = 64,              // RFC 2385: recognised, skipped
    kAuthentication = 128,  // RFC 5925: recognised, skipped
    kUserTimeout = 256,     // RFC 5482
    kEcnOctets = 512,       // RFC 9768, of either kind
  };
  static constexpr std::size_t kMaxSack = 4;
  static constexpr std::size_t kMaxCookie = 16;

  std::uint16_t present = 0;
  std::uint16_t user_timeout = 0;  // as on the wire: the highest bit says minutes, else seconds
  std::uint8_t window_scale = 0;   // as on the wire, may exceed 14
  std::uint16_t mss = 0;
  Timestamps timestamps;
  std::uint8_t sack_count = 0;
  std::uint8_t cookie_size = 0;  // 0: a request for a cookie
  std::array<SackBlock, kMaxSack> sack;
  std::array<std::byte, kMaxCookie> cookie;
  EcnOctets ecn;

  bool has(std::uint16_t bit) const { return (present & bit) != 0; }
  /// Compares only what is present.
  friend bool operator==(const TcpOptions& a, const TcpOptions& b);
};

struct TcpHeader {
  static constexpr std::size_t kMinSize = 20;
  static constexpr std::size_t kMaxSize = 60;

  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  SeqNum seq;
  SeqNum ack;  // means something only with ACK set
  Flags flags;
  // The four bits behind the data offset: kAe, and three that are kept so that parse and emit are inverse.
  std::uint8_t reserved = 0;
  WireWindow window;
  std::uint16_t urgent_pointer = 0;
  TcpOptions options;

  /// Accurate ECN, once the nonce sum (RFC 9768 §3.1.1); in `reserved`.
  static constexpr std::uint8_t kAe = 1;
  bool ae() const { return (reserved & kAe) != 0; }
  /// AE, CWR and ECE as one number from 0 to 7: a question or an answer on a SYN, on other segments of an
  /// AccECN connection the ACE field (RFC 9768 §3.2.2).
  std::uint8_t ace() const {
    return static_cast<std::uint8_t>((ae() ? 4u : 0u) | (flags.cwr() ? 2u : 0u) | (flags.ece() ? 1u : 0u));
  }
  /// Only sets: where none of the three bits is set yet.
  void set_ace(std::uint8_t ace) {
    if ((ace & 4u) != 0) reserved |= kAe;
    flags = flags.with(
        static_cast<std::uint8_t>(((ace & 2u) != 0 ? Flags::kCwr : 0) | ((ace & 1u) != 0 ? Flags::kEce : 0)));
  }

  friend bool operator==(const TcpHeader&, const TcpHeader&) = default;
};

struct ParsedTcp {
  TcpHeader header;
  std::size_t header_size = 0;  // where the payload begins
};

/// Reads a TCP header from `bytes`: the contiguous front part of a segment that is `segment_size` octets long
/// in all. Options: unknown kinds are skipped by their length; END ends; a length of 0 or 1 or past the
/// header is an error; a known kind with a wrong length is an error named after it. The checksum is not
/// looked at. An AccECN option may have any length (RFC 9768 §3.2.3): as many fields count as it holds whole.
std::expected<ParsedTcp, ParseError> parse_tcp(Bytes bytes, std::size_t segment_size);

/// Octets that `emit_tcp` writes: 20 to 60, a multiple of 4. Options that do not fit in 40 octets lose their
/// last SACK blocks, and an AccECN option that has no room beside the others is left out.
std::size_t emitted_size(const TcpHeader& header);

/// Writes header and options, in Linux's order (MSS, SACK-permitted and timestamps, NOP window scale, …),
/// checksum field 0. Returns the size.
std::size_t emit_tcp(const TcpHeader& header, MutableBytes out);

}  // namespace synfin::wire
