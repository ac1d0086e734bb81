// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/rails.h"

#include "synfin/view/text.h"

namespace synfin::view {
namespace {

std::string repeat(std::string_view what, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += what;
  return out;
}

std::string spaces(std::size_t n) {
  return std::string(n, ' ');
}

std::size_t padding(std::string_view text, std::size_t width) {
  const std::size_t n = columns(text);
  return n >= width ? 0 : width - n;
}

void strip_end(std::string& line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
}

// The first `n` code points.
std::string_view head(std::string_view text, std::size_t n) {
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
    if (begins && seen++ == n) break;
  }
  return text.substr(0, at);
}

}  // namespace

std::string Rails::painted(std::string_view text, Tone tone) const {
  if (!colour_ || text.empty()) return std::string{text};
  std::string_view code;
  switch (tone) {
    case Tone::kPlain:
      return std::string{text};
    case Tone::kQuiet:
      code = "\x1b[2m";
      break;
    case Tone::kStrong:
      code = "\x1b[1m";
      break;
    case Tone::kWarning:
      code = "\x1b[33m";
      break;
    case Tone::kAlarm:
      code = "\x1b[31m";
      break;
  }
  std::string out{code};
  out += text;
  out += "\x1b[0m";
  return out;
}

std::string Rails::arrow(std::string_view label, Heading heading) const {
  const std::string_view text = head(label, inner() - 4);
  const std::size_t shaft = inner() - columns(text) - 3;  // two blanks round the label and the head
  const std::size_t before = shaft / 2;
  const std::size_t after = shaft - before;
  std::string out = heading == Heading::kLeft ? "◄" : "";
  out += repeat("─", before);
  out += ' ';
  out += text;
  out += ' ';
  out += repeat("─", after);
  if (heading == Heading::kRight) out += "►";
  return out;
}

std::string Rails::row(const Row& row) const {
  std::string line{row.prefix};
  line += spaces(padding(row.prefix, kPrefix) + padding(row.time, kTime));
  line += row.time;
  line += spaces(1 + padding(row.left, kState - 1));
  line += painted(row.left, Tone::kStrong);
  line += row.heading == Heading::kRight ? " ├" : " │";
  line += painted(row.middle, row.tone);
  line += spaces(padding(row.middle, inner()));
  line += row.heading == Heading::kLeft ? "┤ " : "│ ";
  line += painted(row.right, Tone::kStrong);
  strip_end(line);
  line += '\n';
  return line;
}

std::string Rails::banner(std::string_view prefix, std::string_view left, std::string_view right,
                          Tone tone) const {
  std::string start{prefix};
  start += spaces(padding(prefix, kPrefix));
  const std::size_t taken = columns(start) + columns(left);
  std::string out = start + painted(left, tone);
  if (taken + 2 + columns(right) > width_) {
    strip_end(out);
    out += '\n';
    out += spaces(padding(right, width_));
  } else {
    out += spaces(width_ - taken - columns(right));
  }
  out += painted(right, tone);
  strip_end(out);
  out += '\n';
  return out;
}

}  // namespace synfin::view
