// SPDX-License-Identifier: Apache-2.0
//
// What an acceptable acknowledgement does: SND.UNA, the window, round-trip time, recovery. Read first: RFC
// 9293 §3.10.7.4 fifth step, RFC 5681, RFC 6298, RFC 7323.
#include <algorithm>

#include "synfin/tcp/connection.h"
#include "synfin/tcp/user_timeout.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

Reason Connection::accept_ack(const Segment& seg, Context& ctx) {
  remember_timestamp(seg, ctx);
  heard_from_peer(ctx);
  hear_user_timeout(seg);
  const std::uint32_t window_before = snd_.wnd;
  // The same acknowledgement of outstanding data, saying nothing else (RFC 5681 §2).
  const bool repeats = seg.ack() == snd_.una && snd_.max.after(snd_.una) && seg.length() == 0;

  if (seg.ack().after(snd_.una)) {
    acknowledge(seg.ack(), seg, ctx);
    update_window(seg);
    return Reason::kAckAccepted;
  }
  const bool changed = update_window(seg) && snd_.wnd != window_before;
  if (changed) return Reason::kWindowUpdate;
  if (repeats && !timers_.armed(Timer::kPersist)) return on_duplicate_ack(ctx);
  return Reason::kAckIgnored;
}

void Connection::acknowledge(SeqNum ack, const Segment& seg, Context& ctx) {
  const auto acked = static_cast<std::uint32_t>(ack - snd_.una);
  const auto in_flight = static_cast<std::uint32_t>(snd_.max - snd_.una);
  const SeqNum text_end = earlier(ack, stream_end());
  if (text_end.after(snd_.base)) {
    const auto text = static_cast<std::uint32_t>(text_end - snd_.base);
    snd_.queue.drop_front(text);
    snd_.base = text_end;
    if (wants_writable_ && snd_.queue.size() <= ctx.settings.tcp_wmem / 3 * 2) {
      wants_writable_ = false;
      events_ |= kWritable;
    }
  }
  snd_.una = ack;
  ecn_recover_ = later(ecn_recover_, ack);  // or it would lie ahead again 2 GiB later
  snd_.nxt = later(snd_.nxt, ack);
  measure(seg, ctx);
  retries_ = 0;
  soft_error_ = Error::kWouldBlock;

  const std::uint32_t mss = text_limit();
  switch (recovery_.on_advance(ack, acked, mss)) {
    case Recovery::Action::kRetransmitFirst:
      resend_first_ = true;
      break;
    case Recovery::Action::kExit:
      break;
    case Recovery::Action::kNothing:
      congestion_.on_ack({ctx.now, acked, in_flight});
      break;
    case Recovery::Action::kEnter:
      break;
  }

  // (5.2) all is acknowledged: stop; (5.3) otherwise it begins anew.  (RFC 6298 §5)
  timers_.stop(Timer::kRetransmit);
  timers_.stop(Timer::kUser);
  if (snd_.max.after(snd_.una)) {
    if (!timers_.armed(Timer::kPersist)) arm_retransmit(ctx);
    arm_user_timeout(ctx);
  }
}

// Karn's algorithm: only a segment that was sent once is timed. Timestamps prove the round trip of the others
// (RFC 7323 §4).
void Connection::measure(const Segment& seg, Context& ctx) {
  if (timing_ && seg.ack().at_or_after(timed_end_)) {
    timing_ = false;
    rtt_.sample(ctx.now - timed_at_, ctx.settings);
    return;
  }
  if (retries_ == 0) return;
  if (timestamps_ && seg.has_timestamps() && seg.header.options.timestamps.echo != 0) {
    const std::uint32_t elapsed =
        timestamp_value(ctx.now, timestamp_offset_) - seg.header.options.timestamps.echo;
    if (elapsed < 3'600'000) rtt_.sample(Duration::milliseconds(elapsed), ctx.settings);
  }
}

// "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK), set SND.WND <- SEG.WND."  (§3.10.7.4)
bool Connection::update_window(const Segment& seg) {
  const bool newer =
      snd_.wl1.before(seg.seq()) || (snd_.wl1 == seg.seq() && snd_.wl2.at_or_before(seg.ack()));
  if (!newer || seg.ack().before(snd_.una)) return false;
  snd_.wnd = (seg.header.window << (seg.flags().syn() ? WindowScale::none() : snd_.scale)).octets;
  snd_.max_wnd = std::max(snd_.max_wnd, snd_.wnd);
  snd_.wl1 = seg.seq();
  snd_.wl2 = seg.ack();
  if (timers_.armed(Timer::kPersist) && usable_window() > 0) stop_persist();
  return true;
}

Reason Connection::on_duplicate_ack(Context& ctx) {
  if (recovery_.on_duplicate(snd_.una, snd_.max, text_limit()) == Recovery::Action::kEnter) {
    congestion_.on_loss(static_cast<std::uint32_t>(snd_.max - snd_.una), ctx.now);
    resend_first_ = true;
    ctx.count(Counter::kTCPFastRetrans);
  }
  return Reason::kDuplicateAck;
}

// Congestion without loss: the window is reduced once for what was in flight, nothing is sent again, and the
// peer is told by CWR (RFC 3168 §6.1.2).
void Connection::on_congestion_echo(Context& ctx) {
  if (snd_.una.before(ecn_recover_) || recovery_.active() || snd_.una == snd_.max) return;
  congestion_.on_loss(static_cast<std::uint32_t>(snd_.max - snd_.una), ctx.now);
  ecn_recover_ = snd_.max;
  cwr_to_send_ = true;
}

// RFC 7323 §4.3: TS.Recent takes SEG.TSval where that is not older and the segment begins at or before
// Last.ACK.sent. Only once the acknowledgement is known to be good, so that a blind forger cannot poison it.
// One that has outlived the sign of its clock looks newer than any (§5.5): it makes way.
void Connection::remember_timestamp(const Segment& seg, const Context& ctx) {
  if (!timestamps_ || !seg.has_timestamps()) return;
  const std::uint32_t value = seg.header.options.timestamps.value;
  const bool newer = static_cast<std::int32_t>(value - rcv_.ts_recent) >= 0;
  const bool outlived = ctx.now - last_heard_ >= kTimestampLife;
  if ((newer || outlived) && seg.seq().at_or_before(rcv_.last_ack_sent)) rcv_.ts_recent = value;
}

void Connection::hear_user_timeout(const Segment& seg) {
  if (rare_ == nullptr || !seg.header.options.has(wire::TcpOptions::kUserTimeout)) return;
  const Duration own = rare_->options.advertised_user_timeout;
  const Duration wanted = decode_user_timeout(seg.header.options.user_timeout);
  if (own > Duration::zero() && wanted > Duration::zero())
    rare_->agreed_user_timeout = agreed_user_timeout(own, wanted);
}

void Connection::heard_from_peer(Context& ctx) {
  last_heard_ = ctx.now;
  if (keepalive_ && is_synchronized(state_))
    timers_.set(Timer::kKeepalive, ctx.now + keepalive_time(ctx.settings));
  // A closed window that goes on being confirmed is no reason to give up (RFC 9293 §3.8.6.1), unless the
  // program has left.
  if (timers_.armed(Timer::kPersist) && !program_gone_) retries_ = 0;
  if (keepalive_ && snd_.una == snd_.max && !timers_.armed(Timer::kPersist)) retries_ = 0;
}

}  // namespace synfin::tcp
