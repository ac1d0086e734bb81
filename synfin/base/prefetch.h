// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace synfin {

/// Has the cache line at `p` brought from memory while the program goes on. Any address is fine.
inline void prefetch(const void* p) {
  __builtin_prefetch(p);
  // GCC takes a function that does nothing but this for one that does nothing, and leaves out the calls.
  asm volatile("");
}

}  // namespace synfin
