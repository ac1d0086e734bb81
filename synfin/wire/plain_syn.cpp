// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/plain_syn.h"

#include <cstring>

#include "synfin/wire/ip.h"
#include "synfin/wire/ipv6_extensions.h"
#include "synfin/wire/tcp_options.h"
#include "synfin/wire/usual_syn.h"

namespace synfin::wire {
namespace {

constexpr std::size_t kIpv4Size = 20;

// The one's complement sum of a header, in the processor's own order (RFC 1071 §2 (B)), as far as it matters:
// whether it is right. As `ChecksumAccumulator` has it, without a loop over sizes that are known.
class Sum {
 public:
  template <class Word>
  void add(const std::byte* p) {
    Word word;
    std::memcpy(&word, p, sizeof word);
    sum_ += word;
  }
  // Whole 32-bit words.
  void add_all(const std::byte* p, std::size_t size) {
    for (; size >= 8; p += 8, size -= 8) add<std::uint64_t>(p);
    if (size != 0) add<std::uint32_t>(p);
  }
  void add(std::uint64_t more) { sum_ += more; }
  // All words of data and their checksum give all ones, and only nothing but zeros gives zero.
  bool right() const {
    const auto low = static_cast<std::uint64_t>(sum_), high = static_cast<std::uint64_t>(sum_ >> 64);
    // Above the low 64 bits there are but a few carries.
    std::uint64_t sum = (low >> 32) + (low & 0xffff'ffff) + high;
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return sum == 0xffff;
  }

 private:
  __extension__ using Wide = unsigned __int128;
  Wide sum_ = 0;
};

bool right_ipv4_header(const std::byte* p) {
  Sum sum;
  sum.add_all(p, kIpv4Size);
  return sum.right();
}

// The network header; its size, or 0.
std::size_t read_ip(const std::byte* p, std::size_t size, PlainSyn& out) {
  constexpr std::uint8_t kIpv4WithoutOptions = 0x45;
  constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
  if (load_u8(p) == kIpv4WithoutOptions) {
    // All of the packet is the segment, without padding.
    if (load_be16(p + 2) != size || (load_be16(p + 6) & kMoreFragmentsOrOffset) != 0 ||
        load_u8(p + 9) != protocol::kTcp || !right_ipv4_header(p))
      return 0;
    out.ecn = load_u8(p + 1) & ecn::kMask;
    out.tuple.remote.address = IpAddress::from_v4_octets(p + 12);
    out.tuple.local.address = IpAddress::from_v4_octets(p + 16);
    return kIpv4Size;
  }
  if (load_u8(p) >> 4 != 6 || size < ipv6::kHeaderSize ||
      ipv6::kHeaderSize + load_be16(p + ipv6::kPayloadLength) != size ||
      load_u8(p + ipv6::kNextHeaderField) != protocol::kTcp)
    return 0;
  out.ecn = static_cast<std::uint8_t>(load_be16(p) >> 4) & ecn::kMask;
  out.tuple.remote.address = IpAddress::from_v6_octets(p + ipv6::kSource);
  out.tuple.local.address = IpAddress::from_v6_octets(p + ipv6::kDestination);
  if (out.tuple.remote.address.is_v4() || out.tuple.local.address.is_v4()) return 0;
  return ipv6::kHeaderSize;
}

}  // namespace

bool read_plain_syn(const Frame& frame, PlainSyn& out) {
  if (frame.header_size != 0 || frame.slice_count != 1 || frame.segment_size != 0 || frame.needs_checksum)
    return false;
  const Bytes packet = frame.slices[0].bytes();
  if (packet.size() < kIpv4Size + TcpHeader::kMinSize) return false;
  const std::byte* p = packet.data();
  const std::size_t ip_size = read_ip(p, packet.size(), out);
  if (ip_size == 0 || packet.size() < ip_size + TcpHeader::kMinSize) return false;
  p += ip_size;
  const std::size_t size = packet.size() - ip_size;
  // The header's size in words, no reserved bit, SYN alone: so there is no text either.
  if (load_be16(p + 12) != (size / 4 << 12 | Flags::kSyn) || size % 4 != 0 || size > TcpHeader::kMaxSize)
    return false;
  if (!frame.checksum_verified) {
    Sum sum;
    // Both addresses are the end of the network header.
    const std::size_t addresses = ip_size == kIpv4Size ? 8 : 32;
    sum.add_all(p - addresses, addresses);
    sum.add(swap_if_little(static_cast<std::uint32_t>(size + protocol::kTcp)));
    sum.add_all(p, size);
    if (!sum.right()) return false;
  }
  out.tuple.remote.port = load_be16(p);
  out.tuple.local.port = load_be16(p + 2);
  out.seq = SeqNum{load_be32(p + 4)};
  out.options.present = 0;
  const Bytes options{p + TcpHeader::kMinSize, size - TcpHeader::kMinSize};
  if (read_usual_syn(options, out.options)) return true;
  constexpr int kPlain =
      TcpOptions::kMss | TcpOptions::kWindowScale | TcpOptions::kSackPermitted | TcpOptions::kTimestamps;
  return parse_tcp_options(options, out.options) && (out.options.present & ~kPlain) == 0;
}

}  // namespace synfin::wire
