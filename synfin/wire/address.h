// SPDX-License-Identifier: Apache-2.0
//
// One address type for both families. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "synfin/base/bytes.h"

namespace synfin::wire {

enum class Family : std::uint8_t {
  kIpv4,
  kIpv6
};

class IpAddress {
 public:
  /// `::`, the unspecified IPv6 address.
  constexpr IpAddress() = default;
  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return v4(std::uint32_t{a} << 24 | std::uint32_t{b} << 16 | std::uint32_t{c} << 8 | d);
  }
  /// Host order: 0x7f000001 is 127.0.0.1.
  static constexpr IpAddress v4(std::uint32_t bits) {
    IpAddress r;
    r.octets_ = std::bit_cast<Octets>(Words{0, swap_if_little(kMapped << 32 | bits)});
    return r;
  }
  static IpAddress from_v4_octets(const std::byte* four) { return v4(load_be32(four)); }
  static IpAddress from_v6_octets(const std::byte* sixteen) {
    IpAddress r;
    std::memcpy(r.octets_.data(), sixteen, r.octets_.size());
    return r;
  }
  static constexpr IpAddress any(Family f) { return f == Family::kIpv4 ? v4(0) : IpAddress{}; }
  /// Dotted quad or RFC 4291 text; no zone, no prefix length. Nothing is looked up.
  static std::optional<IpAddress> parse(std::string_view text);

  constexpr bool is_v4() const {
    const Words w = words();
    return w[0] == 0 && swap_if_little(w[1]) >> 32 == kMapped;
  }
  Family family() const { return is_v4() ? Family::kIpv4 : Family::kIpv6; }
  /// Only for IPv4; host order.
  constexpr std::uint32_t v4_bits() const { return static_cast<std::uint32_t>(swap_if_little(words()[1])); }
  /// All sixteen octets; the last four are the IPv4 address where `is_v4()`.
  const std::array<std::byte, 16>& octets() const { return octets_; }
  /// As on the wire: 4 or 16 octets.
  Bytes wire_octets() const { return is_v4() ? Bytes{octets_}.subspan(12) : Bytes{octets_}; }

  bool is_unspecified() const { return *this == IpAddress{} || *this == v4(0); }
  bool is_multicast() const { return is_v4() ? (v4_bits() >> 28) == 0xe : octets_[0] == std::byte{0xff}; }
  bool is_loopback() const { return is_v4() ? (v4_bits() >> 24) == 127 : *this == v6_loopback(); }
  /// 255.255.255.255; directed broadcasts depend on the prefix (see `Prefix::broadcast`).
  bool is_limited_broadcast() const { return is_v4() && v4_bits() == 0xffff'ffff; }
  bool is_link_local() const;
  /// May be somebody's: neither unspecified nor multicast, loopback or limited broadcast.
  bool is_host() const {
    if (!is_v4()) return !is_unspecified() && !is_multicast() && !is_loopback();
    const std::uint32_t bits = v4_bits(), net = bits >> 24;
    return bits != 0 && net != 127 && net >> 4 != 0xe && bits != 0xffff'ffff;
  }

  /// RFC 5952 text.
  std::string to_string() const;

  // Written and read as two words everywhere: octets would cost more than the rest of a look-up.
  friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
    const Words x = a.words(), y = b.words();
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
  }
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  using Octets = std::array<std::byte, 16>;
  using Words = std::array<std::uint64_t, 2>;
  static constexpr std::uint64_t kMapped = 0xffff;
  constexpr Words words() const { return std::bit_cast<Words>(octets_); }
  static constexpr IpAddress v6_loopback() {
    IpAddress r;
    r.octets_[15] = std::byte{1};
    return r;
  }

  std::array<std::byte, 16> octets_{};
};

/// An address with a prefix length, such as 10.77.0.2/24. `length` counts in the address's own family (0–32,
/// 0–128).
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  static std::optional<Prefix> parse(std::string_view text);
  bool contains(const IpAddress& a) const;
  /// The IPv4 directed broadcast address; none for IPv6 and for /31, /32.
  std::optional<IpAddress> broadcast() const;
  std::string to_string() const;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  /// `10.77.0.2:80`, `[fd77::2]:80`.
  std::string to_string() const;
  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// What identifies a connection, seen from this side. 36 bytes without padding: it is hashed as it lies in
/// memory.
struct FourTuple {
  Endpoint local;
  Endpoint remote;
  FourTuple reversed() const { return {remote, local}; }
  friend constexpr auto operator<=>(const FourTuple&, const FourTuple&) = default;
};
static_assert(sizeof(Endpoint) == 18 && sizeof(FourTuple) == 36);
static_assert(std::has_unique_object_representations_v<FourTuple>);

/// A 4-tuple as keyed hashes take it: addresses first, then ports, then whatever is to be hashed with it.
/// IPv4 without the prefix that all mapped addresses have in common, which saves SipHash three blocks of
/// five. Made of whole words, as SipHash reads it.
class PackedTuple {
 public:
  explicit PackedTuple(const FourTuple& t) : PackedTuple(t, 0, 0) { size_ -= 9; }
  /// With 72 bits more, the upper 24 of `last` left out.
  PackedTuple(const FourTuple& t, std::uint32_t more, std::uint64_t last) {
    std::size_t at = 0;
    if (t.local.address.is_v4() && t.remote.address.is_v4()) {
      words_[at++] = swap_if_big(std::uint64_t{t.local.address.v4_bits()} << 32 | t.remote.address.v4_bits());
    } else {
      std::memcpy(&words_[0], t.local.address.octets().data(), 16);
      std::memcpy(&words_[2], t.remote.address.octets().data(), 16);
      at = 4;
    }
    const std::uint32_t ports = std::uint32_t{t.local.port} << 16 | t.remote.port;
    words_[at++] = swap_if_big(std::uint64_t{more} << 32 | ports);
    words_[at++] = swap_if_big(last);
    size_ = at * sizeof(std::uint64_t) - 3;
  }
  Bytes bytes() const { return std::as_bytes(std::span{words_}).first(size_); }

 private:
  std::array<std::uint64_t, 6> words_;
  std::size_t size_;
};

}  // namespace synfin::wire
