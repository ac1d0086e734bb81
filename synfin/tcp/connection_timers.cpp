// SPDX-License-Identifier: Apache-2.0
//
// What happens when nothing happens. Read first: RFC 6298 §5, RFC 9293 §3.8.3, §3.8.4, §3.8.6.1, §3.10.8.
#include <algorithm>
#include <limits>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

namespace {

// Linux's least wait for a tail loss probe beyond two round trips, and TLP.max_ack_delay of RFC 8985 §7.2:
// how long a peer may keep back the acknowledgement of a single segment.
constexpr Duration kLeastProbeWait = Duration::milliseconds(2);
constexpr Duration kMostAckDelay = Duration::milliseconds(200);

}  // namespace

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
      case Timer::kPacing:
        break;  // `transmit` follows
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

// From now on, for whatever is in flight. A closed window is probed by what is sent again, at growing
// intervals (RFC 9293 §3.8.6.1); the timeout itself keeps to the round trip.
void Connection::arm_retransmit(Context& ctx) {
  timers_.stop(Timer::kPersist);
  Duration timeout = rtt_.timeout();
  if (snd_.wnd == 0 && is_synchronized(state_)) timeout = backed_off(timeout, ctx);
  const Instant at = ctx.now + timeout;
  timers_.set(Timer::kRetransmit, at);
  arm_user_timeout(ctx);
  if (flight_ == nullptr) return;
  flight_->timeout_at = at;
  flight_->wait = Flight::Wait::kTimeout;
}

// One timer runs while anything is in flight: for the reordering window, the probe of the tail or the
// timeout, whichever comes first. `progress`: something was delivered or sent, so the probe's time begins
// anew.
void Connection::arm_for_flight(bool progress, std::optional<Duration> reordering, Context& ctx) {
  Flight& f = *flight_;
  if (f.sent.empty()) return;
  if (snd_.wnd == 0) {  // the timeout probes it
    if (!timers_.armed(Timer::kRetransmit)) arm_retransmit(ctx);
    return;
  }
  Instant at = f.timeout_at;
  if (reordering && ctx.now + *reordering < at) {
    f.wait = Flight::Wait::kReordering;
    at = ctx.now + *reordering;
  } else if (may_probe_tail(ctx)) {
    if (!progress && f.wait == Flight::Wait::kTailProbe) return;
    f.wait = Flight::Wait::kTailProbe;
    Duration wait = rtt_.has_sample() ? rtt_.smoothed() * 2 + kLeastProbeWait : Rtt::kInitial;
    if (f.sent.size() == 1) wait += kMostAckDelay;
    at = std::min(at, ctx.now + wait);
  } else {
    f.wait = Flight::Wait::kTimeout;
  }
  timers_.set(Timer::kRetransmit, std::max(at, ctx.now));
}

// RFC 8985 §7.2: not in recovery, nothing sacked, and one at a time.
bool Connection::may_probe_tail(const Context& ctx) const {
  return sack_ && ctx.settings.tcp_early_retrans >= 3 && is_synchronized(state_) &&
         flight_->state == CaState::kOpen && flight_->sent.sacked() == 0 && !tail_probe_;
}

Duration Connection::backed_off(Duration timeout, const Context& ctx) const {
  const std::int64_t factor = std::int64_t{1} << std::min<std::uint8_t>(persist_backoff_, 10);
  return std::min(timeout * factor, ctx.settings.tcp_rto_max);
}

void Connection::arm_user_timeout(Context& ctx) {
  if (user_timeout() > Duration::zero() && !timers_.armed(Timer::kUser))
    timers_.set(Timer::kUser, ctx.now + user_timeout());
}

// "SHOULD increase exponentially the interval between successive probes"  (RFC 9293 §3.8.6.1, SHLD-30),
// whether they are answered or not.
void Connection::arm_persist(Context& ctx) {
  if (timers_.armed(Timer::kPersist)) return;
  timers_.set(Timer::kPersist, ctx.now + backed_off(rtt_.timeout(), ctx));
  arm_user_timeout(ctx);
}

void Connection::stop_persist() {
  timers_.stop(Timer::kPersist);
  persist_backoff_ = 0;
}

std::uint32_t Connection::most_retries(const Settings& settings) const {
  if (state_ == State::kSynSent)
    return std::min(chosen(choices().syn_retries, settings.tcp_syn_retries), kMostCounted);
  if (state_ == State::kSynReceived) return settings.tcp_synack_retries;
  // R2 as the program set it, in time (MUST-21): that timer ends it.
  if (!program_gone_ && user_timeout() > Duration::zero()) return std::numeric_limits<std::uint32_t>::max();
  if (!program_gone_) return settings.tcp_retries2;
  return settings.tcp_orphan_retries == 0 ? 8 : settings.tcp_orphan_retries;
}

// "TCP SHOULD inform the application of the delivery problem …, when R1 is reached and before R2"  (RFC 9293
// §3.8.3, SHLD-9)
void Connection::one_more_retry(Context& ctx) {
  if (retries_ < kMostCounted) ++retries_;
  if (retries_ != ctx.settings.tcp_retries1 || program_gone_) return;
  // A SYN's failure "MUST be handled in the general way …, including notification of the application layer"
  //   (MUST-22); the trace tells of every SYN as it is.
  if (is_synchronized(state_)) ctx.timer_fired(tuple_, state_, Reason::kRetransmitR1);
  if (report_trouble_) events_ |= kTrouble;
}

void Connection::on_retransmit_timer(Context& ctx) {
  check_app_limited();
  if (flight_ != nullptr && is_synchronized(state_) && flight_->wait == Flight::Wait::kReordering) {
    ctx.timer_fired(tuple_, state_, Reason::kReorderTimeout);
    const auto next = detect_losses(ctx);
    if (flight_->sent.lost() > 0 && !in_loss_recovery()) enter_recovery(ctx);
    arm_for_flight(false, next, ctx);
    return;
  }
  if (flight_ != nullptr && is_synchronized(state_) && flight_->wait == Flight::Wait::kTailProbe) {
    ctx.timer_fired(tuple_, state_, Reason::kTailLossProbe);
    flight_->probe_due = true;
    arm_retransmit(ctx);
    return;
  }
  on_timeout(ctx);
}

// R2 of RFC 9293 §3.8.3.
void Connection::give_up(Context& ctx) {
  const bool opening = !is_synchronized(state_);
  ctx.count(opening ? Counter::kAttemptFails : Counter::kTCPAbortOnTimeout);
  const Reason why = opening         ? (passive_ ? Reason::kHandshakeTimedOut : Reason::kConnectTimedOut)
                     : program_gone_ ? Reason::kOrphanGaveUp
                                     : Reason::kRetransmitGaveUp;
  const Ending::Segment silent = unanswered();
  // A peer with a closed window may well be there, and has to learn that nothing more will come.
  if (!opening && snd_.wnd == 0) {
    abort(gave_up_error(), why, ctx);
  } else {
    fail(gave_up_error(), why, ctx);
  }
  note_ending_segment(silent);
}

// The timer of RFC 6298.
void Connection::on_timeout(Context& ctx) {
  const bool opening = !is_synchronized(state_);
  if (retries_ >= most_retries(ctx.settings)) {
    give_up(ctx);
    return;
  }

  // The peer has closed its window, or taken it back from behind what is in flight: what is sent again finds
  // out when it opens (MUST-34, MUST-35, MUST-36).
  if (!opening && snd_.wnd == 0) {
    ctx.timer_fired(tuple_, state_, Reason::kPersistProbe);
    one_more_retry(ctx);
    if (persist_backoff_ < 255) ++persist_backoff_;
    resend_first_ = true;
    arm_retransmit(ctx);
    return;
  }

  const Reason fired = state_ == State::kSynSent       ? Reason::kSynRetransmitted
                       : state_ == State::kSynReceived ? Reason::kSynAckRetransmitted
                                                       : Reason::kRetransmitTimeout;
  ctx.timer_fired(tuple_, state_, fired);
  one_more_retry(ctx);
  rare().timeouts.one_more(ctx.now);
  ctx.count(Counter::kTCPTimeouts);
  rtt_.back_off(ctx.settings);
  timing_ = false;
  if (opening) {
    syn_to_send_ = true;
    ctx.count(Counter::kTCPSynRetrans);
    return;
  }
  if (accurate_) marks().on_timeout(snd_.una);
  // The earliest unacknowledged segment goes again (RFC 6298 §5.4), and the rest as acknowledgements let it.
  tail_probe_ = false;
  if (flight_ != nullptr) {
    enter_loss(ctx);
  } else if (retries_ == 1) {
    congestion_.on_loss(loss_event(CongestionSign::kTimeout, 0, ctx));  // a FIN alone
  }
  resend_first_ = true;
  arm_retransmit(ctx);
}

void Connection::on_persist_timer(Context& ctx) {
  // The window is open, only less than it was worth sending, or the program's cork holds it back: "to avoid a
  // resulting deadlock, it is necessary to have a timeout to force transmission of data, overriding the SWS
  // avoidance algorithm."  (§3.8.6.2.1)
  if (peer_room() > 0) {
    send_small_ = true;
    return;
  }
  if (retries_ >= most_retries(ctx.settings)) {
    give_up(ctx);
    return;
  }
  ctx.timer_fired(tuple_, state_, Reason::kPersistProbe);
  one_more_retry(ctx);
  if (persist_backoff_ < 255) ++persist_backoff_;
  if (ctx.settings.window_probe_octet) {
    probe_ = true;
  } else {
    send_reminder(Reason::kPersistProbe, ctx);
  }
  arm_persist(ctx);
}

void Connection::on_keepalive_timer(Context& ctx) {
  // Data in flight or a closed window have timers of their own.
  if (snd_.max.after(snd_.una) || timers_.armed(Timer::kPersist)) {
    timers_.set(Timer::kKeepalive, ctx.now + keepalive_time(ctx.settings));
    return;
  }
  // A user timeout says how long a peer may be silent, instead of a number of probes, as on Linux.
  const std::uint32_t most = chosen(choices().keepalive_probes, ctx.settings.tcp_keepalive_probes);
  const bool given_up = user_timeout() > Duration::zero()
                            ? retries_ > 0 && ctx.now - last_heard_ >= user_timeout()
                            : retries_ >= std::min(most, kMostCounted);
  if (given_up) {
    ctx.count(Counter::kTCPAbortOnTimeout);
    abort(gave_up_error(), Reason::kKeepaliveTimedOut, ctx);
    note_ending_segment({.received = false, .seq = snd_.una - 1, .ack = rcv_.nxt, .flags = Flags::kAck});
    return;
  }
  if (retries_ < kMostCounted) ++retries_;
  ctx.count(Counter::kTCPKeepAlive);
  ctx.timer_fired(tuple_, state_, Reason::kKeepaliveProbe);
  send_reminder(Reason::kKeepaliveProbe, ctx);
  timers_.set(Timer::kKeepalive,
              ctx.now + chosen(choices().keepalive_interval, ctx.settings.tcp_keepalive_intvl));
}

// A number just left of the window, which the peer has acknowledged long ago, and no text: it must answer
// with an ACK (§3.8.4).
void Connection::send_reminder(Reason why, Context& ctx) {
  Reply probe;
  probe.tuple = tuple_;
  probe.state = state_;
  probe.reason = why;
  probe.traffic_class = traffic_class_;
  probe.header.seq = snd_.una - 1;
  probe.header.ack = rcv_.nxt;
  probe.header.flags = Flags::kAck;
  probe.header.window = offer_window(ctx);
  probe.scale = rcv_.scale.shift();
  if (timestamps_) stamp(probe.header.options, ctx.now, timestamp_offset_, rcv_.ts_recent);
  if (accurate_) {
    probe.header.set_ace(marks().ace_of(false));
    probe.counts_marks = true;
  }
  ctx.replies.push_back(probe);
}

}  // namespace synfin::tcp
