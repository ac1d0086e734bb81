// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/user_timeout.h"

#include <algorithm>

namespace synfin::tcp {
namespace {

constexpr std::uint16_t kMinutes = 0x8000;
constexpr std::int64_t kMost = 0x7fff;
// "the lower limit … SHOULD be at least as long as … 100 seconds"; the upper one keeps a peer from having
// memory held for weeks (§3.1, §6).
constexpr Duration kLowerLimit = Duration::seconds(100);
constexpr Duration kUpperLimit = Duration::seconds(3600);

std::int64_t round_up(Duration d, Duration unit) {
  return (d + unit - Duration::nanoseconds(1)) / unit;
}

}  // namespace

std::uint16_t encode_user_timeout(Duration timeout) {
  const std::int64_t seconds = std::max<std::int64_t>(round_up(timeout, Duration::seconds(1)), 1);
  if (seconds <= kMost) return static_cast<std::uint16_t>(seconds);
  const std::int64_t minutes = round_up(timeout, Duration::seconds(60));
  return static_cast<std::uint16_t>(kMinutes | std::min(minutes, kMost));
}

Duration decode_user_timeout(std::uint16_t field) {
  return Duration::seconds((field & kMinutes) != 0 ? (field & kMost) * 60 : field);
}

Duration agreed_user_timeout(Duration advertised, Duration remote) {
  return std::min(kUpperLimit, std::max({advertised, remote, kLowerLimit}));
}

}  // namespace synfin::tcp
