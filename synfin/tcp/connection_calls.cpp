// SPDX-License-Identifier: Apache-2.0
//
// What the program asks for, and how a connection ends. Read first: RFC 9293 §3.6, §3.10.2–3.10.5.
#include <algorithm>
#include <cassert>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

std::expected<std::uint32_t, Error> Connection::send_room(const Context& ctx) const {
  if (state_ == State::kClosed)
    return std::unexpected(failure_ == Error::kWouldBlock ? Error::kNotConnected : failure_);
  if (snd_.fin_queued || !may_send_text(state_)) return std::unexpected(Error::kClosing);
  const std::uint32_t used = snd_.queue.size(), limit = send_buffer(ctx.settings);
  if (used >= limit) return 0;
  const std::uint64_t memory = ctx.memory_room();
  if (memory == 0) return std::unexpected(Error::kNoBuffers);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit - used, memory));
}

// Behind the attempt to queue `given` octets, of which `taken` found room and memory.
std::expected<std::size_t, Error> Connection::queued(std::size_t taken, std::size_t given, More more,
                                                     const Settings& settings) {
  const std::uint32_t limit = send_buffer(settings);
  if (given > 0) more_follows_ = more == More::kYes;
  if (taken == given && (given > 0 || snd_.queue.size() < limit)) return taken;
  refused_ = static_cast<std::uint32_t>(std::clamp<std::size_t>(given - taken, 1, limit));
  if (taken > 0) return taken;
  return std::unexpected(snd_.queue.size() < limit ? Error::kNoBuffers : Error::kWouldBlock);
}

// What has not been sent is likely to leave in full segments.
std::uint32_t Connection::queue_copy(Bytes text, Context& ctx) {
  constexpr std::size_t kWorthSumming = 256;
  // Where memory is short, others need what a large block would take beyond its text.
  constexpr std::uint64_t kAmple = 64 * wire::BlockPool::kLarge;
  const bool large = ctx.large_segments && ctx.memory_room() >= kAmple;
  const auto blocks = large ? SliceQueue::Blocks::kLarge : SliceQueue::Blocks::kMedium;
  const std::uint32_t limit = text_limit();
  if (!ctx.sum_text || text.size() < kWorthSumming || limit < wire::Block::kSumEach)
    return snd_.queue.append_copy(text, ctx.pool, blocks);
  const auto unsent = static_cast<std::uint32_t>(std::max(stream_end() - later(snd_.nxt, snd_.base), 0));
  return snd_.queue.append_summed(text, {limit, unsent % limit}, ctx.pool, blocks);
}

std::expected<std::size_t, Error> Connection::send(std::span<const Bytes> data, More more, Context& ctx) {
  const auto room = send_room(ctx);
  if (!room) return std::unexpected(room.error());
  check_app_limited();
  std::size_t given = 0, taken = 0;
  for (const Bytes piece : data) {
    const bool behind_all = taken == given;
    given += piece.size();
    if (behind_all) taken += queue_copy(piece.first(std::min(piece.size(), *room - taken)), ctx);
  }
  return queued(taken, given, more, ctx.settings);
}

std::expected<std::size_t, Error> Connection::send_shared(std::span<wire::Slice> data, More more,
                                                          Context& ctx) {
  const auto room = send_room(ctx);
  if (!room) return std::unexpected(room.error());
  check_app_limited();
  std::size_t given = 0, taken = 0;
  for (wire::Slice& piece : data) {
    const bool behind_all = taken == given;
    given += piece.size();
    if (!behind_all) continue;
    const auto fits = static_cast<std::uint32_t>(std::min<std::size_t>(piece.size(), *room - taken));
    const std::uint32_t n = snd_.queue.append(piece.sub(0, fits), ctx.pool);
    taken += n;
    piece.drop_front(n);
    if (piece.empty()) piece.reset();
  }
  return queued(taken, given, more, ctx.settings);
}

// "If the urgent flag is set, then SND.UP <- SND.NXT-1 and set the urgent pointer in the outgoing segments."
//   (§3.10.2) It names the octet behind the urgent data (§3.8.5, MUST-62).
std::expected<std::size_t, Error> Connection::send_urgent(std::span<const Bytes> data, Context& ctx) {
  auto taken = send(data, More::kNo, ctx);
  if (!taken) return taken;
  rare().snd_up = stream_end();
  urgent_sent_ = true;
  // Where the data has to wait, a bare segment goes ahead: its pointer counts even in a closed window.
  if (is_synchronized(state_)) owe_ack(Reason::kAckSent);
  return taken;
}

std::uint32_t Connection::urgent() const {
  if (!urgent_pending_ || !rare_->rcv_up.after(next_to_read())) return 0;
  return static_cast<std::uint32_t>(rare_->rcv_up - next_to_read());
}

std::expected<std::size_t, Error> Connection::receive(std::span<const MutableBytes> into, Context& ctx) {
  if (rcv_.queue.empty()) return nothing_to_read();
  const std::size_t n = rcv_.queue.read(into);
  note_read(ctx);
  return n;
}

std::expected<std::size_t, Error> Connection::receive_shared(std::span<wire::Slice> into, std::uint32_t most,
                                                             Context& ctx) {
  if (rcv_.queue.empty()) return nothing_to_read();
  std::uint32_t n = 0;
  for (wire::Slice& slice : into) {
    if (rcv_.queue.empty() || n == most) break;
    slice = rcv_.queue.take_front(most - n);
    n += slice.size();
  }
  note_read(ctx);
  return n;
}

// The peer is told once it has used up half of what it was offered and reading has made room for twice what
// is left (§3.8.6.2.2).
void Connection::note_read(Context& ctx) {
  if (tuning_ != nullptr) tune_receive_buffer(ctx);
  const std::uint32_t left = receive_window();
  if (may_receive_text(state_) && left <= rcv_.offered / 2) {
    const std::uint32_t window = window_to_offer(ctx);
    if (window >= 2 * left && window > left) owe_ack(Reason::kWindowUpdateSent);
  }
}

std::expected<std::size_t, Error> Connection::peek(std::span<const MutableBytes> into) const {
  if (!rcv_.queue.empty()) return rcv_.queue.peek(into);
  return nothing_to_read();
}

std::expected<std::size_t, Error> Connection::nothing_to_read() const {
  if (failure_ != Error::kWouldBlock) return std::unexpected(failure_);
  if (state_ == State::kSynSent || state_ == State::kSynReceived) return std::unexpected(Error::kWouldBlock);
  if (receive_shut_ || !may_receive_text(state_)) return 0;
  return std::unexpected(Error::kWouldBlock);
}

std::expected<void, Error> Connection::shutdown_send(Context& ctx) {
  if (state_ == State::kClosed) return std::unexpected(Error::kNotConnected);
  queue_fin(ctx);
  return {};
}

void Connection::queue_fin(Context& ctx) {
  if (snd_.fin_queued) return;
  snd_.fin_queued = true;
  ctx.called(tuple_, state_, Reason::kCloseCalled);
  // ESTABLISHED: "Queue this until all preceding SENDs have been segmentized, then form a FIN segment and
  // send it. In any case, enter FIN-WAIT-1 state."  (§3.10.4) CLOSE-WAIT becomes LAST-ACK once the FIN has
  // been sent.
  if (state_ == State::kEstablished) transition_to(State::kFinWait1, Reason::kCloseCalled, ctx);
}

std::expected<void, Error> Connection::shutdown_receive() {
  if (state_ == State::kClosed) return std::unexpected(Error::kNotConnected);
  // What has arrived can still be read, as on Linux.
  receive_shut_ = true;
  events_ |= kReadable;
  return {};
}

void Connection::close(Context& ctx) {
  program_gone_ = true;
  if (state_ == State::kClosed) return;
  // "If the user … CLOSE … while received data is still pending … its TCP implementation SHOULD send a RST to
  // show that data was lost."  (§3.6.1, SHLD-3)
  const bool unread = !rcv_.queue.empty();
  if (unread && state_ != State::kTimeWait) {
    ctx.count(Counter::kTCPAbortOnClose);
    abort(Error::kAborted, Reason::kUnreadData, ctx);
    return;
  }
  if (state_ == State::kSynSent) {
    // "Delete the TCB and return 'error: closing' responses to any queued SENDs, or RECEIVEs."  (§3.10.4)
    fail(Error::kAborted, Reason::kCloseCalled, ctx);
    return;
  }
  if (state_ == State::kTimeWait) return;
  if (rare_ != nullptr && rare_->options.linger) {
    if (*rare_->options.linger == Duration::zero()) {
      abort(Error::kAborted, Reason::kLingerAbort, ctx);
      return;
    }
    timers_.set(Timer::kLinger, ctx.now + *rare_->options.linger);
  }
  queue_fin(ctx);
}

void Connection::abort(Error error, Reason why, Context& ctx) {
  if (state_ == State::kClosed) return;
  switch (state_) {
    // "Send a reset segment: <SEQ=SND.NXT><CTL=RST>. All queued SENDs and RECEIVEs should be given
    // 'connection reset' notification."  (§3.10.5)
    case State::kSynReceived:
    case State::kEstablished:
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kCloseWait:
      ctx.replies.push_back(reset_reply(why, ctx));
      break;
    // CLOSING, LAST-ACK, TIME-WAIT: "Respond with "ok" and delete the TCB"  (§3.10.5). But where data is lost
    // by it, the peer is told.
    case State::kClosing:
    case State::kLastAck:
      if (why == Reason::kUnreadData || (why == Reason::kLingerTimedOut && !snd_.queue.empty()))
        ctx.replies.push_back(reset_reply(why, ctx));
      break;
    case State::kTimeWait:
    case State::kSynSent:
    case State::kClosed:
    case State::kListen:
      break;
  }
  fail(error, why, ctx);
}

void Connection::fail(Error error, Reason why, Context& ctx) {
  assert(trace::cause_of(why) != trace::Cause::kNone);
  failure_ = error;
  events_ |= kFailed | kReadable | kWritable;
  if (state_ == State::kTimeWait) {
    // The state belongs to the TIME-WAIT record by now, which tells of its own end.
    state_ = State::kClosed;
    return;
  }
  transition_to(State::kClosed, why, ctx);
}

void Connection::transition_to(State to, Reason why, Context& ctx) {
  assert(is_transition(state_, to));
  const State from = state_;
  state_ = to;
  if (ended()) {
    note_ending(why, ctx.now);
    note_send_limit(ctx.now);
    timers_.stop_all();
    snd_.queue.clear();
    rcv_.beyond.reset();
    tuning_.reset();
    if (flight_ != nullptr) ctx.flights.give(std::move(flight_));
    syn_to_send_ = resend_first_ = probe_ = false;
    if (to == State::kClosed) acks_owed_ = 0;
  }
  const Instant deadline = to == State::kTimeWait ? ctx.now + ctx.settings.msl * 2 : Instant::never();
  ctx.state_changed(tuple_, from, to, why, deadline);
}

void Connection::owe_ack(Reason why) {
  // One for each segment out of order, as each must reach the peer as a duplicate acknowledgement (RFC 5681
  // §4.2); one for all else.
  if (why == Reason::kDataOutOfOrder) {
    if (acks_owed_ < 255) ++acks_owed_;
  } else {
    acks_owed_ = std::max<std::uint8_t>(acks_owed_, 1);
  }
  // Every other is an acknowledgement of what has just arrived.
  const bool special = why == Reason::kDelayedAck || why == Reason::kChallengeAckSent ||
                       why == Reason::kWindowUpdateSent || why == Reason::kMarkReported;
  ack_reason_ = special ? why : Reason::kAckSent;
}

// Only for a program that can still ask.
void Connection::note_ending(Reason why, Instant now) {
  if (program_gone_ || (rare_ != nullptr && rare_->ending.cause != trace::Cause::kNone)) return;
  rare().ending = {trace::cause_of(why), why, now, std::nullopt};
}

void Connection::note_ending_segment(const Ending::Segment& segment) {
  if (rare_ != nullptr && rare_->ending.cause != trace::Cause::kNone) rare_->ending.segment = segment;
}

Ending::Segment Connection::unanswered() const {
  Ending::Segment s;
  s.seq = snd_.una;
  s.ack = rcv_.nxt;
  if (!is_synchronized(state_)) {
    s.flags = state_ == State::kSynSent ? Flags{Flags::kSyn} : Flags{Flags::kSyn | Flags::kAck};
    return s;
  }
  const SeqNum text_end = earlier(snd_.max, stream_end());
  s.text_size = snd_.una.before(text_end) ? static_cast<std::uint32_t>(text_end - snd_.una) : 0;
  s.flags = Flags{Flags::kAck}.with(fin_sent() ? Flags::kFin : 0);
  return s;
}

Options Connection::options() const {
  Options o = rare_ != nullptr ? rare_->options : Options{};
  o.traffic_class = traffic_class_;
  o.no_delay = no_delay_;
  o.cork = cork_;
  o.quick_ack = quick_ack_;
  o.keepalive = keepalive_;
  o.report_trouble = report_trouble_;
  o.may_fragment = may_fragment_;
  return o;
}

void Connection::set_options(const Options& options, Context& ctx) {
  // Turned on, it lets go what a cork holds back so far, as on Linux.
  if (options.no_delay && !no_delay_ && stream_end().after(snd_.max)) send_small_ = true;
  no_delay_ = options.no_delay;
  cork_ = options.cork;
  quick_ack_ = options.quick_ack;
  keepalive_ = options.keepalive;
  traffic_class_ = options.traffic_class & ~wire::ecn::kMask;
  report_trouble_ = options.report_trouble;
  // The switches lie in the connection itself; most set nothing else.
  may_fragment_ = options.may_fragment;
  Options rest = options;
  rest.no_delay = rest.cork = rest.quick_ack = rest.keepalive = false;
  rest.report_trouble = true;
  rest.may_fragment = false;
  rest.traffic_class = 0;
  if (rare_ != nullptr || rest != Options{}) {
    user_timeout_to_send_ = rest.advertised_user_timeout > Duration::zero() &&
                            rest.advertised_user_timeout != rare().options.advertised_user_timeout;
    rare().options = rest;
  }
  if (ended()) return;
  if (options.congestion) change_controller(*options.congestion, ctx.settings.tcp_init_cwnd, ctx);

  // What was offered when the connection opened stays; the scale bounds what a larger buffer can offer.
  if (options.receive_buffer > 0 && is_synchronized(state_))
    rcv_.buffer = std::min(options.receive_buffer, 0xffffu << rcv_.scale.shift());
  if (keepalive_ && is_synchronized(state_)) {
    timers_.set(Timer::kKeepalive, ctx.now + keepalive_time(ctx.settings));
  } else {
    timers_.stop(Timer::kKeepalive);
  }
  timers_.stop(Timer::kUser);
  if (timers_.armed(Timer::kRetransmit) || timers_.armed(Timer::kPersist)) arm_user_timeout(ctx);
}

Reason Connection::on_unreachable(SeqNum seq, bool hard, Error error, Context& ctx) {
  // Only an error about something in flight is believed (RFC 5927 §4.1).
  if (state_ == State::kClosed || !(seq.at_or_after(snd_.una) && seq.before(snd_.max)))
    return Reason::kIcmpIgnored;
  // "soft errors … MUST NOT abort the connection" (RFC 9293 §3.9.2.2, MUST-56); in synchronized states hard
  // ones are taken as soft (RFC 5461 §4.1). The program hears of them (§3.9.1.8, MUST-47).
  if (!hard || is_synchronized(state_)) {
    soft_error_ = error;
    if (report_trouble_) events_ |= kTrouble;
    return Reason::kIcmpSoftError;
  }
  ctx.count(Counter::kAttemptFails);
  fail(error, Reason::kIcmpHardError, ctx);
  note_ending_segment({.received = false, .seq = seq});
  return Reason::kIcmpHardError;
}

Reason Connection::on_path_mtu(SeqNum seq, std::uint32_t mtu, Context& ctx) {
  if (may_fragment_) return Reason::kIcmpIgnored;
  if (!is_synchronized(state_) || !(seq.at_or_after(snd_.una) && seq.before(snd_.max)))
    return Reason::kIcmpIgnored;
  // Nothing smaller than what every path carries is believed (RFC 5927 §7): 1280 for IPv6, and 552 as Linux
  // has it for IPv4.
  const wire::Family family = tuple_.local.address.family();
  const std::uint32_t least = family == wire::Family::kIpv4 ? 552 : 1280;
  const std::uint16_t mss = mss_for(std::max(mtu, least), family);
  if (mtu >= ctx.mtu || mss >= snd_.mss) return Reason::kIcmpIgnored;
  snd_.mss = mss;
  congestion_.set_mss(text_limit());
  // What was too large is lost, which is no sign of congestion.
  if (flight_ != nullptr && flight_->sent.cut(text_limit()) && flight_->sent.lost() > 0 &&
      !in_loss_recovery()) {
    flight_->state = CaState::kLoss;
    flight_->high = snd_.nxt;
  }
  return Reason::kPathMtu;
}

TimeWait Connection::time_wait() const {
  TimeWait tw;
  tw.fin_wait_2 = state_ == State::kFinWait2;
  tw.tuple = tuple_;
  tw.snd_nxt = snd_.max;
  tw.rcv_nxt = rcv_.nxt;
  tw.ts_recent = rcv_.ts_recent;
  // Rounded up, as everywhere: the right edge must not move back (SHLD-14).
  const std::uint32_t unit = (1u << rcv_.scale.shift()) - 1;
  tw.window = Window{receive_window() + unit} >> rcv_.scale;
  tw.scale = rcv_.scale.shift() & 0xf;
  tw.timestamps = timestamps_;
  tw.set_traffic_class(traffic_class_, accurate_ ? rare_->accurate_ecn->ace_of(false) : std::uint8_t{0});
  return tw;
}

}  // namespace synfin::tcp
