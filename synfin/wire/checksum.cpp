// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/checksum.h"

#include <algorithm>

#include "synfin/wire/sum_vectors.h"

namespace synfin::wire {
namespace {

#ifdef SYNFIN_AVX2
// Of at least a vector; what is behind the last whole one is summed as part of one that is zero elsewhere.
__attribute__((target("avx2"))) std::uint64_t sum_vectors(const std::byte* p, std::size_t octets) {
  using namespace avx2;
  const std::size_t size = octets & ~std::size_t{1};  // in whole words
  const auto pairs_at = [&](std::size_t at) __attribute__((target("avx2"))) {
    return pairs(load(p + at));
  };
  __m256i a = pairs(last(size % kVector, load(p + size - kVector)));
  __m256i b = _mm256_setzero_si256(), c = b, d = b;
  std::size_t at = 0;
  for (; at + 256 <= size; at += 256) {
    a = _mm256_add_epi32(a, pairs_at(at));
    b = _mm256_add_epi32(b, pairs_at(at + 32));
    c = _mm256_add_epi32(c, pairs_at(at + 64));
    d = _mm256_add_epi32(d, pairs_at(at + 96));
    a = _mm256_add_epi32(a, pairs_at(at + 128));
    b = _mm256_add_epi32(b, pairs_at(at + 160));
    c = _mm256_add_epi32(c, pairs_at(at + 192));
    d = _mm256_add_epi32(d, pairs_at(at + 224));
    // Or the compiler copies each into another register and back.
    asm("" : "+x"(a), "+x"(b), "+x"(c), "+x"(d));
  }
  for (; at + 32 <= size; at += 32) a = _mm256_add_epi32(a, pairs_at(at));
  const __m256i lanes = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  const std::uint64_t sum = sum_of(lanes, at / kVector + 1);
  return size == octets ? sum : sum + std::to_integer<std::uint64_t>(p[size]);  // x86 is little-endian
}
#endif

}  // namespace

std::uint64_t ChecksumAccumulator::sum_many(Bytes bytes) {
#ifdef SYNFIN_AVX2
  if (avx2::available()) {
    std::uint64_t sum = 0;
    for (; bytes.size() > avx2::kMostSummedAtOnce; bytes = bytes.subspan(avx2::kMostSummedAtOnce))
      sum += sum_vectors(bytes.data(), avx2::kMostSummedAtOnce);
    return sum + (bytes.size() < avx2::kVector ? sum_words(bytes) : sum_vectors(bytes.data(), bytes.size()));
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
