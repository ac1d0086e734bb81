// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "synfin/base/time.h"
#include "synfin/tcp/congestion/control.h"
#include "synfin/tcp/settings.def"

namespace synfin::tcp {

/// Three amounts, in ascending order, as Linux has them in tcp_rmem, tcp_wmem and tcp_mem.
struct Triple {
  std::uint32_t min = 0;
  std::uint32_t initial = 0;  // the default of the buffers, the pressure of tcp_mem
  std::uint32_t max = 0;

  constexpr Triple() = default;
  constexpr Triple(std::uint32_t least, std::uint32_t first, std::uint32_t most)
      : min(least), initial(first), max(most) {}
  /// One number for all three: nothing grows.
  constexpr Triple(std::uint32_t all) : Triple(all, all, all) {}  // NOLINT: as settings are written
  friend constexpr bool operator==(const Triple&, const Triple&) = default;
};

/// What can be set, with Linux's names and defaults where Linux has them. One object a stack; may be changed
/// while it runs, and counts from the next decision on.
struct Settings {
  using Flag = bool;
  using Count = std::uint32_t;
  using Sizes = Triple;
  using Counts = Triple;
  using Time = Duration;
  using Choice = CongestionControl;  // the only one so far

#define SYNFIN_SETTING(type, name, value, min, max, unit, meaning) type name = default_##name();
  // Functions, as a default member initialiser cannot use literals that are visible only here.
#define SYNFIN_SETTING_DEFAULT(type, name, value, min, max, unit, meaning) \
  static constexpr type default_##name() {                                 \
    using namespace literals;                                              \
    return value;                                                          \
  }
  SYNFIN_SETTINGS(SYNFIN_SETTING_DEFAULT)
  SYNFIN_SETTINGS(SYNFIN_SETTING)
#undef SYNFIN_SETTING
#undef SYNFIN_SETTING_DEFAULT

  /// Sets by name, as `--set NAME=VALUE` does. The error is one line that says what is wrong, the range, and
  /// the nearest names.
  [[nodiscard]] std::expected<void, std::string> set(std::string_view name, std::string_view value);
  /// The value as `set` would take it; empty for an unknown name.
  std::string get(std::string_view name) const;
};

/// A line of `synfin settings`. `choices`: where the value is one of some names, these; empty otherwise.
struct SettingInfo {
  std::string_view name, default_value, minimum, maximum, unit, meaning;
  std::span<const std::string_view> choices;
};
std::span<const SettingInfo> all_settings();

}  // namespace synfin::tcp
