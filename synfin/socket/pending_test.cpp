// SPDX-License-Identifier: Apache-2.0
//
// SYNs that wait for the program: what it can decide.
#include "synfin/socket/pending.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>

#include "synfin/socket/pending_test_kit.h"

namespace synfin::tcp {
namespace {

using stack::Unreachable;
using trace::State;

static_assert(std::is_nothrow_move_constructible_v<pending_connection> &&
              !std::is_copy_constructible_v<pending_connection>);

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
    net.pass(Duration::seconds(250));
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

}  // namespace
}  // namespace synfin::tcp
