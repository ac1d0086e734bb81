// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::tcp {

/// The one place of a record in the stack's timing wheel. Belongs to the wheel; nobody else writes it.
struct TimerNode {
  static constexpr std::uint32_t kUnlinked = 0xffff'ffff;
  std::uint32_t next = kUnlinked;
  std::uint32_t previous = kUnlinked;
  std::uint32_t tick = 0;  // when it is due, in wheel ticks modulo 2^32
};

}  // namespace synfin::tcp
