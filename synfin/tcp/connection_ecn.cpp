// SPDX-License-Identifier: Apache-2.0
//
// Congestion marks: agreeing on how they are told of, telling of them, and what is done about them. What
// AccECN counts lies in accurate_ecn.cpp. Read first: RFC 3168 §6.1, RFC 9768 §3.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;
using wire::TcpOptions;

void Connection::agree_on_accurate_ecn(bool answers, std::uint8_t syn_ecn, const Settings& settings) {
  accurate_ = true;
  rare().accurate_ecn = std::make_unique<AccurateEcn>(answers, syn_ecn, settings);
}

// Our SYN has been answered: `ecn_` and `echo_marks_` say what it asked for.
void Connection::agree_as_asked(const Segment& syn_ack, Context& ctx) {
  const EcnMode asked = echo_marks_ ? EcnMode::kAccurate : ecn_ ? EcnMode::kClassic : EcnMode::kNone;
  const EcnMode mode = agreed_by(syn_ack.header, asked);
  ecn_ = mode != EcnMode::kNone;
  echo_marks_ = false;
  if (mode == EcnMode::kNone) return;
  ecn_seen_ = syn_ack.ecn != wire::ecn::kNotCapable;
  if (mode != EcnMode::kAccurate) return;
  agree_on_accurate_ecn(false, wire::ecn::kNotCapable, ctx.settings);
  marks().on_syn_ack(syn_ack);
  const std::uint8_t code = syn_ack.header.ace();
  if (!arrived_unchanged(code)) ecn_ = false;
  // "the TCP Client still triggers the congestion control actions"  (RFC 9768 §3.2.2.2)
  if (code == kMarkedCode) begin_congestion_control(true, ctx);
}

bool Connection::hear_syn_again(const Segment& syn, Context& ctx) {
  const EcnMode agreed = accurate_ ? EcnMode::kAccurate : ecn_ ? EcnMode::kClassic : EcnMode::kNone;
  switch (judge_syn_again(agreed, answer_to_syn(syn.header, ctx.settings))) {
    case SynAgain::kSame:
      break;
    case SynAgain::kWithoutEcn:
      ecn_ = false;
      break;
    case SynAgain::kMixed:
      abort(Error::kReset, Reason::kEcnModesMixed, ctx);
      return false;
  }
  if (accurate_) marks().on_syn_again(syn.ecn);
  return true;
}

// The SYN-ACK that opened this connection, again: it gets the same answer, about its own codepoint.
void Connection::hear_syn_ack_again(const Segment& seg) {
  if (!seg.flags().ack() || seg.seq() != rcv_.irs) return;
  if (agreed_by(seg.header, EcnMode::kAccurate) == EcnMode::kAccurate) marks().on_syn_ack_again(seg.ecn);
}

// Of every acceptable segment. True: an acknowledgement is to tell of it at once.
bool Connection::hear_codepoint(const Segment& seg) {
  if (seg.ecn != wire::ecn::kNotCapable) ecn_seen_ = true;
  if (accurate_)
    return marks().on_segment(seg.ecn, seg.text_size, rcv_.unacknowledged > 0 || seg.text_size > 0,
                              seg.pieces());
  if (seg.text_size == 0 || !takes_text()) return false;
  // "the TCP receiver … sets the ECN-Echo … until it receives a CWR packet"  (RFC 3168 §6.1.3)
  if (seg.flags().cwr()) echo_marks_ = false;
  if (!seg.congestion_marked()) return false;
  echo_marks_ = true;
  return true;
}

Connection::BeforeAck Connection::before_ack(const Segment& seg) const {
  BeforeAck before;
  before.echoes = ecn_ && !accurate_ && seg.flags().ece() && !seg.flags().syn();
  if (!before.echoes && !accurate_) return before;
  before.answered = flight_ == nullptr || snd_.una.before(flight_->ecn_high);
  before.in_flight = static_cast<std::uint32_t>(snd_.nxt - snd_.una);
  before.later = timestamps_ && seg.has_timestamps() &&
                 static_cast<std::int32_t>(seg.header.options.timestamps.value - rcv_.ts_recent) > 0;
  return before;
}

void Connection::hear_marks(const Segment& seg, const BeforeAck& before, Delivery& d, Context& ctx) {
  if (before.echoes) {
    d.marked = d.segments;
    if (reduce_for_marks(before, ctx)) cwr_to_send_ = true;
  } else {
    const AccurateEcn::Heard heard = marks().on_ack(seg, {.segments = d.segments,
                                                          .octets = d.octets,
                                                          .later = before.later || d.advanced,
                                                          .mss = text_limit(),
                                                          .una = snd_.una,
                                                          .nxt = snd_.nxt});
    d.marked = heard.marked;
    if (heard.of_syn_ack && heard.marked > 0 && flight_ == nullptr) {
      begin_congestion_control(true, ctx);
    } else if (heard.marked > 0 && reduce_for_marks(before, ctx)) {
      d.fate = Reason::kMarksHeard;
    }
    if (heard.mangled && ecn_) {
      ecn_ = false;
      d.fate = Reason::kEcnMangled;
    }
  }
  if (d.marked == 0) return;
  ctx.counters[Counter::kTCPDeliveredCE] += d.marked;
  rare().delivered_ce += d.marked;
  rare().unsaid_marks += d.marked;
}

// Congestion without loss: the window is reduced once for what was in flight, and nothing is sent again. With
// RFC 3168 the peer is told by CWR (§6.1.2).
bool Connection::reduce_for_marks(const BeforeAck& before, const Context& ctx) {
  if (flight_ == nullptr || before.answered || in_loss_recovery()) return false;
  congestion_.on_loss(loss_event(CongestionSign::kMarked, before.in_flight, ctx));
  flight_->ecn_high = snd_.nxt;
  return true;
}

// In our SYN-ACK. After two without an answer it agrees to nothing, as a path may swallow those that do;
// AccECN itself goes on, only that we send nothing that may be marked (RFC 9768 §3.2.3.2.2, §3.1.5).
void Connection::add_ecn_answer(Sent& out, bool again) {
  if (!accurate_) {
    if (ecn_) out.header.flags = out.header.flags.with(Flags::kEce);
    return;
  }
  if (retries_ >= kSynAcksWithEcn) {
    ecn_ = false;
    return;
  }
  out.header.set_ace(handshake_code(marks().syn_ecn()));
  if (!again && marks().sends_octets()) add_first_octets(out.header.options);
}

// Behind all other options. What is sent again carries no counters of octets: they may be what kept it from
// arriving.
void Connection::add_marks(Sent& out, SeqNum seq, std::uint32_t text, const Context& ctx) {
  const bool bare = text == 0 && !out.header.flags.fin();
  out.counts_marks = true;
  out.header.set_ace(marks().ace_of(bare && !out.header.options.has(TcpOptions::kSack)));
  if (!bare && seq.before(snd_.max)) return;
  constexpr std::uint32_t kMostOptions = wire::TcpHeader::kMaxSize - wire::TcpHeader::kMinSize;
  const auto used = static_cast<std::uint32_t>(wire::emitted_size(out.header) - wire::TcpHeader::kMinSize);
  const std::uint32_t taken = text + used - (timestamps_ ? 12 : 0);
  const std::uint32_t beside_text = text_limit() - std::min(taken, text_limit());
  marks().add_octets(out.header.options,
                     {.text = text > 0,
                      .seq = seq,
                      .room = text > 0 ? std::min(kMostOptions - used, beside_text) : kMostOptions - used,
                      .now = ctx.now,
                      .round_trip = rtt_.smoothed()});
}

}  // namespace synfin::tcp
