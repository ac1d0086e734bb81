// SPDX-License-Identifier: Apache-2.0
//
// What is sent again, and the probe of the tail. Read first: RFC 6675 §5 NextSeg, RFC 8985 §7.3, RFC 6298
// §5.4. Nothing is copied: the text is shared out of the queue it waits in.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

bool Connection::resend(wire::Frame& frame, Sent& out, Context& ctx) {
  if (resend_first_) {
    resend_first_ = false;
    if (snd_.una == snd_.nxt) return false;
    if (flight_ == nullptr) return resend_fin(out, ctx);
    notice_reneging(ctx);
    const Reason why = persist_backoff_ > 0               ? Reason::kPersistProbe
                       : flight_->state == CaState::kLoss ? Reason::kRetransmitTimeout
                                                          : Reason::kTimeoutRecovery;
    return resend_segment(0, why, frame, out, ctx);
  }
  if (flight_ == nullptr) return false;
  Flight& f = *flight_;
  if (f.probe_due && send_tail_probe(frame, out, ctx)) return true;
  if (f.sent.lost() == 0 || f.frto == Flight::Frto::kSecond) return false;
  const auto place = f.sent.next_lost();
  if (!place) return false;
  const SentSegment& s = f.sent[*place];
  const std::uint32_t in_network = pipe();
  if (in_network > 0 && in_network + s.length > window()) return false;
  // The peer may have taken its window back; the first segment then serves as the probe (RFC 9293 §3.8.6,
  // MUST-34).
  if (*place > 0 && s.end().after(snd_.una + snd_.wnd)) return false;
  if (held_back(ctx)) return false;
  Reason why = Reason::kTimeoutRecovery;
  if (f.state == CaState::kRecovery) {
    why = *place > 0 || f.first_resent != Instant{} ? (sack_ ? Reason::kSackRetransmit : Reason::kPartialAck)
                                                    : Reason::kFastRetransmit;
    ctx.count(Counter::kTCPFastRetrans);
  } else {
    ctx.count(Counter::kTCPSlowStartRetrans);
  }
  return resend_segment(*place, why, frame, out, ctx);
}

// Whether what follows a segment that is sent again goes with it, if there is room.
bool Connection::goes_along(const SentSegment& s) const {
  if (s.sacked) return false;
  return (s.lost && !s.retransmitted) || s.start == stream_end();  // a FIN costs nothing
}

bool Connection::resend_segment(std::uint32_t place, Reason why, wire::Frame& frame, Sent& out,
                                Context& ctx) {
  Flight& f = *flight_;
  const SeqNum start = f.sent[place].start;
  // Where the peer has taken its window back, what lies within goes again (RFC 9293 §3.8.6, SHLD-16), and one
  // octet at least, to find out when it opens. Behind the first segment nothing does that is not within.
  const std::int32_t window_left = snd_.una + snd_.wnd - start;
  if (place > 0 && f.sent[place].end() - start > window_left) return false;
  const std::uint32_t room = window_left > 0 ? static_cast<std::uint32_t>(window_left) : 1;
  if (place == 0 && f.sent[0].length > room && !f.sent.split_first(room)) return false;
  const std::uint32_t limit = std::min(text_limit(), room);
  const auto text_up_to = [&](SeqNum end) {
    const SeqNum text_end = earlier(end, stream_end());
    return text_end.after(start) ? static_cast<std::uint32_t>(text_end - start) : 0;
  };
  std::uint32_t last = place;
  while (last + 1 < f.sent.size() && goes_along(f.sent[last + 1]) &&
         text_up_to(f.sent[last + 1].end()) <= limit)
    ++last;
  const SeqNum end = f.sent[last].end();
  const std::uint32_t text = std::min(text_up_to(end), limit);
  const std::uint32_t shared =
      text == 0 ? 0 : snd_.queue.share(static_cast<std::uint32_t>(start - snd_.base), text, frame);
  const bool fin = end.after(stream_end()) && start + shared == stream_end();
  if (shared == 0 && !fin) return false;
  std::uint8_t flags = f.sent[last].push || (shared > 0 && start + shared == stream_end()) ? Flags::kPsh : 0;
  if (fin) flags |= Flags::kFin;
  fill_header(out, start, Flags{flags}, shared, ctx);
  acks_owed_ = 0;
  out.text_size = shared;
  out.retransmission = true;
  out.reason = why;
  const SendMark mark = f.rate.mark(pipe() + static_cast<std::uint32_t>(end - start));
  for (std::uint32_t i = place; i <= last; ++i) f.sent.mark_retransmitted(i, ctx.now, mark);
  if (f.state == CaState::kRecovery) f.prr.sent(static_cast<std::uint32_t>(end - start));
  if (shared > 0 && ends_resent_burst()) out.header.flags = out.header.flags.with(Flags::kPsh);
  if (f.first_resent == Instant{}) f.first_resent = ctx.now;
  if (f.undo) f.undo_left = std::max(f.undo_left, 0) + 1;
  ++total_retransmissions_;
  traffic_.sent += shared;
  traffic_.resent += shared;
  if (shared > 0) ++traffic_.text_segments_out;
  pace(shared, pacing(ctx.settings), ctx);
  last_sent_ = ctx.now;
  // The timer is for the first segment, and this is another chance for it: a timeout now would only cut
  // recovery short. Linux begins anew here too.
  if (place == 0 && snd_.wnd > 0) {
    f.timeout_at = ctx.now + rtt_.timeout();
    if (f.wait == Flight::Wait::kTimeout) timers_.set(Timer::kRetransmit, f.timeout_at);
  }
  return true;
}

// As for new text: several leave at once, and nothing lost follows for a while. Not after a timeout, when the
// network is better served by acknowledgements that wait for company; Linux draws the line there too.
bool Connection::ends_resent_burst() {
  if (flight_->state != CaState::kRecovery) return false;
  if (burst_ < 255) ++burst_;
  const auto next = flight_->sent.next_lost();
  if (next && pipe() + flight_->sent[*next].length <= window()) return false;
  return std::exchange(burst_, std::uint8_t{0}) > 1;
}

// A FIN that has nothing else in flight beside it is the one thing that no flight keeps.
bool Connection::resend_fin(Sent& out, Context& ctx) {
  if (!fin_sent()) return false;
  fill_header(out, stream_end(), Flags{Flags::kFin}, 0, ctx);
  acks_owed_ = 0;
  out.retransmission = true;
  out.reason = persist_backoff_ > 0 ? Reason::kPersistProbe : Reason::kRetransmitTimeout;
  ++total_retransmissions_;
  last_sent_ = ctx.now;
  return true;
}

// "If a previously unsent segment exists AND the receive window allows new data to be sent: transmit that new
// segment … Else: retransmit the last segment"  (RFC 8985 §7.3)
bool Connection::send_tail_probe(wire::Frame& frame, Sent& out, Context& ctx) {
  Flight& f = *flight_;
  f.probe_due = false;
  const bool fresh = send_text(Limit::kPeerOnly, frame, out, ctx);
  if (!fresh) {
    frame.clear();
    if (!resend_segment(f.sent.size() - 1, Reason::kTailLossProbe, frame, out, ctx)) return false;
  }
  out.reason = Reason::kTailLossProbe;
  tail_probe_ = true;
  tail_probe_resent_ = !fresh;
  tail_probe_end_ = snd_.nxt;
  ctx.count(Counter::kTCPLossProbes);
  arm_retransmit(ctx);
  return true;
}

}  // namespace synfin::tcp
