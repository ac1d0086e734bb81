// SPDX-License-Identifier: Apache-2.0
//
// What several segments at once and the shortest ways through the rules must not change: anything. The same
// seed is played with `Config::short_paths` and without, and every packet, time, event and octet read has to
// be the same. SYNFIN_SEEDS=n plays seeds 1 to n, SYNFIN_SEED=n that one alone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "synfin/sim/network.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Faults;
using sim::Network;
using sim::NetworkOptions;

struct Journal {
  std::vector<std::byte> packets;  // each with its time
  std::vector<std::string> events;
  std::vector<std::byte> read[2];
  std::vector<std::uint64_t> counters;
};

// Two programs that write and read pieces of random sizes at random times, and both close.
class Exchange {
 public:
  Exchange(std::uint64_t seed, bool short_paths) : choice_(seed * 31 + 7), net_(options(seed, short_paths)) {
    net_.set_tap([this](const sim::Sighting& s) {
      const std::int64_t at = s.at.ns();
      append(journal_.packets, std::as_bytes(std::span{&at, 1}));
      std::vector<std::byte> octets(s.frame->size());
      s.frame->copy_out(0, octets);
      append(journal_.packets, octets);
    });
    net_.set_on_step([this] { step(); });
  }

  Journal run() {
    const auto family = choice_.below(2) == 0 ? wire::Family::kIpv4 : wire::Family::kIpv6;
    const wire::Endpoint to{net_.address(1, family), 80};
    stack::ListenOptions listening;
    listening.connection = connection();
    listener_ = *net_.host(1).listen(to, listening, net_.now());
    end_[0].handle = *net_.host(0).connect(to, {.connection = connection()}, net_.now());
    end_[0].open = true;
    (void)net_.run_until([&] { return end_[0].closed && end_[1].closed; }, 7200_s);
    EXPECT_TRUE(end_[0].closed && end_[1].closed) << "not finished";
    for (std::size_t i : {0u, 1u}) {
      for (const trace::Counter c :
           {trace::Counter::kInSegs, trace::Counter::kOutSegs, trace::Counter::kRetransSegs,
            trace::Counter::kInErrs, trace::Counter::kDelayedACKs, trace::Counter::kTCPOFOQueue,
            trace::Counter::kInNoECTPkts, trace::Counter::kInECT0Pkts, trace::Counter::kInCEPkts})
        journal_.counters.push_back(net_.host(i).counters()[c]);
      journal_.counters.push_back(net_.host(i).counters()[trace::Reason::kDataAccepted]);
      journal_.counters.push_back(net_.host(i).counters()[trace::Reason::kAckAccepted]);
    }
    return std::move(journal_);
  }

 private:
  struct End {
    stack::Handle handle;
    bool open = false, shut = false, closed = false;
    std::size_t left = 0;
  };

  static void append(std::vector<std::byte>& to, Bytes octets) {
    to.insert(to.end(), octets.begin(), octets.end());
  }

  tcp::Options connection() {
    tcp::Options o;
    o.no_delay = choice_.below(2) == 0;
    o.quick_ack = choice_.below(4) == 0;
    if (choice_.below(3) == 0) o.receive_buffer = 4'000 + choice_.below(200'000);
    if (choice_.below(3) == 0) o.send_buffer = 4'000 + choice_.below(400'000);
    constexpr tcp::CongestionControl kAll[] = {tcp::CongestionControl::kCubic, tcp::CongestionControl::kReno,
                                               tcp::CongestionControl::kNone, tcp::CongestionControl::kBbr};
    o.congestion = kAll[choice_.below(4)];
    o.may_fragment = choice_.below(8) == 0;
    return o;
  }

  NetworkOptions options(std::uint64_t seed, bool short_paths) {
    NetworkOptions o;
    o.seed = seed;
    o.short_paths = short_paths;
    o.mtu = choice_.below(2) == 0 ? 1500 : 600 + choice_.below(9000);
    o.settings.tcp_timestamps = choice_.below(3) != 0;
    o.settings.tcp_sack = choice_.below(4) != 0;
    o.settings.tcp_pacing = choice_.below(3) == 0;
    o.settings.tcp_ecn = choice_.below(6);
    o.settings.msl = 1_s;
    const std::uint32_t badness = choice_.below(3);  // 0: a clean wire
    for (int i = 0; i < 2; ++i) {
      Faults f;
      f.loss = badness * choice_.below(10'000);
      f.duplicate = badness * choice_.below(10'000);
      f.reorder = badness * choice_.below(20'000);
      f.corrupt = badness * choice_.below(3'000);
      f.delay = Duration::microseconds(10 + choice_.below(20'000));
      if (choice_.below(4) == 0) f.jitter = Duration::microseconds(choice_.below(3'000));
      if (choice_.below(3) == 0) f.rate = 200'000 + choice_.below(20'000'000);
      o.faults.push_back(f);
    }
    for (End& e : end_) e.left = choice_.below(5) == 0 ? choice_.below(3'000) : choice_.below(1'500'000);
    return o;
  }

  void step() {
    if (!end_[1].open) {
      if (const auto h = net_.host(1).accept(listener_, net_.now())) {
        end_[1].handle = *h;
        end_[1].open = true;
        act(1);
      }
    }
    for (std::size_t i : {0u, 1u}) {
      while (const auto event = net_.host(i).poll_event()) {
        journal_.events.push_back(std::to_string(net_.now().ns()) + " " + std::to_string(i) + " " +
                                  std::to_string(event->what));
        if (end_[i].open && event->handle == end_[i].handle) act(i);
      }
    }
  }

  void act(std::size_t i) {
    End& e = end_[i];
    if (e.closed) return;
    stack::Stack& host = net_.host(i);
    while (!e.shut) {
      std::vector<std::byte> piece(std::min<std::size_t>(e.left, 1 + choice_.below(70'000)));
      for (std::size_t k = 0; k < piece.size(); ++k) piece[k] = static_cast<std::byte>(k * 31 + e.left);
      if (piece.empty()) {
        (void)host.shutdown(e.handle, stack::Shutdown::kSend, net_.now());
        e.shut = true;
        break;
      }
      const Bytes out{piece};
      const auto n = host.send(e.handle, std::span{&out, 1}, net_.now());
      if (!n) break;
      e.left -= *n;
    }
    std::vector<std::byte> buffer(1 + choice_.below(100'000));
    const MutableBytes into{buffer};
    for (;;) {
      const auto n = host.receive(e.handle, std::span{&into, 1}, net_.now());
      if (!n && n.error() == tcp::Error::kWouldBlock) break;
      if (!n || *n == 0) {
        host.close(e.handle, net_.now());
        e.closed = true;
        break;
      }
      append(journal_.read[i], Bytes{buffer}.first(*n));
      // A slow reader comes back later.
      if (choice_.below(8) == 0) {
        net_.call_at(net_.now() + Duration::microseconds(choice_.below(30'000)), [this, i] { act(i); });
        break;
      }
    }
  }

  SeededEntropy choice_;
  std::array<End, 2> end_;
  Network net_;
  stack::Handle listener_;
  Journal journal_;
};

TEST(ShortPaths, ChangeNothingThatLeavesOrIsRead) {
  const char *wanted = std::getenv("SYNFIN_SEEDS"), *one = std::getenv("SYNFIN_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t last = one != nullptr      ? first
                             : wanted != nullptr ? std::strtoull(wanted, nullptr, 10)
                                                 : 60;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Journal slow = Exchange{seed, false}.run(), quick = Exchange{seed, true}.run();
    ASSERT_GT(slow.packets.size(), 0u);
    ASSERT_EQ(slow.packets.size(), quick.packets.size());
    ASSERT_TRUE(slow.packets == quick.packets);
    ASSERT_EQ(slow.events, quick.events);
    ASSERT_EQ(slow.counters, quick.counters);
    for (std::size_t i : {0u, 1u}) ASSERT_TRUE(slow.read[i] == quick.read[i]);
    if (HasFailure()) return;
  }
}

// What a sink hears of connections; that it wants no packets leaves the short ways open.
class Diary : public trace::Sink {
 public:
  void on_event(const trace::Event& e) override {
    entries.push_back(std::to_string(e.at.ns()) + " " + std::to_string(static_cast<int>(e.kind)) + " " +
                      e.tuple.local.to_string() + " " + e.tuple.remote.to_string() + " " +
                      std::to_string(static_cast<int>(e.from)) + " " +
                      std::to_string(static_cast<int>(e.to)) + " " +
                      std::to_string(static_cast<int>(e.reason)));
  }
  bool wants_packets() const override { return false; }
  std::vector<std::string> entries;
};

// Connections of both families that end at one instant, among others whose keep-alive timers run out then.
std::vector<std::string> many_endings(std::uint64_t seed, bool short_paths) {
  Diary diary[2];
  NetworkOptions o;
  o.seed = seed;
  o.short_paths = short_paths;
  o.settings.msl = 1_s;
  o.settings.tcp_fin_timeout = 2_s;
  o.settings.tcp_keepalive_time = 2_s;
  o.faults = {Faults{.delay = 1_ms}, Faults{.delay = 1_ms}};
  o.sinks = {&diary[0], &diary[1]};
  Network net(o);
  SeededEntropy choice(seed);
  std::array<stack::Handle, 2> listener;
  for (const auto family : {wire::Family::kIpv4, wire::Family::kIpv6})
    listener[family == wire::Family::kIpv6] =
        *net.host(1).listen({net.address(1, family), 80}, {}, net.now());
  std::vector<stack::Handle> clients;
  for (int i = 0; i < 70; ++i) {
    // Now in groups of one family, now mixed.
    const auto family = i < 30 || choice.below(3) != 0 ? wire::Family::kIpv4 : wire::Family::kIpv6;
    stack::ConnectOptions with;
    with.connection.keepalive = choice.below(4) == 0;
    clients.push_back(*net.host(0).connect({net.address(1, family), 80}, with, net.now()));
  }
  net.run_for(10_ms);
  std::vector<stack::Handle> servers;
  for (const stack::Handle l : listener) {
    while (const auto h = net.host(1).accept(l, net.now())) servers.push_back(*h);
  }
  EXPECT_EQ(servers.size(), clients.size());
  for (const stack::Handle h : clients) {
    if (choice.below(4) != 0) net.host(0).close(h, net.now());
  }
  net.run_for(10_ms);
  // Where the server stays, the client waits in vain in FIN-WAIT-2.
  for (const stack::Handle h : servers) {
    if (choice.below(3) != 0) net.host(1).close(h, net.now());
  }
  net.run_for(10_s);
  diary[0].entries.insert(diary[0].entries.end(), diary[1].entries.begin(), diary[1].entries.end());
  return diary[0].entries;
}

TEST(ShortPaths, EndWhatWaitsInTheSameOrder) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto slow = many_endings(seed, false), quick = many_endings(seed, true);
    ASSERT_GT(slow.size(), 500u);
    ASSERT_EQ(slow, quick);
  }
}

}  // namespace
}  // namespace synfin::protocol_test
