// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "synfin/wire/frame.h"

namespace synfin::tcp {

/// A byte stream in slices: what is queued to send, or what has arrived in order. Bytes are added at the back
/// and dropped at the front; any part can be shared without a copy. Empty, it holds no memory beyond itself.
/// However small the slices are that are appended, the blocks it holds are no larger than eight times
/// `size()` and one block at either end: small ones are copied together.
class SliceQueue {
 public:
  SliceQueue() : inline_() {}
  SliceQueue(const SliceQueue&) = delete;
  SliceQueue& operator=(const SliceQueue&) = delete;
  ~SliceQueue() {
    clear();
    inline_.~Entry();
  }

  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Octets of the blocks it holds; one that slices which are not neighbours share counts more than once.
  std::uint64_t memory() const { return std::uint64_t{memory_} * kMemoryUnit; }
  /// Of these, those of the first and the last slice, of which parts may have been read or are yet to be
  /// filled.
  std::uint32_t memory_at_ends() const;

  /// Into what a write is copied. In large blocks a super-segment needs few slices; but each piece of such a
  /// block that is left somewhere holds all of it.
  enum class Blocks : bool {
    kMedium,
    kLarge
  };
  /// Copies `bytes` to the back; returns how many the pool had memory for.
  std::uint32_t append_copy(Bytes bytes, wire::BlockPool& pool, Blocks blocks = Blocks::kMedium);
  /// What the stream is likely to be cut into. A wrong guess costs the sums, which are then made anew.
  struct Pieces {
    std::uint32_t size;  // not 0
    std::uint32_t open;  // octets at the end that begin one; fewer than `size`
  };
  /// The same, each piece summed on the way (`wire::Slice::sum`) as far as it lies in one block.
  std::uint32_t append_summed(Bytes bytes, Pieces pieces, wire::BlockPool& pool,
                              Blocks blocks = Blocks::kMedium);
  /// Adds a slice, without copying unless it is small against its block; with kWait, unless what follows it
  /// there does not come next. Returns how many of its bytes were taken, from the front: fewer than all where
  /// there is no memory.
  enum class Small : bool {
    kCopy,
    kWait
  };
  std::uint32_t append(wire::Slice slice, wire::BlockPool& pool, Small small = Small::kCopy);
  /// The same for one that lies right behind the last in its block, which `append` would make longer by it.
  /// False, and nothing done, of any other.
  bool extend(const wire::Slice& slice) {
    if (count_ == 0 || !at(count_ - 1).slice.continued_by(slice)) return false;
    at(count_ - 1).slice.extend(slice.size());
    size_ += slice.size();
    return true;
  }
  /// `n` must not exceed `size()`.
  void drop_front(std::uint32_t n);
  /// Copies the first bytes out and drops them; returns how many.
  std::uint32_t read(std::span<const MutableBytes> into);
  /// The same, dropping nothing.
  std::uint32_t peek(std::span<const MutableBytes> into) const;
  /// Takes the first slice off, or its first `most` octets (not 0). Must not be empty.
  wire::Slice take_front(std::uint32_t most);
  /// Adds [offset, offset + n) to the frame by sharing; returns how much fitted into its slices. What lies
  /// right behind the frame's last slice makes that longer.
  std::uint32_t share(std::uint32_t offset, std::uint32_t n, wire::Frame& frame) const;
  /// Copies slices that are small against their blocks together; returns how many. What finds no memory stays
  /// as it is.
  std::uint32_t collapse(wire::BlockPool& pool);
  void clear();

 private:
  struct Entry {
    wire::Slice slice;
    std::uint32_t start = 0;  // place in the stream, modulo 2^32
  };
  static constexpr std::uint32_t kInline = 1;  // an idle connection is to stay small
  static constexpr unsigned kLogFirst = 4;     // … and one with more than that has as many
  static_assert((sizeof(Entry) << kLogFirst) <= wire::BlockPool::kList);
  static constexpr std::uint32_t kMemoryUnit = wire::BlockPool::kSmall;
  static_assert(wire::BlockPool::kMedium % kMemoryUnit == 0 && wire::BlockPool::kLarge % kMemoryUnit == 0);

  Entry& at(std::uint32_t i) { return entries()[(first_ + i) & (capacity() - 1)]; }
  const Entry& at(std::uint32_t i) const { return const_cast<SliceQueue*>(this)->at(i); }
  Entry* entries() { return capacity() > kInline ? storage_ : &inline_; }
  std::uint32_t capacity() const { return std::uint32_t{1} << log_capacity_; }
  void charge(const wire::Slice& s) { memory_ = (memory_ + s.memory() / kMemoryUnit) & kMostMemory; }
  void refund(const wire::Slice& s) { memory_ = (memory_ - s.memory() / kMemoryUnit) & kMostMemory; }
  template <class AppendTo>
  std::uint32_t append_to_blocks(Bytes bytes, Blocks blocks, wire::BlockPool& pool, AppendTo append_to);
  bool push(wire::Slice slice, wire::BlockPool& pool);
  bool grow(wire::BlockPool& pool);
  void give_back(wire::BlockPool& pool);
  void settle_last(wire::BlockPool& pool);
  std::uint32_t index_of(std::uint32_t offset) const;

  static constexpr std::uint32_t kMostMemory = (1u << 27) - 1;  // 256 GiB
  union {
    Entry inline_;    // alive while `capacity()` is kInline
    Entry* storage_;  // behind that
  };
  std::uint32_t log_capacity_ : 5 = 0;
  std::uint32_t memory_ : 27 = 0;  // in kMemoryUnit
  std::uint32_t first_ = 0;
  std::uint32_t count_ : 31 = 0;
  std::uint32_t waits_ : 1 = 0;  // the last is small against its block, and waits for what continues it
  std::uint32_t size_ = 0;
};

}  // namespace synfin::tcp
