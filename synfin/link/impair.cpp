// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/impair.h"

#include <algorithm>
#include <cstddef>

#include "synfin/wire/ip.h"

namespace synfin::link {
namespace {

constexpr std::size_t kScratchFrames = 64;
// Per call of `receive`, so that a flood cannot keep the caller here.
constexpr std::size_t kMostPulled = 4096;
constexpr Duration kRetryWhenFull = Duration::milliseconds(1);

bool chosen(std::uint32_t luck, double share) {
  return static_cast<double>(luck) < share * 4294967296.0;
}

// Uniform in [0, bound), without the last grain of evenness: nobody notices 2^-32.
std::uint64_t scale(std::uint64_t luck, std::uint64_t bound) {
  return bound <= UINT32_MAX ? ((luck >> 32) * bound) >> 32 : luck % bound;
}

}  // namespace

ImpairedPath::ImpairedPath(const Impairment& impairment, std::uint64_t seed, wire::BlockPool& pool)
    : impairment_(impairment), entropy_(seed), marks_(~seed), pool_(pool) {}

ImpairedPath::Draw ImpairedPath::draw() {
  Draw luck;
  luck.loss = entropy_.u32();
  luck.duplicate = entropy_.u32();
  luck.corrupt = entropy_.u32();
  luck.reorder = entropy_.u32();
  luck.bit = entropy_.u64();
  luck.jitter = entropy_.u64();
  return luck;
}

void ImpairedPath::put(wire::Frame& frame, Instant now) {
  ++counters_.packets;
  const Draw luck = draw();
  const Draw luck_of_duplicate = draw();
  if (chosen(luck.loss, impairment_.loss)) {
    ++counters_.lost;
    frame.clear();
    return;
  }
  wire::Frame duplicate;
  const bool twice = chosen(luck.duplicate, impairment_.duplicate);
  if (twice) duplicate = frame.share();
  pass(std::move(frame), luck, now);
  if (twice) {
    ++counters_.duplicated;
    pass(std::move(duplicate), luck_of_duplicate, now);
  }
}

void ImpairedPath::pass(wire::Frame frame, const Draw& luck, Instant now) {
  if (under_way_.size() + held_.size() >= kMostDelayed) {
    ++counters_.dropped_too_many;
    return;
  }
  if (impairment_.mark > 0 && chosen(marks_.u32(), impairment_.mark) && mark(frame)) ++counters_.marked;
  if (chosen(luck.corrupt, impairment_.corrupt) && frame.size() != 0) {
    if (!corrupt(frame, luck.bit)) {
      ++counters_.dropped_no_memory;
      return;
    }
    ++counters_.corrupted;
  }
  const Instant left = transmitted(frame.size(), now);
  if (left.is_never()) {
    ++counters_.dropped_queue_full;
    return;
  }
  const bool reordered = chosen(luck.reorder, impairment_.reorder);
  if (reordered) ++counters_.reordered;
  const bool delayed = impairment_.delay > Duration::zero() || impairment_.jitter > Duration::zero();
  if (reordered && !delayed) {
    held_.push_back({std::move(frame), left + kHeldTime, kHeldPackets});
    return;
  }
  enqueue(std::move(frame), reordered ? left : left + delay(luck));
  overtake_held(left);
}

// The slices may be shared with the sender's retransmission queue: what changes is a copy.
std::byte* ImpairedPath::own_octet(wire::Frame& frame, std::size_t offset) {
  if (offset < frame.header_size) return &frame.header[offset];
  offset -= frame.header_size;
  std::size_t i = 0;
  while (offset >= frame.slices[i].size()) offset -= frame.slices[i++].size();
  const Bytes original = frame.slices[i].bytes();
  wire::Block* const block = pool_.allocate(frame.slices[i].size());
  if (block == nullptr) return nullptr;
  std::ranges::copy(original, block->data);
  block->used = frame.slices[i].size();
  frame.slices[i] = wire::Slice{block, 0, block->used};
  return block->data + offset;
}

// False: it is not ECN-capable, marked already, or there is no memory. The checksum of an IPv4 header follows
// the change (RFC 1624); TCP's does not cover the field.
bool ImpairedPath::mark(wire::Frame& frame) {
  const Bytes front = frame.front();
  const auto ip = wire::parse_ip(front, frame.size());
  if (!ip) return false;
  const std::uint8_t codepoint = ip->header.traffic_class & wire::ecn::kMask;
  if (codepoint == wire::ecn::kNotCapable || codepoint == wire::ecn::kMarked) return false;
  std::byte* const first = own_octet(frame, 0);
  if (first == nullptr) return false;
  if (load_u8(first) >> 4 == 6) {
    store_be16(first, static_cast<std::uint16_t>(load_be16(first) | wire::ecn::kMarked << 4));
    return true;
  }
  const std::uint32_t before = load_be16(first);
  const std::uint32_t after = before | wire::ecn::kMarked;
  constexpr std::size_t kChecksum = 10;
  std::uint32_t sum = (~std::uint32_t{load_be16(first + kChecksum)} & 0xffffu) + (~before & 0xffffu) + after;
  sum = (sum & 0xffffu) + (sum >> 16);
  sum = (sum & 0xffffu) + (sum >> 16);
  store_be16(first + kChecksum, static_cast<std::uint16_t>(~sum));
  store_be16(first, static_cast<std::uint16_t>(after));
  return true;
}

bool ImpairedPath::corrupt(wire::Frame& frame, std::uint64_t luck) {
  const std::uint64_t bit = scale(luck, std::uint64_t{frame.size()} * 8);
  // No longer what anybody vouches for; and a checksum left to the link would be computed over the damage.
  frame.checksum_verified = false;
  frame.needs_checksum = false;
  std::byte* const octet = own_octet(frame, static_cast<std::size_t>(bit / 8));
  if (octet == nullptr) return false;
  *octet ^= std::byte{static_cast<unsigned char>(1U << (bit % 8))};
  return true;
}

Instant ImpairedPath::transmitted(std::size_t octets, Instant now) {
  if (impairment_.rate == 0) return now;
  while (!departures_.empty() && departures_.front() <= now) departures_.pop_front();
  if (departures_.size() >= impairment_.queue) return Instant::never();
  const std::uint64_t bits = std::uint64_t{octets} * 8;
  const std::uint64_t ns = (bits * 1'000'000'000 + impairment_.rate - 1) / impairment_.rate;
  const Instant start = departures_.empty() ? now : departures_.back();
  const Instant end = start + Duration::nanoseconds(static_cast<std::int64_t>(ns));
  if (!end.is_never()) departures_.push_back(end);
  return end;
}

Duration ImpairedPath::delay(const Draw& luck) const {
  if (impairment_.jitter == Duration::zero()) return impairment_.delay;
  const auto width = static_cast<std::uint64_t>(impairment_.jitter.ns()) * 2 + 1;
  const Duration off = Duration::nanoseconds(static_cast<std::int64_t>(scale(luck.jitter, width)));
  return std::max(impairment_.delay - impairment_.jitter + off, Duration::zero());
}

// A packet that leaves at `at` overtakes those held back; the third to do so lets them go, behind itself.
void ImpairedPath::overtake_held(Instant at) {
  std::erase_if(held_, [&](Held& held) {
    if (--held.overtakers != 0) return false;
    enqueue(std::move(held.frame), at);
    return true;
  });
}

void ImpairedPath::release_held(Instant now) {
  std::erase_if(held_, [&](Held& held) {
    if (held.until > now) return false;
    enqueue(std::move(held.frame), held.until);
    return true;
  });
}

void ImpairedPath::enqueue(wire::Frame frame, Instant due) {
  under_way_.emplace(due, std::move(frame));
}

std::size_t ImpairedPath::take(std::span<wire::Frame> batch, Instant now) {
  if (!held_.empty()) release_held(now);
  std::size_t count = 0;
  while (count < batch.size() && !under_way_.empty() && under_way_.begin()->first <= now) {
    batch[count++] = std::move(under_way_.begin()->second);
    under_way_.erase(under_way_.begin());
  }
  return count;
}

void ImpairedPath::give_back(std::span<wire::Frame> frames, Instant now) {
  // Before everything else that is due: at the earliest time there is, last one first.
  const Instant front = under_way_.empty() ? now : std::min(now, under_way_.begin()->first);
  for (std::size_t i = frames.size(); i-- != 0;) {
    under_way_.emplace_hint(under_way_.lower_bound(front), front, std::move(frames[i]));
  }
}

Instant ImpairedPath::next_due() const {
  Instant due = under_way_.empty() ? Instant::never() : under_way_.begin()->first;
  for (const Held& held : held_) due = std::min(due, held.until);
  return due;
}

ImpairedLink::ImpairedLink(std::unique_ptr<Link> inner, const ImpairSpec& spec, wire::BlockPool& pool)
    : ImpairedLink(std::move(inner), spec, pool, spec.seed.value_or(ImpairSpec::kDefaultSeed),
                   SeededEntropy{spec.seed.value_or(ImpairSpec::kDefaultSeed)}) {}

// Each direction has its own sequence: what comes in does not change what happens to what goes out.
ImpairedLink::ImpairedLink(std::unique_ptr<Link> inner, const ImpairSpec& spec, wire::BlockPool& pool,
                           std::uint64_t seed, SeededEntropy seeds)
    : inner_(std::move(inner)),
      info_(inner_->info()),
      seed_(seed),
      in_(spec.in, seeds.u64(), pool),
      out_(spec.out, seeds.u64(), pool),
      scratch_(kScratchFrames) {
  inner_->disable_offload();
  info_.offload = false;
}

std::expected<std::size_t, LinkError> ImpairedLink::receive(std::span<wire::Frame> batch, Instant now) {
  if (auto r = push_out(now); !r) return std::unexpected{std::move(r.error())};
  if (auto r = pull_in(now); !r) return std::unexpected{std::move(r.error())};
  return in_.take(batch, now);
}

std::expected<std::size_t, LinkError> ImpairedLink::send(std::span<wire::Frame> batch, Instant now) {
  if (auto r = push_out(now); !r) return std::unexpected{std::move(r.error())};
  if (now < blocked_until_) return 0;
  for (wire::Frame& frame : batch) out_.put(frame, now);
  if (auto r = push_out(now); !r) return std::unexpected{std::move(r.error())};
  return batch.size();
}

std::expected<void, LinkError> ImpairedLink::push_out(Instant now) {
  while (now >= blocked_until_) {
    const std::size_t count = out_.take(scratch_, now);
    if (count == 0) return {};
    const std::span frames = std::span{scratch_}.first(count);
    const auto taken = inner_->send(frames, now);
    if (!taken) return std::unexpected{taken.error()};
    if (*taken == count) continue;
    out_.give_back(frames.subspan(*taken), now);
    blocked_until_ = now + kRetryWhenFull;
  }
  return {};
}

// All of it, even where the caller can take few: a packet's delay begins when it arrives.
std::expected<void, LinkError> ImpairedLink::pull_in(Instant now) {
  unread_since_ = Instant::never();
  for (std::size_t pulled = 0; pulled < kMostPulled;) {
    const auto count = inner_->receive(scratch_, now);
    if (!count) return std::unexpected{count.error()};
    for (wire::Frame& frame : std::span{scratch_}.first(*count)) in_.put(frame, now);
    pulled += *count;
    if (*count == 0) return {};
  }
  unread_since_ = now;
  return {};
}

Instant ImpairedLink::next_deadline() const {
  const Instant out = std::max(out_.next_due(), blocked_until_);
  return std::min({in_.next_due(), out, unread_since_, inner_->next_deadline()});
}

}  // namespace synfin::link
