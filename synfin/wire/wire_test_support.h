// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this room share: octets from hexadecimal text, buffers without a spare octet, random
// headers.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "synfin/base/bytes.h"
#include "synfin/base/entropy.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/packet.h"

namespace synfin::wire::testing {

using Octets = std::vector<std::byte>;

/// `"45 00 1c"`; blanks are skipped.
inline Octets hex(std::string_view text) {
  const auto digit = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Octets out;
  for (std::size_t i = 0; i + 1 < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    out.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
    i += 2;
  }
  return out;
}

inline Octets random_octets(Entropy& entropy, std::size_t size) {
  Octets out(size);
  entropy.fill(out);
  return out;
}

/// A copy on the heap with no octet to spare, so that the address sanitizer sees every read past its end.
class ExactBuffer {
 public:
  explicit ExactBuffer(Bytes bytes) : size_(bytes.size()), data_(new std::byte[bytes.size()]) {
    if (size_ != 0) std::memcpy(data_.get(), bytes.data(), size_);
  }
  Bytes bytes() const { return {data_.get(), size_}; }
  std::byte* data() { return data_.get(); }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

/// A packet as a link reads it, each piece in an exact buffer. Outlives the frames that it lends.
class ExactPacket {
 public:
  explicit ExactPacket(Bytes packet) { add(packet); }
  /// The first `split` octets (the headers) and the rest in different pieces.
  ExactPacket(Bytes packet, std::size_t split) {
    add(packet.first(split));
    add(packet.subspan(split));
  }
  Frame frame() {
    Frame f;
    for (const auto& piece : pieces_) {
      ++piece->block.references;
      f.add(Slice{&piece->block, 0, piece->block.capacity});
    }
    return f;
  }

 private:
  struct Piece {
    explicit Piece(Bytes bytes) : buffer(bytes) {
      const auto size = static_cast<std::uint32_t>(bytes.size());
      block = {.pool = nullptr, .data = buffer.data(), .capacity = size, .used = size, .references = 1};
    }
    ExactBuffer buffer;
    Block block{};  // one reference is never given back, so no pool is asked to release it
  };
  void add(Bytes bytes) { pieces_.push_back(std::make_unique<Piece>(bytes)); }
  std::vector<std::unique_ptr<Piece>> pieces_;
};

inline Octets bytes_of(const Frame& frame) {
  Octets out(frame.size());
  frame.copy_out(0, out);
  return out;
}

inline IpAddress random_address(Entropy& entropy, Family family) {
  if (family == Family::kIpv4) return IpAddress::v4(entropy.u32());
  Octets octets = random_octets(entropy, 16);
  octets[0] = std::byte{0xfd};  // never IPv4-mapped
  return IpAddress::from_v6_octets(octets.data());
}

inline IpHeader random_ip_header(Entropy& entropy, Family family) {
  IpHeader h{.source = random_address(entropy, family),
             .destination = random_address(entropy, family),
             .protocol = protocol::kTcp,
             .hop_limit = static_cast<std::uint8_t>(entropy.u32()),
             .traffic_class = static_cast<std::uint8_t>(entropy.u32())};
  if (family == Family::kIpv4) {
    h.identification = static_cast<std::uint16_t>(entropy.u32());
    h.dont_fragment = entropy.below(2) == 0;
  } else {
    h.flow_label = entropy.below(1U << 20);
  }
  return h;
}

/// Any combination of options that can be written; SACK blocks may be more than fit.
inline TcpHeader random_tcp_header(Entropy& entropy) {
  TcpHeader h;
  h.source_port = static_cast<std::uint16_t>(entropy.u32());
  h.destination_port = static_cast<std::uint16_t>(entropy.u32());
  h.seq = SeqNum{entropy.u32()};
  h.ack = SeqNum{entropy.u32()};
  h.flags = Flags{static_cast<std::uint8_t>(entropy.u32())};
  h.reserved = static_cast<std::uint8_t>(entropy.below(16));
  h.window = {static_cast<std::uint16_t>(entropy.u32())};
  h.urgent_pointer = static_cast<std::uint16_t>(entropy.u32());
  TcpOptions& o = h.options;
  o.present = static_cast<std::uint8_t>(entropy.u32() &
                                        ~std::uint32_t{TcpOptions::kMd5 | TcpOptions::kAuthentication});
  o.window_scale = static_cast<std::uint8_t>(entropy.u32());
  o.mss = static_cast<std::uint16_t>(entropy.u32());
  o.timestamps = {entropy.u32(), entropy.u32()};
  o.sack_count = static_cast<std::uint8_t>(1 + entropy.below(TcpOptions::kMaxSack));
  for (SackBlock& block : o.sack) block = {SeqNum{entropy.u32()}, SeqNum{entropy.u32()}};
  o.cookie_size = static_cast<std::uint8_t>(entropy.below(2) == 0 ? 0 : 4 + 2 * entropy.below(7));
  entropy.fill(o.cookie);
  return h;
}

// Packets written by hand and checksummed by a program that shares no code with this one.
// 10.77.0.1 and fd77::1, port 49152, to 10.77.0.2 and fd77::2, port 80.
inline constexpr std::string_view kSynV4 =
    "45 00 00 3c 1c 46 40 00 40 06 09 da 0a 4d 00 01 0a 4d 00 02 c0 00 00 50 ff ff ff f0 00 00 00 00 "
    "a0 02 fa f0 78 d1 00 00 02 04 05 b4 04 02 08 0a 4d 96 b1 c9 00 00 00 00 01 03 03 07";
inline constexpr std::string_view kSynV6 =
    "60 2a bc de 00 28 06 40 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 00 01 fd 77 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 02 c0 00 00 50 ff ff ff f0 00 00 00 00 a0 02 fd 20 90 5f 00 00 02 04 05 a0 "
    "04 02 08 0a 4d 96 b1 c9 00 00 00 00 01 03 03 07";
inline constexpr std::string_view kDataV4 =
    "45 00 00 3b 1c 46 40 00 40 06 09 db 0a 4d 00 01 0a 4d 00 02 c0 00 00 50 ff ff ff f1 01 02 03 04 "
    "80 18 01 f6 83 96 00 00 01 01 08 0a 4d 96 b1 cd 11 22 33 44 47 45 54 20 2f 0d 0a";
inline constexpr std::string_view kDataV6 =
    "60 2a bc de 00 27 06 40 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 00 01 fd 77 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 02 c0 00 00 50 ff ff ff f1 01 02 03 04 80 18 01 f6 9d 40 00 00 01 01 08 0a "
    "4d 96 b1 cd 11 22 33 44 47 45 54 20 2f 0d 0a";
inline constexpr std::string_view kEchoV4 =
    "45 00 00 23 1c 46 40 00 40 01 09 f8 0a 4d 00 01 0a 4d 00 02 08 00 79 7c 12 34 00 01 73 79 6e 66 69 6e "
    "21";
inline constexpr std::string_view kEchoV6 =
    "60 2a bc de 00 0f 3a 40 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 00 01 fd 77 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 02 80 00 06 40 12 34 00 01 73 79 6e 66 69 6e 21";
inline constexpr std::string_view kEchoReplyV4 =
    "45 00 00 23 00 00 40 00 40 01 26 3e 0a 4d 00 02 0a 4d 00 01 00 00 81 7c 12 34 00 01 73 79 6e 66 69 6e "
    "21";
inline constexpr std::string_view kEchoReplyV6 =
    "60 20 00 00 00 0f 3a 40 fd 77 00 00 00 00 00 00 00 00 00 00 00 00 00 02 fd 77 00 00 00 00 00 00 "
    "00 00 00 00 00 00 00 01 81 00 05 40 12 34 00 01 73 79 6e 66 69 6e 21";

}  // namespace synfin::wire::testing
