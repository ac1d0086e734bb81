// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "synfin/base/prefetch.h"
#include "synfin/stack/record_ref.h"

namespace synfin::stack {

/// The demultiplexing table: from the hash of a 4-tuple to the record that owns it.
///
/// Open addressing with linear probing, ordered by home slot (robin hood), so that a miss ends as early as a
/// hit; deletion shifts back and leaves no tombstones. Equal hashes are allowed, with different records.
///
/// It grows at a load of 7/8 and shrinks below 3/16, a few slots with each change: no operation is
/// proportional to the size, not even clearing or releasing memory. While it resizes, homes below a frontier
/// live in the new array and those above in the old one, so that a look-up still probes one array:
///
///     old  . . . . . . [x x . x x x . x]       '.' empty, slots before scan_ have been moved
///                       ^ scan_
///     new  [x x . x x . x x x . . x] . . . . . . . . . . . .
///
/// Hashes must be keyed: with many equal ones every operation is proportional to their number.
class Table {
 public:
  /// Slots moved to the new array with one change of the table.
  static constexpr std::size_t kMoveStep = 16;
  static constexpr std::size_t kMinCapacity = 512;  // a page
  static constexpr std::size_t kMaxCapacity = std::size_t{1} << 31;

  /// Never has more than `max_capacity` slots (of 8 octets; rounded down to a power of two, at least
  /// kMinCapacity).
  explicit Table(std::size_t max_capacity = kMaxCapacity);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();

  /// The record with this hash for which `same(RecordRef)` holds; a false one if there is none.
  template <class Same>
  RecordRef find(std::uint32_t hash, Same same) const {
    if (current_.slots == nullptr) return RecordRef{};
    if (old_.slots != nullptr) {
      const std::size_t distance = distance_in_old(hash);
      if (distance >= frontier_) {
        const RecordRef found = probe(old_, hash, start_in_old(distance), same);
        if (found || distance > frontier_) return found;
      }
    }
    return probe(current_, hash, current_.home(hash), same);
  }

  /// False when there is no memory; nothing is changed then. `ref` must be a true one, and not be there
  /// already.
  [[nodiscard]] bool insert(std::uint32_t hash, RecordRef ref);
  /// False when it is not there.
  bool erase(std::uint32_t hash, RecordRef ref);
  /// Puts another record in the place of one, as when a half-open connection becomes a full one. Needs no
  /// memory. False when `old_ref` is not there.
  bool replace(std::uint32_t hash, RecordRef old_ref, RecordRef new_ref);

  /// Brings the slots where `hash` is looked up into the cache.
  void prefetch(std::uint32_t hash) const {
    if (old_.slots != nullptr) {
      const std::size_t distance = distance_in_old(hash);
      if (distance >= frontier_) synfin::prefetch(old_.slots + start_in_old(distance));
      if (distance > frontier_) return;
    }
    if (current_.slots != nullptr) synfin::prefetch(current_.slots + current_.home(hash));
  }

  std::size_t size() const { return current_.used + old_.used; }
  /// Slots of the array that is in use, or being moved to.
  std::size_t capacity() const { return current_.capacity(); }
  /// Octets of all arrays, those about to be released included.
  std::size_t memory() const { return current_.octets() + old_.octets() + retired_.octets(); }
  bool resizing() const { return old_.slots != nullptr; }
  /// Slots of old arrays walked over by resizing so far; what one change adds is at most kMoveStep.
  std::uint64_t slots_moved() const { return slots_moved_; }

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t ref;  // RecordRef::raw(); 0 is an empty slot
  };
  static_assert(sizeof(Slot) == 8);

  struct Array {
    Slot* slots = nullptr;
    std::size_t mask = 0;
    std::size_t used = 0;
    unsigned shift = 0;  // the home is in the upper bits: both arrays have the same order while resizing

    std::size_t home(std::uint32_t hash) const { return hash >> shift; }
    std::size_t displacement(std::size_t at) const { return (at - home(slots[at].hash)) & mask; }
    std::size_t capacity() const { return slots == nullptr ? 0 : mask + 1; }
    std::size_t octets() const { return capacity() * sizeof(Slot); }
  };

  /// An array that is all moved, given back piece by piece from its end.
  struct Retired {
    Slot* slots = nullptr;
    std::size_t capacity = 0;
    std::size_t octets() const { return capacity * sizeof(Slot); }
  };

  // Distances in the old array count from base_, an empty slot's successor: there a run of slots begins.
  std::size_t distance_in_old(std::uint32_t hash) const { return (old_.home(hash) - base_) & old_.mask; }
  std::size_t start_in_old(std::size_t distance) const {
    return (base_ + (distance > scan_ ? distance : scan_)) & old_.mask;
  }

  template <class Same>
  static RecordRef probe(const Array& array, std::uint32_t hash, std::size_t from, Same& same) {
    const std::size_t home = array.home(hash);
    for (std::size_t at = from;; at = (at + 1) & array.mask) {
      const Slot slot = array.slots[at];
      if (slot.ref == 0) return RecordRef{};
      if (slot.hash == hash) {
        const RecordRef ref = RecordRef::from_raw(slot.ref);
        if (same(ref)) return ref;
      } else if (array.displacement(at) < ((at - home) & array.mask)) {
        return RecordRef{};
      }
    }
  }

  static bool allocate(Array& array, std::size_t capacity);
  static void place(Array& array, Slot slot, std::size_t from);
  static void remove(Array& array, std::size_t at);
  Slot* locate(std::uint32_t hash, RecordRef ref, Array*& in);

  bool make_room();
  void shrink_if_sparse();
  bool start_resize(std::size_t capacity);
  void move_some();
  void forget_some();
  void retire(Array& array);
  void release_some();

  Array current_;
  Array old_;
  std::size_t base_ = 0;
  std::size_t scan_ = 0;  // distance of the first slot that has not been moved; may run past the array's end
  std::size_t frontier_ =
      0;  // homes at a smaller distance are all in current_, those at a greater one in old_
  Retired retired_;
  std::uint64_t slots_moved_ = 0;
  std::size_t max_capacity_;
};

}  // namespace synfin::stack
