// SPDX-License-Identifier: Apache-2.0
//
// Events written by hand for tests of the views: one connection told from outside, in relative sequence
// numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "synfin/trace/event.h"
#include "synfin/wire/packet.h"

namespace synfin::view::test {

using trace::Event;
using trace::EventKind;
using trace::Reason;
using trace::State;
using F = wire::Flags;

struct SegmentNumbers {
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint32_t payload = 0;
};

/// Says events to a sink. `seq` and `ack` count from each end's initial number, which lie close to the wrap.
class Storyteller {
 public:
  explicit Storyteller(trace::Sink& sink, std::uint16_t remote_port = 43210, bool ipv6 = false)
      : sink_(sink) {
    using wire::IpAddress;
    tuple.local = {IpAddress::v4(10, 77, 0, 2), 80};
    tuple.remote = {IpAddress::v4(10, 77, 0, 1), remote_port};
    if (ipv6) {
      tuple.local.address = *IpAddress::parse("fd77::2");
      tuple.remote.address = *IpAddress::parse("fd77::1");
    }
  }

  Storyteller& at(Duration t) {
    now = Instant::from_ns(1'000'000'000'000) + t;
    return *this;
  }
  void received(F flags, SegmentNumbers n, State from, State to, Reason reason) {
    segment(EventKind::kSegmentReceived, flags, n, from, to, reason);
  }
  void sent(F flags, SegmentNumbers n, State state, Reason reason) {
    segment(EventKind::kSegmentSent, flags, n, state, state, reason);
  }
  void state(State from, State to, Reason reason, Instant deadline = Instant::never()) {
    Event e = event(EventKind::kStateChanged, reason);
    e.from = from;
    e.to = to;
    e.deadline = deadline;
    sink_.on_event(e);
  }
  void call(Reason reason, State state) { plain(EventKind::kCall, reason, state); }
  void timer(Reason reason, State state) { plain(EventKind::kTimer, reason, state); }
  /// A packet that is no segment, of `size` octets, all of them 0x5a.
  void packet(EventKind kind, Reason reason, std::size_t size) {
    Event e = event(kind, reason);
    e.tuple = {};
    wire::Frame frame;
    frame.add(pool_.copy(std::vector<std::byte>(size, std::byte{0x5a})));
    e.frame = &frame;
    sink_.on_event(e);
  }

  wire::FourTuple tuple;
  Instant now = Instant::from_ns(1'000'000'000'000);
  std::uint32_t local_isn = 0xffff'fff0;
  std::uint32_t remote_isn = 0xffff'ff00;
  std::uint32_t window = 64256;
  /// For the next segment only.
  wire::TcpOptions options{};
  bool retransmission = false;
  std::uint16_t segment_size = 0;

 private:
  Event event(EventKind kind, Reason reason) const {
    Event e;
    e.kind = kind;
    e.reason = reason;
    e.at = now;
    e.tuple = tuple;
    return e;
  }
  void plain(EventKind kind, Reason reason, State state) {
    Event e = event(kind, reason);
    e.from = e.to = state;
    sink_.on_event(e);
  }
  void segment(EventKind kind, F flags, SegmentNumbers n, State from, State to, Reason reason) {
    const bool out = kind == EventKind::kSegmentSent;
    const wire::FourTuple path = out ? tuple : tuple.reversed();
    wire::TcpHeader h;
    h.source_port = path.local.port;
    h.destination_port = path.remote.port;
    h.seq = wire::SeqNum{(out ? local_isn : remote_isn) + n.seq};
    if (flags.ack()) h.ack = wire::SeqNum{(out ? remote_isn : local_isn) + n.ack};
    h.flags = flags;
    h.window = wire::WireWindow{static_cast<std::uint16_t>(window)};
    h.options = options;
    wire::Frame frame;
    if (n.payload != 0) frame.add(pool_.copy(std::vector<std::byte>(n.payload, std::byte{'x'})));
    wire::IpHeader ip;
    ip.source = path.local.address;
    ip.destination = path.remote.address;
    ip.protocol = wire::protocol::kTcp;
    wire::emit_tcp_packet(
        ip, h, frame, segment_size != 0 ? wire::FillChecksum::kPseudoHeaderOnly : wire::FillChecksum::kYes);
    frame.segment_size = segment_size;
    Event e = event(kind, reason);
    e.from = from;
    e.to = to;
    e.header = &h;
    e.payload_size = n.payload;
    e.window = window;
    e.retransmission = retransmission;
    e.frame = &frame;
    options = {};
    retransmission = false;
    segment_size = 0;
    sink_.on_event(e);
  }

  trace::Sink& sink_;
  wire::BlockPool pool_;
};

inline wire::TcpOptions syn_options(std::uint32_t value, std::uint32_t echo) {
  wire::TcpOptions o{};
  o.present = wire::TcpOptions::kMss | wire::TcpOptions::kSackPermitted | wire::TcpOptions::kTimestamps |
              wire::TcpOptions::kWindowScale;
  o.mss = 1460;
  o.window_scale = 7;
  o.timestamps = {value, echo};
  return o;
}

}  // namespace synfin::view::test
