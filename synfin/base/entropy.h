// SPDX-License-Identifier: Apache-2.0
//
// Randomness as the core sees it: an object handed in by the embedder. Production hands in the system's source
// (runtime/system_entropy.h), tests a seeded one; the code that draws is the same.
#pragma once

#include <cstdint>
#include <span>

#include "synfin/base/bytes.h"

namespace synfin {

/// A source of random bytes. Not thread-safe: one object a shard.
class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void fill(MutableBytes out) = 0;

  std::uint32_t u32();
  std::uint64_t u64();
  /// Uniform in [0, bound); `bound` must not be 0.
  std::uint32_t below(std::uint32_t bound);
};

/// Reproducible and predictable: for tests and simulation only, never for keys in production.
class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(std::uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override;

 private:
  std::uint64_t next();
  std::uint64_t state_;
};

}  // namespace synfin
