// SPDX-License-Identifier: Apache-2.0
//
// The header that Linux puts in front of each packet of a TUN device with IFF_VNET_HDR (virtio 1.2 §5.1.6,
// the legacy form in the machine's byte order): what is left of a packet's checksum and of its division into
// segments for the other side to do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "synfin/wire/frame.h"

namespace synfin::link {

inline constexpr std::size_t kVirtioHeaderSize = 10;
using VirtioHeader = std::array<std::byte, kVirtioHeaderSize>;

/// The header for `frame`, by its `segment_size` and `needs_checksum`. None where one of them is set and the
/// packet is not TCP.
std::optional<VirtioHeader> virtio_header_of(const wire::Frame& frame);

/// What `header` says of the packet in `frame`, whose network and TCP headers lie in its first slice, goes
/// into the frame's fields. Where the other side has left out a checksum that is not TCP's, it is filled in.
/// False: it cannot be true of this packet (a division of what is not TCP, a checksum beyond its end, what
/// nobody agreed to); the frame is worth nothing then.
[[nodiscard]] bool apply_virtio_header(const VirtioHeader& header, wire::Frame& frame);

}  // namespace synfin::link
