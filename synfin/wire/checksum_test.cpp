// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/checksum.h"

#include <gtest/gtest.h>

#include "synfin/wire/wire_test_support.h"

namespace synfin::wire {
namespace {

using testing::ExactBuffer;
using testing::hex;
using testing::Octets;
using testing::random_octets;

TEST(OnesSum, IsThatOfTheExampleInRfc1071) {
  const Octets octets = hex("00 01 f2 03 f4 f5 f6 f7");  // §3
  EXPECT_EQ(ones_sum_reference(octets), 0xddf2);
  EXPECT_EQ(ones_sum(octets), 0xddf2);
}

TEST(OnesSum, PadsTheOddOctetWithZero) {
  EXPECT_EQ(ones_sum(hex("ab")), 0xab00);
  EXPECT_EQ(ones_sum(hex("00 01 ab")), 0xab01);
  EXPECT_EQ(ones_sum({}), 0);
}

TEST(OnesSum, OfARightHeaderIsAllOnes) {
  EXPECT_EQ(ones_sum(Bytes{hex(testing::kSynV4)}.first(20)), 0xffff);
}

TEST(OnesSum, EqualsTheReferenceForEveryShortLength) {
  SeededEntropy entropy{1071};
  for (std::size_t size = 0; size <= 300; ++size) {
    for (std::size_t offset = 0; offset < 33; ++offset) {
      const ExactBuffer buffer{random_octets(entropy, offset + size)};
      const Bytes octets = buffer.bytes().subspan(offset);
      ASSERT_EQ(ones_sum(octets), ones_sum_reference(octets)) << "size " << size << " offset " << offset;
    }
  }
}

// All ones carries at every step; all zeros is the only sum of 0.
TEST(OnesSum, EqualsTheReferenceAtTheExtremes) {
  for (std::size_t size = 0; size <= 300; ++size) {
    for (const auto fill : {std::byte{0x00}, std::byte{0xff}}) {
      const ExactBuffer buffer{Octets(size, fill)};
      ASSERT_EQ(ones_sum(buffer.bytes()), ones_sum_reference(buffer.bytes())) << size;
      ASSERT_EQ(ones_sum(buffer.bytes()) == 0, size == 0 || fill == std::byte{0}) << size;
    }
  }
  const Octets large(1 << 20, std::byte{0xff});
  EXPECT_EQ(ones_sum(large), 0xffff);
}

TEST(OnesSum, EqualsTheReferenceForLargeSizes) {
  SeededEntropy entropy{1624};
  const Octets octets = random_octets(entropy, (1 << 20) + 77);
  for (const std::size_t size : {1460U, 1500U, 4096U, 9001U, 65'535U, 65'536U, (1U << 20) + 70U}) {
    for (const std::size_t offset : {0U, 1U, 2U, 3U, 7U}) {
      const Bytes part = Bytes{octets}.subspan(offset, size);
      EXPECT_EQ(ones_sum(part), ones_sum_reference(part)) << "size " << size << " offset " << offset;
    }
  }
}

TEST(ChecksumAccumulator, DoesNotMindWhereThePiecesAreCut) {
  SeededEntropy entropy{2460};
  for (int round = 0; round < 3000; ++round) {
    const Octets octets = random_octets(entropy, entropy.below(500));
    ChecksumAccumulator sum;
    Bytes left = octets;
    while (!left.empty()) {
      const std::size_t take =
          entropy.below(static_cast<std::uint32_t>(std::min<std::size_t>(left.size(), 9)) + 1);
      sum.add(left.first(take));
      left = left.subspan(take);
    }
    ASSERT_EQ(sum.finish(), static_cast<std::uint16_t>(~ones_sum_reference(octets))) << "round " << round;
  }
}

TEST(ChecksumAccumulator, AWordIsTwoOctets) {
  ChecksumAccumulator words;
  words.add_u16(0xfffe);
  words.add_u16(0x0003);
  ChecksumAccumulator octets;
  octets.add(hex("ff fe 00 03"));
  EXPECT_EQ(words.finish(), octets.finish());
}

TEST(ChecksumAccumulator, ThePseudoHeaderIsThatOfTheRfcs) {
  SeededEntropy entropy{9293};
  for (int round = 0; round < 500; ++round) {
    const Family family = entropy.below(2) == 0 ? Family::kIpv4 : Family::kIpv6;
    const IpAddress source = testing::random_address(entropy, family);
    const IpAddress destination = testing::random_address(entropy, family);
    const std::uint32_t length = entropy.below(65'536);
    Octets header;
    header.insert(header.end(), source.wire_octets().begin(), source.wire_octets().end());
    header.insert(header.end(), destination.wire_octets().begin(), destination.wire_octets().end());
    Octets tail(family == Family::kIpv4 ? 4 : 8);  // zero, protocol, length; length, zeros, next header
    if (family == Family::kIpv4) {
      store_u8(tail.data() + 1, 6);
      store_be16(tail.data() + 2, static_cast<std::uint16_t>(length));
    } else {
      store_be32(tail.data(), length);
      store_u8(tail.data() + 7, 6);
    }
    header.insert(header.end(), tail.begin(), tail.end());
    ChecksumAccumulator sum;
    sum.add_pseudo_header(source, destination, 6, length);
    ASSERT_EQ(sum.finish(), static_cast<std::uint16_t>(~ones_sum_reference(header))) << "round " << round;
  }
}

TEST(ChecksumAccumulator, TakesAnyRangeOfAFrame) {
  BlockPool pool;
  SeededEntropy entropy{77};
  for (int round = 0; round < 2000; ++round) {
    Frame frame;
    frame.header_size = static_cast<std::uint16_t>(entropy.below(61));
    entropy.fill({frame.header.data(), frame.header_size});
    const std::uint32_t slices = entropy.below(Frame::kMaxSlices + 1);
    for (std::uint32_t i = 0; i < slices; ++i)
      frame.add(pool.copy(random_octets(entropy, entropy.below(50))));
    const Octets octets = testing::bytes_of(frame);
    const std::size_t offset = entropy.below(static_cast<std::uint32_t>(octets.size() + 1));
    const std::size_t count = entropy.below(static_cast<std::uint32_t>(octets.size() - offset + 1));
    ChecksumAccumulator sum;
    sum.add_frame(frame, offset, count);
    ASSERT_EQ(sum.finish(),
              static_cast<std::uint16_t>(~ones_sum_reference(Bytes{octets}.subspan(offset, count))))
        << "round " << round;
  }
}

}  // namespace
}  // namespace synfin::wire
