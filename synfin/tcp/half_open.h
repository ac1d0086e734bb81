// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/context.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/timer_node.h"

namespace synfin::tcp {

/// SYN-RECEIVED by way of LISTEN: a SYN has been answered, and that is all there is. No buffers, no window,
/// nothing a forger could make expensive. Becomes a `Connection` when the third segment arrives.
struct HalfOpen {
  wire::FourTuple tuple;
  TimerNode timer;
  SeqNum iss;
  SeqNum irs;
  std::uint32_t ts_recent = 0;  // TSval of the SYN
  std::uint16_t peer_mss = 0;
  static constexpr std::uint8_t kUnscaled = 15;
  std::uint8_t send_scale : 4 = 0;
  std::uint8_t receive_scale : 4 = kUnscaled;  // ours; kUnscaled: the peer did not offer scaling
  bool sack : 1 = false;
  bool timestamps : 1 = false;
  bool ecn : 1 = false;  // the peer asked for ECN, and it was agreed to
  /// The third segment has arrived, but the accept queue was full or the listener waits for data.
  bool acknowledged : 1 = false;
  std::uint8_t retransmissions : 4 = 0;

  bool scaled() const { return receive_scale != kUnscaled; }
  WindowScale peer_scale() const { return WindowScale{send_scale}; }
  WindowScale own_scale() const { return scaled() ? WindowScale{receive_scale} : WindowScale::none(); }
};
static_assert(sizeof(HalfOpen) == 64, "a half-open connection is one cache line, IPv6 included");

/// What LISTEN does with a segment that is acceptable to none of its checks (RFC 9293 §3.10.7.2).
enum class ListenVerdict : std::uint8_t {
  kOpen,
  kReset,
  kDrop
};
struct ListenDisposition {
  ListenVerdict verdict;
  trace::Reason reason;
};
ListenDisposition judge_in_listen(const Segment& seg);

/// Fills a record from an acceptable SYN; our own initial number is left to the caller.
void open_half(HalfOpen& half, const wire::FourTuple& tuple, const Segment& syn, const Offer& offer,
               const Context& ctx);
/// Queues the SYN-ACK; the same each time, but for the clock in its timestamp. The reply may still be changed
/// where it lies.
Reply& send_syn_ack(const HalfOpen& half, const Offer& offer, std::uint32_t timestamp_offset, Context& ctx,
                    trace::Reason why);
/// The reset for a SYN that was taken and not answered, as if nobody listened (RFC 9293 §3.5.2 group 1).
Reply refusal(const HalfOpen& half, trace::Reason why);
/// How long to wait for the third segment after SYN-ACK number `retransmissions` (RFC 6298 §5.5).
Duration syn_ack_timeout(const HalfOpen& half, const Settings& settings);

/// What a half-open connection does with a segment (RFC 9293 §3.10.7.4, SYN-RECEIVED).
enum class HalfOpenVerdict : std::uint8_t {
  kEstablish,    // the third segment; text and FIN on it count
  kSynAckAgain,  // a duplicate SYN
  kRemove,       // reset by the peer
  kReset,        // answer with a reset, stay
  kAcknowledge,  // answer with an ACK, stay
  kDrop,
};
struct HalfOpenDisposition {
  HalfOpenVerdict verdict;
  trace::Reason reason;
};
HalfOpenDisposition judge_half_open(const HalfOpen& half, const Segment& seg, const Context& ctx);
/// The ACK for a segment that is not acceptable: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
Reply half_open_ack(const HalfOpen& half, const Context& ctx, trace::Reason why);

}  // namespace synfin::tcp
