// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/tcp/info.h"

namespace synfin::socket_detail {

/// `struct tcp_info` as getsockopt(TCP_INFO) gives it on Linux 6.18, whatever the headers know that this is
/// compiled with. Programs that know less of it ask for less. Times are milliseconds at the last_… fields and
/// microseconds elsewhere.
struct TcpInfo {
  std::uint8_t state;
  std::uint8_t ca_state;
  std::uint8_t retransmits;
  std::uint8_t probes;
  std::uint8_t backoff;
  std::uint8_t options;
  std::uint8_t scales;  // the peer's in the low four bits, ours in the high ones
  std::uint8_t application_limited;
  std::uint32_t rto, ato, snd_mss, rcv_mss;
  std::uint32_t unacked, sacked, lost, retrans, fackets;
  std::uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
  std::uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
  std::uint32_t rcv_rtt, rcv_space;
  std::uint32_t total_retrans;
  std::uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
  std::uint32_t segs_out, segs_in;
  std::uint32_t notsent_bytes, min_rtt, data_segs_in, data_segs_out;
  std::uint64_t delivery_rate;
  std::uint64_t busy_time, rwnd_limited, sndbuf_limited;
  std::uint32_t delivered, delivered_ce;
  std::uint64_t bytes_sent, bytes_retrans;
  std::uint32_t dsack_dups, reord_seen;
  std::uint32_t rcv_ooopack, snd_wnd, rcv_wnd;
  std::uint32_t rehash;
  std::uint16_t total_rto, total_rto_recoveries;
  std::uint32_t total_rto_time;
  std::uint32_t received_ce;
  std::uint32_t delivered_e1_bytes, delivered_e0_bytes, delivered_ce_bytes;
  std::uint32_t received_e1_bytes, received_e0_bytes, received_ce_bytes;
  std::uint16_t accecn_fail_mode, accecn_opt_seen;  // Linux's own; 0
};
static_assert(sizeof(TcpInfo) == 280);

TcpInfo to_tcp_info(const tcp::Info& info);

}  // namespace synfin::socket_detail
