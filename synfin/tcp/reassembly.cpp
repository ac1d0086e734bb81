// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/reassembly.h"

#include <algorithm>
#include <iterator>

namespace synfin::tcp {

Reassembly::Offset Reassembly::offset_of(wire::SeqNum s) const {
  return base_offset_ + static_cast<std::uint32_t>(s - base_);
}

bool Reassembly::insert(wire::SeqNum seq, const wire::Slice& text) {
  if (text.empty()) return false;
  Offset begin = offset_of(seq);
  const Offset end = begin + text.size();
  bool kept = false;

  auto next = pieces_.lower_bound(begin);
  if (next != pieces_.begin()) {
    const auto before = std::prev(next);
    begin = std::max(begin, std::min(end, before->first + before->second.size()));
  }
  const Offset text_begin = end - text.size();
  // Between the pieces that are there, the gaps are filled with what is new.
  while (begin < end) {
    const Offset gap_end = next == pieces_.end() ? end : std::min(end, next->first);
    if (begin < gap_end) {
      if (pieces_.size() >= kMaxPieces) return kept;
      const auto size = static_cast<std::uint32_t>(gap_end - begin);
      pieces_.emplace_hint(next, begin, text.sub(static_cast<std::uint32_t>(begin - text_begin), size));
      octets_ += size;
      newest_ = begin;
      kept = true;
    }
    if (next == pieces_.end()) break;
    begin = std::max(begin, next->first + next->second.size());
    ++next;
  }
  return kept;
}

std::optional<wire::SackBlock> Reassembly::touch_duplicate(wire::SeqNum seq, std::uint32_t size) {
  const Offset begin = offset_of(seq), end = begin + size;
  auto it = pieces_.upper_bound(begin);
  if (it != pieces_.begin()) --it;
  for (; it != pieces_.end() && it->first < end; ++it) {
    if (it->first + it->second.size() <= begin) continue;
    newest_ = it->first;
    const wire::SackBlock run = run_around(it);
    return wire::SackBlock{later(run.left, seq), earlier(run.right, seq + size)};
  }
  return std::nullopt;
}

wire::Slice Reassembly::crumb(Bytes text, wire::BlockPool& pool) {
  const auto size = static_cast<std::uint32_t>(text.size());
  if (crumbs_.room() < size) {
    wire::Block* block = pool.allocate(std::max(size, wire::BlockPool::kSmall));
    if (block == nullptr) return {};
    crumbs_ = wire::Slice{block, 0, 0};
  }
  const std::uint32_t at = crumbs_.size();
  crumbs_.append(text);
  return crumbs_.sub(at, size);
}

std::optional<wire::Slice> Reassembly::take(wire::SeqNum next) {
  // The base follows RCV.NXT, so that distances stay small however long a hole lasts.
  base_offset_ = offset_of(next);
  base_ = next;
  while (!pieces_.empty()) {
    const auto it = pieces_.begin();
    if (it->first > base_offset_) return std::nullopt;
    wire::Slice slice = std::move(it->second);
    const Offset begin = it->first;
    octets_ -= slice.size();
    pieces_.erase(it);
    const auto stale = static_cast<std::uint32_t>(std::min<Offset>(base_offset_ - begin, slice.size()));
    slice.drop_front(stale);
    if (!slice.empty()) return slice;
  }
  return std::nullopt;
}

wire::SackBlock Reassembly::run_around(std::map<Offset, wire::Slice>::const_iterator it) const {
  auto first = it;
  while (first != pieces_.begin()) {
    const auto before = std::prev(first);
    if (before->first + before->second.size() != first->first) break;
    first = before;
  }
  auto last = it;
  for (auto after = std::next(last);
       after != pieces_.end() && last->first + last->second.size() == after->first; ++after) {
    last = after;
  }
  const auto seq_at = [this](Offset o) { return base_ + static_cast<std::uint32_t>(o - base_offset_); };
  return {seq_at(first->first), seq_at(last->first + last->second.size())};
}

std::size_t Reassembly::sack_blocks(std::span<wire::SackBlock> out) const {
  if (pieces_.empty() || out.empty()) return 0;
  auto newest = pieces_.upper_bound(newest_);
  if (newest != pieces_.begin()) --newest;
  std::size_t n = 0;
  out[n++] = run_around(newest);
  for (auto it = pieces_.begin(); it != pieces_.end() && n < out.size();) {
    const wire::SackBlock run = run_around(it);
    if (run != out[0]) out[n++] = run;
    const Offset run_end =
        it->first + static_cast<std::uint32_t>(
                        run.right - (base_ + static_cast<std::uint32_t>(it->first - base_offset_)));
    it = pieces_.lower_bound(run_end);
  }
  return n;
}

}  // namespace synfin::tcp
