// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "synfin/base/bytes.h"

namespace synfin {

/// A 128-bit secret. Filled from an `Entropy`, or set by the embedder where several hosts must agree.
using Key = std::array<std::byte, 16>;

/// SipHash-2-4 (libsodium). Whoever does not know the key can neither predict nor collide it.
std::uint64_t keyed_hash(const Key& key, Bytes message);

}  // namespace synfin
