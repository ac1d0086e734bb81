// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/syn_cookie.h"

#include <array>
#include <cstring>

#include "synfin/tcp/accurate_ecn.h"

namespace synfin::tcp {
namespace {

// Ascending; the largest that is not above the peer's is taken. 536 and 1220 are the defaults of the
// families, 1440 and 1460 what Ethernet leaves, 1452 the same behind PPPoE, 8960 a jumbo frame.
constexpr std::array<std::uint16_t, 8> kMss{216, 536, 1220, 1360, 1440, 1452, 1460, 8960};
// 0 stands for "no scaling"; ascending from the second on.
constexpr std::array<std::uint8_t, 8> kScale{0, 0, 2, 4, 6, 7, 8, 10};

// The index of the largest that is not above `value`, or `first`.
template <class Table>
constexpr std::uint8_t largest_up_to(const Table& table, unsigned value, std::size_t first) {
  std::size_t index = table.size() - 1;
  while (index > first && table[index] > value) --index;
  return static_cast<std::uint8_t>(index);
}

constexpr std::array kScaleIndex = [] {
  std::array<std::uint8_t, 16> index{};
  for (unsigned scale = 0; scale < index.size(); ++scale) index[scale] = largest_up_to(kScale, scale, 1);
  return index;
}();

// The lowest octet of the cookie, besides MSS (bits 4 to 6) and scale (bits 1 to 3).
constexpr std::uint8_t kEcn = 1u << 7;
constexpr std::uint8_t kSack = 1;

// The lowest bits of TSval.
constexpr std::uint32_t kNoScale = 15;
constexpr std::uint32_t kSackBit = 1u << 4;
constexpr std::uint32_t kEcnBit = 1u << 5;

}  // namespace

std::uint32_t SynCookies::mac(const Key& key, const wire::FourTuple& tuple, SeqNum irs, std::uint32_t slot,
                              std::uint8_t low) {
  return cookie(keyed_hash(key, message(tuple, irs, slot, low).bytes()), 0).raw();
}

SynCookies::Terms SynCookies::terms(const HalfOpenFacts& half) {
  const std::uint32_t mss = largest_up_to(kMss, half.peer_mss(), 0);
  const std::uint32_t scale = half.scaled() ? kScaleIndex[half.send_scale] : 0u;
  const std::uint32_t low = (half.ecn ? kEcn : 0u) | mss << 4 | scale << 1 | (half.sack ? kSack : 0u);
  const std::uint32_t stamp =
      (half.scaled() ? half.send_scale : kNoScale) | (half.sack ? kSackBit : 0u) | (half.ecn ? kEcnBit : 0u);
  return {static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(stamp)};
}

void SynCookies::make(HalfOpen& half, Instant now) const {
  const std::uint8_t low = terms(half).low;
  half.iss = SeqNum{mac(keys_.current(), half.tuple, half.irs, slot_of(now), low) | low};
}

void SynCookies::make(std::span<HalfOpen> halves, std::span<const Terms> terms, TupleLanes& tuples,
                      Instant now) const {
  const std::uint64_t slot = slot_of(now);
  for (std::size_t i = 0; i < halves.size(); ++i)
    tuples.add(i, halves[i].irs.raw(), slot << 8 | terms[i].low);
  HashLanes hashes;
  tuples.hash_more(keys_.current(), hashes);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i].iss = cookie(hashes[i], terms[i].low);
}

std::optional<HalfOpen> SynCookies::check(const wire::FourTuple& tuple, const Segment& third,
                                          const Context& ctx) const {
  const SeqNum iss = third.ack() - 1;
  const SeqNum irs = third.seq() - 1;
  const auto low = static_cast<std::uint8_t>(iss.raw());
  const std::uint32_t slot = slot_of(ctx.now);
  const std::uint32_t claimed = iss.raw() & 0xffff'ff00u;
  const auto made_with = [&](const Key& key) {
    return mac(key, tuple, irs, slot, low) == claimed || mac(key, tuple, irs, slot - 1, low) == claimed;
  };
  if (!made_with(keys_.current()) && !made_with(keys_.previous())) return std::nullopt;

  HalfOpen half;
  half.tuple = tuple;
  half.iss = iss;
  half.irs = irs;
  half.set_peer_mss(kMss[low >> 4 & 7u]);
  const std::uint8_t scale = low >> 1 & 7u;
  bool scaled = scale != 0;
  half.send_scale = kScale[scale] & 0xfu;
  half.sack = (low & kSack) != 0;
  half.ecn = (low & kEcn) != 0;
  if (third.has_timestamps() && ctx.settings.tcp_timestamps) {
    half.timestamps = true;
    half.ts_recent = third.header.options.timestamps.value;
    const std::uint32_t bits = third.header.options.timestamps.echo & kStampMask;
    const std::uint32_t exact = bits & 0xfu;
    scaled = exact != kNoScale;
    half.send_scale = scaled ? WindowScale{static_cast<std::uint8_t>(exact)}.shift() & 0xfu : 0u;
    half.sack = (bits & kSackBit) != 0;
    half.ecn = (bits & kEcnBit) != 0;
  }
  // AccECN leaves its own trace: no other peer sends these values at this point (RFC 9768 §5.1).
  half.accurate_ecn = half.ecn && accepts_accurate(ctx.settings) && third.header.ace() >= kLeastAccurateCode;
  const Offer offer = offer_of({}, ctx, tuple.local.address.family());
  if (scaled) half.receive_scale = scale_for(offer.largest_buffer).shift() & 0xfu;
  return half;
}

}  // namespace synfin::tcp
