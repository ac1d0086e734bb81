// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "synfin/base/time.h"
#include "synfin/stack/record_ref.h"
#include "synfin/tcp/timer_node.h"

namespace synfin::stack {

/// One deadline for each of any number of records: a hierarchical timing wheel of 6 levels with 64 slots
/// each.
///
/// `Nodes` has `tcp::TimerNode& node(RecordRef)`, which gives the node inside a record; it must outlive the
/// wheel, and a record must be cancelled before it goes. Arming, re-arming and cancelling are O(1). Deadlines
/// are rounded up to a tick of 2^17 ns (131 µs), never down. One that is more than kHorizonTicks (78 hours)
/// ahead of the last `advance` is clamped to that: the owner, finding itself called too early, arms again.
///
/// Inputs are `arm`, `cancel` and `advance`; call `advance` no later than `next_deadline()`, and as often as
/// is convenient: where nothing is due it costs a few comparisons. A wheel that is not advanced for long
/// while it is empty measures the horizon from an old time, which makes clamping earlier, but never a timer
/// late.
///
/// How it lies: a node whose tick differs from the current one in digit L (base 64, the highest that differs)
/// lies in level L, in the slot of that digit. So everything in a level comes before everything in the next,
/// a tick's nodes are always in one slot in the order in which they were armed, and a slot's nodes move down
/// when the current tick reaches the slot's start.
template <class Nodes>
class TimingWheel {
 public:
  static constexpr unsigned kTickBits = 17;
  static constexpr Duration kTick = Duration::nanoseconds(std::int64_t{1} << kTickBits);
  /// Half of what a node's 32 bits can tell apart.
  static constexpr std::uint32_t kHorizonTicks = (1u << 31) - 1;

  explicit TimingWheel(Nodes& nodes, Instant start = Instant{})
      : nodes_(nodes), last_now_(start), now_(floor_tick(start)) {
    for (std::uint32_t slot = 0; slot < kLists; ++slot) lists_[slot] = List{slot, slot};
  }
  TimingWheel(const TimingWheel&) = delete;
  TimingWheel& operator=(const TimingWheel&) = delete;

  /// Sets the record's deadline, instead of the one it had. A deadline that has passed fires with the next
  /// `advance`. `Instant::never()` cancels.
  void arm(RecordRef ref, Instant deadline) { arm(ref, node(ref), deadline); }
  /// The same for whoever has the record's node at hand.
  void arm(RecordRef ref, tcp::TimerNode& at, Instant deadline) {
    cancel(at);
    if (deadline.is_never()) return;
    const std::int64_t tick = std::min(ceil_tick(deadline), now_ + kHorizonTicks);
    at.tick = static_cast<std::uint32_t>(tick);
    append(deadline <= last_now_ || tick <= now_ ? kOverdue : slot_for(tick), ref.raw(), at);
    ++size_;
  }
  /// Nothing where the record is not armed.
  void cancel(RecordRef ref) { cancel(node(ref)); }
  void cancel(tcp::TimerNode& at) {
    if (!armed(at)) return;
    unlink(at);
    --size_;
  }
  /// When an armed record is due, as it was rounded.
  Instant deadline(RecordRef ref) const { return instant_of(tick_of(node(ref))); }

  /// Whether `arm` with this deadline would let the record fire no earlier than it does now.
  bool armed_by(const tcp::TimerNode& at, Instant deadline) const {
    if (!armed(at)) return false;
    const std::int64_t tick = tick_of(at);
    return tick <= now_ || (deadline > last_now_ && tick <= ceil_tick(deadline));
  }

  bool armed(RecordRef ref) const { return armed(node(ref)); }
  static bool armed(const tcp::TimerNode& at) { return at.next != tcp::TimerNode::kUnlinked; }

  /// Calls expired(RecordRef) for each record that is due, by tick, then in the order of arming; it is no
  /// longer armed by then. The callback may arm and cancel any record; what it arms for a time that is not
  /// after `now` fires with the next `advance`. It must not call `advance`. A `now` before the last is taken
  /// as the last.
  template <class F>
  void advance(Instant now, F expired) {
    assert(empty(kFiring));
    splice(kOverdue);
    last_now_ = std::max(last_now_, now);
    const std::int64_t target = floor_tick(last_now_);
    if (target != now_) {
      while (collect_next(target)) {
      }
      now_ = target;
    }
    while (!empty(kFiring)) {
      const RecordRef ref = RecordRef::from_raw(lists_[kFiring].first);
      unlink(node(ref));
      --size_;
      expired(ref);
    }
  }

  /// When to call `advance`; `never()` where nothing is armed. It is the exact tick of the earliest deadline,
  /// unless more than kMostLookedAt timers share a slot that is more than 64 ticks ahead: then it may be
  /// earlier (the start of the slot), so that `advance` fires nothing, but brings it nearer: at most five
  /// times a timer. It is in the past only where a deadline was armed that had passed.
  Instant next_deadline() const {
    if (!empty(kOverdue) || !empty(kFiring)) return instant_of(now_);
    const Next next = find_next();
    return next.slot == kNoSlot ? Instant::never() : instant_of(earliest_in(next));
  }

  /// Armed records.
  std::size_t size() const { return size_; }

 private:
  using Node = tcp::TimerNode;

  static constexpr unsigned kMostLookedAt = 16;
  static constexpr unsigned kLevels = 6;
  static constexpr unsigned kDigitBits = 6;
  static constexpr std::uint32_t kSlots = 64;
  // The top level is used as a ring; it is never more than half full.
  static_assert(kLevels * kDigitBits > 32);
  static constexpr std::uint32_t kOverdue = kLevels * kSlots;
  static constexpr std::uint32_t kFiring = kOverdue + 1;
  static constexpr std::uint32_t kLists = kFiring + 1;
  static constexpr std::uint32_t kNoSlot = kLists;

  // A circular list; the links at its two ends hold the list's own number, which no RecordRef's raw value is.
  struct List {
    std::uint32_t first;
    std::uint32_t last;
  };
  static constexpr bool is_list(std::uint32_t link) { return link < kLists; }
  static_assert(RecordRef(RecordKind::kConnection, 0).raw() >= kLists);

  struct Next {
    std::uint32_t slot = kNoSlot;
    std::int64_t start = 0;  // the first tick of the slot
  };

  static constexpr std::int64_t floor_tick(Instant t) { return t.ns() >> kTickBits; }
  static constexpr std::int64_t ceil_tick(Instant t) {
    return (t.ns() >> kTickBits) + ((t.ns() & (kTick.ns() - 1)) != 0 ? 1 : 0);
  }
  static constexpr Instant instant_of(std::int64_t tick) {
    // The last tick of all would end behind the last instant.
    if (tick > std::numeric_limits<std::int64_t>::max() >> kTickBits) return Instant::never();
    return Instant::from_ns(tick * kTick.ns());
  }
  static constexpr unsigned digit(std::int64_t tick, unsigned level) {
    return static_cast<unsigned>(tick >> (level * kDigitBits)) & (kSlots - 1);
  }

  std::int64_t tick_of(const Node& at) const {
    return now_ + static_cast<std::int32_t>(at.tick - static_cast<std::uint32_t>(now_));
  }
  Node& node(RecordRef ref) const { return nodes_.node(ref); }
  Node& node(std::uint32_t raw) const { return nodes_.node(RecordRef::from_raw(raw)); }
  bool empty(std::uint32_t list) const { return is_list(lists_[list].first); }

  // For a tick after now_.
  std::uint32_t slot_for(std::int64_t tick) const {
    const auto differing = static_cast<std::uint64_t>(tick ^ now_);
    const unsigned highest = static_cast<unsigned>(std::bit_width(differing) - 1) / kDigitBits;
    const unsigned level = highest < kLevels ? highest : kLevels - 1;
    return level * kSlots + digit(tick, level);
  }

  void append(std::uint32_t list, std::uint32_t raw, Node& added) {
    const std::uint32_t last = lists_[list].last;
    added.previous = last;
    added.next = list;
    (is_list(last) ? lists_[last].first : node(last).next) = raw;
    lists_[list].last = raw;
    if (list < kOverdue) occupied_[list / kSlots] |= std::uint64_t{1} << list % kSlots;
  }

  void unlink(Node& gone) {
    (is_list(gone.previous) ? lists_[gone.previous].first : node(gone.previous).next) = gone.next;
    (is_list(gone.next) ? lists_[gone.next].last : node(gone.next).previous) = gone.previous;
    if (is_list(gone.next) && is_list(gone.previous)) mark_empty(gone.next);
    gone.next = gone.previous = Node::kUnlinked;
  }

  void mark_empty(std::uint32_t list) {
    if (list < kOverdue) occupied_[list / kSlots] &= ~(std::uint64_t{1} << list % kSlots);
  }

  // Moves a whole list behind those that are about to fire.
  void splice(std::uint32_t list) {
    if (empty(list)) return;
    const List moved = lists_[list];
    lists_[list] = List{list, list};
    mark_empty(list);
    const std::uint32_t last = lists_[kFiring].last;
    node(moved.first).previous = last;
    node(moved.last).next = kFiring;
    (is_list(last) ? lists_[last].first : node(last).next) = moved.first;
    lists_[kFiring].last = moved.last;
  }

  // The occupied slot with the smallest start.
  Next find_next() const {
    for (unsigned level = 0; level < kLevels; ++level) {
      if (occupied_[level] == 0) continue;
      const unsigned shift = level * kDigitBits;
      const unsigned current = digit(now_, level);
      // Below the top, slots up to the current one are empty; the top wraps around.
      const auto ahead =
          static_cast<unsigned>(std::countr_zero(std::rotr(occupied_[level], static_cast<int>(current))));
      return Next{level * kSlots + ((current + ahead) & (kSlots - 1)), ((now_ >> shift) + ahead) << shift};
    }
    return Next{};
  }

  std::int64_t earliest_in(const Next& next) const {
    std::uint32_t nearest = std::numeric_limits<std::uint32_t>::max();
    unsigned looked_at = 0;
    for (std::uint32_t raw = lists_[next.slot].first; !is_list(raw); raw = node(raw).next) {
      if (++looked_at > kMostLookedAt) return next.start;
      nearest = std::min(nearest, node(raw).tick - static_cast<std::uint32_t>(next.start));
    }
    return next.start + nearest;
  }

  // Goes to the next occupied slot if it starts by `target`: what is due moves to kFiring, the rest down.
  bool collect_next(std::int64_t target) {
    const Next next = find_next();
    if (next.slot == kNoSlot || next.start > target) return false;
    now_ = next.start;
    if (next.slot < kSlots) {
      splice(next.slot);
      return true;
    }
    std::uint32_t raw = lists_[next.slot].first;
    lists_[next.slot] = List{next.slot, next.slot};
    mark_empty(next.slot);
    while (!is_list(raw)) {
      Node& moved = node(raw);
      const std::uint32_t following = moved.next;
      const std::uint32_t ahead = moved.tick - static_cast<std::uint32_t>(now_);
      append(ahead == 0 ? kFiring : slot_for(now_ + ahead), raw, moved);
      raw = following;
    }
    return true;
  }

  Nodes& nodes_;
  Instant last_now_;
  std::int64_t
      now_;  // its tick, but for the middle of `advance`: everything up to it has fired or is overdue
  std::size_t size_ = 0;
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<List, kLists> lists_;
};

}  // namespace synfin::stack
