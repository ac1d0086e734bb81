// SPDX-License-Identifier: Apache-2.0
//
// What happened, as values. No formatting here: the view room turns events into ladders, captures and JSON.
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/tcp.h"

namespace synfin::trace {

struct FloodReport;

enum class EventKind : std::uint8_t {
  /// A TCP segment of a known or unknown connection was judged: `from` and `to` are the states before and
  /// after, `reason` its fate.
  kSegmentReceived,
  /// A TCP segment was handed to the link: `from == to` is the sender's state.
  kSegmentSent,
  /// A packet that is no TCP segment, or cannot be read as one: `reason` says why. Tuple and header mean
  /// nothing.
  kPacketReceived,
  kPacketSent,
  /// `from` became `to` because of `reason` (a segment, a call or a timer). The change comes before the event
  /// of the segment that caused it, at the same instant. A new connection starts from CLOSED or LISTEN, an
  /// ended one becomes CLOSED. Becoming TIME-WAIT carries `deadline`.
  kStateChanged,
  /// A timer ran out and something was done about it.
  kTimer,
  /// The program called something that is worth a line (close, abort, …).
  kCall,
  /// What a listener sees of all its SYNs changed: `reason` names it, `flood` holds the figures.
  /// `tuple.local` is the listener.
  kFlood,
};

/// One happening. Everything pointed to is valid only during `Sink::on_event`.
struct Event {
  EventKind kind = EventKind::kCall;
  State from = State::kClosed;
  State to = State::kClosed;
  Reason reason = Reason::kNone;
  Instant at;
  /// The connection, seen from this stack.
  wire::FourTuple tuple;
  /// Segment events: the header as on the wire.
  const wire::TcpHeader* header = nullptr;
  std::uint32_t payload_size = 0;
  /// Segment events: the window field's meaning in octets, scaled where the scale is known and applies.
  std::uint32_t window = 0;
  /// Sent again, in part or whole.
  bool retransmission = false;
  /// Segment events: AE, CWR and ECE are one number, the ACE field (RFC 9768 §3.2.2).
  bool counts_marks = false;
  /// Packet and segment events: the whole packet; its first header octet is the network header's.
  const wire::Frame* frame = nullptr;
  /// kFlood: what was measured (trace/flood.h).
  const FloodReport* flood = nullptr;
  /// When the state ends by itself: TIME-WAIT.
  Instant deadline = Instant::never();
};

/// Takes events. Called on the stack's thread, inside its calls: it must not call back into the stack.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void on_event(const Event& event) = 0;
  /// Whether segments and packets are to be told of, one by one: kSegmentReceived, kSegmentSent,
  /// kPacketReceived, kPacketSent. False: only states, timers, calls and floods are, and segments may travel
  /// several at a time. Asked once, when the stack is made.
  virtual bool wants_packets() const { return true; }
};

/// Hands every event to two sinks; nest it for more. Both are told of what one of them wants. Owns neither;
/// either may be null.
class Fork final : public Sink {
 public:
  Fork(Sink* first, Sink* second) : first_(first), second_(second) {}
  void on_event(const Event& event) override {
    if (first_ != nullptr) first_->on_event(event);
    if (second_ != nullptr) second_->on_event(event);
  }
  bool wants_packets() const override {
    return (first_ != nullptr && first_->wants_packets()) || (second_ != nullptr && second_->wants_packets());
  }

 private:
  Sink* first_;
  Sink* second_;
};

}  // namespace synfin::trace
