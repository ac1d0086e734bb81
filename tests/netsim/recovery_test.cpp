// SPDX-License-Identifier: Apache-2.0
//
// How long the loss of certain packets delays what they belong to: the table in recovery.md.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "page.h"
#include "synfin/sim/network.h"

namespace synfin::netsim {
namespace {

using namespace synfin::literals;
using tcp::CongestionControl;
using trace::Counter;

constexpr std::string_view kRecoveryPage = "recovery.md";
constexpr Duration kRoundTrip = 100_ms;
constexpr std::uint32_t kSegment = 1448;
constexpr std::uint32_t kBurst = 20;  // segments, half of what the window allows by then

constexpr std::string_view kRecoveryIntroduction =
    R"(# Recovery from the loss of certain packets

How much later, in round trips, everything is delivered and acknowledged than without the loss; and how many
retransmission timeouts and tail loss probes that took. A round trip is 100 ms; 20 segments are sent at once into a
window of 40, with nothing behind them, or 140 more where it says so. Settings are the defaults, but for the
controller and a send buffer of 1 MiB that takes it all at once; bbr paces what it sends. The SYN-ACK's loss costs the
second that RFC 6298 demands before a round trip was measured, at both ends. `netsim_test` compares the figures;
`netsim_test --update` writes this page.

| controller | lost | round trips | timeouts | probes |
|---|---|---:|---:|---:|
)";

// A program at host A sends one burst behind another, and what is lost of the second is the case.
class Exchange {
 public:
  explicit Exchange(CongestionControl control)
      : net_(options(control)), text_(kBurst * kSegment), buffer_(1 << 16) {
    net_.set_on_step([this] { step(); });
    net_.set_tap([this](const sim::Sighting& s) {
      if (s.from == 0 && s.packet->tcp.flags.syn()) iss_ = s.packet->tcp.seq;
    });
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    listener_ = net_.host(1).listen(to, {}, net_.now()).value();
  }

  void loses(std::size_t from, sim::Network::Predicate predicate, std::size_t count = 1) {
    net_.drop_next(from, std::move(predicate), count);
  }
  // Segments `first` to `last` of the burst under way, `times` each.
  void loses_text(std::uint32_t first, std::uint32_t last, std::size_t times = 1) {
    for (std::uint32_t i = first; i <= last; ++i) {
      loses(
          0,
          [this, i](const wire::TcpPacket& p) {
            return p.payload_size > 0 && p.tcp.seq == begin() + i * kSegment;
          },
          times);
    }
  }
  // So many bursts follow the next one at once.
  void has_more_behind(std::uint32_t bursts) { behind_ = bursts; }
  void loses_acknowledgement_of_all() {
    loses(1, [this](const wire::TcpPacket& p) { return p.tcp.ack == begin() + kBurst * kSegment; });
  }

  Duration connect() {
    const Instant begin = net_.now();
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    client_ = net_.host(0).connect(to, {}, net_.now()).value();
    EXPECT_TRUE(net_.run_until([this] { return server_.has_value(); }, 100_s));
    return net_.now() - begin;
  }
  // Until everything is read and acknowledged.
  Duration send_burst() {
    const Instant start = net_.now();
    ++bursts_;
    const std::array<Bytes, 1> parts = {text_};
    for (std::uint32_t i = 0; i <= behind_; ++i)
      EXPECT_EQ(net_.host(0).send(client_, parts, net_.now()), text_.size());
    EXPECT_TRUE(net_.run_until(
        [this] {
          return received_ == (bursts_ + behind_) * text_.size() &&
                 net_.host(0).status(client_)->send_queue == 0;
        },
        100_s));
    EXPECT_TRUE(net_.all_dropped()) << "what should have been lost was never sent";
    return net_.now() - start;
  }
  std::uint32_t window() { return net_.host(0).status(client_)->congestion_window; }
  std::uint64_t count(Counter c) { return net_.host(0).counters()[c] + net_.host(1).counters()[c]; }

 private:
  static sim::NetworkOptions options(CongestionControl control) {
    sim::NetworkOptions o;
    o.settings.tcp_wmem = 1 << 20;
    o.settings.tcp_congestion_control = control;
    o.faults = {{.delay = kRoundTrip / 2}, {.delay = kRoundTrip / 2}};
    return o;
  }
  // The first octet of the burst under way.
  wire::SeqNum begin() const { return iss_ + 1 + (bursts_ - 1) * kBurst * kSegment; }
  void step() {
    if (!server_) {
      if (const auto accepted = net_.host(1).accept(listener_, net_.now())) server_ = *accepted;
    }
    while (net_.host(0).poll_event() || net_.host(1).poll_event()) {
    }
    const std::array<MutableBytes, 1> parts = {buffer_};
    while (server_) {
      const auto n = net_.host(1).receive(*server_, parts, net_.now());
      if (!n) return;
      received_ += *n;
    }
  }

  sim::Network net_;
  std::vector<std::byte> text_, buffer_;
  stack::Handle listener_, client_;
  std::optional<stack::Handle> server_;
  std::uint64_t received_ = 0;
  std::uint32_t bursts_ = 0, behind_ = 0;
  wire::SeqNum iss_;
};

struct Cost {
  Duration took;
  std::uint64_t timeouts = 0, probes = 0;
};

Cost of_handshake(std::size_t losses) {
  Exchange e{CongestionControl::kCubic};
  e.loses(
      1, [](const wire::TcpPacket& p) { return p.tcp.flags.syn(); }, losses);
  const Duration took = e.connect();
  return {took, e.count(Counter::kTCPTimeouts), e.count(Counter::kTCPLossProbes)};
}

Cost of_burst(CongestionControl control, const std::function<void(Exchange&)>& loss) {
  Exchange e{control};
  (void)e.connect();
  for (int i = 0; i < 3; ++i) (void)e.send_burst();
  EXPECT_GE(e.window(), 2 * kBurst * kSegment);
  const std::uint64_t timeouts = e.count(Counter::kTCPTimeouts), probes = e.count(Counter::kTCPLossProbes);
  loss(e);
  const Duration took = e.send_burst();
  return {took, e.count(Counter::kTCPTimeouts) - timeouts, e.count(Counter::kTCPLossProbes) - probes};
}

std::string line(CongestionControl control, const std::string& name, const Cost& cost, const Cost& without) {
  const std::int64_t hundredths = (cost.took - without.took).ns() * 100 / kRoundTrip.ns();
  const std::string rest = std::to_string(100 + hundredths % 100).substr(1);
  return "| " + std::string(tcp::name_of(control)) + " | " + name + " | " + std::to_string(hundredths / 100) +
         "." + rest + " | " + std::to_string(cost.timeouts) + " | " + std::to_string(cost.probes) + " |\n";
}

TEST(Recovery, TakesWhatTheTableSays) {
  std::string page{kRecoveryIntroduction};
  page += line(CongestionControl::kCubic, "SYN-ACK", of_handshake(1), of_handshake(0));
  struct Case {
    const char* name;
    std::uint64_t timeouts;  // that cannot be avoided
    std::function<void(Exchange&)> loss;
  };
  const Case cases[] = {
      {"first segment", 0, [](Exchange& e) { e.loses_text(0, 0); }},
      {"first segment and its retransmission", 1, [](Exchange& e) { e.loses_text(0, 0, 2); }},
      {"last segment", 0, [](Exchange& e) { e.loses_text(kBurst - 1, kBurst - 1); }},
      {"last segment and its retransmission", 1,
       [](Exchange& e) { e.loses_text(kBurst - 1, kBurst - 1, 2); }},
      {"last acknowledgement", 0, [](Exchange& e) { e.loses_acknowledgement_of_all(); }},
      {"first half of the burst", 0, [](Exchange& e) { e.loses_text(0, kBurst / 2 - 1); }},
      {"every other segment", 0,
       [](Exchange& e) {
         for (std::uint32_t i = 0; i < kBurst; i += 2) e.loses_text(i, i);
       }},
      {"second half of the burst", 0, [](Exchange& e) { e.loses_text(kBurst / 2, kBurst - 1); }},
      {"the whole burst, half a window", 0, [](Exchange& e) { e.loses_text(0, kBurst - 1); }},
  };
  const auto more = [](Exchange& e) { e.has_more_behind(7); };
  const Case long_cases[] = {
      {"first segment, much behind it", 0,
       [more](Exchange& e) {
         more(e);
         e.loses_text(0, 0);
       }},
      {"first segment and its retransmission, much behind it", 0,
       [more](Exchange& e) {
         more(e);
         e.loses_text(0, 0, 2);
       }},
      {"half a window, much behind it", 0,
       [more](Exchange& e) {
         more(e);
         e.loses_text(0, kBurst - 1);
       }},
      // What recovery lets out are the retransmissions alone, so nothing behind them tells of their loss.
      {"half a window and the retransmissions, much behind it", 1,
       [more](Exchange& e) {
         more(e);
         e.loses_text(0, kBurst - 1, 2);
       }},
  };
  for (const CongestionControl control : {CongestionControl::kCubic, CongestionControl::kBbr}) {
    const Cost long_without = of_burst(control, more);
    const Cost without = of_burst(control, [](Exchange&) {});
    for (const Case& c : cases) {
      const Cost cost = of_burst(control, c.loss);
      page += line(control, c.name, cost, without);
      EXPECT_LE(cost.timeouts, c.timeouts) << c.name;
    }
    for (const Case& c : long_cases) {
      const Cost cost = of_burst(control, c.loss);
      page += line(control, c.name, cost, long_without);
      EXPECT_LE(cost.timeouts, c.timeouts) << c.name;
    }
  }
  hold_page(kRecoveryPage, page);
}

}  // namespace
}  // namespace synfin::netsim
