// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "synfin/tcp/segment.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"

namespace synfin::stack {

/// Cuts a train whose text lies in `out[0]` into the frames of `out`, one a segment, checksums filled in;
/// what the others held goes. `sent.header` has its ports; `out` has room for all. The frames are what
/// `wire::emit_tcp_packet` would write one by one. Returns how many there are.
std::size_t cut(const wire::IpHeader& ip, const tcp::Sent& sent, std::span<wire::Frame> out);

}  // namespace synfin::stack
