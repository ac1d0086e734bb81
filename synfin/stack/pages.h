// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace synfin::stack {

/// Memory straight from the system: whole pages, zero, each of which takes room from when it is touched.
///
/// From kHugeFrom on it is made of huge pages where the system has them: what lies anywhere in millions of
/// records is then found by one look into the page tables that are cached, not by two or three that are not.
struct Pages {
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kHugePage = 2 * 1024 * 1024;
  static constexpr std::size_t kHugeFrom = 4 * kHugePage;

  /// nullptr: there is none.
  static void* obtain(std::size_t octets);
  /// All of it, or a part at its beginning or end that consists of whole pages.
  static void give_back(void* begin, std::size_t octets);
  /// What lies there is forgotten: it reads as zero and takes no room until it is touched again. Whole pages.
  static void forget(void* begin, std::size_t octets);
  /// How much is worth giving back at a time: a part of a huge page takes as much room as all of it.
  static constexpr std::size_t step(std::size_t octets) { return octets < kHugeFrom ? 64 * 1024 : kHugePage; }
};

}  // namespace synfin::stack
