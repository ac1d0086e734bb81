// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/text.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace synfin::view {
namespace {

constexpr std::string_view kNoBreak = "\u00a0";

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(what)) {
      out += by;
      at += what.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

}  // namespace

std::string flags_text(const wire::TcpHeader& header, bool counts_marks) {
  constexpr std::uint8_t kAceBits = wire::Flags::kEce | wire::Flags::kCwr;
  const std::uint8_t bits = header.flags.bits();
  std::string out = flags_text(counts_marks ? static_cast<std::uint8_t>(bits & ~kAceBits) : bits);
  if (!counts_marks && header.ae()) out += out.empty() ? "AE" : ",AE";
  return out;
}

std::string flags_text(wire::Flags flags) {
  static constexpr std::array<std::pair<std::uint8_t, std::string_view>, 8> kNames{{
      {wire::Flags::kSyn, "SYN"},
      {wire::Flags::kFin, "FIN"},
      {wire::Flags::kRst, "RST"},
      {wire::Flags::kPsh, "PSH"},
      {wire::Flags::kAck, "ACK"},
      {wire::Flags::kUrg, "URG"},
      {wire::Flags::kEce, "ECE"},
      {wire::Flags::kCwr, "CWR"},
  }};
  std::string out;
  for (const auto& [bit, text] : kNames) {
    if ((flags.bits() & bit) == 0) continue;
    if (!out.empty()) out += ',';
    out += text;
  }
  return out;
}

std::string grouped(std::uint64_t number) {
  std::string digits = fmt::format("{}", number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string seconds_text(Duration d, int decimals) {
  const bool negative = d.ns() < 0;
  // Unsigned, so that the most negative duration has a magnitude.
  const std::uint64_t ns =
      negative ? std::uint64_t{0} - static_cast<std::uint64_t>(d.ns()) : static_cast<std::uint64_t>(d.ns());
  std::string out = fmt::format("{}{}.{:09}", negative ? "-" : "", ns / 1'000'000'000, ns % 1'000'000'000);
  out.resize(out.size() - static_cast<std::size_t>(9 - decimals));
  if (decimals == 0) out.pop_back();
  return out;
}

std::size_t columns(std::string_view utf8) {
  std::size_t n = 0;
  for (const char c : utf8) {
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++n;
  }
  return n;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (word.empty()) continue;
    if (!line.empty() && columns(line) + 1 + columns(word) > width) {
      lines.push_back(std::exchange(line, {}));
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  for (std::string& l : lines) l = replaced(l, kNoBreak, " ");
  return lines;
}

std::string unbreakable(std::string_view text) {
  return replaced(text, " ", kNoBreak);
}

}  // namespace synfin::view
