// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/time_wait.h"

namespace synfin::tcp {

using trace::Reason;

namespace {

std::uint32_t offered(const TimeWait& tw) {
  return (tw.window << WindowScale{tw.scale}).octets;
}

}  // namespace

TimeWaitDisposition judge_time_wait(const TimeWait& tw, const Segment& seg, const Settings& settings) {
  const Flags f = seg.flags();
  const bool stamped = tw.timestamps && seg.has_timestamps();
  const std::int32_t ts_ahead =
      stamped ? static_cast<std::int32_t>(seg.header.options.timestamps.value - tw.ts_recent) : 0;

  if (f.rst()) {
    // Only the exact number is believed (RFC 5961 §3.2); whether it may cut TIME-WAIT short is RFC 1337's
    // question.
    if (seg.seq() != tw.rcv_nxt) {
      if (seg.seq().in(tw.rcv_nxt, offered(tw)))
        return {TimeWaitVerdict::kAcknowledge, Reason::kResetChallenged};
      return {TimeWaitVerdict::kDrop, Reason::kOutOfWindowReset};
    }
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

  // A bare ACK is never answered: two such ends would answer each other for ever.
  if (seg.length() == 0) return {TimeWaitVerdict::kDrop, Reason::kTimeWaitDropped};
  if (stamped && ts_ahead < 0) return {TimeWaitVerdict::kAcknowledge, Reason::kPawsRejected};
  // "The only thing that can arrive in this state is a retransmission of the remote FIN. Acknowledge it, and
  // restart the 2 MSL timeout."  (§3.10.7.4)
  if (f.fin() && seg.seq() + seg.length() == tw.rcv_nxt) {
    return {TimeWaitVerdict::kAcknowledgeRestart, Reason::kTimeWaitReAck};
  }
  // Text outside the window is answered, so that a peer out of step learns it.
  return {TimeWaitVerdict::kAcknowledge, Reason::kOutOfWindow};
}

TimeWaitDisposition judge_fin_wait_2(const TimeWait& tw, const Segment& seg) {
  const Flags f = seg.flags();
  const std::uint32_t window = offered(tw);
  const SeqNum end = seg.seq() + seg.length();
  if (tw.timestamps && seg.has_timestamps() && !f.rst() &&
      static_cast<std::int32_t>(seg.header.options.timestamps.value - tw.ts_recent) < 0)
    return seg.length() > 0
               ? TimeWaitDisposition{TimeWaitVerdict::kAcknowledge, Reason::kPawsRejected}
               : TimeWaitDisposition{TimeWaitVerdict::kDrop, f.ack() ? Reason::kAckIgnored : Reason::kNoAck};

  const bool begins_inside = seg.seq() == tw.rcv_nxt || seg.seq().in(tw.rcv_nxt, window);
  const bool acceptable = begins_inside || (seg.length() > 0 && (end - 1).in(tw.rcv_nxt, window));
  if (f.rst()) {
    if (seg.seq() == tw.rcv_nxt) return {TimeWaitVerdict::kRemove, Reason::kReset};
    if (!acceptable) return {TimeWaitVerdict::kDrop, Reason::kOutOfWindowReset};
    return {TimeWaitVerdict::kAcknowledge, Reason::kResetChallenged};
  }
  if (!acceptable) {
    if (f.syn()) return {TimeWaitVerdict::kAcknowledge, Reason::kSynChallenged};
    // A keep-alive probe: the peer sits in CLOSE-WAIT and wants to know that there is still somebody
    // (§3.8.4).
    const bool probe = f.ack() && seg.length() == 0 && seg.seq() == tw.rcv_nxt - 1;
    // No other bare ACK is answered: two ends out of step would go on for ever.
    if (seg.length() == 0 && !probe)
      return {TimeWaitVerdict::kDrop, f.ack() ? Reason::kAckIgnored : Reason::kNoAck};
    const bool old = seg.length() > 0 && end.at_or_before(tw.rcv_nxt);
    return {TimeWaitVerdict::kAcknowledge, old ? Reason::kOldDuplicate : Reason::kOutOfWindow};
  }
  if (f.syn()) return {TimeWaitVerdict::kAcknowledge, Reason::kSynChallenged};
  if (!f.ack()) return {TimeWaitVerdict::kDrop, Reason::kNoAck};
  if (seg.ack().after(tw.snd_nxt)) return {TimeWaitVerdict::kAcknowledge, Reason::kAckOfUnsent};
  // The largest window that the peer offered is forgotten; RFC 5961 §5.2 allows the largest that there can
  // be.
  constexpr std::uint32_t kLargestWindow = 65535u << 14;
  if (seg.ack().before(tw.snd_nxt - kLargestWindow))
    return {TimeWaitVerdict::kAcknowledge, Reason::kAckTooOld};
  // New text has nobody to go to (SHLD-3); of what came before, a part may come again with the FIN.
  const SeqNum text_end = end - (f.fin() ? 1u : 0u);
  if (seg.length() > 0 && text_end.after(tw.rcv_nxt))
    return {TimeWaitVerdict::kResetRemove, Reason::kDataAfterClose};
  if (f.fin() && text_end == tw.rcv_nxt) return {TimeWaitVerdict::kTimeWait, Reason::kTimeWaitEntered};
  if (seg.length() > 0) return {TimeWaitVerdict::kAcknowledge, Reason::kOldDuplicate};
  return {TimeWaitVerdict::kDrop, Reason::kAckIgnored};
}

bool may_reuse(const TimeWait& tw, Instant entered, Instant now) {
  // The clock of our timestamps ticks in milliseconds; a second is what Linux leaves, too.
  return !tw.fin_wait_2 && tw.timestamps && now - entered > Duration::seconds(1);
}

SeqNum number_after(const TimeWait& tw, SeqNum isn) {
  return isn.after(tw.snd_nxt) ? isn : tw.snd_nxt + 65537;
}

Reply time_wait_ack(const TimeWait& tw, const Context& ctx, Reason why) {
  Reply r;
  r.tuple = tw.tuple;
  r.state = tw.state();
  r.reason = why;
  r.header.seq = tw.snd_nxt;
  r.header.ack = tw.rcv_nxt;
  r.header.flags = Flags::kAck;
  r.header.window = tw.window;
  r.scale = tw.scale;
  r.traffic_class = tw.traffic_class();
  r.header.set_ace(tw.ace());
  r.counts_marks = tw.ace() != 0;
  if (tw.timestamps) stamp(r.header.options, ctx.now, ctx.timestamp_offset(tw.tuple), tw.ts_recent);
  return r;
}

Reply time_wait_reset(const TimeWait& tw, const Context& ctx, Reason why) {
  Reply r = time_wait_ack(tw, ctx, why);
  r.header.reserved = 0;
  r.counts_marks = false;
  r.header.flags = Flags{Flags::kRst | Flags::kAck};
  r.header.window = {};
  return r;
}

}  // namespace synfin::tcp
