// SPDX-License-Identifier: Apache-2.0
//
// What concerns the stack as a whole; the rules of the protocol are tested in tests/protocol.
#include "synfin/stack/stack.h"

#include <gtest/gtest.h>

#include <array>

namespace synfin::stack {
namespace {

using namespace literals;

// Two stacks and nothing between them.
class StackPair : public testing::TestWithParam<wire::Family> {
 protected:
  static Config config(int host) {
    Config c;
    c.addresses = {*wire::Prefix::parse("10.77.0." + std::to_string(host) + "/24"),
                   *wire::Prefix::parse("fd77::" + std::to_string(host) + "/64")};
    return c;
  }
  wire::Endpoint server(std::uint16_t port = 80) const {
    return {config(2).addresses[GetParam() == wire::Family::kIpv4 ? 0 : 1].address, port};
  }
  void pump() {
    std::array<wire::Frame, 16> frames;
    for (bool more = true; more;) {
      const std::size_t n = a_.transmit(frames, now_);
      b_.receive(std::span{frames}.first(n), now_);
      const std::size_t m = b_.transmit(frames, now_);
      a_.receive(std::span{frames}.first(m), now_);
      more = n + m > 0;
    }
  }
  void advance(Duration d) {
    now_ = now_ + d;
    a_.advance(now_);
    b_.advance(now_);
    pump();
  }

  wire::BlockPool pool_;
  SeededEntropy entropy_a_{1};
  SeededEntropy entropy_b_{2};
  // An uptime beyond the timing wheel's horizon, which an empty wheel has to be told of.
  Instant now_ = Instant{} + Duration::seconds(400 * 24 * 3600);
  Stack a_{config(1), pool_, entropy_a_};
  Stack b_{config(2), pool_, entropy_b_};
};
INSTANTIATE_TEST_SUITE_P(Families, StackPair, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

TEST_P(StackPair, TimersKeepTheirTimeHoweverLongTheHostIsUp) {
  const auto client = a_.connect(server(), {}, now_);  // nobody answers: its packets are thrown away
  ASSERT_TRUE(client);
  std::array<wire::Frame, 4> lost;
  EXPECT_EQ(a_.transmit(lost, now_), 1u);
  a_.advance(now_ + 999_ms);
  EXPECT_FALSE(a_.has_output());
  a_.advance(now_ + 1001_ms);
  EXPECT_EQ(a_.transmit(lost, now_ + 1001_ms), 1u);
}

// RFC 9293: MUST-13.
TEST_P(StackPair, TimeWaitLastsTwoMslAndNoShorter) {
  ASSERT_TRUE(b_.listen(server(), {}, now_));
  const auto listener = b_.poll_event();
  EXPECT_FALSE(listener);
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump();
  const auto event = b_.poll_event();
  ASSERT_TRUE(event);
  const auto accepted = b_.accept(event->handle, now_);
  ASSERT_TRUE(accepted);
  a_.close(*client, now_);
  pump();
  b_.close(*accepted, now_);
  pump();
  EXPECT_EQ(a_.population().time_wait, 1u);
  EXPECT_EQ(a_.population().connections, 0u);
  EXPECT_EQ(b_.population().connections, 0u);
  advance(59_s);
  EXPECT_EQ(a_.population().time_wait, 1u);
  advance(2_s);
  EXPECT_EQ(a_.population().time_wait, 0u);
  EXPECT_EQ(a_.population().armed_timers, 0u);
  EXPECT_EQ(a_.counters()[trace::Counter::kTW], 1u);
}

TEST_P(StackPair, AStaleHandleIsToldFromItsSuccessor) {
  const auto first = a_.connect(server(), {}, now_);
  ASSERT_TRUE(first);
  a_.close(*first, now_);
  const auto second = a_.connect(server(), {}, now_);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->index(), second->index());
  EXPECT_NE(*first, *second);
  EXPECT_EQ(a_.failure(*first), tcp::Error::kInvalidHandle);
  EXPECT_FALSE(a_.status(*first));
  EXPECT_TRUE(a_.status(*second));
}

// RFC 9293: MUST-41.
TEST_P(StackPair, ListenersOfOnePortMustNotOverlap) {
  ASSERT_TRUE(b_.listen(server(), {}, now_));
  EXPECT_EQ(b_.listen(server(), {}, now_).error(), tcp::Error::kAddressInUse);
  EXPECT_EQ(b_.listen({wire::IpAddress{}, 80}, {}, now_).error(), tcp::Error::kAddressInUse);
  EXPECT_TRUE(b_.listen(server(81), {}, now_));
  EXPECT_EQ(b_.listen({config(1).addresses[0].address, 82}, {}, now_).error(),
            tcp::Error::kAddressNotAvailable);
  EXPECT_EQ(b_.listen(server(0), {}, now_).error(), tcp::Error::kInvalidArgument);
}

TEST_P(StackPair, ConnectSaysWhatIsWrongWithItsAddresses) {
  EXPECT_EQ(a_.connect(server(0), {}, now_).error(), tcp::Error::kInvalidArgument);
  EXPECT_EQ(a_.connect({wire::IpAddress::any(GetParam()), 80}, {}, now_).error(),
            tcp::Error::kInvalidArgument);
  EXPECT_EQ(a_.connect(server(), {.local = server(5000)}, now_).error(), tcp::Error::kAddressNotAvailable);
  const wire::Endpoint own{config(1).addresses[GetParam() == wire::Family::kIpv4 ? 0 : 1].address, 5000};
  EXPECT_TRUE(a_.connect(server(), {.local = own}, now_));
  EXPECT_EQ(a_.connect(server(), {.local = own}, now_).error(), tcp::Error::kAddressInUse);
}

TEST_P(StackPair, EveryEphemeralPortIsUsedBeforeConnectRunsOut) {
  a_.settings().ip_local_port_first = 40000;
  a_.settings().ip_local_port_last = 40009;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(a_.connect(server(), {}, now_));
  EXPECT_EQ(a_.connect(server(), {}, now_).error(), tcp::Error::kNoPorts);
  EXPECT_TRUE(a_.connect(server(81), {}, now_)) << "another peer port leaves all of them free";
}

TEST_P(StackPair, AFullTimeWaitTableForgetsAtOnceAndSaysSo) {
  a_.settings().tcp_max_tw_buckets = 1;
  const auto listener = b_.listen(server(), {}, now_);
  ASSERT_TRUE(listener);
  for (int i = 0; i < 2; ++i) {
    const auto client = a_.connect(server(), {}, now_);
    ASSERT_TRUE(client);
    pump();
    const auto accepted = b_.accept(*listener, now_);
    ASSERT_TRUE(accepted);
    a_.close(*client, now_);
    pump();
    b_.close(*accepted, now_);
    pump();
  }
  EXPECT_EQ(a_.population().time_wait, 1u);
  EXPECT_EQ(a_.population().connections, 0u);
  EXPECT_EQ(b_.population().connections, 0u) << "the last ACK left all the same";
  EXPECT_EQ(a_.counters()[trace::Counter::kTCPTimeWaitOverflow], 1u);
}

TEST_P(StackPair, ShutDownLeavesNothing) {
  const auto listener = b_.listen(server(), {}, now_);
  ASSERT_TRUE(listener);
  std::array<Handle, 3> clients;
  for (Handle& c : clients) c = *a_.connect(server(), {}, now_);
  pump();
  const auto accepted = b_.accept(*listener, now_);
  ASSERT_TRUE(accepted);
  b_.shut_down(now_);
  EXPECT_EQ(b_.failure(*accepted), tcp::Error::kStackShutdown);
  b_.close(*accepted, now_);
  pump();
  for (const Handle c : clients) {
    EXPECT_EQ(a_.failure(c), tcp::Error::kReset);
    a_.close(c, now_);
  }
  for (const Stack* s : {&a_, &b_}) {
    EXPECT_EQ(s->population().connections, 0u);
    EXPECT_EQ(s->population().listeners, 0u);
    EXPECT_EQ(s->population().armed_timers, 0u);
  }
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
}

}  // namespace
}  // namespace synfin::stack
