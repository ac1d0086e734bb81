// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace synfin::tcp {

/// The largest value of the period under way and the one before it. Whoever owns it says when a period ends.
class MaxFilter {
 public:
  void update(std::uint64_t value) { now_ = std::max(now_, value); }
  void advance() {
    before_ = now_;
    now_ = 0;
  }
  std::uint64_t best() const { return std::max(before_, now_); }
  /// Of the period under way.
  std::uint64_t current() const { return now_; }

 private:
  std::uint64_t before_ = 0, now_ = 0;
};

}  // namespace synfin::tcp
