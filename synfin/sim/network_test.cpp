// SPDX-License-Identifier: Apache-2.0
#include "synfin/sim/network.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "synfin/wire/tcp.h"

namespace synfin::sim {
namespace {

using namespace synfin::literals;

// A burst of ten segments leaves host A at one instant, behind the handshake.
class Burst {
 public:
  static constexpr std::uint32_t kSegments = 10;

  explicit Burst(const Faults& faults) : net_({.settings = settings(), .faults = {faults}}) {
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    const auto listener = net_.host(1).listen(to, {}, net_.now());
    const auto client = net_.host(0).connect(to, {}, net_.now());
    net_.run_for(1_s);
    const auto server = net_.host(1).accept(*listener, net_.now());
    EXPECT_TRUE(listener && client && server);
    began_ = net_.now();
    net_.set_tap([this](const Sighting& s) {
      if (s.from == 0 && s.packet->payload_size > 0) {
        EXPECT_EQ(s.at, began_);
        fates_.push_back(s.fate);
      }
    });
    std::uint32_t before = 0;
    net_.set_on_step([this, server, before]() mutable {
      const std::uint32_t readable = static_cast<std::uint32_t>(net_.host(1).readable(*server).value_or(0));
      if (readable > before) arrivals_.push_back(net_.now() - began_);
      before = readable;
    });
    const std::vector<std::byte> text(kSegments * kText);
    const std::array<Bytes, 1> parts = {text};
    EXPECT_EQ(net_.host(0).send(*client, parts, net_.now()), text.size());
    net_.run_for(60_ms);
  }

  const std::vector<Sighting::Fate>& fates() const { return fates_; }
  const std::vector<Duration>& arrivals() const { return arrivals_; }

 private:
  static constexpr std::uint32_t kText = 1460;  // 1500 with its headers
  static tcp::Settings settings() {
    tcp::Settings s;
    s.tcp_timestamps = false;
    return s;
  }

  Network net_;
  Instant began_;
  std::vector<Sighting::Fate> fates_;
  std::vector<Duration> arrivals_;
};

// 1500 octets at 1.5 million a second take 1 ms.
TEST(Bottleneck, LetsPacketsLeaveOneAfterTheOther) {
  const Burst burst({.delay = 20_ms, .rate = 1'500'000});
  ASSERT_EQ(burst.arrivals().size(), Burst::kSegments);
  for (std::size_t i = 0; i < Burst::kSegments; ++i)
    EXPECT_EQ(burst.arrivals()[i], 21_ms + Duration::milliseconds(static_cast<std::int64_t>(i)));
}

TEST(Bottleneck, LosesWhatFindsTheQueueFull) {
  // One in transmission, four that wait.
  const Burst burst({.delay = 20_ms, .rate = 1'500'000, .queue = 4 * 1500});
  ASSERT_EQ(burst.fates().size(), Burst::kSegments);
  for (std::size_t i = 0; i < Burst::kSegments; ++i)
    EXPECT_EQ(burst.fates()[i], i < 5 ? Sighting::Fate::kDelivered : Sighting::Fate::kLost) << i;
  EXPECT_EQ(burst.arrivals().size(), 5u);
}

TEST(Bottleneck, IsNotThereUnlessAskedFor) {
  const Burst burst({.delay = 20_ms});
  ASSERT_EQ(burst.arrivals().size(), 1u);
  EXPECT_EQ(burst.arrivals()[0], 20_ms);
}

TEST(Meddler, ChangesWhatArrivesAndNotWhatTheTapSaw) {
  Network net({});
  const wire::Endpoint to{net.address(1, wire::Family::kIpv4), 80};
  ASSERT_TRUE(net.host(1).listen(to, {}, net.now()));
  std::vector<std::uint16_t> seen;
  net.set_tap([&](const Sighting& s) { seen.push_back(s.packet->tcp.destination_port); });
  // The checksum is not mended.
  net.set_meddler([](std::size_t from, MutableBytes packet) {
    if (from == 0) store_be16(packet.data() + 22, 81);
  });
  ASSERT_TRUE(net.host(0).connect(to, {}, net.now()));
  net.run_for(500_ms);
  EXPECT_EQ(seen, std::vector<std::uint16_t>{80});
  EXPECT_EQ(net.host(1).counters()[trace::Counter::kInCsumErrors], 1u);
}

}  // namespace
}  // namespace synfin::sim
