// SPDX-License-Identifier: Apache-2.0
//
// Sequence numbers and windows as types, so that forgetting to wrap or to scale does not compile.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace synfin::wire {

/// A TCP sequence number: an octet's place in a space that wraps at 2^32 (RFC 9293 §3.4).
/// There is no operator<: the relation is not transitive, so sorting by it must not compile.
class SeqNum {
 public:
  constexpr SeqNum() = default;
  explicit constexpr SeqNum(std::uint32_t raw) : raw_(raw) {}
  constexpr std::uint32_t raw() const { return raw_; }

  friend constexpr bool operator==(SeqNum, SeqNum) = default;
  friend constexpr SeqNum operator+(SeqNum s, std::uint32_t octets) { return SeqNum{s.raw_ + octets}; }
  friend constexpr SeqNum operator-(SeqNum s, std::uint32_t octets) { return SeqNum{s.raw_ - octets}; }
  constexpr SeqNum& operator+=(std::uint32_t octets) { return *this = *this + octets; }
  /// Signed: how far `a` is past `b`; negative when `a` is before `b`. Never traps.
  friend constexpr std::int32_t operator-(SeqNum a, SeqNum b) {
    return static_cast<std::int32_t>(a.raw_ - b.raw_);
  }

  constexpr bool before(SeqNum o) const { return *this - o < 0; }
  constexpr bool at_or_before(SeqNum o) const { return *this - o <= 0; }
  constexpr bool after(SeqNum o) const { return *this - o > 0; }
  constexpr bool at_or_after(SeqNum o) const { return *this - o >= 0; }
  /// first <= *this < first + octets.
  constexpr bool in(SeqNum first, std::uint32_t octets) const { return raw_ - first.raw_ < octets; }

 private:
  std::uint32_t raw_ = 0;
};

constexpr SeqNum later(SeqNum a, SeqNum b) {
  return a.after(b) ? a : b;
}
constexpr SeqNum earlier(SeqNum a, SeqNum b) {
  return a.before(b) ? a : b;
}

static_assert(SeqNum{0xffff'fff0}.before(SeqNum{0x10}));
static_assert(SeqNum{5}.in(SeqNum{0xffff'ffff}, 10));
static_assert(!std::totally_ordered<SeqNum>);

/// The shift of RFC 7323 §2: 0 to 14; a larger one on the wire counts as 14 (§2.3).
class WindowScale {
 public:
  static constexpr std::uint8_t kMax = 14;
  constexpr WindowScale() = default;
  explicit constexpr WindowScale(std::uint8_t shift) : shift_(shift > kMax ? kMax : shift) {}
  /// SYN segments are never scaled; written out, so that the exception can be seen.
  static constexpr WindowScale none() { return WindowScale{}; }
  constexpr std::uint8_t shift() const { return shift_; }
  friend constexpr bool operator==(WindowScale, WindowScale) = default;

 private:
  std::uint8_t shift_ = 0;
};

/// What the window field of a header holds.
struct WireWindow {
  std::uint16_t field = 0;
  friend constexpr bool operator==(WireWindow, WireWindow) = default;
};

/// What it means: octets.
struct Window {
  std::uint32_t octets = 0;
  friend constexpr auto operator<=>(Window, Window) = default;
};

constexpr Window operator<<(WireWindow w, WindowScale s) {
  return {std::uint32_t{w.field} << s.shift()};
}
/// Rounds down and saturates: what is offered is never more than what there is.
constexpr WireWindow operator>>(Window w, WindowScale s) {
  const std::uint32_t field = w.octets >> s.shift();
  return {static_cast<std::uint16_t>(field > 0xffff ? 0xffff : field)};
}

}  // namespace synfin::wire
