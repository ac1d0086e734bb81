// SPDX-License-Identifier: Apache-2.0
//
// Segment arrival in the states where both ends know each other's numbers. Read first: RFC 9293 §3.10.7.4,
// RFC 5961, RFC 7323 §5. Quotations end with two spaces and the section.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

Reason Connection::on_segment(const Segment& seg, Context& ctx) {
  traffic_.segments_in += seg.pieces();
  if (seg.text_size > 0) traffic_.text_segments_in += seg.pieces();
  const bool ended_before = ended();
  const Reason fate =
      state_ == State::kSynSent ? on_segment_syn_sent(seg, ctx) : on_segment_synchronized(seg, ctx);
  if (ended() && !ended_before) note_ending_segment({true, seg.seq(), seg.ack(), seg.flags(), seg.text_size});
  return fate;
}

// The eight steps in the RFC's order. Nothing else belongs here. The last step that has something to say
// names the segment's fate.
Reason Connection::on_segment_synchronized(const Segment& seg, Context& ctx) {
  if (ctx.short_paths && is_plain_next(seg)) return on_plain_next(seg, ctx);
  Step step = first_check_sequence(seg, ctx);
  if (step.next == Next::kStop) return step.reason;
  const Reason sequence = step.reason;
  step = second_check_rst(seg, ctx);
  if (step.next == Next::kStop) return step.reason;
  // Third: security and compartment. Not implemented; RFC 9293 §A.1 leaves them to systems that label
  // traffic.
  step = fourth_check_syn(seg, ctx);
  if (step.next == Next::kStop) return step.reason;
  const bool opening = state_ == State::kSynReceived;
  step = fifth_check_ack(seg, ctx);
  if (step.next == Next::kStop) return step.reason;
  Reason fate = step.reason;
  const bool told_now = (ecn_ || accurate_) && sequence != Reason::kOldDuplicate && hear_codepoint(seg);
  if (seg.flags().urg() || urgent_pending_) sixth_check_urg(seg);
  step = seventh_process_text(seg, ctx);
  if (step.reason != Reason::kNone) fate = step.reason;
  if (step.next == Next::kStop) return fate;
  if (told_now) owe_ack(Reason::kMarkReported);
  step = eighth_check_fin(seg, ctx);
  if (step.reason != Reason::kNone) fate = step.reason;
  // Whatever else it brought, it was the third segment.
  if (opening) return Reason::kHandshakeComplete;
  return sequence != Reason::kNone ? sequence : fate;
}

// Header prediction: whether this is what nearly every segment of an open connection is, the next one in the
// window, with nothing in it that the other steps would look at. They would then let it pass in silence.
bool Connection::is_plain_next(const Segment& seg) const {
  constexpr std::uint8_t kMayBeThere = Flags::kPsh | Flags::kFin;
  if ((seg.flags().bits() | kMayBeThere) != (Flags::kAck | kMayBeThere)) return false;
  if (seg.seq() != rcv_.nxt || seg.length() > receive_window()) return false;
  if (state_ == State::kSynReceived || ecn_ || accurate_ || urgent_pending_) return false;
  return !timestamps_ || !seg.has_timestamps() ||
         static_cast<std::int32_t>(seg.header.options.timestamps.value - rcv_.ts_recent) >= 0;
}

// The fifth step, and the seventh and the eighth where there is something for them.
Reason Connection::on_plain_next(const Segment& seg, Context& ctx) {
  Step step = fifth_check_ack(seg, ctx);
  if (step.next == Next::kStop) return step.reason;
  Reason fate = step.reason;
  if (seg.text_size > 0) {
    step = seventh_process_text(seg, ctx);
    if (step.reason != Reason::kNone) fate = step.reason;
    if (step.next == Next::kStop) return fate;
  }
  if (seg.flags().fin() || rcv_.fin_waits) {
    step = eighth_check_fin(seg, ctx);
    if (step.reason != Reason::kNone) fate = step.reason;
  }
  return fate;
}

Connection::Step Connection::first_check_sequence(const Segment& seg, Context& ctx) {
  const Flags f = seg.flags();
  // The SYN that began this, again: what it needs is our SYN-ACK.
  if (state_ == State::kSynReceived && passive_ && f.syn() && !f.ack() && !f.rst() && seg.seq() == rcv_.irs) {
    ctx.count(Counter::kTCPSynRetrans);
    if (!hear_syn_again(seg, ctx)) return stop(Reason::kEcnModesMixed);
    syn_to_send_ = true;
    return stop(Reason::kDuplicateSyn);
  }

  // R1 of RFC 7323 §5.3 (PAWS); resets are spared, as their number alone decides. A timestamp that was
  // remembered before the clock can have gone half around says nothing (§5.5).
  const bool stamped = timestamps_ && seg.has_timestamps() && !f.rst();
  if (stamped && static_cast<std::int32_t>(seg.header.options.timestamps.value - rcv_.ts_recent) < 0 &&
      ctx.now - last_heard_ < kTimestampLife) {
    ctx.count(Counter::kPAWSEstab);
    if (seg.length() == 0 && !may_answer_bare(ctx)) return stop(Reason::kChallengeLimited);
    owe_ack(Reason::kPawsRejected);
    return stop(Reason::kPawsRejected);
  }

  // Our own SYN-ACK crossed the peer's (figure 8): its SYN is known, so only its acknowledgement counts.
  if (state_ == State::kSynReceived && f.syn() && f.ack() && !f.rst() && seg.seq() == rcv_.irs)
    return go_on();

  const std::uint32_t length = seg.length();
  const std::uint32_t window = receive_window();
  const SeqNum last = seg.seq() + (length - 1);
  //   Length  Window   Acceptable
  //     0       0      SEG.SEQ = RCV.NXT
  //     0      >0      RCV.NXT =< SEG.SEQ < RCV.NXT+RCV.WND
  //    >0       0      never
  //    >0      >0      the same for the first or the last octet
  bool acceptable = false;
  if (window == 0) {
    acceptable = length == 0 && seg.seq() == rcv_.nxt;
  } else {
    acceptable = seg.seq().in(rcv_.nxt, window) || (length > 0 && last.in(rcv_.nxt, window));
  }
  if (acceptable) return go_on();

  // "If the RCV.WND is zero, no segments will be acceptable, but special allowance should be made to accept
  // valid ACKs, URGs, and RSTs."  (§3.10.7.4) The same for a bare ACK at the very right edge, which a peer
  // sends that has filled the window.
  if (seg.seq() == rcv_.nxt && !f.syn()) {
    if (length > 0) owe_ack(Reason::kZeroWindowProbe);
    return go_on(length > 0 ? Reason::kZeroWindowProbe : Reason::kNone);
  }
  if (length == 0 && seg.seq() == rcv_.edge && f.ack() && !f.rst()) return go_on();

  if (f.rst()) return stop(Reason::kOutOfWindowReset);
  // "irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK)"  (RFC
  // 5961 §4.2)
  if (f.syn() && is_synchronized(state_)) {
    const Reason fate = challenge(Reason::kSynChallenged, Counter::kTCPSYNChallenge, ctx);
    if (accurate_ && fate != Reason::kChallengeLimited) hear_syn_ack_again(seg);
    return stop(fate);
  }
  const bool old = length > 0 && last.before(rcv_.nxt);
  // Text is always answered, as its ACK may have been lost.
  if (length == 0 && !may_answer_bare(ctx)) return stop(Reason::kChallengeLimited);
  if (old) note_duplicate(seg.seq(), last + 1, Counter::kTCPDSACKOldSent, ctx);
  if (old && accurate_) marks().on_repeated_text();
  owe_ack(old ? Reason::kOldDuplicate : Reason::kOutOfWindow);
  // A probe of one octet or a FIN that was taken, again. Where those of both ends cross, neither ever sends
  // anything that the other finds acceptable, so the acknowledgement in it must count (RFC 9293 §A.2,
  // draft-gont-tcpm-tcp-seq-validation); text and FIN do not, as they lie left of the window.
  // One that cannot be true does not count, so that there is one answer and not two.
  const bool counts = is_synchronized(state_) && f.ack() && !f.syn() && !seg.ack().after(snd_.max) &&
                      !seg.ack().before(snd_.una - snd_.max_wnd);
  if (length == 1 && seg.seq() == rcv_.nxt - 1 && counts) return go_on(Reason::kOldDuplicate);
  return stop(old ? Reason::kOldDuplicate : Reason::kOutOfWindow);
}

Connection::Step Connection::second_check_rst(const Segment& seg, Context& ctx) {
  if (!seg.flags().rst()) return go_on();
  // "2) If the RST bit is set and the sequence number exactly matches the next expected sequence number
  // (RCV.NXT), then TCP endpoints MUST reset the connection … 3) … does not exactly match the next expected
  // sequence value, yet is within the current receive window, TCP endpoints MUST send an acknowledgment
  // (challenge ACK)."  (§3.10.7.4)
  if (seg.seq() != rcv_.nxt) return stop(challenge(Reason::kResetChallenged, Counter::kTCPChallengeACK, ctx));
  switch (state_) {
    case State::kSynReceived:
      ctx.count(Counter::kAttemptFails);
      if (passive_) ctx.count(Counter::kEmbryonicRsts);
      fail(passive_ ? Error::kReset : Error::kRefused, Reason::kReset, ctx);
      break;
    case State::kEstablished:
    case State::kCloseWait:
      ctx.count(Counter::kEstabResets);
      fail(Error::kReset, Reason::kReset, ctx);
      break;
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kClosing:
    case State::kLastAck:
    case State::kTimeWait:
    case State::kClosed:
    case State::kListen:
    case State::kSynSent:
      fail(Error::kReset, Reason::kReset, ctx);
      break;
  }
  return stop(Reason::kReset);
}

Connection::Step Connection::fourth_check_syn(const Segment& seg, Context& ctx) {
  if (!seg.flags().syn()) return go_on();
  if (state_ == State::kSynReceived && seg.flags().ack() && seg.seq() == rcv_.irs) return go_on();
  // "If the SYN bit is set in these synchronized states, it may be either a legitimate new connection
  // attempt …, an error …, or the result of an attack … RFC 5961 recommends that … TCP endpoints … MUST send
  // a challenge ACK."  (§3.10.7.4)
  return stop(challenge(Reason::kSynChallenged, Counter::kTCPSYNChallenge, ctx));
}

Connection::Step Connection::fifth_check_ack(const Segment& seg, Context& ctx) {
  // "If the ACK bit is off, drop the segment and return."  (§3.10.7.4)
  if (!seg.flags().ack()) return stop(Reason::kNoAck);

  if (state_ == State::kSynReceived) {
    if (!(seg.ack().after(snd_.una) && seg.ack().at_or_before(snd_.max))) {
      ctx.replies.push_back(reset_for(tuple_, seg, state_, Reason::kSynReceivedBadAck));
      return stop(Reason::kSynReceivedBadAck);
    }
    snd_.wnd = snd_.max_wnd =
        (seg.header.window << (seg.flags().syn() ? WindowScale::none() : snd_.scale)).octets;
    snd_.wl1 = seg.seq();
    snd_.wl2 = seg.ack();
    become_established(ctx, Reason::kHandshakeComplete);
    if (seg.flags().syn()) owe_ack(Reason::kHandshakeComplete);
  }

  // "SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT … All incoming segments whose ACK value doesn't satisfy the
  // above condition MUST be discarded and an ACK sent back."  (RFC 5961 §5.2)
  if (seg.ack().after(snd_.max)) {
    if (!(seg.length() == 0 ? may_answer_bare(ctx) : may_challenge(ctx)))
      return stop(Reason::kChallengeLimited);
    owe_ack(Reason::kAckOfUnsent);
    return stop(Reason::kAckOfUnsent);
  }
  if (seg.ack().before(snd_.una - snd_.max_wnd)) {
    if (!(seg.length() == 0 ? may_answer_bare(ctx) : may_challenge(ctx)))
      return stop(Reason::kChallengeLimited);
    ctx.count(Counter::kTCPChallengeACK);
    owe_ack(Reason::kChallengeAckSent);
    return stop(Reason::kAckTooOld);
  }

  const Reason fate = accept_ack(seg, ctx);
  switch (state_) {
    case State::kFinWait1:
      if (fin_acknowledged()) {
        transition_to(State::kFinWait2, Reason::kFinAcknowledged, ctx);
        events_ |= kSendClosed;
        timers_.stop(Timer::kLinger);
        return go_on(Reason::kFinAcknowledged);
      }
      break;
    case State::kClosing:
      if (fin_acknowledged()) {
        events_ |= kSendClosed;
        transition_to(State::kTimeWait, Reason::kTimeWaitEntered, ctx);
        return stop(Reason::kFinAcknowledged);
      }
      return stop(fate);
    case State::kLastAck:
      if (fin_acknowledged()) {
        // "The only thing that can arrive in this state is an acknowledgment of our FIN."  (§3.10.7.4)
        events_ |= kSendClosed;
        transition_to(State::kClosed, Reason::kFinAcknowledged, ctx);
        return stop(Reason::kFinAcknowledged);
      }
      break;
    case State::kSynReceived:
    case State::kEstablished:
    case State::kFinWait2:
    case State::kCloseWait:
    case State::kTimeWait:
    case State::kClosed:
    case State::kListen:
    case State::kSynSent:
      break;
  }
  return go_on(fate);
}

// "If the URG bit is set, RCV.UP <- max(RCV.UP,SEG.UP), and signal the user that the remote side has urgent
// data if the urgent pointer (RCV.UP) is in advance of the data consumed."  (§3.10.7.4) The data stays in the
// stream, as with SO_OOBINLINE (RFC 6093 §3.4); the pointer is compared and never indexes anything.
void Connection::sixth_check_urg(const Segment& seg) {
  if (urgent() == 0) urgent_pending_ = false;
  if (!seg.flags().urg() || !may_receive_text(state_)) return;
  const SeqNum up = seg.seq() + seg.header.urgent_pointer;
  if (!up.after(next_to_read()) || (urgent_pending_ && !up.after(rare().rcv_up))) return;
  rare().rcv_up = up;
  urgent_pending_ = true;
  // "whenever it receives an urgent pointer and there was previously no pending urgent data, or whenever the
  // urgent pointer advances in the data stream"  (§3.8.5, MUST-32)
  events_ |= kUrgent;
}

Connection::Step Connection::seventh_process_text(const Segment& seg, Context& ctx) {
  if (seg.text_size == 0) return go_on();
  // CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT: "This should not occur since a FIN has been received from the
  // remote side. Ignore the segment text."  (§3.10.7.4)
  if (!takes_text()) return go_on(Reason::kDataAfterFin);
  // The part of the text that is new and in the window: [skip, end) of the segment's text.
  const SeqNum first = seg.flags().syn() ? seg.seq() + 1 : seg.seq();
  const std::uint32_t skip = first.before(rcv_.nxt) ? static_cast<std::uint32_t>(rcv_.nxt - first) : 0;
  SeqNum limit = rcv_.edge;
  if (rcv_.fin_waits && rcv_.fin.before(limit)) limit = rcv_.fin;
  const std::int32_t room = limit - first;
  const std::uint32_t end = room <= 0 ? 0 : std::min(seg.text_size, static_cast<std::uint32_t>(room));
  if (skip > 0)
    note_duplicate(first, earlier(first + seg.text_size, rcv_.nxt), Counter::kTCPDSACKOldSent, ctx);
  if (skip >= end) {
    if (skip >= seg.text_size) return go_on(Reason::kOldDuplicate);
    owe_ack(Reason::kZeroWindowProbe);
    return go_on(Reason::kZeroWindowProbe);
  }

  // "A host MAY implement a 'half-duplex' TCP close sequence … If such a host issues a CLOSE call while …
  // new data is received after CLOSE is called, its TCP implementation SHOULD send a RST to show that data
  // was lost."  (§3.6.1, SHLD-3)
  if (program_gone_) {
    ctx.count(Counter::kTCPAbortOnData);
    abort(Error::kAborted, Reason::kDataAfterClose, ctx);
    return stop(Reason::kDataAfterClose);
  }

  if (first.after(rcv_.nxt)) {
    owe_ack(Reason::kDataOutOfOrder);
    if (const Reason why = keep_beyond(seg, skip, end - skip, ctx); why != Reason::kDataOutOfOrder)
      return go_on(why);
    ctx.count(Counter::kTCPOFOQueue);
    if (traffic_.out_of_order < 0xffff) ++traffic_.out_of_order;
    return go_on(Reason::kDataOutOfOrder);
  }

  const std::uint32_t taken = take_text(seg, skip, end - skip, ctx);
  if (taken == 0) {
    owe_ack(Reason::kNoMemory);
    return go_on(Reason::kNoMemory);
  }
  // One of several segments counts as these.
  for (std::uint32_t left = taken; left > 0;) {
    const std::uint32_t piece = std::min(left, seg.piece_size());
    acknowledge_text(piece, ctx);
    left -= piece;
  }
  return go_on(Reason::kDataAccepted);
}

Connection::Step Connection::eighth_check_fin(const Segment& seg, Context& ctx) {
  // A FIN may also have been waiting for the text that this segment brought.
  if (seg.flags().fin() && may_receive_text(state_) && !rcv_.fin_waits) {
    const SeqNum fin = seg.seq() + (seg.length() - 1);
    // A FIN behind the window is not to be believed yet; it will come again.
    if (fin.before(rcv_.nxt) || fin.after(rcv_.edge)) return go_on();
    rcv_.fin = fin;
    rcv_.fin_waits = true;
    if (fin != rcv_.nxt) {
      owe_ack(Reason::kFinOutOfOrder);
      return go_on(Reason::kFinOutOfOrder);
    }
  }
  if (!rcv_.fin_waits || rcv_.fin != rcv_.nxt || !may_receive_text(state_)) return go_on();
  take_fin(ctx);
  return go_on(Reason::kFinReceived);
}

// A bare ACK may itself be an answer of this kind: two ends out of step would answer each other's for ever.
// So the next that is answered must come later than the answer to our answer does, and than half a second, as
// on Linux (tcp_invalid_ratelimit).
bool Connection::may_answer_bare(Context& ctx) {
  Rare& r = rare();
  const Duration apart = std::max(Duration::milliseconds(500), rtt_.smoothed() * 2);
  if (r.answered_bare != Instant{} && ctx.now - r.answered_bare < apart) return false;
  if (!may_challenge(ctx)) return false;
  r.answered_bare = ctx.now;
  return true;
}

bool Connection::may_challenge(Context& ctx) {
  const std::uint32_t limit = ctx.settings.tcp_challenge_ack_limit;
  if (limit == 0) return true;
  Rare& r = rare();
  if (ctx.now - r.challenge_period >= Duration::seconds(1) || r.challenge_period == Instant{}) {
    r.challenge_period = ctx.now;
    // Between half and all of the limit: who counts the answers cannot tell what others caused
    // (CVE-2016-5696).
    const std::uint32_t least = (limit + 1) / 2;
    r.challenges_left =
        static_cast<std::uint16_t>(std::min(least + ctx.entropy.below(limit - least + 1), 0xffffu));
  }
  if (r.challenges_left == 0) return false;
  --r.challenges_left;
  return true;
}

Reason Connection::challenge(Reason why, Counter counter, Context& ctx) {
  if (!may_challenge(ctx)) return Reason::kChallengeLimited;
  ctx.count(counter);
  if (counter != Counter::kTCPChallengeACK) ctx.count(Counter::kTCPChallengeACK);
  owe_ack(Reason::kChallengeAckSent);
  return why;
}

}  // namespace synfin::tcp
