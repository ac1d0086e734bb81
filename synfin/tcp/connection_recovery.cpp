// SPDX-License-Identifier: Apache-2.0
//
// What an acknowledgement or a timer says about losses, and what is made of it: the states of `CaState`. What
// is to be sent again is only marked here. Read first: RFC 8985 §6, RFC 6675 §5, RFC 6582 §3.2, RFC 5682,
// RFC 6937bis.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

// In recovery a controller that has a model of the path goes by it; what others allow is spread by PRR.
std::uint32_t Connection::window() const {
  const bool spread = flight_ != nullptr && flight_->state == CaState::kRecovery;
  return spread && congestion_.pacing_rate() == 0 ? flight_->prr.window() : congestion_.window();
}

std::uint32_t Connection::pipe() const {
  if (flight_ == nullptr) return 0;
  const std::uint32_t pipe = flight_->sent.pipe();
  return pipe - std::min(pipe, flight_->duplicates * text_limit());
}

Duration Connection::reordering_window() const {
  // What was just taken for lost and was not would be so again by the next acknowledgement, each time for one
  // more retransmission: DSACKs, which widen the window, take a round trip longer. SRTT is the most that RFC
  // 8985 §6.2 step 4 allows.
  if (flight_->patient) return rtt_.smoothed();
  const bool early = in_loss_recovery() || flight_->sent.sacked() >= reordering_.degree;
  return Rack::window(reordering_, early, rtt_.minimum(), rtt_.smoothed());
}

// Behind every acknowledgement while something was in flight.
void Connection::recover(const Segment& seg, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  // The tail has been heard of before the probe could leave; what is in flight now gets its own time.
  if (d.advanced || d.sacked) f.probe_due = false;
  if (d.reordered) {
    const auto distance = static_cast<std::uint32_t>(f.highest_sacked - d.reordered_from);
    reordering_.note((distance + text_limit() - 1) / text_limit());
    ctx.count(Counter::kTCPSACKReorder);
  }
  forget_passed_marks();
  if (!sack_) count_duplicates(d);
  const bool in_recovery = in_loss_recovery();
  if (in_recovery && d.advanced && snd_.una.at_or_after(f.high)) {
    leave_recovery(seg, d, ctx);
  } else if (in_recovery) {
    within_recovery(seg, d, ctx);
  }

  const std::optional<Duration> reordering = detect_losses(ctx);
  if (!in_loss_recovery()) {
    if (f.sent.lost() > 0) {
      enter_recovery(ctx);
    } else {
      f.state = f.sent.sacked() > 0 || f.duplicates > 0 ? CaState::kDisorder : CaState::kOpen;
    }
  }
  if (f.state == CaState::kRecovery && (d.octets > 0 || !in_recovery)) {
    f.prr.on_ack(d.octets, pipe(), text_limit(), d.advanced && f.sent.lost() <= d.lost_before);
  }
  tell_controller(d, ctx);
  if (f.sent.empty() && snd_.una == snd_.nxt) {
    release_flight(ctx);
    return;
  }
  // What has just arrived shows how long the path takes by now. The first segment, sent again, takes as long,
  // and no sample tells the timeout so while SND.UNA stands still: a queue that slow start has filled would
  // make it too early. Linux too lets selective acknowledgements postpone it.
  if (f.state == CaState::kRecovery && d.sacked && d.round_trip && !f.sent.empty())
    f.timeout_at = std::max(f.timeout_at, f.sent[0].sent_at + *d.round_trip + ctx.settings.tcp_rto_min);
  arm_for_flight(d.advanced || d.sacked, reordering, ctx);
}

// Numbers that SND.UNA has left behind would lie ahead of it again 2 GiB later.
void Connection::forget_passed_marks() {
  Flight& f = *flight_;
  if (f.any_sacked && snd_.una.at_or_after(f.highest_sacked)) f.any_sacked = false;
  if (f.patient && snd_.una.at_or_after(f.patient_until)) f.patient = false;
  f.rack.end_dsack_round(snd_.una);
}

// Without SACK a duplicate acknowledgement only says that some segment has arrived: RFC 6582, counted as
// Linux does, as if one had been sacked.
void Connection::count_duplicates(Delivery& d) {
  Flight& f = *flight_;
  const std::uint32_t mss = text_limit();
  if (d.advanced) {
    f.duplicates_left.reset();
    // Those had been counted when they were heard of; the segment at the hole was not.
    const std::uint32_t known = f.duplicates * mss;
    if (d.octets > 0) d.octets = d.octets > known ? d.octets - known : std::min(d.octets, mss);
    const std::uint32_t gone = d.acknowledged > 0 ? d.acknowledged - 1 : 0;
    f.duplicates = f.state == CaState::kRecovery && f.duplicates > gone ? f.duplicates - gone : 0;
    // Nothing tells whether the first or the second transmission of a segment was acknowledged.
    if (d.resent) d.original = false;
    return;
  }
  if (!d.duplicate || (f.state == CaState::kLoss && f.frto != Flight::Frto::kSecond)) return;
  const std::uint32_t most = f.sent.size() - std::min(f.sent.size(), std::max(f.sent.lost(), 1u));
  if (f.duplicates >= most) return;
  // No more than there were segments that could have caused them (RFC 5681 §3.2, [SCWA99]): a peer can make
  // up as many as it likes, and each sends a segment (attack D22).
  if (!f.duplicates_left) f.duplicates_left = f.sent.size() - 1;
  if (*f.duplicates_left == 0) return;
  --*f.duplicates_left;
  ++f.duplicates;
  d.octets += mss;
}

// Everything that was in flight when it began is acknowledged.
void Connection::leave_recovery(const Segment& seg, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  if (was_for_nothing(seg, d)) {
    const bool timeout = f.state == CaState::kLoss;
    undo(timeout ? Counter::kTCPLossUndo : Counter::kTCPFullUndo,
         timeout ? Reason::kSpuriousTimeout : Reason::kSpuriousRecovery, d, ctx);
  }
  f.state = CaState::kOpen;
  f.frto = Flight::Frto::kOff;
  f.undo = false;
  f.duplicates = 0;
  reordering_.recovery_ended();
}

void Connection::within_recovery(const Segment& seg, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  if (f.state == CaState::kLoss) {
    judge_timeout(seg, d, ctx);
    return;
  }
  if (d.dsack && f.undo && f.undo_left == 0) {
    undo(Counter::kTCPDSACKUndo, Reason::kSpuriousRecovery, d, ctx);
  } else if (d.advanced && was_for_nothing(seg, d)) {
    undo(Counter::kTCPPartialUndo, Reason::kSpuriousRecovery, d, ctx);
  } else if (!sack_ && d.advanced) {
    // "retransmit the first unacknowledged segment"  (RFC 6582 §3.2 step 3, partial acknowledgement)
    if (!f.sent.empty() && !f.sent[0].retransmitted) mark_lost(0, ctx);
  }
}

bool Connection::has_new_text() const {
  if (!stream_end().after(snd_.nxt)) return false;
  const auto available = static_cast<std::uint32_t>(stream_end() - snd_.nxt);
  const std::uint32_t size = std::min({available, peer_room(), text_room()});
  return size > 0 && worth_sending(size, available, snd_.fin_queued);
}

// RFC 5682 §2.1 and, with SACK, §3.1: was the timeout spurious?
void Connection::judge_timeout(const Segment& seg, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  if ((d.dsack && f.undo && f.undo_left == 0) || (d.advanced && was_for_nothing(seg, d))) {
    undo(Counter::kTCPLossUndo, Reason::kSpuriousTimeout, d, ctx);
    return;
  }
  switch (f.frto) {
    case Flight::Frto::kOff:
      return;
    case Flight::Frto::kFirst:
      // (1), (2b): new text in place of what seems lost, if there is any.
      if (d.advanced && has_new_text()) {
        f.frto = Flight::Frto::kSecond;
      } else if (d.advanced || d.sacked || d.duplicate) {
        f.frto = Flight::Frto::kOff;
      }
      return;
    case Flight::Frto::kSecond:
      if (!d.advanced && !d.sacked && !d.duplicate) return;
      f.frto = Flight::Frto::kOff;
      // (3b): something arrived that was in flight before the timeout, and was sent once.
      if (d.original && f.undo) {
        ctx.count(Counter::kTCPSpuriousRTOs);
        undo(Counter::kTCPLossUndo, Reason::kSpuriousTimeout, d, ctx);
      }
      return;
  }
}

// Marks what is lost; gives how long until reordering no longer explains what is missing.
std::optional<Duration> Connection::detect_losses(Context& ctx) {
  Flight& f = *flight_;
  if (f.sent.empty()) return std::nullopt;
  if (!sack_) {
    // "covers more than 'recover'"  (RFC 6582 §3.2 step 2)
    const bool fresh = !in_loss_recovery() && snd_.una.after(recover_);
    if (fresh && f.duplicates >= reordering_.degree) mark_lost(0, ctx);
    return std::nullopt;
  }
  return f.rack.detect(f.sent, reordering_window(), ctx.now, [&](std::uint32_t place) {
    if (f.sent[place].retransmitted) ctx.count(Counter::kTCPLostRetransmit);
    note_lost(f.sent[place], ctx);
  });
}

void Connection::mark_lost(std::uint32_t place, Context& ctx) {
  const SentSegment& s = flight_->sent[place];
  if (s.sacked || (s.lost && !s.retransmitted)) return;
  note_lost(s, ctx);
  flight_->sent.mark_lost(place);
}

void Connection::note_lost(const SentSegment& s, Context& ctx) {
  Flight& f = *flight_;
  f.rate.segment_lost(s.length);
  LossEvent event = loss_event(CongestionSign::kSegment, f.sent.octets(), ctx);
  event.start = s.start;
  event.size = s.length;
  event.tx_in_network = s.mark.in_flight;
  event.lost_since = f.rate.lost() - s.mark.lost;
  event.app_limited = s.mark.app_limited;
  congestion_.on_loss(event);
}

LossEvent Connection::loss_event(CongestionSign sign, std::uint32_t in_flight, const Context& ctx) const {
  LossEvent e;
  e.now = ctx.now;
  e.sign = sign;
  e.in_flight = in_flight;
  e.in_network = pipe();
  e.delivered = flight_ != nullptr ? flight_->rate.delivered() : snd_.una.raw();
  e.recovering = in_loss_recovery();
  e.selective = sack_;
  return e;
}

void Connection::remember_for_undo() {
  Flight& f = *flight_;
  f.undo = true;
  f.before = congestion_;
  f.undo_from = snd_.una;
  f.undo_left = f.sent.retransmitted() > 0 ? static_cast<std::int32_t>(f.sent.retransmitted()) : -1;
  f.first_resent = Instant{};
}

void Connection::enter_recovery(Context& ctx) {
  Flight& f = *flight_;
  remember_for_undo();
  f.state = CaState::kRecovery;
  f.high = recover_ = snd_.nxt;
  // What limited transmit added is left out (RFC 5681 §3.2 step 2).
  congestion_.on_loss(
      loss_event(CongestionSign::kLost, std::min(f.sent.octets(), congestion_.window()), ctx));
  f.prr.begin(std::min(f.sent.octets(), f.before.window()), congestion_.window());
  f.prr.on_ack(0, pipe(), text_limit(), false);
  ctx.count(sack_ ? Counter::kTCPSackRecovery : Counter::kTCPRenoRecovery);
}

// The retransmission timer ran out (RFC 6298 §5.4–5.6, RFC 8985 §6.3).
void Connection::enter_loss(Context& ctx) {
  Flight& f = *flight_;
  const Duration reordering = sack_ ? reordering_window() : Duration::zero();
  if (!f.undo) remember_for_undo();
  notice_reneging(ctx);
  for (std::uint32_t i = 0; i < f.sent.size(); ++i) {
    if (i == 0 || !sack_ || f.rack.lost_on_timeout(f.sent[i], reordering, ctx.now)) mark_lost(i, ctx);
  }
  // "a retransmission timer expires … for a given segment"  (RFC 5681 §3.1, equation 4): once for each.
  if (retries_ == 1) {
    congestion_.on_loss(
        loss_event(CongestionSign::kTimeout, std::min(f.sent.octets(), congestion_.window()), ctx));
  }
  f.state = CaState::kLoss;
  f.high = recover_ = snd_.nxt;
  f.frto = ctx.settings.tcp_frto > 0 ? Flight::Frto::kFirst : Flight::Frto::kOff;
  f.duplicates = 0;
  f.probe_due = false;
}

// A receiver that still had what it sacked would have acknowledged it by now: it has dropped all of that (RFC
// 2018 §8).
void Connection::notice_reneging(Context& ctx) {
  Flight& f = *flight_;
  if (!f.sent[0].sacked) return;
  ctx.count(Counter::kTCPSACKReneging);
  f.sent.forget_sacks();
  f.any_sacked = false;
}

// Eifel detection (RFC 3522): the acknowledgement is for the first transmission of a segment that was sent
// again, and echoes a time before the first retransmission of all; or DSACKs have called every retransmission
// needless. Where recovery begins right behind another, what lies before its first hole proves nothing, and
// neither does what the other one sent again and is still on its way.
bool Connection::was_for_nothing(const Segment& seg, const Delivery& d) const {
  const Flight& f = *flight_;
  if (!f.undo) return false;
  if (f.undo_left == 0) return true;
  if (!d.first_time || d.second_time || f.first_resent == Instant{}) return false;
  const std::uint32_t echo = seg.header.options.timestamps.echo;
  return echo != 0 &&
         static_cast<std::int32_t>(echo - timestamp_value(f.first_resent, timestamp_offset_)) < 0;
}

void Connection::undo(Counter counter, Reason why, Delivery& d, Context& ctx) {
  Flight& f = *flight_;
  ctx.count(counter);
  congestion_.restore(f.before);
  f.sent.forget_losses();
  f.state = CaState::kOpen;
  f.frto = Flight::Frto::kOff;
  f.undo = false;
  f.patient = true;
  f.patient_until = snd_.nxt;
  recover_ = snd_.una - 1;
  d.fate = why;
}

// What became of a tail loss probe (RFC 8985 §7.4).
void Connection::judge_tail_probe(const Segment& seg, const Delivery& d, Context& ctx) {
  if (seg.ack().before(tail_probe_end_)) return;
  // Nothing was lost, or recovery takes care of it.
  const bool needless = !tail_probe_resent_ || d.probe_dsack;
  // The probe filled a hole that nobody will hear of otherwise: the loss is to be answered all the same.
  const bool filled = !needless && seg.ack().after(tail_probe_end_);
  const bool both_arrived = !needless && !filled && !d.advanced && d.duplicate && !d.sacked;
  tail_probe_ = !needless && !filled && !both_arrived;
  if (!filled) return;
  // What was in flight then is not known any more; it was no more than the window.
  if (!in_loss_recovery()) congestion_.on_loss(loss_event(CongestionSign::kLost, congestion_.window(), ctx));
  ctx.count(Counter::kTCPLossProbeRecovery);
}

// What TCP_INFO shows of it is, as on Linux, the last sample that the program did not limit, or one above it.
RateSample Connection::sample_rate() {
  const RateSample s = flight_->rate.take(rtt_.minimum());
  const auto rate = static_cast<float>(s.rate);
  if (s.rate > 0 && (!s.app_limited || rate >= delivery_rate_)) {
    delivery_rate_ = rate;
    rate_app_limited_ = s.app_limited;
  }
  return s;
}

void Connection::tell_controller(const Delivery& d, const Context& ctx) {
  const Flight& f = *flight_;
  if (d.octets == 0) return;
  const bool slow_start = congestion_.window() < congestion_.slow_start_threshold();
  const bool limited =
      f.window_limited || (slow_start && congestion_.window() < std::uint64_t{f.most_used} * 2);
  // "during the … slow start … following a retransmission timeout … L MUST be set to 1"  (RFC 3465 §2.3)
  const bool timeout = f.state == CaState::kLoss;
  AckEvent event;
  event.now = ctx.now;
  // Where segments overtake each other, most acknowledgements are selective: as on Linux they count like the
  // others then, or the window would grow by a part of what arrives.
  const bool counts = d.advanced || (d.sacked && reordering_.degree > ctx.settings.tcp_reordering);
  if (counts && f.state != CaState::kRecovery)
    event.acked = timeout ? std::min(d.octets, text_limit()) : d.octets;
  event.window_limited = limited || timeout;
  // What waited for a segment that was sent again tells nothing.
  if (!d.resent) event.round_trip = d.round_trip;
  event.smoothed = rtt_.smoothed();
  event.una = snd_.una;
  event.nxt = snd_.nxt;
  event.ce_marked = rare_ != nullptr ? std::exchange(rare_->unsaid_marks, 0u) : 0;
  event.newly_delivered = d.octets;
  event.delivered = f.rate.delivered();
  event.in_network = pipe();
  event.window_filled = f.window_limited;
  event.recovering = in_loss_recovery();
  event.selective = sack_;
  event.rate = sample_rate();
  congestion_.on_ack(event);
}

}  // namespace synfin::tcp
