// SPDX-License-Identifier: Apache-2.0
//
// SYNs that wait for the program: what it can decide, and what ends the wait.
#include "synfin/socket/pending.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>

#include "synfin/socket/socket_test_kit.h"
#include "synfin/wire/packet.h"

namespace synfin::tcp {
namespace {

using stack::Unreachable;
using trace::State;

static_assert(std::is_nothrow_move_constructible_v<pending_connection> &&
              !std::is_copy_constructible_v<pending_connection>);

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
INSTANTIATE_TEST_SUITE_P(Families, PendingTest, ::testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "v4" : "v6"; });

TEST_P(PendingTest, SaysWhoKnocksWhileNothingIsAnswered) {
  std::optional<pending_connection> pending;
  listener.async_accept_pending([&](error_code ec, pending_connection p) {
    EXPECT_FALSE(ec);
    pending.emplace(std::move(p));
  });
  net.settle();
  EXPECT_FALSE(pending);
  knock();
  ASSERT_TRUE(pending);
  EXPECT_TRUE(pending->is_open());
  EXPECT_EQ(pending->native_handle().kind(), stack::HandleKind::kPending);
  EXPECT_EQ(pending->local_endpoint(), server);
  EXPECT_EQ(pending->remote_endpoint(), client.local_endpoint());
  EXPECT_EQ(client.status().state, State::kSynSent);
  EXPECT_FALSE(result);
}

TEST_P(PendingTest, RepeatedSynsBelongToTheSameObject) {
  knock();
  pending_connection pending = take();
  net.pass(Duration::seconds(8));
  EXPECT_GE(net.a->stack().counters()[trace::Counter::kTCPSynRetrans], 3u);
  EXPECT_EQ(held(), 1u);
  error_code ec;
  (void)listener.accept_pending(ec);
  EXPECT_EQ(ec, asio::error::would_block);
  EXPECT_TRUE(pending.is_open());
}

TEST_P(PendingTest, AcceptGivesASocketAtOnceWhichTheThirdSegmentConnects) {
  knock();
  pending_connection pending = take();
  socket accepted = pending.accept();
  EXPECT_FALSE(pending.is_open());
  EXPECT_EQ(accepted.status().state, State::kSynReceived);
  EXPECT_EQ(accepted.remote_endpoint(), pending.remote_endpoint());
  bool writable = false;
  accepted.async_wait(socket::wait_write, [&](error_code ec) { writable = !ec; });
  EXPECT_EQ(accepted.write_some(asio::buffer("early", 5)), 5u);
  net.b->pump();
  net.io.poll();
  EXPECT_FALSE(writable);
  net.settle();
  EXPECT_TRUE(writable);
  EXPECT_EQ(result, error_code());
  EXPECT_EQ(accepted.status().state, State::kEstablished);
  std::array<char, 5> into{};
  asio::read(client, asio::buffer(into));
  EXPECT_EQ(std::string(into.data(), 5), "early");
}

TEST_P(PendingTest, AsyncAcceptCompletesWhenTheHandshakeIsWhole) {
  knock();
  pending_connection pending = take();
  std::optional<socket> accepted;
  pending.async_accept([&](error_code ec, socket s) {
    EXPECT_FALSE(ec);
    accepted.emplace(std::move(s));
  });
  EXPECT_TRUE(pending.is_open());
  net.b->pump();
  net.io.restart();
  net.io.poll();
  EXPECT_FALSE(accepted);
  error_code ec;
  pending.reject(ec);
  EXPECT_EQ(ec, asio::error::already_started);
  net.settle();
  ASSERT_TRUE(accepted);
  EXPECT_EQ(result, error_code());
  EXPECT_EQ(accepted->status().state, State::kEstablished);
  EXPECT_FALSE(pending.is_open());
  EXPECT_EQ(asio::write(client, asio::buffer("on", 2)), 2u);
  std::array<char, 2> into{};
  asio::read(*accepted, asio::buffer(into));
  EXPECT_EQ(std::string(into.data(), 2), "on");
}

TEST_P(PendingTest, AsyncAcceptFailsWhenThePeerAnswersWithAReset) {
  knock();
  pending_connection pending = take();
  client.cancel();
  error_code end;
  pending.async_accept([&](error_code ec, socket s) {
    end = ec;
    EXPECT_FALSE(s.is_open());
  });
  net.settle();
  EXPECT_EQ(end, asio::error::connection_reset);
  EXPECT_FALSE(pending.is_open());
  EXPECT_EQ(net.b->stack().population().connections, 0u);
}

TEST_P(PendingTest, AsyncAcceptTimesOutWhenThePeerIsSilent) {
  knock();
  pending_connection pending = take();
  error_code end;
  pending.async_accept([&](error_code ec, socket) { end = ec; });
  pass_without_client(Duration::seconds(20));
  EXPECT_FALSE(end);
  pass_without_client(Duration::seconds(200));
  EXPECT_EQ(end, asio::error::timed_out);
  EXPECT_EQ(net.b->stack().population().connections, 0u);
}

TEST_P(PendingTest, AcceptedSocketTellsThatTheHandshakeFailed) {
  knock();
  pending_connection pending = take();
  socket accepted = pending.accept();
  client.cancel();
  char c = 0;
  error_code end;
  accepted.async_read_some(asio::buffer(&c, 1), [&](error_code ec, std::size_t) { end = ec; });
  net.settle();
  EXPECT_EQ(end, asio::error::connection_reset);
}

TEST_P(PendingTest, RejectIsARefusedConnection) {
  knock();
  pending_connection pending = take();
  pending.reject();
  EXPECT_FALSE(pending.is_open());
  net.settle();
  EXPECT_EQ(result, asio::error::connection_refused);
  EXPECT_EQ(held(), 0u);
}

TEST_P(PendingTest, DropIsSilentAndTheNextSynIsANewOne) {
  knock();
  pending_connection first = take();
  first.drop();
  EXPECT_EQ(held(), 0u);
  net.settle();
  EXPECT_FALSE(result);
  net.pass(Duration::milliseconds(1100));  // its SYN again
  pending_connection second = take();
  EXPECT_EQ(second.remote_endpoint(), first.remote_endpoint());
  socket accepted = second.accept();
  net.settle();
  EXPECT_EQ(result, error_code());
}

TEST_P(PendingTest, DestructionDrops) {
  knock();
  {
    const pending_connection pending = take();
    EXPECT_EQ(held(), 1u);
  }
  EXPECT_EQ(held(), 0u);
  net.settle();
  EXPECT_FALSE(result);
  // Also of one that a handler takes and forgets, or never gets to see.
  net.pass(Duration::milliseconds(1100));
  EXPECT_EQ(held(), 1u);
  listener.async_accept_pending([](error_code ec, pending_connection) { EXPECT_FALSE(ec); });
  net.settle();
  EXPECT_EQ(held(), 0u);
}

TEST_P(PendingTest, AssignmentDropsWhatWasThere) {
  knock();
  socket other(*net.a);
  error_code other_result;
  other.async_connect(server, [&](error_code ec) { other_result = ec; });
  net.settle();
  pending_connection pending = take();
  pending = take();
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(pending.remote_endpoint(), other.local_endpoint());
  pending.reject();
  net.settle();
  EXPECT_EQ(other_result, asio::error::connection_refused);
  EXPECT_FALSE(result);
}

TEST_P(PendingTest, HardUnreachableEndsTheAttempt) {
  knock();
  take().unreachable(Unreachable::kPort);
  net.settle();
  EXPECT_EQ(result, asio::error::connection_refused);
  result.reset();
  knock();
  take().unreachable(Unreachable::kProhibited);
  net.settle();
  EXPECT_EQ(result, asio::error::host_unreachable);
}

TEST_P(PendingTest, SoftUnreachableLetsThePeerTryAgain) {
  knock();
  take().unreachable(Unreachable::kHost);
  net.settle();
  EXPECT_FALSE(result);
  listener.set_option(acceptor::hold_syns{.value = false});
  net.pass(Duration::seconds(2));
  EXPECT_EQ(result, error_code());
}

TEST_P(PendingTest, SoftUnreachableIsWhatTheAttemptFailsWithInTheEnd) {
  for (const auto& [what, expected] :
       {std::pair{Unreachable::kHost, error_code(asio::error::host_unreachable)},
        std::pair{Unreachable::kNetwork, error_code(asio::error::network_unreachable)}}) {
    listener.set_option(acceptor::hold_syns{});
    result.reset();
    knock();
    take().unreachable(what);
    listener.set_option(acceptor::hold_syns{.limit = 0});
    net.pass(Duration::seconds(130));
    EXPECT_EQ(result, expected);
  }
}

TEST_P(PendingTest, TheDecisionIsMadeOnce) {
  knock();
  pending_connection pending = take();
  pending.reject();
  error_code ec;
  pending.reject(ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  pending.drop(ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  pending.unreachable(Unreachable::kHost, ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  const socket none = pending.accept(ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  EXPECT_FALSE(none.is_open());
  auto accepted = pending.async_accept(asio::use_future);
  auto gone = pending.async_wait_withdrawn(asio::use_future);
  net.settle();
  EXPECT_THROW(accepted.get(), boost::system::system_error);
  EXPECT_THROW(gone.get(), boost::system::system_error);
  EXPECT_THROW((void)pending.accept(), boost::system::system_error);
  EXPECT_THROW(pending.reject(), boost::system::system_error);
  EXPECT_THROW(pending.drop(), boost::system::system_error);
  EXPECT_THROW(pending.unreachable(Unreachable::kHost), boost::system::system_error);
}

// --- What ends the wait ---

TEST_P(PendingTest, AResetTakesTheSynBack) {
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

TEST_P(PendingTest, IsNotOpenEvenBeforeItsEventIsTold) {
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

TEST_P(PendingTest, TimeRunsOut) {
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

TEST_P(PendingTest, ClosingTheAcceptorEndsWhatIsHeldAndWhatWaits) {
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

TEST_P(PendingTest, AnAcceptedOneOutlivesItsAcceptor) {
  knock();
  pending_connection pending = take();
  socket accepted = pending.accept();
  listener.close();
  net.settle();
  EXPECT_EQ(result, error_code());
  EXPECT_EQ(accepted.status().state, State::kEstablished);
}

TEST_P(PendingTest, OutlivesTheRuntime) {
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

TEST_P(PendingTest, CancelledWaitLosesNoSyn) {
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

TEST_P(PendingTest, CancelledAcceptResetsTheHalfOpenConnection) {
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

TEST_P(PendingTest, DestructionDuringTheHandshakeAborts) {
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

TEST_P(PendingTest, CancelledWatchOfWithdrawalKeepsTheSyn) {
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

TEST_P(PendingTest, OperationsGoWithTheObjectThatIsMoved) {
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

TEST_P(PendingTest, OnlyAnAcceptorThatHoldsHasAny) {
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

TEST_P(PendingTest, WhatIsHeldCanBeTakenAfterHoldingIsOver) {
  knock();
  listener.set_option(acceptor::hold_syns{.value = false});
  EXPECT_TRUE(take().is_open());
}

TEST_P(PendingTest, LimitsDropWhatIsBeyondThem) {
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

TEST_P(PendingTest, BlockingCallWaitsForASyn) {
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

TEST_P(PendingTest, AForwarderAnswersAsItsUpstreamDoes) {
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
