// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/peer_state.h"

#include <utility>

namespace synfin::view {
namespace {

using trace::State;

wire::SeqNum end_of(const PeerState::Segment& s) {
  return s.seq + s.payload + (s.flags.syn() ? 1U : 0U) + (s.flags.fin() ? 1U : 0U);
}

// A mere confirmation is no news when more follows at once.
std::vector<PeerStep> without_passing_confirmations(std::optional<PeerStep> before,
                                                    std::vector<PeerStep> steps) {
  std::vector<PeerStep> out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const bool confirmation = before && before->state == steps[i].state;
    if (!confirmation || i + 1 == steps.size()) out.push_back(steps[i]);
    before = steps[i];
  }
  return out;
}

}  // namespace

// RFC 9293 §3.6: who closed first decides the way through the closing states.
PeerStep PeerState::derive_closing() const {
  const bool acked = fin_acked_ != Arrived::kNo;
  const bool certain = fin_acked_ != Arrived::kPresumed;
  if (!peer_fin_end_) return {peer_has_fin_ ? State::kCloseWait : State::kEstablished, true};
  if (!peer_fin_first_) return {acked ? State::kClosed : State::kLastAck, certain};
  if (!peer_has_fin_) return {acked ? State::kFinWait2 : State::kFinWait1, certain};
  return {acked ? State::kTimeWait : State::kClosing, certain};
}

std::optional<PeerStep> PeerState::derive() const {
  if (reset_ != Arrived::kNo) return PeerStep{State::kClosed, reset_ == Arrived::kKnown};
  if (!irs_) return std::nullopt;
  if (!peer_has_syn_) return PeerStep{State::kSynSent, true};
  if (syn_acked_ == Arrived::kNo) return PeerStep{State::kSynReceived, true};
  PeerStep step = derive_closing();
  step.certain = step.certain && syn_acked_ == Arrived::kKnown && !midway_;
  return step;
}

void PeerState::note(std::vector<PeerStep>& steps) {
  const std::optional<PeerStep> next = derive();
  if (!next || next == current_) return;
  steps.push_back(*next);
  current_ = next;
}

std::vector<PeerStep> PeerState::on_received(const Segment& s) {
  const std::optional<PeerStep> before = current_;
  std::vector<PeerStep> steps;
  if (s.flags.rst()) {
    reset_ = Arrived::kKnown;
    note(steps);
    return steps;
  }
  take_opening(s);
  if (s.flags.ack()) take_ack(s, steps);
  note(steps);
  if (s.flags.fin()) {
    take_fin(end_of(s));
    note(steps);
  }
  return without_passing_confirmations(before, std::move(steps));
}

void PeerState::take_opening(const Segment& s) {
  if (s.flags.syn()) {
    irs_ = s.seq;
  } else if (!irs_) {
    irs_ = s.seq - 1;
    midway_ = true;
    peer_has_syn_ = true;
    syn_acked_ = Arrived::kKnown;
  }
}

void PeerState::take_ack(const Segment& s, std::vector<PeerStep>& steps) {
  if (!iss_ || s.ack.after(*iss_)) {
    if (s.flags.syn() && !peer_has_syn_) {
      // Whatever we have acknowledged by now, it sent its SYN-ACK from SYN-RECEIVED.
      const Arrived acked = std::exchange(syn_acked_, Arrived::kNo);
      peer_has_syn_ = true;
      note(steps);
      syn_acked_ = acked;
    }
    peer_has_syn_ = true;
    // Nothing but SYN-ACK leaves SYN-RECEIVED; whoever sends without SYN has our acknowledgement of its own.
    if (!s.flags.syn()) syn_acked_ = Arrived::kKnown;
  }
  if (syn_ack_carrier_ && s.ack.at_or_after(*syn_ack_carrier_)) syn_acked_ = Arrived::kKnown;
  if (fin_ack_carrier_ && s.ack.at_or_after(*fin_ack_carrier_)) {
    fin_acked_ = Arrived::kKnown;
    // Our FIN itself may be the carrier: then both arrive in one step.
    if (fin_ack_carrier_ != our_fin_end_) note(steps);
  }
  if (our_fin_end_ && !peer_has_fin_ && s.ack.at_or_after(*our_fin_end_)) {
    peer_has_fin_ = true;
    note(steps);
    if (fin_ack_behind_fin_ && fin_acked_ == Arrived::kNo) fin_acked_ = Arrived::kPresumed;
  }
}

void PeerState::take_fin(wire::SeqNum end) {
  if (!peer_fin_end_) {
    peer_fin_end_ = end;
    peer_fin_first_ = !peer_has_fin_;
  } else if (*peer_fin_end_ == end && fin_acked_ == Arrived::kPresumed) {
    fin_acked_ = Arrived::kNo;  // it repeats its FIN, so our ACK has not reached it
  }
}

std::vector<PeerStep> PeerState::on_sent(const Segment& s) {
  std::vector<PeerStep> steps;
  const wire::SeqNum end = end_of(s);
  if (s.flags.rst()) {
    if (reset_ == Arrived::kNo) reset_ = Arrived::kPresumed;
    note(steps);
    return steps;
  }
  if (!iss_) iss_ = s.flags.syn() ? s.seq : s.seq - 1;
  if (s.flags.fin()) our_fin_end_ = end;
  // Only what goes out for the first time: the acknowledgement of a repetition may be for the first sending.
  const bool confirmable = end != s.seq && (!snd_max_ || end.after(*snd_max_));
  if (confirmable) snd_max_ = end;
  if (s.flags.ack()) offer_ack(s.ack, confirmable ? Number{end} : Number{});
  note(steps);
  return steps;
}

void PeerState::offer_ack(wire::SeqNum ack, const Number& carrier_end) {
  if (irs_ && ack.after(*irs_) && syn_acked_ != Arrived::kKnown) {
    if (!carrier_end) {
      syn_acked_ = Arrived::kPresumed;
    } else if (!syn_ack_carrier_) {
      syn_ack_carrier_ = carrier_end;
    }
  }
  if (!peer_fin_end_ || !ack.at_or_after(*peer_fin_end_) || fin_acked_ == Arrived::kKnown) return;
  if (carrier_end) {
    if (!fin_ack_carrier_) fin_ack_carrier_ = carrier_end;
  } else if (our_fin_end_ && !peer_has_fin_) {
    // The FINs crossed. Ours comes first there, and the peer will say so: wait for that.
    fin_ack_behind_fin_ = true;
  } else {
    fin_acked_ = Arrived::kPresumed;
  }
}

}  // namespace synfin::view
