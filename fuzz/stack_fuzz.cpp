// SPDX-License-Identifier: Apache-2.0
//
// A peer, a program and a clock that do anything at all to one stack. The input is a list of steps; segments
// take their numbers from what the stack sent last, plus a delta, so that most of them hit the window or its
// edges. Invariants: every packet that leaves can be read; one input causes a bounded number of packets; when
// program and peer have gone, nothing is left; and with and without `Config::short_paths` a stack says octet
// for octet the same.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "synfin/stack/stack.h"
#include "synfin/wire/packet.h"

namespace {

using namespace synfin;
using namespace synfin::literals;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      std::fprintf(stderr, "violated: %s (line %d)\n", #condition, __LINE__); \
      std::abort();                                                           \
    }                                                                         \
  } while (false)

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : data_[at_++]; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

class World {
 public:
  World(bool v6, bool short_paths)
      : v6_(v6), short_paths_(short_paths), entropy_(1), stack_(config(), pool_, entropy_) {
    listener_ = stack_.listen({local(), 80}, {.backlog = 4}, now_).value_or(stack::Handle{});
    CHECK(listener_);
  }

  void step(Input& in) {
    const std::uint8_t op = in.byte();
    switch (op % 12) {
      case 0:
      case 1:
      case 2:
      case 3:
        segment(in);
        break;
      case 4:
        now_ = now_ + Duration::milliseconds(std::int64_t{1} << (in.byte() % 18));
        stack_.advance(now_);
        break;
      case 5:
        if (connections_.size() < 8) {
          const auto c = stack_.connect(
              {remote(), 81}, {.local = {local(), static_cast<std::uint16_t>(2000 + in.byte() % 4)}}, now_);
          if (c) connections_.push_back(*c);
        }
        break;
      case 6:
        if (const auto c = stack_.accept(listener_, now_)) connections_.push_back(*c);
        break;
      case 7:
        call(in);
        break;
      case 8:
        raw(in);
        break;
      case 9:
        settings(in);
        break;
      case 10:
        stream(in);
        break;
      case 11:
        write_much(in);
        break;
    }
    drain();
  }

  // Both sides go away; whatever the state, time alone must clear it up.
  void finish() {
    for (const stack::Handle c : connections_) stack_.close(c, now_);
    stack_.close(listener_, now_);
    drain();
    for (int i = 0; i < 100'000 && !stack_.next_deadline().is_never(); ++i) {
      now_ = std::max(now_, stack_.next_deadline());
      stack_.advance(now_);
      drain();
    }
    const stack::Population left = stack_.population();
    CHECK(left.connections == 0 && left.half_open == 0 && left.time_wait == 0 && left.listeners == 0 &&
          left.armed_timers == 0);
    CHECK(pool_.bytes_in_use() == 0);
  }

  /// All that left the stack, in order: packets and events.
  const std::vector<std::uint8_t>& said() const { return said_; }

 private:
  // A burst is bounded by the largest window and the buffers; far more would be two ends answering each
  // other.
  static constexpr std::size_t kMostPacketsAStep = 3000;

  static tcp::Options options(Input& in, std::size_t size) {
    const auto time = [&] { return Duration::milliseconds(std::int64_t{in.byte()} * 64); };
    tcp::Options o;
    o.keepalive = (size & 16) != 0;
    o.no_delay = (size & 32) != 0;
    o.cork = (size & 64) != 0;
    o.user_timeout = time();
    o.keepalive_time = time();
    o.keepalive_probes = in.byte() % 4;
    o.fin_timeout = time();
    if ((size & 128) != 0) o.linger = time();
    return o;
  }

  stack::Config config() const {
    stack::Config c;
    c.addresses = {{local(), static_cast<std::uint8_t>(v6_ ? 64 : 24)}};
    c.short_paths = short_paths_;
    c.settings.tcp_wmem = 65536;
    c.settings.tcp_rmem = 65536;
    return c;
  }
  wire::IpAddress local() const { return *wire::IpAddress::parse(v6_ ? "fd77::2" : "10.77.0.2"); }
  wire::IpAddress remote() const { return *wire::IpAddress::parse(v6_ ? "fd77::1" : "10.77.0.1"); }

  void segment(Input& in) {
    wire::TcpHeader h;
    const std::uint8_t who = in.byte();
    h.source_port = (who & 1) != 0 ? 81 : static_cast<std::uint16_t>(1000 + (who >> 1) % 3);
    h.destination_port = (who & 1) != 0 ? static_cast<std::uint16_t>(2000 + (who >> 1) % 4) : 80;
    h.flags = wire::Flags{in.byte()};
    const auto delta = [&]() -> std::uint32_t {
      const std::uint8_t b = in.byte();
      const auto small = static_cast<std::uint32_t>(static_cast<std::int8_t>(b) / 4);
      return (b & 3) == 0 ? 0 : (b & 3) == 1 ? small : small << 12;
    };
    const Seen& seen = seen_[(who >> 1) % seen_.size()];
    h.seq = seen.expected + delta();
    h.ack = seen.next + delta();
    h.window = {static_cast<std::uint16_t>(in.byte() << (in.byte() % 9))};
    const std::uint8_t options = in.byte();
    if ((options & 1) != 0) {
      h.options.present |= wire::TcpOptions::kTimestamps;
      h.options.timestamps = {seen.stamp + in.byte(), seen.stamp};
    }
    if (h.flags.syn() && (options & 2) != 0) {
      h.options.present |=
          wire::TcpOptions::kMss | wire::TcpOptions::kWindowScale | wire::TcpOptions::kSackPermitted;
      h.options.mss = static_cast<std::uint16_t>(in.byte() << (options >> 5));
      h.options.window_scale = in.byte() % 16;
    }
    const std::size_t size = std::size_t{in.byte()} << (in.byte() % 5);
    wire::Frame frame;
    const std::vector<std::byte> text(std::min<std::size_t>(size, 1400), std::byte{'x'});
    if (!text.empty()) frame.add(pool_.copy(text));
    wire::IpHeader ip;
    ip.source = remote();
    ip.destination = local();
    ip.protocol = wire::protocol::kTcp;
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    stack_.receive(std::span{&frame, 1}, now_);
  }

  // Segments that follow one another, in one batch, most of them alike.
  void stream(Input& in) {
    const std::uint8_t who = in.byte();
    const Seen& seen = seen_[who % seen_.size()];
    std::array<wire::Frame, 24> frames;
    const std::size_t count = 1 + in.byte() % frames.size();
    const std::uint8_t kind = in.byte();
    wire::TcpHeader h;
    const bool passive = (who & 64) == 0;
    h.source_port = passive ? static_cast<std::uint16_t>(1000 + who % 4) : std::uint16_t{81};
    h.destination_port = passive ? std::uint16_t{80} : static_cast<std::uint16_t>(2000 + who % 4);
    h.seq = seen.expected;
    h.ack = seen.next;
    h.window = {0x4000};
    h.flags = wire::Flags{wire::Flags::kAck};
    if ((kind & 1) != 0) {
      h.options.present |= wire::TcpOptions::kTimestamps;
      h.options.timestamps = {seen.stamp + 1, seen.stamp};
    }
    const std::size_t size = std::size_t{in.byte()} * 6 % 1401;
    for (std::size_t i = 0; i < count; ++i) {
      // Now and then one of them differs in something.
      const std::uint8_t twist = (kind & 2) != 0 ? in.byte() : std::uint8_t{0};
      wire::TcpHeader one = h;
      if (twist >= 200)
        one.flags = wire::Flags{static_cast<std::uint8_t>(wire::Flags::kAck | (twist & 0x29))};
      if (twist >= 190 && twist < 200) one.window = {std::uint16_t{twist}};
      if (twist >= 180 && twist < 190) one.ack += twist - 185u;
      if (twist >= 170 && twist < 180) one.options.timestamps.value += twist - 175u;
      if (twist >= 160 && twist < 170) one.seq += twist - 165u;
      const std::vector<std::byte> text(twist >= 150 && twist < 160 ? twist : size, std::byte{twist});
      if (!text.empty()) frames[i].add(pool_.copy(text));
      wire::IpHeader ip;
      ip.source = remote();
      ip.destination = local();
      ip.protocol = wire::protocol::kTcp;
      if (twist >= 140 && twist < 150) ip.traffic_class = twist & 3;
      wire::emit_tcp_packet(ip, one, frames[i], wire::FillChecksum::kYes);
      if (twist >= 135 && twist < 140) frames[i].header[twist - 120u] ^= std::byte{1};
      h.seq += static_cast<std::uint32_t>(text.size());
    }
    stack_.receive(std::span{frames}.first(count), now_);
  }

  void write_much(Input& in) {
    if (connections_.empty()) return;
    const stack::Handle c = connections_[in.byte() % connections_.size()];
    std::vector<std::byte> text(std::size_t{in.byte()} * 256);
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<std::byte>(i * 7);
    const Bytes out{text};
    (void)stack_.send(c, std::span{&out, 1}, now_);
  }

  void raw(Input& in) {
    std::array<std::byte, 80> bytes{};
    for (std::byte& b : bytes) b = std::byte{in.byte()};
    wire::Frame frame;
    frame.add(pool_.copy(bytes));
    stack_.receive(std::span{&frame, 1}, now_);
  }

  void call(Input& in) {
    if (connections_.empty()) return;
    const std::size_t which = in.byte() % connections_.size();
    const stack::Handle c = connections_[which];
    std::array<std::byte, 4096> buffer{};
    const std::size_t size = std::size_t{in.byte()} * 16;
    const Bytes out{buffer.data(), size};
    const MutableBytes into{buffer.data(), size};
    switch (in.byte() % 9) {
      case 0:
      case 1:
        (void)stack_.send(c, std::span{&out, 1}, now_);
        break;
      case 2:
      case 3:
        (void)stack_.receive(c, std::span{&into, 1}, now_);
        break;
      case 4:
        (void)stack_.shutdown(c, stack::Shutdown::kSend, now_);
        break;
      case 5:
        (void)stack_.shutdown(c, stack::Shutdown::kReceive, now_);
        break;
      case 6:
        (void)stack_.set_options(c, options(in, size), now_);
        break;
      case 7:
        stack_.close(c, now_);
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      case 8:
        stack_.abort(c, now_);
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(which));
        break;
    }
  }

  void settings(Input& in) {
    tcp::Settings& s = stack_.settings();
    const std::uint8_t b = in.byte();
    s.tcp_abort_on_overflow = (b & 1) != 0;
    s.tcp_timestamps = (b & 2) == 0;
    s.tcp_window_scaling = (b & 4) == 0;
    s.tcp_sack = (b & 8) == 0;
    s.tcp_rfc1337 = (b & 16) != 0;
    s.tcp_max_tw_buckets = (b & 32) != 0 ? 1 : 100;
  }

  void drain() {
    std::array<wire::Frame, 32> out;
    std::size_t packets = 0;
    while (const std::size_t n = stack_.transmit(out, now_)) {
      packets += n;
      CHECK(packets < kMostPacketsAStep);
      for (std::size_t i = 0; i < n; ++i) look_at(out[i]);
    }
    CHECK(!stack_.has_output());
    int events = 0;
    while (const auto event = stack_.poll_event()) {
      CHECK(++events < 100);
      said_.push_back(static_cast<std::uint8_t>(event->what));
      said_.push_back(static_cast<std::uint8_t>(event->what >> 8));
    }
  }

  void look_at(const wire::Frame& frame) {
    const std::size_t at = said_.size();
    said_.resize(at + frame.size());
    frame.copy_out(0, std::as_writable_bytes(std::span{said_}.subspan(at)));
    CHECK(frame.size() <= 1500);
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    CHECK(ip.has_value());
    if (ip->header.protocol != wire::protocol::kTcp) return;
    const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes);
    CHECK(packet.has_value());
    const bool active = packet->tcp.destination_port == 81;
    const std::uint16_t index = active ? packet->tcp.source_port - 2000 : packet->tcp.destination_port - 1000;
    Seen& seen = seen_[index % seen_.size()];
    if (packet->tcp.flags.rst()) return;
    seen.next = packet->tcp.seq + static_cast<std::uint32_t>(packet->payload_size) +
                (packet->tcp.flags.syn() || packet->tcp.flags.fin() ? 1u : 0u);
    if (packet->tcp.flags.ack()) seen.expected = packet->tcp.ack;
    if (packet->tcp.options.has(wire::TcpOptions::kTimestamps))
      seen.stamp = packet->tcp.options.timestamps.value;
  }

  struct Seen {
    wire::SeqNum next{0};                // what the stack would be acknowledged
    wire::SeqNum expected{0xffff'fff0};  // what it expects
    std::uint32_t stamp = 0;
  };

  bool v6_;
  bool short_paths_;
  std::vector<std::uint8_t> said_;
  wire::BlockPool pool_;
  SeededEntropy entropy_;
  Instant now_ = Instant::from_ns(1'000'000'000);
  stack::Stack stack_;
  stack::Handle listener_;
  std::vector<stack::Handle> connections_;
  std::array<Seen, 4> seen_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> said[2];
  for (const bool short_paths : {false, true}) {
    Input in{data, size};
    World world{(in.byte() & 1) != 0, short_paths};
    while (!in.empty()) world.step(in);
    world.finish();
    said[short_paths ? 1 : 0] = world.said();
  }
  CHECK(said[0] == said[1]);
  return 0;
}
