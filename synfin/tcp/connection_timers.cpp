// SPDX-License-Identifier: Apache-2.0
//
// What happens when nothing happens. Read first: RFC 6298 §5, RFC 9293 §3.8.3, §3.8.4, §3.8.6.1, §3.10.8.
#include <algorithm>
#include <limits>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

void Connection::on_timer(Context& ctx) {
  // Each is looked at once; what one sets anew lies in the future.
  for (std::uint8_t i = 0; i < std::to_underlying(Timer::kCount); ++i) {
    const auto timer = static_cast<Timer>(i);
    if (!timers_.due(timer, ctx.now)) continue;
    timers_.stop(timer);
    switch (timer) {
      case Timer::kRetransmit:
        on_retransmit_timer(ctx);
        break;
      case Timer::kPersist:
        on_persist_timer(ctx);
        break;
      case Timer::kDelayedAck:
        ctx.count(Counter::kDelayedACKs);
        ctx.timer_fired(tuple_, state_, Reason::kDelayedAck);
        owe_ack(Reason::kDelayedAck);
        break;
      case Timer::kKeepalive:
        on_keepalive_timer(ctx);
        break;
      case Timer::kLinger:
        abort(Error::kAborted, Reason::kLingerTimedOut, ctx);
        break;
      case Timer::kUser: {
        const Ending::Segment silent = unanswered();
        ctx.count(is_synchronized(state_) ? Counter::kTCPAbortOnTimeout : Counter::kAttemptFails);
        abort(gave_up_error(), Reason::kUserTimeout, ctx);
        note_ending_segment(silent);
        break;
      }
      case Timer::kCount:
        break;
    }
    if (state_ == State::kClosed) return;
  }
}

void Connection::arm_retransmit(Context& ctx) {
  timers_.stop(Timer::kPersist);
  timers_.set(Timer::kRetransmit, ctx.now + rtt_.timeout());
  arm_user_timeout(ctx);
}

void Connection::arm_user_timeout(Context& ctx) {
  if (user_timeout() > Duration::zero() && !timers_.armed(Timer::kUser))
    timers_.set(Timer::kUser, ctx.now + user_timeout());
}

// "SHOULD increase exponentially the interval between successive probes"  (RFC 9293 §3.8.6.1, SHLD-30),
// whether they are answered or not.
void Connection::arm_persist(Context& ctx) {
  if (timers_.armed(Timer::kPersist)) return;
  const std::int64_t factor = std::int64_t{1} << std::min<std::uint8_t>(persist_backoff_, 10);
  timers_.set(Timer::kPersist, ctx.now + std::min(rtt_.timeout() * factor, ctx.settings.tcp_rto_max));
  arm_user_timeout(ctx);
}

void Connection::stop_persist() {
  timers_.stop(Timer::kPersist);
  persist_backoff_ = 0;
}

std::uint32_t Connection::most_retries(const Settings& settings) const {
  if (state_ == State::kSynSent) {
    const std::uint32_t own = rare_ != nullptr ? rare_->options.syn_retries : 0;
    return own > 0 ? own : settings.tcp_syn_retries;
  }
  if (state_ == State::kSynReceived) return settings.tcp_synack_retries;
  // R2 as the program set it, in time (MUST-21): that timer ends it.
  if (!program_gone_ && user_timeout() > Duration::zero()) return std::numeric_limits<std::uint32_t>::max();
  if (!program_gone_) return settings.tcp_retries2;
  return settings.tcp_orphan_retries == 0 ? 8 : settings.tcp_orphan_retries;
}

// "TCP SHOULD inform the application of the delivery problem …, when R1 is reached and before R2"  (RFC 9293
// §3.8.3, SHLD-9)
void Connection::one_more_retry(Context& ctx) {
  if (retries_ < 255) ++retries_;
  if (retries_ != ctx.settings.tcp_retries1 || program_gone_) return;
  // A SYN's failure "MUST be handled in the general way …, including notification of the application layer"
  //   (MUST-22); the trace tells of every SYN as it is.
  if (is_synchronized(state_)) ctx.timer_fired(tuple_, state_, Reason::kRetransmitR1);
  if (report_trouble_) events_ |= kTrouble;
}

void Connection::on_retransmit_timer(Context& ctx) {
  const bool opening = !is_synchronized(state_);
  if (retries_ >= most_retries(ctx.settings)) {
    ctx.count(opening ? Counter::kAttemptFails : Counter::kTCPAbortOnTimeout);
    const Reason why = opening         ? (passive_ ? Reason::kHandshakeTimedOut : Reason::kConnectTimedOut)
                       : program_gone_ ? Reason::kOrphanGaveUp
                                       : Reason::kRetransmitGaveUp;
    const Ending::Segment silent = unanswered();
    fail(gave_up_error(), why, ctx);
    note_ending_segment(silent);
    return;
  }

  // The peer took its window back behind what is in flight: probing finds out when it opens (MUST-34,
  // MUST-35).
  if (!opening && snd_.wnd == 0) {
    snd_.nxt = snd_.una;
    timing_ = false;
    on_persist_timer(ctx);
    return;
  }

  const Reason fired = state_ == State::kSynSent       ? Reason::kSynRetransmitted
                       : state_ == State::kSynReceived ? Reason::kSynAckRetransmitted
                                                       : Reason::kRetransmitTimeout;
  ctx.timer_fired(tuple_, state_, fired);
  one_more_retry(ctx);
  ctx.count(Counter::kTCPTimeouts);
  rtt_.back_off(ctx.settings);
  timing_ = false;
  if (opening) {
    syn_to_send_ = true;
    ctx.count(Counter::kTCPSynRetrans);
    return;
  }
  // The earliest unacknowledged segment goes again (RFC 6298 §5.4), and the rest as far as the window lets.
  if (retries_ == 1) congestion_.on_timeout(static_cast<std::uint32_t>(snd_.max - snd_.una), ctx.now);
  recovery_.on_timeout(snd_.max);
  resend_first_ = false;
  snd_.nxt = snd_.una;
}

void Connection::on_persist_timer(Context& ctx) {
  // The window is open, only less than it was worth sending: "to avoid a resulting deadlock, it is necessary
  // to have a timeout to force transmission of data, overriding the SWS avoidance algorithm."  (§3.8.6.2.1)
  if (usable_window() > 0) {
    send_small_ = true;
    return;
  }
  if (retries_ >= most_retries(ctx.settings)) {
    ctx.count(Counter::kTCPAbortOnTimeout);
    const Ending::Segment silent = unanswered();
    abort(gave_up_error(), program_gone_ ? Reason::kOrphanGaveUp : Reason::kRetransmitGaveUp, ctx);
    note_ending_segment(silent);
    return;
  }
  ctx.timer_fired(tuple_, state_, Reason::kPersistProbe);
  one_more_retry(ctx);
  if (persist_backoff_ < 255) ++persist_backoff_;
  probe_ = true;
  arm_persist(ctx);
}

void Connection::on_keepalive_timer(Context& ctx) {
  // Data in flight or a closed window have timers of their own.
  if (snd_.max.after(snd_.una) || timers_.armed(Timer::kPersist)) {
    timers_.set(Timer::kKeepalive, ctx.now + keepalive_time(ctx.settings));
    return;
  }
  // A user timeout says how long a peer may be silent, instead of a number of probes, as on Linux.
  const bool given_up = user_timeout() > Duration::zero()
                            ? retries_ > 0 && ctx.now - last_heard_ >= user_timeout()
                            : retries_ >= keepalive_probes(ctx.settings);
  if (given_up) {
    ctx.count(Counter::kTCPAbortOnTimeout);
    abort(gave_up_error(), Reason::kKeepaliveTimedOut, ctx);
    note_ending_segment({.received = false, .seq = snd_.una - 1, .ack = rcv_.nxt, .flags = Flags::kAck});
    return;
  }
  ++retries_;
  ctx.count(Counter::kTCPKeepAlive);
  ctx.timer_fired(tuple_, state_, Reason::kKeepaliveProbe);
  // A number just left of the window, which the peer has acknowledged long ago, and no text: it must answer
  // with an ACK (§3.8.4).
  Reply probe;
  probe.tuple = tuple_;
  probe.state = state_;
  probe.reason = Reason::kKeepaliveProbe;
  probe.traffic_class = traffic_class_;
  probe.header.seq = snd_.una - 1;
  probe.header.ack = rcv_.nxt;
  probe.header.flags = Flags::kAck;
  probe.header.window = offer_window();
  probe.scale = rcv_.scale.shift();
  if (timestamps_) stamp(probe.header.options, ctx.now, timestamp_offset_, rcv_.ts_recent);
  ctx.replies.push_back(probe);
  timers_.set(Timer::kKeepalive, ctx.now + keepalive_interval(ctx.settings));
}

}  // namespace synfin::tcp
