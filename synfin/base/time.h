// SPDX-License-Identifier: Apache-2.0
//
// Time as the core sees it: an argument, never a clock. The embedder says what "now" is; tests and the model
// checker say it too, with the same object code.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace synfin {

/// A span of time in nanoseconds, signed; about ±292 years. Arithmetic saturates nowhere: callers keep to sane
/// values, except for `Duration::forever()`, which is only compared or added to an `Instant`.
class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration nanoseconds(std::int64_t n) { return Duration{n}; }
  static constexpr Duration microseconds(std::int64_t n) { return Duration{n * 1'000}; }
  static constexpr Duration milliseconds(std::int64_t n) { return Duration{n * 1'000'000}; }
  static constexpr Duration seconds(std::int64_t n) { return Duration{n * 1'000'000'000}; }
  static constexpr Duration zero() { return Duration{}; }
  static constexpr Duration forever() { return Duration{std::numeric_limits<std::int64_t>::max()}; }

  constexpr std::int64_t ns() const { return ns_; }
  constexpr std::int64_t us() const { return ns_ / 1'000; }
  constexpr std::int64_t ms() const { return ns_ / 1'000'000; }
  constexpr double as_seconds() const { return static_cast<double>(ns_) * 1e-9; }

  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return Duration{a.ns_ + b.ns_}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return Duration{a.ns_ - b.ns_}; }
  friend constexpr Duration operator*(Duration a, std::int64_t n) { return Duration{a.ns_ * n}; }
  friend constexpr Duration operator/(Duration a, std::int64_t n) { return Duration{a.ns_ / n}; }
  friend constexpr std::int64_t operator/(Duration a, Duration b) { return a.ns_ / b.ns_; }
  constexpr Duration& operator+=(Duration o) { return *this = *this + o; }

 private:
  explicit constexpr Duration(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_ = 0;
};

/// A point on the embedder's monotonic clock, in nanoseconds since an epoch of the embedder's choosing. Every call
/// that takes a `now` must be given one that is not before the last.
class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant from_ns(std::int64_t ns) { return Instant{ns}; }
  /// Later than every other instant; "no deadline".
  static constexpr Instant never() { return Instant{std::numeric_limits<std::int64_t>::max()}; }

  constexpr std::int64_t ns() const { return ns_; }
  constexpr bool is_never() const { return *this == never(); }

  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration::nanoseconds(a.ns_ - b.ns_); }
  /// Saturates at `never()`, so that `now + Duration::forever()` is no deadline.
  friend constexpr Instant operator+(Instant a, Duration d) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a.ns_, d.ns(), &sum)) return never();
    return Instant{sum};
  }
  friend constexpr Instant operator-(Instant a, Duration d) { return Instant{a.ns_ - d.ns()}; }

 private:
  explicit constexpr Instant(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_ = 0;
};

namespace literals {
constexpr Duration operator""_ns(unsigned long long n) { return Duration::nanoseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_us(unsigned long long n) { return Duration::microseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_ms(unsigned long long n) { return Duration::milliseconds(static_cast<std::int64_t>(n)); }
constexpr Duration operator""_s(unsigned long long n) { return Duration::seconds(static_cast<std::int64_t>(n)); }
}  // namespace literals

}  // namespace synfin
