// SPDX-License-Identifier: Apache-2.0
//
// The stack's share of packet memory (the setting tcp_mem), by the blocks that are truly held: what waits for
// programs, what waits for acknowledgements, and what links and packets on their way hold.
#pragma once

#include <algorithm>
#include <cstdint>

#include "synfin/tcp/settings.h"
#include "synfin/trace/counters.h"
#include "synfin/wire/frame.h"

namespace synfin::tcp {

enum class MemoryLevel : std::uint8_t {
  kPlenty,
  kPressure,  // no buffer grows; text beyond holes is the first to go
  kFull,      // no new data but what keeps each connection going; control segments hold none
};

/// Whether there is pressure, which begins and ends at different amounts, as on Linux. One a stack.
class MemoryBudget {
 public:
  static constexpr std::uint64_t kPage = 4096;

  MemoryLevel level(const wire::BlockPool& pool, const Triple& tcp_mem, trace::Counters& counters) {
    const std::uint64_t held = pool.bytes_in_use();
    if (held >= std::min(tcp_mem.initial * kPage, most(pool, tcp_mem))) {
      if (!pressure_) ++counters[trace::Counter::kTCPMemoryPressures];
      pressure_ = true;
    } else if (held < tcp_mem.min * kPage) {
      pressure_ = false;
    }
    if (held >= most(pool, tcp_mem)) return MemoryLevel::kFull;
    return pressure_ ? MemoryLevel::kPressure : MemoryLevel::kPlenty;
  }
  /// Octets of blocks that new data may still take.
  static std::uint64_t room(const wire::BlockPool& pool, const Triple& tcp_mem) {
    return most(pool, tcp_mem) - std::min(most(pool, tcp_mem), pool.bytes_in_use());
  }

 private:
  // The pool itself refuses what exceeds its own budget, also to links, which must go on receiving.
  static std::uint64_t most(const wire::BlockPool& pool, const Triple& tcp_mem) {
    return std::min(tcp_mem.max * kPage, pool.budget() - pool.budget() / 8);
  }
  bool pressure_ = false;
};

}  // namespace synfin::tcp
