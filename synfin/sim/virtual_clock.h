// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>

#include "synfin/base/time.h"

namespace synfin::sim {

/// Time that passes only when it is told to. Never goes back, as `stack::Stack` requires of its `now`.
class VirtualClock {
 public:
  explicit VirtualClock(Instant start = Instant::from_ns(0)) : now_(start) {}
  Instant now() const { return now_; }
  void advance_to(Instant t) {
    assert(t >= now_ && !t.is_never());
    now_ = t;
  }
  void advance_by(Duration d) { advance_to(now_ + d); }

 private:
  Instant now_;
};

}  // namespace synfin::sim
