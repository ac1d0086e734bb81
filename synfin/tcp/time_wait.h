// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/context.h"
#include "synfin/tcp/segment.h"

namespace synfin::tcp {

/// What is remembered of a connection in TIME-WAIT besides its 4-tuple.
struct TimeWaitFacts {
  SeqNum snd_nxt;
  SeqNum rcv_nxt;
  std::uint32_t ts_recent = 0;
  wire::WireWindow window;  // as it was last written into a header
  bool timestamps : 1 = false;
  bool fin_wait_2 : 1 = false;
  std::uint8_t scale : 4 = 0;  // of `window`
  bool ace_high : 1 = false;
  std::uint8_t class_and_ace = 0;

  std::uint8_t traffic_class() const { return class_and_ace & ~wire::ecn::kMask; }
  /// The ACE field (RFC 9768 §3.2.2); 0 without AccECN.
  std::uint8_t ace() const {
    return static_cast<std::uint8_t>((ace_high ? 4 : 0) | (class_and_ace & wire::ecn::kMask));
  }
  void set_traffic_class(std::uint8_t traffic_class, std::uint8_t ace) {
    class_and_ace = static_cast<std::uint8_t>((traffic_class & ~wire::ecn::kMask) | (ace & wire::ecn::kMask));
    ace_high = (ace & 4) != 0;
  }

  trace::State state() const { return fin_wait_2 ? trace::State::kFinWait2 : trace::State::kTimeWait; }
};
static_assert(sizeof(TimeWaitFacts) == 16);

/// TIME-WAIT: both FINs are acknowledged and nothing can be said any more, except the last ACK again. And
/// FIN-WAIT-2 once the program is gone: our FIN is acknowledged, and nobody would read what the peer might
/// still send; only its FIN is waited for.
struct TimeWait : TimeWaitFacts {
  wire::FourTuple tuple;
};

enum class TimeWaitVerdict : std::uint8_t {
  kDrop,
  kAcknowledge,         // answer with an ACK
  kAcknowledgeRestart,  // the same, and the 2 MSL begin anew
  kReopen,  // a new SYN that is provably later: the record makes way, the SYN goes to the listener
  kRemove,
  kResetRemove,  // answer with a reset, and that was it
  kTimeWait,     // FIN-WAIT-2 is over: answer with an ACK, and the 2 MSL begin
};
struct TimeWaitDisposition {
  TimeWaitVerdict verdict;
  trace::Reason reason;
};
/// RFC 9293 §3.10.7.4 for TIME-WAIT, with RFC 6191 for SYNs and RFC 1337 for resets.
TimeWaitDisposition judge_time_wait(const TimeWait& tw, const Segment& seg, const Settings& settings);
/// The same for FIN-WAIT-2 without a program.
TimeWaitDisposition judge_fin_wait_2(const TimeWait& tw, const Segment& seg);
/// Whether a new connection of the same pair may begin now, of which the peer can tell that it is later: both
/// ends used timestamps, and ours has moved on since (RFC 6191 §2). `entered`: when TIME-WAIT last began.
bool may_reuse(const TimeWait& tw, Instant entered, Instant now);
/// Our first number in a connection that follows: behind all that the old one can have used.
SeqNum number_after(const TimeWait& tw, SeqNum isn);
/// The last ACK again.
Reply time_wait_ack(const TimeWait& tw, const Context& ctx, trace::Reason why);
/// For data that has nobody to go to.
Reply time_wait_reset(const TimeWait& tw, const Context& ctx, trace::Reason why);

}  // namespace synfin::tcp
