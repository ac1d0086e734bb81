// SPDX-License-Identifier: Apache-2.0
//
// How packets lie in memory: blocks from a pool, counted slices of them, and frames made of a header part and
// slices. Data is copied into a block at most once; from there to the wire, to a retransmission and through
// the in-memory link only slices move.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "synfin/base/bytes.h"

namespace synfin::wire {

class BlockPool;

/// Memory for packet bytes. Owned by its pool, kept alive by the slices over it. Counts are not atomic: a
/// block stays on the thread of its pool.
struct Block {
  BlockPool* pool;
  std::byte* data;
  std::uint32_t capacity;  // 0: the memory is somebody else's, who lent it
  /// How much has been filled; whoever holds the slice that ends here may append.
  std::uint32_t used;
  std::uint32_t references;
  /// Whether anything stands in `sums()`.
  bool summed = false;

  /// The sum (`ones_sum`) of a piece, by the KiB of the block in which that begins: of none or one, if pieces
  /// are no smaller.
  struct PieceSum {
    std::uint16_t start;  // in its KiB
    std::uint16_t size;   // 0: none
    std::uint16_t sum;
  };
  static constexpr std::uint32_t kSumEach = 1024;
  /// capacity / kSumEach of them, behind the record.
  PieceSum* sums() { return reinterpret_cast<PieceSum*>(this + 1); }
};

/// A counted view of part of a block. Empty when default-constructed.
class Slice {
 public:
  Slice() = default;
  /// Takes over one reference that the caller holds.
  Slice(Block* adopted, std::uint32_t offset, std::uint32_t size)
      : block_(adopted), offset_(offset), size_(size) {}
  Slice(const Slice& o) : block_(o.block_), offset_(o.offset_), size_(o.size_) {
    if (block_ != nullptr) ++block_->references;
  }
  Slice(Slice&& o) noexcept
      : block_(std::exchange(o.block_, nullptr)), offset_(o.offset_), size_(std::exchange(o.size_, 0)) {}
  Slice& operator=(Slice o) noexcept {
    std::swap(block_, o.block_);
    std::swap(offset_, o.offset_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~Slice() { reset(); }

  void reset() {
    if (block_ != nullptr && --block_->references == 0) release(block_);
    block_ = nullptr;
    size_ = 0;
  }

  std::uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const std::byte* data() const { return block_->data + offset_; }
  Bytes bytes() const { return block_ == nullptr ? Bytes{} : Bytes{data(), size_}; }
  /// Shares the block; `first + count` must not exceed `size()`.
  Slice sub(std::uint32_t first, std::uint32_t count) const {
    if (block_ != nullptr) ++block_->references;
    return Slice{block_, offset_ + first, count};
  }
  void drop_front(std::uint32_t n) {
    offset_ += n;
    size_ -= n;
  }
  void truncate(std::uint32_t n) { size_ = n; }

  /// Of a slice that has a block.
  BlockPool& pool() const { return *block_->pool; }
  /// Whether `next` lies right behind this slice in its block; then `extend` by its size covers both.
  bool continued_by(const Slice& next) const {
    return block_ != nullptr && block_ == next.block_ && offset_ + size_ == next.offset_;
  }
  void extend(std::uint32_t n) { size_ += n; }

  /// Whether both lie in one block.
  bool shares_block_with(const Slice& o) const { return block_ == o.block_; }
  /// What the slice holds in memory, which for a small slice of a large block is more than `size()`.
  std::uint32_t memory() const { return block_ == nullptr ? 0 : block_->capacity; }
  /// Copies as much of `from` as the block has room for behind this slice; only where nobody appended before.
  std::uint32_t append(Bytes from);
  /// The same, summed on the way. The last `open` octets of the slice begin a piece that goes on with these:
  /// `sum()` knows the piece as long as all of it was appended so.
  std::uint32_t append_summed(Bytes from, std::uint32_t open);
  /// The sum (`ones_sum`) of exactly these octets, if it was kept when they were copied.
  std::optional<std::uint16_t> sum() const;
  /// Bytes that `append` would take.
  std::uint32_t room() const {
    return block_ != nullptr && offset_ + size_ == block_->used ? block_->capacity - block_->used : 0;
  }

 private:
  static void release(Block* block);
  Block* block_ = nullptr;
  std::uint32_t offset_ = 0;
  std::uint32_t size_ = 0;
};

/// Free lists of blocks in a few sizes. Outlives everything that holds its slices. One thread.
class BlockPool {
 public:
  static constexpr std::uint32_t kSmall = 2048;        // a packet of an Ethernet-sized MTU
  static constexpr std::uint32_t kMedium = 16 * 1024;  // a jumbo packet, a write
  static constexpr std::uint32_t kLarge = 66 * 1024;   // a super-segment with its headers

  /// `budget`: bytes of blocks alive at once; what would exceed it is refused.
  explicit BlockPool(std::uint64_t budget = 1ULL << 32) : budget_(budget) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// A block of at least `capacity` bytes (at most kLarge) with one reference and `used == 0`; nullptr when
  /// the budget or the memory is used up.
  Block* allocate(std::uint32_t capacity);
  /// A slice over a new block holding a copy of `bytes`; empty when there is no memory.
  Slice copy(Bytes bytes);
  /// A slice over `bytes`, which stay somebody else's and must neither change nor go until
  /// `give_back(context)` is called: once, when the last slice over any part of them is gone, on the thread
  /// of the pool and from within whatever call of the stack or of the program that is; it must not call the
  /// stack. They count as a block in use and not as bytes. Empty when there is no memory for the record, or
  /// no bytes, or more than 1 GiB: then nothing is called.
  Slice lend(Bytes bytes, void (*give_back)(void* context), void* context);
  void release(Block* block);

  /// Memory for what goes with blocks and is not packet bytes (lists of slices), aligned for pointers, 512 <<
  /// `doublings` octets (at most kMostDoublings); given back, it is kept for reuse as blocks are. It is none
  /// of the budget. nullptr: there is no memory.
  void* take_list(unsigned doublings);
  void give_list(void* list, unsigned doublings);
  static constexpr std::uint32_t kList = 512;
  static constexpr unsigned kMostDoublings = 19;  // 256 MiB

  std::uint64_t budget() const { return budget_; }
  std::uint64_t bytes_in_use() const { return in_use_; }
  std::uint64_t blocks_in_use() const { return blocks_; }

 private:
  static constexpr std::array<std::uint32_t, 3> kSizes{kSmall, kMedium, kLarge};
  /// Of the smallest that holds `capacity`, which is at most kLarge. Most blocks are small.
  static std::size_t size_class(std::uint32_t capacity) {
    std::size_t i = 0;
    while (kSizes[i] < capacity) ++i;
    return i;
  }
  // Freed blocks are kept for reuse, linked through their first bytes.
  std::array<Block*, kSizes.size()> free_{};
  std::array<void*, kMostDoublings + 1> free_lists_{};
  std::uint64_t budget_;
  std::uint64_t in_use_ = 0;
  std::uint64_t blocks_ = 0;
};

inline std::optional<std::uint16_t> Slice::sum() const {
  if (block_ == nullptr || !block_->summed) return std::nullopt;
  const Block::PieceSum& piece = block_->sums()[offset_ / Block::kSumEach];
  if (piece.start != offset_ % Block::kSumEach || piece.size != size_) return std::nullopt;
  return piece.sum;
}

inline void Slice::release(Block* block) {
  block->pool->release(block);
}

/// One packet, from the network header on (links that need more prepend it themselves). Headers that the
/// stack wrote lie in `header`; of a packet that a link read all headers lie in the first slice, and `header`
/// is empty.
struct alignas(64) Frame {
  static constexpr std::size_t kHeaderCapacity = 128;  // virtio 12 + Ethernet 14 + IPv6 40 + TCP 60 = 126
  static constexpr std::size_t kMaxSlices = 8;

  Frame() {}  // leaves `header` as it is: it is filled before it is read
  Frame(Frame&& o) noexcept { *this = std::move(o); }
  Frame& operator=(Frame&& o) noexcept {
    if (this == &o) return *this;
    clear();
    std::memcpy(header.data(), o.header.data(), o.header_size);
    header_size = std::exchange(o.header_size, 0);
    segment_size = std::exchange(o.segment_size, 0);
    needs_checksum = std::exchange(o.needs_checksum, false);
    checksum_verified = std::exchange(o.checksum_verified, false);
    slice_count = std::exchange(o.slice_count, 0);
    for (std::size_t i = 0; i < slice_count; ++i) slices[i] = std::move(o.slices[i]);
    return *this;
  }
  ~Frame() = default;

  void clear() {
    for (std::size_t i = 0; i < slice_count; ++i) slices[i].reset();
    slice_count = 0;
    header_size = 0;
    segment_size = 0;
    needs_checksum = false;
    checksum_verified = false;
  }

  /// A second frame over the same slices.
  Frame share() const {
    Frame f;
    std::memcpy(f.header.data(), header.data(), header_size);
    f.header_size = header_size;
    f.segment_size = segment_size;
    f.needs_checksum = needs_checksum;
    f.checksum_verified = checksum_verified;
    f.slice_count = slice_count;
    for (std::size_t i = 0; i < slice_count; ++i) f.slices[i] = slices[i];
    return f;
  }

  void add(Slice s) { slices[slice_count++] = std::move(s); }
  /// Leaves of the slices the first `octets` octets.
  void keep_text(std::uint32_t octets);
  bool full() const { return slice_count == kMaxSlices; }

  Bytes header_bytes() const { return {header.data(), header_size}; }
  /// The contiguous bytes in which the packet's headers lie.
  Bytes front() const { return header_size != 0 || slice_count == 0 ? header_bytes() : slices[0].bytes(); }
  std::size_t size() const {
    std::size_t n = header_size;
    for (std::size_t i = 0; i < slice_count; ++i) n += slices[i].size();
    return n;
  }
  /// Copies [offset, offset + out.size()) of the packet; the range must lie inside it.
  void copy_out(std::size_t offset, MutableBytes out) const;

  // Together in one line of the cache: what a packet is, and its first slices.
  std::uint16_t header_size = 0;
  /// Not 0: a super-segment, to be cut into TCP segments of this many payload octets (segmentation offload).
  std::uint16_t segment_size = 0;
  /// The link fills in the TCP checksum (offload); the field holds the pseudo-header's sum.
  bool needs_checksum = false;
  /// The link vouches for the checksums of a received packet.
  bool checksum_verified = false;
  std::uint8_t slice_count = 0;
  std::array<Slice, kMaxSlices> slices;
  std::array<std::byte, kHeaderCapacity> header;
};

}  // namespace synfin::wire
