// SPDX-License-Identifier: Apache-2.0
//
// A server that holds SYNs, and a client that knocks.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "synfin/socket/pending.h"
#include "synfin/socket/socket_test_kit.h"
#include "synfin/wire/packet.h"

namespace synfin::tcp {

class PendingTest : public ::testing::TestWithParam<wire::Family> {
 protected:
  PendingTest() {
    listener.set_option(acceptor::hold_syns{});
    listener.listen(server);
  }
  bool v4() const { return GetParam() == wire::Family::kIpv4; }
  /// The client's SYN goes out; `result` will say what came of it.
  void knock() {
    client.async_connect(server, [&](error_code ec) { result = ec; });
    net.settle();
  }
  pending_connection take() {
    listener.non_blocking(true);
    return listener.accept_pending();
  }
  std::size_t held() const { return net.b->stack().population().held; }
  /// Only the server's side runs.
  void pass_without_client(Duration time) {
    for (const Instant end = net.now + time; net.now < end;) {
      net.b->pump();
      net.io.restart();
      net.io.poll();
      net.now = std::min(end, std::max(net.b->next_deadline(), net.now + Duration::milliseconds(1)));
    }
    net.b->pump();
    net.io.restart();
    net.io.poll();
  }
  /// A segment from a client that only this test knows.
  void inject(wire::Flags flags, std::uint32_t seq) {
    wire::IpHeader ip;
    ip.source = v4() ? TestPair::kAddressA : net.address_a6;
    ip.destination = server.address;
    ip.protocol = wire::protocol::kTcp;
    wire::TcpHeader header;
    header.source_port = 7777;
    header.destination_port = server.port;
    header.seq = wire::SeqNum{seq};
    header.flags = flags;
    wire::Frame frame;
    wire::emit_tcp_packet(ip, header, frame, wire::FillChecksum::kYes);
    net.b->stack().receive(std::span(&frame, 1), net.now);
    net.settle();
  }

  TestPair net;
  endpoint server{v4() ? TestPair::kAddressB : net.address_b6, 80};
  acceptor listener{*net.b};
  socket client{*net.a};
  std::optional<error_code> result;
};

}  // namespace synfin::tcp
