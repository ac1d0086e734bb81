// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"

namespace synfin::tcp {

/// An acknowledgement that moved SND.UNA outside of fast recovery.
struct AckEvent {
  Instant now;
  std::uint32_t acked = 0;      // octets newly known to have arrived
  bool window_limited = false;  // the window was what limited sending, not the program or the peer
};

}  // namespace synfin::tcp
