// SPDX-License-Identifier: Apache-2.0
//
// Frames for the tests of this room.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "synfin/base/time.h"
#include "synfin/wire/frame.h"

namespace synfin::link::testing {

inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span{text});
}

/// `header` in the header part, `payload` in a slice; either may be empty.
inline wire::Frame frame_of(wire::BlockPool& pool, std::string_view header, std::string_view payload = {}) {
  wire::Frame frame;
  std::memcpy(frame.header.data(), header.data(), header.size());
  frame.header_size = static_cast<std::uint16_t>(header.size());
  if (!payload.empty()) frame.add(pool.copy(bytes_of(payload)));
  return frame;
}

inline std::string text_of(const wire::Frame& frame) {
  std::string text(frame.size(), '\0');
  frame.copy_out(0, std::as_writable_bytes(std::span{text}));
  return text;
}

/// `count` frames, each with its number (from `first`) as text in the header.
inline std::vector<wire::Frame> numbered(wire::BlockPool& pool, std::size_t count, std::size_t first = 0) {
  std::vector<wire::Frame> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(frame_of(pool, std::to_string(first + i)));
  return frames;
}

inline Instant at(Duration since_start) {
  return Instant::from_ns(1'000'000'000) + since_start;
}

}  // namespace synfin::link::testing
