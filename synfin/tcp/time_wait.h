// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/context.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/timer_node.h"

namespace synfin::tcp {

/// TIME-WAIT: both FINs are acknowledged and nothing can be said any more, except the last ACK again.
struct TimeWait {
  wire::FourTuple tuple;
  TimerNode timer;
  SeqNum snd_nxt;
  SeqNum rcv_nxt;
  std::uint32_t ts_recent = 0;
  wire::WireWindow window;  // as it was last written into a header
  bool timestamps = false;
  std::uint8_t scale = 0;  // of `window`
  std::uint8_t traffic_class = 0;
};
static_assert(sizeof(TimeWait) <= 64, "a TIME-WAIT record is one cache line, IPv6 included");

enum class TimeWaitVerdict : std::uint8_t {
  kDrop,
  kAcknowledge,         // answer with an ACK
  kAcknowledgeRestart,  // the same, and the 2 MSL begin anew
  kReopen,  // a new SYN that is provably later: the record makes way, the SYN goes to the listener
  kRemove,
};
struct TimeWaitDisposition {
  TimeWaitVerdict verdict;
  trace::Reason reason;
};
/// RFC 9293 §3.10.7.4 for TIME-WAIT, with RFC 6191 for SYNs and RFC 1337 for resets.
TimeWaitDisposition judge_time_wait(const TimeWait& tw, const Segment& seg, const Settings& settings);
/// The last ACK again.
Reply time_wait_ack(const TimeWait& tw, const Context& ctx, trace::Reason why);

}  // namespace synfin::tcp
