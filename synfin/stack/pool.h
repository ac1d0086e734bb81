// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "synfin/stack/pages.h"
#include "synfin/stack/record_ref.h"

namespace synfin::stack {

/// For records that nobody names by more than their index.
struct NoGeneration {};

/// Records of one type, named by an index. The address of a record never changes. Freed indices are reused,
/// the last freed first, as its memory is likely still in the cache; each reuse has another generation, so
/// that a stale name is recognised until the generation wraps.
///
/// Memory comes in chunks of 4096 records, lazily touched, and is kept until the pool goes: the generations
/// must survive the records. Records lie in pages of their own, as many chunks side by side as there were
/// before, so that those of a large pool are huge pages. No operation is proportional to the number of
/// records, except `for_each`.
///
/// `Generation` is std::uint8_t, std::uint32_t or NoGeneration. A 32-bit one wraps at 2^30, which is what a
/// `Handle` holds.
template <class T, class Generation = std::uint32_t>
class Pool {
  static constexpr bool kGenerations = !std::is_same_v<Generation, NoGeneration>;
  static_assert(!kGenerations || std::is_same_v<Generation, std::uint8_t> ||
                std::is_same_v<Generation, std::uint32_t>);
  static_assert(sizeof(T) >= sizeof(std::uint32_t), "the free list lies in freed records");
  static_assert(alignof(T) <= 64);

 public:
  static constexpr std::uint32_t kChunkRecords = 4096;
  static constexpr std::uint32_t kMaxRecords = RecordRef::kMaxIndex + 1;
  static constexpr std::uint32_t kGenerationMask = sizeof(Generation) == 1 ? 0xff : 0x3fff'ffff;

  /// At most `limit` records live at a time.
  explicit Pool(std::uint32_t limit = kMaxRecords) : limit_(std::min(limit, kMaxRecords)) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    if constexpr (!std::is_trivially_destructible_v<T>) {
      for_each([](std::uint32_t, T& record) { record.~T(); });
    }
    for (std::uint32_t i = 0; i < chunk_count_; ++i) delete books_[i];
    for (std::uint32_t i = 0; i < chunk_count_; i += region_size(i))
      Pages::give_back(records_[i], region_size(i) * kChunkOctets);
    ::operator delete(records_);
  }

  /// Constructs a record and returns its index; nothing when the limit is reached or there is no memory.
  template <class... Args>
  [[nodiscard]] std::optional<std::uint32_t> allocate(Args&&... args) {
    if (size_ >= limit_) return std::nullopt;
    const std::uint32_t index = take_slot();
    if (index == kNone) return std::nullopt;
    ::new (static_cast<void*>(record(index))) T(std::forward<Args>(args)...);
    book_of(index).alive[slot_of(index) / 64] |= bit_of(index);
    ++size_;
    return index;
  }

  /// Destroys the record; its index names nothing until it is allocated again, with the next generation.
  void free(std::uint32_t index) {
    assert(alive(index));
    Book& book = book_of(index);
    const std::uint32_t slot = slot_of(index);
    book.alive[slot / 64] &= ~bit_of(index);
    if constexpr (kGenerations) {
      Generation& generation = book.generations[slot];
      generation = static_cast<Generation>((generation + 1u) & kGenerationMask);
    }
    std::byte* const at = record(index);
    reinterpret_cast<T*>(at)->~T();
    std::memcpy(at, &first_free_, sizeof first_free_);
    first_free_ = index;
    --size_;
  }

  T& operator[](std::uint32_t index) {
    assert(alive(index));
    return *std::launder(reinterpret_cast<T*>(record(index)));
  }
  const T& operator[](std::uint32_t index) const {
    assert(alive(index));
    return *std::launder(reinterpret_cast<const T*>(record(index)));
  }
  /// nullptr when `index` names nothing, or a later record than the one of `generation`. Any values are fine.
  T* find(std::uint32_t index, Generation generation) {
    return const_cast<T*>(std::as_const(*this).find(index, generation));
  }
  const T* find(std::uint32_t index, Generation generation) const {
    if (index >= used_) return nullptr;
    const Book& book = book_of(index);
    const std::uint32_t slot = slot_of(index);
    if (book.generations[slot] != generation || (book.alive[slot / 64] & bit_of(index)) == 0) return nullptr;
    return &(*this)[index];
  }

  /// Any index is fine.
  bool alive(std::uint32_t index) const {
    return index < used_ && (book_of(index).alive[slot_of(index) / 64] & bit_of(index)) != 0;
  }
  /// Of an index that has been allocated before, alive or not: the generation of its present or next record.
  Generation generation(std::uint32_t index) const {
    assert(index < used_);
    return book_of(index).generations[slot_of(index)];
  }

  /// Brings the beginning and the end of a record into the cache; any index is fine.
  void prefetch(std::uint32_t index) const {
    if (index >= used_) return;
    const std::byte* at = record(index);
    __builtin_prefetch(at);
    __builtin_prefetch(at + sizeof(T) - 1);
  }

  /// Calls f(index, record) for each, by rising index. `f` may free any record; one allocated meanwhile may
  /// be missed.
  template <class F>
  void for_each(F f) {
    for (std::uint32_t base = 0; base < used_; base += 64) {
      const auto& word = book_of(base).alive[slot_of(base) / 64];
      for (std::uint64_t left = word; left != 0; left &= left - 1) {
        const std::uint32_t index = base + static_cast<std::uint32_t>(std::countr_zero(left));
        if (alive(index)) f(index, (*this)[index]);
      }
    }
  }

  std::uint32_t size() const { return size_; }
  std::uint32_t limit() const { return limit_; }
  /// A limit under `size()` frees nothing; it only stops `allocate`.
  void set_limit(std::uint32_t limit) { limit_ = std::min(limit, kMaxRecords); }
  /// Octets obtained for records and bookkeeping, used or not.
  std::size_t memory() const {
    return std::size_t{chunk_count_} * (kChunkOctets + sizeof(Book)) +
           std::size_t{chunk_capacity_} * (sizeof(*records_) + sizeof(*books_));
  }

 private:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  /// Whole pages, whatever a record's size: there are as many records as octets in a page.
  static constexpr std::size_t kChunkOctets = kChunkRecords * sizeof(T);
  static_assert(kChunkRecords % Pages::kPage == 0);
  /// No region is larger than this, but for one that is a single chunk.
  static constexpr std::size_t kMostRegion = 64 * 1024 * 1024;

  struct Book {
    std::uint64_t alive[kChunkRecords / 64] = {};
    [[no_unique_address]] std::conditional_t<kGenerations, std::array<Generation, kChunkRecords>, Generation>
        generations = {};
  };

  static constexpr std::uint32_t slot_of(std::uint32_t index) { return index % kChunkRecords; }
  static constexpr std::uint64_t bit_of(std::uint32_t index) { return std::uint64_t{1} << index % 64; }
  std::byte* record(std::uint32_t index) const {
    return records_[index / kChunkRecords] + std::size_t{slot_of(index)} * sizeof(T);
  }
  Book& book_of(std::uint32_t index) const { return *books_[index / kChunkRecords]; }

  std::uint32_t take_slot() {
    if (first_free_ != kNone) {
      const std::uint32_t index = first_free_;
      std::memcpy(&first_free_, record(index), sizeof first_free_);
      return index;
    }
    if (used_ == kMaxRecords) return kNone;
    if (used_ == std::uint64_t{chunk_count_} * kChunkRecords && !add_chunk()) return kNone;
    return used_++;
  }

  bool add_chunk() {
    if (chunk_count_ == chunk_capacity_ && !grow_directory()) return false;
    auto book = std::unique_ptr<Book>(new (std::nothrow) Book);
    if (book == nullptr) return false;
    if (chunk_count_ == region_end_) {
      const std::uint32_t count = region_size(region_end_);
      // Its pages stay untouched until they are used.
      region_ = static_cast<std::byte*>(Pages::obtain(count * kChunkOctets));
      if (region_ == nullptr) return false;
      region_end_ += count;
    }
    records_[chunk_count_] = region_;
    books_[chunk_count_++] = book.release();
    region_ += kChunkOctets;
    return true;
  }

  /// Chunks of the region that begins with chunk `first`: as many as there were before it.
  static constexpr std::uint32_t region_size(std::uint32_t first) {
    constexpr auto kMost = static_cast<std::uint32_t>(std::max<std::size_t>(1, kMostRegion / kChunkOctets));
    return std::clamp<std::uint32_t>(first, 1, kMost);
  }

  bool grow_directory() {
    const std::uint32_t capacity = chunk_capacity_ == 0 ? 16 : 2 * chunk_capacity_;
    void* const directory = ::operator new(capacity*(sizeof(*records_) + sizeof(*books_)), std::nothrow);
    if (directory == nullptr) return false;
    auto* const records = static_cast<std::byte**>(directory);
    auto* const books = reinterpret_cast<Book**>(records + capacity);
    std::copy_n(records_, chunk_count_, records);
    std::copy_n(books_, chunk_count_, books);
    ::operator delete(records_);
    records_ = records;
    books_ = books;
    chunk_capacity_ = capacity;
    return true;
  }

  // By chunk: where its records lie, and its book. Both lists are one piece of memory.
  std::byte** records_ = nullptr;
  Book** books_ = nullptr;
  std::uint32_t chunk_count_ = 0;
  std::uint32_t chunk_capacity_ = 0;
  std::byte* region_ = nullptr;   // of the newest region: where its next chunk is to lie
  std::uint32_t region_end_ = 0;  // chunks of all regions
  std::uint32_t used_ = 0;        // indices below have been allocated at least once
  std::uint32_t first_free_ = kNone;
  std::uint32_t size_ = 0;
  std::uint32_t limit_;
};

}  // namespace synfin::stack
