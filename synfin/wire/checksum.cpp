// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/checksum.h"

#include <algorithm>

#if defined(__x86_64__) && defined(__GNUC__)
#define SYNFIN_CHECKSUM_AVX2 1
#include <immintrin.h>
#endif

namespace synfin::wire {
namespace {

#ifdef SYNFIN_CHECKSUM_AVX2
// Sixteen words at a time: each less 2^15, so that it is a signed number, is added to its neighbour and the
// pair to one of 32-bit lanes, which hold more than `kMostAtOnce` octets of pairs; what was taken off is
// added again at the end. Gives the sum of what it has summed, a multiple of 32 octets.
constexpr std::size_t kMostAtOnce = 1 << 20;

__attribute__((target("avx2"))) std::uint64_t sum_vectors(const std::byte* p, std::size_t size) {
  const __m256i bias = _mm256_set1_epi16(-0x8000), one = _mm256_set1_epi16(1);
  const auto pairs = [&](std::size_t at) __attribute__((target("avx2"))) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at));
    return _mm256_madd_epi16(_mm256_xor_si256(words, bias), one);
  };
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  std::size_t at = 0;
  for (; at + 256 <= size; at += 256) {
    a = _mm256_add_epi32(a, pairs(at));
    b = _mm256_add_epi32(b, pairs(at + 32));
    c = _mm256_add_epi32(c, pairs(at + 64));
    d = _mm256_add_epi32(d, pairs(at + 96));
    a = _mm256_add_epi32(a, pairs(at + 128));
    b = _mm256_add_epi32(b, pairs(at + 160));
    c = _mm256_add_epi32(c, pairs(at + 192));
    d = _mm256_add_epi32(d, pairs(at + 224));
    // Or the compiler copies each into another register and back.
    asm("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d));
  }
  for (; at + 32 <= size; at += 32) a = _mm256_add_epi32(a, pairs(at));
  const __m256i total = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(total)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(total, 1)));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  const std::int64_t sum = _mm_extract_epi64(half, 0) + _mm_extract_epi64(half, 1);
  return static_cast<std::uint64_t>(sum + static_cast<std::int64_t>(at / 2) * 0x8000);
}
#endif

}  // namespace

std::uint64_t ChecksumAccumulator::sum_many(Bytes bytes) {
#ifdef SYNFIN_CHECKSUM_AVX2
  if (__builtin_cpu_supports("avx2")) {
    std::uint64_t sum = 0;
    for (; bytes.size() > kMostAtOnce; bytes = bytes.subspan(kMostAtOnce))
      sum += sum_vectors(bytes.data(), kMostAtOnce);
    return add_carry(sum + sum_vectors(bytes.data(), bytes.size()),
                     sum_words(bytes.subspan(bytes.size() / 32 * 32)));
  }
#endif
  return sum_words(bytes);
}

std::uint16_t ones_sum_reference(Bytes bytes) {
  std::uint64_t sum = 0;
  std::size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  if (i < bytes.size()) sum += std::uint64_t{load_u8(bytes.data() + i)} << 8;
  while ((sum >> 16) != 0) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
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

}  // namespace synfin::wire
