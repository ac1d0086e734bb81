// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "synfin/base/bytes.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// The options MSS, SACK permitted and timestamps, NOP window scale: what Linux, and whoever does as Linux
/// does, puts on a SYN. False, and nothing changed, where they are others.
inline bool read_usual_syn(Bytes options, TcpOptions& o) {
  constexpr std::size_t kSize = 20;
  constexpr std::uint32_t kMssHead = 0x0204'0000, kSackAndTimestamps = 0x0402'080a,
                          kNopWindowScale = 0x0103'0300;
  if (options.size() != kSize) return false;
  const std::byte* p = options.data();
  const std::uint32_t mss = load_be32(p), scale = load_be32(p + 16);
  if ((mss & 0xffff'0000) != kMssHead || load_be32(p + 4) != kSackAndTimestamps ||
      (scale & 0xffff'ff00) != kNopWindowScale) {
    return false;
  }
  o.present =
      TcpOptions::kMss | TcpOptions::kSackPermitted | TcpOptions::kTimestamps | TcpOptions::kWindowScale;
  o.mss = static_cast<std::uint16_t>(mss);
  o.window_scale = static_cast<std::uint8_t>(scale);
  o.timestamps = {.value = load_be32(p + 8), .echo = load_be32(p + 12)};
  return true;
}

}  // namespace synfin::wire
