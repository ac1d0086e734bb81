// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/virtio_header.h"

#include <gtest/gtest.h>

#include <string>

#include "synfin/base/entropy.h"
#include "synfin/link/test_frames.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::link {
namespace {

using testing::bytes_of;
using testing::text_of;
using wire::Family;

// virtio 1.2 §5.1.6: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
struct Told {
  int flags = 0, type = 0, header = 0, segment = 0, start = 0, field = 0;
  friend bool operator==(const Told&, const Told&) = default;
};

void PrintTo(const Told& t, std::ostream* out) {
  *out << "flags " << t.flags << " type " << t.type << " header " << t.header << " segment " << t.segment
       << " start " << t.start << " field " << t.field;
}

Told told(const VirtioHeader& h) {
  const auto word = [&](std::size_t i) {
    std::uint16_t value = 0;
    std::memcpy(&value, h.data() + i, sizeof value);
    return int{value};
  };
  return {std::to_integer<int>(h[0]), std::to_integer<int>(h[1]), word(2), word(4), word(6), word(8)};
}

VirtioHeader raw(const Told& t) {
  VirtioHeader h{};
  h[0] = static_cast<std::byte>(t.flags);
  h[1] = static_cast<std::byte>(t.type);
  std::size_t i = 2;
  for (const int value : {t.header, t.segment, t.start, t.field}) {
    const auto word = static_cast<std::uint16_t>(value);
    std::memcpy(h.data() + i, &word, sizeof word);
    i += sizeof word;
  }
  return h;
}

class VirtioHeaderTest : public ::testing::Test {
 protected:
  // A segment as the stack emits it, its checksum left to the link.
  wire::Frame segment(Family family, std::size_t text, std::uint16_t segment_size,
                      std::uint8_t flags = wire::Flags::kAck, bool timestamps = false) {
    const bool v4 = family == Family::kIpv4;
    const wire::IpHeader ip{.source = wire::IpAddress::parse(v4 ? "10.77.0.2" : "fd77::2").value(),
                            .destination = wire::IpAddress::parse(v4 ? "10.77.0.1" : "fd77::1").value()};
    wire::TcpHeader tcp;
    tcp.source_port = 80;
    tcp.destination_port = 49152;
    tcp.flags = flags;
    if (timestamps) tcp.options.present = wire::TcpOptions::kTimestamps;
    wire::Frame frame;
    const std::string all(text, 'x');
    if (text != 0) frame.add(pool_.copy(bytes_of(all)));
    wire::emit_tcp_packet(ip, tcp, frame, wire::FillChecksum::kPseudoHeaderOnly);
    frame.segment_size = segment_size;
    return frame;
  }
  // The same octets as a link would have read them.
  wire::Frame as_read(const wire::Frame& frame) {
    wire::Frame read;
    read.add(pool_.copy(bytes_of(text_of(frame))));
    return read;
  }

  wire::BlockPool pool_;
};

TEST_F(VirtioHeaderTest, WholePacketNeedsNothing) {
  EXPECT_EQ(told(virtio_header_of(testing::frame_of(pool_, "whatever")).value()), Told{});
}

TEST_F(VirtioHeaderTest, SaysWhereTheChecksumGoes) {
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv4, 0, 0)).value()), (Told{1, 0, 40, 0, 20, 16}));
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv6, 100, 0)).value()), (Told{1, 0, 60, 0, 40, 16}));
}

TEST_F(VirtioHeaderTest, SaysHowToDivide) {
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv4, 3000, 1448, wire::Flags::kAck, true)).value()),
            (Told{1, 1, 52, 1448, 20, 16}));
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv6, 3000, 1440)).value()),
            (Told{1, 4, 60, 1440, 40, 16}));
}

TEST_F(VirtioHeaderTest, OneSegmentIsNotDivided) {
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv4, 1460, 1460)).value()), (Told{1, 0, 40, 0, 20, 16}));
}

TEST_F(VirtioHeaderTest, CwrIsForTheFirstSegmentOnly) {
  const auto flags = static_cast<std::uint8_t>(wire::Flags::kAck | wire::Flags::kCwr);
  EXPECT_EQ(told(virtio_header_of(segment(Family::kIpv4, 3000, 1460, flags)).value()).type, 0x81);
}

TEST_F(VirtioHeaderTest, WhatIsNotTcpHasNoHeader) {
  wire::Frame frame = testing::frame_of(pool_, std::string(60, 'E'));
  frame.needs_checksum = true;
  EXPECT_FALSE(virtio_header_of(frame));
  frame.needs_checksum = false;
  frame.segment_size = 10;
  EXPECT_FALSE(virtio_header_of(frame));
}

TEST_F(VirtioHeaderTest, WhatWasSaidIsUnderstood) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    for (const std::uint16_t size : {std::uint16_t{0}, std::uint16_t{1000}}) {
      const wire::Frame sent = segment(family, 2500, size);
      wire::Frame read = as_read(sent);
      ASSERT_TRUE(apply_virtio_header(virtio_header_of(sent).value(), read));
      EXPECT_EQ(read.segment_size, size);
      EXPECT_TRUE(read.needs_checksum);
      EXPECT_TRUE(read.checksum_verified);
      EXPECT_EQ(text_of(read), text_of(sent));
    }
  }
}

TEST_F(VirtioHeaderTest, NothingSaidLeavesTheChecksumToBeVerified) {
  wire::Frame read = as_read(segment(Family::kIpv4, 100, 0));
  ASSERT_TRUE(apply_virtio_header({}, read));
  EXPECT_FALSE(read.checksum_verified);
  EXPECT_FALSE(read.needs_checksum);
}

TEST_F(VirtioHeaderTest, VouchedFor) {
  wire::Frame read = as_read(segment(Family::kIpv4, 100, 0));
  ASSERT_TRUE(apply_virtio_header(raw({.flags = 2}), read));
  EXPECT_TRUE(read.checksum_verified);
  EXPECT_FALSE(read.needs_checksum);
}

TEST_F(VirtioHeaderTest, ChecksumOfADatagramIsFilledIn) {
  std::string packet(28, '\0');
  packet[0] = 'E';
  packet[9] = 17;
  packet += "text of odd length";
  packet += '!';
  wire::Frame read;
  read.add(pool_.copy(bytes_of(packet)));
  ASSERT_TRUE(apply_virtio_header(raw({.flags = 1, .start = 20, .field = 6}), read));
  EXPECT_FALSE(read.needs_checksum);
  EXPECT_FALSE(read.checksum_verified);
  // The sum over what contains its own complement.
  EXPECT_EQ(wire::ones_sum_reference(read.front().subspan(20)), 0xffff);
}

TEST_F(VirtioHeaderTest, WhatCannotBeTrueIsRefused) {
  const auto refused = [&](const Told& t, Family family = Family::kIpv4) {
    wire::Frame read = as_read(segment(family, 3000, 0));
    return !apply_virtio_header(raw(t), read);
  };
  EXPECT_FALSE(refused({1, 1, 40, 1460, 20, 16}));
  EXPECT_TRUE(refused({1, 1, 40, 0, 20, 16})) << "segments of nothing";
  EXPECT_TRUE(refused({1, 4, 40, 1460, 20, 16})) << "IPv6, it says";
  EXPECT_TRUE(refused({1, 1, 60, 1440, 40, 16}, Family::kIpv6)) << "IPv4, it says";
  EXPECT_TRUE(refused({1, 3, 40, 1460, 20, 16})) << "UDP, it says";
  EXPECT_TRUE(refused({1, 0x80, 40, 1460, 20, 16})) << "CWR without division";
  EXPECT_TRUE(refused({1, 0, 40, 0, 21, 16})) << "TCP begins elsewhere";
  EXPECT_TRUE(refused({1, 0, 40, 0, 20, 6})) << "the field of UDP";
  EXPECT_TRUE(refused({1, 0, 40, 0, 65535, 65535})) << "beyond the end";
  EXPECT_TRUE(refused({4, 0, 40, 0, 20, 16})) << "a flag that was not agreed to";
  EXPECT_TRUE(refused({0xff, 0xff, -1, -1, -1, -1}));
}

TEST_F(VirtioHeaderTest, AnyHeaderOnAnyPacketIsAnsweredWithinThePacket) {
  constexpr std::uint64_t kSeed = 20261121;
  SeededEntropy entropy{kSeed};
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    VirtioHeader header;
    entropy.fill(header);
    // Near what is right: that is where the mistakes are.
    if (entropy.below(2) == 0) header[0] &= std::byte{3};
    if (entropy.below(2) == 0)
      header[1] = std::byte{entropy.below(2) == 0 ? std::uint8_t{1} : std::uint8_t{0}};
    for (std::size_t high : {7U, 9U}) {
      if (entropy.below(4) != 0) header[high] = std::byte{0};
    }
    wire::Frame read;
    if (entropy.below(2) == 0) {
      read = as_read(segment(entropy.below(2) == 0 ? Family::kIpv4 : Family::kIpv6, entropy.below(100), 0));
    } else {
      std::string packet(entropy.below(120), '\0');
      entropy.fill(std::as_writable_bytes(std::span{packet}));
      if (!packet.empty()) packet[0] = static_cast<char>((entropy.below(2) == 0 ? 0x45 : 0x60));
      // A block of its size, so that the sanitizer sees a step beyond it.
      read.add(pool_.copy(bytes_of(packet)));
    }
    const std::size_t size = read.size();
    if (!apply_virtio_header(header, read)) {
      ++refused;
      continue;
    }
    ASSERT_EQ(read.size(), size) << "seed " << kSeed << ", packet " << i;
    if (read.needs_checksum || read.segment_size != 0) {
      const auto ip = wire::parse_ip(read.front(), read.size());
      ASSERT_TRUE(!ip || ip->header.protocol == wire::protocol::kTcp) << "seed " << kSeed << ", packet " << i;
    }
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_LT(refused, 20'000U);
}

}  // namespace
}  // namespace synfin::link
