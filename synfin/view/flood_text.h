// SPDX-License-Identifier: Apache-2.0
//
// What a listener's SYNs mean, in a line for people.
#pragma once

#include <string>

#include "synfin/trace/flood.h"

namespace synfin::view {

/// One line without a newline: what was measured, against which threshold, what it is and what to do. For an
/// alarm that begins or ends, and for a report without one.
std::string describe(const trace::FloodReport& report);

}  // namespace synfin::view
