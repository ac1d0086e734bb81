// SPDX-License-Identifier: Apache-2.0
//
// One stack, and somebody who sends it one segment after the other and notes what each does.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "synfin/sim/virtual_clock.h"
#include "synfin/stack/stack.h"
#include "synfin/wire/packet.h"

namespace synfin::ladders {

/// What came of a segment, a call or a pause.
struct Outcome {
  trace::Reason reason = trace::Reason::kNone;  // of the segment received
  std::vector<wire::TcpHeader> answers;
  std::string counters;  // "`ListenDrops`, `SyncookiesSent`", segments counted as such left out

  bool answered() const { return !answers.empty(); }
};

class Probe final : private trace::Sink {
 public:
  static constexpr std::uint16_t kPort = 80;
  static constexpr std::uint32_t kIrs = 1000;  // of every connection of the peer's

  explicit Probe(const std::function<void(tcp::Settings&)>& settings = {});

  stack::Stack& stack() { return stack_; }
  Instant now() const { return clock_.now(); }
  stack::Handle listen(const stack::ListenOptions& options = {});

  /// A SYN; its answer is remembered for `third`.
  Outcome syn(std::uint16_t port, const wire::TcpOptions& more = {});
  Outcome syn_from(const wire::IpAddress& source, std::uint16_t port);
  /// The third segment that belongs to the last SYN-ACK, its acknowledgement off by `off`.
  Outcome third(std::uint16_t port, std::uint32_t off = 0);
  /// A reset as the peer would send it after its SYN.
  Outcome reset(std::uint16_t port);
  /// Any segment to the port 80 from 10.77.0.1.
  Outcome segment(std::uint16_t port, wire::TcpHeader header);
  /// A segment from the peer's port 80 to a port of this stack.
  Outcome answer_syn(const wire::TcpHeader& syn, wire::Flags flags);
  /// SYN and third segment.
  void open(std::uint16_t port);
  Outcome wait(Duration d);
  /// Connects to port 80 of the peer.
  Outcome connect();

  std::vector<trace::FloodReport>& floods() { return floods_; }
  std::optional<Instant> ended() const { return ended_; }
  wire::IpAddress peer() const { return wire::IpAddress::v4(10, 77, 0, 1); }
  wire::IpAddress own() const { return wire::IpAddress::v4(10, 77, 0, 2); }

 private:
  void on_event(const trace::Event& e) override;
  Outcome deliver(const wire::IpAddress& source, const wire::TcpHeader& header);
  Outcome collect(const trace::Counters& before);

  sim::VirtualClock clock_{Instant::from_ns(1'000'000'000)};
  wire::BlockPool pool_;
  SeededEntropy entropy_{4987};
  stack::Stack stack_;
  trace::Reason last_ = trace::Reason::kNone;
  wire::TcpHeader syn_ack_;
  std::vector<trace::FloodReport> floods_;
  std::optional<Instant> ended_;  // the last change to CLOSED
};

}  // namespace synfin::ladders
