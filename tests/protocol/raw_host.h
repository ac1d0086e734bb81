// SPDX-License-Identifier: Apache-2.0
//
// One stack and raw segments from anywhere: for what ladders have no words for, such as many peers, Fast Open
// cookies, congestion marks, ICMP and listeners with options. Virtual time; every test runs for both families
// and ends with a look at whether all memory, records and timers came back.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol_test_support.h"
#include "synfin/wire/icmp.h"
#include "synfin/wire/packet.h"

namespace synfin::protocol_test {

using stack::Handle;
using stack::ListenOptions;
using wire::Flags;
using wire::TcpHeader;
using wire::TcpOptions;

/// A packet that the stack sent.
struct Packet {
  Instant at;
  wire::IpHeader ip;
  TcpHeader tcp;
  std::string text;
  std::optional<wire::IcmpMessage> icmp;

  std::uint8_t flags() const { return tcp.flags.bits(); }
  std::uint8_t flags_without_push() const { return static_cast<std::uint8_t>(flags() & ~Flags::kPsh); }
};

class RawHost : public testing::TestWithParam<wire::Family> {
 protected:
  static constexpr std::uint32_t kPeerIss = 5000;
  /// A tick of the timing wheel and its rounding.
  static constexpr Duration kSlack = Duration::milliseconds(8);

  static stack::Config config() {
    stack::Config c;
    c.addresses = {*wire::Prefix::parse("10.77.0.2/24"), *wire::Prefix::parse("10.77.0.3/24"),
                   *wire::Prefix::parse("fd77::2/64"), *wire::Prefix::parse("fd77::3/64")};
    // As in ladders.
    c.settings.tcp_rmem = c.settings.tcp_wmem = 1 << 20;
    return c;
  }
  bool v4() const { return GetParam() == wire::Family::kIpv4; }
  wire::Endpoint own(std::uint16_t port = 80) const {
    return {config().addresses[v4() ? 0 : 2].address, port};
  }
  wire::Endpoint peer(std::uint32_t n = 1, std::uint16_t port = 40'000) const {
    if (v4()) return {wire::IpAddress::v4(0x0a4e'0000u + n), port};
    std::array<std::byte, 16> octets{std::byte{0xfd}, std::byte{0x78}};
    store_be32(octets.data() + 12, n);
    return {wire::IpAddress::from_v6_octets(octets.data()), port};
  }

  // Segments of peers.

  static TcpHeader header(std::uint8_t flags, std::uint32_t seq, wire::SeqNum ack = {}) {
    TcpHeader h;
    h.flags = flags;
    h.seq = wire::SeqNum{seq};
    h.ack = ack;
    h.window = {65'535};
    return h;
  }
  static TcpHeader syn(std::uint32_t seq = kPeerIss) {
    TcpHeader h = header(SYN, seq);
    h.options.present = TcpOptions::kMss;
    h.options.mss = 1400;
    return h;
  }
  /// The third segment that answers `syn_ack`, or another with these flags.
  static TcpHeader third(const TcpHeader& syn_ack, std::uint8_t flags = ACK) {
    return header(flags, syn_ack.ack.raw(), syn_ack.seq + 1);
  }
  static void stamp(TcpHeader& h, std::uint32_t value, std::uint32_t echo = 0) {
    h.options.present |= TcpOptions::kTimestamps;
    h.options.timestamps = {value, echo};
  }

  /// From `from` to `to`; unset: this host's port 80.
  void gives(const wire::Endpoint& from, TcpHeader h, std::string_view text = {}, bool marked = false,
             std::optional<wire::Endpoint> to = {}) {
    const wire::Endpoint destination = to.value_or(own());
    h.source_port = from.port;
    h.destination_port = destination.port;
    wire::IpHeader ip;
    ip.source = from.address;
    ip.destination = destination.address;
    ip.protocol = wire::protocol::kTcp;
    ip.traffic_class = marked ? wire::ecn::kMarked : codepoint_;
    wire::Frame frame;
    if (!text.empty()) frame.add(pool_.copy(std::as_bytes(std::span{text})));
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    stack_.receive(std::span{&frame, 1}, now_);
    collect();
  }
  /// An ICMP error from the peer about a segment that the stack sent.
  void gives_error(wire::IcmpKind kind, const Packet& about) {
    wire::Frame quoted;
    wire::emit_tcp_packet(about.ip, about.tcp, quoted, wire::FillChecksum::kYes);
    auto frame = wire::make_icmp_error(kind, about.ip.destination, about.ip, quoted, pool_);
    ASSERT_TRUE(frame);
    stack_.receive(std::span{&*frame, 1}, now_);
    collect();
  }

  // What the stack sends.

  void collect() {
    std::array<wire::Frame, 16> frames;
    while (const std::size_t n = stack_.transmit(frames, now_)) {
      for (std::size_t i = 0; i < n; ++i) sent_.push_back(read(frames[i]));
    }
    while (const auto event = stack_.poll_event()) events_.emplace_back(event->handle, event->what);
  }
  /// Everything since last asked.
  std::vector<Packet> sent() {
    collect();
    return std::exchange(sent_, {});
  }
  /// The one packet since last asked.
  Packet only() {
    const std::vector<Packet> all = sent();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? Packet{} : all.front();
  }
  void sends_nothing() { EXPECT_TRUE(sent().empty()); }

  void runs_for(Duration d) {
    const Instant end = now_ + d;
    collect();
    while (stack_.next_deadline() <= end) {
      now_ = std::max(now_, stack_.next_deadline());
      stack_.advance(now_);
      collect();
    }
    now_ = end;
  }
  /// Seconds from `since` to each packet since last asked, rounded.
  std::vector<std::int64_t> seconds_of_sending(Instant since) {
    std::vector<std::int64_t> times;
    for (const Packet& p : sent()) times.push_back((p.at - since + Duration::milliseconds(500)).ms() / 1000);
    return times;
  }

  // The program.

  Handle listens(const ListenOptions& options = {}) {
    const auto listener = stack_.listen(own(), options, now_);
    EXPECT_TRUE(listener);
    return *listener;
  }
  Handle accepts(Handle listener) {
    const auto connection = stack_.accept(listener, now_);
    if (!connection) {
      ADD_FAILURE() << "accept: " << tcp::message(connection.error());
      return {};
    }
    return keep(*connection);
  }
  void accepts_nothing(Handle listener) {
    const auto none = stack_.accept(listener, now_);
    EXPECT_TRUE(!none && none.error() == Error::kWouldBlock);
  }
  Handle connects(const wire::Endpoint& to, bool fast_open = false) {
    const auto connection = stack_.connect(to, {.fast_open = fast_open}, now_);
    if (!connection) {
      ADD_FAILURE() << "connect: " << tcp::message(connection.error());
      return {};
    }
    return keep(*connection);
  }
  void writes(Handle connection, std::string_view text) {
    const Bytes bytes = std::as_bytes(std::span{text});
    EXPECT_EQ(stack_.send(connection, std::span{&bytes, 1}, now_), text.size());
  }
  std::string reads(Handle connection) {
    std::string text(4096, '\0');
    const MutableBytes into = std::as_writable_bytes(std::span{text});
    const auto n = stack_.receive(connection, std::span{&into, 1}, now_);
    text.resize(n.value_or(0));
    return text;
  }
  /// All that was told of it since last asked.
  std::uint16_t events(Handle handle) {
    collect();
    std::uint16_t bits = 0;
    std::erase_if(events_, [&](const auto& e) {
      if (e.first == handle) bits |= e.second;
      return e.first == handle;
    });
    return bits;
  }

  // Ways to get there.

  /// A SYN from there; what answered it.
  Packet knocks(const wire::Endpoint& from, const TcpHeader& h = syn(), std::string_view text = {}) {
    gives(from, h, text);
    return only();
  }
  void completes(const wire::Endpoint& from) { gives(from, third(knocks(from).tcp)); }

  State state(const wire::Endpoint& from) const { return stack_.state_of({own(), from}); }
  std::size_t half_open() const { return stack_.population().half_open; }
  std::uint64_t count(Counter c) const { return stack_.counters()[c]; }
  std::uint64_t count(Reason r) const { return stack_.counters()[r]; }
  Handle keep(Handle handle) {
    kept_.push_back(handle);
    return handle;
  }

  void TearDown() override {
    (void)sent();
    stack_.shut_down(now_);
    for (const Handle h : kept_) stack_.close(h, now_);
    (void)sent();
    const stack::Population left = stack_.population();
    EXPECT_EQ(left.connections + left.half_open + left.held + left.time_wait + left.listeners, 0u);
    EXPECT_EQ(left.armed_timers, 0u);
    EXPECT_EQ(pool_.bytes_in_use(), 0u);
  }

  static Packet read_packet(const wire::Frame& frame, Instant at) {
    Packet p;
    p.at = at;
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    EXPECT_TRUE(ip);
    if (!ip) return p;
    p.ip = ip->header;
    if (ip->header.protocol != wire::protocol::kTcp) {
      const auto icmp = wire::parse_icmp(ip->header, frame, ip->header_size, ip->payload_size);
      EXPECT_TRUE(icmp);
      if (icmp) p.icmp = *icmp;
      return p;
    }
    const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes);
    EXPECT_TRUE(packet);
    if (!packet) return p;
    p.tcp = packet->tcp;
    p.text.resize(packet->payload_size);
    frame.copy_out(packet->payload_offset, std::as_writable_bytes(std::span{p.text}));
    return p;
  }
  Packet read(wire::Frame& frame) const {
    Packet p = read_packet(frame, now_);
    frame.clear();
    return p;
  }

  wire::BlockPool pool_;
  SeededEntropy entropy_{7};
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  stack::Stack stack_{config(), pool_, entropy_};
  std::vector<Packet> sent_;
  std::vector<std::pair<Handle, std::uint16_t>> events_;
  std::vector<Handle> kept_;
  std::uint8_t codepoint_ = wire::ecn::kNotCapable;  // of what peers send
};

/// Instantiates a suite for both families.
#define RAW_HOST_SUITE(suite)                                                                          \
  INSTANTIATE_TEST_SUITE_P(Families, suite, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6), \
                           [](auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; })

}  // namespace synfin::protocol_test
