// SPDX-License-Identifier: Apache-2.0
//
// A directory that is served, and nothing outside of it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "synfin/link/file_descriptor.h"

namespace synfin::app {

/// Something in the directory, open for reading.
struct OpenFile {
  link::FileDescriptor descriptor;
  std::uint64_t size = 0;
  bool is_directory = false;

  /// Reads at `offset`; -1 is an error, 0 the end.
  ssize_t read(std::span<char> into, std::uint64_t offset) const;
};

class ServedDirectory {
 public:
  /// Throws Failure where `path` is no directory that can be read.
  explicit ServedDirectory(const std::string& path);

  /// The regular file or directory at `path`, which is relative to this directory. None where there is none,
  /// where it may not be read, and where any part of the way leads out of the directory, be it by `..`, by an
  /// absolute link or by a mount's magic link.
  std::optional<OpenFile> find(std::string_view path) const;

 private:
  link::FileDescriptor root_;
};

/// The path of a request target, decoded, without query; none where it is malformed. `/a%20b?x` gives `/a b`.
std::optional<std::string> path_of_target(std::string_view target);
/// By the name's ending: `text/html; charset=utf-8`.
std::string_view content_type(std::string_view path);
/// An HTML page that lists the directory; `shown` is its path for people.
std::string listing(const OpenFile& directory, std::string_view shown);

}  // namespace synfin::app
