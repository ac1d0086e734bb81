// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/tcp/congestion/control.h"

namespace synfin::tcp {

/// Whether the program will send more at once, so that less than a full segment may wait for it: until then,
/// or until it has waited for a retransmission timeout [MSG_MORE].
enum class More : bool {
  kNo,
  kYes
};

/// What a program may choose for one connection, with the socket option of Linux that it is in brackets. What
/// is zero or left out follows the settings. A plain value.
struct Options {
  /// Nagle's algorithm off: small segments leave at once (RFC 9293 §3.7.4, MUST-17) [TCP_NODELAY].
  bool no_delay = false;
  /// Only full segments leave, until it is taken back or text has waited for a retransmission timeout
  /// [TCP_CORK].
  bool cork = false;
  /// Acknowledgements do not wait for company [TCP_QUICKACK, but it stays until it is taken back].
  bool quick_ack = false;
  /// The program is told when R1 is reached or ICMP reports an error that may pass (kTrouble; RFC 9293
  /// §3.8.3, §3.9.1.8, SHLD-25).
  bool report_trouble = true;
  /// Asks an idle peer for a sign of life (§3.8.4; off by default, MUST-25) [SO_KEEPALIVE].
  bool keepalive = false;
  /// Idle time before the first keep-alive probe (MUST-27) [TCP_KEEPIDLE].
  Duration keepalive_time{};
  /// Time between probes [TCP_KEEPINTVL].
  Duration keepalive_interval{};
  /// Unanswered probes after which the connection is given up, 255 at most [TCP_KEEPCNT].
  std::uint32_t keepalive_probes = 0;
  /// How long data, a FIN or a SYN may stay unacknowledged, or the peer's window closed, before the
  /// connection is aborted (RFC 9293 §3.8.3, MUST-21; RFC 5482) [TCP_USER_TIMEOUT].
  Duration user_timeout{};
  /// How long the peer should bear with us, told to it by the User Timeout option; in return the peer's wish
  /// is followed, within 100 s and an hour, where `user_timeout` is left out (RFC 5482 §3.1). Zero: the
  /// option is neither sent nor heeded.
  Duration advertised_user_timeout{};
  /// What `close` does about what is not delivered yet. Nothing: the stack delivers it alone. Zero: it is
  /// thrown away and the peer is reset. Longer: the stack has that long before it does so [SO_LINGER, but on
  /// Linux the data is still delivered afterwards].
  std::optional<Duration> linger{};
  /// How long the connection stays in FIN-WAIT-2 once the program has closed [TCP_LINGER2].
  Duration fin_timeout{};
  /// How often a SYN is sent again, 255 times at most [TCP_SYNCNT].
  std::uint32_t syn_retries = 0;
  /// Most text in a segment, in octets: announced to the peer and observed in sending; 0: what the link
  /// carries [TCP_MAXSEG].
  std::uint16_t max_segment = 0;
  /// Type of service or traffic class of what is sent from now on (RFC 9293 §3.9.1.9, MUST-48, SHLD-21): the
  /// codepoint in the six upper bits; the two lower ones are the stack's own (ECN) and ignored [IP_TOS,
  /// IPV6_TCLASS].
  std::uint8_t traffic_class = 0;
  /// Octets queued and unacknowledged at most, in place of `tcp_wmem` [SO_SNDBUF].
  std::uint32_t send_buffer = 0;
  /// Octets that wait for the program at most, in place of `tcp_rmem` [SO_RCVBUF].
  std::uint32_t receive_buffer = 0;
  /// Above so many octets that are queued and have not been sent, the program is not told that it may write
  /// [TCP_NOTSENT_LOWAT].
  std::uint32_t notsent_lowat = 0;
  /// Octets a second that text leaves with at most, spread evenly; sent again included
  /// [SO_MAX_PACING_RATE].
  std::uint64_t max_pacing_rate = 0;
  /// Routers may cut what is sent into fragments, and nothing is learnt about the path's MTU: for paths that
  /// lose the ICMP messages about it. IPv4 only; what leaves before the connection is open is small enough
  /// anyway [IP_MTU_DISCOVER: IP_PMTUDISC_DONT].
  bool may_fragment = false;
  /// How the congestion window moves, in place of `tcp_congestion_control`. On an open connection another one
  /// goes on with the window and the slow start threshold of the one before, and leaving it out changes
  /// nothing [TCP_CONGESTION].
  std::optional<CongestionControl> congestion{};

  friend bool operator==(const Options&, const Options&) = default;
};

}  // namespace synfin::tcp
