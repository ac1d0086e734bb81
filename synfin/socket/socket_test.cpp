// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/socket.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <numeric>
#include <string>

#include "synfin/runtime/test_pair.h"
#include "synfin/socket/acceptor.h"

namespace synfin::tcp {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using runtime::TestPair;

static_assert(beast::is_async_stream<socket>::value);
static_assert(beast::is_sync_stream<socket>::value);
static_assert(beast::is_async_stream<basic_socket<asio::io_context::executor_type>>::value);
static_assert(std::is_same_v<
              asio::use_awaitable_t<>::as_default_on_t<socket>::rebind_executor<asio::any_io_executor>::other,
              socket>);
static_assert(std::is_nothrow_move_constructible_v<socket> && !std::is_copy_constructible_v<socket>);

const endpoint kServer{TestPair::kAddressB, 80};

class SocketTest : public ::testing::Test {
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
  fill(client);
  net.settle();
  fill(client);
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

// --- Cancelling ---

TEST_F(SocketTest, CancelEndsOperationsAndKeepsTheConnection) {
  open();
  char c = 0;
  error_code end;
  client.async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { end = ec; });
  client.cancel();
  net.settle();
  EXPECT_EQ(end, asio::error::operation_aborted);
  server.write_some(asio::buffer("k", 1));
  net.settle();
  EXPECT_EQ(client.read_some(asio::buffer(&c, 1)), 1u);
}

class CancellationTest : public SocketTest, public ::testing::WithParamInterface<asio::cancellation_type> {};

TEST_P(CancellationTest, EndsOneOperationAndNoOther) {
  open();
  asio::cancellation_signal signal;
  std::array<char, 2> into{};
  error_code first;
  std::size_t second = 0;
  client.async_read_some(
      asio::buffer(into),
      asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, std::size_t) { first = ec; }));
  client.async_read_some(asio::buffer(into), [&](error_code, std::size_t n) { second = n; });
  net.settle();
  signal.emit(GetParam());
  EXPECT_FALSE(first);
  net.settle();
  EXPECT_EQ(first, asio::error::operation_aborted);
  EXPECT_EQ(second, 0u);
  server.write_some(asio::buffer("xy", 2));
  net.settle();
  EXPECT_EQ(second, 2u);
  signal.emit(GetParam());  // nothing is left to cancel
}
INSTANTIATE_TEST_SUITE_P(Types, CancellationTest,
                         ::testing::Values(asio::cancellation_type::terminal,
                                           asio::cancellation_type::partial, asio::cancellation_type::total));

TEST_F(SocketTest, CancelledConnectLeavesNothingBehind) {
  asio::cancellation_signal signal;
  error_code end;
  client.async_connect(kServer,
                       asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { end = ec; }));
  signal.emit(asio::cancellation_type::terminal);
  net.settle();
  EXPECT_EQ(end, asio::error::operation_aborted);
  EXPECT_FALSE(client.is_open());
  EXPECT_EQ(net.a->stack().population().connections, 0u);
  open();
}

TEST_F(SocketTest, CancelledAcceptLosesNoConnection) {
  asio::cancellation_signal signal;
  error_code end;
  listener.async_accept(asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, socket s) {
    end = ec;
    EXPECT_FALSE(s.is_open());
  }));
  net.settle();
  signal.emit(asio::cancellation_type::total);
  net.settle();
  EXPECT_EQ(end, asio::error::operation_aborted);
  open();
}

// --- Tokens, executors, allocators ---

TEST_F(SocketTest, Futures) {
  auto accepted = listener.async_accept(asio::use_future);
  auto connected = client.async_connect(kServer, asio::use_future);
  net.settle();
  connected.get();
  server = accepted.get();
  auto written = server.async_write_some(asio::buffer("future", 6), asio::use_future);
  std::array<char, 6> into{};
  auto read = client.async_read_some(asio::buffer(into), asio::use_future);
  net.settle();
  EXPECT_EQ(written.get(), 6u);
  EXPECT_EQ(read.get(), 6u);
  auto refused = socket(*net.a).async_connect({TestPair::kAddressB, 9}, asio::use_future);
  net.settle();
  EXPECT_THROW(refused.get(), boost::system::system_error);
}

TEST_F(SocketTest, Deferred) {
  open();
  auto later = server.async_write_some(asio::buffer("d", 1), asio::deferred);
  net.settle();
  EXPECT_EQ(client.available(), 0u);
  std::move(later)([](error_code ec, std::size_t) { EXPECT_FALSE(ec); });
  net.settle();
  EXPECT_EQ(client.available(), 1u);
}

TEST_F(SocketTest, CoroutinesEcho) {
  std::string echoed;
  auto serve = [&]() -> asio::awaitable<void> {
    socket s = co_await listener.async_accept(asio::use_awaitable);
    std::array<char, 1000> chunk;
    for (;;) {
      const auto n = co_await s.async_read_some(asio::buffer(chunk), asio::use_awaitable);
      co_await asio::async_write(s, asio::buffer(chunk, n), asio::use_awaitable);
    }
  };
  std::string sent(300'000, '\0');
  std::iota(sent.begin(), sent.end(), '\0');
  auto ask = [&]() -> asio::awaitable<void> {
    co_await client.async_connect(kServer, asio::use_awaitable);
    co_await asio::async_write(client, asio::buffer(sent), asio::use_awaitable);
    echoed.resize(sent.size());
    co_await asio::async_read(client, asio::buffer(echoed), asio::use_awaitable);
    client.close();
  };
  std::exception_ptr end;
  asio::co_spawn(net.io, serve(), [&](std::exception_ptr e) { end = e; });
  asio::co_spawn(net.io, ask(), [](std::exception_ptr e) { EXPECT_FALSE(e); });
  ASSERT_TRUE(net.run_until([&] { return end != nullptr; }));
  EXPECT_TRUE(echoed == sent);
  try {
    std::rethrow_exception(end);
  } catch (const boost::system::system_error& e) {
    EXPECT_EQ(e.code(), asio::error::eof);
  }
}

template <typename T>
struct CountingAllocator {
  using value_type = T;
  int* live;
  int* total;
  CountingAllocator(int* l, int* t) : live(l), total(t) {}
  template <typename U>
  CountingAllocator(const CountingAllocator<U>& o)
      : live(o.live), total(o.total) {}  // NOLINT(google-explicit-constructor)
  T* allocate(std::size_t n) {
    ++*live;
    ++*total;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --*live;
    std::allocator<T>().deallocate(p, n);
  }
  friend bool operator==(const CountingAllocator& a, const CountingAllocator& b) { return a.live == b.live; }
};

TEST_F(SocketTest, UsesTheAssociatedAllocatorAndGivesBackBeforeTheHandlerRuns) {
  open();
  int live = 0;
  int total = 0;
  int live_in_handler = -1;
  char c = 0;
  const auto handler = [&](error_code, std::size_t) { live_in_handler = live; };
  // An executor that is not type-erased hands the allocator on to the io_context.
  client.async_read_some(
      asio::buffer(&c, 1),
      asio::bind_executor(net.io.get_executor(),
                          asio::bind_allocator(CountingAllocator<char>(&live, &total), handler)));
  EXPECT_EQ(live, 1);
  server.write_some(asio::buffer("a", 1));
  net.settle();
  EXPECT_GE(total, 2);  // waiting, then posting
  EXPECT_EQ(live_in_handler, 0);
}

TEST_F(SocketTest, HandlersRunOnTheirExecutor) {
  open();
  const auto strand = asio::make_strand(net.io);
  int on_strand = 0;
  char c = 0;
  client.async_read_some(asio::buffer(&c, 1), asio::bind_executor(strand, [&](error_code, std::size_t) {
                           on_strand += strand.running_in_this_thread();
                         }));
  server.async_write_some(asio::buffer("a", 1), asio::bind_executor(strand, [&](error_code, std::size_t) {
                            on_strand += strand.running_in_this_thread();
                          }));
  net.settle();
  EXPECT_EQ(on_strand, 2);
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
  EXPECT_GT(net.now - before, Duration::seconds(100));  // tcp_syn_retries 6: 127 s
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

TEST_F(SocketTest, CoroutinesThatNeverEndAreFreedWithTheContext) {
  // The frame holds the socket whose operation holds the frame: the end of the runtime must break the circle
  // (the sanitizer looks for the leak).
  auto wait_for_ever = [](socket s) -> asio::awaitable<void> {
    char c = 0;
    co_await s.async_read_some(asio::buffer(&c, 1), asio::use_awaitable);
  };
  open();
  asio::co_spawn(net.io, wait_for_ever(std::move(client)), asio::detached);
  net.settle();
  EXPECT_EQ(net.a->stack().population().connections, 1u);
}

}  // namespace
}  // namespace synfin::tcp
