// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::tcp {

/// The segment that the tests of controllers count in.
inline constexpr std::uint32_t kMss = 1000;

}  // namespace synfin::tcp
