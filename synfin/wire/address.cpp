// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace synfin::wire {
namespace {

constexpr std::size_t kMappedPrefixOctets = 12;

// The longest run of two or more zero groups, the first of equals (RFC 5952 §4.2).
struct ZeroRun {
  std::size_t first = 0;
  std::size_t count = 0;
};

ZeroRun longest_zero_run(const std::byte* octets) {
  ZeroRun best;
  ZeroRun run;
  for (std::size_t group = 0; group < 8; ++group) {
    if (load_be16(octets + 2 * group) != 0) {
      run.count = 0;
      continue;
    }
    if (run.count++ == 0) run.first = group;
    if (run.count >= 2 && run.count > best.count) best = run;
  }
  return best;
}

std::string v6_text(const std::byte* octets) {
  const ZeroRun zeros = longest_zero_run(octets);
  std::string text;
  std::size_t group = 0;
  while (group < 8) {
    if (zeros.count != 0 && group == zeros.first) {
      text += "::";
      group += zeros.count;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    std::array<char, 4> digits;
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), load_be16(octets + 2 * group), 16);
    text.append(digits.data(), end.ptr);
    ++group;
  }
  return text;
}

std::string v4_text(const std::byte* octets) {
  std::string text;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i != 0) text += '.';
    text += std::to_string(load_u8(octets + i));
  }
  return text;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a terminator, and would take a zero octet inside the text for one.
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated.begin());

  std::array<std::byte, 16> octets;
  if (inet_pton(AF_INET, terminated.data(), octets.data()) == 1) return from_v4_octets(octets.data());
  if (inet_pton(AF_INET6, terminated.data(), octets.data()) == 1) return from_v6_octets(octets.data());
  return std::nullopt;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return (v4_bits() >> 16) == 0xa9fe;        // 169.254.0.0/16, RFC 3927
  return (load_be16(octets_.data()) & 0xffc0) == 0xfe80;  // fe80::/10, RFC 4291 §2.5.6
}

std::string IpAddress::to_string() const {
  return is_v4() ? v4_text(octets_.data() + kMappedPrefixOctets) : v6_text(octets_.data());
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || (digits.size() > 1 && digits[0] == '0')) return std::nullopt;

  std::uint8_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (length > (address->is_v4() ? 32 : 128)) return std::nullopt;
  return Prefix{*address, length};
}

bool Prefix::contains(const IpAddress& a) const {
  if (a.family() != address.family()) return false;
  const std::size_t bits = length + (a.is_v4() ? 8 * kMappedPrefixOctets : 0);
  const std::size_t whole = bits / 8;
  if (std::memcmp(a.octets().data(), address.octets().data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const unsigned differing =
      static_cast<unsigned>(load_u8(&a.octets()[whole]) ^ load_u8(&address.octets()[whole]));
  return (differing >> (8 - bits % 8)) == 0;
}

std::optional<IpAddress> Prefix::broadcast() const {
  // A /31 has no broadcast address (RFC 3021), a /32 has no other host.
  if (!address.is_v4() || length > 30) return std::nullopt;
  return IpAddress::v4(address.v4_bits() | (0xffff'ffffU >> length));
}

std::string Prefix::to_string() const {
  return address.to_string() + '/' + std::to_string(length);
}

std::string Endpoint::to_string() const {
  const std::string text = address.to_string();
  return (address.is_v4() ? text : '[' + text + ']') + ':' + std::to_string(port);
}

}  // namespace synfin::wire
