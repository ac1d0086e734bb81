// SPDX-License-Identifier: Apache-2.0
//
// Opening: CLOSED to ESTABLISHED. Read first: RFC 9293 §3.5, §3.10.1, §3.10.7.3. Quotations end with two
// spaces and the section.
#include <algorithm>

#include "synfin/tcp/connection.h"
#include "synfin/tcp/syn_cookie.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;
using wire::TcpOptions;

// One segment where the SYN or SYN-ACK was lost (RFC 5681 §3.1).
void Connection::begin_congestion_control(bool syn_lost, Context& ctx) {
  const std::uint32_t initial = syn_lost ? 1 : ctx.settings.tcp_init_cwnd;
  if (!congestion_.begin(congestion_control(ctx.settings), text_limit(), initial, timestamp_offset_))
    ctx.called(tuple_, state_, Reason::kNoPathModel);
}

// Without memory for a model of the path the connection goes on with the controller that it has.
void Connection::change_controller(CongestionControl control, std::uint32_t initial_segments, Context& ctx) {
  if (!congestion_.change(control, text_limit(), initial_segments, timestamp_offset_))
    ctx.called(tuple_, state_, Reason::kNoPathModel);
}

void Connection::open_active(const wire::FourTuple& tuple, FastOpen fast_open, Context& ctx,
                             const TimeWait* reused) {
  tuple_ = tuple;
  snd_.iss = ctx.isn.next(tuple, ctx.now);
  if (reused != nullptr) snd_.iss = number_after(*reused, snd_.iss);
  snd_.una = snd_.nxt = snd_.max = snd_.iss;
  snd_.base = snd_.iss + 1;
  const Offer own = offer(ctx);
  snd_.mss = std::min(default_mss(tuple.local.address.family()), own.mss);
  rcv_.buffer = own.receive_buffer;
  scaling_ = ctx.settings.tcp_window_scaling;
  rcv_.scale = scaling_ ? scale_for(own.largest_buffer) : WindowScale::none();
  timestamps_ = ctx.settings.tcp_timestamps;
  sack_ = ctx.settings.tcp_sack;
  fast_open_ = fast_open == FastOpen::kYes;
  timestamp_offset_ = ctx.timestamp_offset(tuple);
  recover_ = snd_.iss;
  reordering_.degree = static_cast<std::uint16_t>(ctx.settings.tcp_reordering);
  ecn_ = asked_by(ctx.settings) != EcnMode::kNone;
  echo_marks_ = asked_by(ctx.settings) == EcnMode::kAccurate;
  begin_congestion_control(false, ctx);
  last_heard_ = ctx.now;
  syn_to_send_ = true;
  ctx.count(Counter::kActiveOpens);
  ctx.called(tuple_, state_, Reason::kActiveOpen);
  transition_to(State::kSynSent, Reason::kActiveOpen, ctx);
}

// What both ways out of LISTEN have in common.
void Connection::adopt_half_open(const HalfOpen& half, Context& ctx) {
  tuple_ = half.tuple;
  passive_ = true;
  state_ = State::kSynReceived;
  snd_.iss = half.iss;
  snd_.base = half.iss + 1;
  snd_.scale = half.peer_scale();
  rcv_.irs = half.irs;
  rcv_.nxt = rcv_.last_ack_sent = half.irs + 1;
  const Offer own = offer(ctx);
  rcv_.buffer = own.receive_buffer;
  rcv_.offered = std::min(rcv_.buffer, 0xffffu);
  rcv_.edge = rcv_.nxt + rcv_.offered;
  rcv_.scale = half.own_scale();
  rcv_.ts_recent = half.ts_recent;
  scaling_ = half.scaled();
  timestamps_ = half.timestamps;
  sack_ = half.sack;
  ecn_ = half.ecn;
  if (half.accurate_ecn) {
    agree_on_accurate_ecn(true, half.syn_ecn, ctx.settings);
    if (half.retransmissions >= kSynAcksWithEcn) ecn_ = false;
  }
  timestamp_offset_ = ctx.timestamp_offset(tuple_);
  snd_.mss = std::min(own.mss, static_cast<std::uint16_t>(
                                   std::max<std::uint32_t>(half.peer_mss(), ctx.settings.tcp_min_snd_mss)));
  recover_ = snd_.iss;
  reordering_.degree = static_cast<std::uint16_t>(ctx.settings.tcp_reordering);
  begin_congestion_control(half.retransmissions > 1, ctx);
  last_heard_ = ctx.now;
  ctx.count(Counter::kPassiveOpens);
}

void Connection::open_from(const HalfOpen& half, const Segment& third, std::optional<Duration> round_trip,
                           Context& ctx) {
  adopt_half_open(half, ctx);
  snd_.una = snd_.nxt = snd_.max = snd_.base;
  if (round_trip) {
    rtt_.sample(*round_trip, ctx.settings);
    rtt_.note_minimum(*round_trip, ctx.now);
  } else if (timestamps_ && third.has_timestamps()) {
    // A SYN-ACK that was sent again, or none that is remembered: only the echo tells (RFC 7323 §4).
    const std::uint32_t elapsed =
        timestamp_value(ctx.now, timestamp_offset_) - third.header.options.timestamps.echo;
    if (elapsed < 120'000) rtt_.sample(Duration::milliseconds(elapsed), ctx.settings);
  } else if (half.retransmissions > 0) {
    rtt_.handshake_was_ambiguous(ctx.settings);
  }
  snd_.wnd = snd_.max_wnd = (third.header.window << snd_.scale).octets;
  snd_.wl1 = third.seq();
  snd_.wl2 = third.ack();
  become_established(ctx, Reason::kHandshakeComplete);
}

// `open_from` has heard its window and its acknowledgement.
bool Connection::take_bare_third(const Segment& third, const Context& ctx) {
  if (!ctx.short_paths || third.length() > 0 || rare_ != nullptr || !is_plain_next(third) ||
      third.ack() != snd_.una)
    return false;
  traffic_.segments_in += third.pieces();
  remember_timestamp(third, ctx);
  return true;
}

void Connection::continue_clock(std::uint32_t echo, const Context& ctx) {
  constexpr auto kOldest = static_cast<std::uint32_t>(SynCookies::kLife.ms());
  if (!timestamps_ || timestamp_value(ctx.now, timestamp_offset_) - echo <= kOldest) return;
  timestamp_offset_ = echo + 1 - timestamp_value(ctx.now, 0);
}

void Connection::open_passive(const HalfOpen& half, const Segment* syn, Context& ctx) {
  adopt_half_open(half, ctx);
  snd_.una = snd_.nxt = snd_.max = snd_.iss;
  syn_to_send_ = true;
  ctx.state_changed(tuple_, State::kListen, State::kSynReceived,
                    syn != nullptr ? Reason::kFastOpenAccepted : Reason::kPendingAccepted);
  if (syn == nullptr) return;
  fast_open_ = true;
  snd_.wnd = snd_.max_wnd = (syn->header.window << WindowScale::none()).octets;
  snd_.wl1 = syn->seq();
  events_ |= kWritable;
  (void)seventh_process_text(*syn, ctx);
}

void Connection::become_established(Context& ctx, Reason why) {
  transition_to(State::kEstablished, why, ctx);
  events_ |= kConnected | kWritable;
  retries_ = 0;
  quick_acks_ = static_cast<std::uint8_t>(ctx.settings.tcp_quick_acks);
  timers_.stop(Timer::kRetransmit);
  if (keepalive_) timers_.set(Timer::kKeepalive, ctx.now + keepalive_time(ctx.settings));
  // CLOSE came while the handshake was under way: "queue for processing after entering ESTABLISHED state."
  // (§3.10.4)
  if (snd_.fin_queued) transition_to(State::kFinWait1, Reason::kCloseCalled, ctx);
}

// What the peer's SYN says of it: its first number, its window and its options. An option counts only if we
// offered it too.
void Connection::adopt_syn(const Segment& syn, Context& ctx) {
  const TcpOptions& o = syn.header.options;
  rcv_.irs = syn.seq();
  rcv_.nxt = rcv_.last_ack_sent = syn.seq() + 1;
  rcv_.offered = std::min(rcv_.buffer, 0xffffu);
  rcv_.edge = rcv_.nxt + rcv_.offered;
  const std::uint16_t announced =
      o.has(TcpOptions::kMss) ? o.mss : default_mss(tuple_.local.address.family());
  snd_.mss =
      std::min(offer(ctx).mss,
               static_cast<std::uint16_t>(std::max<std::uint32_t>(announced, ctx.settings.tcp_min_snd_mss)));
  scaling_ = scaling_ && o.has(TcpOptions::kWindowScale);
  snd_.scale = scaling_ ? WindowScale{o.window_scale} : WindowScale::none();
  if (!scaling_) rcv_.scale = WindowScale::none();
  timestamps_ = timestamps_ && o.has(TcpOptions::kTimestamps);
  sack_ = sack_ && o.has(TcpOptions::kSackPermitted);
  if (timestamps_) rcv_.ts_recent = o.timestamps.value;
  hear_user_timeout(syn);
  snd_.wnd = snd_.max_wnd = (syn.header.window << WindowScale::none()).octets;
  snd_.wl1 = syn.seq();
  snd_.wl2 = syn.ack();
  begin_congestion_control(retries_ > 1, ctx);
}

Reason Connection::on_segment_syn_sent(const Segment& seg, Context& ctx) {
  const Flags f = seg.flags();
  // First, check the ACK bit: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is
  // set …) and discard."  (§3.10.7.3)
  if (f.ack() && (seg.ack().at_or_before(snd_.iss) || seg.ack().after(snd_.max))) {
    if (f.rst()) return Reason::kSynSentIgnored;
    ctx.replies.push_back(reset_for(tuple_, seg, state_, Reason::kSynSentBadAck));
    return Reason::kSynSentBadAck;
  }

  // Second, check the RST bit: "If the ACK was acceptable, then signal to the user 'error: connection reset'
  // … Otherwise (no ACK), drop the segment and return."  (§3.10.7.3)
  if (f.rst()) {
    if (!f.ack()) return Reason::kSynSentIgnored;
    ctx.count(Counter::kAttemptFails);
    fail(Error::kRefused, Reason::kConnectionRefused, ctx);
    return Reason::kConnectionRefused;
  }

  // Third: security and compartment. Not implemented; RFC 9293 §A.1 leaves them to systems that label
  // traffic.

  // Fourth, check the SYN bit. SYN and FIN together are taken as they are: this end asked for the SYN.
  if (!f.syn()) return Reason::kSynSentIgnored;
  const Instant syn_sent_at = last_sent_;
  adopt_syn(seg, ctx);
  heard_from_peer(ctx);

  if (!f.ack()) {
    // "Otherwise, enter SYN-RECEIVED, form a SYN,ACK segment … and send it."  (§3.10.7.3)
    syn_to_send_ = true;
    const EcnMode mode = answer_to_syn(seg.header, ctx.settings);
    ecn_ = mode != EcnMode::kNone;
    echo_marks_ = false;
    if (mode == EcnMode::kAccurate) agree_on_accurate_ecn(true, seg.ecn, ctx.settings);
    // What our SYN carried, no cookie of ours vouches for at this peer: it goes again behind the handshake.
    fast_open_ = false;
    count_syn_text(0);
    snd_.nxt = snd_.max = snd_.base;
    timers_.stop(Timer::kRetransmit);
    transition_to(State::kSynReceived, Reason::kSimultaneousOpen, ctx);
    return Reason::kSimultaneousOpen;
  }

  if (retries_ == 0) {
    rtt_.sample(ctx.now - syn_sent_at, ctx.settings);
    rtt_.note_minimum(ctx.now - syn_sent_at, ctx.now);
  } else if (timestamps_) {
    Delivery twice;
    twice.resent = true;
    measure(seg, twice, ctx);
  } else {
    rtt_.handshake_was_ambiguous(ctx.settings);
  }
  agree_as_asked(seg, ctx);
  const Reason fate = take_syn_ack_for_text(seg, ctx);
  syn_to_send_ = false;
  become_established(ctx, Reason::kSynAckAccepted);
  owe_ack(Reason::kSynAckAccepted);
  // "If there are other controls or text in the segment, then continue processing at the sixth step."
  // (§3.10.7.3)
  if (seg.text_size > 0) (void)seventh_process_text(seg, ctx);
  if (f.fin()) (void)eighth_check_fin(seg, ctx);
  return fate;
}

// The peer has taken so much of the text in our SYN; the rest goes again.
void Connection::count_syn_text(std::uint32_t taken) {
  if (!snd_.max.after(snd_.base)) return;
  const auto text = static_cast<std::uint32_t>(snd_.max - snd_.base);
  traffic_.sent += text;
  traffic_.resent += text - taken;
  traffic_.acked += taken;
  ++traffic_.text_segments_out;
}

// What the SYN-ACK says about text in our SYN (RFC 7413 §4.1.3): taken, or to be sent again.
Reason Connection::take_syn_ack_for_text(const Segment& seg, Context& ctx) {
  const bool sent_text = snd_.max.after(snd_.base);
  const auto taken = static_cast<std::uint32_t>(seg.ack() - snd_.base);
  count_syn_text(taken);
  snd_.queue.drop_front(taken);
  snd_.una = snd_.nxt = snd_.max = snd_.base = seg.ack();
  if (!fast_open_) return Reason::kSynAckAccepted;
  fast_open_ = sent_text && taken > 0;

  const wire::IpAddress& server = tuple_.remote.address;
  const TcpOptions& o = seg.header.options;
  if (o.has(TcpOptions::kFastOpen) && o.cookie_size > 0) ctx.fast_open.store(server, o, ctx.now);
  if (!sent_text) return Reason::kSynAckAccepted;
  if (taken > 0) {
    ctx.count(Counter::kTCPFastOpenActive);
    ctx.fast_open.worked();
    return Reason::kSynAckAccepted;
  }
  ctx.count(Counter::kTCPFastOpenActiveFail);
  if (retries_ > 0 && ctx.fast_open.lost(server, ctx.settings.tcp_fastopen_blackhole_timeout_sec, ctx.now))
    ctx.count(Counter::kTCPFastOpenBlackhole);
  return Reason::kSynDataRefused;
}

}  // namespace synfin::tcp
