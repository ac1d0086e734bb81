// SPDX-License-Identifier: Apache-2.0
//
// What a step of a connection proves, for people who learn TCP from a ladder. Most reasons explain themselves
// (trace/reasons.def); the key steps of opening and closing get words that fit their direction and their
// place.
#pragma once

#include <string_view>

#include "synfin/trace/event.h"
#include "synfin/view/flow_table.h"

namespace synfin::view {

struct Lesson {
  std::string_view sentence;
  std::string_view section;
};

/// What of a connection's past gives a segment its meaning.
struct Plot {
  /// A SYN-ACK of the peer's was accepted and its acknowledgement has not been sent: our next ACK is the
  /// third segment.
  bool third_segment_due = false;
  /// The peer's FIN was accepted and its acknowledgement has not been sent.
  bool fin_ack_due = false;
  /// The peer's SYN crossed ours.
  bool crossed = false;

  /// Brings itself up to date with a segment event; after `lesson_for` has seen it.
  void follow(const trace::Event& e);
};

Lesson lesson_for(const trace::Event& e, const Plot& plot);
/// A segment of the steady flow (data and ACKs as expected), whose lesson need not be repeated.
bool is_routine(trace::Reason r);
/// Something was lost, late or repeated, and the segment belongs to its repair.
bool is_repair(const trace::Event& e);
/// A timer's or the program's doing, not a segment's.
bool is_timer(trace::Reason r);
bool is_call(trace::Reason r);
/// The received segment was judged not to come from the peer's present connection, or may not: nothing is
/// learned from it.
bool is_disbelieved(trace::Reason r);

}  // namespace synfin::view
