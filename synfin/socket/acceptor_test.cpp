// SPDX-License-Identifier: Apache-2.0
//
// The options of acceptors, set before they listen and while they do.
#include "synfin/socket/acceptor.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "synfin/socket/socket_test_kit.h"

namespace synfin::tcp {
namespace {

using trace::Counter;
using trace::State;

class AcceptorTest : public ::testing::TestWithParam<wire::Family> {
 protected:
  AcceptorTest() { net.b->stack().settings().tcp_fastopen = 3; }
  bool v4() const { return GetParam() == wire::Family::kIpv4; }
  /// One more client, whose handshake is over as far as it can be.
  socket& join() {
    socket& s = clients.emplace_back(*net.a);
    s.async_connect(server, [this](error_code ec) { last = ec; });
    net.settle();
    return s;
  }
  std::uint64_t count(Counter c) const { return net.b->stack().counters()[c]; }

  TestPair net;
  endpoint server{v4() ? TestPair::kAddressB : net.address_b6, 80};
  acceptor listener{*net.b};
  std::list<socket> clients;
  std::optional<error_code> last;
};
INSTANTIATE_TEST_SUITE_P(Families, AcceptorTest, ::testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "v4" : "v6"; });

// --- Keeping ---

TEST_P(AcceptorTest, OptionsHaveTheirDefaults) {
  acceptor::hold_syns hold;
  acceptor::defer_accept defer{Duration::seconds(9)};
  acceptor::fast_open fast_open{9};
  acceptor::abort_on_overflow abort{true};
  listener.get_option(hold);
  listener.get_option(defer);
  listener.get_option(fast_open);
  listener.get_option(abort);
  EXPECT_FALSE(hold.value);
  EXPECT_EQ(hold.limit, 1024u);
  EXPECT_EQ(hold.limit_per_source, 64u);
  EXPECT_EQ(hold.timeout, Duration::seconds(60));
  EXPECT_EQ(defer.value, Duration::zero());
  EXPECT_EQ(fast_open.value, 0u);
  EXPECT_FALSE(abort.value.has_value());
}

TEST_P(AcceptorTest, OptionsHoldBeforeAndAfterListening) {
  listener.set_option(
      acceptor::hold_syns{.value = true, .limit = 5, .limit_per_source = 2, .timeout = Duration::seconds(7)});
  listener.set_option(acceptor::fast_open{16});
  const auto of_the_stack = [&] { return net.b->stack().listen_options(listener.native_handle()).value(); };
  listener.listen(server, 3);
  EXPECT_TRUE(of_the_stack().hold);
  EXPECT_EQ(of_the_stack().hold_limit, 5u);
  EXPECT_EQ(of_the_stack().hold_limit_per_source, 2u);
  EXPECT_EQ(of_the_stack().hold_timeout, Duration::seconds(7));
  EXPECT_EQ(of_the_stack().fast_open, 16u);
  EXPECT_EQ(of_the_stack().backlog, 3u);
  listener.set_option(acceptor::defer_accept{Duration::seconds(3)});
  listener.set_option(acceptor::abort_on_overflow{false});
  EXPECT_EQ(of_the_stack().defer_accept, Duration::seconds(3));
  EXPECT_EQ(of_the_stack().abort_on_overflow, false);
  EXPECT_EQ(of_the_stack().backlog, 3u);
  EXPECT_EQ(of_the_stack().hold_limit, 5u);
  acceptor::hold_syns hold;
  listener.get_option(hold);
  EXPECT_EQ(hold.limit, 5u);
  acceptor::abort_on_overflow abort;
  listener.get_option(abort);
  EXPECT_EQ(abort.value, false);
}

TEST_P(AcceptorTest, RefusesTimesThatAreNone) {
  error_code ec;
  listener.set_option(acceptor::defer_accept{Duration::seconds(-1)}, ec);
  EXPECT_EQ(ec, asio::error::invalid_argument);
  listener.set_option(acceptor::hold_syns{.timeout = Duration::zero()}, ec);
  EXPECT_EQ(ec, asio::error::invalid_argument);
  EXPECT_THROW(listener.set_option(acceptor::defer_accept{Duration::seconds(-1)}),
               boost::system::system_error);
  listener.set_option(acceptor::reuse_address(true));
}

// --- Backlog ---

TEST_P(AcceptorTest, ListeningAgainChangesTheBacklog) {
  listener.listen(server, 1);
  for (int i = 0; i < 4; ++i) join();
  // One more than the backlog fits, as on Linux; the others' third segments are ignored.
  EXPECT_EQ(net.b->stack().status(listener.native_handle())->receive_queue, 2u);
  EXPECT_GE(count(Counter::kListenOverflows), 1u);
  listener.listen(10);
  EXPECT_EQ(net.b->stack().status(listener.native_handle())->send_queue, 10u);
  net.pass(Duration::seconds(8));  // by SYNs and SYN-ACKs that are sent again, the others get in
  EXPECT_EQ(net.b->stack().status(listener.native_handle())->receive_queue, 4u);
  listener.listen(-1);
  EXPECT_EQ(net.b->stack().status(listener.native_handle())->send_queue, 0u);
}

TEST_P(AcceptorTest, ThereIsNoBacklogToChangeBeforeListening) {
  error_code ec;
  listener.listen(5, ec);
  EXPECT_EQ(ec, asio::error::bad_descriptor);
  listener.listen(server);
  listener.listen(server, 5, ec);
  EXPECT_EQ(ec, asio::error::already_open);
}

// --- Overflow ---

TEST_P(AcceptorTest, AbortOnOverflowResetsWhoDoesNotFit) {
  listener.set_option(acceptor::abort_on_overflow{true});
  listener.listen(server, 1);
  // The last two are half-open together while there is room for one.
  join();
  socket& second = clients.emplace_back(*net.a);
  socket& third = clients.emplace_back(*net.a);
  std::array<error_code, 2> ends;
  second.async_connect(server, [&](error_code ec) { ends[0] = ec; });
  third.async_connect(server, [&](error_code ec) { ends[1] = ec; });
  net.settle();
  EXPECT_FALSE(ends[0]);
  error_code ec;
  char c = 0;
  second.non_blocking(true);
  second.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::would_block);
  third.non_blocking(true);
  third.read_some(asio::buffer(&c, 1), ec);
  EXPECT_EQ(ec, asio::error::connection_reset);
}

// --- Deferred acceptance ---

TEST_P(AcceptorTest, DeferAcceptWaitsForData) {
  listener.set_option(acceptor::defer_accept{Duration::seconds(30)});
  listener.listen(server);
  listener.non_blocking(true);
  socket& s = join();
  EXPECT_EQ(last, error_code());
  error_code ec;
  (void)listener.accept(ec);
  EXPECT_EQ(ec, asio::error::would_block);
  s.write_some(asio::buffer("now", 3));
  net.settle();
  socket accepted = listener.accept();
  EXPECT_EQ(accepted.available(), 3u);
}

TEST_P(AcceptorTest, DeferAcceptGivesASilentPeerInTheEnd) {
  listener.set_option(acceptor::defer_accept{Duration::seconds(2)});  // three, as it counts
  listener.listen(server);
  listener.non_blocking(true);
  join();
  error_code ec;
  net.pass(Duration::milliseconds(2500));
  (void)listener.accept(ec);
  EXPECT_EQ(ec, asio::error::would_block);
  net.pass(Duration::seconds(2));
  EXPECT_TRUE(listener.accept().is_open());
}

// --- Fast Open ---

TEST_P(AcceptorTest, FastOpenBringsDataWithTheSecondSyn) {
  listener.set_option(acceptor::fast_open{4});
  listener.listen(server);
  const auto send_with_syn = [&](const char* text) -> socket& {
    socket& s = clients.emplace_back(*net.a);
    s.set_option(socket::fast_open{true});
    s.async_connect(server, [this](error_code ec) { last = ec; });
    s.write_some(asio::buffer(text, 3));
    return s;
  };
  send_with_syn("one");  // gets a cookie
  net.settle();
  socket first = listener.accept();
  EXPECT_EQ(first.available(), 3u);
  EXPECT_EQ(count(Counter::kTCPFastOpenPassive), 0u);

  socket& client = send_with_syn("two");
  net.a->pump();
  net.b->pump();
  EXPECT_EQ(count(Counter::kTCPFastOpenPassive), 1u);
  // The third segment is yet to come, and the program can do everything already.
  listener.non_blocking(true);
  socket second = listener.accept();
  EXPECT_EQ(second.status().state, State::kSynReceived);
  EXPECT_EQ(second.available(), 3u);
  std::array<char, 4> into{};
  EXPECT_EQ(second.read_some(asio::buffer(into)), 3u);
  EXPECT_EQ(std::string(into.data()), "two");
  bool writable = false;
  second.async_wait(socket::wait_write, [&](error_code ec) { writable = !ec; });
  net.io.restart();
  net.io.poll();
  EXPECT_TRUE(writable);
  EXPECT_EQ(second.status().state, State::kSynReceived);
  second.write_some(asio::buffer("yes", 3));
  net.settle();
  EXPECT_EQ(second.status().state, State::kEstablished);
  EXPECT_EQ(client.available(), 3u);
}

TEST_P(AcceptorTest, WithoutTheOptionNoCookieIsGiven) {
  listener.listen(server);
  for (int i = 0; i < 2; ++i) {
    socket& s = clients.emplace_back(*net.a);
    s.set_option(socket::fast_open{true});
    s.async_connect(server, [this](error_code ec) { last = ec; });
    s.write_some(asio::buffer("abc", 3));
    net.settle();
    EXPECT_EQ(listener.accept().available(), 3u);
  }
  EXPECT_EQ(count(Counter::kTCPFastOpenPassive), 0u);
  EXPECT_EQ(count(Counter::kTCPFastOpenCookieReqd), 0u);
}

// --- The end of the link ---

/// A link whose device goes away when the test says so.
class VanishingLink final : public link::Link {
 public:
  explicit VanishingLink(const bool& gone) : gone_(gone) {}
  const link::LinkInfo& info() const override { return info_; }
  std::expected<std::size_t, link::LinkError> receive(std::span<wire::Frame>, Instant) override {
    if (gone_) return std::unexpected(link::LinkError{"gone", ENODEV});
    return 0;
  }
  std::expected<std::size_t, link::LinkError> send(std::span<wire::Frame> batch, Instant) override {
    for (wire::Frame& frame : batch) frame.clear();
    return batch.size();
  }

 private:
  const bool& gone_;
  link::LinkInfo info_;
};

TEST(AcceptorOnALinkThatFails, EndsWhatIsOutstanding) {
  asio::io_context io;
  bool gone = false;
  runtime::Options options;
  options.config.addresses = {{TestPair::kAddressB, 24}};
  options.drive = runtime::Drive::kManual;
  runtime::Runtime r(io, std::make_unique<VanishingLink>(gone), std::move(options));
  acceptor listener(r, kServer);
  acceptor holding(r);
  holding.set_option(acceptor::hold_syns{});
  holding.listen({TestPair::kAddressB, 81});
  error_code accepted;
  error_code pending;
  listener.async_accept([&](error_code ec, socket) { accepted = ec; });
  holding.async_accept_pending([&](error_code ec, pending_connection) { pending = ec; });
  r.pump();
  gone = true;
  r.pump();
  io.poll();
  EXPECT_EQ(accepted, asio::error::network_down);
  EXPECT_EQ(pending, asio::error::network_down);
  error_code ec;
  (void)listener.accept(ec);
  EXPECT_EQ(ec, asio::error::network_down);
}

}  // namespace
}  // namespace synfin::tcp
