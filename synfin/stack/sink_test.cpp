// SPDX-License-Identifier: Apache-2.0
//
// What a sink is told that wants packets, and one that does not.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/stack/stack.h"

namespace synfin::stack {
namespace {

using trace::Event;
using trace::EventKind;

struct Told {
  EventKind kind;
  trace::State from, to;
  trace::Reason reason;
  friend bool operator==(const Told&, const Told&) = default;
};

class Listening final : public trace::Sink {
 public:
  explicit Listening(bool wants_packets) : packets_(wants_packets) {}
  void on_event(const Event& e) override {
    const bool packet = e.kind == EventKind::kSegmentReceived || e.kind == EventKind::kSegmentSent ||
                        e.kind == EventKind::kPacketReceived || e.kind == EventKind::kPacketSent;
    if (packet) {
      ++packets;
    } else {
      others.push_back({e.kind, e.from, e.to, e.reason});
    }
  }
  bool wants_packets() const override { return packets_; }

  std::size_t packets = 0;
  std::vector<Told> others;

 private:
  bool packets_;
};

Config config(const char* address) {
  Config c;
  c.addresses = {*wire::Prefix::parse(address)};
  return c;
}

// A connection from SYN to TIME-WAIT with 100,000 octets on it; how many arrived.
std::size_t play(trace::Sink& client_sink, trace::Sink& server_sink) {
  wire::BlockPool pool;
  SeededEntropy entropy{1};
  Stack client{config("10.77.0.1/24"), pool, entropy, &client_sink};
  Stack server{config("10.77.0.2/24"), pool, entropy, &server_sink};
  const Instant now = Instant::from_ns(1'000'000'000);
  std::array<wire::Frame, 64> frames;
  const auto carry = [&](Stack& from, Stack& to) {
    const std::size_t n = from.transmit(frames, now);
    to.receive(std::span{frames}.first(n), now);
    return n;
  };
  const auto settle = [&] {
    while (carry(client, server) + carry(server, client) > 0) {
    }
  };
  const wire::Endpoint at{server.config().addresses[0].address, 80};
  const Handle listener = *server.listen(at, {}, now);
  const Handle c = *client.connect(at, {}, now);
  settle();
  const Handle s = *server.accept(listener, now);
  const std::vector<std::byte> text(100'000);
  std::vector<std::byte> read(text.size());
  std::size_t sent = 0, got = 0;
  while (got < text.size()) {
    const Bytes rest = Bytes{text}.subspan(sent);
    if (!rest.empty()) sent += client.send(c, std::span{&rest, 1}, now).value_or(0);
    settle();
    const MutableBytes into{read};
    const auto n = server.receive(s, std::span{&into, 1}, now);
    if (!n || *n == 0) break;
    got += *n;
  }
  client.close(c, now);
  settle();
  server.close(s, now);
  settle();
  return got;
}

TEST(Sink, ThatWantsNoPacketsIsToldOfAllElse) {
  Listening all_client{true}, all_server{true}, some_client{false}, some_server{false};
  EXPECT_EQ(play(all_client, all_server), 100'000u);
  EXPECT_EQ(play(some_client, some_server), 100'000u);
  EXPECT_GT(all_client.packets, 100'000u / 1460);
  EXPECT_EQ(some_client.packets + some_server.packets, 0u);
  EXPECT_GE(all_client.others.size(), 6u);
  EXPECT_EQ(some_client.others, all_client.others);
  EXPECT_EQ(some_server.others, all_server.others);
}

TEST(Sink, OfTwoThatOneWantsPacketsIsEnough) {
  Listening packets{true}, none{false};
  EXPECT_TRUE(trace::Fork(&packets, &none).wants_packets());
  EXPECT_TRUE(trace::Fork(nullptr, &packets).wants_packets());
  EXPECT_FALSE(trace::Fork(&none, nullptr).wants_packets());
  EXPECT_FALSE(trace::Fork(nullptr, nullptr).wants_packets());
}

}  // namespace
}  // namespace synfin::stack
