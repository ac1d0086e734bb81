// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/copy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "synfin/wire/checksum.h"
#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::ExactBuffer;
using testing::Octets;
using testing::random_octets;

constexpr std::byte kUntouched{0xa5};

// Both copies of `from` to `offset` of a buffer: nothing before, nothing behind, and the right sum.
void expect_copied(Bytes from, std::size_t offset) {
  for (const bool summed : {false, true}) {
    Octets to(offset + from.size() + 40, kUntouched);
    if (summed) {
      ASSERT_EQ(copy_and_sum(to.data() + offset, from), ones_sum_reference(from)) << from.size();
    } else {
      copy_text(to.data() + offset, from);
    }
    const auto begin = to.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(from.size());
    ASSERT_TRUE(std::equal(begin, end, from.begin(), from.end())) << from.size() << " to " << offset;
    const auto untouched = [](std::byte b) { return b == kUntouched; };
    ASSERT_TRUE(std::all_of(to.begin(), begin, untouched)) << from.size() << " to " << offset;
    ASSERT_TRUE(std::all_of(end, to.end(), untouched)) << from.size() << " to " << offset;
  }
}

TEST(Copy, OfEveryShortLengthToEveryPlace) {
  SeededEntropy entropy{4711};
  for (std::size_t size = 0; size <= 700; ++size) {
    const ExactBuffer buffer{random_octets(entropy, size % 9 + size)};
    const Bytes from = buffer.bytes().subspan(size % 9);
    for (std::size_t offset = 0; offset <= 33; ++offset) expect_copied(from, offset);
  }
}

TEST(Copy, OfLargePieces) {
  SeededEntropy entropy{815};
  const Octets octets = random_octets(entropy, (1 << 20) + 200);
  for (const std::size_t size : {1448U, 1460U, 8948U, 16'384U, 65'535U, 65'536U, (1U << 20) + 77U}) {
    for (const std::size_t offset : {0U, 1U, 8U, 31U})
      expect_copied(Bytes{octets}.subspan(offset, size), offset);
  }
}

TEST(Copy, SumsTheExtremes) {
  for (std::size_t size = 0; size <= 600; ++size) {
    expect_copied(Octets(size, std::byte{0xff}), size % 32);
    expect_copied(Octets(size, std::byte{0}), size % 32);
  }
  expect_copied(Octets(1 << 20, std::byte{0xff}), 3);
}

}  // namespace
}  // namespace synfin::wire
