// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/bytes.h"

namespace synfin::wire {

/// `std::memcpy` for text between a program's memory and blocks, from one first- or second-level cache to the
/// same: by vectors where the processor has them. The C library takes `rep movsb` for pieces of some KiB,
/// which is slower by a third there.
void copy_text(std::byte* to, Bytes from);
/// The same, and `ones_sum(from)` of what was read on the way.
std::uint16_t copy_and_sum(std::byte* to, Bytes from);

}  // namespace synfin::wire
