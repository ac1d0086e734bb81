// SPDX-License-Identifier: Apache-2.0
//
// Text that follows text: the packets behind one whose text its connection has taken are compared with it
// where they lie, and those that are the next segments of the same stream, with the same header but for what
// has to differ, are handed over together. Nothing is refused here: what is not plainly a follower goes the
// way of every packet.
#include <array>
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

using Vector [[gnu::vector_size(16)]] = std::uint64_t;

// An IPv4 header without options.
bool header_sums_up(const std::byte* b) {
  const auto a = word_at<std::uint64_t>(b), c = word_at<std::uint64_t>(b + 8);
  constexpr std::uint64_t kHalf = 0xffff'ffff;
  return wire::fold_words((a & kHalf) + (a >> 32) + (c & kHalf) + (c >> 32) +
                          word_at<std::uint32_t>(b + 16)) == 0xffff;
}

// The headers of a packet that others may follow: which of their bits have to be the same.
class Leader {
 public:
  Leader(const wire::IpHeader& ip, const tcp::Segment& first)
      : ip_size_(wire::emitted_size(ip)),
        size_(first.text_offset),
        next_(first.seq() + first.text_size),
        v4_(ip.source.is_v4()) {
    sum_.add_pseudo_header(ip.source, ip.destination, wire::protocol::kTcp, 0);
    const Bytes front = first.frame.front();
    std::memcpy(headers_.data(), front.data(), size_);
    same_.fill(std::byte{0xff});
    // Lengths, what tells packets apart, how far they came and the header's sum; then number, PSH and sum.
    const auto differ = [&](std::size_t at, std::size_t n) { std::memset(same_.data() + at, 0, n); };
    if (v4_) {
      differ(2, 4);
      differ(8, 1);
      differ(10, 2);
    } else {
      differ(4, 2);
      differ(7, 1);
    }
    differ(ip_size_ + 4, 4);
    same_[ip_size_ + 13] = ~kPsh;
    differ(ip_size_ + 16, 2);
    // What is the same of all is summed once.
    std::uint64_t sum = 0;
    for (std::size_t at = ip_size_; at < size_; at += 4)
      sum += word_at<std::uint32_t>(headers_.data() + at) & word_at<std::uint32_t>(same_.data() + at);
    sum_.add_sum(sum);
  }
  // Options and extension headers of the network layer are left to those who read them.
  bool plain() const {
    return v4_ ? headers_[0] == std::byte{0x45} : headers_[6] == std::byte{wire::protocol::kTcp};
  }
  // How much text the packet has that comes next; 0: it is not that.
  std::uint32_t text_of(const wire::Frame& frame) {
    const Bytes front = frame.front();
    const std::size_t packet = frame.size();
    const std::byte* b = front.data();
    if (front.size() < size_ || packet <= size_ || packet > 0xffff || frame.segment_size != 0) return 0;
    if (frame.header_size > size_ || load_be32(b + ip_size_ + 4) != next_.raw() || !same_as(b)) return 0;
    if (v4_ ? load_be16(b + 2) != packet || !header_sums_up(b) : load_be16(b + 4) != packet - ip_size_)
      return 0;
    if (!frame.checksum_verified && !sums_up(frame, front, packet)) return 0;
    const auto text = static_cast<std::uint32_t>(packet - size_);
    next_ += text;
    return text;
  }

 private:
  // They are 40 octets at least; the last vector may overlap the one before.
  bool same_as(const std::byte* b) const {
    const auto differences = [&](std::size_t at) {
      return (word_at<Vector>(b + at) ^ word_at<Vector>(headers_.data() + at)) &
             word_at<Vector>(same_.data() + at);
    };
    Vector differ = differences(0) | differences(sizeof(Vector)) | differences(size_ - sizeof(Vector));
    for (std::size_t at = 2 * sizeof(Vector); at + sizeof(Vector) <= size_; at += sizeof(Vector))
      differ |= differences(at);
    return (differ[0] | differ[1]) == 0;
  }

  bool sums_up(const wire::Frame& frame, Bytes front, std::size_t packet) const {
    const std::byte* tcp = front.data() + ip_size_;
    const std::array<std::byte, 2> psh{std::byte{0}, tcp[13] & kPsh};
    wire::ChecksumAccumulator sum = sum_;
    sum.add_sum(std::uint64_t{word_at<std::uint32_t>(tcp + 4)} + word_at<std::uint16_t>(psh.data()) +
                word_at<std::uint16_t>(tcp + 16) +
                swap_if_little(static_cast<std::uint32_t>(packet - ip_size_)));
    if (front.size() > size_) sum.add(front.subspan(size_));
    for (std::size_t i = frame.header_size != 0 ? 0 : 1; i < frame.slice_count; ++i)
      sum.add(frame.slices[i].bytes());
    return sum.finish() == 0;
  }

  static constexpr std::byte kPsh{wire::Flags::kPsh};
  std::array<std::byte, wire::Frame::kHeaderCapacity> headers_, same_;
  std::size_t ip_size_;
  std::size_t size_;  // of all headers
  wire::SeqNum next_;
  bool v4_;
  wire::ChecksumAccumulator sum_;  // of what all have the same, and the pseudo-header
};

}  // namespace

std::size_t Stack::Impl::take_followers(RecordRef owner, const wire::IpHeader& ip, const tcp::Segment& first,
                                        std::span<wire::Frame> frames, tcp::Context& ctx) {
  tcp::Connection& c = connections[owner.index()].tcp;
  std::uint32_t room = c.room_for_more_text(first);
  if (room == 0 || first.text_offset > wire::Frame::kHeaderCapacity) return 0;
  Leader leader{ip, first};
  if (!leader.plain()) return 0;
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
