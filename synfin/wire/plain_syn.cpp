// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/plain_syn.h"

#include <cstring>

#include "synfin/wire/ip.h"
#include "synfin/wire/ipv4_fields.h"
#include "synfin/wire/ipv6_extensions.h"
#include "synfin/wire/tcp_options.h"
#include "synfin/wire/usual_syn.h"

namespace synfin::wire {
namespace {

constexpr std::size_t kIpv4Size = ipv4::kMinHeaderSize;

// The one's complement sum of a header, in the processor's own order (RFC 1071 §2 (B)), as far as it matters:
// whether it is right. As `ChecksumAccumulator` has it, without a loop over sizes that are known.
class Sum {
 public:
  Sum() = default;
  explicit Sum(std::uint64_t sum) : sum_(sum) {}
  void add(std::uint64_t word) {
    sum_ += word;
    sum_ += sum_ < word ? 1 : 0;
  }
  template <class Word>
  void add(const std::byte* p) {
    Word word;
    std::memcpy(&word, p, sizeof word);
    add(word);
  }
  // Whole 32-bit words.
  void add_all(const std::byte* p, std::size_t size) {
    for (; size >= 8; p += 8, size -= 8) add<std::uint64_t>(p);
    if (size != 0) add<std::uint32_t>(p);
  }
  std::uint64_t value() const { return sum_; }
  // All words of data and their checksum give all ones, and only nothing but zeros gives zero, which no
  // header is.
  bool right() const { return sum_ % 0xffff == 0; }

 private:
  std::uint64_t sum_ = 0;
};

inline bool right_ipv4_header(const std::byte* p) {
  Sum sum;
  sum.add<std::uint64_t>(p);
  sum.add<std::uint64_t>(p + 8);
  sum.add<std::uint32_t>(p + 16);
  return sum.right();
}

// What the TCP checksum is over besides addresses and segment.
std::uint64_t rest_of_pseudo_header(std::size_t segment_size) {
  return swap_if_little(static_cast<std::uint32_t>(segment_size + protocol::kTcp));
}

// The packet, if it lies whole in the first slice and is not to be cut or summed; else nothing.
inline Bytes whole_packet(const Frame& frame) {
  if (frame.header_size != 0 || frame.slice_count != 1 || frame.segment_size != 0 || frame.needs_checksum)
    return {};
  return frame.slices[0].bytes();
}

// The network header; its size, or 0.
std::size_t read_ip(const std::byte* p, std::size_t size, PlainSyn& out) {
  constexpr std::uint8_t kIpv4WithoutOptions = 0x45;
  if (load_u8(p) == kIpv4WithoutOptions) {
    // All of the packet is the segment, without padding.
    if (load_be16(p + 2) != size || (load_be16(p + ipv4::kFragment) & ipv4::kMoreFragmentsOrOffset) != 0 ||
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
  const Bytes packet = whole_packet(frame);
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
    Sum sum{rest_of_pseudo_header(size)};
    // Both addresses are the end of the network header.
    const std::size_t addresses = ip_size == kIpv4Size ? 8 : 32;
    sum.add_all(p - addresses, addresses + size);
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

std::size_t find_timestamps(const std::byte* options, std::size_t size) {
  constexpr std::uint8_t kEnd = 0, kNop = 1, kTimestamps = 8;
  std::size_t found = 0;
  for (std::size_t at = 0; at < size;) {
    const std::uint8_t kind = load_u8(options + at);
    if (kind == kEnd) break;
    if (kind == kTimestamps) {
      if (found != 0) return 0;
      found = at + 2;
    }
    at += kind == kNop ? 1 : load_u8(options + at + 1);
  }
  return found;
}

namespace {

// As many octets as are compared at a time.
using Piece = std::uint64_t __attribute__((vector_size(16)));

Piece piece(const std::byte* p) {
  Piece v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

void SynPattern::learn(const Frame& frame, const PlainSyn& syn) {
  const Bytes packet = whole_packet(frame);
  size_ = 0;
  const bool v4 = syn.tuple.local.address.is_v4();
  ip_size_ = v4 ? kIpv4Size : ipv6::kHeaderSize;
  timestamps_at_ = 0;
  if (syn.options.has(TcpOptions::kTimestamps)) {
    const std::size_t options = ip_size_ + TcpHeader::kMinSize;
    const std::size_t at = find_timestamps(packet.data() + options, packet.size() - options);
    // Where each 16-bit word of a sum has a word of its own; nobody would lay them out otherwise.
    if (at == 0 || at % 2 != 0) return;
    timestamps_at_ = options + at;
  }
  std::memset(mask_.data(), 0xff, packet.size());
  const auto any = [this](std::size_t at, std::size_t count) { std::memset(mask_.data() + at, 0, count); };
  if (v4) {
    any(ipv4::kIdentification, 2);
    any(ipv4::kTimeToLive, 1);
    any(ipv4::kChecksum, 2);
    any(ipv4::kSource, 4);
  } else {
    mask_[1] = std::byte{0xf0};  // behind four bits of the traffic class the flow label begins
    any(2, 2);
    any(ipv6::kHopLimit, 1);
    any(ipv6::kSource, 16);
  }
  any(ip_size_, 2);       // source port
  any(ip_size_ + 4, 8);   // sequence and acknowledgment
  any(ip_size_ + 14, 6);  // window, checksum, urgent pointer
  if (timestamps_at_ != 0) any(timestamps_at_, 8);
  for (std::size_t i = 0; i < packet.size(); ++i) model_[i] = packet[i] & mask_[i];
  const std::size_t destination = v4 ? ipv4::kDestination : ipv6::kDestination;
  const std::size_t options = ip_size_ + TcpHeader::kMinSize;
  Sum sum{rest_of_pseudo_header(packet.size() - ip_size_)};
  sum.add_all(&model_[destination], ip_size_ - destination);
  sum.add_all(model_.data() + options, packet.size() - options);
  sum_ = sum.value();
  size_ = packet.size();
}

bool SynPattern::read(const Frame& frame, Endpoint& remote, SeqNum& seq, std::uint32_t& clock) const {
  const Bytes packet = whole_packet(frame);
  if (packet.size() != size_ || size_ == 0) return false;
  const std::byte* const p = packet.data();
  // The last piece ends with the packet, whatever of it was compared before.
  std::size_t at = size_ - sizeof(Piece);
  Piece other = (piece(p + at) ^ piece(&model_[at])) & piece(&mask_[at]);
  do {
    at = at > sizeof(Piece) ? at - sizeof(Piece) : 0;
    other |= (piece(p + at) ^ piece(&model_[at])) & piece(&mask_[at]);
  } while (at != 0);
  if ((other[0] | other[1]) != 0) return false;
  Sum sum{sum_};
  const std::byte* const tcp = p + ip_size_;
  if (ip_size_ == kIpv4Size) {
    if (!right_ipv4_header(p)) return false;
    sum.add<std::uint32_t>(p + ipv4::kSource);
    remote.address = IpAddress::from_v4_octets(p + ipv4::kSource);
  } else {
    sum.add<std::uint64_t>(p + ipv6::kSource);
    sum.add<std::uint64_t>(p + ipv6::kSource + 8);
    remote.address = IpAddress::from_v6_octets(p + ipv6::kSource);
    if (remote.address.is_v4()) return false;
  }
  sum.add<std::uint64_t>(tcp);
  sum.add<std::uint64_t>(tcp + 8);
  sum.add<std::uint32_t>(tcp + 16);
  clock = 0;
  if (timestamps_at_ != 0) {
    sum.add<std::uint64_t>(p + timestamps_at_);
    clock = load_be32(p + timestamps_at_);
  }
  remote.port = load_be16(tcp);
  seq = SeqNum{load_be32(tcp + 4)};
  return frame.checksum_verified || sum.right();
}

}  // namespace synfin::wire
