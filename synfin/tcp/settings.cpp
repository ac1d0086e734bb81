// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace synfin::tcp {
namespace {

enum class Type : std::uint8_t {
  kFlag,
  kCount,
  kSizes,
  kCounts,
  kTime,
  kChoice
};

// The names that settings.def uses for types.
struct Types {
  static constexpr Type Flag = Type::kFlag;
  static constexpr Type Count = Type::kCount;
  static constexpr Type Sizes = Type::kSizes;
  static constexpr Type Counts = Type::kCounts;
  static constexpr Type Time = Type::kTime;
  static constexpr Type Choice = Type::kChoice;
};

// All values as one type: times in nanoseconds, choices as the place of the name; of three numbers all, else
// the first.
using Raw = std::array<std::int64_t, 3>;

constexpr Raw to_raw(std::int64_t v) {
  return {v, 0, 0};
}
constexpr Raw to_raw(Duration v) {
  return {v.ns(), 0, 0};
}
constexpr Raw to_raw(CongestionControl v) {
  return {std::to_underlying(v), 0, 0};
}
constexpr Raw to_raw(const Triple& v) {
  return {v.min, v.initial, v.max};
}
constexpr void from_raw(const Raw& raw, CongestionControl& out) {
  out = static_cast<CongestionControl>(raw[0]);
}
constexpr void from_raw(const Raw& raw, bool& out) {
  out = raw[0] != 0;
}
constexpr void from_raw(const Raw& raw, std::uint32_t& out) {
  out = static_cast<std::uint32_t>(raw[0]);
}
constexpr void from_raw(const Raw& raw, Duration& out) {
  out = Duration::nanoseconds(raw[0]);
}
constexpr void from_raw(const Raw& raw, Triple& out) {
  out = {static_cast<std::uint32_t>(raw[0]), static_cast<std::uint32_t>(raw[1]),
         static_cast<std::uint32_t>(raw[2])};
}

// The values of one setting: three numbers, or one.
constexpr bool is_triple(Type type) {
  return type == Type::kSizes || type == Type::kCounts;
}
constexpr std::size_t width(Type type) {
  return is_triple(type) ? 3 : 1;
}

using Names = std::span<const std::string_view>;
template <typename T>
constexpr Names names_of(const T&) {
  return {};
}
constexpr Names names_of(const CongestionControl&) {
  return kCongestionControls;
}

struct Entry {
  std::string_view name;
  Type type;
  Raw default_value;
  std::int64_t minimum;
  std::int64_t maximum;
  std::string_view unit;
  std::string_view meaning;
  Names names;  // of a choice
  Raw (*get)(const Settings&);
  void (*set)(Settings&, const Raw&);
};

constexpr auto make_entries() {
  using namespace literals;
#define SYNFIN_SETTING_ENTRY(type, name, value, min, max, unit, meaning) \
  Entry{#name,                                                           \
        Types::type,                                                     \
        to_raw(value),                                                   \
        to_raw(min)[0],                                                  \
        to_raw(max)[0],                                                  \
        unit,                                                            \
        meaning,                                                         \
        names_of(Settings::type{}),                                      \
        [](const Settings& s) { return to_raw(s.name); },                \
        [](Settings& s, const Raw& raw) { from_raw(raw, s.name); }},
  return std::to_array<Entry>({SYNFIN_SETTINGS(SYNFIN_SETTING_ENTRY)});
#undef SYNFIN_SETTING_ENTRY
}
constexpr auto kEntries = make_entries();
static_assert(std::ranges::all_of(kEntries, [](const Entry& e) {
  const bool choice = e.type == Type::kChoice;
  return choice == !e.names.empty() && (!choice || e.maximum < static_cast<std::int64_t>(e.names.size()));
}));

static_assert(std::ranges::all_of(kEntries, [](const Entry& e) {
  const auto values = std::span{e.default_value}.first(width(e.type));
  return e.minimum <= values.front() && std::ranges::is_sorted(values) && values.back() <= e.maximum;
}));
static_assert(std::ranges::all_of(kEntries, [](const Entry& e) {
  return e.maximum <= (e.type == Type::kTime ? std::numeric_limits<std::int64_t>::max()
                                             : std::int64_t{std::numeric_limits<std::uint32_t>::max()});
}));

const Entry* find_entry(std::string_view name) {
  const auto* it = std::ranges::find(kEntries, name, &Entry::name);
  return it == kEntries.end() ? nullptr : it;
}

struct Suffix {
  std::string_view text;
  std::int64_t factor;
};
constexpr std::array kTimeSuffixes = {Suffix{"", 1'000'000'000},     Suffix{"us", 1'000},
                                      Suffix{"ms", 1'000'000},       Suffix{"s", 1'000'000'000},
                                      Suffix{"min", 60'000'000'000}, Suffix{"h", 3'600'000'000'000}};
constexpr std::array kSizeSuffixes = {Suffix{"", 1}, Suffix{"k", 1 << 10}, Suffix{"K", 1 << 10},
                                      Suffix{"M", 1 << 20}};
constexpr std::array kNoSuffixes = {Suffix{"", 1}};

enum class Fault : std::uint8_t {
  kSyntax,
  kRange
};

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// [-]digits[.digits][suffix], as an exact multiple of one; a fraction only where the suffix's factor has room
// for it.
std::expected<std::int64_t, Fault> parse_number(std::string_view text, std::span<const Suffix> suffixes) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const auto end = std::ranges::find_if_not(text, [](char c) { return is_digit(c) || c == '.'; });
  const auto length = static_cast<std::size_t>(end - text.begin());
  const std::string_view suffix = text.substr(length);
  const auto unit = std::ranges::find(suffixes, suffix, &Suffix::text);
  const std::size_t point = std::min(text.find('.'), length);
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point < length ? text.substr(point + 1, length - point - 1) : "";
  if (unit == suffixes.end() || whole.empty() || (point < length && fraction.empty())) {
    return std::unexpected(Fault::kSyntax);
  }

  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
  if (error == std::errc::result_out_of_range || __builtin_mul_overflow(value, unit->factor, &value)) {
    return std::unexpected(Fault::kRange);
  }
  if (error != std::errc{} || stop != whole.data() + whole.size()) return std::unexpected(Fault::kSyntax);
  std::int64_t place = unit->factor;
  for (const char c : fraction) {
    if (!is_digit(c) || place % 10 != 0) return std::unexpected(Fault::kSyntax);
    place /= 10;
    if (__builtin_add_overflow(value, (c - '0') * place, &value)) return std::unexpected(Fault::kRange);
  }
  return negative ? -value : value;
}

std::span<const Suffix> suffixes_of(Type type) {
  switch (type) {
    case Type::kFlag:
    case Type::kCount:
    case Type::kCounts:
    case Type::kChoice:
      return kNoSuffixes;
    case Type::kSizes:
      return kSizeSuffixes;
    case Type::kTime:
      return kTimeSuffixes;
  }
  return {};
}

std::string_view expectation_of(Type type) {
  switch (type) {
    case Type::kFlag:
      return "0 or 1";
    case Type::kCount:
      return "an integer";
    case Type::kSizes:
      return "a number of octets, such as 65536, 64k or 1M, or three of them";
    case Type::kCounts:
      return "an integer, or three of them";
    case Type::kTime:
      return "a time, such as 0.2, 200ms, 30s or 2min";
    case Type::kChoice:
      return "one of the names";
  }
  return {};
}

// One value. Times in seconds, with as many decimals as they need.
std::string format(const Entry& entry, std::int64_t raw) {
  if (entry.type == Type::kChoice) return std::string(entry.names[static_cast<std::size_t>(raw)]);
  if (entry.type != Type::kTime) return std::to_string(raw);
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::string text = std::to_string(raw / kSecond);
  if (raw % kSecond == 0) return text;
  std::string decimals = std::to_string(kSecond + raw % kSecond);
  decimals.erase(decimals.find_last_not_of('0') + 1);
  return text + '.' + decimals.substr(1);
}

// Three numbers that are the same as the one they were set by.
std::string format(const Entry& entry, const Raw& raw) {
  std::string text = format(entry, raw[0]);
  if (!is_triple(entry.type) || raw == Raw{raw[0], raw[0], raw[0]}) return text;
  return text + ' ' + format(entry, raw[1]) + ' ' + format(entry, raw[2]);
}

// Words between spaces and tabs, as sysctl prints them: one for all three, or three. Nothing: another number
// of words.
std::optional<std::array<std::string_view, 3>> three_words(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  std::array<std::string_view, 3> words;
  std::size_t n = 0;
  for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    if (n == words.size()) return std::nullopt;
    const std::size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    words[n++] = text.substr(at, end - at);
    at = text.find_first_not_of(kBlanks, end);
  }
  if (n == 1) words[1] = words[2] = words[0];
  if (n == 0 || n == 2) return std::nullopt;
  return words;
}

std::string range_of(const Entry& entry) {
  std::string text = format(entry, entry.minimum) + ".." + format(entry, entry.maximum);
  if (!entry.unit.empty()) text.append(" ").append(entry.unit);
  return text;
}

// "cubic, reno or none"
std::string list_of(Names names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

// Levenshtein's distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

std::string unknown_setting(std::string_view name) {
  constexpr std::size_t kMostHints = 3;
  constexpr std::size_t kLongestName = 64;  // of those worth comparing
  struct Hint {
    std::size_t distance;
    std::string_view name;
  };
  std::vector<Hint> hints;
  for (const Entry& entry : kEntries) {
    if (name.size() < 2 || name.size() > kLongestName) break;
    const bool part = entry.name.find(name) != std::string_view::npos;
    const std::size_t distance = edit_distance(name, entry.name);
    if (!part && distance > 1 + name.size() / 4) continue;
    const Hint hint{part ? 0 : distance, entry.name};
    hints.insert(std::ranges::upper_bound(hints, hint.distance, {}, &Hint::distance), hint);
  }
  if (hints.size() > kMostHints) hints.resize(kMostHints);

  std::string text = "unknown setting '";
  text.append(name).append("'");
  if (hints.empty()) return text + "; `synfin settings` lists all of them";
  text += "; did you mean ";
  for (std::size_t i = 0; i < hints.size(); ++i) {
    if (i != 0) text += i + 1 == hints.size() ? " or " : ", ";
    text.append("'").append(hints[i].name).append("'");
  }
  return text + '?';
}

}  // namespace

std::expected<void, std::string> Settings::set(std::string_view name, std::string_view value) {
  const Entry* entry = find_entry(name);
  if (entry == nullptr) return std::unexpected(unknown_setting(name));
  const std::string prefix = std::string(name) + ": ";
  if (entry->type == Type::kChoice) {
    const auto known = std::ranges::find(entry->names, value);
    if (known == entry->names.end())
      return std::unexpected(prefix + '\'' + std::string(value) + "' is not " + list_of(entry->names));
    entry->set(*this, to_raw(known - entry->names.begin()));
    return {};
  }
  std::array<std::string_view, 3> words{value};
  bool readable = true;
  if (is_triple(entry->type)) {
    const auto three = three_words(value);
    readable = three.has_value();
    words = three.value_or(words);
  }
  Raw raw{};
  bool in_range = true;
  for (std::size_t i = 0; i < width(entry->type) && readable; ++i) {
    const auto number = parse_number(words[i], suffixes_of(entry->type));
    readable = number || number.error() != Fault::kSyntax;
    raw[i] = number.value_or(0);
    in_range = in_range && number && raw[i] >= entry->minimum && raw[i] <= entry->maximum;
  }
  if (!readable) {
    std::string text = prefix + '\'';
    text.append(value).append("' is not ").append(expectation_of(entry->type));
    return std::unexpected(text + " (range " + range_of(*entry) + ')');
  }
  if (!in_range) {
    return std::unexpected(prefix + std::string(value) + " is out of range " + range_of(*entry));
  }
  if (!std::ranges::is_sorted(std::span{raw}.first(width(entry->type)))) {
    return std::unexpected(prefix + '\'' + std::string(value) +
                           "' is not in ascending order (minimum, default, maximum)");
  }
  entry->set(*this, raw);
  return {};
}

std::string Settings::get(std::string_view name) const {
  const Entry* entry = find_entry(name);
  return entry == nullptr ? std::string{} : format(*entry, entry->get(*this));
}

std::span<const SettingInfo> all_settings() {
  struct Texts {
    std::string default_value, minimum, maximum;
  };
  static const auto texts = [] {
    std::array<Texts, kEntries.size()> made;
    std::ranges::transform(kEntries, made.begin(), [](const Entry& e) {
      return Texts{format(e, e.default_value), format(e, e.minimum), format(e, e.maximum)};
    });
    return made;
  }();
  static const auto infos = [] {
    std::array<SettingInfo, kEntries.size()> made;
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i] = SettingInfo{kEntries[i].name, texts[i].default_value, texts[i].minimum, texts[i].maximum,
                            kEntries[i].unit, kEntries[i].meaning,    kEntries[i].names};
    }
    return made;
  }();
  return infos;
}

}  // namespace synfin::tcp
