// SPDX-License-Identifier: Apache-2.0
//
// For tests: a server that listens and a client that can connect to it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "synfin/runtime/test_pair.h"
#include "synfin/socket/acceptor.h"
#include "synfin/socket/socket.h"

namespace synfin::tcp {

namespace asio = boost::asio;
using runtime::TestPair;

inline const endpoint kServer{TestPair::kAddressB, 80};

class SocketFixture : public ::testing::Test {
 protected:
  void open() {
    bool accepted = false;
    bool connected = false;
    listener.async_accept(server, [&](error_code ec) { accepted = !ec; });
    client.async_connect(kServer, [&](error_code ec) { connected = !ec; });
    ASSERT_TRUE(net.run_until([&] { return accepted && connected; }));
  }
  /// Everything queued in `s` until it takes no more.
  std::size_t fill(socket& s) {
    const std::string chunk(16 * 1024, 'x');
    std::size_t total = 0;
    error_code ec;
    s.non_blocking(true);
    for (;;) {
      const std::size_t n = s.write_some(asio::buffer(chunk), ec);
      if (ec) break;
      total += n;
    }
    s.non_blocking(false);
    EXPECT_EQ(ec, asio::error::would_block);
    return total;
  }

  TestPair net;
  acceptor listener{*net.b, kServer};
  socket client{*net.a};
  socket server{*net.b};
};

}  // namespace synfin::tcp
