// SPDX-License-Identifier: Apache-2.0
#include "synfin/base/entropy.h"

#include <algorithm>
#include <cstring>

namespace synfin {

std::uint32_t Entropy::u32() {
  std::uint32_t v;
  fill(std::as_writable_bytes(std::span{&v, 1}));
  return v;
}

std::uint64_t Entropy::u64() {
  std::uint64_t v;
  fill(std::as_writable_bytes(std::span{&v, 1}));
  return v;
}

std::uint32_t Entropy::below(std::uint32_t bound) {
  // Rejection keeps the result uniform: values under 2^32 mod bound would favour the small results.
  const std::uint32_t biased = (0u - bound) % bound;
  for (;;) {
    const std::uint32_t v = u32();
    if (v >= biased) return v % bound;
  }
}

// SplitMix64: every seed gives a full-period sequence, so seed 0 is as good as any.
std::uint64_t SeededEntropy::next() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void SeededEntropy::fill(MutableBytes out) {
  while (!out.empty()) {
    const std::uint64_t v = next();
    const std::size_t n = std::min(out.size(), sizeof v);
    std::memcpy(out.data(), &v, n);
    out = out.subspan(n);
  }
}

}  // namespace synfin
