// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4 as its authors define it (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), in
// vectors of 64-bit words, one message each. There are only additions, rotations and exclusive ors: no
// branch and no address depends on a secret.
#include "synfin/base/keyed_hash_many.h"

#include <cassert>
#include <cstring>

namespace synfin {
namespace {

constexpr std::size_t kWidth = 4;
using Vector = std::uint64_t __attribute__((vector_size(kWidth * sizeof(std::uint64_t))));

// Inlined into code for the processor at hand, so that the compiler may use what that has.
#define SYNFIN_ALWAYS_INLINE [[gnu::always_inline]] inline

// Two vectors at a time: while one waits for a result, the other is computed.
struct Lanes {
  Vector x, y;

  SYNFIN_ALWAYS_INLINE explicit Lanes(std::uint64_t all) : x(Vector{} + all), y(x) {}
  SYNFIN_ALWAYS_INLINE explicit Lanes(const HashLanes& words) {
    std::memcpy(&x, words.data(), sizeof x);
    std::memcpy(&y, words.data() + kWidth, sizeof y);
  }
  SYNFIN_ALWAYS_INLINE void store(HashLanes& words) const {
    std::memcpy(words.data(), &x, sizeof x);
    std::memcpy(words.data() + kWidth, &y, sizeof y);
  }
  SYNFIN_ALWAYS_INLINE void operator+=(const Lanes& o) {
    x += o.x;
    y += o.y;
  }
  SYNFIN_ALWAYS_INLINE void operator^=(const Lanes& o) {
    x ^= o.x;
    y ^= o.y;
  }
  template <int kBits>
  SYNFIN_ALWAYS_INLINE void rotate() {
    rotate<kBits>(x);
    rotate<kBits>(y);
  }

 private:
  // By halves and quarters of words it is one instruction, where others take three.
  template <int kBits>
  SYNFIN_ALWAYS_INLINE static void rotate(Vector& v) {
    using Halves = std::uint32_t __attribute__((vector_size(sizeof(Vector))));
    using Quarters = std::uint16_t __attribute__((vector_size(sizeof(Vector))));
    if constexpr (kBits == 32) {
      const auto h = reinterpret_cast<Halves>(v);
      v = reinterpret_cast<Vector>(__builtin_shufflevector(h, h, 1, 0, 3, 2, 5, 4, 7, 6));
    } else if constexpr (kBits == 16 && std::endian::native == std::endian::little) {
      const auto q = reinterpret_cast<Quarters>(v);
      v = reinterpret_cast<Vector>(
          __builtin_shufflevector(q, q, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
    } else {
      v = v << kBits | v >> (64 - kBits);
    }
  }
};
static_assert(kHashLanes == 2 * kWidth);

struct State {
  Lanes a, b, c, d;

  SYNFIN_ALWAYS_INLINE void round() {
    a += b;
    c += d;
    b.rotate<13>();
    d.rotate<16>();
    b ^= a;
    d ^= c;
    a.rotate<32>();
    c += b;
    a += d;
    b.rotate<17>();
    d.rotate<21>();
    b ^= c;
    d ^= a;
    c.rotate<32>();
  }
};

SYNFIN_ALWAYS_INLINE void hash(const Key& key, std::span<const HashLanes> words, std::size_t size,
                               HashLanes& out) {
  std::uint64_t k[2];
  std::memcpy(k, key.data(), sizeof k);
  for (std::uint64_t& half : k) half = swap_if_big(half);
  State s{Lanes{k[0] ^ 0x736f'6d65'7073'6575}, Lanes{k[1] ^ 0x646f'7261'6e64'6f6d},
          Lanes{k[0] ^ 0x6c79'6765'6e65'7261}, Lanes{k[1] ^ 0x7465'6462'7974'6573}};
  for (std::size_t w = 0; w < words.size(); ++w) {
    Lanes message{words[w]};
    if (w + 1 == words.size()) message ^= Lanes{std::uint64_t{size} << 56};
    s.d ^= message;
    s.round();
    s.round();
    s.a ^= message;
  }
  s.c ^= Lanes{0xff};
  s.round();
  s.round();
  s.round();
  s.round();
  s.a ^= s.b;
  s.a ^= s.c;
  s.a ^= s.d;
  s.a.store(out);
}

#if defined(__x86_64__) && defined(__GNUC__)
// Has rotations.
__attribute__((target("avx2,avx512f,avx512vl"))) void hash_avx512(const Key& key,
                                                                  std::span<const HashLanes> words,
                                                                  std::size_t size, HashLanes& out) {
  hash(key, words, size, out);
}

__attribute__((target("avx2"))) void hash_avx2(const Key& key, std::span<const HashLanes> words,
                                               std::size_t size, HashLanes& out) {
  hash(key, words, size, out);
}
#endif

}  // namespace

void keyed_hash_many(const Key& key, std::span<const HashLanes> words, std::size_t size, HashLanes& out) {
  assert(words.size() == size / 8 + 1);
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx512vl")) return hash_avx512(key, words, size, out);
  if (__builtin_cpu_supports("avx2")) return hash_avx2(key, words, size, out);
#endif
  hash(key, words, size, out);
}

}  // namespace synfin
