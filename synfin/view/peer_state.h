// SPDX-License-Identifier: Apache-2.0
//
// The other end's state, told from the segments that go by (RFC 9293 §3.3.2, §3.5, §3.6). What the peer sends
// is evidence of what it has done. What we send is evidence only once the peer acknowledges it; an ACK alone
// is never acknowledged, so it is taken to arrive until the peer's behaviour shows otherwise, and the state
// is marked uncertain.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "synfin/trace/state.h"
#include "synfin/wire/seq_num.h"
#include "synfin/wire/tcp.h"

namespace synfin::view {

/// One state that the peer came into.
struct PeerStep {
  trace::State state = trace::State::kClosed;
  /// False where it rests on an ACK or RST of ours having arrived.
  bool certain = true;
  friend bool operator==(const PeerStep&, const PeerStep&) = default;
};

/// Feed it the segments of one connection in the order in which they were sent and received here, leaving out
/// those that may be forged. Each call returns the states that the peer is now known to have come through, in
/// their order; the same state again says that an uncertain one has been confirmed.
class PeerState {
 public:
  struct Segment {
    wire::Flags flags;
    wire::SeqNum seq;
    wire::SeqNum ack;
    std::uint32_t payload = 0;
  };

  std::vector<PeerStep> on_received(const Segment& s);
  std::vector<PeerStep> on_sent(const Segment& s);

  /// Empty until the peer has sent something.
  std::optional<PeerStep> current() const { return current_; }

 private:
  enum class Arrived : std::uint8_t {
    kNo,
    kPresumed,
    kKnown
  };
  using Number = std::optional<wire::SeqNum>;

  std::optional<PeerStep> derive() const;
  PeerStep derive_closing() const;
  void note(std::vector<PeerStep>& steps);
  void take_opening(const Segment& s);
  void take_ack(const Segment& s, std::vector<PeerStep>& steps);
  void take_fin(wire::SeqNum end);
  void offer_ack(wire::SeqNum ack, const Number& carrier_end);

  std::optional<PeerStep> current_;
  Number iss_, irs_;
  Number snd_max_;
  Number our_fin_end_, peer_fin_end_;
  // The first segment of ours that acknowledges the peer's SYN (FIN) and that the peer will acknowledge in
  // turn: where it ends.
  Number syn_ack_carrier_, fin_ack_carrier_;
  Arrived syn_acked_ = Arrived::kNo;  // our acknowledgement of the peer's SYN
  Arrived fin_acked_ = Arrived::kNo;  // our acknowledgement of the peer's FIN
  Arrived reset_ = Arrived::kNo;
  bool peer_has_syn_ = false;
  bool peer_has_fin_ = false;
  bool peer_fin_first_ = false;      // it sent its FIN before it had ours
  bool fin_ack_behind_fin_ = false;  // our ACK of its FIN went alone while our own FIN was out
  bool midway_ = false;              // the opening was not seen
};

}  // namespace synfin::view
