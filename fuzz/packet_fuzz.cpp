// SPDX-License-Identifier: Apache-2.0
//
// Octets as they come from a wire, through every parser; and what a parser accepted is written and read
// again.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "synfin/wire/checksum.h"
#include "synfin/wire/icmp.h"
#include "synfin/wire/packet.h"

namespace synfin::wire {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// A piece of the packet on the heap with no octet to spare, lent to a frame.
class Piece {
 public:
  explicit Piece(Bytes bytes) : data_(new std::byte[bytes.size()]) {
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
    const auto size = static_cast<std::uint32_t>(bytes.size());
    block_ = {.pool = nullptr, .data = data_.get(), .capacity = size, .used = size, .references = 1};
  }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  Slice lend() {
    ++block_.references;  // the first reference is never given back: there is no pool to release to
    return Slice{&block_, 0, block_.capacity};
  }

 private:
  std::unique_ptr<std::byte[]> data_;
  Block block_{};
};

// What emit cannot write: options that are only recognised.
TcpHeader writable(TcpHeader tcp) {
  tcp.options.present &= static_cast<std::uint8_t>(~(TcpOptions::kMd5 | TcpOptions::kAuthentication));
  return tcp;
}

// Drops the SACK blocks that found no room: emit writes other options aligned, which may take more than they
// came in.
void keep_sack_blocks(TcpOptions& options, const TcpOptions& written) {
  if (!options.has(TcpOptions::kSack)) return;
  const std::uint8_t kept = written.has(TcpOptions::kSack) ? written.sack_count : 0;
  require(kept <= options.sack_count, "no SACK block comes into being");
  options.sack_count = kept;
  if (kept == 0) options.present &= static_cast<std::uint8_t>(~TcpOptions::kSack);
}

void try_tcp(const ParsedIp& ip, const Frame& frame, BlockPool& pool) {
  const auto checked = parse_tcp_packet(ip, frame, VerifyChecksum::kYes);
  const auto packet = parse_tcp_packet(ip, frame, VerifyChecksum::kNo);
  require(!checked || packet, "verifying the checksum refuses more, never less");
  TcpPacket usual;
  if (read_usual_packet(frame, usual)) {
    require(checked.has_value(), "what is read the short way is read the long way");
    require(usual.ip == checked->ip && usual.tcp == checked->tcp &&
                usual.payload_offset == checked->payload_offset &&
                usual.payload_size == checked->payload_size,
            "both ways read the same");
  }
  if (!packet) return;
  require(packet->payload_offset + packet->payload_size == ip.header_size + ip.payload_size,
          "the payload ends the packet");

  Frame again;
  if (packet->payload_size != 0) {
    Block* const block = pool.allocate(static_cast<std::uint32_t>(packet->payload_size));
    if (block == nullptr) return;
    block->used = static_cast<std::uint32_t>(packet->payload_size);
    frame.copy_out(packet->payload_offset, {block->data, packet->payload_size});
    again.add(Slice{block, 0, block->used});
  }
  TcpHeader expected = writable(packet->tcp);
  // Options written aligned may be longer than they came, up to 40 octets: past the longest packet they do
  // not fit.
  if (emitted_size(packet->ip) + emitted_size(expected) + packet->payload_size > 0xffff) return;
  emit_tcp_packet(packet->ip, expected, again, FillChecksum::kYes);
  const auto ip_again = parse_ip(again.front(), again.size());
  require(ip_again.has_value(), "an emitted IP header is read");
  IpHeader expected_ip = packet->ip;
  require(ip_again->header == expected_ip, "IP: parse(emit(h)) == h");
  const auto packet_again = parse_tcp_packet(*ip_again, again, VerifyChecksum::kYes);
  require(packet_again.has_value(), "an emitted segment is read");
  keep_sack_blocks(expected.options, packet_again->tcp.options);
  require(packet_again->tcp == expected, "TCP: parse(emit(h)) == h");
  require(packet_again->payload_size == packet->payload_size, "the payload keeps its size");
}

void try_icmp(const ParsedIp& ip, const Frame& frame, BlockPool& pool) {
  const auto message = parse_icmp(ip.header, frame, ip.header_size, ip.payload_size);
  if (!message || message->kind != IcmpKind::kEchoRequest) return;
  const auto reply = make_echo_reply(ip.header, frame, ip.header_size, ip.payload_size, pool);
  if (!reply) return;
  const auto ip_again = parse_ip(reply->front(), reply->size());
  require(ip_again.has_value(), "an echo reply's IP header is read");
  const auto again = parse_icmp(ip_again->header, *reply, ip_again->header_size, ip_again->payload_size);
  require(again && again->kind == IcmpKind::kEchoReply, "an echo reply is read as one");
}

// Random octets do not hit a checksum: this makes the sums of a copy right, so that the parsers behind them
// run.
void seal(std::byte* packet, std::size_t size) {
  if (size < 20) return;
  const std::size_t header = std::size_t{load_u8(packet)} % 16 * 4;
  if (load_u8(packet) >> 4 == 4 && header >= 20 && header <= size) {
    store_be16(packet + 10, 0);
    store_be16(packet + 10, static_cast<std::uint16_t>(~ones_sum({packet, header})));
  }
  const auto ip = parse_ip({packet, size}, size);
  if (!ip) return;
  const std::size_t field = ip->header.protocol == protocol::kTcp ? 16 : 2;
  if (ip->payload_size < field + 2) return;
  std::byte* const payload = packet + ip->header_size;
  store_be16(payload + field, 0);
  ChecksumAccumulator sum;
  if (ip->header.protocol != protocol::kIcmp) {
    sum.add_pseudo_header(ip->header.source, ip->header.destination, ip->header.protocol,
                          static_cast<std::uint32_t>(ip->payload_size));
  }
  sum.add({payload, ip->payload_size});
  store_be16(payload + field, sum.finish());
  // A sum that is not the reference's would still agree with itself.
  require(ones_sum({payload, ip->payload_size}) == ones_sum_reference({payload, ip->payload_size}),
          "the sums agree");
}

void try_packet(const Frame& frame, BlockPool& pool) {
  const auto ip = parse_ip(frame.front(), frame.size());
  if (!ip) return;
  require(ip->header_size + ip->payload_size <= frame.size(), "the payload lies in the packet");
  if (ip->header.protocol == protocol::kTcp) {
    try_tcp(*ip, frame, pool);
  } else {
    try_icmp(*ip, frame, pool);
  }
  const IpAddress self = ip->header.destination;
  for (const IcmpKind kind : {IcmpKind::kPortUnreachable, IcmpKind::kProtocolUnreachable}) {
    const auto error = make_icmp_error(kind, self, ip->header, frame, pool);
    if (!error) continue;
    const auto error_ip = parse_ip(error->front(), error->size());
    require(error_ip.has_value(), "an ICMP error's IP header is read");
    require(error->size() <= (self.is_v4() ? 576U : 1280U), "an ICMP error fits every path");
    const auto read = parse_icmp(error_ip->header, *error, error_ip->header_size, error_ip->payload_size);
    require(read ? read->kind == kind : read.error() == ParseError::kIcmpTruncatedQuote,
            "an ICMP error is read as one");
  }
}

}  // namespace
}  // namespace synfin::wire

/// The first octet says where the packet is cut in two pieces (0: nowhere) and whether its sums are made
/// right; the packet is the rest.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace synfin;
  using namespace synfin::wire;
  if (size < 1) return 0;
  const std::uint8_t how = data[0];
  const std::size_t packet_size = size - 1;
  const std::unique_ptr<std::byte[]> packet{new std::byte[packet_size]};
  if (packet_size != 0) std::memcpy(packet.get(), data + 1, packet_size);
  if ((how & 0x80) != 0) seal(packet.get(), packet_size);

  BlockPool pool{1U << 20};
  {
    const std::size_t split =
        (how & 0x7f) == 0 ? packet_size : std::min<std::size_t>(how & 0x7f, packet_size);
    Piece first{{packet.get(), split}};
    Piece second{{packet.get() + split, packet_size - split}};
    Frame frame;
    frame.add(first.lend());
    if (split != packet_size) frame.add(second.lend());
    try_packet(frame, pool);
  }
  require(pool.blocks_in_use() == 0, "no block is left behind");
  return 0;
}
