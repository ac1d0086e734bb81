// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// An acknowledgement that moved SND.UNA outside of recovery.
struct AckEvent {
  Instant now;
  std::uint32_t acked = 0;      // octets newly acknowledged
  std::uint32_t in_flight = 0;  // octets unacknowledged before
};

}  // namespace synfin::tcp
