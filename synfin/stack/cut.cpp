// SPDX-License-Identifier: Apache-2.0
//
// The headers of a train differ in their numbers and checksums only: the first is written out, and the others
// are copies of it over a sum that is made once. The last may be shorter and have other flags, so it is
// written out too.
#include "synfin/stack/cut.h"

#include <algorithm>
#include <array>
#include <utility>

#include "synfin/base/bytes.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {
namespace {

constexpr std::size_t kSeqField = 4, kChecksumField = 16;

// The text of a train, from the front on.
class Text {
 public:
  explicit Text(wire::Frame& whole) : count_(whole.slice_count) {
    for (std::size_t i = 0; i < count_; ++i) slices_[i] = std::move(whole.slices[i]);
    whole.slice_count = 0;
  }
  void move_to(wire::Frame& frame, std::uint32_t octets) {
    while (octets > 0 && at_ < count_) {
      wire::Slice& s = slices_[at_];
      if (octets < s.size()) {
        frame.add(s.sub(0, octets));
        s.drop_front(octets);
        return;
      }
      octets -= s.size();
      frame.add(std::move(s));
      ++at_;
    }
  }

 private:
  std::array<wire::Slice, wire::Frame::kMaxSlices> slices_;
  std::size_t count_;
  std::size_t at_ = 0;
};

}  // namespace

std::size_t cut(const wire::IpHeader& ip, const tcp::Sent& sent, std::span<wire::Frame> out) {
  const std::size_t count = sent.segments();
  const std::uint32_t size = sent.segment_size;
  Text text{out[0]};
  text.move_to(out[0], size);
  wire::emit_tcp_packet(ip, sent.header, out[0], wire::FillChecksum::kYes);

  const std::size_t header_size = out[0].header_size, tcp_at = wire::emitted_size(ip);
  std::array<std::byte, wire::Frame::kHeaderCapacity> header{};
  std::memcpy(header.data(), out[0].header.data(), header_size);
  store_be32(header.data() + tcp_at + kSeqField, 0);
  store_be16(header.data() + tcp_at + kChecksumField, 0);
  wire::ChecksumAccumulator same;
  same.add_pseudo_header(ip.source, ip.destination, wire::protocol::kTcp,
                         static_cast<std::uint32_t>(header_size - tcp_at) + size);
  same.add({header.data() + tcp_at, header_size - tcp_at});

  for (std::size_t i = 1; i + 1 < count; ++i) {
    wire::Frame& frame = out[i];
    frame.clear();
    text.move_to(frame, size);
    const std::uint32_t seq = (sent.header.seq + static_cast<std::uint32_t>(i) * size).raw();
    wire::ChecksumAccumulator sum = same;
    sum.add_sum(swap_if_little(seq));
    for (std::size_t s = 0; s < frame.slice_count; ++s) sum.add_slice(frame.slices[s]);
    // Of a size that is known, so a few moves.
    constexpr std::size_t kUsual = 64;
    std::memcpy(frame.header.data(), header.data(), kUsual);
    if (header_size > kUsual) frame.header = header;
    store_be32(frame.header.data() + tcp_at + kSeqField, seq);
    store_be16(frame.header.data() + tcp_at + kChecksumField, sum.finish());
    frame.header_size = static_cast<std::uint16_t>(header_size);
  }

  const auto before_last = static_cast<std::uint32_t>(count - 1) * size;
  wire::TcpHeader last = sent.header;
  last.seq += before_last;
  last.flags = last.flags.with(sent.last_flags.bits());
  wire::Frame& frame = out[count - 1];
  frame.clear();
  text.move_to(frame, sent.text_size - before_last);
  wire::emit_tcp_packet(ip, last, frame, wire::FillChecksum::kYes);
  return count;
}

}  // namespace synfin::stack
