// SPDX-License-Identifier: Apache-2.0
//
// Two stacks on one virtual wire: every order of opening and closing, the states of both ends at each step,
// and each segment of a connection lost once. RFC 9293 §3.5, §3.6, figures 6, 7, 12 and 13.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "synfin/sim/network.h"
#include "synfin/trace/state.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Network;
using sim::NetworkOptions;
using stack::Handle;
using stack::Shutdown;
using trace::State;

constexpr std::uint16_t kPort = 80;

// The states of one host's only connection, as `ESTABLISHED FIN-WAIT-1 …`.
class StateLog final : public trace::Sink {
 public:
  void on_event(const trace::Event& event) override {
    if (event.kind != trace::EventKind::kStateChanged) return;
    if (event.to == State::kListen || (event.from == State::kListen && event.to == State::kClosed)) return;
    if (event.from != last_ && event.from != State::kListen)
      text_ += "(not from " + std::string(trace::name(last_)) + ") ";
    text_ += std::string(trace::name(event.to)) + " ";
    last_ = event.to;
  }
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
  State last_ = State::kClosed;
};

class Pair : public ::testing::TestWithParam<wire::Family> {
 protected:
  Pair() : net_(options()) {}

  NetworkOptions options() {
    NetworkOptions o;
    o.sinks = {&log_[0], &log_[1]};
    return o;
  }
  wire::Endpoint at(std::size_t host, std::uint16_t port) { return {net_.address(host, GetParam()), port}; }

  void open() {
    listener_ = *net_.host(Network::kB).listen(at(Network::kB, kPort), {}, net_.now());
    client_ = *net_.host(Network::kA).connect(at(Network::kB, kPort), {}, net_.now());
    net_.run_until_idle();
    const auto accepted = net_.host(Network::kB).accept(listener_, net_.now());
    ASSERT_TRUE(accepted);
    server_ = *accepted;
  }
  void send(std::size_t host, Handle h, const std::string& text) {
    const std::array<Bytes, 1> parts = {std::as_bytes(std::span(text))};
    const auto n = net_.host(host).send(h, parts, net_.now());
    ASSERT_TRUE(n);
    ASSERT_EQ(*n, text.size());
  }
  // "…" as read, "(end)" at the end of the stream, "(none)" where nothing is there.
  std::string read(std::size_t host, Handle h) {
    std::array<std::byte, 1000> buffer;
    const std::array<MutableBytes, 1> parts = {buffer};
    const auto n = net_.host(host).receive(h, parts, net_.now());
    if (!n) return n.error() == tcp::Error::kWouldBlock ? "(none)" : std::string(tcp::message(n.error()));
    if (*n == 0) return "(end)";
    std::string s(*n, ' ');
    std::memcpy(s.data(), buffer.data(), *n);
    return s;
  }
  void shut(std::size_t host, Handle h) {
    ASSERT_TRUE(net_.host(host).shutdown(h, Shutdown::kSend, net_.now()));
  }
  void settle() { net_.run_for(500_ms); }
  void expect_nothing_left() {
    net_.host(Network::kB).close(listener_, net_.now());
    EXPECT_TRUE(net_.run_until_idle());
    for (std::size_t i = 0; i < net_.size(); ++i) {
      const auto p = net_.host(i).population();
      EXPECT_EQ(p.connections + p.half_open + p.time_wait + p.listeners + p.armed_timers, 0u) << "host " << i;
    }
    EXPECT_EQ(net_.pool().bytes_in_use(), 0u);
  }

  StateLog log_[2];
  Network net_;
  Handle listener_, client_, server_;
};

INSTANTIATE_TEST_SUITE_P(Families, Pair, ::testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& instance) {
                           return instance.param == wire::Family::kIpv4 ? "IPv4" : "IPv6";
                         });

TEST_P(Pair, OpensByThreeSegments) {
  open();
  EXPECT_EQ(log_[0].take(), "SYN-SENT ESTABLISHED ");
  EXPECT_EQ(log_[1].take(), "SYN-RECEIVED ESTABLISHED ");
  EXPECT_EQ(net_.packets_sent(), 3u);
}

TEST_P(Pair, CarriesDataBothWays) {
  open();
  send(0, client_, "from A");
  send(1, server_, "from B");
  settle();
  EXPECT_EQ(read(1, server_), "from A");
  EXPECT_EQ(read(0, client_), "from B");
  EXPECT_EQ(read(0, client_), "(none)");
}

TEST_P(Pair, ActiveClose) {
  open();
  log_[0].take(), log_[1].take();
  shut(0, client_);
  settle();
  EXPECT_EQ(log_[0].take(), "FIN-WAIT-1 FIN-WAIT-2 ");
  EXPECT_EQ(log_[1].take(), "CLOSE-WAIT ");
  EXPECT_EQ(read(1, server_), "(end)");
  net_.host(1).close(server_, net_.now());
  settle();
  EXPECT_EQ(log_[0].take(), "TIME-WAIT ");
  EXPECT_EQ(log_[1].take(), "LAST-ACK CLOSED ");
  EXPECT_EQ(read(0, client_), "(end)");
  net_.host(0).close(client_, net_.now());
  expect_nothing_left();
  EXPECT_EQ(log_[0].take(), "CLOSED ");
}

TEST_P(Pair, PassiveClose) {
  open();
  log_[0].take(), log_[1].take();
  net_.host(1).close(server_, net_.now());
  settle();
  EXPECT_EQ(log_[1].take(), "FIN-WAIT-1 FIN-WAIT-2 ");
  EXPECT_EQ(log_[0].take(), "CLOSE-WAIT ");
  net_.host(0).close(client_, net_.now());
  settle();
  EXPECT_EQ(log_[1].take(), "TIME-WAIT ");
  EXPECT_EQ(log_[0].take(), "LAST-ACK CLOSED ");
  expect_nothing_left();
}

TEST_P(Pair, SimultaneousClose) {
  open();
  log_[0].take(), log_[1].take();
  shut(0, client_);
  shut(1, server_);
  settle();
  EXPECT_EQ(log_[0].take(), "FIN-WAIT-1 CLOSING TIME-WAIT ");
  EXPECT_EQ(log_[1].take(), "FIN-WAIT-1 CLOSING TIME-WAIT ");
  net_.host(0).close(client_, net_.now());
  net_.host(1).close(server_, net_.now());
  expect_nothing_left();
}

TEST_P(Pair, HalfCloseThenData) {
  open();
  send(0, client_, "question");
  shut(0, client_);
  settle();
  EXPECT_EQ(read(1, server_), "question");
  EXPECT_EQ(read(1, server_), "(end)");
  send(1, server_, "answer, much later");
  net_.run_for(300_s);
  EXPECT_EQ(read(0, client_), "answer, much later");
  net_.host(1).close(server_, net_.now());
  settle();
  EXPECT_EQ(read(0, client_), "(end)");
  net_.host(0).close(client_, net_.now());
  expect_nothing_left();
}

TEST_P(Pair, Abort) {
  open();
  log_[0].take(), log_[1].take();
  net_.host(0).abort(client_, net_.now());
  settle();
  EXPECT_EQ(log_[0].take(), "CLOSED ");
  EXPECT_EQ(log_[1].take(), "CLOSED ");
  EXPECT_EQ(read(1, server_), "connection reset by peer");
  net_.host(1).close(server_, net_.now());
  expect_nothing_left();
}

// RFC 9293: MUST-10.
TEST_P(Pair, SimultaneousOpen) {
  const auto a = net_.host(0).connect(at(1, 2000), {.local = at(0, 1000)}, net_.now());
  const auto b = net_.host(1).connect(at(0, 1000), {.local = at(1, 2000)}, net_.now());
  ASSERT_TRUE(a && b);
  settle();
  EXPECT_EQ(log_[0].take(), "SYN-SENT SYN-RECEIVED ESTABLISHED ");
  EXPECT_EQ(log_[1].take(), "SYN-SENT SYN-RECEIVED ESTABLISHED ");
  const std::uint64_t packets = net_.packets_sent();
  EXPECT_LE(packets, 6u) << "SYN, SYN-ACK and at most one ACK from each";
  send(0, *a, "x");
  send(1, *b, "y");
  settle();
  EXPECT_EQ(read(0, *a), "y");
  EXPECT_EQ(read(1, *b), "x");
  net_.host(0).close(*a, net_.now());
  net_.host(1).close(*b, net_.now());
  expect_nothing_left();
}

TEST_P(Pair, RefusedWhereNobodyListens) {
  const auto a = net_.host(0).connect(at(1, 81), {}, net_.now());
  ASSERT_TRUE(a);
  settle();
  EXPECT_EQ(net_.host(0).failure(*a), tcp::Error::kRefused);
  EXPECT_EQ(log_[0].take(), "SYN-SENT CLOSED ");
  EXPECT_EQ(net_.packets_sent(), 2u);
  net_.host(0).close(*a, net_.now());
  expect_nothing_left();
}

// Every segment of a whole connection, lost once, twice and thrice: it still opens, carries its data and
// closes at both ends. Whichever is lost, no end is left behind.
TEST_P(Pair, EachSegmentMayBeLost) {
  for (std::size_t times = 1; times <= 3; ++times) {
    for (std::size_t victim = 0; victim < 24; ++victim) {
      SCOPED_TRACE("segment " + std::to_string(victim) + ", " + std::to_string(times) + " in a row");
      Network net({});
      std::size_t index = 0;
      const auto counts = [&index, victim, times](const wire::TcpPacket&) {
        const std::size_t i = index++;
        return i >= victim && i < victim + times;
      };
      net.drop_next(0, counts, 1000);
      net.drop_next(1, counts, 1000);
      auto& a = net.host(0);
      auto& b = net.host(1);
      const wire::Endpoint to{net.address(1, GetParam()), kPort};
      const auto listener = b.listen(to, {}, net.now());
      const auto client = a.connect(to, {}, net.now());
      ASSERT_TRUE(listener && client);
      const std::string text(4000, 'x');
      const std::array<Bytes, 1> parts = {std::as_bytes(std::span(text))};
      ASSERT_TRUE(a.send(*client, parts, net.now()));
      Handle server;
      ASSERT_TRUE(net.run_until(
          [&] {
            const auto accepted = b.accept(*listener, net.now());
            if (accepted) server = *accepted;
            return accepted.has_value();
          },
          200_s));
      ASSERT_TRUE(b.send(server, parts, net.now()));
      const auto all_there = [&](stack::Stack& s, Handle h) { return s.readable(h).value_or(0) == 4000; };
      ASSERT_TRUE(net.run_until([&] { return all_there(a, *client) && all_there(b, server); }, 200_s));
      std::vector<std::byte> buffer(5000);
      const std::array<MutableBytes, 1> into = {buffer};
      ASSERT_EQ(a.receive(*client, into, net.now()).value_or(0), 4000u);
      ASSERT_EQ(b.receive(server, into, net.now()).value_or(0), 4000u);
      a.close(*client, net.now());
      net.run_for(100_ms);
      b.close(server, net.now());
      ASSERT_TRUE(net.run_until(
          [&] { return a.population().connections == 0 && b.population().connections == 0; }, 200_s));
      b.close(*listener, net.now());
      ASSERT_TRUE(net.run_until_idle());
      EXPECT_EQ(a.population().time_wait + b.population().time_wait, 0u);
      EXPECT_EQ(a.population().armed_timers + b.population().armed_timers, 0u);
      EXPECT_EQ(net.pool().bytes_in_use(), 0u);
    }
  }
}

// The first FIN alone, the last ACK alone: by name rather than by number.
TEST_P(Pair, LostFinAndLostLastAck) {
  open();
  net_.drop_next(0, [](const wire::TcpPacket& p) { return p.tcp.flags.fin(); });
  net_.host(0).close(client_, net_.now());
  net_.run_for(3_s);
  EXPECT_TRUE(net_.all_dropped());
  EXPECT_EQ(read(1, server_), "(end)");
  net_.drop_next(0, [](const wire::TcpPacket& p) { return p.tcp.flags.ack() && p.payload_size == 0; });
  net_.host(1).close(server_, net_.now());
  net_.run_for(3_s);
  EXPECT_TRUE(net_.all_dropped());
  EXPECT_EQ(net_.host(1).population().connections, 0u);
  EXPECT_EQ(net_.host(0).population().time_wait, 1u);
  expect_nothing_left();
}

}  // namespace
}  // namespace synfin::protocol_test
