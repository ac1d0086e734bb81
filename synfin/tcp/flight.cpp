// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/flight.h"

#include <new>

namespace synfin::tcp {

FlightPool::FlightPool() {
  spare_.reserve(kMost);
}

std::unique_ptr<Flight> FlightPool::take() {
  if (spare_.empty()) return std::unique_ptr<Flight>{new (std::nothrow) Flight};
  std::unique_ptr<Flight> flight = std::move(spare_.back());
  spare_.pop_back();
  segments_ -= beyond_small(*flight);
  return flight;
}

void FlightPool::give(std::unique_ptr<Flight> flight) {
  if (spare_.size() >= kMost) return;
  // The segments' memory is worth keeping; all else begins anew.
  flight->sent.clear();
  if (beyond_small(*flight) > kMostSegments - segments_) flight->sent.shrink();
  segments_ += beyond_small(*flight);
  static_cast<FlightState&>(*flight) = FlightState{};
  spare_.push_back(std::move(flight));
}

}  // namespace synfin::tcp
