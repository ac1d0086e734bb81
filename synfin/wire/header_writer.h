// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "synfin/base/bytes.h"

namespace synfin::wire {

/// What a piece of a header takes, and the sum of its words for `ChecksumAccumulator::add_words`.
struct Written {
  std::size_t size = 0;
  std::uint64_t sum = 0;
};

/// Writes a header as 32-bit words and sums them on the way. To read back for the checksum what has just been
/// stored in smaller pieces would wait for the stores.
class HeaderWriter {
 public:
  explicit HeaderWriter(std::byte* out) : begin_(out), at_(out) {}
  void word(std::uint32_t v) {
    store_be32(at_, v);
    at_ += sizeof v;
    sum_ += v;
  }
  Written written() const { return {static_cast<std::size_t>(at_ - begin_), sum_}; }

 private:
  std::byte* begin_;
  std::byte* at_;
  std::uint64_t sum_ = 0;
};

}  // namespace synfin::wire
