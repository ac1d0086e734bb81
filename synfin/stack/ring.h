// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace synfin::stack {

/// First in, first out. It grows by doubling and keeps what it has: once it has been as long as it gets, it
/// asks the allocator for nothing (a std::deque does all the time, for each piece that it walks into). Holds
/// 2^31 at most.
template <class T>
class Ring {
 public:
  static_assert(std::is_trivially_copyable_v<T>);

  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  Ring(Ring&& o) noexcept
      : slots_(std::move(o.slots_)),
        capacity_(std::exchange(o.capacity_, 0)),
        first_(std::exchange(o.first_, 0)),
        size_(std::exchange(o.size_, 0)) {}
  Ring& operator=(Ring&& o) noexcept {
    slots_ = std::move(o.slots_);
    capacity_ = std::exchange(o.capacity_, 0);
    first_ = std::exchange(o.first_, 0);
    size_ = std::exchange(o.size_, 0);
    return *this;
  }
  ~Ring() = default;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  /// The oldest; there must be one, as for `pop_front`.
  const T& front() const {
    assert(size_ > 0);
    return slots_[first_];
  }
  void pop_front() {
    assert(size_ > 0);
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
  }
  void push_back(const T& value) {
    if (size_ == capacity_)
      grow(value);
    else
      slots_[(first_ + size_++) & (capacity_ - 1)] = value;
  }

 private:
  static constexpr std::uint32_t kFirstCapacity = 16;

  // `value` may be one of its own.
  void grow(const T& value) {
    const std::uint32_t bigger = std::max(capacity_ * 2, kFirstCapacity);
    std::unique_ptr<T[]> slots{new T[bigger]};
    for (std::uint32_t i = 0; i < size_; ++i) slots[i] = slots_[(first_ + i) & (capacity_ - 1)];
    slots[size_++] = value;
    slots_ = std::move(slots);
    capacity_ = bigger;
    first_ = 0;
  }

  std::unique_ptr<T[]> slots_;
  std::uint32_t capacity_ = 0;  // a power of two, or none
  std::uint32_t first_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace synfin::stack
