// SPDX-License-Identifier: Apache-2.0
//
// Regressions from other stacks, named by their row in the list of attacks: opening, with many peers. The
// rest of the rows on opening: attacks_test.cpp, held_syn_test.cpp (E17) and, beside the code,
// syn_flood_test.cpp, opening_attacks_test.cpp, isn_test.cpp and ports_test.cpp.
#include <cerrno>
#include <set>

#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

class Attacks : public RawHost {};
RAW_HOST_SUITE(Attacks);

TEST_P(Attacks, E10_ASynWithEcnOrReservedBitsIsASyn) {
  for (const std::uint32_t ecn : {0u, 1u, 2u}) {
    stack_.settings().tcp_ecn = ecn;
    const Handle listener = listens();
    for (std::uint8_t reserved = 0; reserved < 16; ++reserved) {
      for (const std::uint8_t more : std::initializer_list<std::uint8_t>{0, ECE, CWR, ECE | CWR}) {
        TcpHeader h = syn();
        h.flags = h.flags.with(more);
        h.reserved = reserved;
        const Packet answer = knocks(peer(), h);
        EXPECT_EQ(answer.flags() & ~ECE, SYN | ACK);
        EXPECT_EQ(answer.tcp.reserved, 0) << "must be sent as zero";
        TcpHeader ack = third(answer.tcp, static_cast<std::uint8_t>(ACK | more));
        ack.reserved = reserved;
        gives(peer(), ack, "text");
        const Handle connection = accepts(listener);
        EXPECT_EQ(reads(connection), "text");
        stack_.abort(connection, now_);
        (void)sent();
      }
    }
    stack_.close(listener, now_);
  }
}

// The peer believes that it is connected and sends. It must not be reset, must not be taken for connected,
// and must get through once there is room.
TEST_P(Attacks, E16_DataForAFullAcceptQueueIsNeitherResetNorLost) {
  const Handle listener = listens({.backlog = 1});
  const Packet syn_ack = knocks(peer(1));
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), third(syn_ack.tcp));
  TcpHeader data = third(syn_ack.tcp, PSH | ACK);
  for (int i = 0; i < 5; ++i) gives(peer(1), data, "hello");
  sends_nothing();
  EXPECT_EQ(count(Counter::kOutRsts), 0u);
  EXPECT_EQ(state(peer(1)), State::kSynReceived);
  // The SYN-ACK again makes the peer acknowledge and send again.
  runs_for(1100_ms);
  const Packet again = only();
  EXPECT_EQ(again.flags(), SYN | ACK);
  EXPECT_EQ(again.tcp.seq, syn_ack.tcp.seq);
  (void)accepts(listener);
  (void)accepts(listener);
  gives(peer(1), third(again.tcp));
  gives(peer(1), data, "hello");
  EXPECT_EQ(reads(accepts(listener)), "hello");
}

// A new peer is not even answered, so that it does not come to believe it.
TEST_P(Attacks, E16_ASynForAFullAcceptQueueIsNotAnswered) {
  const Handle listener = listens({.backlog = 1});
  completes(peer(2));
  completes(peer(3));
  gives(peer(1), syn());
  sends_nothing();
  (void)accepts(listener);
  gives(peer(1), third(knocks(peer(1)).tcp), "later");
  (void)accepts(listener);
  EXPECT_EQ(reads(accepts(listener)), "later");
}

// The same with a record: a duplicate SYN while the handshake is under way.
TEST_P(Attacks, E17_ADuplicateSynWhileHalfOpenMakesNoSecondRecord) {
  const Handle listener = listens();
  const Packet first = knocks(peer());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(knocks(peer()).tcp.seq, first.tcp.seq);
  EXPECT_EQ(half_open(), 1u);
  EXPECT_EQ(stack_.population().armed_timers, 1u);
  gives(peer(), third(first.tcp));
  EXPECT_EQ(half_open(), 0u);
  (void)accepts(listener);
  accepts_nothing(listener);
}

class Exhaustion : public RawHost {
 protected:
  static constexpr std::uint16_t kFirst = 50'000, kLast = 50'009;
  void SetUp() override {
    stack_.settings().ip_local_port_first = kFirst;
    stack_.settings().ip_local_port_last = kLast;
  }
  wire::Endpoint server() const { return peer(1, 443); }
  std::uint16_t free_port() const {
    for (std::uint16_t port = kFirst; port <= kLast; ++port) {
      if (stack_.state_of({own(port), server()}) == State::kClosed && !taken_.contains(port)) return port;
    }
    ADD_FAILURE() << "no port is free";
    return 0;
  }
  // A SYN of the server's from its own port, to a port of the range.
  void server_knocks(const ListenOptions& options) {
    const std::uint16_t port = free_port();
    taken_.insert(port);
    ASSERT_TRUE(stack_.listen(own(port), options, now_));
    gives(server(), syn(), {}, false, own(port));
    (void)sent();
  }
  // A connection that ends in TIME-WAIT here.
  void visits() {
    const auto connection = stack_.connect(server(), {}, now_);
    ASSERT_TRUE(connection);
    const Packet syn = only();
    const wire::Endpoint client = own(syn.tcp.source_port);
    gives(server(), header(SYN | ACK, 9000, syn.tcp.seq + 1), {}, false, client);
    stack_.close(*connection, now_);
    (void)sent();
    gives(server(), header(FIN | ACK, 9001, syn.tcp.seq + 2), {}, false, client);
    (void)sent();
    ASSERT_EQ(stack_.state_of({client, server()}), State::kTimeWait);
  }

  std::set<std::uint16_t> taken_;
};
RAW_HOST_SUITE(Exhaustion);

TEST_P(Exhaustion, OfEphemeralPortsIsAnErrorOfItsOwnAndNamesItsCause) {
  const stack::PortUse none = stack_.port_use(own().address, server());
  EXPECT_EQ(none.first, kFirst);
  EXPECT_EQ(none.last, kLast);
  EXPECT_EQ(none.connections + none.half_open + none.time_wait, 0u);

  for (int i = 0; i < 3; ++i) visits();
  server_knocks({});
  server_knocks({.hold = true});
  for (int i = 0; i < 5; ++i) connects(server());
  (void)sent();
  const auto more = stack_.connect(server(), {}, now_);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error(), Error::kNoPorts);
  EXPECT_EQ(tcp::to_errno(Error::kNoPorts), EADDRNOTAVAIL);

  const stack::PortUse use = stack_.port_use(own().address, server());
  EXPECT_EQ(use.connections, 5u);
  EXPECT_EQ(use.half_open, 2u) << "one of them held";
  EXPECT_EQ(use.time_wait, 3u);
  // Nothing of it is in the way of another peer, port or address.
  for (const wire::Endpoint& other : {peer(2, 443), peer(1, 80)}) {
    const stack::PortUse free = stack_.port_use(own().address, other);
    EXPECT_EQ(free.connections + free.half_open + free.time_wait, 0u);
    connects(other);
  }
  const wire::IpAddress second = config().addresses[v4() ? 1 : 3].address;
  EXPECT_EQ(stack_.port_use(second, server()).connections, 0u);
  keep(*stack_.connect(server(), {.local = {second, 0}}, now_));
  (void)sent();
}

TEST_P(Exhaustion, EndsWithTimeWait) {
  for (int i = 0; i < 10; ++i) visits();
  EXPECT_EQ(stack_.port_use(own().address, server()).time_wait, 10u);
  EXPECT_FALSE(stack_.connect(server(), {}, now_));
  runs_for(59_s);
  EXPECT_FALSE(stack_.connect(server(), {}, now_));
  runs_for(2_s);
  EXPECT_EQ(stack_.port_use(own().address, server()).time_wait, 0u);
  connects(server());
  (void)sent();
}

TEST_P(Exhaustion, EndsWithAHalfOpenThatIsReset) {
  for (int i = 0; i < 9; ++i) connects(server());
  server_knocks({});
  (void)sent();
  EXPECT_FALSE(stack_.connect(server(), {}, now_));
  gives(server(), header(RST, kPeerIss + 1), {}, false, own(*taken_.begin()));
  EXPECT_EQ(stack_.port_use(own().address, server()).half_open, 0u);
  connects(server());
  EXPECT_EQ(only().tcp.source_port, *taken_.begin());
}

}  // namespace
}  // namespace synfin::protocol_test
