// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/tcp/rate_sample.h"
#include "synfin/wire/seq_num.h"

namespace synfin::tcp {

/// A segment that was sent and is not acknowledged.
struct SentSegment {
  Instant sent_at;  // the last time
  wire::SeqNum start;
  std::uint16_t length = 0;  // in sequence numbers: text, and one for a FIN
  bool push : 1 = false;
  bool sacked : 1 = false;
  bool lost : 1 = false;
  bool retransmitted : 1 = false;       // its last transmission is a second one, and in the network
  bool ever_retransmitted : 1 = false;  // Karn: its round trip proves nothing
  // Places in the ring of the neighbours in the order of sending.
  std::uint16_t older = 0, newer = 0;
  std::uint16_t skip = 0;  // sacked: so many from here on are, at least
  SendMark mark;           // of the last time

  wire::SeqNum end() const { return start + length; }
};

/// What is in flight, segment by segment in the order of the numbers, and what acknowledgements say of it:
/// the scoreboard of RFC 6675. Also holds the order in which segments that are neither sacked nor lost were
/// sent (RFC 8985 §5.2).
///
/// Cost: an acknowledgement pays for what it newly acknowledges and a binary search for each block, whatever
/// the peer chooses to send (attacks D4 and D5). The number of segments is bounded by the owner, and by
/// `kMost`.
class Scoreboard {
 public:
  static constexpr std::uint32_t kMost = 1u << 15;

  Scoreboard() = default;
  Scoreboard(const Scoreboard&) = delete;
  Scoreboard& operator=(const Scoreboard&) = delete;

  bool empty() const { return count_ == 0; }
  std::uint32_t size() const { return count_; }
  /// By place: 0 is the earliest octet.
  const SentSegment& operator[](std::uint32_t i) const { return slot(i); }
  const SentSegment& back() const { return slot(count_ - 1); }

  /// A new segment behind the last. False: no memory.
  bool push(wire::SeqNum start, std::uint16_t length, bool push, Instant now, const SendMark& mark = {});
  /// `n` new segments of `length` octets each, one behind the other, as so many calls of `push` would make
  /// them; `mark` is the first's. Returns how many there was memory for.
  std::uint32_t push_run(wire::SeqNum start, std::uint16_t length, std::uint32_t n, Instant now,
                         const SendMark& mark);
  /// Segments in a row that left together, once, and of which nothing was heard before.
  struct Run {
    const SentSegment& first;
    const SentSegment& last;
    std::uint32_t segments = 0;
    std::uint32_t octets = 0;
  };
  /// Drops everything before `una`, calling `each(segment)` for those that are gone whole.
  template <class Each>
  void acknowledge(wire::SeqNum una, Each each) {
    acknowledge_runs(una, false, each, [](const Run&) {});
  }
  /// The same, calling `each_run(Run)` for several at once if `runs`.
  template <class Each, class EachRun>
  void acknowledge_runs(wire::SeqNum una, bool runs, Each each, EachRun each_run) {
    while (count_ > 0 && slot(0).end().at_or_before(una)) {
      if (const Run run = runs ? run_before(una) : Run{slot(0), slot(0)}; run.segments > 1) {
        each_run(run);
        drop(run);
        continue;
      }
      each(slot(0));
      pop();
    }
    if (count_ > 0 && slot(0).start.before(una)) trim(una);
  }
  /// Marks what lies wholly in [left, right), calling `each(segment)` for what was not marked before. A part
  /// of a segment says nothing.
  template <class Each>
  void sack(wire::SeqNum left, wire::SeqNum right, Each each) {
    ++visits_;
    for (std::uint32_t i = next_unsacked(first_from(left)); i < count_ && slot(i).end().at_or_before(right);
         i = next_unsacked(i + 1)) {
      each(slot(i));
      mark_sacked(i);
    }
  }
  /// The receiver has dropped what it had acknowledged selectively (RFC 2018 §8).
  void forget_sacks();

  void mark_lost(std::uint32_t i);
  /// What was lost is not: the timeout or the recovery was spurious.
  void forget_losses();
  /// Sent again; must not be sacked.
  void mark_retransmitted(std::uint32_t i, Instant now, const SendMark& mark = {});
  /// The first that is lost and not sent again since.
  std::optional<std::uint32_t> next_lost();
  /// Of those that are neither sacked nor lost the one sent first, and the one sent behind `i`.
  std::optional<std::uint32_t> oldest() const { return place_of(oldest_); }
  std::optional<std::uint32_t> sent_behind(std::uint32_t i) const { return place_of(slot(i).newer); }

  /// Cuts the first segment in two behind `octets`, which must be fewer than it has. False: no memory.
  bool split_first(std::uint32_t octets);
  /// Cuts all segments down to `limit` octets; those that were longer are lost.
  bool cut(std::uint32_t limit);

  std::uint32_t octets() const { return octets_; }
  std::uint32_t sacked() const { return sacked_; }
  std::uint32_t lost() const { return lost_; }
  std::uint32_t retransmitted() const { return retransmitted_; }
  /// Octets in the network by RFC 6675 §4: not sacked, and not lost unless sent again.
  std::uint32_t pipe() const { return octets_ - sacked_octets_ - lost_octets_ + retransmitted_octets_; }
  void clear();
  /// How many segments there is memory for.
  std::uint32_t room() const { return capacity_; }
  /// Gives memory back; must be empty.
  void shrink();
  /// Segments looked at since the beginning for blocks and for what is lost; a binary search counts as one.
  std::uint64_t visits() const { return visits_; }

 private:
  static constexpr std::uint16_t kNone = 0xffff;
  static constexpr std::uint32_t kInline = 8;

  SentSegment& slot(std::uint32_t i) { return ring()[(first_ + i) & (capacity_ - 1)]; }
  const SentSegment& slot(std::uint32_t i) const { return const_cast<Scoreboard*>(this)->slot(i); }
  SentSegment* ring() { return storage_ ? storage_.get() : inline_; }
  std::uint16_t place(std::uint32_t i) const {
    return static_cast<std::uint16_t>((first_ + i) & (capacity_ - 1));
  }
  std::optional<std::uint32_t> place_of(std::uint16_t at) const {
    if (at == kNone) return std::nullopt;
    return (at - first_) & (capacity_ - 1);
  }
  static bool waits(const SentSegment& s) { return s.lost && !s.retransmitted; }
  bool grow();
  void pop();
  Run run_before(wire::SeqNum una) const;
  void drop(const Run& run);
  void trim(wire::SeqNum una);
  void mark_sacked(std::uint32_t i);
  void link(std::uint32_t i);
  void unlink(std::uint32_t i);
  void relink_all();
  std::uint32_t first_from(wire::SeqNum left) const;
  std::uint32_t next_unsacked(std::uint32_t i);

  SentSegment inline_[kInline];
  std::unique_ptr<SentSegment[]> storage_;
  std::uint32_t capacity_ = kInline;
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t lost_hint_ = 0;  // none before it is to be sent again
  std::uint32_t octets_ = 0, sacked_octets_ = 0, lost_octets_ = 0, retransmitted_octets_ = 0;
  std::uint32_t sacked_ = 0, lost_ = 0, retransmitted_ = 0;
  std::uint32_t waiting_ = 0;  // lost, and not sent again since
  std::uint16_t oldest_ = kNone, newest_ = kNone;
  std::uint64_t visits_ = 0;
};

// For every segment that is sent and acknowledged.

inline void Scoreboard::link(std::uint32_t i) {
  SentSegment& s = slot(i);
  s.older = newest_;
  s.newer = kNone;
  (newest_ == kNone ? oldest_ : ring()[newest_].newer) = place(i);
  newest_ = place(i);
}

inline void Scoreboard::unlink(std::uint32_t i) {
  const SentSegment& s = slot(i);
  (s.older == kNone ? oldest_ : ring()[s.older].newer) = s.newer;
  (s.newer == kNone ? newest_ : ring()[s.newer].older) = s.older;
}

inline bool Scoreboard::push(wire::SeqNum start, std::uint16_t length, bool push, Instant now,
                             const SendMark& mark) {
  if (count_ == capacity_ && !grow()) return false;
  SentSegment& s = slot(count_);
  s = SentSegment{};
  s.sent_at = now;
  s.start = start;
  s.length = length;
  s.push = push;
  s.mark = mark;
  octets_ += length;
  link(count_++);
  return true;
}

inline void Scoreboard::pop() {
  SentSegment& s = slot(0);
  if (waits(s)) {
    --waiting_;
  } else if (!s.sacked) {
    unlink(0);
  }
  octets_ -= s.length;
  if (s.sacked) --sacked_, sacked_octets_ -= s.length;
  if (s.lost) --lost_, lost_octets_ -= s.length;
  if (s.retransmitted) --retransmitted_, retransmitted_octets_ -= s.length;
  first_ = (first_ + 1) & (capacity_ - 1);
  --count_;
  if (lost_hint_ > 0) --lost_hint_;
}

inline Scoreboard::Run Scoreboard::run_before(wire::SeqNum una) const {
  const SentSegment* last = &slot(0);
  Run run{*last, *last, 0, 0};
  const Instant sent_at = last->sent_at;
  const auto is_plain = [](const SentSegment& s) { return !s.sacked && !s.lost && !s.ever_retransmitted; };
  // In the order of sending, too, they must be one behind the other, and the oldest.
  if (oldest_ != place(0) || !is_plain(*last)) return run;
  std::uint32_t n = 1, octets = last->length;
  for (; n < count_; ++n) {
    const SentSegment& s = slot(n);
    if (s.sent_at != sent_at || last->newer != place(n) || !is_plain(s) || s.end().after(una)) break;
    octets += s.length;
    last = &s;
  }
  return {slot(0), *last, n, octets};
}

inline void Scoreboard::drop(const Run& run) {
  oldest_ = run.last.newer;
  (oldest_ == kNone ? newest_ : ring()[oldest_].older) = kNone;
  octets_ -= run.octets;
  first_ = (first_ + run.segments) & (capacity_ - 1);
  count_ -= run.segments;
  lost_hint_ -= std::min(lost_hint_, run.segments);
}

}  // namespace synfin::tcp
