// SPDX-License-Identifier: Apache-2.0
//
// Long clocks: a stack that runs through every wrap that its clocks and numbers have, in virtual time. 2^32
// nanoseconds, microseconds and milliseconds, ticks of the timing wheel, the clock of initial sequence
// numbers, TSval (whose offset is each connection's own), and 2^32 sequence numbers of one connection.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "protocol_test_support.h"
#include "synfin/sim/network.h"
#include "thorough.h"

namespace synfin::protocol_test {
namespace {

using stack::Handle;

constexpr std::int64_t k32 = std::int64_t{1} << 32;
constexpr std::int64_t kUs = 1'000, kMs = 1'000'000;
constexpr Duration kDay = Duration::seconds(24 * 3600);

struct Wrap {
  const char* what;
  std::int64_t ns;
};
constexpr Wrap kWraps[] = {
    {"2^32 ns", k32},
    {"2^31 us", k32 / 2 * kUs},
    {"2^32 us", k32* kUs},
    {"2^32 of the ISN's clock", k32 * 4 * kUs},
    {"2^32 ticks of the wheel", k32 << 17},
    {"2^31 ms", k32 / 2 * kMs},
    {"2^32 ms", k32* kMs},
    {"2^33 ms", 2 * k32* kMs},
    {"2^32 s", k32 * 1000 * kMs},
};

class LongClock : public testing::TestWithParam<wire::Family> {
 protected:
  void build(NetworkOptions o) {
    net_.emplace(std::move(o));
    listener_ = *net_->host(1).listen(at(1, 80), {}, net_->now());
  }
  wire::Endpoint at(std::size_t host, std::uint16_t port) const {
    return {net_->address(host, GetParam()), port};
  }
  struct Pair {
    Handle client, server;
  };
  Pair opens() {
    const auto client = net_->host(0).connect(at(1, 80), {}, net_->now());
    EXPECT_TRUE(client);
    std::expected<Handle, Error> server = std::unexpected(Error::kWouldBlock);
    const auto accepted = [&] {
      server = net_->host(1).accept(listener_, net_->now());
      return server.has_value();
    };
    EXPECT_TRUE(net_->run_until(accepted, 60_s));
    return {client.value_or(Handle{}), server.value_or(Handle{})};
  }
  std::size_t write(std::size_t host, Handle h, std::size_t n) {
    const std::vector<std::byte> data(n, std::byte{0x5a});
    const std::array<Bytes, 1> parts = {data};
    return net_->host(host).send(h, parts, net_->now()).value_or(0);
  }
  std::size_t read(std::size_t host, Handle h) {
    if (room_.empty()) room_.resize(1 << 20);
    const std::array<MutableBytes, 1> parts = {room_};
    return net_->host(host).receive(h, parts, net_->now()).value_or(0);
  }
  void carries(const Pair& p, const std::string& when) {
    EXPECT_EQ(write(0, p.client, 5000), 5000u) << when;
    EXPECT_EQ(write(1, p.server, 3000), 3000u) << when;
    net_->run_for(2_s);
    EXPECT_EQ(read(1, p.server), 5000u) << when;
    EXPECT_EQ(read(0, p.client), 3000u) << when;
    EXPECT_EQ(net_->host(0).status(p.client)->send_queue, 0u) << when;
    EXPECT_EQ(net_->host(1).status(p.server)->send_queue, 0u) << when;
  }
  void close_both(const Pair& p) {
    net_->host(0).close(p.client, net_->now());
    net_->run_for(100_ms);
    net_->host(1).close(p.server, net_->now());
  }
  std::size_t time_waits() const {
    return net_->host(0).population().time_wait + net_->host(1).population().time_wait;
  }
  void nothing_is_left() {
    net_->host(1).close(listener_, net_->now());
    EXPECT_TRUE(net_->run_until_idle());
    for (std::size_t i = 0; i < 2; ++i) {
      const stack::Population p = net_->host(i).population();
      EXPECT_EQ(p.connections + p.half_open + p.time_wait + p.listeners + p.armed_timers, 0u);
      EXPECT_TRUE(net_->host(i).next_deadline().is_never());
    }
    EXPECT_EQ(net_->pool().bytes_in_use(), 0u);
  }

  void numbers_go_round(bool sack);

  mutable std::optional<Network> net_;
  Handle listener_;
  std::vector<std::byte> room_;
  std::uint16_t first_port_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Families, LongClock, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

// Connections that live across each wrap, ones that are opened on either side of it, and TIME-WAIT that
// begins before and ends before, begins before and ends behind, and begins behind; over a wire that loses.
TEST_P(LongClock, EveryWrapIsLikeAnyOtherInstant) {
  for (const Wrap& wrap : kWraps) {
    SCOPED_TRACE(wrap.what);
    const Instant there = Instant::from_ns(wrap.ns);
    NetworkOptions o;
    o.start = there - std::min(Duration::seconds(200), (there - Instant::from_ns(0)) / 2);
    o.settings.msl = there - o.start > 100_s ? 30_s : 500_ms;
    const Duration msl = o.settings.msl;
    const Faults bad{.loss = 30'000, .duplicate = 10'000, .reorder = 10'000, .delay = 2_ms};
    o.faults = {bad, bad};
    build(std::move(o));
    const auto until = [&](Instant t) {
      if (t > net_->now()) net_->run_for(t - net_->now());
    };
    const Pair across = opens();
    carries(across, "before");
    // One ends before the wrap, one straddles it, one begins just before, one just behind.
    for (const Duration ahead : {msl * 5, msl, Duration::milliseconds(1), msl * -1}) {
      until(there - ahead);
      close_both(opens());
      net_->run_for(1_s);
      const Instant entered = net_->now();
      until(entered + msl * 2 + 400_ms);
      // Losses may have kept it open for longer.
      if (net_->host(0).population().connections + net_->host(1).population().connections > 2)
        net_->run_for(60_s + msl * 2);
      EXPECT_EQ(time_waits(), 0u) << ahead.ms() << " ms before it";
    }
    until(there + 10_s);
    carries(across, "behind");
    for (std::size_t i = 0; i < 2; ++i) net_->set_faults(i, Faults{});
    close_both(across);
    nothing_is_left();
  }
}

// TSval wraps at 2^32 ms less each connection's own offset: in 49.7 days every connection has gone through
// it. Data all the way, so that nothing is excused by idleness.
TEST_P(LongClock, TimestampsWrapUnderwayAndNothingIsRejected) {
  NetworkOptions o;
  build(std::move(o));
  std::vector<Pair> pairs;
  for (int i = 0; i < 8; ++i) pairs.push_back(opens());
  std::uint32_t wrapped = 0;
  std::uint32_t last_seen[2] = {};
  net_->set_tap([&](const Sighting& s) {
    if (s.packet == nullptr || !s.packet->tcp.options.has(wire::TcpOptions::kTimestamps)) return;
    // The port tells the first pair from the others.
    if (s.packet->tcp.source_port != first_port_ && s.packet->tcp.destination_port != first_port_) return;
    const std::uint32_t value = s.packet->tcp.options.timestamps.value;
    if (value < last_seen[s.from]) ++wrapped;
    last_seen[s.from] = value;
  });
  first_port_ = net_->host(0).local_endpoint(pairs[0].client)->port;
  for (int hour = 0; hour < 51 * 24; hour += 6) {
    net_->run_for(3600_s * 6);
    for (const Pair& p : pairs) {
      EXPECT_EQ(write(0, p.client, 100), 100u);
      EXPECT_EQ(write(1, p.server, 100), 100u);
    }
    net_->run_for(1_s);
    for (const Pair& p : pairs) {
      ASSERT_EQ(read(0, p.client), 100u) << "hour " << hour;
      ASSERT_EQ(read(1, p.server), 100u) << "hour " << hour;
    }
  }
  EXPECT_GE(wrapped, 2u) << "each end's once at least";
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(net_->host(i).counters()[Counter::kPAWSEstab], 0u);
    EXPECT_EQ(net_->host(i).counters()[Counter::kRetransSegs], 0u);
  }
  for (const Pair& p : pairs) close_both(p);
  nothing_is_left();
}

// RFC 7323 §5.5: after 24 days a remembered timestamp means nothing, neither to the first segment nor to
// those behind it. One direction after the other, and idle for so long that TSval is 2^31 or more ahead.
TEST_P(LongClock, AConnectionThatWasIdleForWeeksGoesOn) {
  for (const int days : {1, 23, 24, 25, 26, 40, 49, 50, 70, 100}) {
    for (const std::size_t first : {0u, 1u}) {
      SCOPED_TRACE(std::to_string(days) + " days, host " + std::to_string(first) + " first");
      build({});
      const Pair p = opens();
      carries(p, "young");
      for (int round = 0; round < 2; ++round) {
        net_->run_for(kDay * days);
        const Handle from = first == 0 ? p.client : p.server;
        const Handle to = first == 0 ? p.server : p.client;
        EXPECT_EQ(write(first, from, 4000), 4000u);
        net_->run_for(2_s);
        EXPECT_EQ(read(1 - first, to), 4000u);
        carries(p, "old");
      }
      for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(net_->host(i).counters()[Counter::kPAWSEstab], 0u);
      close_both(p);
      nothing_is_left();
    }
  }
}

// Keep-alive for longer than 2^31 ms, asked for by one end or by both: never given up, and the connection
// still carries data.
TEST_P(LongClock, KeepAliveOutlivesTheSignOfTheClock) {
  for (const bool both : {false, true}) {
    build({});
    const Pair p = opens();
    ASSERT_TRUE(net_->host(0).set_options(p.client, {.keepalive = true}, net_->now()));
    if (both) {
      ASSERT_TRUE(net_->host(1).set_options(p.server, {.keepalive = true}, net_->now()));
    }
    for (int days = 0; days < 60; days += 20) {
      net_->run_for(kDay * 20);
      EXPECT_EQ(net_->host(0).status(p.client)->state, State::kEstablished);
      EXPECT_EQ(net_->host(1).status(p.server)->state, State::kEstablished);
    }
    EXPECT_GE(net_->host(0).counters()[Counter::kTCPKeepAlive], 60u * 12 - 12);
    // The end that only answered probes has heard nothing else for 60 days.
    carries(p, "after 60 days");
    net_->run_for(kDay * 30);
    carries(p, "after 90 days");
    EXPECT_EQ(net_->host(0).counters()[Counter::kPAWSEstab], 0u);
    EXPECT_EQ(net_->host(1).counters()[Counter::kPAWSEstab], 0u);
    close_both(p);
    nothing_is_left();
  }
}

// 4 GiB and more through one connection: each number comes by again. A segment is lost now and then, and it
// is recovered from as fast in the last gigabyte as in the first.
void LongClock::numbers_go_round(bool sack) {
  // Once is enough: numbers know no family.
  const std::uint64_t total =
      kSlowBuild || GetParam() == wire::Family::kIpv6 ? 64 << 20 : (std::uint64_t{1} << 32) + (64 << 20);
  NetworkOptions o;
  o.mtu = 65'535;
  o.settings.tcp_rmem = o.settings.tcp_wmem = 4 << 20;
  o.settings.tcp_delack_max = 1_ms;
  o.settings.tcp_ecn = 1;
  o.settings.tcp_sack = sack;
  build(std::move(o));
  const Pair p = opens();
  std::uint64_t sent = 0, received = 0;
  // So far apart that what an earlier one left behind is more than half of all numbers away.
  constexpr std::uint64_t kApart = std::uint64_t{5} << 29;
  std::uint64_t next_loss = 16 << 20, losses = 0;
  std::optional<std::uint32_t> first_number;
  bool wrapped = false;
  wire::TcpPacket last_answer;
  std::uint64_t next_echo = 32 << 20, echoes = 0, heeded = 0;
  net_->set_tap([&](const Sighting& s) {
    if (s.packet == nullptr) return;
    if (s.from == 1) {
      last_answer = *s.packet;
      return;
    }
    const std::uint32_t number = s.packet->tcp.seq.raw();
    if (!first_number) first_number = number;
    wrapped = wrapped || number < *first_number;
  });
  const auto echo = [&] {
    // The last acknowledgement again, with a congestion echo (RFC 3168 §6.1.2).
    ++echoes;
    wire::Frame frame;
    last_answer.tcp.flags = last_answer.tcp.flags.with(ECE);
    wire::emit_tcp_packet(last_answer.ip, last_answer.tcp, frame, wire::FillChecksum::kYes);
    const std::uint32_t before = net_->host(0).status(p.client)->congestion_window;
    net_->host(0).receive(std::span{&frame, 1}, net_->now());
    if (net_->host(0).status(p.client)->congestion_window < before) ++heeded;
  };
  net_->set_on_step([&] {
    while (sent < total) {
      const std::size_t n =
          write(0, p.client, static_cast<std::size_t>(std::min<std::uint64_t>(1 << 18, total - sent)));
      if (n == 0) break;
      sent += n;
    }
    while (const std::size_t n = read(1, p.server)) received += n;
    if (received >= next_echo && received < total - (1 << 20)) {
      next_echo += kApart;
      echo();
    }
    if (received >= next_loss) {
      next_loss += kApart;
      ++losses;
      net_->drop_next(0, [](const wire::TcpPacket& packet) { return packet.payload_size > 10'000; });
    }
  });
  const bool done = net_->run_until([&] { return received == total; }, 100'000_s);
  ASSERT_TRUE(done) << received << " of " << total << " octets";
  net_->set_on_step({});
  EXPECT_EQ(received, total);
  EXPECT_TRUE(wrapped || total < static_cast<std::uint64_t>(k32));
  EXPECT_GE(losses, 1u);
  EXPECT_EQ(heeded, echoes);
  // No timeout: each was noticed by duplicate acknowledgements.
  EXPECT_EQ(net_->host(0).counters()[Counter::kTCPTimeouts], 0u);
  EXPECT_GE(net_->host(0).counters()[Counter::kTCPFastRetrans], losses);
  EXPECT_LE(net_->host(0).counters()[Counter::kRetransSegs], losses * 80);
  carries(p, "behind");
  close_both(p);
  nothing_is_left();
}

TEST_P(LongClock, SequenceNumbersGoRound) {
  numbers_go_round(true);
}

// RFC 6582 §3.2 step 2: "recover" is a number like the others.
TEST_P(LongClock, SequenceNumbersGoRoundWithoutSack) {
  numbers_go_round(false);
}

// Timers far ahead: further than the wheel reaches (78 hours), and further than any clock.
TEST_P(LongClock, TimersFarAheadAreNeitherEarlyNorForgotten) {
  build({});
  net_->host(1).close(listener_, net_->now());
  // A SYN that is held for 100 hours.
  const auto holder =
      net_->host(1).listen(at(1, 81), {.hold = true, .hold_timeout = 3600_s * 100}, net_->now());
  ASSERT_TRUE(holder);
  net_->host(0).settings().tcp_syn_retries = 0;
  const auto knock = net_->host(0).connect(at(1, 81), {}, net_->now());
  ASSERT_TRUE(knock);
  net_->run_for(3600_s * 99);
  EXPECT_EQ(net_->host(1).population().held, 1u) << "forgotten too early";
  net_->run_for(3600_s * 2);
  EXPECT_EQ(net_->host(1).population().held, 0u);
  net_->host(0).close(*knock, net_->now());
  net_->host(1).close(*holder, net_->now());

  // A user timeout of 10 days, and one without end, on connections whose data nobody acknowledges; keep-alive
  // beyond the horizon is not to be had (its setting ends at 9 hours), but the option is.
  listener_ = *net_->host(1).listen(at(1, 80), {}, net_->now());
  const Pair idle = opens(), patient = opens(), endless = opens();
  const Duration eight_days = kDay * 8;
  ASSERT_TRUE(net_->host(0).set_options(
      idle.client, {.keepalive = true, .keepalive_time = eight_days, .keepalive_probes = 2}, net_->now()));
  ASSERT_TRUE(net_->host(0).set_options(patient.client, {.user_timeout = kDay}, net_->now()));
  ASSERT_TRUE(net_->host(0).set_options(endless.client, {.user_timeout = Duration::forever()}, net_->now()));
  net_->run_for(eight_days - 1_s);
  EXPECT_EQ(net_->host(0).counters()[Counter::kTCPKeepAlive], 0u);
  net_->run_for(2_s);
  EXPECT_EQ(net_->host(0).counters()[Counter::kTCPKeepAlive], 1u);
  EXPECT_EQ(net_->host(0).status(idle.client)->state, State::kEstablished);
  // The wire is cut. What the program asked for counts, in place of tcp_retries2.
  net_->set_faults(0, Faults{.loss = 1'000'000});
  EXPECT_EQ(write(0, patient.client, 10), 10u);
  EXPECT_EQ(write(0, endless.client, 10), 10u);
  net_->run_for(kDay - 600_s);
  EXPECT_EQ(net_->host(0).status(patient.client)->state, State::kEstablished);
  net_->run_for(1200_s);
  EXPECT_EQ(net_->host(0).status(patient.client)->state, State::kClosed);
  EXPECT_EQ(net_->host(0).status(endless.client)->state, State::kEstablished);
  for (const Pair& p : {idle, patient, endless}) {
    net_->host(0).close(p.client, net_->now());
    net_->host(1).close(p.server, net_->now());
  }
  nothing_is_left();
}

// A stack that has nothing to do for years, then has.
TEST_P(LongClock, AStackThatStoodStillForYearsGoesOn) {
  build({});
  for (const Duration rest : {kDay * 4, kDay * 400, kDay * 4000, kDay * 36'500}) {
    const Pair p = opens();
    carries(p, "before");
    net_->run_for(rest);
    carries(p, "after");
    close_both(p);
    net_->run_for(62_s);
    EXPECT_EQ(time_waits(), 0u);
    EXPECT_EQ(net_->host(0).population().armed_timers + net_->host(1).population().armed_timers, 0u);
    net_->run_for(rest);
  }
  nothing_is_left();
}

// Up to the last instant that there is (292 years): what can still end does, and what cannot waits for no
// timer that would lie behind it.
TEST_P(LongClock, TheEndOfTimeIsNoLoop) {
  NetworkOptions o;
  o.start = Instant::never() - 300_s;
  build(std::move(o));
  const Pair p = opens();
  carries(p, "near the end");
  close_both(p);
  net_->run_for(70_s);
  EXPECT_EQ(time_waits(), 0u);
  const Pair last = opens();
  net_->run_for(Instant::never() - net_->now() - 20_s);
  net_->host(0).close(last.client, net_->now());
  net_->host(1).close(last.server, net_->now());
  net_->run_for(19_s);
  EXPECT_FALSE(net_->livelocked());
  EXPECT_EQ(net_->host(0).population().connections + net_->host(1).population().connections, 0u);
  for (std::size_t i = 0; i < 2; ++i) net_->host(i).shut_down(net_->now());
}

}  // namespace
}  // namespace synfin::protocol_test
