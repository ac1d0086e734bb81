// SPDX-License-Identifier: Apache-2.0
//
// SYNs that wait for the program: what ends the wait, and the acceptor that holds them.
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>

#include "synfin/socket/pending.h"
#include "synfin/socket/pending_test_kit.h"

namespace synfin::tcp {
namespace {

using trace::State;

class PendingEndTest : public PendingTest {};
INSTANTIATE_TEST_SUITE_P(Families, PendingEndTest,
                         ::testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "v4" : "v6"; });

TEST_P(PendingEndTest, AResetTakesTheSynBack) {
  inject(wire::Flags{wire::Flags::kSyn}, 0xffff'ffff);
  pending_connection pending = take();
  std::optional<error_code> withdrawn;
  pending.async_wait_withdrawn([&](error_code ec) { withdrawn = ec; });
  net.settle();
  EXPECT_FALSE(withdrawn);
  inject(wire::Flags{wire::Flags::kRst}, 0);
  EXPECT_EQ(withdrawn, error_code());
  EXPECT_FALSE(pending.is_open());
  EXPECT_EQ(pending.remote_endpoint().port, 7777);
  error_code ec;
  (void)pending.accept(ec);
  EXPECT_EQ(ec, asio::error::connection_aborted);
  pending.reject(ec);
  EXPECT_EQ(ec, asio::error::connection_aborted);
  // A wait that begins late is over at once.
  withdrawn.reset();
  pending.async_wait_withdrawn([&](error_code e) { withdrawn = e; });
  net.settle();
  EXPECT_EQ(withdrawn, error_code());
}

TEST_P(PendingEndTest, IsNotOpenEvenBeforeItsEventIsTold) {
  inject(wire::Flags{wire::Flags::kSyn}, 500);
  auto pending = std::make_unique<pending_connection>(take());
  net.b->stack().advance(net.now = net.now + Duration::seconds(61));
  EXPECT_FALSE(pending->is_open());
  error_code ec;
  pending->drop(ec);
  EXPECT_EQ(ec, asio::error::connection_aborted);
  pending.reset();  // and the event finds nobody
  net.settle();
}

TEST_P(PendingEndTest, TimeRunsOut) {
  listener.set_option(acceptor::hold_syns{.timeout = Duration::seconds(5)});
  inject(wire::Flags{wire::Flags::kSyn}, 500);
  pending_connection pending = take();
  std::optional<error_code> withdrawn;
  pending.async_wait_withdrawn([&](error_code ec) { withdrawn = ec; });
  net.pass(Duration::milliseconds(4900));
  EXPECT_FALSE(withdrawn);
  EXPECT_TRUE(pending.is_open());
  net.pass(Duration::milliseconds(200));
  EXPECT_EQ(withdrawn, error_code());
  EXPECT_FALSE(pending.is_open());
  error_code end;
  pending.async_accept([&](error_code ec, socket) { end = ec; });
  net.settle();
  EXPECT_EQ(end, asio::error::connection_aborted);
}

TEST_P(PendingEndTest, ClosingTheAcceptorEndsWhatIsHeldAndWhatWaits) {
  knock();
  pending_connection pending = take();
  std::optional<error_code> withdrawn;
  error_code waiting;
  pending.async_wait_withdrawn([&](error_code ec) { withdrawn = ec; });
  listener.async_accept_pending([&](error_code ec, pending_connection p) {
    waiting = ec;
    EXPECT_FALSE(p.is_open());
    p.reject(ec);
    EXPECT_EQ(ec, asio::error::bad_descriptor);
  });
  listener.close();
  EXPECT_FALSE(waiting);  // not from within close
  net.settle();
  EXPECT_EQ(waiting, asio::error::operation_aborted);
  EXPECT_EQ(withdrawn, error_code());
  EXPECT_FALSE(pending.is_open());
  EXPECT_EQ(held(), 0u);
}

TEST_P(PendingEndTest, AnAcceptedOneOutlivesItsAcceptor) {
  knock();
  pending_connection pending = take();
  socket accepted = pending.accept();
  listener.close();
  net.settle();
  EXPECT_EQ(result, error_code());
  EXPECT_EQ(accepted.status().state, State::kEstablished);
}

TEST_P(PendingEndTest, OutlivesTheRuntime) {
  knock();
  socket other(*net.a);
  other.async_connect(server, [](error_code) {});
  net.settle();
  pending_connection waiting = take();
  pending_connection accepting = take();
  error_code accepted;
  error_code withdrawn;
  accepting.async_accept([&](error_code ec, socket) { accepted = ec; });
  waiting.async_wait_withdrawn([&](error_code ec) { withdrawn = ec; });
  net.b.reset();
  net.io.restart();
  net.io.poll();
  EXPECT_EQ(accepted, asio::error::operation_aborted);
  EXPECT_EQ(withdrawn, asio::error::operation_aborted);
  EXPECT_FALSE(waiting.is_open());
  EXPECT_FALSE(accepting.is_open());
  error_code ec;
  waiting.reject(ec);
  EXPECT_EQ(ec, asio::error::operation_aborted);
}

// --- Cancelling ---

TEST_P(PendingEndTest, CancelledWaitLosesNoSyn) {
  asio::cancellation_signal signal;
  error_code one;
  error_code two;
  listener.async_accept_pending(
      asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, pending_connection) { one = ec; }));
  listener.async_accept_pending([&](error_code ec, pending_connection) { two = ec; });
  net.settle();
  signal.emit(asio::cancellation_type::total);
  net.settle();
  EXPECT_EQ(one, asio::error::operation_aborted);
  EXPECT_FALSE(two);
  listener.cancel();
  net.settle();
  EXPECT_EQ(two, asio::error::operation_aborted);
  knock();
  EXPECT_TRUE(take().is_open());
}

TEST_P(PendingEndTest, CancelledAcceptResetsTheHalfOpenConnection) {
  for (const bool by_signal : {true, false}) {
    result.reset();
    knock();
    pending_connection pending = take();
    asio::cancellation_signal signal;
    error_code end;
    pending.async_accept(
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, socket) { end = ec; }));
    by_signal ? signal.emit(asio::cancellation_type::terminal) : pending.cancel();
    EXPECT_FALSE(pending.is_open());
    net.settle();
    EXPECT_EQ(end, asio::error::operation_aborted);
    EXPECT_EQ(net.b->stack().population().connections, 0u);
    EXPECT_EQ(result, asio::error::connection_refused);
  }
}

TEST_P(PendingEndTest, DestructionDuringTheHandshakeAborts) {
  knock();
  error_code end;
  std::optional<pending_connection> pending(take());
  pending->async_accept([&](error_code ec, socket) { end = ec; });
  pending.reset();
  EXPECT_FALSE(end);
  net.settle();
  EXPECT_EQ(end, asio::error::operation_aborted);
  EXPECT_EQ(net.b->stack().population().connections, 0u);
}

TEST_P(PendingEndTest, CancelledWatchOfWithdrawalKeepsTheSyn) {
  knock();
  pending_connection pending = take();
  error_code first;
  error_code second;
  pending.async_wait_withdrawn([&](error_code ec) { first = ec; });
  pending.cancel();
  net.settle();
  EXPECT_EQ(first, asio::error::operation_aborted);
  EXPECT_TRUE(pending.is_open());
  pending.async_wait_withdrawn([&](error_code ec) { second = ec; });
  socket accepted = pending.accept();
  net.settle();
  EXPECT_EQ(second, asio::error::operation_aborted);  // the program was faster
}

TEST_P(PendingEndTest, OperationsGoWithTheObjectThatIsMoved) {
  knock();
  pending_connection pending = take();
  bool accepted = false;
  pending.async_accept([&](error_code ec, socket) { accepted = !ec; });
  pending_connection moved(std::move(pending));
  EXPECT_FALSE(pending.is_open());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_TRUE(moved.is_open());
  net.settle();
  EXPECT_TRUE(accepted);
  error_code none;
  pending.async_accept([&](error_code ec, socket) { none = ec; });
  net.settle();
  EXPECT_EQ(none, asio::error::bad_descriptor);
}

// --- The acceptor's side ---

TEST_P(PendingEndTest, OnlyAnAcceptorThatHoldsHasAny) {
  error_code waiting;
  listener.async_accept_pending([&](error_code ec, pending_connection) { waiting = ec; });
  net.settle();
  EXPECT_FALSE(waiting);
  knock();
  client.cancel();
  // One was handed out; whoever waits for the next waits in vain once nothing is held any more.
  error_code next;
  listener.async_accept_pending([&](error_code ec, pending_connection) { next = ec; });
  net.settle();
  listener.set_option(acceptor::hold_syns{.value = false});
  net.settle();
  EXPECT_EQ(next, asio::error::operation_not_supported);
  error_code ec;
  (void)listener.accept_pending(ec);
  EXPECT_EQ(ec, asio::error::operation_not_supported);
  listener.close();
  (void)listener.accept_pending(ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
}

TEST_P(PendingEndTest, WhatIsHeldCanBeTakenAfterHoldingIsOver) {
  knock();
  listener.set_option(acceptor::hold_syns{.value = false});
  EXPECT_TRUE(take().is_open());
}

TEST_P(PendingEndTest, LimitsDropWhatIsBeyondThem) {
  for (const acceptor::hold_syns limits :
       {acceptor::hold_syns{.limit = 1}, acceptor::hold_syns{.limit_per_source = 1}}) {
    listener.set_option(limits);
    knock();
    socket other(*net.a);
    other.async_connect(server, [](error_code) {});
    net.settle();
    EXPECT_EQ(held(), 1u);
    take().reject();
    net.settle();
  }
}

TEST_P(PendingEndTest, BlockingCallWaitsForASyn) {
  client.async_connect(server, [](error_code) {});
  net.a->schedule();
  const pending_connection pending = listener.accept_pending();
  EXPECT_EQ(pending.remote_endpoint(), client.local_endpoint());
}

asio::awaitable<void> relay(socket& from, socket& to) {
  std::array<char, 100> data;
  error_code ec;
  for (;;) {
    const std::size_t n =
        co_await from.async_read_some(asio::buffer(data), asio::redirect_error(asio::use_awaitable, ec));
    if (ec) break;
    co_await asio::async_write(to, asio::buffer(data, n), asio::use_awaitable);
  }
  to.shutdown(socket::shutdown_send, ec);
}

TEST_P(PendingEndTest, AForwarderAnswersAsItsUpstreamDoes) {
  // The upstream is on the client's side of the pair: port 8080 serves, the other does not.
  const endpoint upstream{v4() ? TestPair::kAddressA : net.address_a6, 8080};
  acceptor serving(*net.a, upstream);
  auto forward = [&](std::uint16_t port) -> asio::awaitable<void> {
    pending_connection caller = co_await listener.async_accept_pending(asio::use_awaitable);
    socket out(*net.b);
    error_code ec;
    co_await out.async_connect({upstream.address, port}, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
      caller.reject();
      co_return;
    }
    socket in = co_await caller.async_accept(asio::use_awaitable);
    co_await relay(in, out);
    co_await relay(out, in);
  };
  asio::co_spawn(net.io, forward(8081), [](std::exception_ptr e) { EXPECT_FALSE(e); });
  knock();
  EXPECT_EQ(result, asio::error::connection_refused);

  bool over = false;
  asio::co_spawn(net.io, forward(8080), [&](std::exception_ptr e) {
    EXPECT_FALSE(e);
    over = true;
  });
  asio::co_spawn(
      net.io,
      [&]() -> asio::awaitable<void> {
        socket s = co_await serving.async_accept(asio::use_awaitable);
        co_await relay(s, s);
      },
      asio::detached);
  result.reset();
  knock();
  ASSERT_EQ(result, error_code());
  client.write_some(asio::buffer("there and back", 14));
  client.shutdown(socket::shutdown_send);
  std::string back;
  asio::async_read(client, asio::dynamic_buffer(back), [](error_code, std::size_t) {});
  EXPECT_TRUE(net.run_until([&] { return over; }));
  net.settle();
  EXPECT_EQ(back, "there and back");
}

}  // namespace
}  // namespace synfin::tcp
