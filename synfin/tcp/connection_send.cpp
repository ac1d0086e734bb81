// SPDX-License-Identifier: Apache-2.0
//
// What leaves, one segment a call, or a train of them (connection_train.cpp). Read first: RFC 9293 §3.7.4
// (Nagle), §3.8.6.2.1 (silly window), RFC 5681 §3.1, RFC 6298 §5.
#include <algorithm>

#include "synfin/tcp/connection.h"
#include "synfin/tcp/user_timeout.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;
using wire::TcpOptions;

namespace {

// Octets of the send buffer for each segment in flight, as Linux counts the memory of its buffers.
constexpr std::uint32_t kRecordCost = 256;
constexpr std::uint32_t kLeastRecords = 64;

}  // namespace

std::uint32_t Connection::text_limit() const {
  // Eff.snd.MSS = min(SendMSS+20, MMS_S) - TCPhdrsize - IPoptionsize  (RFC 9293 §3.7.1, MUST-16)
  const std::uint32_t options = timestamps_ ? 12 : 0;
  return std::max<std::uint32_t>(snd_.mss, options + 1) - options;
}

// The blocks of a SACK option take room from the text (RFC 2018 §3): 8 octets each and 4 before them.
std::uint32_t Connection::text_room() const {
  const std::uint32_t sack = !has_sack_blocks() ? 0 : timestamps_ ? 28 : 36;
  // Too many options: the time-out can wait for a segment with room.
  // … and congestion marks go where SACK blocks leave room for them.
  const std::uint32_t octets = accurate_ && sack == 0 ? rare_->accurate_ecn->octets_to_reserve() : 0;
  const std::uint32_t others = sack + octets + (user_timeout_to_send_ && sack == 0 ? 4 : 0);
  return std::max(text_limit(), others + 1) - others;
}

bool Connection::transmit(wire::Frame& frame, Sent& out, Context& ctx, std::uint32_t most_segments) {
  if (syn_to_send_) return send_syn(frame, out, ctx);
  if (!is_synchronized(state_)) {
    if (state_ != State::kSynReceived) return false;
    // "The server … MAY … send data to the client before it receives the client's ACK"  (RFC 7413 §4.2.2)
    return (fast_open_ && send_text(Limit::kAll, frame, out, ctx)) || (acks_owed_ > 0 && send_ack(out, ctx));
  }
  if (has_nothing_to_send(ctx.now)) return false;
  // A pure ACK before all text (RFC 9768 §3.2.2.1).
  if (accurate_ && acks_owed_ > 0 && marks().owes_handshake_ack()) return send_ack(out, ctx);
  if (resend(frame, out, ctx)) return true;
  if (probe_ && send_probe(frame, out, ctx)) return true;
  if (send_text(Limit::kAll, frame, out, ctx)) {
    if (most_segments > 1 && may_lead_train(out)) send_train(most_segments, frame, out, ctx);
    return true;
  }
  burst_ = 0;
  note_send_limit(ctx.now);
  return acks_owed_ > 0 && send_ack(out, ctx);
}

bool Connection::send_syn(wire::Frame& frame, Sent& out, Context& ctx) {
  syn_to_send_ = false;
  const bool answers = state_ == State::kSynReceived;
  // Where two SYNs crossed, ours has been sent and the SYN-ACK has not.
  const bool again = answers && !passive_ ? retries_ > 0 : snd_.max != snd_.iss;
  out.state = state_;
  out.retransmission = again;
  out.header.seq = snd_.iss;
  allow_fragments(out);
  // A SYN's window is never scaled (RFC 7323 §2.2).
  out.header.window = Window{std::min(rcv_.buffer, 0xffffu)} >> WindowScale::none();
  add_syn_options(out.header.options, offer(ctx), scaling_, sack_);
  if (scaling_) out.header.options.window_scale = rcv_.scale.shift();
  if (timestamps_) stamp(out.header.options, ctx.now, timestamp_offset_, answers ? rcv_.ts_recent : 0);
  // Again with the first segment behind it: the SYN's options may not survive a SYN cookie (RFC 5482 §3.1).
  // A Fast Open cookie leaves no room.
  if (user_timeout_to_send_ && !fast_open_) add_user_timeout(out.header.options);
  std::uint8_t flags = Flags::kSyn;
  if (answers) {
    out.reason = again ? Reason::kSynAckRetransmitted : Reason::kSynAckSent;
    out.header.ack = rcv_.nxt;
    flags |= Flags::kAck;
    acks_owed_ = 0;
    timers_.stop(Timer::kDelayedAck);
    rcv_.last_ack_sent = rcv_.nxt;
    timing_ = !again;
  } else {
    out.reason = again ? Reason::kSynRetransmitted : Reason::kSynSent;
    // Neither ECN nor Fast Open is asked for again: it may be what kept the first from arriving (RFC 3168
    // §6.1.1.1, RFC 7413 §4.1.3).
    // AccECN is asked for twice (RFC 9768 §3.1.4.1).
  }
  out.header.flags = Flags{flags};
  if (answers) {
    add_ecn_answer(out, again);
  } else if (ecn_ && (!again || (echo_marks_ && retries_ <= 1))) {
    out.header.set_ace(echo_marks_ ? 7 : 3);
  }
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
  constexpr std::uint32_t kNoCookieSent = 4;
  TcpOptions& o = out.header.options;
  const FastOpenCache::Entry* known = ctx.fast_open.find(server, ctx.now);
  if (known != nullptr || (ctx.settings.tcp_fastopen & kNoCookieSent) == 0) {
    o.present |= TcpOptions::kFastOpen;
    o.cookie_size = 0;
    if (known == nullptr) return;
    o.cookie = known->cookie;
    o.cookie_size = known->cookie_size;
  }
  const std::uint32_t room = fast_open_room(known, ctx.mtu, server.family());
  out.text_size = snd_.queue.share(0, std::min(snd_.queue.size(), room), frame);
  if (out.text_size > 0) out.reason = Reason::kSynDataSent;
}

void Connection::add_user_timeout(TcpOptions& options) const {
  options.present |= TcpOptions::kUserTimeout;
  options.user_timeout = encode_user_timeout(rare_->options.advertised_user_timeout);
}

// The header of every segment behind the SYN: acknowledgement, window and timestamps are the newest there
// are, so nothing is owed afterwards.
void Connection::fill_header(Sent& out, SeqNum seq, Flags flags, std::uint32_t text, Context& ctx) {
  out.state = state_;
  out.header.seq = seq;
  allow_fragments(out);
  out.header.ack = rcv_.nxt;
  out.header.flags = flags.with(Flags::kAck | (echo_marks_ ? Flags::kEce : 0));
  out.header.window = offer_window(ctx);
  if (urgent_sent_) point_to_urgent(out);
  if (timestamps_) stamp(out.header.options, ctx.now, timestamp_offset_, rcv_.ts_recent);
  // What is sent again was cut to size without them.
  const bool handshake = accurate_ && text == 0 && marks().owes_handshake_ack();
  if (has_sack_blocks() && !handshake)
    add_sack_blocks(out.header.options, text_limit() - std::min(text, text_limit()));
  if (user_timeout_to_send_ && (out.header.options.present & TcpOptions::kSack) == 0) {
    add_user_timeout(out.header.options);
    user_timeout_to_send_ = false;
  }
  if (accurate_) add_marks(out, seq, text, ctx);
  rcv_.last_ack_sent = rcv_.nxt;
  rcv_.unacknowledged = 0;
  timers_.stop(Timer::kDelayedAck);
  ++traffic_.segments_out;
}

// As many blocks as fit into `room` octets. One about a duplicate goes first, once (RFC 2883 §4).
void Connection::add_sack_blocks(TcpOptions& options, std::uint32_t room) {
  // Counters of marks come before a last block, not before two (RFC 9768 §3.2.3.3).
  const std::size_t spared = accurate_ && rare_->accurate_ecn->octets_to_reserve() > 0 ? 1 : 0;
  const std::size_t most =
      std::min<std::size_t>((timestamps_ ? 3 : 4) - spared, room < 4 ? 0 : (room - 4) / 8);
  const auto blocks = std::span{options.sack}.first(most);
  std::size_t n = 0;
  if (rcv_.twice > 0 && most > 0) {
    blocks[n++] = {rcv_.twice_at, rcv_.twice_at + std::exchange(rcv_.twice, std::uint16_t{0})};
  }
  if (rcv_.beyond != nullptr) n += rcv_.beyond->sack_blocks(blocks.subspan(n));
  options.sack_count = static_cast<std::uint8_t>(n);
  if (n > 0) options.present |= TcpOptions::kSack;
}

// What may become fragments needs a number of its own (RFC 6864 §4.1, §5.2).
void Connection::allow_fragments(Sent& out) const {
  if (!may_fragment_) return;
  out.may_fragment = true;
  out.identification = static_cast<std::uint16_t>(timestamp_offset_ + traffic_.segments_out);
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
  fill_header(out, seq, Flags{}, 0, ctx);
  out.reason = ack_reason_;
  ack_reason_ = Reason::kAckSent;
  --acks_owed_;
  return true;
}

// How much of the peer's window is left at SND.NXT.
std::uint32_t Connection::peer_room() const {
  const std::int32_t room = snd_.una + snd_.wnd - snd_.nxt;
  return room > 0 ? static_cast<std::uint32_t>(room) : 0;
}

// The sender's side of silly-window avoidance, and Nagle's algorithm (RFC 9293 §3.8.6.2.1, MUST-38, and
// §3.7.4, SHLD-7).
bool Connection::worth_sending(std::uint32_t size, std::uint32_t available, bool fin) const {
  if (send_small_) return true;
  if (size >= text_room()) return true;
  if (corked(size)) return false;
  // "unacknowledged data": our SYN is none (RFC 7413 §4.2.2 lets data follow it at once).
  const bool idle = snd_.nxt == later(snd_.una, snd_.base);
  // Urgent data does not wait, as on Linux.
  if (size == available && (idle || no_delay_ || fin || urgent_sent_)) return true;
  return size > 0 && size >= snd_.max_wnd / 2 && (idle || no_delay_);
}

bool Connection::send_text(Limit limit, wire::Frame& frame, Sent& out, Context& ctx) {
  const SeqNum end = stream_end();
  if (snd_.nxt.after(end)) return false;  // the FIN has been sent
  const auto available = static_cast<std::uint32_t>(end - snd_.nxt);
  if (available == 0 && !snd_.fin_queued) return false;
  // What is lost goes first (RFC 6675 §5 NextSeg).
  if (flight_ != nullptr && flight_->frto != Flight::Frto::kSecond && flight_->sent.next_lost()) return false;

  // Only now that something can leave: what waited at a closed window still has its window till then.
  if (snd_.una == snd_.nxt && peer_room() > 0) resume(ctx);
  if (available == 0) return send_fin(limit, out, ctx);
  const std::uint32_t allowed = window(), in_network = pipe();
  const std::uint32_t network_room = limit == Limit::kPeerOnly ? available
                                     : allowed > in_network    ? allowed - in_network
                                                               : 0;
  std::uint32_t size = std::min({available, peer_room(), network_room, text_room()});
  // The FIN takes a sequence number, so it needs room in the peer's window; the network does not count it.
  bool fin = snd_.fin_queued && size == available && is_synchronized(state_) && peer_room() > size;
  const bool worth = limit == Limit::kPeerOnly || worth_sending(size, available, fin);
  if ((size == 0 && !fin) || !worth) {
    if (limit == Limit::kAll && flight_ != nullptr && network_room < std::min(available, text_room()))
      note_usage();
    if (snd_.nxt == snd_.una && !timers_.armed(Timer::kRetransmit)) arm_persist(ctx);
    return false;
  }
  if (limit == Limit::kAll && size > 0 && held_back(ctx)) return false;

  const std::uint32_t shared =
      snd_.queue.share(static_cast<std::uint32_t>(snd_.nxt - snd_.base), size, frame);
  if (shared < size) {
    size = shared;
    fin = false;
  }
  const std::uint32_t room = std::min(network_room, peer_room());
  const Pacing paced = pacing(ctx.settings);
  const bool ends =
      limit == Limit::kAll && ends_burst(size, room, available, text_room(), burst_segments(paced.burst));
  const bool push = size > 0 && (size == available || ends);
  std::uint8_t flags = push ? Flags::kPsh : 0;
  if (fin) flags |= Flags::kFin;
  if (!record_sent(snd_.nxt, size, fin, push && size == available, ctx)) {
    frame.clear();
    if (snd_.una == snd_.nxt) arm_persist(ctx);  // no memory: later, then
    return false;
  }
  const bool ecn_capable = ecn_ && size > 0;
  if (ecn_capable && cwr_to_send_ && !accurate_) {
    flags |= Flags::kCwr;
    cwr_to_send_ = false;
  }
  fill_header(out, snd_.nxt, Flags{flags}, size, ctx);
  acks_owed_ = 0;
  out.text_size = size;
  out.ecn_capable = ecn_capable;
  out.reason = fin ? Reason::kFinSent : Reason::kDataSent;

  note_new_text(size, fin, paced, ctx);
  out.state = state_;
  return true;
}

// A FIN without text is always worth sending, and neither the network nor the pace keeps it.
bool Connection::send_fin(Limit limit, Sent& out, Context& ctx) {
  const bool may_go = is_synchronized(state_) && peer_room() > 0;
  if (!may_go || !record_sent(snd_.nxt, 0, true, false, ctx)) {
    if (snd_.nxt == snd_.una && !timers_.armed(Timer::kRetransmit)) arm_persist(ctx);
    return false;
  }
  if (limit == Limit::kAll) burst_ = 0;
  fill_header(out, snd_.nxt, Flags::kFin, 0, ctx);
  acks_owed_ = 0;
  out.reason = Reason::kFinSent;
  note_new_text(0, true, flight_ != nullptr ? pacing(ctx.settings) : Pacing{}, ctx);
  out.state = state_;
  return true;
}

void Connection::note_new_text(std::uint32_t size, bool fin, const Pacing& paced, Context& ctx) {
  send_small_ = false;
  snd_.nxt += size + (fin ? 1u : 0u);
  snd_.max = later(snd_.max, snd_.nxt);
  if (flight_ != nullptr) {
    pace(size, paced, ctx);
    if (flight_->state == CaState::kRecovery) flight_->prr.sent(size);
    note_usage();
  }
  tell_writable(ctx.settings);
  if (fin && state_ == State::kCloseWait) transition_to(State::kLastAck, Reason::kFinSent, ctx);
}

// How well the window is used, so that one that is not does not grow (RFC 7661 §4.3): as Linux counts it, the
// most of a round trip.
void Connection::note_usage() {
  Flight& f = *flight_;
  const bool limited = pipe() + text_limit() > window();
  if (snd_.una.at_or_after(f.usage_until) || limited ||
      (!f.window_limited && f.sent.octets() > f.most_used)) {
    f.window_limited = limited;
    f.most_used = f.sent.octets();
    f.usage_until = snd_.nxt;
  }
}

// One octet beyond the window, or the FIN: whatever the peer answers says what its window is now (RFC 9293
// §3.8.6.1). Behind that it is in flight, and the retransmission timer repeats it.
bool Connection::send_probe(wire::Frame& frame, Sent& out, Context& ctx) {
  probe_ = false;
  if (snd_.nxt.after(snd_.una) || snd_.nxt.after(stream_end())) return false;
  const auto available = static_cast<std::uint32_t>(stream_end() - snd_.nxt);
  const std::uint32_t reach = std::max(snd_.wnd, 1u);
  const std::uint32_t size = std::min({available, reach, text_room()});
  const bool fin = snd_.fin_queued && size == available && size < reach;
  if (size == 0 && !fin) return false;
  if (snd_.queue.share(static_cast<std::uint32_t>(snd_.nxt - snd_.base), size, frame) < size) {
    frame.clear();
    return false;
  }
  if (!record_sent(snd_.nxt, size, fin, false, ctx)) {
    frame.clear();
    return false;
  }
  fill_header(out, snd_.nxt, fin ? Flags{Flags::kFin} : Flags{}, size, ctx);
  acks_owed_ = 0;
  out.text_size = size;
  out.reason = Reason::kPersistProbe;
  if (flight_ != nullptr) flight_->window_probe = snd_.wnd == 0;
  snd_.nxt += size + (fin ? 1u : 0u);
  snd_.max = later(snd_.max, snd_.nxt);
  if (fin && state_ == State::kCloseWait) transition_to(State::kLastAck, Reason::kFinSent, ctx);
  out.state = state_;
  return true;
}

std::uint32_t Connection::most_segments_in_flight(const Settings& settings) const {
  return std::clamp(send_buffer(settings) / kRecordCost, kLeastRecords, Scoreboard::kMost - 1);
}

// Before SND.NXT moves. A FIN alone, with nothing else in flight, needs no memory. False: there is none.
bool Connection::record_sent(SeqNum start, std::uint32_t text, bool fin, bool push, Context& ctx) {
  const std::uint32_t length = text + (fin ? 1u : 0u);
  if (flight_ == nullptr && text > 0) {
    flight_ = ctx.flights.take();
    if (flight_ == nullptr) return false;
    flight_->high = flight_->sample_from = flight_->usage_until = flight_->ecn_high = start;
    // All before it is delivered; so it counts on where the last flight ended.
    flight_->rate.begin(start.raw(), ctx.now, starved_);
    flight_->pacer.begin(timers_.armed(Timer::kPacing) ? timers_.at(Timer::kPacing) : ctx.now);
  }
  if (flight_ != nullptr) {
    if (flight_->sent.size() >= most_segments_in_flight(ctx.settings) && text > 0) return false;
    const SendMark mark = flight_->rate.mark(pipe() + length);
    if (!flight_->sent.push(start, static_cast<std::uint16_t>(length), push, ctx.now, mark)) return false;
  }
  traffic_.sent += text;
  if (text > 0) ++traffic_.text_segments_out;
  last_sent_ = ctx.now;
  if (!timers_.armed(Timer::kRetransmit)) arm_retransmit(ctx);
  // What is sent now says nothing about what waits for the reordering window.
  if (flight_ != nullptr && flight_->wait != Flight::Wait::kReordering)
    arm_for_flight(true, std::nullopt, ctx);
  return true;
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
