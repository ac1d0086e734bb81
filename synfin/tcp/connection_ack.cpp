// SPDX-License-Identifier: Apache-2.0
//
// What an acceptable acknowledgement does: SND.UNA, the scoreboard, the window, round-trip time. What follows
// about losses lies in connection_recovery.cpp. Read first: RFC 9293 §3.10.7.4 fifth step, RFC 2018, RFC
// 2883, RFC 6298, RFC 7323.
#include <algorithm>

#include "synfin/tcp/connection.h"
#include "synfin/tcp/user_timeout.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

Reason Connection::accept_ack(const Segment& seg, Context& ctx) {
  const BeforeAck before = before_ack(seg);
  remember_timestamp(seg, ctx);
  heard_from_peer(ctx);
  hear_user_timeout(seg);
  const std::uint32_t window_before = snd_.wnd;
  Delivery d;
  d.advanced = seg.ack().after(snd_.una);
  d.fate = d.advanced ? Reason::kAckAccepted : Reason::kAckIgnored;
  // The same acknowledgement of outstanding data, saying nothing else (RFC 5681 §2). What answers a probe of
  // a closed window is none.
  const bool repeats = seg.ack() == snd_.una && snd_.nxt.after(snd_.una) && seg.length() == 0;
  if (flight_ != nullptr) d.lost_before = flight_->sent.lost();
  check_app_limited();

  if (d.advanced) acknowledge(seg, d, ctx);
  const bool changed = update_window(seg, ctx) && snd_.wnd != window_before;
  if (!d.advanced && changed) d.fate = Reason::kWindowUpdate;
  if (repeats && !changed && snd_.wnd > 0 && !timers_.armed(Timer::kPersist)) {
    d.duplicate = true;
    d.fate = Reason::kDuplicateAck;
  }
  if (sack_ && seg.header.options.has(wire::TcpOptions::kSack)) take_sacks(seg, d, ctx);
  if (before.echoes || accurate_) hear_marks(seg, before, d, ctx);
  if (tail_probe_) judge_tail_probe(seg, d, ctx);
  if (flight_ != nullptr) recover(seg, d, ctx);
  return d.fate;
}

// SND.UNA moves on.
void Connection::acknowledge(const Segment& seg, Delivery& d, Context& ctx) {
  const SeqNum ack = seg.ack();
  const SeqNum text_end = earlier(ack, stream_end());
  if (text_end.after(snd_.base)) {
    const auto text = static_cast<std::uint32_t>(text_end - snd_.base);
    snd_.queue.drop_front(text);
    traffic_.acked += text;
    snd_.base = text_end;
    tune_send_buffer(ctx);
    tell_writable(ctx.settings);
  }
  // Only the SYN-ACK can have been acknowledged: it was the first round trip.
  if (timing_ && flight_ == nullptr) {
    rtt_.sample(ctx.now - last_sent_, ctx.settings);
    rtt_.note_minimum(ctx.now - last_sent_, ctx.now);
  }
  timing_ = false;
  snd_.una = ack;
  recover_ = later(recover_, ack - 1);  // or it would lie ahead again 2 GiB later
  snd_.nxt = later(snd_.nxt, ack);
  snd_.max = later(snd_.max, ack);
  if (flight_ != nullptr) {
    flight_->sent.acknowledge_runs(
        ack, ctx.short_paths,
        [&](const SentSegment& s) {
          ++d.acknowledged;
          if (!s.sacked) delivered(s, seg, d, ctx);
        },
        [&](const Scoreboard::Run& run) {
          d.acknowledged += run.segments;
          delivered_together(run, seg, d, ctx);
        });
    measure(seg, d, ctx);
  }
  if (rare_ != nullptr) rare_->timeouts.over(ctx.now);
  retries_ = 0;
  resend_first_ = false;
  soft_error_ = Error::kWouldBlock;

  timers_.stop(Timer::kUser);
  if (snd_.nxt == snd_.una) {
    timers_.stop(Timer::kRetransmit);  // (5.2) of RFC 6298 §5
  } else {
    arm_retransmit(ctx);  // (5.3)
  }
}

// A segment is known to have arrived, by SND.UNA or by a block.
void Connection::delivered(const SentSegment& s, const Segment& seg, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  d.octets += s.length;
  ++d.segments;
  ++traffic_.delivered;
  f.rate.segment_delivered(s.mark, s.length, s.sent_at, s.end(), ctx.now);
  std::optional<bool> second_time;
  if (s.ever_retransmitted) {
    d.resent = true;
    // What lies beyond a hole does not change TS.Recent: the echo says nothing of it (RFC 7323 §4.3).
    if (timestamps_ && seg.has_timestamps() && s.end().at_or_before(seg.ack())) {
      second_time = static_cast<std::int32_t>(seg.header.options.timestamps.echo -
                                              timestamp_value(s.sent_at, timestamp_offset_)) >= 0;
      (*second_time ? d.second_time : d.first_time) = true;
    }
  } else {
    const Duration rtt = ctx.now - s.sent_at;
    if (!d.round_trip || rtt != d.last_round_trip) {  // those that left together took as long
      rtt_.note_minimum(rtt, ctx.now);
      d.round_trip = std::min(d.round_trip.value_or(rtt), rtt);
      d.last_round_trip = rtt;
    }
    if (!s.sacked && !d.sampled && s.end().at_or_before(snd_.una) && s.start.at_or_after(f.sample_from)) {
      d.sampled = true;
      d.sampled_at = s.sent_at;
    }
    if (s.end().at_or_before(f.high)) d.original = true;
    if (f.any_sacked && s.start.before(f.highest_sacked) &&
        (!d.reordered || s.start.before(d.reordered_from))) {
      d.reordered = true;
      d.reordered_from = s.start;
    }
  }
  f.rack.delivered(s, ctx.now, second_time, rtt_.minimum());
}

// The same for several that were sent once and at one time: what was sent last says it for all, but that it
// is the first that may have been in flight longest, and that reordering is a matter of each.
void Connection::delivered_together(const Scoreboard::Run& run, const Segment& seg, Delivery& d,
                                    Context& ctx) {
  Flight& f = *flight_;
  const SentSegment& last = run.last;
  if (run.first.end().at_or_before(f.high)) d.original = true;
  if (f.any_sacked && run.first.start.before(f.highest_sacked) &&
      (!d.reordered || run.first.start.before(d.reordered_from))) {
    d.reordered = true;
    d.reordered_from = run.first.start;
  }
  const std::uint32_t others = run.segments - 1, octets = run.octets - last.length;
  d.octets += octets;
  d.segments += others;
  traffic_.delivered += others;
  f.rate.count_delivered(octets);
  delivered(last, seg, d, ctx);
}

// Karn's algorithm: only a segment that was sent once is timed, and only where its acknowledgement did not
// wait for one that was sent again. Timestamps prove the round trip of the others (RFC 7323 §4).
void Connection::measure(const Segment& seg, const Delivery& d, Context& ctx) {
  if (d.sampled && !d.resent) {
    // One sample a round trip: RFC 6298's weights are meant for that.
    rtt_.sample(ctx.now - d.sampled_at, ctx.settings);
    flight_->sample_from = snd_.nxt;
    return;
  }
  if (!d.resent || !timestamps_ || !seg.has_timestamps()) return;
  if (seg.header.options.timestamps.echo == 0) return;
  // Not where the first transmission had arrived and its acknowledgement was lost: this one answers the
  // second (DSACK, RFC 2883), and the echo is the first one's still. A timeout would so grow by itself.
  const wire::TcpOptions& o = seg.header.options;
  if (o.sack_count > 0 && o.sack[0].right.at_or_before(seg.ack())) return;
  const std::uint32_t elapsed =
      timestamp_value(ctx.now, timestamp_offset_) - seg.header.options.timestamps.echo;
  if (elapsed < 3'600'000) rtt_.sample(Duration::milliseconds(elapsed), ctx.settings);
}

// RFC 2018 §3, RFC 6675 §4 Update().
void Connection::take_sacks(const Segment& seg, Delivery& d, Context& ctx) {
  const wire::TcpOptions& o = seg.header.options;
  std::array<wire::SackBlock, wire::TcpOptions::kMaxSack> blocks{};
  std::size_t n = 0;
  for (std::size_t i = take_dsack(seg, d, ctx) ? 1 : 0; i < o.sack_count; ++i) {
    const wire::SackBlock& b = o.sack[i];
    if (!b.left.before(b.right) || b.right.after(snd_.nxt)) {
      ctx.count(Counter::kTCPSACKDiscard);
      continue;
    }
    if (b.right.at_or_before(snd_.una)) continue;  // older than the acknowledgement
    // Upwards, so that only what arrived late looks reordered.
    std::size_t at = n++;
    for (; at > 0 && b.left.before(blocks[at - 1].left); --at) blocks[at] = blocks[at - 1];
    blocks[at] = b;
  }
  if (flight_ == nullptr) return;
  Flight& f = *flight_;
  for (std::size_t i = 0; i < n; ++i) {
    f.sent.sack(blocks[i].left, blocks[i].right, [&](const SentSegment& s) {
      d.sacked = true;
      delivered(s, seg, d, ctx);
      if (!f.any_sacked || s.end().after(f.highest_sacked)) f.highest_sacked = s.end();
      f.any_sacked = true;
    });
  }
  if (d.sacked && !d.advanced) d.fate = Reason::kSelectiveAck;
}

// "a D-SACK block … The first SACK block"  (RFC 2883 §4), if it lies below the acknowledgement or within the
// second block.
bool Connection::take_dsack(const Segment& seg, Delivery& d, Context& ctx) {
  const wire::TcpOptions& o = seg.header.options;
  if (o.sack_count == 0 || !o.sack[0].left.before(o.sack[0].right)) return false;
  const wire::SackBlock b = o.sack[0];
  const bool old = b.right.at_or_before(seg.ack());
  const bool within =
      o.sack_count > 1 && b.left.at_or_after(o.sack[1].left) && b.right.at_or_before(o.sack[1].right);
  if (!old && !within) return false;
  ctx.count(old ? Counter::kTCPDSACKRecv : Counter::kTCPDSACKOfoRecv);
  if (!d.advanced) d.fate = Reason::kDuplicateSack;
  const std::uint32_t segments =
      std::min((static_cast<std::uint32_t>(b.right - b.left) + text_limit() - 1) / text_limit(), 0xffffu);
  traffic_.duplicates = static_cast<std::uint16_t>(std::min(traffic_.duplicates + segments, 0xffffu));
  // A peer that tells of more than was ever sent again is not to be believed.
  if (traffic_.duplicates > total_retransmissions_) return true;
  d.dsack = true;
  d.probe_dsack = tail_probe_ && b.right == tail_probe_end_;
  if (flight_ == nullptr) {
    // A program that waits for answers hears of it only now. Round trips are not told apart here, so it
    // counts no further than the least of them.
    if (!d.probe_dsack && reordering_.steps < Reordering::kStepsOfRoundTrip) reordering_.widen();
    return true;
  }
  Flight& f = *flight_;
  if (f.undo && f.undo_left > 0 && b.right.after(f.undo_from)) {
    f.undo_left = std::max(f.undo_left - static_cast<std::int32_t>(segments), 0);
  }
  if (!d.probe_dsack && f.rack.new_dsack_round(snd_.una, snd_.nxt)) reordering_.widen();
  return true;
}

// "If SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK), set SND.WND <- SEG.WND."  (§3.10.7.4)
// The check "prevents using old segments to update the window". One that acknowledges more than any before it
// is none, though it fills a hole and so has an older number: SND.WND counts from SND.UNA, and the right edge
// would move with it into what was never offered. Linux does the same.
bool Connection::update_window(const Segment& seg, Context& ctx) {
  const bool newer = snd_.wl1.before(seg.seq()) || snd_.wl2.before(seg.ack()) ||
                     (snd_.wl1 == seg.seq() && snd_.wl2 == seg.ack());
  if (!newer || seg.ack().before(snd_.una)) return false;
  const bool was_closed = snd_.wnd == 0, had_room = peer_room() > 0;
  snd_.wnd = (seg.header.window << (seg.flags().syn() ? WindowScale::none() : snd_.scale)).octets;
  snd_.max_wnd = std::max(snd_.max_wnd, snd_.wnd);
  snd_.wl1 = seg.seq();
  snd_.wl2 = seg.ack();
  const bool probed = persist_backoff_ > 0;
  if (snd_.wnd > 0) persist_backoff_ = 0;
  // Where there was room all along, what waits for more of it does not begin to wait anew.
  if (timers_.armed(Timer::kPersist) && !had_room && peer_room() > 0 && pipe() < window()) stop_persist();
  if (was_closed && probed && snd_.wnd > 0 && snd_.nxt.after(snd_.una)) window_opened(ctx);
  return true;
}

// What was sent to probe the window may have found no room: it goes again at once, and where it was an octet
// for the purpose, with all that follows it. MAX stays, as that octet may have been taken.
void Connection::window_opened(Context& ctx) {
  if (flight_ != nullptr && flight_->window_probe && flight_->sent.size() == 1) {
    traffic_.resent += static_cast<std::uint32_t>(earlier(snd_.nxt, stream_end()) - snd_.una);
    snd_.nxt = snd_.una;
    timers_.stop(Timer::kRetransmit);
    release_flight(ctx);
    return;
  }
  // What else was in flight when it closed has waited for a timeout at least, so it is lost; not by
  // congestion.
  if (flight_ != nullptr && !in_loss_recovery()) {
    Flight& f = *flight_;
    for (std::uint32_t i = 0; i < f.sent.size(); ++i) f.sent.mark_lost(i);
    f.state = CaState::kLoss;
    f.high = snd_.nxt;
    f.frto = Flight::Frto::kOff;
    f.undo = false;
  } else {
    resend_first_ = true;
  }
  arm_retransmit(ctx);
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
  if ((timers_.armed(Timer::kPersist) || persist_backoff_ > 0) && !program_gone_) retries_ = 0;
  if (keepalive_ && snd_.una == snd_.max && !timers_.armed(Timer::kPersist)) retries_ = 0;
}

}  // namespace synfin::tcp
