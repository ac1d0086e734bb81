// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/tcp/half_open.h"
#include "synfin/tcp/rotating_keys.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/tuple_lanes.h"

namespace synfin::tcp {

/// A half-open connection that is kept by the peer: in our initial sequence number, which the third segment
/// brings back (RFC 4987 §3.6).
///
///       31                    8  7   6     4 3     1  0
///      +------------------------+---+-------+-------+---+
///      | 24 bits of a keyed hash| E |  MSS  | scale | S |   E: ECN agreed to, S: SACK permitted
///      +------------------------+---+-------+-------+---+
///
/// The hash is over the 4-tuple, the peer's initial number, the slot and the other bits. Scale and MSS are
/// rounded down to one of eight; a peer with timestamps brings back the exact scale in the six lowest bits of
/// its TSecr.
class SynCookies {
 public:
  static constexpr Duration kSlot = Duration::seconds(64);
  /// A cookie is good for the slot in which it was made and the next.
  static constexpr Duration kLife = kSlot * 2;
  /// How long a key that was drawn here makes cookies.
  static constexpr Duration kKeyLife = Duration::seconds(3600);

  explicit SynCookies(Entropy& entropy) : keys_(entropy, kKeyLife) {}

  /// Hosts with the same keys and the same clock behind one load balancer honour each other's cookies.
  RotatingKeys& keys() { return keys_; }

  /// Turns a record into a cookie: `half.iss` becomes the number to send. The record is not kept.
  void make(HalfOpen& half, Instant now) const;
  /// What is told to the peer besides the hash, to be brought back: the cookie's lowest octet, and the lowest
  /// bits of TSval.
  struct Terms {
    std::uint8_t low = 0;
    std::uint8_t stamp = 0;
  };
  static Terms terms(const HalfOpenFacts& half);
  /// `make` for up to kHashLanes records, of which `terms` has the terms and `tuples` the 4-tuples in the
  /// same order; `tuples` is used up.
  void make(std::span<HalfOpen> halves, std::span<const Terms> terms, TupleLanes& tuples, Instant now) const;
  /// The TSval of the SYN-ACK of a cookie: `value`, which it would be without, its lowest bits replaced.
  static std::uint32_t timestamp(Terms terms, std::uint32_t value) {
    const std::uint32_t marked = (value & ~kStampMask) | terms.stamp;
    // Never ahead of the clock, or the connection's own timestamps would seem to go back.
    return static_cast<std::int32_t>(marked - value) > 0 ? marked - (kStampMask + 1) : marked;
  }
  /// The record as it would have been kept, if `third` acknowledges a cookie of ours that is still good.
  std::optional<HalfOpen> check(const wire::FourTuple& tuple, const Segment& third, const Context& ctx) const;

 private:
  // The lowest bits of TSval: scale (15: none), SACK permitted, ECN.
  static constexpr std::uint32_t kStampBits = 6;
  static constexpr std::uint32_t kStampMask = (1u << kStampBits) - 1;

  static std::uint32_t slot_of(Instant now) { return static_cast<std::uint32_t>((now - Instant{}) / kSlot); }
  static wire::PackedTuple message(const wire::FourTuple& tuple, SeqNum irs, std::uint32_t slot,
                                   std::uint8_t low) {
    return {tuple, irs.raw(), std::uint64_t{slot} << 8 | low};
  }
  static SeqNum cookie(std::uint64_t hash, std::uint8_t low) {
    return SeqNum{(static_cast<std::uint32_t>(hash) & 0xffff'ff00u) | low};
  }
  static std::uint32_t mac(const Key& key, const wire::FourTuple& tuple, SeqNum irs, std::uint32_t slot,
                           std::uint8_t low);

  RotatingKeys keys_;
};

}  // namespace synfin::tcp
