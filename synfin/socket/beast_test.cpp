// SPDX-License-Identifier: Apache-2.0
//
// Boost.Beast over Synfin: a client and a server that know nothing of what carries them.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <string>

#include "synfin/runtime/test_pair.h"
#include "synfin/socket/acceptor.h"

namespace synfin::tcp {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::use_awaitable;
using runtime::TestPair;

const endpoint kServer{TestPair::kAddressB, 80};

// A failure inside a coroutine fails the test.
const auto report = [](std::exception_ptr e) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const std::exception& failure) {
    ADD_FAILURE() << failure.what();
  }
};

TEST(Beast, HttpRequestAndAnswer) {
  TestPair net;
  acceptor listener(*net.b, kServer);
  const std::string body(500'000, 'b');
  std::string got;

  auto serve = [&]() -> asio::awaitable<void> {
    socket s = co_await listener.async_accept(use_awaitable);
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    co_await http::async_read(s, buffer, request, use_awaitable);
    EXPECT_EQ(request.target(), "/page");
    http::response<http::string_body> response(http::status::ok, request.version(), body);
    response.prepare_payload();
    co_await http::async_write(s, response, use_awaitable);
    s.shutdown(socket::shutdown_send);
  };
  auto ask = [&]() -> asio::awaitable<void> {
    socket s(*net.a);
    co_await s.async_connect(kServer, use_awaitable);
    http::request<http::empty_body> request(http::verb::get, "/page", 11);
    co_await http::async_write(s, request, use_awaitable);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(body.size());
    co_await http::async_read(s, buffer, parser, use_awaitable);
    got = parser.release().body();
    beast::close_socket(beast::get_lowest_layer(s));
    EXPECT_FALSE(s.is_open());
  };
  asio::co_spawn(net.io, serve(), report);
  asio::co_spawn(net.io, ask(), report);
  ASSERT_TRUE(net.run_until([&] { return !got.empty(); }));
  EXPECT_TRUE(got == body);
}

TEST(Beast, WebSocketClosesInOrder) {
  TestPair net;
  acceptor listener(*net.b, kServer);
  std::string echoed;
  int closed = 0;

  auto serve = [&]() -> asio::awaitable<void> {
    websocket::stream<socket> ws(co_await listener.async_accept(use_awaitable));
    co_await ws.async_accept(use_awaitable);
    beast::flat_buffer buffer;
    co_await ws.async_read(buffer, use_awaitable);
    co_await ws.async_write(buffer.data(), use_awaitable);
    beast::error_code ec;
    buffer.clear();
    co_await ws.async_read(buffer, asio::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, websocket::error::closed);
    ++closed;
  };
  auto ask = [&]() -> asio::awaitable<void> {
    websocket::stream<socket> ws(*net.a);
    co_await beast::get_lowest_layer(ws).async_connect(kServer, use_awaitable);
    co_await ws.async_handshake("server", "/", use_awaitable);
    co_await ws.async_write(asio::buffer(std::string("over Synfin")), use_awaitable);
    beast::flat_buffer buffer;
    co_await ws.async_read(buffer, use_awaitable);
    echoed = beast::buffers_to_string(buffer.data());
    co_await ws.async_close(websocket::close_code::normal, use_awaitable);
    ++closed;
  };
  asio::co_spawn(net.io, serve(), report);
  asio::co_spawn(net.io, ask(), report);
  ASSERT_TRUE(net.run_until([&] { return closed == 2; }));
  EXPECT_EQ(echoed, "over Synfin");
  // The server closed first, so it is the server that waits.
  EXPECT_EQ(net.b->stack().population().time_wait, 1u);
  EXPECT_EQ(net.a->stack().population().time_wait, 0u);
}

}  // namespace
}  // namespace synfin::tcp
