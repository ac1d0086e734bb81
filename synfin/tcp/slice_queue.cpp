// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/slice_queue.h"

#include <algorithm>
#include <memory>
#include <new>

#include "synfin/wire/copy.h"

namespace synfin::tcp {
namespace {

// A slice is worth its block when it fills at least this share; smaller ones are copied behind the last one
// where there is room.
constexpr std::uint32_t kWorthSharing = 4;
// The block a write is spread over, and what of it fills most of a large one.
constexpr std::uint32_t kWriteBlock = wire::BlockPool::kMedium;
constexpr std::uint32_t kLargeWrite = 3 * wire::BlockPool::kMedium;

wire::Block* block_for(std::uint32_t octets, SliceQueue::Blocks blocks, wire::BlockPool& pool) {
  const bool may_be_large = blocks == SliceQueue::Blocks::kLarge && octets >= kLargeWrite;
  wire::Block* const large = may_be_large ? pool.allocate(wire::BlockPool::kLarge) : nullptr;
  return large != nullptr ? large : pool.allocate(std::min(octets, kWriteBlock));
}

bool is_small(const wire::Slice& s) {
  return s.size() * kWorthSharing < s.memory();
}

}  // namespace

// Of the pool of the slices in it, which is one and the same.
bool SliceQueue::grow(wire::BlockPool& pool) {
  const std::uint32_t log_bigger = capacity() == kInline ? kLogFirst : log_capacity_ + 1u;
  if (log_bigger - kLogFirst > wire::BlockPool::kMostDoublings) return false;
  void* const memory = pool.take_list(log_bigger - kLogFirst);
  if (memory == nullptr) return false;
  auto* const storage = static_cast<Entry*>(memory);
  std::uninitialized_value_construct_n(storage, std::size_t{1} << log_bigger);
  for (std::uint32_t i = 0; i < count_; ++i) storage[i] = std::move(at(i));
  if (capacity() == kInline) {
    inline_.~Entry();
  } else {
    give_back(pool);
  }
  storage_ = storage;
  log_capacity_ = log_bigger & 31u;
  first_ = 0;
  return true;
}

void SliceQueue::give_back(wire::BlockPool& pool) {
  std::destroy_n(storage_, capacity());
  pool.give_list(storage_, log_capacity_ - kLogFirst);
}

bool SliceQueue::push(wire::Slice slice, wire::BlockPool& pool) {
  if (count_ == capacity() && !grow(pool)) return false;
  if (count_ == 0 || !at(count_ - 1).slice.shares_block_with(slice)) charge(slice);
  const std::uint32_t start = count_ == 0 ? 0 : at(count_ - 1).start + at(count_ - 1).slice.size();
  Entry& e = at(count_++);
  e.start = start;
  size_ += slice.size();
  e.slice = std::move(slice);
  waits_ = false;
  return true;
}

// What continues the last one has not come: it is copied out of its block, if there is memory.
void SliceQueue::settle_last(wire::BlockPool& pool) {
  if (!waits_) return;
  waits_ = false;
  Entry& last = at(count_ - 1);
  if (!is_small(last.slice)) return;
  const std::uint32_t n = last.slice.size();
  const bool behind = count_ > 1 && at(count_ - 2).slice.room() >= n;
  wire::Slice copy = behind ? wire::Slice{} : pool.copy(last.slice.bytes());
  if (!behind && copy.empty()) return;
  if (count_ == 1 || !at(count_ - 2).slice.shares_block_with(last.slice)) refund(last.slice);
  if (behind) {
    (void)at(count_ - 2).slice.append(last.slice.bytes());
    last.slice.reset();
    --count_;
  } else {
    last.slice = std::move(copy);
    charge(last.slice);
  }
}

// What `append_to(slice, bytes)` takes into the last block, and then into new ones.
template <class AppendTo>
std::uint32_t SliceQueue::append_to_blocks(Bytes bytes, Blocks blocks, wire::BlockPool& pool,
                                           AppendTo append_to) {
  std::uint32_t done = 0;
  settle_last(pool);
  if (count_ > 0) {
    const std::uint32_t n = append_to(at(count_ - 1).slice, bytes);
    size_ += n;
    done += n;
  }
  while (done < bytes.size()) {
    const auto rest = static_cast<std::uint32_t>(bytes.size()) - done;
    wire::Block* block = block_for(rest, blocks, pool);
    if (block == nullptr) break;
    wire::Slice slice{block, 0, 0};
    const std::uint32_t n = append_to(slice, bytes.subspan(done));
    if (!push(std::move(slice), pool)) break;
    done += n;
  }
  return done;
}

std::uint32_t SliceQueue::append_copy(Bytes bytes, wire::BlockPool& pool, Blocks blocks) {
  return append_to_blocks(bytes, blocks, pool, [](wire::Slice& to, Bytes from) { return to.append(from); });
}

std::uint32_t SliceQueue::append_summed(Bytes bytes, Pieces pieces, wire::BlockPool& pool, Blocks blocks) {
  std::uint32_t open = pieces.open;
  return append_to_blocks(bytes, blocks, pool, [&](wire::Slice& to, Bytes from) {
    std::uint32_t done = 0;
    while (done < from.size()) {
      const std::uint32_t begun_here = std::min(open, to.size());
      const std::uint32_t n = to.append_summed(
          from.subspan(done).first(std::min<std::size_t>(from.size() - done, pieces.size - open)),
          begun_here);
      if (n == 0) break;
      done += n;
      open = open + n == pieces.size ? 0 : open + n;
    }
    return done;
  });
}

std::uint32_t SliceQueue::append(wire::Slice slice, wire::BlockPool& pool, Small if_small) {
  const std::uint32_t n = slice.size();
  if (n == 0) return 0;
  if (extend(slice)) return n;
  settle_last(pool);
  const bool small = is_small(slice);
  if (small && count_ > 0 && at(count_ - 1).slice.room() >= n) return append_copy(slice.bytes(), pool);
  // The first of small ones may stay where it is if it leaves room for those that follow.
  const bool begins =
      slice.memory() <= wire::BlockPool::kSmall && slice.room() >= wire::BlockPool::kSmall / 2;
  const bool waits = small && !begins;
  if (waits && if_small == Small::kCopy) return append_copy(slice.bytes(), pool);
  if (!push(std::move(slice), pool)) return 0;
  waits_ = waits;
  return n;
}

void SliceQueue::drop_front(std::uint32_t n) {
  size_ -= n;
  while (n > 0) {
    Entry& e = at(0);
    if (e.slice.size() > n) {
      e.slice.drop_front(n);
      e.start += n;
      return;
    }
    n -= e.slice.size();
    if (count_ == 1) {
      clear();
      return;
    }
    if (!at(1).slice.shares_block_with(e.slice)) refund(e.slice);
    e.slice.reset();
    first_ = (first_ + 1) & (capacity() - 1);
    --count_;
  }
}

std::uint32_t SliceQueue::read(std::span<const MutableBytes> into) {
  std::uint32_t total = 0;
  for (MutableBytes out : into) {
    while (!out.empty() && count_ > 0) {
      const Bytes from = at(0).slice.bytes();
      const std::size_t n = std::min(out.size(), from.size());
      wire::copy_text(out.data(), from.first(n));
      out = out.subspan(n);
      total += static_cast<std::uint32_t>(n);
      drop_front(static_cast<std::uint32_t>(n));
    }
  }
  return total;
}

std::uint32_t SliceQueue::peek(std::span<const MutableBytes> into) const {
  std::uint32_t total = 0;
  std::uint32_t i = 0;
  std::size_t skip = 0;
  for (MutableBytes out : into) {
    while (!out.empty() && i < count_) {
      const Bytes from = at(i).slice.bytes().subspan(skip);
      const std::size_t n = std::min(out.size(), from.size());
      wire::copy_text(out.data(), from.first(n));
      out = out.subspan(n);
      total += static_cast<std::uint32_t>(n);
      skip += n;
      if (n == from.size()) {
        ++i;
        skip = 0;
      }
    }
  }
  return total;
}

wire::Slice SliceQueue::take_front(std::uint32_t most) {
  const wire::Slice& first = at(0).slice;
  wire::Slice taken = first.sub(0, std::min(first.size(), most));
  drop_front(taken.size());
  return taken;
}

std::uint32_t SliceQueue::index_of(std::uint32_t offset) const {
  const std::uint32_t base = at(0).start;
  std::uint32_t low = 0, high = count_;
  while (high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (at(middle).start - base <= offset) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

std::uint32_t SliceQueue::share(std::uint32_t offset, std::uint32_t n, wire::Frame& frame) const {
  if (n == 0) return 0;
  std::uint32_t done = 0;
  std::uint32_t i = index_of(offset);
  std::uint32_t skip = offset - (at(i).start - at(0).start);
  while (done < n) {
    const wire::Slice& s = at(i).slice;
    const std::uint32_t part = std::min(n - done, s.size() - skip);
    wire::Slice shared = s.sub(skip, part);
    if (frame.slice_count > 0 && frame.slices[frame.slice_count - 1u].continued_by(shared)) {
      frame.slices[frame.slice_count - 1u].extend(part);
    } else if (!frame.full()) {
      frame.add(std::move(shared));
    } else {
      break;
    }
    done += part;
    skip = 0;
    ++i;
  }
  return done;
}

std::uint32_t SliceQueue::memory_at_ends() const {
  if (count_ == 0) return 0;
  const wire::Slice &first = at(0).slice, &last = at(count_ - 1).slice;
  return first.memory() + (first.shares_block_with(last) ? 0 : last.memory());
}

std::uint32_t SliceQueue::collapse(wire::BlockPool& pool) {
  std::uint32_t kept = 0, gone = 0, left = size_;
  bool copying = false;  // the last one kept lies in a block that was begun here
  waits_ = false;
  memory_ = 0;
  const auto keep = [&](Entry e) {
    if (kept == 0 || !at(kept - 1).slice.shares_block_with(e.slice)) charge(e.slice);
    at(kept++) = std::move(e);
  };
  for (std::uint32_t i = 0; i < count_; ++i) {
    Entry e = std::move(at(i));
    const std::uint32_t size = e.slice.size();
    // Never more than one for one, as they are written over those that have been looked at.
    const bool sparse = std::uint64_t{size} * 2 < e.slice.memory() && size <= kWriteBlock;
    if (sparse && copying) {
      const std::uint32_t n = at(kept - 1).slice.append(e.slice.bytes());
      e.slice.drop_front(n);
      e.start += n;
    }
    if (sparse && !e.slice.empty()) {
      const std::uint32_t few = std::max(e.slice.size(), wire::BlockPool::kSmall);
      wire::Block* block = pool.allocate(left < kWriteBlock / 2 ? few : kWriteBlock);
      copying = block != nullptr;
      if (copying) {
        wire::Slice copy{block, 0, 0};
        (void)copy.append(e.slice.bytes());
        e.slice = std::move(copy);
      }
    } else if (!sparse) {
      copying = false;
    }
    left -= size;
    if (e.slice.empty()) {
      ++gone;
    } else {
      keep(std::move(e));
    }
  }
  count_ = kept & 0x7fff'ffffu;
  return gone;
}

void SliceQueue::clear() {
  if (capacity() == kInline) {
    inline_.slice.reset();
  } else {
    wire::BlockPool& pool =
        at(0).slice.pool();  // as long as there is more than the entry within, it is in use
    give_back(pool);
    new (&inline_) Entry{};
    log_capacity_ = 0;
  }
  first_ = 0;
  count_ = 0;
  waits_ = false;
  size_ = 0;
  memory_ = 0;
}

}  // namespace synfin::tcp
