// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/copy.h"

#include "synfin/wire/checksum.h"
#include "synfin/wire/sum_vectors.h"

namespace synfin::wire {

#ifdef SYNFIN_AVX2
namespace {

constexpr std::size_t kVectorsPayFrom = 256;
static_assert(kVectorsPayFrom >= 3 * avx2::kVector);

// Octets up to where whole vectors of `to` begin: a store across two cache lines costs twice. They and what
// is left at the end are copied by vectors too, which overlap the others.
std::size_t octets_to_boundary(const std::byte* to) {
  return -reinterpret_cast<std::uintptr_t>(to) % avx2::kVector;
}
// Whether one vector more makes it a boundary of cache lines: filled half in one round and half in the next
// they cost half as much again.
bool amid_line(const std::byte* to) {
  return reinterpret_cast<std::uintptr_t>(to) % (2 * avx2::kVector) >= avx2::kVector;
}

__attribute__((target("avx2"))) void copy_vectors(std::byte* to, const std::byte* from, std::size_t size) {
  using namespace avx2;
  store(to, load(from));
  std::size_t at = octets_to_boundary(to);
  if (amid_line(to + at)) {
    store(to + at, load(from + at));
    at += kVector;
  }
  for (; at + 4 * kVector <= size; at += 4 * kVector) {
    const __m256i a = load(from + at), b = load(from + at + kVector), c = load(from + at + 2 * kVector),
                  d = load(from + at + 3 * kVector);
    store(to + at, a);
    store(to + at + kVector, b);
    store(to + at + 2 * kVector, c);
    store(to + at + 3 * kVector, d);
  }
  for (; at + kVector <= size; at += kVector) store(to + at, load(from + at));
  store(to + size - kVector, load(from + size - kVector));
}

// `from` must not be more than lanes can sum. What lies before the first whole vector of `to` and behind the
// last one is summed as part of a vector that is zero elsewhere.
__attribute__((target("avx2"))) std::uint16_t copy_and_sum_vectors(std::byte* to, Bytes from) {
  using namespace avx2;
  const std::byte* const p = from.data();
  const std::size_t size = from.size() & ~std::size_t{1};  // in whole words
  // Words that an odd begin would tear apart cannot be moved to a boundary.
  const std::size_t to_boundary = octets_to_boundary(to), begin = to_boundary % 2 == 0 ? to_boundary : 0;
  __m256i a = load(p), b = load(p + size - kVector), c = _mm256_setzero_si256(), d = c;
  store(to, a);
  store(to + size - kVector, b);
  a = pairs(first(begin, a));
  b = pairs(last((size - begin) % kVector, b));
  std::size_t at = begin;
  const auto one = [&]() __attribute__((target("avx2"))) {
    const __m256i v = load(p + at);
    store(to + at, v);
    a = _mm256_add_epi32(a, pairs(v));
    at += kVector;
  };
  if (amid_line(to + at)) one();
  for (; at + 4 * kVector <= size; at += 4 * kVector) {
    const __m256i v = load(p + at), w = load(p + at + kVector), x = load(p + at + 2 * kVector),
                  y = load(p + at + 3 * kVector);
    store(to + at, v);
    store(to + at + kVector, w);
    store(to + at + 2 * kVector, x);
    store(to + at + 3 * kVector, y);
    a = _mm256_add_epi32(a, pairs(v));
    b = _mm256_add_epi32(b, pairs(w));
    c = _mm256_add_epi32(c, pairs(x));
    d = _mm256_add_epi32(d, pairs(y));
  }
  while (at + kVector <= size) one();
  ChecksumAccumulator sum;
  const __m256i lanes = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
  sum.add_sum(sum_of(lanes, (at - begin) / kVector + 2));
  if (size < from.size()) {
    to[size] = p[size];
    sum.add(from.subspan(size));
  }
  return sum.folded();
}

}  // namespace
#endif

void copy_text(std::byte* to, Bytes from) {
#ifdef SYNFIN_AVX2
  if (from.size() >= kVectorsPayFrom && avx2::available()) {
    copy_vectors(to, from.data(), from.size());
    return;
  }
#endif
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

std::uint16_t copy_and_sum(std::byte* to, Bytes from) {
#ifdef SYNFIN_AVX2
  if (from.size() >= kVectorsPayFrom && from.size() <= avx2::kMostSummedAtOnce && avx2::available())
    return copy_and_sum_vectors(to, from);
#endif
  copy_text(to, from);
  return ones_sum(from);
}

}  // namespace synfin::wire
