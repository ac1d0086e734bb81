// SPDX-License-Identifier: Apache-2.0
//
// Counts what a piece of code asks of the allocator and of the system: it runs in a process of its own behind
// a seccomp filter, in which every system call traps and every allocation is noticed. For a program of its
// own, as it replaces malloc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace synfin {

struct Watched {
  std::uint64_t allocations = 0;
  std::uint64_t first_allocation = 0;  // octets
  std::uint64_t system_calls = 0;
  int first_system_call = 0;  // its number
  /// What the code itself said.
  bool good = false;
};

/// Something that was prepared, and warmed up, and is watched from now on.
using Path = std::function<bool()>;

/// `prepare` runs unwatched in a process of its own and returns what is watched then. nullopt: there is no
/// seccomp here, or the process did not come to its end; `why` says which.
std::optional<Watched> watch(const std::function<Path()>& prepare, std::string& why);

}  // namespace synfin
