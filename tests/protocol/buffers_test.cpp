// SPDX-License-Identifier: Apache-2.0
//
// Buffers that grow with what they carry, as long transfers over a path show it, in virtual time. Whatever
// happens, the right edge of the window must not move to the left (RFC 9293 SHLD-14): every test looks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "synfin/sim/network.h"
#include "synfin/tcp/info.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Sighting;
using stack::Handle;

constexpr std::uint64_t kHundredMegabits = 12'500'000;  // octets a second

struct Tuned {
  Duration round_trip = 100_ms;
  std::uint64_t rate = kHundredMegabits;
  tcp::Settings settings{};
  tcp::Options sender{}, receiver{};
  std::uint32_t loss = 0;
  std::uint64_t seed = 1;
};

/// Host A writes for as long as it may. Host B reads all there is, or `bite` octets each `rest`.
class TunedTransfer {
 public:
  explicit TunedTransfer(const Tuned& t, std::uint32_t bite = 0, Duration rest = {})
      : buffer_(256 << 10), bite_(bite), rest_(rest), net_(options(t)) {
    net_.set_tap([this](const Sighting& s) { see(s); });
    net_.set_on_step([this] { step(); });
    const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
    listener_ = net_.host(1).listen(to, {.connection = t.receiver}, net_.now()).value();
    client_ = net_.host(0).connect(to, {.connection = t.sender}, net_.now()).value();
    if (bite_ > 0) net_.call_at(net_.now() + rest_, [this] { bites(); });
  }

  void run_until_received(std::uint64_t octets) {
    EXPECT_TRUE(net_.run_until([&] { return received_ >= octets; }, 1000_s)) << received_ << " received";
  }
  void run_for(Duration d) { net_.run_for(d); }
  /// Of the link's rate, in percent, while octets `from` to `to` arrive.
  double share(std::uint64_t from, std::uint64_t to, std::uint64_t rate) {
    run_until_received(from);
    const Instant begin = net_.now();
    const std::uint64_t before = received_;
    run_until_received(to);
    return 100.0 * static_cast<double>(received_ - before) / (net_.now() - begin).as_seconds() /
           static_cast<double>(rate);
  }
  stack::Status sender() { return net_.host(0).status(client_).value_or(stack::Status{}); }
  stack::Status receiver() { return net_.host(1).status(*server_).value_or(stack::Status{}); }
  tcp::Info info() { return net_.host(1).info(*server_, net_.now()).value_or(tcp::Info{}); }
  std::uint64_t received() const { return received_; }
  std::uint32_t most_not_sent() const { return most_not_sent_; }
  std::array<std::uint8_t, 2> scales() const { return scales_; }
  std::uint32_t largest_window() const { return largest_window_; }

 private:
  static sim::NetworkOptions options(const Tuned& t) {
    sim::NetworkOptions o;
    o.seed = t.seed;
    o.settings = t.settings;
    const auto product = static_cast<std::uint64_t>(static_cast<double>(t.rate) * t.round_trip.as_seconds());
    o.faults = {{.loss = t.loss,
                 .delay = t.round_trip / 2,
                 .rate = t.rate,
                 .queue = std::max<std::uint64_t>(product, 64 << 10)},
                {.delay = t.round_trip / 2}};
    return o;
  }
  void see(const Sighting& s) {
    if (s.packet == nullptr) return;
    const wire::TcpHeader& h = s.packet->tcp;
    if (h.flags.syn()) {
      scales_[s.from] = h.options.window_scale;
      return;
    }
    if (s.from == 0) return;
    const std::uint32_t window = std::uint32_t{h.window.field} << scales_[1];
    largest_window_ = std::max(largest_window_, window);
    const wire::SeqNum edge = h.ack + window;
    if (edge_) {
      EXPECT_FALSE(edge.before(*edge_)) << "the right edge moved left by " << *edge_ - edge;
    }
    edge_ = edge;
  }
  void step() {
    for (std::size_t host = 0; host < 2; ++host) {
      while (const auto event = net_.host(host).poll_event()) {
        if (event->handle == listener_ && !server_)
          server_ = net_.host(1).accept(listener_, net_.now()).value();
        if (host == 0) write();
      }
    }
    if (server_ && bite_ == 0) read(buffer_.size());
  }
  void write() {
    const std::array<Bytes, 1> parts = {std::span{buffer_}.first(16 << 10)};
    while (net_.host(0).send(client_, parts, net_.now())) {
    }
    most_not_sent_ = std::max(most_not_sent_, sender().not_sent);
  }
  void read(std::size_t most) {
    const std::array<MutableBytes, 1> parts = {std::span{buffer_}.first(most)};
    while (const auto n = net_.host(1).receive(*server_, parts, net_.now())) {
      received_ += *n;
      if (*n == 0 || bite_ > 0) return;
    }
  }
  void bites() {
    if (server_) read(bite_);
    net_.call_at(net_.now() + rest_, [this] { bites(); });
  }

  std::vector<std::byte> buffer_;
  std::uint32_t bite_;
  Duration rest_;
  sim::Network net_;
  Handle listener_, client_;
  std::optional<Handle> server_;
  std::uint64_t received_ = 0;
  std::uint32_t most_not_sent_ = 0, largest_window_ = 0;
  std::array<std::uint8_t, 2> scales_{};
  std::optional<wire::SeqNum> edge_;
};

TEST(BufferTuning, FillsAHundredMegabitsAtAnyRoundTripWithTheDefaults) {
  for (const Duration round_trip : {1_ms, 20_ms, 100_ms, 300_ms}) {
    for (const bool timestamps : {true, false}) {
      SCOPED_TRACE(testing::Message() << round_trip.ms() << " ms, timestamps " << timestamps);
      Tuned t{.round_trip = round_trip};
      t.settings.tcp_timestamps = timestamps;
      TunedTransfer transfer(t);
      EXPECT_GT(transfer.share(48 << 20, 80 << 20, t.rate), 90.0);
      const auto product = static_cast<std::uint32_t>(static_cast<double>(t.rate) * round_trip.as_seconds());
      EXPECT_GE(transfer.receiver().receive_buffer, product);
      EXPECT_LE(transfer.receiver().receive_buffer, t.settings.tcp_rmem.max);
      EXPECT_GE(transfer.sender().send_buffer, product);
      EXPECT_LE(transfer.sender().send_buffer, t.settings.tcp_wmem.max);
      if (round_trip == 1_ms) {
        EXPECT_LE(transfer.receiver().receive_buffer, t.settings.tcp_rmem.max / 2)
            << "no more than the path needs";
      }
      // The round trip of the path, and what waits in its queue.
      EXPECT_GE(transfer.info().rcv_rtt, round_trip);
      EXPECT_LE(transfer.info().rcv_rtt, round_trip * 3 + 6_ms);
      EXPECT_GT(transfer.info().rcv_space, product / 2);
    }
  }
}

TEST(BufferTuning, StopsAtTheMaximum) {
  Tuned t{.round_trip = 100_ms};
  t.settings.tcp_rmem = {4096, 65'536, 400'000};
  t.settings.tcp_wmem = {4096, 16'384, 600'000};
  TunedTransfer transfer(t);
  transfer.run_until_received(16 << 20);
  EXPECT_EQ(transfer.receiver().receive_buffer, 400'000u);
  EXPECT_LE(transfer.sender().send_buffer, 600'000u);
  EXPECT_GE(transfer.largest_window(), 390'000u);
  EXPECT_LE(transfer.largest_window(), 400'000u + (1u << transfer.scales()[1]));
  EXPECT_EQ(transfer.info().rcv_ssthresh, 400'000u);
}

TEST(BufferTuning, ASlowReaderIsNotTuned) {
  const Tuned t{.round_trip = 20_ms};
  // A megabit a second, in small bites or all that the buffer holds at once.
  for (const std::uint32_t bite : {1250u, 125'000u}) {
    SCOPED_TRACE(bite);
    TunedTransfer transfer(t, bite, Duration::microseconds(std::int64_t{bite} * 8));
    transfer.run_for(120_s);
    EXPECT_GT(transfer.received(), 10'000'000u);
    EXPECT_EQ(transfer.receiver().receive_buffer, t.settings.tcp_rmem.initial);
  }
}

TEST(BufferTuning, ASizeThatTheProgramChoseStays) {
  Tuned t{.round_trip = 50_ms};
  t.sender.send_buffer = 100'000;
  t.receiver.receive_buffer = 150'000;
  TunedTransfer transfer(t);
  transfer.run_until_received(8 << 20);
  EXPECT_EQ(transfer.sender().send_buffer, 100'000u);
  EXPECT_EQ(transfer.receiver().receive_buffer, 150'000u);
  EXPECT_LE(transfer.largest_window(), 150'000u + 127u);
}

TEST(BufferTuning, OneNumberInTheSettingsStaysToo) {
  Tuned t{.round_trip = 50_ms};
  t.settings.tcp_rmem = 200'000;
  t.settings.tcp_wmem = 100'000;
  TunedTransfer transfer(t);
  transfer.run_until_received(8 << 20);
  EXPECT_EQ(transfer.sender().send_buffer, 100'000u);
  EXPECT_EQ(transfer.receiver().receive_buffer, 200'000u);
}

TEST(BufferTuning, IsOffWhereTheSettingSaysSo) {
  Tuned t{.round_trip = 50_ms};
  t.settings.tcp_moderate_rcvbuf = false;
  TunedTransfer transfer(t);
  transfer.run_until_received(8 << 20);
  EXPECT_EQ(transfer.receiver().receive_buffer, t.settings.tcp_rmem.initial);
}

TEST(BufferTuning, TheScaleInTheSynAllowsForTheMaximum) {
  for (const std::uint32_t most : {65'535u, 65'536u, 6u << 20, 1u << 30}) {
    SCOPED_TRACE(most);
    Tuned t;
    t.settings.tcp_rmem = {4096, 65'535, most};
    TunedTransfer transfer(t);
    transfer.run_until_received(1);
    for (const std::uint8_t scale : transfer.scales()) {
      EXPECT_GE((std::uint64_t{0xffff} << scale) + (1u << scale), most) << int{scale};
      if (scale > 0) {
        EXPECT_LT(std::uint64_t{0xffff} << (scale - 1), most) << "and for no more";
      }
    }
  }
}

// What waits in the stack's queue is bounded, and the path is filled all the same.
TEST(BufferTuning, TheLowWaterMarkOfWhatIsNotSentBoundsIt) {
  Tuned t{.round_trip = 100_ms};
  t.sender.notsent_lowat = 128 << 10;
  TunedTransfer transfer(t);
  EXPECT_GT(transfer.share(16 << 20, 32 << 20, t.rate), 90.0);
  EXPECT_GE(transfer.sender().send_buffer, 1'250'000u);
}

// Losses make what is read come in lumps and the round trip look longer; the edge stays where it is.
TEST(BufferTuning, LossesMoveNoEdgeToTheLeft) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Tuned t{.round_trip = 40_ms, .loss = 10'000, .seed = seed};
    TunedTransfer transfer(t, seed % 2 == 0 ? 30'000 : 0, 10_ms);
    transfer.run_until_received(2 << 20);
    EXPECT_LE(transfer.receiver().receive_buffer, t.settings.tcp_rmem.max);
  }
}

}  // namespace
}  // namespace synfin::protocol_test
