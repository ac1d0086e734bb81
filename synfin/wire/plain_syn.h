// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/tcp.h"

namespace synfin::wire {

/// A SYN without anything that would need to be thought about: no other flag, no text, no network header
/// options or extensions, no TCP options but MSS, window scale, SACK permitted and timestamps.
struct PlainSyn {
  FourTuple tuple;  // as the one sees it who received it
  SeqNum seq;
  std::uint8_t ecn = 0;  // the congestion codepoint of its packet
  TcpOptions options;
};

/// Reads a packet that lies whole in its first slice. False: it is something else, or wrong in some way, or
/// just unusual; `parse_ip` and `parse_tcp_packet` will tell. True: they would say the same, checksums
/// included.
[[nodiscard]] bool read_plain_syn(const Frame& frame, PlainSyn& out);

}  // namespace synfin::wire
