// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/tee.h"

#include <algorithm>

namespace synfin::link {

TeeLink::TeeLink(std::unique_ptr<Link> inner, PacketObserver& observer)
    : inner_(std::move(inner)), observer_(observer) {}

std::expected<std::size_t, LinkError> TeeLink::receive(std::span<wire::Frame> batch, Instant now) {
  const auto count = inner_->receive(batch, now);
  if (count) {
    for (const wire::Frame& frame : batch.first(*count)) observer_.on_packet(Direction::kIn, frame, now);
  }
  return count;
}

std::expected<std::size_t, LinkError> TeeLink::send(std::span<wire::Frame> batch, Instant now) {
  std::size_t total = 0;
  while (total < batch.size()) {
    const auto chunk = batch.subspan(total, std::min(shown_.size(), batch.size() - total));
    for (std::size_t i = 0; i < chunk.size(); ++i) shown_[i] = chunk[i].share();
    const auto taken = inner_->send(chunk, now);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (taken && i < *taken) observer_.on_packet(Direction::kOut, shown_[i], now);
      shown_[i].clear();
    }
    if (!taken) {
      // An error is final, so it will be there at the next call too; the frames already taken are counted
      // first.
      if (total != 0) return total;
      return taken;
    }
    total += *taken;
    if (*taken < chunk.size()) break;
  }
  return total;
}

}  // namespace synfin::link
