// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/isn.h"

namespace synfin::tcp {
namespace {

constexpr Duration kIsnClock = Duration::microseconds(4);  // RFC 6528 §3, RFC 9293 §3.4.1 MUST-8

}  // namespace

IsnGenerator::IsnGenerator(Entropy& entropy) {
  entropy.fill(key_);
}

wire::SeqNum IsnGenerator::next(const wire::FourTuple& tuple, Instant now) const {
  const std::uint64_t hash = keyed_hash(key_, wire::PackedTuple{tuple}.bytes());
  const auto clock = static_cast<std::uint64_t>((now - Instant{}) / kIsnClock);
  return wire::SeqNum{static_cast<std::uint32_t>(hash + clock)};
}

}  // namespace synfin::tcp
