// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/pages.h"

#include <sys/mman.h>

namespace synfin::stack {

void* Pages::obtain(std::size_t octets) {
  const bool huge = octets >= kHugeFrom;
  const std::size_t asked = huge ? octets + kHugePage : octets;
  void* memory = mmap(nullptr, asked, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (!huge) return memory;
  // Only a piece that begins where a huge page does can be one.
  auto* const begin = static_cast<std::byte*>(memory);
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before != 0) munmap(begin, before);
  if (before != kHugePage) munmap(begin + before + octets, kHugePage - before);
  madvise(begin + before, octets, MADV_HUGEPAGE);  // or not: then it is as slow as it is
  return begin + before;
}

void Pages::give_back(void* begin, std::size_t octets) {
  munmap(begin, octets);
}

void Pages::forget(void* begin, std::size_t octets) {
  madvise(begin, octets, MADV_DONTNEED);
}

}  // namespace synfin::stack
