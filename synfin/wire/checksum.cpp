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
struct Lanes {
  std::uint64_t sums[4];
  std::size_t summed;
};

// Four 64-bit lanes, each summing 32-bit words: no carry is lost below 2^32 words a lane.
__attribute__((target("avx2"))) Lanes sum_lanes(const std::byte* p, std::size_t size) {
  const __m256i low = _mm256_set1_epi64x(0xffff'ffff);
  __m256i even0 = _mm256_setzero_si256();
  __m256i even1 = even0;
  __m256i odd0 = even0;
  __m256i odd1 = even0;
  std::size_t at = 0;
  for (; at + 64 <= size; at += 64) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at));
    const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at + 32));
    even0 = _mm256_add_epi64(even0, _mm256_and_si256(a, low));
    odd0 = _mm256_add_epi64(odd0, _mm256_srli_epi64(a, 32));
    even1 = _mm256_add_epi64(even1, _mm256_and_si256(b, low));
    odd1 = _mm256_add_epi64(odd1, _mm256_srli_epi64(b, 32));
  }
  const __m256i total = _mm256_add_epi64(_mm256_add_epi64(even0, odd0), _mm256_add_epi64(even1, odd1));
  Lanes lanes;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes.sums), total);
  lanes.summed = at;
  return lanes;
}
#endif

}  // namespace

std::uint64_t ChecksumAccumulator::sum_many(Bytes bytes) {
#ifdef SYNFIN_CHECKSUM_AVX2
  if (__builtin_cpu_supports("avx2")) {
    const Lanes lanes = sum_lanes(bytes.data(), bytes.size());
    std::uint64_t sum = sum_words(bytes.subspan(lanes.summed));
    for (const std::uint64_t lane : lanes.sums) sum = add_carry(sum, lane);
    return sum;
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
