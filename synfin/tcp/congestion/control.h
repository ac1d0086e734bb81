// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace synfin::tcp {

/// The congestion controllers there are, in the order of `Congestion`'s variant.
enum class CongestionControl : std::uint8_t {
  kCubic,  // RFC 9438 with HyStart++ (RFC 9406)
  kReno,   // RFC 5681
  kNone,   // only the peer's window limits
  kBbr,    // draft-ietf-ccwg-bbr, version 3
};

/// By Linux's names where Linux has them.
inline constexpr std::array<std::string_view, 4> kCongestionControls = {"cubic", "reno", "none", "bbr"};

constexpr std::string_view name_of(CongestionControl c) {
  return kCongestionControls[std::to_underlying(c)];
}
/// nullopt: there is none of that name.
constexpr std::optional<CongestionControl> congestion_control(std::string_view name) {
  for (std::size_t i = 0; i < kCongestionControls.size(); ++i) {
    if (kCongestionControls[i] == name) return static_cast<CongestionControl>(i);
  }
  return std::nullopt;
}

}  // namespace synfin::tcp
