// SPDX-License-Identifier: Apache-2.0
//
// Network byte order, on spans whose bounds the caller has already checked.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace synfin {

static_assert(std::endian::native == std::endian::little || std::endian::native == std::endian::big);

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

constexpr std::uint16_t swap_if_little(std::uint16_t v) {
  return std::endian::native == std::endian::little ? __builtin_bswap16(v) : v;
}
constexpr std::uint32_t swap_if_little(std::uint32_t v) {
  return std::endian::native == std::endian::little ? __builtin_bswap32(v) : v;
}
constexpr std::uint64_t swap_if_little(std::uint64_t v) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(v) : v;
}
constexpr std::uint64_t swap_if_big(std::uint64_t v) {
  return std::endian::native == std::endian::big ? __builtin_bswap64(v) : v;
}

inline std::uint8_t load_u8(const std::byte* p) { return std::to_integer<std::uint8_t>(*p); }
inline std::uint16_t load_be16(const std::byte* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return swap_if_little(v);
}
inline std::uint32_t load_be32(const std::byte* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return swap_if_little(v);
}
inline void store_u8(std::byte* p, std::uint8_t v) { *p = std::byte{v}; }
inline void store_be16(std::byte* p, std::uint16_t v) {
  v = swap_if_little(v);
  std::memcpy(p, &v, sizeof v);
}
inline void store_be32(std::byte* p, std::uint32_t v) {
  v = swap_if_little(v);
  std::memcpy(p, &v, sizeof v);
}

}  // namespace synfin
