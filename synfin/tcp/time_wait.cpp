// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/time_wait.h"

namespace synfin::tcp {

using trace::Reason;

TimeWaitDisposition judge_time_wait(const TimeWait& tw, const Segment& seg, const Settings& settings) {
  const Flags f = seg.flags();
  const bool stamped = tw.timestamps && seg.has_timestamps();
  const std::int32_t ts_ahead =
      stamped ? static_cast<std::int32_t>(seg.header.options.timestamps.value - tw.ts_recent) : 0;

  if (f.rst()) {
    // Only the exact number is believed (RFC 5961 §3.2); whether it may cut TIME-WAIT short is RFC 1337's
    // question.
    if (seg.seq() != tw.rcv_nxt) return {TimeWaitVerdict::kDrop, Reason::kOutOfWindowReset};
    if (settings.tcp_rfc1337) return {TimeWaitVerdict::kDrop, Reason::kTimeWaitResetIgnored};
    return {TimeWaitVerdict::kRemove, Reason::kTimeWaitReset};
  }

  if (f.syn()) {
    // A SYN-ACK cannot open anything here.
    if (f.ack() || f.fin()) return {TimeWaitVerdict::kAcknowledge, Reason::kTimeWaitOldSyn};
    // RFC 6191 §2: a newer timestamp proves a later connection; an equal one leaves it to the sequence
    // number, which must be beyond all that the old connection used (RFC 9293 §3.6.1, MAY-2). An older
    // timestamp is an old duplicate.
    const bool later = stamped ? ts_ahead > 0 || (ts_ahead == 0 && seg.seq().after(tw.rcv_nxt))
                               : seg.seq().after(tw.rcv_nxt);
    if (later) return {TimeWaitVerdict::kReopen, Reason::kTimeWaitReopened};
    return {TimeWaitVerdict::kAcknowledge, Reason::kTimeWaitOldSyn};
  }

  if (stamped && ts_ahead < 0) return {TimeWaitVerdict::kAcknowledge, Reason::kPawsRejected};
  // "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and
  // restart the 2 MSL timeout."  (§3.10.7.4)
  if (f.fin() && seg.seq() + seg.length() == tw.rcv_nxt) {
    return {TimeWaitVerdict::kAcknowledgeRestart, Reason::kTimeWaitReAck};
  }
  // Text outside the window is answered, so that a peer out of step learns it. A bare ACK never is: two such
  // ends would answer each other for ever.
  if (seg.length() > 0) return {TimeWaitVerdict::kAcknowledge, Reason::kOutOfWindow};
  return {TimeWaitVerdict::kDrop, Reason::kTimeWaitDropped};
}

Reply time_wait_ack(const TimeWait& tw, const Context& ctx, Reason why) {
  Reply r;
  r.tuple = tw.tuple;
  r.state = trace::State::kTimeWait;
  r.reason = why;
  r.header.seq = tw.snd_nxt;
  r.header.ack = tw.rcv_nxt;
  r.header.flags = Flags::kAck;
  r.header.window = tw.window;
  r.scale = tw.scale;
  r.traffic_class = tw.traffic_class;
  if (tw.timestamps) stamp(r.header.options, ctx.now, ctx.timestamp_offset(tw.tuple), tw.ts_recent);
  return r;
}

}  // namespace synfin::tcp
