// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>

namespace synfin::stack {

enum class HandleKind : std::uint8_t {
  kNone,
  kConnection,
  kListener,
  kPending
};

/// Names a listener, a connection or a held SYN of one stack: index, generation and kind. A stale handle is
/// recognised, never followed. A plain value; copying it shares nothing.
class Handle {
 public:
  constexpr Handle() = default;
  constexpr Handle(HandleKind kind, std::uint32_t index, std::uint32_t generation)
      : index_(index), generation_and_kind_(generation << 2 | static_cast<std::uint32_t>(kind)) {}
  constexpr HandleKind kind() const { return static_cast<HandleKind>(generation_and_kind_ & 3); }
  constexpr std::uint32_t index() const { return index_; }
  constexpr std::uint32_t generation() const { return generation_and_kind_ >> 2; }
  /// For hash maps of the embedder: unique among the handles of a stack.
  constexpr std::uint64_t raw() const { return std::uint64_t{generation_and_kind_} << 32 | index_; }
  explicit constexpr operator bool() const { return kind() != HandleKind::kNone; }
  friend constexpr auto operator<=>(Handle, Handle) = default;

 private:
  std::uint32_t index_ = 0;
  std::uint32_t generation_and_kind_ = 0;
};

}  // namespace synfin::stack
