// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/isn.h"

namespace synfin::tcp {
namespace {

constexpr Duration kIsnClock = Duration::microseconds(4);  // RFC 6528 §3, RFC 9293 §3.4.1 MUST-8

}  // namespace

IsnGenerator::IsnGenerator(Entropy& entropy) {
  entropy.fill(isn_key_);
  entropy.fill(timestamp_key_);
}

IsnGenerator::IsnGenerator(const Key& isn_key, const Key& timestamp_key)
    : isn_key_(isn_key), timestamp_key_(timestamp_key) {}

wire::SeqNum IsnGenerator::next(const wire::FourTuple& tuple, Instant now) const {
  const std::uint64_t hash = keyed_hash(isn_key_, wire::PackedTuple{tuple}.bytes());
  const auto clock = static_cast<std::uint64_t>((now - Instant{}) / kIsnClock);
  return wire::SeqNum{static_cast<std::uint32_t>(hash + clock)};
}

std::uint32_t IsnGenerator::timestamp_offset(const wire::FourTuple& tuple) const {
  return static_cast<std::uint32_t>(keyed_hash(timestamp_key_, wire::PackedTuple{tuple}.addresses()));
}

}  // namespace synfin::tcp
