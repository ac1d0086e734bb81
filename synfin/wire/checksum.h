// SPDX-License-Identifier: Apache-2.0
//
// The Internet checksum (RFC 1071), over pieces.
#pragma once

#include <cstdint>

#include "synfin/base/bytes.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"

namespace synfin::wire {

/// The one's-complement sum of `bytes` read as big-endian 16-bit words, an odd last octet padded with zero;
/// folded to 16 bits, not complemented. Picks the fastest code the processor has.
inline std::uint16_t ones_sum(Bytes bytes);
/// The same by the definition, a word at a time: what `ones_sum` is tested and measured against.
std::uint16_t ones_sum_reference(Bytes bytes);

/// A sum of words of 16 or 32 bits each, read as big-endian numbers, folded to 16 bits, not complemented. It
/// gives 0 only for 0.
constexpr std::uint16_t fold_words(std::uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffff'ffff);
  sum = (sum >> 32) + (sum & 0xffff'ffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
}

/// A sum over pieces of any length, odd ones included.
///
/// Words are summed in the processor's own order, 64 bits at a time, and the result is swapped (RFC 1071 §2
/// (B)): 2^16 is 1 modulo 65535, so a sum of wider words folds to that of its 16-bit ones.
class ChecksumAccumulator {
 public:
  void add(Bytes bytes) {
    add_sum(bytes.size() < kVectorsPayFrom ? sum_words(bytes) : sum_many(bytes));
    odd_ ^= bytes.size() % 2 != 0;
  }
  /// The sum of words as they lie in memory, of a piece that is to count as an even number of octets.
  void add_sum(std::uint64_t sum) {
    // Behind an odd piece every octet stands in the other half of its word.
    sum_ = add_carry(sum_, odd_ ? __builtin_bswap16(fold_words(sum)) : sum);
  }
  /// A piece of `size` octets whose `ones_sum` is known.
  void add_piece(std::uint16_t sum, std::size_t size) {
    add_sum(swap_if_little(sum));
    odd_ ^= size % 2 != 0;
  }
  /// A slice that is to be sent. Not for what was received: that has to be read.
  void add_slice(const Slice& slice) {
    if (const auto sum = slice.sum()) {
      add_piece(*sum, slice.size());
    } else {
      add(slice.bytes());
    }
  }
  /// A sum of 32-bit words in host order, below 2^64; only at an even position.
  void add_words(std::uint64_t sum) { add_u16(fold_words(sum)); }
  void add_u16(std::uint16_t word) {
    sum_ = add_carry(sum_, swap_if_little(word));
  }  // only at an even position
  /// The pseudo-header of RFC 9293 §3.1 / RFC 8200 §8.1; call it first.
  void add_pseudo_header(const IpAddress& source, const IpAddress& destination, std::uint8_t protocol,
                         std::uint32_t length) {
    for (const IpAddress* address : {&source, &destination}) {
      const std::byte* octets = address->octets().data();
      if (address->is_v4()) {
        sum_ = add_carry(sum_, load<std::uint32_t>(octets + 12));
      } else {
        sum_ = add_carry(sum_, load<std::uint64_t>(octets));
        sum_ = add_carry(sum_, load<std::uint64_t>(octets + 8));
      }
    }
    sum_ = add_carry(sum_, std::uint64_t{swap_if_little(length)} + swap_if_little(std::uint16_t{protocol}));
  }
  /// The same where both IPv4 addresses lie behind each other as in their header.
  void add_pseudo_header_v4(const std::byte* addresses, std::uint8_t protocol, std::uint32_t length) {
    sum_ = add_carry(load<std::uint64_t>(addresses),
                     std::uint64_t{swap_if_little(length)} + swap_if_little(std::uint16_t{protocol}));
  }
  /// [offset, offset + count) of the packet.
  void add_frame(const Frame& frame, std::size_t offset, std::size_t count);
  /// Folded, not complemented.
  std::uint16_t folded() const { return swap_if_little(fold_words(sum_)); }
  /// Folded and complemented: what goes into the field. 0 over data that contains a right checksum.
  std::uint16_t finish() const { return static_cast<std::uint16_t>(~folded()); }

 private:
  static constexpr std::size_t kVectorsPayFrom = 256;

  static std::uint64_t add_carry(std::uint64_t a, std::uint64_t b) {
    std::uint64_t sum;
    const bool carry = __builtin_add_overflow(a, b, &sum);
    return sum + (carry ? 1 : 0);
  }
  template <typename Word>
  static std::uint64_t load(const std::byte* p) {
    Word v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  static std::uint64_t sum_words(Bytes bytes) {
    const std::byte* p = bytes.data();
    std::size_t size = bytes.size();
    std::uint64_t sum = 0;
    for (; size >= 8; p += 8, size -= 8) sum = add_carry(sum, load<std::uint64_t>(p));
    // Each of the rest stands where it would in a word of its own: 4 and 2 octets are whole words, the last
    // is padded.
    if ((size & 4) != 0) {
      sum = add_carry(sum, load<std::uint32_t>(p));
      p += 4;
    }
    if ((size & 2) != 0) {
      sum = add_carry(sum, load<std::uint16_t>(p));
      p += 2;
    }
    if ((size & 1) != 0) {
      constexpr int kFirstOctet = std::endian::native == std::endian::little ? 0 : 8;
      sum = add_carry(sum, std::uint64_t{load_u8(p)} << kFirstOctet);
    }
    return sum;
  }
  static std::uint64_t sum_many(Bytes bytes);

  std::uint64_t sum_ = 0;
  bool odd_ = false;
};

inline std::uint16_t ones_sum(Bytes bytes) {
  ChecksumAccumulator sum;
  sum.add(bytes);
  return sum.folded();
}

}  // namespace synfin::wire
