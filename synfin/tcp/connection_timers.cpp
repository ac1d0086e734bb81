// SPDX-License-Identifier: Apache-2.0
//
// What happens when nothing happens. Read first: RFC 6298 §5, RFC 9293 §3.8.3, §3.8.4, §3.8.6.1, §3.10.8.
#include <algorithm>

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
      case Timer::kFinWait2:
        ctx.count(Counter::kTCPAbortOnLinger);
        fail(Error::kTimedOut, Reason::kFinWait2TimedOut, ctx);
        break;
      case Timer::kUser:
        ctx.count(Counter::kTCPAbortOnTimeout);
        abort(Error::kTimedOut, Reason::kUserTimeout, ctx);
        break;
      case Timer::kCount:
        break;
    }
    if (state_ == State::kClosed) return;
  }
}

void Connection::arm_retransmit(Context& ctx) {
  timers_.stop(Timer::kPersist);
  timers_.set(Timer::kRetransmit, ctx.now + rtt_.timeout());
}

// "SHOULD increase exponentially the interval between successive probes"  (RFC 9293 §3.8.6.1, SHLD-30),
// whether they are answered or not.
void Connection::arm_persist(Context& ctx) {
  if (timers_.armed(Timer::kPersist)) return;
  const std::int64_t factor = std::int64_t{1} << std::min<std::uint8_t>(persist_backoff_, 10);
  timers_.set(Timer::kPersist, ctx.now + std::min(rtt_.timeout() * factor, ctx.settings.tcp_rto_max));
}

void Connection::stop_persist() {
  timers_.stop(Timer::kPersist);
  persist_backoff_ = 0;
}

void Connection::arm_fin_wait_2(Context& ctx) {
  timers_.set(Timer::kFinWait2, ctx.now + ctx.settings.tcp_fin_timeout);
}

void Connection::on_retransmit_timer(Context& ctx) {
  const bool opening = !is_synchronized(state_);
  std::uint32_t most = ctx.settings.tcp_retries2;
  if (state_ == State::kSynSent) most = ctx.settings.tcp_syn_retries;
  if (state_ == State::kSynReceived) most = ctx.settings.tcp_synack_retries;
  if (!opening && program_gone_)
    most = ctx.settings.tcp_orphan_retries == 0 ? 8 : ctx.settings.tcp_orphan_retries;
  if (retries_ >= most) {
    ctx.count(opening ? Counter::kAttemptFails : Counter::kTCPAbortOnTimeout);
    const Reason why = opening         ? (passive_ ? Reason::kHandshakeTimedOut : Reason::kConnectTimedOut)
                       : program_gone_ ? Reason::kOrphanGaveUp
                                       : Reason::kRetransmitGaveUp;
    fail(soft_error_, why, ctx);
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
  if (retries_ < 255) ++retries_;
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
  const std::uint32_t most =
      program_gone_ ? (ctx.settings.tcp_orphan_retries == 0 ? 8 : ctx.settings.tcp_orphan_retries)
                    : ctx.settings.tcp_retries2;
  if (retries_ >= most) {
    ctx.count(Counter::kTCPAbortOnTimeout);
    abort(soft_error_, program_gone_ ? Reason::kOrphanGaveUp : Reason::kRetransmitGaveUp, ctx);
    return;
  }
  ctx.timer_fired(tuple_, state_, Reason::kPersistProbe);
  if (retries_ < 255) ++retries_;
  if (persist_backoff_ < 255) ++persist_backoff_;
  probe_ = true;
  arm_persist(ctx);
}

void Connection::on_keepalive_timer(Context& ctx) {
  // Data in flight or a closed window have timers of their own.
  if (snd_.max.after(snd_.una) || timers_.armed(Timer::kPersist)) {
    timers_.set(Timer::kKeepalive, ctx.now + ctx.settings.tcp_keepalive_time);
    return;
  }
  if (retries_ >= ctx.settings.tcp_keepalive_probes) {
    ctx.count(Counter::kTCPAbortOnTimeout);
    abort(Error::kTimedOut, Reason::kKeepaliveTimedOut, ctx);
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
  timers_.set(Timer::kKeepalive, ctx.now + ctx.settings.tcp_keepalive_intvl);
}

}  // namespace synfin::tcp
