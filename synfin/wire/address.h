// SPDX-License-Identifier: Apache-2.0
//
// One address type for both families. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
#pragma once

#include <array>
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
    IpAddress r;
    r.octets_[10] = r.octets_[11] = std::byte{0xff};
    r.octets_[12] = std::byte{a};
    r.octets_[13] = std::byte{b};
    r.octets_[14] = std::byte{c};
    r.octets_[15] = std::byte{d};
    return r;
  }
  /// Host order: 0x7f000001 is 127.0.0.1.
  static constexpr IpAddress v4(std::uint32_t bits) {
    return v4(static_cast<std::uint8_t>(bits >> 24), static_cast<std::uint8_t>(bits >> 16),
              static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits));
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

  bool is_v4() const {
    std::uint64_t high;
    std::memcpy(&high, octets_.data(), sizeof high);
    return high == 0 && load_be32(octets_.data() + 8) == 0xffff;
  }
  Family family() const { return is_v4() ? Family::kIpv4 : Family::kIpv6; }
  /// Only for IPv4; host order.
  std::uint32_t v4_bits() const { return load_be32(octets_.data() + 12); }
  /// All sixteen octets; the last four are the IPv4 address where `is_v4()`.
  const std::array<std::byte, 16>& octets() const { return octets_; }
  /// As on the wire: 4 or 16 octets.
  Bytes wire_octets() const { return is_v4() ? Bytes{octets_}.subspan(12) : Bytes{octets_}; }

  bool is_unspecified() const;
  bool is_multicast() const;
  bool is_loopback() const;
  /// 255.255.255.255; directed broadcasts depend on the prefix (see `Prefix::broadcast`).
  bool is_limited_broadcast() const;
  bool is_link_local() const;

  /// RFC 5952 text.
  std::string to_string() const;

  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
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

}  // namespace synfin::wire
