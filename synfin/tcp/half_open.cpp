// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 9293 §3.10.7.2 (LISTEN) and §3.10.7.4 for SYN-RECEIVED. Quotations end with two spaces and
// the section.
#include "synfin/tcp/half_open.h"

#include <algorithm>

#include "synfin/tcp/accurate_ecn.h"

namespace synfin::tcp {

using trace::Reason;

ListenDisposition judge_in_listen(const Segment& seg) {
  const Flags f = seg.flags();
  // "First, check for a RST: An incoming RST segment could not be valid … should be ignored."  (§3.10.7.2)
  if (f.rst()) return {ListenVerdict::kDrop, Reason::kListenReset};
  // "Second, check for an ACK: Any acknowledgment is bad if it arrives on a connection still in the LISTEN
  // state."  (§3.10.7.2)
  if (f.ack()) return {ListenVerdict::kReset, Reason::kListenAck};
  if (!f.syn()) return {ListenVerdict::kDrop, Reason::kListenNoSyn};
  if (f.fin()) return {ListenVerdict::kDrop, Reason::kSynFin};
  return {ListenVerdict::kOpen, Reason::kSynAccepted};
}

void open_half(HalfOpen& half, const wire::FourTuple& tuple, const Segment& syn, const Offer& offer,
               const Context& ctx) {
  half.tuple = tuple;
  half.irs = syn.seq();
  half.take_options(syn.header.options, default_mss(tuple.local.address.family()),
                    scale_for(offer.largest_buffer), ctx.settings);
  const EcnMode mode = answer_to_syn(syn.header, ctx.settings);
  half.ecn = mode != EcnMode::kNone;
  half.accurate_ecn = mode == EcnMode::kAccurate;
  half.syn_ecn = syn.ecn & wire::ecn::kMask;
}

bool hear_syn_again(HalfOpen& half, const Segment& syn, const Settings& settings) {
  const EcnMode agreed = half.accurate_ecn ? EcnMode::kAccurate
                         : half.ecn        ? EcnMode::kClassic
                                           : EcnMode::kNone;
  const SynAgain again = judge_syn_again(agreed, answer_to_syn(syn.header, settings));
  if (again == SynAgain::kMixed) return false;
  if (again == SynAgain::kWithoutEcn) half.ecn = false;
  half.syn_ecn = syn.ecn & wire::ecn::kMask;
  return true;
}

void hear_third(HalfOpen& half, const Segment& third) {
  if (half.accurate_ecn && is_pure_ack(third) && !arrived_unchanged(third.header.ace())) half.ecn = false;
}

Reply& send_syn_ack(const HalfOpen& half, const Offer& offer, std::uint32_t timestamp_offset, Context& ctx,
                    Reason why) {
  Reply& r = ctx.replies.emplace_back();
  r.tuple = half.tuple;
  r.state = trace::State::kSynReceived;
  r.reason = why;
  r.header.seq = half.iss;
  r.header.ack = half.irs + 1;
  r.header.flags = Flags{Flags::kSyn | Flags::kAck};
  if (half.accurate_ecn) {
    if (half.retransmissions < kSynAcksWithEcn) r.header.set_ace(handshake_code(half.syn_ecn));
  } else if (half.ecn) {
    r.header.flags = r.header.flags.with(Flags::kEce);
  }
  // A SYN's window is never scaled (RFC 7323 §2.2).
  r.header.window = Window{std::min(offer.receive_buffer, 0xffffu)} >> WindowScale::none();
  add_syn_options(r.header.options, offer, half.scaled(), half.sack);
  if (half.timestamps) stamp(r.header.options, ctx.now, timestamp_offset, half.ts_recent);
  if (half.scaled()) r.header.options.window_scale = half.receive_scale;
  // Not again: it may be what kept the first from arriving (RFC 9768 §3.2.3.2.2).
  const bool first = why == Reason::kSynAckSent || why == Reason::kSynCookieSent;
  if (half.accurate_ecn && first && ctx.settings.tcp_ecn_option > 0) add_first_octets(r.header.options);
  return r;
}

Reply refusal(const HalfOpen& half, Reason why) {
  Reply r;
  r.tuple = half.tuple;
  r.state = trace::State::kListen;
  r.reason = why;
  r.header.ack = half.irs + 1;
  r.header.flags = Flags{Flags::kRst | Flags::kAck};
  return r;
}

Duration syn_ack_timeout(const HalfOpen& half, const Settings& settings) {
  return std::min(Duration::seconds(1) * (std::int64_t{1} << half.retransmissions), settings.tcp_rto_max);
}

Reply half_open_ack(const HalfOpen& half, const Context& ctx, Reason why) {
  Reply r;
  r.tuple = half.tuple;
  r.state = trace::State::kSynReceived;
  r.reason = why;
  r.header.seq = half.iss + 1;
  r.header.ack = half.irs + 1;
  r.header.flags = Flags::kAck;
  r.header.window = Window{std::min(ctx.settings.tcp_rmem.initial, 0xffffu)} >> half.own_scale();
  r.scale = half.own_scale().shift();
  if (half.accurate_ecn) {
    r.header.set_ace(AccurateEcn::kFirstAce);
    r.counts_marks = true;
  }
  if (half.timestamps) stamp(r.header.options, ctx.now, ctx.timestamp_offset(half.tuple), half.ts_recent);
  return r;
}

HalfOpenDisposition judge_half_open(const HalfOpen& half, const Segment& seg, const Context& ctx) {
  const Flags f = seg.flags();
  const SeqNum rcv_nxt = half.irs + 1;
  const std::uint32_t rcv_wnd = std::min(ctx.settings.tcp_rmem.initial, 0xffffu);

  // The SYN that made this record, again: not acceptable by its number, and the RFC's answer, an ACK, would
  // not help a peer that never saw the SYN-ACK; so it gets that, as from every deployed stack.
  if (f.syn() && !f.ack() && !f.rst() && seg.seq() == half.irs) {
    if (HalfOpen copy = half; !hear_syn_again(copy, seg, ctx.settings))
      return {HalfOpenVerdict::kResetRemove, Reason::kEcnModesMixed};
    return {HalfOpenVerdict::kSynAckAgain, Reason::kDuplicateSyn};
  }

  // First: check sequence number. PAWS (RFC 7323 §5.3) comes before it and spares resets. A third segment
  // without the negotiated timestamp passes: peers exist that do it, and nothing else can complete the
  // handshake.
  if (half.timestamps && seg.has_timestamps() && !f.rst() &&
      static_cast<std::int32_t>(seg.header.options.timestamps.value - half.ts_recent) < 0) {
    return {HalfOpenVerdict::kAcknowledge, Reason::kPawsRejected};
  }
  const std::uint32_t length = seg.length();
  const bool acceptable =
      seg.seq().in(rcv_nxt, rcv_wnd) || (length > 0 && (seg.seq() + (length - 1)).in(rcv_nxt, rcv_wnd));
  if (!acceptable) {
    if (f.rst()) return {HalfOpenVerdict::kDrop, Reason::kOutOfWindowReset};
    return {HalfOpenVerdict::kAcknowledge, Reason::kOutOfWindow};
  }

  // Second: check RST (RFC 5961 §3: only the exact number is believed).
  if (f.rst()) {
    if (seg.seq() == rcv_nxt) return {HalfOpenVerdict::kRemove, Reason::kHalfOpenReset};
    return {HalfOpenVerdict::kAcknowledge, Reason::kResetChallenged};
  }

  // Fourth: check SYN. Any other SYN in the window is challenged (RFC 5961 §4.2).
  if (f.syn()) return {HalfOpenVerdict::kAcknowledge, Reason::kSynChallenged};

  // Fifth: check ACK.
  if (!f.ack()) return {HalfOpenVerdict::kDrop, Reason::kHalfOpenNoAck};
  // "If the segment acknowledgment is not acceptable, form a reset segment <SEQ=SEG.ACK><CTL=RST> and send
  // it."  (§3.10.7.4)
  if (seg.ack() != half.iss + 1) return {HalfOpenVerdict::kReset, Reason::kSynReceivedBadAck};
  return {HalfOpenVerdict::kEstablish, Reason::kHandshakeComplete};
}

}  // namespace synfin::tcp
