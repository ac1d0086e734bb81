// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/context.h"
#include "synfin/tcp/segment.h"

namespace synfin::tcp {

/// What is remembered of a half-open connection besides its 4-tuple: all that the protocol cannot ask of the
/// peer again.
struct HalfOpenFacts {
  SeqNum iss;
  SeqNum irs;
  std::uint32_t ts_recent = 0;      // TSval of the SYN
  std::uint16_t mss_code : 13 = 0;  // see `peer_mss`
  /// The congestion codepoint of the SYN's packet, where `accurate_ecn` asks for it in the SYN-ACK.
  std::uint16_t syn_ecn : 2 = 0;
  /// The peer asked for AccECN, and it was agreed to (RFC 9768 §3.1).
  std::uint16_t accurate_ecn : 1 = 0;
  static constexpr std::uint8_t kUnscaled = 15;
  std::uint8_t send_scale : 4 = 0;
  std::uint8_t receive_scale : 4 = kUnscaled;  // ours; kUnscaled: the peer did not offer scaling
  bool sack : 1 = false;
  bool timestamps : 1 = false;
  /// What is sent may be marked: ECN was agreed to, and with AccECN nothing since forbids it.
  bool ecn : 1 = false;
  /// The third segment has arrived, but the accept queue was full or the listener waits for data.
  bool acknowledged : 1 = false;
  std::uint8_t retransmissions : 4 = 0;

  /// The peer's MSS option; above 4096 rounded down to a multiple of 16.
  std::uint16_t peer_mss() const {
    return static_cast<std::uint16_t>(mss_code < kExactMss ? mss_code
                                                           : kExactMss + (mss_code - kExactMss) * 16u);
  }
  void set_peer_mss(std::uint16_t mss) {
    mss_code = (mss < kExactMss ? mss : kExactMss + (mss - kExactMss) / 16u) & 0x1fffu;
  }
  /// What the options of a SYN ask for, as far as it is granted. `mss`: where it names none; `own`: the scale
  /// to be granted.
  void take_options(const wire::TcpOptions& o, std::uint16_t mss, WindowScale own, const Settings& settings) {
    set_peer_mss(o.has(wire::TcpOptions::kMss) ? o.mss : mss);
    if (o.has(wire::TcpOptions::kWindowScale) && settings.tcp_window_scaling) {
      send_scale = WindowScale{o.window_scale}.shift() & 0xf;
      receive_scale = own.shift() & 0xf;
    }
    sack = o.has(wire::TcpOptions::kSackPermitted) && settings.tcp_sack;
    timestamps = o.has(wire::TcpOptions::kTimestamps) && settings.tcp_timestamps;
    ts_recent = timestamps ? o.timestamps.value : 0;
  }
  bool scaled() const { return receive_scale != kUnscaled; }
  WindowScale peer_scale() const { return WindowScale{send_scale}; }
  WindowScale own_scale() const { return scaled() ? WindowScale{receive_scale} : WindowScale::none(); }

 private:
  static constexpr std::uint32_t kExactMss = 4096;
};
static_assert(sizeof(HalfOpenFacts) == 16);

/// SYN-RECEIVED by way of LISTEN: a SYN has been answered, and that is all there is. No buffers, no window,
/// nothing a forger could make expensive. Becomes a `Connection` when the third segment arrives.
struct HalfOpen : HalfOpenFacts {
  wire::FourTuple tuple;
};

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
/// What the same SYN, come again, changes (RFC 9768 §3.1.5): with AccECN the SYN-ACK tells of the latest, and
/// one that no longer asks means that the peer may have given up on ECN. False: it now asks for ECN of
/// another kind, so neither end could know what was agreed, and the connection is to be reset.
[[nodiscard]] bool hear_syn_again(HalfOpen& half, const Segment& syn, const Settings& settings);
/// The third segment has arrived and cannot open the connection yet; what it alone says is remembered.
void hear_third(HalfOpen& half, const Segment& third);
/// Queues the SYN-ACK; the same each time, but for the clock in its timestamp and what it says of ECN: after
/// two without an answer it no longer agrees (RFC 9768 §3.2.3.2.2). The reply may still be changed
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
  kResetRemove,  // answer with a reset, and that was it
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
