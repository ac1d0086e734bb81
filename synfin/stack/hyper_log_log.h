// SPDX-License-Identifier: Apache-2.0
//
// How many different things were seen, in a few kilobytes whatever their number.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace synfin::stack {

/// HyperLogLog: 2^kBits octets, standard error 1.04 / sqrt(2^kBits). What is added must be hashed already,
/// with a key that nobody outside knows: whoever can choose hashes can choose the estimate.
///
/// The estimator is the improved raw one of O. Ertl, "New cardinality estimation algorithms for HyperLogLog
/// sketches" (2017): without bias from nothing to 2^50, so that no table corrects it.
template <unsigned kBits>
class HyperLogLog {
  static_assert(kBits >= 4 && kBits <= 16);

 public:
  static constexpr std::size_t kRegisters = std::size_t{1} << kBits;

  void add(std::uint64_t hash) {
    std::uint8_t& highest = registers_[hash >> (64 - kBits)];
    // The bit ends the zeros where the hash has no other, so that ranks are 1 to kRanks.
    const auto rank =
        static_cast<std::uint8_t>(std::countl_zero((hash << kBits) | (std::uint64_t{1} << (kBits - 1))) + 1);
    if (rank > highest) highest = rank;
  }
  /// Afterwards this is as if it had seen what the other one saw, too.
  void merge(const HyperLogLog& other) {
    for (std::size_t i = 0; i < kRegisters; ++i) registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
  void clear() { registers_.fill(0); }

  double estimate() const {
    std::array<std::uint32_t, kRanks + 1> with_rank{};
    for (const std::uint8_t rank : registers_) ++with_rank[rank];
    if (with_rank[0] == kRegisters) return 0;
    double sum = 0;  // of 2^-rank; the correction for ranks beyond the last is nil below 2^50
    for (std::size_t rank = kRanks; rank > 0; --rank) sum = 0.5 * (sum + with_rank[rank]);
    sum += kCount * sigma(with_rank[0] / kCount);
    return kAlpha * kCount * kCount / sum;
  }

 private:
  static constexpr std::size_t kRanks = 64 - kBits + 1;
  static constexpr double kCount = static_cast<double>(kRegisters);
  static constexpr double kAlpha = 0.7213475204444817;  // 1 / (2 ln 2)

  /// x + Σ x^(2^k) 2^(k-1), for 0 <= x < 1: what untouched registers tell.
  static double sigma(double x) {
    double sum = x;
    for (double weight = 1, before = -1; sum != before; weight += weight) {
      x *= x;
      before = sum;
      sum += x * weight;
    }
    return sum;
  }

  std::array<std::uint8_t, kRegisters> registers_{};
};

}  // namespace synfin::stack
