// SPDX-License-Identifier: Apache-2.0
//
// The paper that ladders are drawn on: time, one end's state, two rails with arrows or text between them, the
// other end's state. Knows nothing of TCP.
//
//   #1  0.000031     ESTABLISHED ├────── ACK  seq 1  ack 1 ──────►│ SYN-RECEIVED
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace synfin::view {

enum class Tone : std::uint8_t {
  kPlain,
  kQuiet,
  kStrong,
  kWarning,
  kAlarm
};
enum class Heading : std::uint8_t {
  kNone,
  kLeft,
  kRight
};

struct Row {
  std::string_view prefix;
  std::string_view time;
  std::string_view left;
  std::string_view middle;
  std::string_view right;
  /// Where an arrow made by `Rails::arrow` is going; kNone for text.
  Heading heading = Heading::kNone;
  Tone tone = Tone::kPlain;
};

class Rails {
 public:
  static constexpr std::size_t kPrefix = 4, kTime = 11, kState = 13, kMinWidth = 80;

  Rails(std::size_t width, bool colour) : width_(width < kMinWidth ? kMinWidth : width), colour_(colour) {}

  std::size_t width() const { return width_; }
  /// Columns between the rails.
  std::size_t inner() const { return width_ - kPrefix - kTime - 2 * (kState + 1) - 2; }
  /// Columns of a label that `arrow` takes without cutting its shaft short.
  std::size_t label_room() const { return inner() - 8; }
  /// `──── label ───►`, exactly `inner()` columns; a label that is too long is cut.
  std::string arrow(std::string_view label, Heading heading) const;
  /// A line, with its newline, without blanks at its end.
  std::string row(const Row& row) const;
  /// `left` at the rails' left edge and `right` at their right edge; two lines where they do not fit into
  /// one.
  std::string banner(std::string_view prefix, std::string_view left, std::string_view right, Tone tone) const;

 private:
  std::string painted(std::string_view text, Tone tone) const;
  std::size_t width_;
  bool colour_;
};

}  // namespace synfin::view
