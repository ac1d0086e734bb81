// SPDX-License-Identifier: Apache-2.0
#include "synfin/wire/frame.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <memory>
#include <new>

#include "synfin/wire/checksum.h"
#include "synfin/wire/copy.h"

#if defined(__SANITIZE_ADDRESS__)
#define SYNFIN_POISON_FREE_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SYNFIN_POISON_FREE_BLOCKS 1
#endif
#endif
#ifdef SYNFIN_POISON_FREE_BLOCKS
#include <sanitizer/asan_interface.h>
#endif

namespace synfin::wire {
namespace {

// The data begins on a cache line of its own, behind the block's record and its sums.
constexpr std::size_t kAlignment = 64;
static_assert(alignof(Block::PieceSum) <= alignof(Block));

constexpr std::size_t sums_size(std::uint32_t capacity) {
  return capacity / Block::kSumEach * sizeof(Block::PieceSum);
}
constexpr std::size_t record_size(std::uint32_t capacity) {
  return (sizeof(Block) + sums_size(capacity) + kAlignment - 1) / kAlignment * kAlignment;
}
static_assert(record_size(BlockPool::kSmall) == kAlignment);

// A block waits for reuse in the pool, not in the allocator: only so does the sanitizer see a read through a
// stale slice.
void poison([[maybe_unused]] const Block& block) {
#ifdef SYNFIN_POISON_FREE_BLOCKS
  ASAN_POISON_MEMORY_REGION(block.data, block.capacity);
#endif
}
void unpoison([[maybe_unused]] const Block& block) {
#ifdef SYNFIN_POISON_FREE_BLOCKS
  ASAN_UNPOISON_MEMORY_REGION(block.data, block.capacity);
#endif
}

Block* new_block(BlockPool* pool, std::uint32_t capacity) {
  static_assert(BlockPool::kSmall % kAlignment == 0 && BlockPool::kMedium % kAlignment == 0 &&
                BlockPool::kLarge % kAlignment == 0);
  const std::size_t record = record_size(capacity);
  void* memory = std::aligned_alloc(kAlignment, record + capacity);
  if (memory == nullptr) return nullptr;
  return ::new (memory) Block{pool, static_cast<std::byte*>(memory) + record, capacity, 0, 0, false};
}

// What the memory of somebody else is held by. Nobody appends to it: no slice ends at `used`.
struct Loan : Block {
  void (*give_back)(void* context);
  void* context;
};
constexpr std::uint32_t kNeverAppend = ~0u;
constexpr std::uint32_t kMostLent = 1u << 30;

Block* next_of(const Block* block) {
  Block* next;
  std::memcpy(&next, block->data, sizeof next);
  return next;
}

}  // namespace

std::uint32_t Slice::append(Bytes from) {
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(from.size(), room()));
  if (count == 0) return 0;
  copy_text(block_->data + offset_ + size_, from.first(count));
  size_ += count;
  block_->used += count;
  return count;
}

std::uint32_t Slice::append_summed(Bytes from, std::uint32_t open) {
  const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(from.size(), room()));
  if (count == 0) return 0;
  Block& block = *block_;
  if (!std::exchange(block.summed, true)) std::memset(block.sums(), 0, sums_size(block.capacity));
  const std::uint32_t begin = offset_ + size_ - open;
  const std::uint16_t sum = copy_and_sum(block.data + begin + open, from.first(count));
  Block::PieceSum& piece = block.sums()[begin / Block::kSumEach];
  const auto start = static_cast<std::uint16_t>(begin % Block::kSumEach);
  if (open == 0) {
    piece = {start, static_cast<std::uint16_t>(count), sum};
  } else if (piece.start == start && piece.size == open) {
    ChecksumAccumulator both;
    both.add_piece(piece.sum, open);
    both.add_piece(sum, count);
    piece.size = static_cast<std::uint16_t>(open + count);
    piece.sum = both.folded();
  }
  size_ += count;
  block.used += count;
  return count;
}

BlockPool::~BlockPool() {
  assert(blocks_ == 0 && "the pool must outlive the slices over its blocks");
  for (Block* block : free_) {
    while (block != nullptr) {
      unpoison(*block);
      Block* const next = next_of(block);
      std::free(block);
      block = next;
    }
  }
  for (void* list : free_lists_) {
    while (list != nullptr) std::free(std::exchange(list, *static_cast<void**>(list)));
  }
}

void* BlockPool::take_list(unsigned doublings) {
  assert(doublings <= kMostDoublings);
  void*& head = free_lists_[doublings];
  if (head == nullptr) return std::malloc(std::size_t{kList} << doublings);
  return std::exchange(head, *static_cast<void**>(head));
}

void BlockPool::give_list(void* list, unsigned doublings) {
  free_lists_[doublings] = ::new (list) void* {free_lists_[doublings]};
}

Block* BlockPool::allocate(std::uint32_t capacity) {
  if (capacity > kLarge) return nullptr;
  const std::size_t which = size_class(capacity);
  const std::uint32_t size = kSizes[which];
  if (size > budget_ - in_use_) return nullptr;
  Block*& head = free_[which];
  Block* block = head;
  if (block != nullptr) {
    unpoison(*block);
    head = next_of(block);
  } else {
    block = new_block(this, size);
    if (block == nullptr) return nullptr;
  }
  block->used = 0;
  block->references = 1;
  block->summed = false;
  in_use_ += size;
  ++blocks_;
  return block;
}

Slice BlockPool::copy(Bytes bytes) {
  if (bytes.empty() || bytes.size() > kLarge) return {};
  const auto size = static_cast<std::uint32_t>(bytes.size());
  Block* const block = allocate(size);
  if (block == nullptr) return {};
  copy_text(block->data, bytes);
  block->used = size;
  return Slice{block, 0, size};
}

Slice BlockPool::lend(Bytes bytes, void (*give_back)(void* context), void* context) {
  if (bytes.empty() || bytes.size() > kMostLent) return {};
  // Slices only read, but for `append`.
  auto* const data = const_cast<std::byte*>(bytes.data());
  Block* const loan = new (std::nothrow) Loan{{this, data, 0, kNeverAppend, 1, false}, give_back, context};
  if (loan == nullptr) return {};
  ++blocks_;
  return Slice{loan, 0, static_cast<std::uint32_t>(bytes.size())};
}

void BlockPool::release(Block* block) {
  assert(block->pool == this && block->references == 0);
  if (block->capacity == 0) {
    const std::unique_ptr<Loan> loan{static_cast<Loan*>(block)};
    --blocks_;
    loan->give_back(loan->context);
    return;
  }
  Block*& head = free_[size_class(block->capacity)];
  in_use_ -= block->capacity;
  --blocks_;
  std::memcpy(block->data, &head, sizeof head);
  head = block;
  poison(*block);
}

void Frame::keep_text(std::uint32_t octets) {
  std::uint8_t kept = 0;
  for (; kept < slice_count && octets > 0; ++kept) {
    Slice& s = slices[kept];
    if (s.size() > octets) s.truncate(octets);
    octets -= s.size();
  }
  while (slice_count > kept) slices[--slice_count].reset();
}

void Frame::copy_out(std::size_t offset, MutableBytes out) const {
  std::byte* to = out.data();
  std::size_t left = out.size();
  const auto take = [&](Bytes piece) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      return;
    }
    const std::size_t count = std::min(left, piece.size() - offset);
    if (count != 0) std::memcpy(to, piece.data() + offset, count);
    to += count;
    left -= count;
    offset = 0;
  };
  take(header_bytes());
  for (std::size_t i = 0; i < slice_count && left != 0; ++i) take(slices[i].bytes());
  assert(left == 0);
}

}  // namespace synfin::wire
