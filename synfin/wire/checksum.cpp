// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/checksum.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#define SYNFIN_CHECKSUM_AVX2 1
#include <immintrin.h>
#endif

namespace synfin::wire {
namespace {

// 2^16 is 1 modulo 65535, so a sum of wider words folds to that of its 16-bit ones. It gives 0 only for 0.
constexpr std::uint16_t fold(std::uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffff'ffff);
  sum = (sum >> 32) + (sum & 0xffff'ffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
}

template <typename Word>
std::uint64_t load_native(const std::byte* p) {
  Word v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Words are summed in the processor's own order and the result is swapped (RFC 1071 §2 (B)).
std::uint64_t add_carry(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum;
  const bool carry = __builtin_add_overflow(a, b, &sum);
  return sum + (carry ? 1 : 0);
}

std::uint64_t sum_words(const std::byte* p, std::size_t size) {
  std::uint64_t sum = 0;
  for (; size >= 32; p += 32, size -= 32) {
    sum = add_carry(sum, load_native<std::uint64_t>(p));
    sum = add_carry(sum, load_native<std::uint64_t>(p + 8));
    sum = add_carry(sum, load_native<std::uint64_t>(p + 16));
    sum = add_carry(sum, load_native<std::uint64_t>(p + 24));
  }
  for (; size >= 8; p += 8, size -= 8) sum = add_carry(sum, load_native<std::uint64_t>(p));
  // Each of the rest stands where it would in a word of its own: 4 and 2 octets are whole words, the last is
  // padded.
  if ((size & 4) != 0) {
    sum = add_carry(sum, load_native<std::uint32_t>(p));
    p += 4;
  }
  if ((size & 2) != 0) {
    sum = add_carry(sum, load_native<std::uint16_t>(p));
    p += 2;
  }
  if ((size & 1) != 0) {
    constexpr int kFirstOctet = std::endian::native == std::endian::little ? 0 : 8;
    sum = add_carry(sum, std::uint64_t{load_u8(p)} << kFirstOctet);
  }
  return sum;
}

#ifdef SYNFIN_CHECKSUM_AVX2
// Four 64-bit lanes, each summing 32-bit words: no carry is lost below 2^32 words a lane.
__attribute__((target("avx2"))) std::uint64_t sum_vectors(const std::byte* p, std::size_t size) {
  const __m256i low = _mm256_set1_epi64x(0xffff'ffff);
  __m256i even0 = _mm256_setzero_si256();
  __m256i even1 = even0;
  __m256i odd0 = even0;
  __m256i odd1 = even0;
  for (; size >= 64; p += 64, size -= 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32));
    even0 = _mm256_add_epi64(even0, _mm256_and_si256(a, low));
    odd0 = _mm256_add_epi64(odd0, _mm256_srli_epi64(a, 32));
    even1 = _mm256_add_epi64(even1, _mm256_and_si256(b, low));
    odd1 = _mm256_add_epi64(odd1, _mm256_srli_epi64(b, 32));
  }
  const __m256i total = _mm256_add_epi64(_mm256_add_epi64(even0, odd0), _mm256_add_epi64(even1, odd1));
  alignas(32) std::uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), total);
  std::uint64_t sum = sum_words(p, size);
  for (const std::uint64_t lane : lanes) sum = add_carry(sum, lane);
  return sum;
}
#endif

constexpr std::size_t kVectorsPayFrom = 256;

}  // namespace

std::uint16_t ones_sum(Bytes bytes) {
#ifdef SYNFIN_CHECKSUM_AVX2
  if (bytes.size() >= kVectorsPayFrom && __builtin_cpu_supports("avx2")) {
    return swap_if_little(fold(sum_vectors(bytes.data(), bytes.size())));
  }
#endif
  return swap_if_little(fold(sum_words(bytes.data(), bytes.size())));
}

std::uint16_t ones_sum_reference(Bytes bytes) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  if (i < bytes.size()) sum += std::uint64_t{load_u8(bytes.data() + i)} << 8;
  while ((sum >> 16) != 0) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
}

void ChecksumAccumulator::add(Bytes bytes) {
  const std::uint16_t sum = ones_sum(bytes);
  // Behind an odd piece every octet stands in the other half of its word.
  sum_ += odd_ ? __builtin_bswap16(sum) : sum;
  odd_ ^= bytes.size() % 2 != 0;
}

void ChecksumAccumulator::add_u16(std::uint16_t word) {
  sum_ += word;
}

void ChecksumAccumulator::add_pseudo_header(const IpAddress& source, const IpAddress& destination,
                                            std::uint8_t protocol, std::uint32_t length) {
  for (const IpAddress* address : {&source, &destination}) {
    const std::byte* octets = address->octets().data();
    sum_ += load_be32(octets + 12);
    if (address->is_v4()) continue;
    sum_ += std::uint64_t{load_be32(octets)} + load_be32(octets + 4) + load_be32(octets + 8);
  }
  sum_ += std::uint64_t{length} + protocol;
}

void ChecksumAccumulator::add_frame(const Frame& frame, std::size_t offset, std::size_t count) {
  const auto take = [&](Bytes piece) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      return;
    }
    const std::size_t here = std::min(count, piece.size() - offset);
    add(piece.subspan(offset, here));
    count -= here;
    offset = 0;
  };
  take(frame.header_bytes());
  for (std::size_t i = 0; i < frame.slice_count && count != 0; ++i) take(frame.slices[i].bytes());
}

std::uint16_t ChecksumAccumulator::finish() const {
  return static_cast<std::uint16_t>(~fold(sum_));
}

}  // namespace synfin::wire
