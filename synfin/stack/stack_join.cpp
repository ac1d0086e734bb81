// SPDX-License-Identifier: Apache-2.0
//
// Text that follows text: the packets behind one whose text its connection has taken are compared with it
// where they lie, and those that are the next segments of the same stream, with the same header but for what
// has to differ, are handed over together. Nothing is refused here: what is not plainly a follower goes the
// way of every packet.
#include <cstring>

#include "synfin/stack/impl.h"
#include "synfin/wire/checksum.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;

namespace {

constexpr std::size_t kMostAtOnce = 64;

template <class Word>
Word word_at(const std::byte* p) {
  Word w;
  std::memcpy(&w, p, sizeof w);
  return w;
}

template <class Word>
bool same_word(const std::byte* a, const std::byte* b) {
  return word_at<Word>(a) == word_at<Word>(b);
}

// The network header but for its length, what tells packets apart, and how far they came.
bool same_ipv4(const std::byte* a, const std::byte* b) {
  return same_word<std::uint16_t>(a, b) && same_word<std::uint16_t>(a + 6, b + 6) && a[9] == b[9] &&
         same_word<std::uint64_t>(a + 12, b + 12);
}
bool same_ipv6(const std::byte* a, const std::byte* b) {
  return same_word<std::uint32_t>(a, b) && a[6] == b[6] && std::memcmp(a + 8, b + 8, 32) == 0;
}

// An IPv4 header without options.
bool header_sums_up(const std::byte* b) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 20; i += 4) sum += word_at<std::uint32_t>(b + i);
  sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
  return sum != 0 && sum % 0xffff == 0;
}

// Ports, acknowledgement, header size, flags but for PSH, window, options.
bool same_tcp(const std::byte* a, const std::byte* b, std::size_t size) {
  constexpr std::size_t kFlags = 13;
  return same_word<std::uint32_t>(a, b) && same_word<std::uint32_t>(a + 8, b + 8) && a[12] == b[12] &&
         ((a[kFlags] ^ b[kFlags]) & ~std::byte{wire::Flags::kPsh}) == std::byte{} &&
         same_word<std::uint16_t>(a + 14, b + 14) && same_word<std::uint16_t>(a + 18, b + 18) &&
         std::memcmp(a + 20, b + 20, size - 20) == 0;
}

// The headers of a packet that others may follow.
class Leader {
 public:
  Leader(const wire::IpHeader& ip, const tcp::Segment& first)
      : bytes_(first.frame.front().data()),
        ip_size_(wire::emitted_size(ip)),
        size_(first.text_offset),
        next_(first.seq() + first.text_size),
        v4_(ip.source.is_v4()) {
    sum_.add_pseudo_header(ip.source, ip.destination, wire::protocol::kTcp, 0);
  }
  // Options and extension headers of the network layer are left to those who read them.
  bool plain() const {
    return v4_ ? bytes_[0] == std::byte{0x45} : bytes_[6] == std::byte{wire::protocol::kTcp};
  }
  // How much text the packet has that comes next; 0: it is not that.
  std::uint32_t text_of(const wire::Frame& frame) {
    const Bytes front = frame.front();
    const std::size_t packet = frame.size();
    const std::byte* b = front.data();
    if (front.size() < size_ || packet <= size_ || packet > 0xffff || frame.segment_size != 0) return 0;
    if (frame.header_size > size_) return 0;
    if (v4_) {
      if (load_be16(b + 2) != packet || !same_ipv4(bytes_, b)) return 0;
    } else {
      if (load_be16(b + 4) != packet - ip_size_ || !same_ipv6(bytes_, b)) return 0;
    }
    if (load_be32(b + ip_size_ + 4) != next_.raw() ||
        !same_tcp(bytes_ + ip_size_, b + ip_size_, size_ - ip_size_))
      return 0;
    if (v4_ && !header_sums_up(b)) return 0;
    if (!frame.checksum_verified && !sums_up(frame, packet)) return 0;
    const auto text = static_cast<std::uint32_t>(packet - size_);
    next_ += text;
    return text;
  }

 private:
  bool sums_up(const wire::Frame& frame, std::size_t packet) const {
    const Bytes front = frame.front();
    wire::ChecksumAccumulator sum = sum_;
    sum.add_words(packet - ip_size_);
    sum.add(front.subspan(ip_size_));
    for (std::size_t i = frame.header_size != 0 ? 0 : 1; i < frame.slice_count; ++i)
      sum.add(frame.slices[i].bytes());
    return sum.finish() == 0;
  }

  const std::byte* bytes_;
  std::size_t ip_size_;
  std::size_t size_;  // of all headers
  wire::SeqNum next_;
  bool v4_;
  wire::ChecksumAccumulator sum_;  // of the pseudo-header but for the length
};

}  // namespace

std::size_t Stack::Impl::take_followers(RecordRef owner, const wire::IpHeader& ip, const tcp::Segment& first,
                                        std::span<wire::Frame> frames, tcp::Context& ctx) {
  tcp::Connection& c = connections[owner.index()].tcp;
  std::uint32_t room = c.room_for_more_text(first);
  Leader leader{ip, first};
  if (room == 0 || !leader.plain()) return 0;
  std::array<tcp::MoreText, kMostAtOnce> texts;
  std::size_t n = 0;
  for (wire::Frame& frame : frames.subspan(1)) {
    if (n == texts.size()) break;
    const std::uint32_t size = leader.text_of(frame);
    if (size == 0 || size > room) break;
    room -= size;
    texts[n++] = {&frame, first.text_offset, size};
  }
  if (n == 0) return 0;
  frames[0].clear();
  Reason last = Reason::kNone;
  n = c.on_more_text(std::span{texts}.first(n), first, last, ctx);
  settle(owner.index(), ctx);
  counters[Counter::kInSegs] += n;
  counters[first.ecn == wire::ecn::kNotCapable ? Counter::kInNoECTPkts
           : first.ecn == wire::ecn::kEct0     ? Counter::kInECT0Pkts
                                               : Counter::kInECT1Pkts] += n;
  counters[Reason::kDataAccepted] += n - 1;
  ++counters[last];
  return n;
}

}  // namespace synfin::stack
