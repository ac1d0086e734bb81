// SPDX-License-Identifier: Apache-2.0
//
// What leaves, one segment a call. Read first: RFC 9293 §3.7.4 (Nagle), §3.8.6.2.1 (silly window), RFC 5681
// §3.1, RFC 6298 §5.
#include <algorithm>

#include "synfin/tcp/connection.h"
#include "synfin/tcp/user_timeout.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;
using wire::TcpOptions;

std::uint32_t Connection::text_limit() const {
  // Eff.snd.MSS = min(SendMSS+20, MMS_S) - TCPhdrsize - IPoptionsize  (RFC 9293 §3.7.1, MUST-16)
  const std::uint32_t options = timestamps_ ? 12 : 0;
  return std::max<std::uint32_t>(snd_.mss, options + 1) - options;
}

// The blocks of a SACK option take room from the text (RFC 2018 §3): 8 octets each and 4 before them.
std::uint32_t Connection::text_room() const {
  const std::uint32_t sack = !sack_ || rcv_.beyond == nullptr ? 0 : timestamps_ ? 28 : 36;
  // Too many options: the time-out can wait for a segment with room.
  const std::uint32_t others = sack + (user_timeout_to_send_ && sack == 0 ? 4 : 0);
  return std::max(text_limit(), others + 1) - others;
}

bool Connection::transmit(wire::Frame& frame, Sent& out, Context& ctx) {
  if (syn_to_send_) return send_syn(frame, out, ctx);
  if (!is_synchronized(state_)) {
    if (state_ != State::kSynReceived) return false;
    // "The server … MAY … send data to the client before it receives the client's ACK"  (RFC 7413 §4.2.2)
    return (fast_open_ && send_text(frame, out, ctx)) || (acks_owed_ > 0 && send_ack(out, ctx));
  }
  if (resend_first_ && resend_first(frame, out, ctx)) return true;
  if (probe_ && send_probe(frame, out, ctx)) return true;
  if (send_text(frame, out, ctx)) return true;
  return acks_owed_ > 0 && send_ack(out, ctx);
}

bool Connection::send_syn(wire::Frame& frame, Sent& out, Context& ctx) {
  syn_to_send_ = false;
  const bool answers = state_ == State::kSynReceived;
  // Where two SYNs crossed, ours has been sent and the SYN-ACK has not.
  const bool again = answers && !passive_ ? retries_ > 0 : snd_.max != snd_.iss;
  out = Sent{};
  out.state = state_;
  out.retransmission = again;
  out.header.seq = snd_.iss;
  // A SYN's window is never scaled (RFC 7323 §2.2).
  out.header.window = Window{std::min(rcv_.buffer, 0xffffu)} >> WindowScale::none();
  add_syn_options(out.header.options, ctx, tuple_.local.address.family(), scaling_, sack_);
  if (timestamps_) stamp(out.header.options, ctx.now, timestamp_offset_, answers ? rcv_.ts_recent : 0);
  // Again with the first segment behind it: the SYN's options may not survive a SYN cookie (RFC 5482 §3.1).
  // A Fast Open cookie leaves no room.
  if (user_timeout_to_send_ && !fast_open_) add_user_timeout(out.header.options);
  std::uint8_t flags = Flags::kSyn;
  if (answers) {
    out.reason = again ? Reason::kSynAckRetransmitted : Reason::kSynAckSent;
    out.header.ack = rcv_.nxt;
    flags |= Flags::kAck;
    if (ecn_) flags |= Flags::kEce;
    acks_owed_ = 0;
    timers_.stop(Timer::kDelayedAck);
    rcv_.last_ack_sent = rcv_.nxt;
    timing_ = !again;
    timed_end_ = snd_.iss + 1;
    timed_at_ = ctx.now;
  } else {
    out.reason = again ? Reason::kSynRetransmitted : Reason::kSynSent;
    // Neither ECN nor Fast Open is asked for again: it may be what kept the first from arriving (RFC 3168
    // §6.1.1.1, RFC 7413 §4.1.3).
    if (ctx.settings.tcp_ecn == 1 && !again) flags |= Flags::kEce | Flags::kCwr;
  }
  out.header.flags = Flags{flags};
  if (!again) {
    if (!answers && fast_open_) add_fast_open(frame, out, ctx);
    snd_.nxt = snd_.max = snd_.base + out.text_size;
  }
  last_sent_ = ctx.now;
  arm_retransmit(ctx);
  return true;
}

// A cookie and as much text as one segment holds; or a request for a cookie.
void Connection::add_fast_open(wire::Frame& frame, Sent& out, Context& ctx) {
  const wire::IpAddress& server = tuple_.remote.address;
  if (!ctx.fast_open.may_try(server, ctx.now)) return;
  TcpOptions& o = out.header.options;
  o.present |= TcpOptions::kFastOpen;
  o.cookie_size = 0;
  const FastOpenCache::Entry* known = ctx.fast_open.find(server, ctx.now);
  if (known == nullptr) return;
  o.cookie = known->cookie;
  o.cookie_size = known->cookie_size;
  const std::uint32_t most =
      std::min(mss_for(ctx.mtu, server.family()), known->mss > 0 ? known->mss : default_mss(server.family()));
  const auto options = static_cast<std::uint32_t>(wire::emitted_size(out.header) - wire::TcpHeader::kMinSize);
  out.text_size = snd_.queue.share(0, std::min(snd_.queue.size(), most - std::min(most, options)), frame);
  if (out.text_size > 0) out.reason = Reason::kSynDataSent;
}

void Connection::add_user_timeout(TcpOptions& options) const {
  options.present |= TcpOptions::kUserTimeout;
  options.user_timeout = encode_user_timeout(rare_->options.advertised_user_timeout);
}

// The header of every segment behind the SYN: acknowledgement, window and timestamps are the newest there
// are, so nothing is owed afterwards.
void Connection::fill_header(Sent& out, SeqNum seq, Flags flags, Context& ctx) {
  out = Sent{};
  out.state = state_;
  out.header.seq = seq;
  out.header.ack = rcv_.nxt;
  out.header.flags = flags.with(Flags::kAck | (echo_marks_ ? Flags::kEce : 0));
  out.header.window = offer_window();
  if (urgent_sent_) point_to_urgent(out);
  if (timestamps_) stamp(out.header.options, ctx.now, timestamp_offset_, rcv_.ts_recent);
  if (sack_ && rcv_.beyond != nullptr) {
    const std::size_t most = timestamps_ ? 3 : 4;
    const std::size_t n = rcv_.beyond->sack_blocks(std::span{out.header.options.sack}.first(most));
    out.header.options.sack_count = static_cast<std::uint8_t>(n);
    if (n > 0) out.header.options.present |= TcpOptions::kSack;
  }
  if (user_timeout_to_send_ && (out.header.options.present & TcpOptions::kSack) == 0) {
    add_user_timeout(out.header.options);
    user_timeout_to_send_ = false;
  }
  rcv_.last_ack_sent = rcv_.nxt;
  unacknowledged_text_ = 0;
  timers_.stop(Timer::kDelayedAck);
  last_sent_ = ctx.now;
}

// The pointer counts from the segment's number; urgent data that reaches further than it can say has more
// than one pointer on the way (§3.8.5, MUST-31).
void Connection::point_to_urgent(Sent& out) {
  const SeqNum up = rare_->snd_up;
  if (!up.after(snd_.una)) {
    urgent_sent_ = false;
  } else if (up.after(out.header.seq)) {
    out.header.urgent_pointer = static_cast<std::uint16_t>(std::min(up - out.header.seq, 0xffff));
    out.header.flags = out.header.flags.with(Flags::kUrg);
  }
}

bool Connection::send_ack(Sent& out, Context& ctx) {
  // SND.NXT as far as it has ever been, but not beyond a closed window, where a probe has put it: the peer
  // would have to answer what lies there, and we its answer, if its window is probed too.
  const SeqNum window_end = snd_.una + snd_.wnd;
  const SeqNum seq = state_ == State::kSynReceived ? snd_.nxt : earlier(snd_.max, window_end);
  fill_header(out, seq, Flags{}, ctx);
  out.reason = ack_reason_;
  ack_reason_ = Reason::kAckSent;
  --acks_owed_;
  return true;
}

// How much of the window is left at SND.NXT: the smaller of what the peer offers and what the network takes.
std::uint32_t Connection::usable_window() const {
  const std::uint32_t allowed = std::min(snd_.wnd, congestion_.window() + recovery_.inflation());
  const auto in_flight = static_cast<std::uint32_t>(snd_.nxt - snd_.una);
  return allowed > in_flight ? allowed - in_flight : 0;
}

// The sender's side of silly-window avoidance, and Nagle's algorithm (RFC 9293 §3.8.6.2.1, MUST-38, and
// §3.7.4, SHLD-7).
bool Connection::worth_sending(std::uint32_t size, std::uint32_t available, bool fin) const {
  if (snd_.nxt.before(snd_.max)) return true;  // it was worth it the first time
  if (send_small_) return true;
  if (size >= text_room()) return true;
  // "unacknowledged data": our SYN is none (RFC 7413 §4.2.2 lets data follow it at once).
  const bool idle = snd_.nxt == later(snd_.una, snd_.base);
  // Urgent data does not wait, as on Linux.
  if (size == available && (idle || no_delay_ || fin || urgent_sent_)) return true;
  return size > 0 && size >= snd_.max_wnd / 2 && (idle || no_delay_);
}

bool Connection::send_text(wire::Frame& frame, Sent& out, Context& ctx) {
  const SeqNum end = stream_end();
  if (snd_.nxt.after(end)) return false;  // the FIN has been sent
  const auto available = static_cast<std::uint32_t>(end - snd_.nxt);
  if (available == 0 && !snd_.fin_queued) return false;

  if (snd_.una == snd_.max && ctx.now - last_sent_ > rtt_.timeout()) congestion_.on_idle();
  const std::uint32_t limit = text_room();
  const std::uint32_t window = usable_window();
  std::uint32_t size = std::min({available, window, limit});
  // The FIN takes a sequence number, so it needs room in the peer's window; the network does not count it.
  bool fin = snd_.fin_queued && size == available && is_synchronized(state_) &&
             (snd_.nxt + size - snd_.una) < static_cast<std::int32_t>(snd_.wnd);
  if ((size == 0 && !fin) || !worth_sending(size, available, fin)) {
    if (snd_.nxt == snd_.una && !timers_.armed(Timer::kRetransmit)) arm_persist(ctx);
    return false;
  }

  const std::uint32_t shared =
      snd_.queue.share(static_cast<std::uint32_t>(snd_.nxt - snd_.base), size, frame);
  if (shared < size) {
    size = shared;
    fin = false;
  }
  const bool again = snd_.nxt.before(snd_.max);
  std::uint8_t flags = size > 0 && size == available ? Flags::kPsh : 0;
  if (fin) flags |= Flags::kFin;
  const bool ecn_capable = ecn_ && size > 0 && !again;
  if (ecn_capable && cwr_to_send_) {
    flags |= Flags::kCwr;
    cwr_to_send_ = false;
  }
  fill_header(out, snd_.nxt, Flags{flags}, ctx);
  acks_owed_ = 0;
  out.text_size = size;
  out.ecn_capable = ecn_capable;
  out.retransmission = again;
  out.reason = again ? Reason::kRetransmitTimeout : fin ? Reason::kFinSent : Reason::kDataSent;
  if (again) ++total_retransmissions_;

  send_small_ = false;
  snd_.nxt += size + (fin ? 1u : 0u);
  sent_up_to(snd_.nxt, !again, ctx);
  if (fin && state_ == State::kCloseWait) transition_to(State::kLastAck, Reason::kFinSent, ctx);
  out.state = state_;
  return true;
}

// Fast retransmit, and the holes that partial acknowledgements uncover: the first unacknowledged segment,
// whatever the window says.
bool Connection::resend_first(wire::Frame& frame, Sent& out, Context& ctx) {
  resend_first_ = false;
  if (snd_.una == snd_.max) return false;
  const auto sent_text = static_cast<std::uint32_t>(earlier(snd_.max, stream_end()) - snd_.una);
  std::uint32_t size = snd_.una.at_or_after(stream_end()) ? 0 : std::min(sent_text, text_room());
  size = snd_.queue.share(static_cast<std::uint32_t>(snd_.una - snd_.base), size, frame);
  const bool fin = fin_sent() && snd_.una + size == stream_end();
  if (size == 0 && !fin) return false;
  std::uint8_t flags = size > 0 && snd_.una + size == stream_end() ? Flags::kPsh : 0;
  if (fin) flags |= Flags::kFin;
  fill_header(out, snd_.una, Flags{flags}, ctx);
  acks_owed_ = 0;
  out.text_size = size;
  out.retransmission = true;
  out.reason = recovery_.active() ? Reason::kFastRetransmit : Reason::kPartialAck;
  ++total_retransmissions_;
  timing_ = false;  // Karn
  arm_retransmit(ctx);
  return true;
}

// One octet beyond the window, or the FIN: whatever the peer answers says what its window is now (RFC 9293
// §3.8.6.1).
bool Connection::send_probe(wire::Frame& frame, Sent& out, Context& ctx) {
  probe_ = false;
  const auto available = static_cast<std::uint32_t>(stream_end() - snd_.una);
  if (snd_.una.after(stream_end())) return false;
  const std::uint32_t size = std::min(available, 1u);
  const bool fin = snd_.fin_queued && size == available;
  if (size == 0 && !fin) return false;
  if (snd_.queue.share(static_cast<std::uint32_t>(snd_.una - snd_.base), size, frame) < size) return false;
  fill_header(out, snd_.una, fin ? Flags{Flags::kFin} : Flags{}, ctx);
  acks_owed_ = 0;
  out.text_size = size;
  out.reason = Reason::kPersistProbe;
  out.retransmission = snd_.max.after(snd_.una);
  // NXT stays: the octet is sent again when the window opens. MAX moves, as the peer may take it now.
  snd_.max = later(snd_.max, snd_.una + size + (fin ? 1u : 0u));
  if (fin && state_ == State::kCloseWait) transition_to(State::kLastAck, Reason::kFinSent, ctx);
  out.state = state_;
  return true;
}

void Connection::sent_up_to(SeqNum end, bool timed, Context& ctx) {
  if (end.after(snd_.max)) snd_.max = end;
  if (timed && !timing_) {
    timing_ = true;
    timed_end_ = end;
    timed_at_ = ctx.now;
  } else if (!timed) {
    timing_ = false;  // Karn: what was sent twice is not measured
  }
  stop_persist();
  if (!timers_.armed(Timer::kRetransmit)) arm_retransmit(ctx);
}

// The right edge moves only by steps worth telling (RFC 9293 §3.8.6.2.2, MUST-39), and never to the left
// (SHLD-14).
std::uint32_t Connection::window_to_offer() const {
  const std::uint32_t used = rcv_.queue.size();
  const std::uint32_t room = rcv_.buffer > used ? rcv_.buffer - used : 0;
  const std::uint32_t told = receive_window();
  const std::uint32_t step =
      std::min<std::uint32_t>(rcv_.buffer / 2, mss_for(1500, tuple_.local.address.family()));
  return room >= told + step ? room : told;
}

wire::WireWindow Connection::offer_window() {
  // Rounded up: rounding down could take back octets that were offered. The buffer may be exceeded by less
  // than one unit of the scale.
  const std::uint8_t shift = rcv_.scale.shift();
  const std::uint32_t unit = (1u << shift) - 1;
  const std::uint32_t window = (window_to_offer() + unit) & ~unit;
  const wire::WireWindow field = Window{window} >> rcv_.scale;
  rcv_.offered = (field << rcv_.scale).octets;
  rcv_.edge = later(rcv_.edge, rcv_.nxt + rcv_.offered);
  return field;
}

Reply Connection::reset_reply(Reason why, Context& ctx) const {
  Reply r;
  r.tuple = tuple_;
  r.state = state_;
  r.reason = why;
  r.traffic_class = traffic_class_;
  // The highest number that the peer can have reached: it believes a reset only at the number it expects
  // next.
  const SeqNum window_end = snd_.una + snd_.wnd;
  r.header.seq = snd_.max.after(window_end) ? window_end : snd_.max;
  r.header.ack = rcv_.nxt;
  r.header.flags = Flags{Flags::kRst | Flags::kAck};
  if (timestamps_) stamp(r.header.options, ctx.now, timestamp_offset_, rcv_.ts_recent);
  return r;
}

}  // namespace synfin::tcp
