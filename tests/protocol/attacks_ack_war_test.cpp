// SPDX-License-Identifier: Apache-2.0
//
// Row D21 of the list of attacks: two ends that disagree about their numbers answer each other for ever. The
// three scenarios of draft-gont-tcpm-tcp-seq-validation (SYNs, FINs and window probes that cross), and ends
// that an injected segment has put out of step. Two stacks, and nobody who helps: the network must fall
// silent by itself.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "protocol_test_support.h"
#include "synfin/sim/network.h"

namespace synfin::protocol_test {
namespace {

using stack::Handle;
using wire::Flags;
using wire::TcpHeader;
using wire::TcpOptions;

// One-way: shorter and longer than a limit of so many answers a second notices.
constexpr Duration kDelays[] = {Duration::microseconds(10), Duration::milliseconds(1),
                                Duration::milliseconds(60), Duration::milliseconds(400)};

class AckWar : public testing::TestWithParam<wire::Family> {
 protected:
  // What each host sent last.
  struct Last {
    wire::TcpHeader tcp;
    std::uint32_t length = 0;  // of its text and flags
  };

  void build(Duration delay, bool timestamps = true) {
    NetworkOptions o;
    o.settings.tcp_timestamps = timestamps;
    o.settings.msl = 5_s;
    o.settings.tcp_rmem = 2048;
    o.faults = {Faults{.delay = delay}, Faults{.delay = delay}};
    net_.emplace(std::move(o));
    net_->set_tap([this](const Sighting& s) {
      if (s.packet == nullptr) return;
      const Flags f = s.packet->tcp.flags;
      last_[s.from] = {s.packet->tcp, static_cast<std::uint32_t>(s.packet->payload_size) + f.syn() + f.fin()};
    });
  }
  wire::Endpoint at(std::size_t host, std::uint16_t port) const {
    return {net_->address(host, GetParam()), port};
  }
  void open() {
    listener_ = *net_->host(1).listen(at(1, 80), {}, net_->now());
    handle_[0] = *net_->host(0).connect(at(1, 80), {.local = at(0, 1000)}, net_->now());
    ASSERT_TRUE(net_->run_until_idle());
    handle_[1] = *net_->host(1).accept(listener_, net_->now());
  }
  void write(std::size_t host, std::size_t n) {
    const std::vector<std::byte> data(n);
    const std::array<Bytes, 1> parts = {data};
    ASSERT_TRUE(net_->host(host).send(handle_[host], parts, net_->now()));
  }
  std::size_t read(std::size_t host) {
    std::vector<std::byte> room(65'536);
    const std::array<MutableBytes, 1> parts = {room};
    return net_->host(host).receive(handle_[host], parts, net_->now()).value_or(0);
  }
  // In the name of `from`, its next segment: `ahead` beyond what it would send.
  void forge(std::size_t from, std::uint8_t flags, std::uint32_t ahead, std::size_t text,
             std::uint32_t clock_ahead = 0) {
    const std::size_t to = 1 - from;
    TcpHeader h;
    h.source_port = last_[from].tcp.source_port;
    h.destination_port = last_[from].tcp.destination_port;
    h.seq = last_[from].tcp.seq + last_[from].length + ahead;
    h.ack = last_[to].tcp.seq + last_[to].length;
    h.flags = Flags{flags};
    h.window = last_[from].tcp.window;
    h.options = {};
    if (last_[from].tcp.options.has(TcpOptions::kTimestamps)) {
      h.options.present = TcpOptions::kTimestamps;
      h.options.timestamps = last_[from].tcp.options.timestamps;
      h.options.timestamps.value += clock_ahead;
    }
    wire::IpHeader ip;
    ip.source = at(from, 0).address;
    ip.destination = at(to, 0).address;
    ip.protocol = wire::protocol::kTcp;
    wire::Frame frame;
    const std::vector<std::byte> data(text);
    if (text > 0) frame.add(net_->pool().copy(data));
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    net_->inject(to, std::move(frame));
  }
  // No more than `most` packets from here on, until nothing is left to happen.
  void falls_silent_within(std::uint64_t most) {
    const std::uint64_t before = net_->packets_sent();
    net_->run_for(600_s);
    EXPECT_FALSE(net_->livelocked());
    EXPECT_LE(net_->packets_sent() - before, most);
    const std::uint64_t after = net_->packets_sent();
    net_->run_for(600_s);
    EXPECT_EQ(net_->packets_sent(), after) << "still talking after ten minutes";
  }
  void end_everything() {
    for (std::size_t i = 0; i < 2; ++i) net_->host(i).close(handle_[i], net_->now());
    net_->host(1).close(listener_, net_->now());
    const std::uint64_t before = net_->packets_sent();
    EXPECT_TRUE(net_->run_until_idle(100'000));
    EXPECT_LE(net_->packets_sent() - before, 60u);
    for (std::size_t i = 0; i < 2; ++i) {
      const stack::Population p = net_->host(i).population();
      EXPECT_EQ(p.connections + p.half_open + p.time_wait + p.listeners + p.armed_timers, 0u);
    }
    EXPECT_EQ(net_->pool().bytes_in_use(), 0u);
  }

  std::optional<Network> net_;
  Last last_[2];
  Handle listener_, handle_[2];
};

INSTANTIATE_TEST_SUITE_P(Families, AckWar, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

// Scenario 1: SYNs cross; the SYN-ACKs begin with numbers that are old by then. Each of the four segments may
// be lost.
TEST_P(AckWar, D21_CrossingSynsOpenInFewSegments) {
  for (const Duration delay : kDelays) {
    for (int lost = -1; lost < 4; ++lost) {
      build(delay);
      if (lost >= 0) {
        const bool of_syn_acks = lost >= 2;
        net_->drop_next(static_cast<std::size_t>(lost % 2), [of_syn_acks](const wire::TcpPacket& p) {
          return p.tcp.flags.syn() && p.tcp.flags.ack() == of_syn_acks;
        });
      }
      for (std::size_t i = 0; i < 2; ++i) {
        const std::uint16_t port = i == 0 ? 1000 : 2000;
        const std::uint16_t other = i == 0 ? 2000 : 1000;
        handle_[i] = *net_->host(i).connect(at(1 - i, other), {.local = at(i, port)}, net_->now());
      }
      falls_silent_within(16);
      for (std::size_t i = 0; i < 2; ++i)
        EXPECT_EQ(net_->host(i).status(handle_[i])->state, State::kEstablished);
      end_everything();
    }
  }
}

// The same with oneself is refused.
TEST_P(AckWar, D21_NobodyConnectsToHimself) {
  build(1_ms);
  EXPECT_FALSE(net_->host(0).connect(at(0, 1000), {.local = at(0, 1000)}, net_->now()));
  falls_silent_within(0);
}

// Scenario 2: FINs cross, and the acknowledgements of both are lost several times over.
TEST_P(AckWar, D21_CrossingFinsCloseInFewSegments) {
  for (const Duration delay : kDelays) {
    for (const bool data : {false, true}) {
      build(delay);
      open();
      if (data)
        for (std::size_t i = 0; i < 2; ++i) write(i, 100);
      for (std::size_t i = 0; i < 2; ++i) {
        ASSERT_TRUE(net_->host(i).shutdown(handle_[i], Shutdown::kSend, net_->now()));
        net_->drop_next(
            i,
            [](const wire::TcpPacket& p) {
              return !p.tcp.flags.fin() && p.tcp.flags.ack() && p.payload_size == 0;
            },
            3);
      }
      falls_silent_within(40);
      for (std::size_t i = 0; i < 2; ++i)
        EXPECT_EQ(net_->host(i).state_of({at(i, i == 0 ? 1000 : 80), at(1 - i, i == 0 ? 80 : 1000)}),
                  State::kClosed);
      for (std::size_t i = 0; i < 2; ++i) (void)read(i);
      end_everything();
    }
  }
}

// Scenario 3: both windows are shut and both ends probe. Each probe lies outside the other's window; its
// acknowledgement has to count all the same.
TEST_P(AckWar, D21_CrossingWindowProbesStayFew) {
  for (const Duration delay : kDelays) {
    build(delay);
    open();
    for (std::size_t i = 0; i < 2; ++i) write(i, 10'000);
    net_->run_for(60_s);
    std::uint64_t before = net_->packets_sent();
    net_->run_for(3600_s);
    // A probe of each end and its answer every 120 s, and some while they become rarer.
    EXPECT_LE(net_->packets_sent() - before, 4u * (3600 / 120 + 12));
    EXPECT_FALSE(net_->livelocked());
    // Not dead: each takes what the other has, and all is acknowledged.
    std::size_t got[2] = {};
    before = net_->packets_sent();
    for (int round = 0; round < 200; ++round) {
      for (std::size_t i = 0; i < 2; ++i) got[i] += read(i);
      net_->run_for(5_s);
    }
    EXPECT_EQ(got[0], 10'000u);
    EXPECT_EQ(got[1], 10'000u);
    falls_silent_within(4);
    end_everything();
  }
}

// Somebody put data into the stream: one end acknowledges what the other never sent, and every bare ACK is
// out of the other's step.
TEST_P(AckWar, D21_InjectedDataStartsNoWar) {
  for (const Duration delay : kDelays) {
    for (const bool timestamps : {false, true}) {
      for (const bool both : {false, true}) {
        build(delay, timestamps);
        open();
        forge(0, ACK, 0, 10);
        if (both) forge(1, ACK, 0, 10);
        falls_silent_within(60);
        // Whatever the programs do now, it ends.
        end_everything();
      }
    }
  }
}

// One octet: what is out of step then looks like a keep-alive probe.
TEST_P(AckWar, D21_OneInjectedOctetStartsNoWar) {
  for (const Duration delay : kDelays) {
    build(delay);
    open();
    forge(0, ACK, 0, 1);
    forge(1, ACK, 0, 1);
    falls_silent_within(60);
    end_everything();
  }
}

// The same with ends that keep asking for a sign of life: a few packets each time, not more each time.
TEST_P(AckWar, D21_KeepAliveBetweenEndsOutOfStepStaysAFewPackets) {
  for (const Duration delay : kDelays) {
    build(delay);
    open();
    for (std::size_t i = 0; i < 2; ++i)
      ASSERT_TRUE(net_->host(i).set_options(
          handle_[i],
          {.keepalive = true, .keepalive_time = 100_s, .keepalive_interval = 100_s, .keepalive_probes = 100},
          net_->now()));
    forge(0, ACK, 0, 10);
    forge(1, ACK, 0, 10);
    const std::uint64_t before = net_->packets_sent();
    net_->run_for(1000_s);
    EXPECT_LE(net_->packets_sent() - before, 600u);
    EXPECT_FALSE(net_->livelocked());
    end_everything();
  }
}

// A forged FIN: one end in CLOSE-WAIT, the other knows nothing of it.
TEST_P(AckWar, D21_AnInjectedFinStartsNoWar) {
  for (const Duration delay : kDelays) {
    for (const bool both : {false, true}) {
      build(delay);
      open();
      forge(0, FIN | ACK, 0, 0);
      if (both) forge(1, FIN | ACK, 0, 0);
      falls_silent_within(60);
      end_everything();
    }
  }
}

// Both programs are gone by then: what is left are the small records.
TEST_P(AckWar, D21_RecordsWithoutAProgramStartNoWar) {
  for (const Duration delay : kDelays) {
    for (const bool timestamps : {false, true}) {
      for (const std::uint32_t clock_ahead : {0u, 100'000'000u}) {
        build(delay, timestamps);
        open();
        // Both believe a clock that is ahead, so that all that the other says later is old.
        for (std::size_t i = 0; i < 2; ++i) forge(i, ACK, 0, 0, clock_ahead);
        forge(0, FIN | ACK, 0, 0, clock_ahead);
        forge(1, FIN | ACK, 0, 0, clock_ahead);
        for (std::size_t i = 0; i < 2; ++i) net_->host(i).close(handle_[i], net_->now());
        const std::uint64_t before = net_->packets_sent();
        net_->run_for(300_s);
        EXPECT_FALSE(net_->livelocked());
        EXPECT_LE(net_->packets_sent() - before, 80u) << delay.us() << " us, clock " << clock_ahead;
        end_everything();
      }
    }
  }
}

}  // namespace
}  // namespace synfin::protocol_test
