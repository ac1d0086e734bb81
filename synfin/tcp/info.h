// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/tcp/state.h"

namespace synfin::tcp {

/// What the sender makes of its acknowledgements, by Linux's names and numbers.
enum class CaState : std::uint8_t {
  kOpen,      // nothing out of the ordinary
  kDisorder,  // duplicate or selective acknowledgements, and no loss inferred yet
  kCwr,       // the window was reduced because of ECN
  kRecovery,  // a loss was inferred from acknowledgements
  kLoss,      // the retransmission timer ran out
};

/// What has passed over one connection so far: what `Info` counts from the beginning.
struct Traffic {
  std::uint64_t sent = 0;      // octets of text, sent again included; those of a SYN once it is answered
  std::uint64_t resent = 0;    // octets of text sent again
  std::uint64_t acked = 0;     // octets of text
  std::uint64_t received = 0;  // octets of text, in order
  std::uint32_t segments_out = 0, segments_in = 0;
  std::uint32_t text_segments_out = 0, text_segments_in = 0;
  std::uint32_t delivered = 0;     // segments known to have arrived
  std::uint16_t duplicates = 0;    // segments that DSACKs told of
  std::uint16_t out_of_order = 0;  // segments that came beyond a hole
};

/// The retransmission timeouts of one connection; few have any.
struct Timeouts {
  std::uint16_t count = 0;
  std::uint16_t spells = 0;          // of timeouts that no progress separates
  Duration time;                     // that these spells took, up to the acknowledgement that ended each
  Instant began = Instant::never();  // the spell under way

  void one_more(Instant now) {
    if (count < 0xffff) ++count;
    if (!began.is_never()) return;
    if (spells < 0xffff) ++spells;
    began = now;
  }
  void over(Instant now) {
    if (!began.is_never()) time += now - began;
    began = Instant::never();
  }
};

/// TCP_INFO: one connection as Linux's `struct tcp_info` shows it, by the same names and meanings; segments
/// where Linux counts segments. Times are durations; rates are octets a second.
///
/// Not filled, so what they are here: `last_ack_sent` and `fackets`, which are 0 on Linux too.
struct Info {
  // Bits of `options`.
  static constexpr std::uint8_t kTimestamps = 1;
  static constexpr std::uint8_t kSack = 2;
  static constexpr std::uint8_t kWindowScale = 4;
  static constexpr std::uint8_t kEcn = 8;
  static constexpr std::uint8_t kEcnSeen = 16;
  static constexpr std::uint8_t kSynData = 32;  // the peer took the text of our SYN
  /// `snd_ssthresh` before the first loss.
  static constexpr std::uint32_t kInfiniteThreshold = 0x7fff'ffff;

  State state = State::kClosed;
  CaState ca_state = CaState::kOpen;
  std::uint8_t retransmits = 0;  // unanswered, of the retransmission timer
  std::uint8_t probes = 0;       // unanswered, of a closed window or of keep-alive
  std::uint8_t backoff = 0;      // how often the timeout has doubled
  std::uint8_t options = 0;
  std::uint8_t snd_wscale = 0;
  std::uint8_t rcv_wscale = 0;
  bool delivery_rate_app_limited = false;  // the program limited `delivery_rate`, not the path

  Duration rto;
  Duration ato;               // how long an acknowledgement may wait for company
  std::uint32_t snd_mss = 0;  // most text in a segment
  std::uint32_t rcv_mss = 0;  // the largest text that came

  std::uint32_t unacked = 0;  // segments sent and not acknowledged
  std::uint32_t sacked = 0;   // of these, acknowledged selectively
  std::uint32_t lost = 0;     // of these, taken for lost, sent again or not
  std::uint32_t retrans = 0;  // of these, sent again
  std::uint32_t fackets = 0;  // 0, as in today's Linux

  Duration last_data_sent;  // ago
  Duration last_ack_sent;   // Linux leaves it 0, and so does this
  Duration last_data_recv;  // ago
  Duration last_ack_recv;   // ago

  std::uint32_t pmtu = 0;
  std::uint32_t rcv_ssthresh = 0;  // largest window that will be offered
  Duration rtt;
  Duration rttvar;
  std::uint32_t snd_ssthresh = kInfiniteThreshold;  // segments
  std::uint32_t snd_cwnd = 0;                       // segments
  std::uint32_t advmss = 0;
  std::uint32_t reordering = 3;  // segments that may overtake each other

  Duration rcv_rtt;
  std::uint32_t rcv_space = 0;

  std::uint32_t total_retrans = 0;

  std::uint64_t pacing_rate = 0;
  std::uint64_t max_pacing_rate = ~std::uint64_t{0};
  std::uint64_t bytes_acked = 0;     // RFC 4898 tcpEStatsAppHCThruOctetsAcked
  std::uint64_t bytes_received = 0;  // RFC 4898 tcpEStatsAppHCThruOctetsReceived
  std::uint32_t segs_out = 0;        // RFC 4898 tcpEStatsPerfSegsOut
  std::uint32_t segs_in = 0;         // RFC 4898 tcpEStatsPerfSegsIn

  std::uint32_t notsent_bytes = 0;
  Duration min_rtt;                 // least round trip of the last five minutes
  std::uint32_t data_segs_in = 0;   // RFC 4898 tcpEStatsDataSegsIn
  std::uint32_t data_segs_out = 0;  // RFC 4898 tcpEStatsDataSegsOut

  /// Of the last sample that the path limited, or of a later one above it that the program did; good to six
  /// digits.
  std::uint64_t delivery_rate = 0;

  Duration busy_time;       // with text that was not acknowledged; whole milliseconds, as all three
  Duration rwnd_limited;    // of it, with the peer's window as the limit
  Duration sndbuf_limited;  // of it, with the send buffer as the limit

  std::uint32_t delivered = 0;     // segments known to have arrived
  std::uint32_t delivered_ce = 0;  // of these, that the peer said were marked (ECN)

  /// Only with AccECN (RFC 9768). Octets of text by the codepoint they arrived with, here and as the peer
  /// tells.
  struct EcnOctets {
    std::uint32_t ect1 = 0, ect0 = 0, ce = 0;
  };
  std::uint32_t received_ce = 0;  // segments that arrived marked
  EcnOctets delivered_octets, received_octets;

  std::uint64_t bytes_sent = 0;     // RFC 4898 tcpEStatsPerfHCDataOctetsOut
  std::uint64_t bytes_retrans = 0;  // RFC 4898 tcpEStatsPerfOctetsRetrans
  std::uint32_t dsack_dups = 0;     // RFC 4898 tcpEStatsStackDSACKDups
  std::uint32_t reord_seen = 0;     // times that reordering was seen

  std::uint32_t rcv_ooopack = 0;  // segments that came out of order

  std::uint32_t snd_wnd = 0;  // the peer's window, octets
  std::uint32_t rcv_wnd = 0;  // the window offered, octets

  std::uint16_t total_rto = 0;             // retransmission timeouts
  std::uint16_t total_rto_recoveries = 0;  // spells of such timeouts that no progress separates
  Duration total_rto_time;
};

}  // namespace synfin::tcp
