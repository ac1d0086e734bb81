// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/congestion.h"

namespace synfin::tcp {

Congestion::Congestion(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments)
    : Congestion(Controller{NewReno{mss, initial_segments}}) {
  change(control, mss, initial_segments);
}

void Congestion::change(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments) {
  if (control == this->control()) return;
  const bool none = this->control() == CongestionControl::kNone;
  const std::uint32_t at = none ? mss * initial_segments : window();
  const std::uint32_t threshold = slow_start_threshold();
  switch (control) {
    case CongestionControl::kCubic:
      controller_ = Cubic{mss, at, threshold};
      return;
    case CongestionControl::kReno:
      controller_ = NewReno{mss, at, threshold};
      return;
    case CongestionControl::kNone:
      controller_ = NoControl{};
      return;
  }
}

}  // namespace synfin::tcp
