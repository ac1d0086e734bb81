// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/reassembly.h"

#include <algorithm>
#include <iterator>

namespace synfin::tcp {
namespace {

// Text is worth its block when it fills at least this share of it.
constexpr std::uint32_t kWorthKeeping = 4;

}  // namespace

Reassembly::Offset Reassembly::offset_of(wire::SeqNum s) const {
  return base_offset_ + static_cast<std::uint32_t>(s - base_);
}

bool Reassembly::insert(wire::SeqNum seq, const wire::Slice& text, wire::BlockPool& pool) {
  const Offset begin = offset_of(seq), end = begin + text.size();
  bool kept = false;
  Offset at = begin;
  auto run = runs_.upper_bound(at);
  if (run != runs_.begin()) at = std::max(at, std::prev(run)->second);
  // Between the runs that are there, the gaps are filled with what is new.
  for (++visits_; at < end; ++visits_) {
    const bool last = run == runs_.end() || run->first >= end;
    const Offset gap_end = last ? end : run->first;
    const Offset behind = last ? end : run->second;
    if (!keep(at, text.sub(static_cast<std::uint32_t>(at - begin), static_cast<std::uint32_t>(gap_end - at)),
              pool))
      break;
    kept = true;
    at = behind;
    run = runs_.upper_bound(at);
  }
  return kept;
}

bool Reassembly::keep(Offset at, wire::Slice text, wire::BlockPool& pool) {
  const std::uint32_t size = text.size();
  const auto next = pieces_.lower_bound(at);
  const auto before = next == pieces_.begin() ? pieces_.end() : std::prev(next);
  const bool follows = before != pieces_.end() && before->first + before->second.size() == at;
  if (follows && size <= wire::BlockPool::kSmall / 2 && before->second.room() >= size) {
    before->second.append(text.bytes());
  } else {
    if (pieces_.size() >= most_pieces_) return false;
    if (size * kWorthKeeping < text.memory()) text = copy(text.bytes(), pool);
    if (text.empty()) return false;
    memory_ -= block_begun(next);
    memory_ += block_begun(pieces_.emplace_hint(next, at, std::move(text)));
    memory_ += block_begun(next);
  }
  octets_ += size;
  newest_ = at;
  add_run(at, at + size);
  return true;
}

std::uint32_t Reassembly::block_begun(Place piece) {
  if (piece == pieces_.end()) return 0;
  if (piece != pieces_.begin() && std::prev(piece)->second.shares_block_with(piece->second)) return 0;
  return piece->second.memory();
}

std::size_t Reassembly::prune(std::uint64_t memory) {
  std::size_t n = 0;
  for (; !pieces_.empty() && this->memory() > memory; ++n) {
    const auto last = std::prev(pieces_.end());
    const Offset begin = last->first;
    memory_ -= block_begun(last);
    octets_ -= last->second.size();
    pieces_.erase(last);
    const auto run = std::prev(runs_.end());
    if (run->first >= begin) {
      runs_.erase(run);
    } else {
      run->second = begin;
    }
    ++visits_;
  }
  if (pieces_.empty()) crumbs_.reset();
  return n;
}

std::optional<wire::SackBlock> Reassembly::touch_duplicate(wire::SeqNum seq, std::uint32_t size) {
  const Offset begin = offset_of(seq), end = begin + size;
  ++visits_;
  auto run = runs_.upper_bound(begin);
  if (run != runs_.begin() && std::prev(run)->second > begin) --run;
  if (run == runs_.end() || run->first >= end) return std::nullopt;
  newest_ = std::max(run->first, begin);
  return wire::SackBlock{seq_at(newest_), seq_at(std::min(run->second, end))};
}

wire::Slice Reassembly::copy(Bytes text, wire::BlockPool& pool) {
  const auto size = static_cast<std::uint32_t>(text.size());
  if (size > wire::BlockPool::kSmall) return pool.copy(text);
  if (crumbs_.room() < size) {
    wire::Block* block = pool.allocate(wire::BlockPool::kSmall);
    if (block == nullptr) return {};
    crumbs_ = wire::Slice{block, 0, 0};
  }
  const std::uint32_t at = crumbs_.size();
  crumbs_.append(text);
  return crumbs_.sub(at, size);
}

// A gap was filled: what it separated is one.
void Reassembly::add_run(Offset begin, Offset end) {
  const auto next = runs_.lower_bound(begin);
  auto run = next;
  if (next != runs_.begin() && std::prev(next)->second == begin) {
    run = std::prev(next);
    run->second = end;
  } else {
    run = runs_.emplace_hint(next, begin, end);
  }
  if (next == runs_.end() || next->first != end) return;
  run->second = next->second;
  runs_.erase(next);
}

void Reassembly::cut_runs(Offset to) {
  while (!runs_.empty() && runs_.begin()->first < to) {
    auto run = runs_.extract(runs_.begin());
    if (run.mapped() <= to) continue;
    run.key() = to;
    runs_.insert(std::move(run));
  }
}

std::optional<wire::Slice> Reassembly::take(wire::SeqNum next) {
  // The base follows RCV.NXT, so that distances stay small however long a hole lasts.
  base_offset_ = offset_of(next);
  base_ = next;
  while (!pieces_.empty()) {
    const auto it = pieces_.begin();
    if (it->first > base_offset_) return std::nullopt;
    const Offset begin = it->first;
    const auto behind = std::next(it);
    memory_ -= block_begun(it) + block_begun(behind);
    wire::Slice slice = std::move(it->second);
    octets_ -= slice.size();
    pieces_.erase(it);
    memory_ += block_begun(behind);
    cut_runs(begin + slice.size());
    ++visits_;
    const auto stale = static_cast<std::uint32_t>(std::min<Offset>(base_offset_ - begin, slice.size()));
    slice.drop_front(stale);
    if (!slice.empty()) return slice;
  }
  return std::nullopt;
}

std::size_t Reassembly::sack_blocks(std::span<wire::SackBlock> out) {
  if (runs_.empty() || out.empty()) return 0;
  auto newest = runs_.upper_bound(newest_);
  if (newest != runs_.begin()) --newest;
  std::size_t n = 0;
  const auto add = [&](auto run) {
    out[n++] = {seq_at(run->first), seq_at(run->second)};
    ++visits_;
  };
  add(newest);
  for (auto run = runs_.begin(); run != runs_.end() && n < out.size(); ++run) {
    if (run != newest) add(run);
  }
  return n;
}

}  // namespace synfin::tcp
