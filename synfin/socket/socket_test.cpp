// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/socket.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <string>

#include "synfin/socket/socket_test_kit.h"

namespace synfin::tcp {
namespace {

namespace beast = boost::beast;

static_assert(beast::is_async_stream<socket>::value);
static_assert(beast::is_sync_stream<socket>::value);
static_assert(beast::is_async_stream<basic_socket<asio::io_context::executor_type>>::value);
static_assert(std::is_same_v<
              asio::use_awaitable_t<>::as_default_on_t<socket>::rebind_executor<asio::any_io_executor>::other,
              socket>);
static_assert(std::is_nothrow_move_constructible_v<socket> && !std::is_copy_constructible_v<socket>);

using SocketTest = SocketFixture;

TEST_F(SocketTest, ConnectsAndKnowsBothEnds) {
  open();
  EXPECT_EQ(client.remote_endpoint(), kServer);
  EXPECT_EQ(server.local_endpoint(), kServer);
  EXPECT_EQ(client.local_endpoint(), server.remote_endpoint());
  EXPECT_EQ(client.local_endpoint().address, TestPair::kAddressA);
  EXPECT_EQ(client.status().state, trace::State::kEstablished);
  EXPECT_TRUE(client.native_handle());
}

TEST_F(SocketTest, NeverCompletesInsideTheInitiatingFunction) {
  open();
  bool done = false;
  server.async_write_some(asio::buffer("x", 1), [&](error_code, std::size_t) { done = true; });
  EXPECT_FALSE(done);
  net.settle();
  EXPECT_TRUE(done);
  done = false;
  char c = 0;
  client.async_read_some(asio::buffer(&c, 1),
                         [&](error_code, std::size_t) { done = true; });  // the octet is there already
  EXPECT_FALSE(done);
  net.io.restart();
  net.io.poll();
  EXPECT_TRUE(done);
  EXPECT_EQ(c, 'x');
}

TEST_F(SocketTest, ReadWaitsForData) {
  open();
  std::array<char, 10> into{};
  std::size_t got = 0;
  client.async_read_some(asio::buffer(into), [&](error_code ec, std::size_t n) {
    EXPECT_FALSE(ec);
    got = n;
  });
  net.settle();
  EXPECT_EQ(got, 0u);
  server.write_some(asio::buffer("hello", 5));
  net.settle();
  EXPECT_EQ(got, 5u);
  EXPECT_EQ(std::string(into.data(), 5), "hello");
}

// A coroutine that forwards what arrives without a copy, and is suspended while nothing does or the send
// buffer is full.
asio::awaitable<std::size_t> forward(socket& from, socket& to) {
  std::size_t total = 0;
  for (;;) {
    std::array<wire::Slice, 8> slices;
    error_code ec;
    co_await from.async_read_shared(slices, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return total;
    for (std::size_t at = 0; at < slices.size() && !slices[at].empty();) {
      total += co_await to.async_write_shared(std::span{slices}.subspan(at), asio::use_awaitable);
      while (at < slices.size() && slices[at].empty()) ++at;
    }
  }
}

TEST_F(SocketTest, ForwardsSlicesWithoutACopyUnderBackPressure) {
  open();
  constexpr std::size_t kOctets = 8 << 20;
  const std::vector<char> text(kOctets, 'z');
  int given_back = 0;
  std::array whole{net.a->pool().lend(
      std::as_bytes(std::span{text}), [](void* n) { ++*static_cast<int*>(n); }, &given_back)};
  // The server sends all back that it gets; the client reads it late.
  std::size_t forwarded = 0;
  asio::co_spawn(net.io, forward(server, server), [&](std::exception_ptr failure, std::size_t n) {
    EXPECT_FALSE(failure);
    forwarded = n;
  });
  asio::co_spawn(
      net.io,
      [&]() -> asio::awaitable<void> {
        while (!whole[0].empty()) co_await client.async_write_shared(whole, asio::use_awaitable);
        client.shutdown(socket::shutdown_send);
      },
      asio::detached);
  net.settle();
  EXPECT_EQ(forwarded, 0u) << "nobody reads";
  EXPECT_FALSE(whole[0].empty());
  std::vector<char> echoed(kOctets);
  std::size_t got = 0;
  asio::async_read(client, asio::buffer(echoed), [&](error_code, std::size_t n) { got = n; });
  ASSERT_TRUE(net.run_until([&] { return got == kOctets && forwarded == kOctets; }));
  EXPECT_EQ(echoed, text);
  EXPECT_TRUE(net.run_until([&] { return given_back == 1; })) << "with the last acknowledgement";
}

// No error that a program would have to know: the write waits, as for room in the buffer.
TEST_F(SocketTest, AWriteWaitsForPacketMemory) {
  open();
  net.a->stack().settings().tcp_mem = {16, 24, 32};
  std::array<wire::Slice, 3> all;
  for (wire::Slice& s : all) s = net.a->pool().copy(std::vector<std::byte>(50'000));
  std::size_t written = 0;
  client.async_write_some(asio::buffer("hello", 5), [&](error_code ec, std::size_t n) {
    EXPECT_FALSE(ec);
    written = n;
  });
  net.settle();
  EXPECT_EQ(written, 0u);
  for (wire::Slice& s : all) s.reset();
  ASSERT_TRUE(net.run_until([&] { return written == 5; }));
}

TEST_F(SocketTest, ReadsCompleteInTheOrderOfTheirBeginning) {
  open();
  std::string order;
  std::array<char, 2> first{};
  std::array<char, 2> second{};
  client.async_read_some(asio::buffer(first), [&](error_code, std::size_t) { order += '1'; });
  client.async_read_some(asio::buffer(second), [&](error_code, std::size_t) { order += '2'; });
  server.write_some(asio::buffer("abcd", 4));
  net.settle();
  EXPECT_EQ(order, "12");
  EXPECT_EQ(std::string(first.data(), 2) + std::string(second.data(), 2), "abcd");
}

TEST_F(SocketTest, ScattersAndGathers) {
  open();
  const std::array<asio::const_buffer, 4> from{asio::buffer("ab", 2), asio::buffer("", 0),
                                               asio::buffer("cde", 3), asio::buffer("f", 1)};
  EXPECT_EQ(server.write_some(from), 6u);
  std::array<char, 4> one{};
  std::array<char, 8> two{};
  const std::array<asio::mutable_buffer, 3> into{asio::mutable_buffer(), asio::buffer(one),
                                                 asio::buffer(two)};
  std::size_t got = 0;
  client.async_read_some(into, [&](error_code, std::size_t n) { got = n; });
  net.settle();
  EXPECT_EQ(got, 6u);
  EXPECT_EQ(std::string(one.data(), 4), "abcd");
  EXPECT_EQ(std::string(two.data(), 2), "ef");
}

TEST_F(SocketTest, EmptyBuffersSucceedAtOnce) {
  open();
  int done = 0;
  client.async_read_some(asio::mutable_buffer(),
                         [&](error_code ec, std::size_t n) { done += !ec && n == 0; });
  client.async_write_some(asio::const_buffer(), [&](error_code ec, std::size_t n) { done += !ec && n == 0; });
  net.settle();
  EXPECT_EQ(done, 2);
}

TEST_F(SocketTest, RefusedConnectionLeavesTheSocketReadyForAnother) {
  error_code result;
  client.async_connect({TestPair::kAddressB, 81}, [&](error_code ec) { result = ec; });
  net.settle();
  EXPECT_EQ(result, asio::error::connection_refused);
  EXPECT_FALSE(client.is_open());
  open();
}

TEST_F(SocketTest, ConnectTwiceIsAnError) {
  open();
  error_code result;
  client.async_connect(kServer, [&](error_code ec) { result = ec; });
  net.settle();
  EXPECT_EQ(result, asio::error::already_connected);
  EXPECT_EQ(client.status().state, trace::State::kEstablished);
}

TEST_F(SocketTest, HalfCloseGivesEofAndTheOtherDirectionGoesOn) {
  open();
  client.write_some(asio::buffer("request", 7));
  client.shutdown(socket::shutdown_send);
  std::string request;
  error_code end;
  asio::async_read(server, asio::dynamic_buffer(request), [&](error_code ec, std::size_t) { end = ec; });
  net.settle();
  EXPECT_EQ(end, asio::error::eof);
  EXPECT_EQ(request, "request");
  EXPECT_EQ(client.status().state, trace::State::kFinWait2);
  EXPECT_EQ(server.status().state, trace::State::kCloseWait);

  error_code ec;
  client.write_some(asio::buffer("x", 1), ec);
  EXPECT_EQ(ec, asio::error::broken_pipe);

  std::string answer;
  asio::async_write(server, asio::buffer(std::string("whole answer")), [&](error_code e, std::size_t) {
    EXPECT_FALSE(e);
    server.close();
  });
  asio::async_read(client, asio::dynamic_buffer(answer), [&](error_code e, std::size_t) { end = e; });
  end = {};
  net.settle();
  EXPECT_EQ(end, asio::error::eof);
  EXPECT_EQ(answer, "whole answer");
}

TEST_F(SocketTest, ShutdownReceiveEndsWaitingReads) {
  open();
  char c = 0;
  error_code end;
  client.async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { end = ec; });
  net.settle();
  client.shutdown(socket::shutdown_receive);
  net.settle();
  EXPECT_EQ(end, asio::error::eof);
}

TEST_F(SocketTest, AbortResetsThePeer) {
  open();
  char c = 0;
  error_code end;
  client.async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { end = ec; });
  net.settle();
  server.abort();
  EXPECT_FALSE(server.is_open());
  net.settle();
  EXPECT_EQ(end, asio::error::connection_reset);
  EXPECT_EQ(net.b->stack().population().time_wait, 0u);
}

TEST_F(SocketTest, DestructionCompletesWhatIsPendingAndClosesInOrder) {
  open();
  char c = 0;
  error_code end;
  auto dying = std::make_unique<socket>(std::move(client));
  dying->async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { end = ec; });
  dying->write_some(asio::buffer("bye", 3));
  net.settle();
  dying.reset();
  EXPECT_FALSE(end);  // not from within the destructor
  net.settle();
  EXPECT_EQ(end, asio::error::operation_aborted);
  std::string rest;
  error_code ec;
  asio::read(server, asio::dynamic_buffer(rest), ec);
  EXPECT_EQ(ec, asio::error::eof);
  EXPECT_EQ(rest, "bye");
}

TEST_F(SocketTest, MovedSocketsCanBeUsedAnew) {
  open();
  char c = 0;
  std::size_t got = 0;
  client.async_read_some(asio::buffer(&c, 1), [&](error_code, std::size_t n) { got = n; });
  socket moved(std::move(client));
  EXPECT_FALSE(client.is_open());  // NOLINT(bugprone-use-after-move): that is what is tested
  server.write_some(asio::buffer("m", 1));
  net.settle();
  EXPECT_EQ(got, 1u);  // the operation went with the connection
  socket accepted(*net.b);
  listener.async_accept(accepted, [](error_code ec) { EXPECT_FALSE(ec); });
  error_code result = asio::error::fault;
  client.async_connect(kServer, [&](error_code ec) { result = ec; });
  net.settle();
  EXPECT_FALSE(result);
}

TEST_F(SocketTest, LingerOfZeroResets) {
  open();
  client.set_option(socket::linger(true, 0));
  client.close();
  net.settle();
  char c = 0;
  error_code ec;
  server.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::connection_reset);
}

TEST_F(SocketTest, LingerBoundsTheTimeThatDeliveryMayTake) {
  open();
  // The peer reads nothing, so what is beyond its window can never be delivered.
  fill(client);
  net.settle();
  fill(client);
  client.set_option(socket::linger(true, 5));
  client.close();
  net.pass(Duration::seconds(4));
  EXPECT_EQ(server.status().state, trace::State::kEstablished);
  net.pass(Duration::seconds(2));
  error_code ec;
  EXPECT_TRUE(server.status(ec).state == trace::State::kClosed || ec);
  EXPECT_EQ(net.a->stack().population().connections, 0u);
}

TEST_F(SocketTest, LingerEndsInOrderWhenThePeerTakesEverything) {
  open();
  client.set_option(socket::linger(true, 5));
  client.write_some(asio::buffer("all", 3));
  client.close();
  std::string rest;
  error_code end;
  asio::async_read(server, asio::dynamic_buffer(rest), [&](error_code ec, std::size_t) { end = ec; });
  net.settle();
  EXPECT_EQ(end, asio::error::eof);
  EXPECT_EQ(rest, "all");
  server.close();
  net.pass(Duration::seconds(6));
  EXPECT_EQ(net.a->stack().population().connections, 0u);
  EXPECT_EQ(net.a->stack().population().time_wait, 1u);
}

TEST_F(SocketTest, OptionsHoldBeforeAndAfterTheConnectionExists) {
  client.set_option(asio::ip::tcp::no_delay(true));
  client.set_option(socket::keep_alive(true));
  client.set_option(socket::user_timeout{Duration::seconds(3)});
  client.set_option(socket::linger(true, 7));
  open();
  socket::no_delay no_delay;
  client.get_option(no_delay);
  EXPECT_TRUE(no_delay.value());
  socket::linger linger;
  client.get_option(linger);
  EXPECT_TRUE(linger.enabled());
  EXPECT_EQ(linger.timeout(), 7);
  error_code ec;
  client.set_option(socket::user_timeout{Duration::seconds(-1)}, ec);
  EXPECT_EQ(ec, asio::error::invalid_argument);
}

// --- Waiting ---

TEST_F(SocketTest, WaitTellsReadinessAndTakesNothing) {
  open();
  int ready = 0;
  client.async_wait(socket::wait_read, [&](error_code ec) { ready += !ec; });
  net.settle();
  EXPECT_EQ(ready, 0);
  server.write_some(asio::buffer("ab", 2));
  net.settle();
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(client.available(), 2u);
  client.async_wait(socket::wait_write, [&](error_code ec) { ready += !ec; });
  net.settle();
  EXPECT_EQ(ready, 2);
}

TEST_F(SocketTest, WaitForWritingEndsWhenThePeerReads) {
  open();
  while (fill(client) > 0) net.settle();  // it grows as long as the peer takes some
  bool ready = false;
  client.async_wait(socket::wait_write, [&](error_code ec) { ready = !ec; });
  net.settle();
  EXPECT_FALSE(ready);
  std::string all;
  asio::async_read(server, asio::dynamic_buffer(all), [](error_code, std::size_t) {});
  EXPECT_TRUE(net.run_until([&] { return ready; }));
}

TEST_F(SocketTest, WaitForErrorEndsWhenTheConnectionFails) {
  open();
  bool ready = false;
  client.async_wait(socket::wait_error, [&](error_code ec) { ready = !ec; });
  net.settle();
  EXPECT_FALSE(ready);
  server.abort();
  net.settle();
  EXPECT_TRUE(ready);
}

// --- Blocking calls ---

TEST_F(SocketTest, BlockingCallsMovePacketsButRunNoHandlers) {
  bool handler_ran = false;
  asio::post(net.io, [&] { handler_ran = true; });
  client.connect(kServer);
  server = listener.accept();
  EXPECT_EQ(asio::write(client, asio::buffer("ping", 4)), 4u);
  std::array<char, 4> into{};
  EXPECT_EQ(asio::read(server, asio::buffer(into)), 4u);
  EXPECT_EQ(std::string(into.data(), 4), "ping");
  client.wait(socket::wait_write);
  EXPECT_FALSE(handler_ran);
  server.close();
  error_code ec;
  EXPECT_EQ(client.read_some(asio::buffer(into), ec), 0u);
  EXPECT_EQ(ec, asio::error::eof);
  EXPECT_THROW(client.read_some(asio::buffer(into)), boost::system::system_error);
}

TEST_F(SocketTest, BlockingConnectTimesOutInTheStacksTime) {
  const Instant before = net.now;
  error_code ec;
  // 10.0.0.9 is on the link, but nobody answers.
  client.connect({wire::IpAddress::v4(10, 0, 0, 9), 80}, ec);
  EXPECT_EQ(ec, asio::error::timed_out);
  EXPECT_GT(net.now - before, Duration::seconds(100));  // tcp_syn_retries 7: 247 s
}

TEST_F(SocketTest, NonBlockingCallsSayWouldBlock) {
  client.non_blocking(true);
  error_code ec;
  client.connect(kServer, ec);
  EXPECT_EQ(ec, asio::error::in_progress);
  net.settle();
  char c = 0;
  client.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::would_block);
  listener.non_blocking(true);
  server = listener.accept(ec);
  EXPECT_FALSE(ec);
  (void)listener.accept(ec);
  EXPECT_EQ(ec, asio::error::would_block);
}

// --- Closed sockets and ended runtimes ---

TEST_F(SocketTest, ClosedSocketsFailWithBadDescriptor) {
  error_code ec;
  char c = 0;
  client.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  client.write_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  (void)client.remote_endpoint(ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  client.shutdown(socket::shutdown_both, ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  client.close(ec);
  EXPECT_FALSE(ec);
}

TEST_F(SocketTest, OutlivesItsRuntime) {
  open();
  char c = 0;
  error_code read;
  error_code accept;
  client.async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { read = ec; });
  listener.async_accept([&](error_code ec, socket) { accept = ec; });
  net.a.reset();
  net.b->pump();
  error_code ec;
  server.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::connection_reset);  // the end of a runtime resets what is open
  net.b.reset();
  net.io.restart();
  net.io.poll();
  EXPECT_EQ(read, asio::error::operation_aborted);
  EXPECT_EQ(accept, asio::error::operation_aborted);
  client.connect(kServer, ec);
  EXPECT_EQ(ec, asio::error::operation_aborted);
  EXPECT_FALSE(client.is_open());
}

}  // namespace
}  // namespace synfin::tcp
