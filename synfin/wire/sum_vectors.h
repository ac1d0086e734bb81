// SPDX-License-Identifier: Apache-2.0
//
// The one's-complement sum by AVX2. Sixteen words at a time: each less 2^15, so that it is a signed number,
// is added to its neighbour and the pair to one of 32-bit lanes, which hold more than `kMostSummedAtOnce`
// octets of pairs; what was taken off is added again at the end. Only where the processor has it.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define SYNFIN_AVX2 1
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace synfin::wire::avx2 {

constexpr std::size_t kMostSummedAtOnce = 1 << 19;
constexpr std::size_t kVector = 32;  // octets

inline bool available() {
  return __builtin_cpu_supports("avx2");
}

__attribute__((target("avx2"))) inline __m256i load(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
__attribute__((target("avx2"))) inline void store(std::byte* p, __m256i v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
__attribute__((target("avx2"))) inline __m256i pairs(__m256i words) {
  const __m256i bias = _mm256_set1_epi16(-0x8000), one = _mm256_set1_epi16(1);
  return _mm256_madd_epi16(_mm256_xor_si256(words, bias), one);
}
/// The first `n` octets of a vector, or its last ones; the others are zero.
alignas(kVector) inline constexpr auto kMasks = [] {
  std::array<std::uint8_t, 3 * kVector> masks{};
  for (std::size_t i = kVector; i < 2 * kVector; ++i) masks[i] = 0xff;
  return masks;
}();
__attribute__((target("avx2"))) inline __m256i first(std::size_t n, __m256i v) {
  const auto* mask = reinterpret_cast<const __m256i*>(kMasks.data() + 2 * kVector - n);
  return _mm256_and_si256(v, _mm256_loadu_si256(mask));
}
__attribute__((target("avx2"))) inline __m256i last(std::size_t n, __m256i v) {
  const auto* mask = reinterpret_cast<const __m256i*>(kMasks.data() + n);
  return _mm256_and_si256(v, _mm256_loadu_si256(mask));
}
/// Of lanes that have had the pairs of `vectors` vectors.
__attribute__((target("avx2"))) inline std::uint64_t sum_of(__m256i lanes, std::size_t vectors) {
  const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1)));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  const std::int64_t sum = _mm_extract_epi64(half, 0) + _mm_extract_epi64(half, 1);
  return static_cast<std::uint64_t>(sum + static_cast<std::int64_t>(vectors * (kVector / 2)) * 0x8000);
}

}  // namespace synfin::wire::avx2
#endif
