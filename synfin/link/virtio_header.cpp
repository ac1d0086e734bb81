// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/virtio_header.h"

#include <bit>
#include <cstring>

#include "synfin/wire/checksum.h"
#include "synfin/wire/ip.h"

namespace synfin::link {
namespace {

// linux/virtio_net.h has names in it that C++ does not allow.
struct Fields {
  std::uint8_t flags = 0;
  std::uint8_t division = 0;
  std::uint16_t header_size = 0;
  std::uint16_t segment_size = 0;
  std::uint16_t sum_start = 0;
  std::uint16_t sum_field = 0;  // from there
};
static_assert(sizeof(Fields) == kVirtioHeaderSize);
constexpr std::uint8_t kNeedsChecksum = 1, kDataValid = 2;                               // flags
constexpr std::uint8_t kUndivided = 0, kDividedV4 = 1, kDividedV6 = 4, kWithCwr = 0x80;  // division

constexpr std::size_t kTcpChecksumField = 16;
constexpr std::size_t kTcpHeaderSize = 20;

// Where the TCP header lies in a packet, and over which network.
struct TcpPlace {
  std::size_t offset;
  bool v6;
};

// None: it is no TCP, or its headers are not all in `front`. Without IPv6 extensions it takes a few
// instructions: it is asked of every packet.
std::optional<TcpPlace> find_tcp(Bytes front, std::size_t packet_size) {
  constexpr std::size_t kLeastV4 = 20, kFixedV6 = 40;
  if (front.size() < kLeastV4 + kTcpHeaderSize) return std::nullopt;
  const unsigned first = load_u8(front.data());
  std::optional<TcpPlace> place;
  if (first >> 4 == 4) {
    constexpr std::size_t kFragment = 6, kProtocol = 9;
    constexpr unsigned kFragmentOffset = 0x1fff;
    const std::size_t size = std::size_t{first & 15U} * 4;
    if (size < kLeastV4 || load_u8(front.data() + kProtocol) != wire::protocol::kTcp ||
        (load_be16(front.data() + kFragment) & kFragmentOffset) != 0) {
      return std::nullopt;
    }
    place = {size, false};
  } else if (first >> 4 == 6) {
    constexpr std::size_t kNextHeader = 6;
    if (load_u8(front.data() + kNextHeader) == wire::protocol::kTcp) {
      place = {kFixedV6, true};
    } else if (const auto ip = wire::parse_ip(front, packet_size);
               ip && ip->header.protocol == wire::protocol::kTcp) {
      place = {ip->header_size, true};
    }
  }
  if (!place || front.size() < place->offset + kTcpHeaderSize) return std::nullopt;
  return place;
}

// The checksum of what is not TCP, a datagram say, goes where the header says; what it is over begins at
// `start`.
bool fill_checksum(wire::Frame& frame, std::size_t start, std::size_t field) {
  const std::size_t size = frame.size(), front = frame.front().size();
  if (field < start || field + 2 > front || start > size) return false;
  wire::ChecksumAccumulator sum;
  sum.add_frame(frame, start, size - start);
  // The block was filled by this link a moment ago and nobody else knows it yet.
  auto* const octets = const_cast<std::byte*>(frame.front().data());
  store_be16(octets + field, sum.finish());
  return true;
}

}  // namespace

std::optional<VirtioHeader> virtio_header_of(const wire::Frame& frame) {
  Fields h;
  if (frame.needs_checksum || frame.segment_size != 0) {
    const Bytes front = frame.front();
    const std::size_t packet_size = frame.size();
    const auto tcp = find_tcp(front, packet_size);
    if (!tcp) return std::nullopt;
    const std::byte* const header = front.data() + tcp->offset;
    const std::size_t header_end = tcp->offset + (std::size_t{load_u8(header + 12)} >> 4) * 4;
    // The kernel puts so much in one piece and the text into pages.
    h.header_size = static_cast<std::uint16_t>(header_end);
    if (frame.needs_checksum) {
      h.flags = kNeedsChecksum;
      h.sum_start = static_cast<std::uint16_t>(tcp->offset);
      h.sum_field = kTcpChecksumField;
    }
    if (frame.segment_size != 0 && packet_size > header_end + frame.segment_size) {
      constexpr std::uint8_t kCwr = 0x80;
      h.division = tcp->v6 ? kDividedV6 : kDividedV4;
      if ((load_u8(header + 13) & kCwr) != 0) h.division |= kWithCwr;
      h.segment_size = frame.segment_size;
    }
  }
  return std::bit_cast<VirtioHeader>(h);
}

bool apply_virtio_header(const VirtioHeader& header, wire::Frame& frame) {
  const auto h = std::bit_cast<Fields>(header);
  if (h.flags == 0 && h.division == kUndivided) return true;
  constexpr unsigned kKnown = kNeedsChecksum | kDataValid;
  if ((h.flags & ~kKnown) != 0) return false;
  const auto tcp = find_tcp(frame.front(), frame.size());
  const bool unfilled = (h.flags & kNeedsChecksum) != 0;
  if (h.division != kUndivided) {
    const unsigned type = h.division & ~unsigned{kWithCwr};
    if (!tcp || h.segment_size == 0 || type != (tcp->v6 ? kDividedV6 : kDividedV4)) return false;
    frame.segment_size = h.segment_size;
  }
  if (!tcp) return !unfilled || fill_checksum(frame, h.sum_start, std::size_t{h.sum_start} + h.sum_field);
  if (unfilled && (h.sum_start != tcp->offset || h.sum_field != kTcpChecksumField)) return false;
  // A checksum that was never computed cannot be wrong; it is filled in for captures.
  frame.needs_checksum = unfilled;
  frame.checksum_verified = h.flags != 0;
  return true;
}

}  // namespace synfin::link
