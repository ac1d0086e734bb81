// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::stack {

enum class RecordKind : std::uint8_t {
  kNone,
  kConnection,
  kHalfOpen,
  kTimeWait,
  kHeldSyn
};

/// Where a record lies: kind and index in the pool of that kind, in 32 bits. For use inside the stack, by
/// whoever removes it when the record goes (table, wheel, queues); programs hold a `Handle`, which has a
/// generation.
class RecordRef {
 public:
  static constexpr std::uint32_t kMaxIndex = (1u << 29) - 2;
  constexpr RecordRef() = default;
  constexpr RecordRef(RecordKind kind, std::uint32_t index)
      : raw_(static_cast<std::uint32_t>(kind) << 29 | index) {}
  static constexpr RecordRef from_raw(std::uint32_t raw) {
    RecordRef r;
    r.raw_ = raw;
    return r;
  }
  constexpr RecordKind kind() const { return static_cast<RecordKind>(raw_ >> 29); }
  constexpr std::uint32_t index() const { return raw_ & ((1u << 29) - 1); }
  constexpr std::uint32_t raw() const { return raw_; }
  explicit constexpr operator bool() const { return kind() != RecordKind::kNone; }
  friend constexpr bool operator==(RecordRef, RecordRef) = default;

 private:
  std::uint32_t raw_ = 0;
};

}  // namespace synfin::stack
