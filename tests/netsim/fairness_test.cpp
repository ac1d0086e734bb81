// SPDX-License-Identifier: Apache-2.0
//
// How many flows share one bottleneck: the table in fairness.md.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "page.h"
#include "synfin/sim/network.h"
#include "tests/protocol/thorough.h"

namespace synfin::netsim {
namespace {

using namespace synfin::literals;
using protocol_test::kSlowBuild;
using tcp::CongestionControl;

constexpr std::string_view kFairnessPage = "fairness.md";
constexpr std::uint64_t kFairRate = 2'500'000;  // 20 Mbit/s
constexpr Duration kFairRoundTrip = 60_ms;
constexpr std::uint64_t kFairQueue = 300'000;  // two bandwidth-delay products
constexpr Duration kSettling = 10_s, kMeasured = 40_s;
constexpr std::array<std::size_t, 4> kFlows = {2, 8, 32, 64};

constexpr std::string_view kFairnessIntroduction =
    R"(# Fairness at one bottleneck

Flows that begin within a second, at one link of 20 Mbit/s with a tail-drop queue of two bandwidth-delay products; the
round trip is 60 ms. Over 40 s, behind the first 10: Jain's index of what the receiving programs got ((Σx)² / (n Σx²),
so 1 is all the same and 1/n is one flow that has everything), what all together made of the link's rate in percent
(headers take 3.5), and, where half of the flows are cubic and half are bbr, what the latter had of it. Both ends are
Synfin's with default settings, in virtual time, from one seed. `netsim_test` compares the figures;
`netsim_test --update` writes this page.

| flows | controller | Jain | used | bbr's part |
|---:|---|---:|---:|---:|
)";

// Programs at host A send to host B for as long as they may; flow i by `controls[i % size]`.
class Crowd {
 public:
  Crowd(std::span<const CongestionControl> controls, std::size_t flows)
      : net_(options()), text_(16 << 10), sent_by_(flows), received_(flows) {
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    listener_ = net_.host(1).listen(to, {.backlog = 128}, net_.now()).value();
    net_.set_on_step([this] { step(); });
    for (std::size_t i = 0; i < flows; ++i) {
      // Not all at once, and not in step.
      const Duration wait = Duration::milliseconds(net_.entropy().below(1000));
      net_.call_at(net_.now() + wait, [this, i, to, control = controls[i % controls.size()]] {
        sent_by_[i] = net_.host(0).connect(to, {.connection = {.congestion = control}}, net_.now()).value();
      });
    }
  }

  std::vector<std::uint64_t> measure() {
    net_.run_for(kSettling);
    const std::vector<std::uint64_t> before = received_;
    net_.run_for(kMeasured);
    std::vector<std::uint64_t> got(received_.size());
    for (std::size_t i = 0; i < got.size(); ++i) got[i] = received_[i] - before[i];
    return got;
  }

 private:
  static sim::NetworkOptions options() {
    sim::NetworkOptions o;
    o.faults = {{.delay = kFairRoundTrip / 2, .rate = kFairRate, .queue = kFairQueue},
                {.delay = kFairRoundTrip / 2}};
    return o;
  }
  void step() {
    while (const auto event = net_.host(0).poll_event()) {
      const std::array<Bytes, 1> parts = {text_};
      while (net_.host(0).send(event->handle, parts, net_.now())) {
      }
    }
    while (const auto event = net_.host(1).poll_event()) {
      while (const auto accepted = net_.host(1).accept(listener_, net_.now())) adopt(*accepted);
      for (const Reader& r : readers_) {
        if (r.handle == event->handle) read(r);
      }
    }
  }
  struct Reader {
    stack::Handle handle;
    std::size_t flow;
  };
  void adopt(stack::Handle handle) {
    const std::uint16_t port = net_.host(1).status(handle)->tuple.remote.port;
    for (std::size_t i = 0; i < sent_by_.size(); ++i) {
      const auto status = net_.host(0).status(sent_by_[i]);
      if (status && status->tuple.local.port == port) readers_.push_back({handle, i});
    }
    read(readers_.back());
  }
  void read(const Reader& r) {
    const std::array<MutableBytes, 1> parts = {into_};
    while (const auto n = net_.host(1).receive(r.handle, parts, net_.now())) {
      if (*n == 0) return;
      received_[r.flow] += *n;
    }
  }

  sim::Network net_;
  std::vector<std::byte> text_, into_ = std::vector<std::byte>(64 << 10);
  stack::Handle listener_;
  std::vector<stack::Handle> sent_by_;
  std::vector<Reader> readers_;
  std::vector<std::uint64_t> received_;
};

struct Sharing {
  std::uint64_t jain = 0;  // per mille, as all here
  std::uint64_t used = 0;
  std::uint64_t second = 0;  // part of the flows with the second controller
};

// In integers, so that no compiler rounds otherwise.
Sharing share(std::span<const CongestionControl> controls, std::size_t flows) {
  std::uint64_t sum = 0, squares = 0, second = 0;
  const std::vector<std::uint64_t> got = Crowd{controls, flows}.measure();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::uint64_t n = got[i] / 1000;
    sum += n;
    squares += n * n;
    if (i % controls.size() == 1) second += n;
  }
  constexpr std::uint64_t kAll = kFairRate / 1000 * static_cast<std::uint64_t>(kMeasured.ms()) / 1000;
  return {sum * sum * 1000 / (flows * squares), sum * 1000 / kAll, second * 1000 / sum};
}

std::string decimal(std::uint64_t n, std::uint64_t unit) {
  return std::to_string(n / unit) + "." + std::to_string(unit + n % unit).substr(1);
}

struct Mix {
  const char* name;
  std::vector<CongestionControl> controls;
  std::uint64_t least_jain;  // per mille, whatever the page says
};

std::string fairness_row(const Mix& mix, std::size_t flows) {
  const Sharing s = share(mix.controls, flows);
  EXPECT_GE(s.jain, mix.least_jain) << flows << " flows of " << mix.name;
  EXPECT_GE(s.used, 850u) << flows << " flows of " << mix.name;
  return "| " + std::to_string(flows) + " | " + mix.name + " | " + decimal(s.jain, 1000) + " | " +
         decimal(s.used, 10) + " | " + (mix.controls.size() > 1 ? decimal(s.second, 10) + " %" : "") + " |";
}

TEST(Fairness, IsWhatTheTableSays) {
  const Mix mixes[] = {
      {"cubic", {CongestionControl::kCubic}, 900},
      {"reno", {CongestionControl::kReno}, 900},
      {"bbr", {CongestionControl::kBbr}, 800},
      {"cubic and bbr", {CongestionControl::kCubic, CongestionControl::kBbr}, 0},
  };
  if (kSlowBuild) {
    hold_line(kFairnessPage, fairness_row(mixes[0], 8));
    return;
  }
  std::string page{kFairnessIntroduction};
  for (const Mix& mix : mixes) {
    for (const std::size_t flows : kFlows) page += fairness_row(mix, flows) + "\n";
  }
  hold_page(kFairnessPage, page);
}

}  // namespace
}  // namespace synfin::netsim
