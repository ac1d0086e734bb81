// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/tuning.h"

#include <algorithm>

namespace synfin::tcp {
namespace {

// The clock of timestamps cannot tell less.
constexpr Duration kTick = Duration::milliseconds(1);
// What is offered beyond two round trips' worth, as on Linux.
constexpr std::uint32_t kSpareSegments = 16;

}  // namespace

// Weighed as the sender's, one eighth each (RFC 6298), as an echo may have waited for text to go with.
void Tuning::heard_echo(std::uint32_t echo, Duration elapsed) {
  if (echo == last_echo_) return;
  last_echo_ = echo;
  const Duration sample = std::max(elapsed, kTick);
  round_trip_ = round_trip_ == Duration::zero() ? sample : round_trip_ + (sample - round_trip_) / 8;
}

void Tuning::arrived(wire::SeqNum next, std::uint32_t window, Instant now) {
  if (next.before(measure_until_)) return;
  const Duration sample = std::max(now - measured_from_, Duration::microseconds(1));
  if (round_trip_ == Duration::zero() || sample < round_trip_) round_trip_ = sample;
  measured_from_ = now;
  measure_until_ = next + window;
}

std::optional<std::uint64_t> Tuning::read_up_to(wire::SeqNum read, std::uint32_t beyond, std::uint32_t mss,
                                                Instant now) {
  const Duration elapsed = now - counted_from_;
  if (round_trip_ == Duration::zero() || elapsed < round_trip_) return std::nullopt;
  std::uint64_t copied = static_cast<std::uint32_t>(read - read_);
  counted_from_ = now;
  read_ = read;
  const Duration pause = std::max(round_trip_ * 4, kPause);
  if (elapsed > pause)
    copied = copied * static_cast<std::uint64_t>(pause.us()) / static_cast<std::uint64_t>(elapsed.us());
  if (copied <= copied_) return std::nullopt;
  // A peer in slow start sends twice as much each time.
  const std::uint64_t window = 2 * copied + std::uint64_t{kSpareSegments} * mss;
  const std::uint64_t growth = window * (copied - copied_) / std::max(copied_, 1u);
  copied_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(copied, UINT32_MAX));
  return window + std::min(2 * growth, 4 * window) + beyond;
}

}  // namespace synfin::tcp
