// SPDX-License-Identifier: Apache-2.0
//
// Who is called, when, and from where: cancellation, completion tokens, executors, allocators.
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
#include <memory>
#include <numeric>
#include <string>

#include "synfin/socket/socket_test_kit.h"

namespace synfin::tcp {
namespace {

using HandlerTest = SocketFixture;

// --- Cancelling ---

TEST_F(HandlerTest, CancelEndsOperationsAndKeepsTheConnection) {
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

class CancellationTest : public HandlerTest, public ::testing::WithParamInterface<asio::cancellation_type> {};

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

TEST_F(HandlerTest, CancelledConnectLeavesNothingBehind) {
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

TEST_F(HandlerTest, CancelledAcceptLosesNoConnection) {
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

TEST_F(HandlerTest, Futures) {
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

TEST_F(HandlerTest, Deferred) {
  open();
  auto later = server.async_write_some(asio::buffer("d", 1), asio::deferred);
  net.settle();
  EXPECT_EQ(client.available(), 0u);
  std::move(later)([](error_code ec, std::size_t) { EXPECT_FALSE(ec); });
  net.settle();
  EXPECT_EQ(client.available(), 1u);
}

TEST_F(HandlerTest, CoroutinesEcho) {
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

TEST_F(HandlerTest, UsesTheAssociatedAllocatorAndGivesBackBeforeTheHandlerRuns) {
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

TEST_F(HandlerTest, HandlersRunOnTheirExecutor) {
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

TEST_F(HandlerTest, CoroutinesThatNeverEndAreFreedWithTheContext) {
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
