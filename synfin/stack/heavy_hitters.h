// SPDX-License-Identifier: Apache-2.0
//
// Who comes most often, in bounded memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace synfin::stack {

/// Space-Saving (Metwally, Agrawal, El Abbadi 2005) with ageing: whatever has more than 1 / kSize of the
/// weight is in it. Every key's count is known from below (`at_least`), short by at most that share. Looks at
/// all keys for each weight added: nobody can choose keys that make it slower.
template <std::size_t kSize>
class HeavyHitters {
 public:
  struct Hitter {
    std::uint64_t key = 0;
    std::uint64_t at_least = 0;
  };

  void add(std::uint64_t key, std::uint64_t weight) {
    total_ += weight;
    for (std::size_t i = 0; i < kSize; ++i) {
      if (keys_[i] == key && counts_[i] != 0) {
        counts_[i] += weight;
        return;
      }
    }
    std::size_t least = 0;
    std::uint64_t least_count = counts_[0];
    for (std::size_t i = 1; i < kSize; ++i) {
      const bool less = counts_[i] < least_count;
      least = less ? i : least;
      least_count = less ? counts_[i] : least_count;
    }
    // The newcomer may have come as often before as the one it replaces.
    keys_[least] = key;
    errors_[least] = least_count;
    counts_[least] = least_count + weight;
  }
  /// Everything so far weighs `factor` (0 to 1) of what it weighed.
  void age(double factor) {
    const auto aged = [factor](std::uint64_t n) {
      return static_cast<std::uint64_t>(factor * static_cast<double>(n));
    };
    for (std::size_t i = 0; i < kSize; ++i) {
      counts_[i] = aged(counts_[i]);
      errors_[i] = aged(errors_[i]);
    }
    total_ = aged(total_);
  }
  void clear() { *this = {}; }

  /// All weight that was added, aged.
  std::uint64_t total() const { return total_; }
  /// What of it is known to belong to the keys that are held.
  std::uint64_t known() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kSize; ++i) sum += counts_[i] - errors_[i];
    return std::min(sum, total_);
  }
  /// The heaviest, heaviest first; all of `out` is written, with nothing at the end where there are fewer.
  void top(std::span<Hitter> out) const {
    std::array<Hitter, kSize> all;
    for (std::size_t i = 0; i < kSize; ++i) all[i] = {keys_[i], std::min(counts_[i] - errors_[i], total_)};
    const std::size_t wanted = std::min(out.size(), kSize);
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(wanted), all.end(),
                      [](const Hitter& a, const Hitter& b) { return a.at_least > b.at_least; });
    std::fill(std::copy_n(all.begin(), wanted, out.begin()), out.end(), Hitter{});
  }

 private:
  std::array<std::uint64_t, kSize> keys_{};
  std::array<std::uint64_t, kSize> counts_{};
  /// What of a count may be somebody else's.
  std::array<std::uint64_t, kSize> errors_{};
  std::uint64_t total_ = 0;
};

}  // namespace synfin::stack
