// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 6675 §3–4, RFC 8985 §5.2.
#include "synfin/tcp/scoreboard.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace synfin::tcp {

bool Scoreboard::grow() {
  const std::uint32_t bigger = capacity_ * 4;
  if (bigger > kMost) return false;
  std::unique_ptr<SentSegment[]> storage{new (std::nothrow) SentSegment[bigger]};
  if (!storage) return false;
  const auto moved = [&](std::uint16_t at) {
    return at == kNone ? kNone : static_cast<std::uint16_t>((at - first_) & (capacity_ - 1));
  };
  for (std::uint32_t i = 0; i < count_; ++i) {
    storage[i] = slot(i);
    storage[i].older = moved(storage[i].older);
    storage[i].newer = moved(storage[i].newer);
  }
  oldest_ = moved(oldest_);
  newest_ = moved(newest_);
  storage_ = std::move(storage);
  capacity_ = bigger;
  first_ = 0;
  return true;
}

void Scoreboard::trim(wire::SeqNum una) {
  SentSegment& s = slot(0);
  const auto gone = static_cast<std::uint16_t>(una - s.start);
  s.start = una;
  s.length = static_cast<std::uint16_t>(s.length - gone);
  octets_ -= gone;
  if (s.sacked) sacked_octets_ -= gone;
  if (s.lost) lost_octets_ -= gone;
  if (s.retransmitted) retransmitted_octets_ -= gone;
}

void Scoreboard::mark_sacked(std::uint32_t i) {
  SentSegment& s = slot(i);
  if (waits(s)) {
    --waiting_;
  } else {
    unlink(i);
  }
  if (s.lost) --lost_, lost_octets_ -= s.length;
  if (s.retransmitted) --retransmitted_, retransmitted_octets_ -= s.length;
  s.lost = s.retransmitted = false;
  s.sacked = true;
  s.skip = 1;
  ++sacked_;
  sacked_octets_ += s.length;
}

void Scoreboard::forget_sacks() {
  for (std::uint32_t i = 0; i < count_; ++i) slot(i).sacked = false;
  sacked_ = sacked_octets_ = 0;
  relink_all();
}

void Scoreboard::mark_lost(std::uint32_t i) {
  SentSegment& s = slot(i);
  if (s.sacked || waits(s)) return;
  unlink(i);
  ++waiting_;
  if (!s.lost) ++lost_, lost_octets_ += s.length;
  if (s.retransmitted) --retransmitted_, retransmitted_octets_ -= s.length;
  s.lost = true;
  s.retransmitted = false;
  lost_hint_ = std::min(lost_hint_, i);
}

void Scoreboard::forget_losses() {
  for (std::uint32_t i = 0; i < count_; ++i) slot(i).lost = false;
  lost_ = lost_octets_ = waiting_ = 0;
  relink_all();
}

void Scoreboard::mark_retransmitted(std::uint32_t i, Instant now, const SendMark& mark) {
  SentSegment& s = slot(i);
  assert(!s.sacked);
  if (waits(s)) {
    --waiting_;
  } else {
    unlink(i);
  }
  if (!s.retransmitted) ++retransmitted_, retransmitted_octets_ += s.length;
  s.retransmitted = s.ever_retransmitted = true;
  s.sent_at = now;
  s.mark = mark;
  link(i);
}

std::optional<std::uint32_t> Scoreboard::next_lost() {
  if (waiting_ == 0) return std::nullopt;
  for (; lost_hint_ < count_; ++lost_hint_) {
    ++visits_;
    if (waits(slot(lost_hint_))) return lost_hint_;
  }
  return std::nullopt;
}

// Rare: by time, and by number where that is the same.
void Scoreboard::relink_all() {
  oldest_ = newest_ = kNone;
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (!slot(i).retransmitted && !slot(i).sacked && !slot(i).lost) link(i);
  }
  // Those sent again come later than all that were sent once, or nearly so.
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (slot(i).retransmitted) link(i);
  }
  lost_hint_ = 0;
}

std::uint32_t Scoreboard::first_from(wire::SeqNum left) const {
  std::uint32_t low = 0, high = count_;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (slot(middle).start.before(left)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Sacked runs are jumped over, and the jumps made longer on the way, so that no run is walked twice.
std::uint32_t Scoreboard::next_unsacked(std::uint32_t i) {
  std::uint32_t to = i;
  for (; to < count_ && slot(to).sacked; ++visits_) to += slot(to).skip;
  to = std::min(to, count_);
  while (i < to) {
    const std::uint32_t step = slot(i).skip;
    slot(i).skip = static_cast<std::uint16_t>(to - i);
    i += step;
  }
  return to;
}

bool Scoreboard::split_first(std::uint32_t octets) {
  if (count_ == capacity_ && !grow()) return false;
  SentSegment& rest = slot(0);
  first_ = (first_ - 1) & (capacity_ - 1);
  ++count_;
  SentSegment& head = slot(0);
  head = rest;
  head.length = static_cast<std::uint16_t>(octets);
  head.push = false;
  head.skip = 1;
  rest.start += octets;
  rest.length = static_cast<std::uint16_t>(rest.length - octets);
  if (head.sacked) ++sacked_;
  if (head.lost) ++lost_;
  if (head.retransmitted) ++retransmitted_;
  if (waits(head)) ++waiting_;
  if (!head.sacked && !waits(head)) {  // just before the rest in the order of sending
    head.newer = place(1);
    (head.older == kNone ? oldest_ : ring()[head.older].newer) = place(0);
    rest.older = place(0);
  }
  lost_hint_ = waits(head) ? 0 : lost_hint_ + 1;
  return true;
}

bool Scoreboard::cut(std::uint32_t limit) {
  std::uint32_t needed = 0;
  for (std::uint32_t i = 0; i < count_; ++i) needed += (slot(i).length + limit - 1) / limit;
  if (needed == count_) return true;
  std::uint32_t capacity = capacity_;
  while (capacity < needed) capacity *= 2;
  if (capacity > kMost) return false;
  std::unique_ptr<SentSegment[]> storage{new (std::nothrow) SentSegment[capacity]};
  if (!storage) return false;
  std::uint32_t n = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    SentSegment rest = slot(i);
    if (rest.length > limit && !rest.sacked) rest.lost = true, rest.retransmitted = false;
    while (rest.length > limit) {
      storage[n] = rest;
      storage[n].length = static_cast<std::uint16_t>(limit);
      storage[n++].push = false;
      rest.start += limit;
      rest.length = static_cast<std::uint16_t>(rest.length - limit);
    }
    storage[n++] = rest;
  }
  storage_ = std::move(storage);
  capacity_ = capacity;
  first_ = 0;
  count_ = n;
  sacked_ = lost_ = retransmitted_ = waiting_ = 0;
  sacked_octets_ = lost_octets_ = retransmitted_octets_ = 0;
  for (std::uint32_t i = 0; i < count_; ++i) {
    SentSegment& s = slot(i);
    s.skip = 1;
    if (s.sacked) ++sacked_, sacked_octets_ += s.length;
    if (s.lost) ++lost_, lost_octets_ += s.length;
    if (waits(s)) ++waiting_;
    if (s.retransmitted) ++retransmitted_, retransmitted_octets_ += s.length;
  }
  relink_all();
  return true;
}

std::uint32_t Scoreboard::push_run(wire::SeqNum start, std::uint16_t length, std::uint32_t n, Instant now,
                                   const SendMark& mark) {
  while (count_ + n > capacity_ && grow()) {
  }
  n = std::min(n, capacity_ - count_);
  if (n == 0) return 0;
  SentSegment* const segments = ring();
  const std::uint32_t mask = capacity_ - 1;
  std::uint32_t at = (first_ + count_) & mask;
  SentSegment s;
  s.sent_at = now;
  s.start = start;
  s.length = length;
  s.mark = mark;
  s.older = newest_;
  (newest_ == kNone ? oldest_ : segments[newest_].newer) = static_cast<std::uint16_t>(at);
  // Between two trains of 64 KiB the near caches have seen much else.
  constexpr std::uint32_t kAhead = 12;
  for (std::uint32_t i = 0; i < std::min(n, kAhead); ++i) __builtin_prefetch(&segments[(at + i) & mask], 1);
  for (std::uint32_t i = 0; i < n; ++i) {
    if (i + kAhead < n) __builtin_prefetch(&segments[(at + kAhead) & mask], 1);
    const std::uint32_t next = (at + 1) & mask;
    s.newer = static_cast<std::uint16_t>(next);
    segments[at] = s;
    s.older = static_cast<std::uint16_t>(at);
    s.start += length;
    s.mark.in_flight += length;
    at = next;
  }
  newest_ = s.older;
  segments[newest_].newer = kNone;
  octets_ += n * length;
  count_ += n;
  return n;
}

void Scoreboard::shrink() {
  assert(count_ == 0);
  storage_.reset();
  capacity_ = kInline;
  first_ = 0;
}

void Scoreboard::clear() {
  first_ = count_ = lost_hint_ = 0;
  octets_ = sacked_octets_ = lost_octets_ = retransmitted_octets_ = 0;
  sacked_ = lost_ = retransmitted_ = waiting_ = 0;
  oldest_ = newest_ = kNone;
}

}  // namespace synfin::tcp
