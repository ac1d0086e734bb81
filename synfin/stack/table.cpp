// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/table.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdlib>
#include <utility>

#include "synfin/stack/pages.h"

namespace synfin::stack {
namespace {

// From this size on an array is a mapping of its own: its pages are cleared by the kernel one by one as they
// are touched, and can be given back one by one. calloc would clear what it reuses.
constexpr std::size_t kMappedFrom = 128 * 1024;

void* obtain(std::size_t octets) {
  return octets < kMappedFrom ? std::calloc(1, octets) : Pages::obtain(octets);
}

void give_back(void* memory, std::size_t octets) {
  if (memory == nullptr) return;
  if (octets < kMappedFrom) {
    std::free(memory);
  } else {
    Pages::give_back(memory, octets);
  }
}

}  // namespace

Table::Table(std::size_t max_capacity)
    : max_capacity_(std::bit_floor(std::clamp(max_capacity, kMinCapacity, kMaxCapacity))) {}

Table::~Table() {
  give_back(current_.slots, current_.octets());
  give_back(old_.slots, old_.octets());
  // However much of it is left, it was a mapping.
  if (retired_.slots != nullptr) Pages::give_back(retired_.slots, retired_.octets());
}

bool Table::insert(std::uint32_t hash, RecordRef ref) {
  assert(ref);
  release_some();
  if (!make_room()) return false;
  move_some();
  const Slot slot{hash, ref.raw()};
  if (old_.slots != nullptr) {
    const std::size_t distance = distance_in_old(hash);
    if (distance > frontier_) {
      place(old_, slot, start_in_old(distance));
      return true;
    }
  }
  place(current_, slot, current_.home(hash));
  return true;
}

bool Table::erase(std::uint32_t hash, RecordRef ref) {
  release_some();
  move_some();
  Array* in = nullptr;
  Slot* slot = locate(hash, ref, in);
  if (slot == nullptr) return false;
  remove(*in, static_cast<std::size_t>(slot - in->slots));
  shrink_if_sparse();
  return true;
}

bool Table::replace(std::uint32_t hash, RecordRef old_ref, RecordRef new_ref) {
  assert(new_ref);
  release_some();
  move_some();
  Array* in = nullptr;
  Slot* slot = locate(hash, old_ref, in);
  if (slot == nullptr) return false;
  slot->ref = new_ref.raw();
  return true;
}

Table::Slot* Table::locate(std::uint32_t hash, RecordRef ref, Array*& in) {
  const auto search = [&](Array& array, std::size_t from) -> Slot* {
    in = &array;
    for (std::size_t at = from;; at = (at + 1) & array.mask) {
      Slot& slot = array.slots[at];
      if (slot.ref == 0) return nullptr;
      if (slot.hash == hash && slot.ref == ref.raw()) return &slot;
      if (array.displacement(at) < ((at - array.home(hash)) & array.mask)) return nullptr;
    }
  };
  if (current_.slots == nullptr) return nullptr;
  if (old_.slots != nullptr) {
    const std::size_t distance = distance_in_old(hash);
    if (distance >= frontier_) {
      Slot* found = search(old_, start_in_old(distance));
      if (found != nullptr || distance > frontier_) return found;
    }
  }
  return search(current_, current_.home(hash));
}

bool Table::allocate(Array& array, std::size_t capacity) {
  array.slots = static_cast<Slot*>(obtain(capacity * sizeof(Slot)));
  array.mask = array.slots == nullptr ? 0 : capacity - 1;
  array.used = 0;
  array.shift = static_cast<unsigned>(32 - std::countr_zero(capacity));
  return array.slots != nullptr;
}

// Puts `slot` behind those of its home or an earlier one, and shifts the others of the run.
void Table::place(Array& array, Slot slot, std::size_t from) {
  const std::size_t home = array.home(slot.hash);
  std::size_t at = from;
  while (array.slots[at].ref != 0 && array.displacement(at) >= ((at - home) & array.mask)) {
    at = (at + 1) & array.mask;
  }
  while (slot.ref != 0) {
    std::swap(slot, array.slots[at]);
    at = (at + 1) & array.mask;
  }
  ++array.used;
}

void Table::remove(Array& array, std::size_t at) {
  for (;;) {
    const std::size_t next = (at + 1) & array.mask;
    if (array.slots[next].ref == 0 || array.displacement(next) == 0) break;
    array.slots[at] = array.slots[next];
    at = next;
  }
  array.slots[at] = Slot{0, 0};
  --array.used;
}

bool Table::make_room() {
  const std::size_t capacity = current_.capacity();
  if (capacity == 0) return allocate(current_, kMinCapacity);
  const std::size_t needed = size() + 1;
  if (needed <= capacity / 8 * 7) return true;
  // Moving takes capacity / kMoveStep changes, so it has long ended when the new array is full.
  assert(old_.slots == nullptr);
  if (2 * capacity <= max_capacity_ && start_resize(2 * capacity)) return true;
  // Without memory it fills a little further, as probing gets slow.
  return needed <= capacity / 16 * 15;
}

void Table::shrink_if_sparse() {
  if (old_.slots != nullptr || current_.capacity() == kMinCapacity) return;
  // Without memory for the smaller array the larger one goes on.
  if (size() < current_.capacity() / 16 * 3) static_cast<void>(start_resize(current_.capacity() / 2));
}

bool Table::start_resize(std::size_t capacity) {
  Array array;
  if (!allocate(array, capacity)) return false;
  old_ = std::exchange(current_, array);
  base_ = 0;
  while (old_.slots[(base_ - 1) & old_.mask].ref != 0) ++base_;
  scan_ = 0;
  frontier_ = 0;
  return true;
}

// An insertion near the end of the old array may run over its end into the slots before scan_, one slot an
// insertion at most; as scan_ has gone kMoveStep slots at each, it is met only in the second round, which
// goes on until all are moved.
void Table::move_some() {
  if (old_.slots == nullptr) return;
  for (std::size_t n = 0; n < kMoveStep && old_.used != 0; ++n, ++scan_, ++slots_moved_) {
    Slot& slot = old_.slots[(base_ + scan_) & old_.mask];
    if (slot.ref == 0) {
      // Every home up to here is empty: what comes to them now goes to the new array.
      frontier_ = std::max(frontier_, std::min(scan_ + 1, old_.mask));
      continue;
    }
    frontier_ = std::max(frontier_, distance_in_old(slot.hash));
    place(current_, slot, current_.home(slot.hash));
    slot = Slot{0, 0};
    --old_.used;
  }
  if (old_.used == 0) {
    retire(old_);
  } else {
    forget_some();
  }
}

// What has been moved takes no room any more, so that both arrays together hardly take more than the larger
// one. The slots that insertions may run over into (see above) are left alone.
void Table::forget_some() {
  if (old_.octets() < kMappedFrom) return;
  const std::size_t step = Pages::step(old_.octets()) / sizeof(Slot);
  const std::size_t at = base_ + scan_;
  if (at % step >= kMoveStep || scan_ > old_.mask || scan_ < old_.capacity() / kMoveStep + step + kMoveStep)
    return;
  Pages::forget(old_.slots + ((at / step - 1) * step & old_.mask), step * sizeof(Slot));
}

void Table::retire(Array& array) {
  if (array.octets() < kMappedFrom) {
    std::free(array.slots);
  } else {
    // A later one is ready only after many more changes than releasing this one takes, whatever its size.
    if (retired_.slots != nullptr) Pages::give_back(retired_.slots, retired_.octets());
    retired_ = Retired{array.slots, array.capacity()};
  }
  array = Array{};
}

void Table::release_some() {
  if (retired_.slots == nullptr) return;
  const std::size_t octets = std::min(Pages::step(retired_.octets()), retired_.octets());
  retired_.capacity -= octets / sizeof(Slot);
  Pages::give_back(retired_.slots + retired_.capacity, octets);
  if (retired_.capacity == 0) retired_.slots = nullptr;
}

}  // namespace synfin::stack
