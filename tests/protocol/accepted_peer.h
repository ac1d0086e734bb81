// SPDX-License-Identifier: Apache-2.0
//
// Connections that the peer opened and the program accepted: where most attacks on open connections begin.
#pragma once

#include "raw_octets.h"

namespace synfin::protocol_test {

class AcceptedPeers : public RawOctets {
 protected:
  /// The peer's next number is kPeerIss + 1, the stack's `next`.
  struct Open {
    wire::Endpoint from;
    Handle handle;
    wire::SeqNum next;
  };
  Open opens(Handle listener, const wire::Endpoint& from) {
    (void)sent();
    const Packet syn_ack = knocks(from);
    gives(from, third(syn_ack.tcp));
    return {from, accepts(listener), syn_ack.tcp.seq + 1};
  }
  /// Of the peer, or in its name; octets are counted from the first one of each.
  static TcpHeader from_peer(const Open& c, std::uint8_t flags, std::uint32_t seq = 0, std::uint32_t ack = 0,
                             std::uint16_t window = 65'535) {
    TcpHeader h = header(flags, kPeerIss + 1 + seq, c.next + ack);
    h.window = {window};
    return h;
  }
  void expect_nothing_left() {
    const stack::Population p = stack_.population();
    EXPECT_EQ(p.connections + p.half_open + p.held + p.time_wait, 0u);
    EXPECT_EQ(pool_.bytes_in_use(), 0u);
  }
};

}  // namespace synfin::protocol_test
