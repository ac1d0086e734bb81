// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/impair_spec.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <span>

namespace synfin::link {
namespace {

using Problem = std::optional<std::string>;

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array kTimeUnits{Unit{"us", 1e3}, Unit{"ms", 1e6}, Unit{"s", 1e9}};
constexpr std::array kRateUnits{Unit{"bit", 1}, Unit{"kbit", 1e3}, Unit{"mbit", 1e6}, Unit{"gbit", 1e9}};
constexpr double kLongestNs = 3600e9;
constexpr double kHighestRate = 1e13;
constexpr std::uint32_t kLongestQueue = 1'000'000;

struct Quantity {
  double number;
  std::string_view unit;
};

// A number with decimals but without sign or exponent, and what stands behind it.
std::optional<Quantity> parse_quantity(std::string_view text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  return Quantity{number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

template <typename T>
std::optional<T> parse_whole(std::string_view text) {
  T number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  const auto quantity = parse_quantity(text);
  if (!quantity) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name == quantity->unit) return quantity->number * unit.factor;
  }
  return std::nullopt;
}

Problem set_share(double& share, std::string_view value) {
  const auto quantity = parse_quantity(value);
  if (!quantity || quantity->unit != "%") return "a percentage is needed, such as 1% or 0.1%";
  if (quantity->number > 100) return "at most 100% is possible";
  share = quantity->number / 100;
  return std::nullopt;
}

Problem set_time(Duration& time, std::string_view value) {
  const auto ns = parse_with_unit(value, kTimeUnits);
  if (!ns) return "a time with its unit (us, ms or s) is needed, such as 20ms";
  if (*ns > kLongestNs) return "at most 3600s is possible";
  time = Duration::nanoseconds(std::llround(*ns));
  return std::nullopt;
}

Problem set_rate(std::uint64_t& rate, std::string_view value) {
  const auto bits = parse_with_unit(value, kRateUnits);
  if (!bits) return "a rate with its unit (bit, kbit, mbit or gbit a second) is needed, such as 100mbit";
  if (*bits < 1 || *bits > kHighestRate) return "1bit to 10000gbit is possible";
  rate = static_cast<std::uint64_t>(std::llround(*bits));
  return std::nullopt;
}

Problem set_queue(std::uint32_t& queue, std::string_view value) {
  const auto packets = parse_whole<std::uint32_t>(value);
  if (!packets || *packets == 0 || *packets > kLongestQueue)
    return "a number of packets from 1 to 1000000 is needed";
  queue = *packets;
  return std::nullopt;
}

Problem set_item(Impairment& to, std::string_view key, std::string_view value) {
  if (key == "loss") return set_share(to.loss, value);
  if (key == "dup") return set_share(to.duplicate, value);
  if (key == "corrupt") return set_share(to.corrupt, value);
  if (key == "mark") return set_share(to.mark, value);
  if (key == "reorder") return set_share(to.reorder, value);
  if (key == "delay") return set_time(to.delay, value);
  if (key == "jitter") return set_time(to.jitter, value);
  if (key == "rate") return set_rate(to.rate, value);
  if (key == "queue") return set_queue(to.queue, value);
  return fmt::format(
      "'{}' is unknown; known are loss, delay, jitter, reorder, dup, corrupt, mark, rate, queue and seed", key);
}

Problem apply_item(ImpairSpec& spec, std::string_view item) {
  bool in = true;
  bool out = true;
  if (const auto colon = item.find(':'); colon != std::string_view::npos) {
    const std::string_view direction = item.substr(0, colon);
    if (direction != "in" && direction != "out") {
      return fmt::format("'{}' is no direction; in: and out: are", direction);
    }
    in = direction == "in";
    out = !in;
    item.remove_prefix(colon + 1);
  }
  const auto equals = item.find('=');
  if (equals == std::string_view::npos) return "an item reads NAME=VALUE, such as loss=1%";
  const std::string_view key = item.substr(0, equals);
  const std::string_view value = item.substr(equals + 1);
  if (key == "seed") {
    if (in != out) return "the seed is one for both directions; leave out the prefix";
    spec.seed = parse_whole<std::uint64_t>(value);
    return spec.seed ? Problem{} : Problem{"a whole number from 0 to 18446744073709551615 is needed"};
  }
  if (in) {
    if (auto problem = set_item(spec.in, key, value)) return problem;
  }
  return out ? set_item(spec.out, key, value) : std::nullopt;
}

}  // namespace

std::expected<ImpairSpec, std::string> parse_impair(std::string_view text, const ImpairSpec& base) {
  ImpairSpec spec = base;
  for (;;) {
    const auto comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    if (auto problem = apply_item(spec, item)) {
      return std::unexpected{fmt::format("impairment '{}': {}", item, *problem)};
    }
    if (comma == std::string_view::npos) return spec;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace synfin::link
