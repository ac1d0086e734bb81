// SPDX-License-Identifier: Apache-2.0
//
// What congestion control makes of a path: long transfers over a bottleneck with a queue, in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "synfin/sim/network.h"
#include "synfin/tcp/info.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Network;
using sim::NetworkOptions;
using sim::Sighting;
using stack::Handle;
using tcp::CongestionControl;

struct Path {
  std::uint64_t rate;  // octets a second
  Duration round_trip;
  std::uint64_t queue;  // octets
  std::uint64_t capacity() const {
    return static_cast<std::uint64_t>(static_cast<double>(rate) * round_trip.as_seconds());
  }
};

/// Host A sends as much as B's window and its own buffer allow, and B reads whatever comes.
class Transfer {
 public:
  Transfer(CongestionControl control, const Path& path, std::uint32_t buffers = 4 << 20)
      : buffer_(64 << 10), net_(options(control, path, buffers)) {
    net_.set_tap([this](const Sighting& s) {
      if (s.fate == Sighting::Fate::kLost) ++lost_;
    });
    net_.set_on_step([this] { step(); });
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    listener_ = net_.host(1).listen(to, {}, net_.now()).value();
    client_ = net_.host(0).connect(to, {}, net_.now()).value();
  }

  bool run_until(const std::function<bool()>& predicate) { return net_.run_until(predicate, 600_s); }
  void run_for(Duration d) { net_.run_for(d); }
  std::uint64_t received() const { return received_; }
  std::size_t lost() const { return lost_; }
  tcp::Info info() { return net_.host(0).info(client_, net_.now()).value_or(tcp::Info{}); }
  bool in_first_slow_start() { return info().snd_ssthresh == tcp::Info::kInfiniteThreshold; }
  stack::Stack& sender() { return net_.host(0); }
  Handle handle() const { return client_; }
  Instant now() const { return net_.now(); }

 private:
  static NetworkOptions options(CongestionControl control, const Path& path, std::uint32_t buffers) {
    NetworkOptions o;
    o.settings.tcp_congestion_control = control;
    o.settings.tcp_rmem = o.settings.tcp_wmem = buffers;
    o.faults = {{.delay = path.round_trip / 2, .rate = path.rate, .queue = path.queue},
                {.delay = path.round_trip / 2}};
    return o;
  }

  void step() {
    for (std::size_t host = 0; host < 2; ++host) {
      while (const auto event = net_.host(host).poll_event()) {
        if (host == 1 && event->handle == listener_)
          server_ = net_.host(1).accept(listener_, net_.now()).value();
        if (host == 0) write();
        if (host == 1) read();
      }
    }
  }
  void write() {
    const std::array<Bytes, 1> parts = {buffer_};
    while (net_.host(0).send(client_, parts, net_.now())) {
    }
  }
  void read() {
    const std::array<MutableBytes, 1> parts = {buffer_};
    while (const auto n = net_.host(1).receive(server_, parts, net_.now())) {
      if (*n == 0) return;
      received_ += *n;
    }
  }

  std::vector<std::byte> buffer_;
  Network net_;
  Handle listener_, client_, server_;
  std::uint64_t received_ = 0;
  std::size_t lost_ = 0;
};

// 10 Mbit/s, 50 ms, and a queue of ten times what the path holds. The delay is seen once the window is twice
// or thrice that, and five rounds at a quarter of the growth make it thrice as large again.
constexpr Path kDeepQueue{1'250'000, 50_ms, 625'000};

// RFC 9293: MUST-19.
TEST(Rfc9406, SlowStartEndsByDelayBeforeTheQueueOverflows_4_2) {
  Transfer t(CongestionControl::kCubic, kDeepQueue);
  ASSERT_TRUE(t.run_until([&] { return t.received() > 0; }));
  ASSERT_TRUE(t.run_until([&] { return !t.in_first_slow_start(); }));
  EXPECT_EQ(t.lost(), 0u);
  EXPECT_EQ(t.info().total_retrans, 0u);
  EXPECT_GE(t.info().snd_ssthresh * std::uint64_t{t.info().snd_mss}, kDeepQueue.capacity())
      << "and not before the path is full";
}

TEST(Rfc9406, WithoutItSlowStartEndsByLoss_1) {
  Transfer t(CongestionControl::kReno, kDeepQueue);
  ASSERT_TRUE(t.run_until([&] { return t.received() > 0; }));
  ASSERT_TRUE(t.run_until([&] { return !t.in_first_slow_start(); }));
  EXPECT_GT(t.lost(), 50u);
}

// Octets that arrive in the seconds 10 to 30, as a share of what the path carries beside 52 octets of
// headers.
double use_of(CongestionControl control, const Path& path) {
  Transfer t(control, path);
  t.run_for(10_s);
  const std::uint64_t before = t.received();
  t.run_for(20_s);
  EXPECT_GT(t.lost(), 0u) << "the path was never full";
  return static_cast<double>(t.received() - before) / (20.0 * static_cast<double>(path.rate) * 1448 / 1500);
}

// 20 Mbit/s, 100 ms, and a queue of half of what the path holds: 0.7 of path and queue fill the path still, a
// half does not.
TEST(Rfc9438, CubicFillsAPathOfAHundredMilliseconds_4_6) {
  constexpr Path kPath{2'500'000, 100_ms, 125'000};
  const double cubic = use_of(CongestionControl::kCubic, kPath);
  const double reno = use_of(CongestionControl::kReno, kPath);
  EXPECT_GT(cubic, 0.97);
  EXPECT_LE(cubic, 1.01);
  EXPECT_GT(cubic, reno);
}

// A connection's own choice, and one that changes on the way.
// RFC 9293: MAY-18.
TEST(CongestionChoice, OfAConnectionCountsBeforeTheSetting) {
  constexpr Path kPath{2'500'000, 20_ms, 50'000};
  Transfer t(CongestionControl::kCubic, kPath);
  const auto in_use = [&] { return t.sender().status(t.handle())->congestion_control; };
  ASSERT_TRUE(t.sender().set_options(t.handle(), {.congestion = CongestionControl::kReno}, t.now()));
  EXPECT_EQ(in_use(), CongestionControl::kReno);
  ASSERT_TRUE(
      t.run_until([&] { return t.info().total_retrans > 0 && t.info().ca_state == tcp::CaState::kOpen; }));
  EXPECT_EQ(in_use(), CongestionControl::kReno);
  const std::uint32_t window = t.sender().status(t.handle())->congestion_window;
  const std::uint32_t threshold = t.info().snd_ssthresh;
  ASSERT_LT(threshold, tcp::Info::kInfiniteThreshold);
  ASSERT_TRUE(t.sender().set_options(t.handle(), {.congestion = CongestionControl::kCubic}, t.now()));
  EXPECT_EQ(in_use(), CongestionControl::kCubic);
  EXPECT_EQ(t.sender().status(t.handle())->congestion_window, window);
  EXPECT_EQ(t.info().snd_ssthresh, threshold);
  // Options that say nothing of it change nothing of it.
  ASSERT_TRUE(t.sender().set_options(t.handle(), {.no_delay = true}, t.now()));
  EXPECT_EQ(in_use(), CongestionControl::kCubic);
}

}  // namespace
}  // namespace synfin::protocol_test
