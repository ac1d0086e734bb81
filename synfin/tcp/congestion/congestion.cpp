// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/congestion.h"

#include <utility>

namespace synfin::tcp {

Congestion::Congestion(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
                       std::uint32_t seed)
    : controller_(std::in_place_type<Cubic>, mss, initial_segments) {
  (void)change(control, mss, initial_segments, seed);
}

bool Congestion::begin(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
                       std::uint32_t seed) {
  controller_.emplace<Cubic>(mss, initial_segments);
  return control == CongestionControl::kCubic || change(control, mss, initial_segments, seed);
}

bool Congestion::change(CongestionControl control, std::uint32_t mss, std::uint32_t initial_segments,
                        std::uint32_t seed) {
  if (control == this->control()) return true;
  const bool none = this->control() == CongestionControl::kNone;
  const std::uint32_t at = none ? mss * initial_segments : window();
  const std::uint32_t threshold = slow_start_threshold();
  switch (control) {
    case CongestionControl::kCubic:
      controller_ = Cubic{mss, at, threshold};
      return true;
    case CongestionControl::kReno:
      controller_ = NewReno{mss, at, threshold};
      return true;
    case CongestionControl::kNone:
      controller_ = NoControl{};
      return true;
    case CongestionControl::kBbr: {
      Bbr bbr{mss, at, mss * initial_segments, seed};
      if (!bbr.has_model()) return false;
      controller_ = std::move(bbr);
      return true;
    }
  }
  return true;
}

}  // namespace synfin::tcp
