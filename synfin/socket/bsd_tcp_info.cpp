// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/bsd_tcp_info.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace synfin::socket_detail {

namespace {

std::uint8_t number_of(trace::State s) {
  using trace::State;
  switch (s) {
    case State::kClosed:
      return TCP_CLOSE;
    case State::kListen:
      return TCP_LISTEN;
    case State::kSynSent:
      return TCP_SYN_SENT;
    case State::kSynReceived:
      return TCP_SYN_RECV;
    case State::kEstablished:
      return TCP_ESTABLISHED;
    case State::kFinWait1:
      return TCP_FIN_WAIT1;
    case State::kFinWait2:
      return TCP_FIN_WAIT2;
    case State::kCloseWait:
      return TCP_CLOSE_WAIT;
    case State::kClosing:
      return TCP_CLOSING;
    case State::kLastAck:
      return TCP_LAST_ACK;
    case State::kTimeWait:
      return TCP_TIME_WAIT;
  }
  return TCP_CLOSE;
}

std::uint32_t clamped(std::int64_t n) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(n, 0, std::numeric_limits<std::uint32_t>::max()));
}
std::uint32_t ms(Duration d) {
  return clamped(d.ms());
}
std::uint32_t us(Duration d) {
  return clamped(d.us());
}
std::uint64_t long_us(Duration d) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(d.us(), 0));
}

}  // namespace

TcpInfo to_tcp_info(const tcp::Info& i) {
  TcpInfo t{};
  t.state = number_of(i.state);
  t.ca_state = std::to_underlying(i.ca_state);
  t.retransmits = i.retransmits;
  t.probes = i.probes;
  t.backoff = i.backoff;
  t.options = i.options;
  t.scales = static_cast<std::uint8_t>((i.snd_wscale & 0xf) | (i.rcv_wscale & 0xf) << 4);
  t.application_limited = i.delivery_rate_app_limited ? 1 : 0;
  t.rto = us(i.rto);
  t.ato = us(i.ato);
  t.snd_mss = i.snd_mss;
  t.rcv_mss = i.rcv_mss;
  t.unacked = i.unacked;
  t.sacked = i.sacked;
  t.lost = i.lost;
  t.retrans = i.retrans;
  t.fackets = i.fackets;
  t.last_data_sent = ms(i.last_data_sent);
  t.last_ack_sent = ms(i.last_ack_sent);
  t.last_data_recv = ms(i.last_data_recv);
  t.last_ack_recv = ms(i.last_ack_recv);
  t.pmtu = i.pmtu;
  t.rcv_ssthresh = i.rcv_ssthresh;
  t.rtt = us(i.rtt);
  t.rttvar = us(i.rttvar);
  t.snd_ssthresh = i.snd_ssthresh;
  t.snd_cwnd = i.snd_cwnd;
  t.advmss = i.advmss;
  t.reordering = i.reordering;
  t.rcv_rtt = us(i.rcv_rtt);
  t.rcv_space = i.rcv_space;
  t.total_retrans = i.total_retrans;
  t.pacing_rate = i.pacing_rate;
  t.max_pacing_rate = i.max_pacing_rate;
  t.bytes_acked = i.bytes_acked;
  t.bytes_received = i.bytes_received;
  t.segs_out = i.segs_out;
  t.segs_in = i.segs_in;
  t.notsent_bytes = i.notsent_bytes;
  t.min_rtt = us(i.min_rtt);
  t.data_segs_in = i.data_segs_in;
  t.data_segs_out = i.data_segs_out;
  t.delivery_rate = i.delivery_rate;
  t.busy_time = long_us(i.busy_time);
  t.rwnd_limited = long_us(i.rwnd_limited);
  t.sndbuf_limited = long_us(i.sndbuf_limited);
  t.delivered = i.delivered;
  t.delivered_ce = i.delivered_ce;
  t.received_ce = i.received_ce;
  t.delivered_e1_bytes = i.delivered_octets.ect1;
  t.delivered_e0_bytes = i.delivered_octets.ect0;
  t.delivered_ce_bytes = i.delivered_octets.ce;
  t.received_e1_bytes = i.received_octets.ect1;
  t.received_e0_bytes = i.received_octets.ect0;
  t.received_ce_bytes = i.received_octets.ce;
  t.bytes_sent = i.bytes_sent;
  t.bytes_retrans = i.bytes_retrans;
  t.dsack_dups = i.dsack_dups;
  t.reord_seen = i.reord_seen;
  t.rcv_ooopack = i.rcv_ooopack;
  t.snd_wnd = i.snd_wnd;
  t.rcv_wnd = i.rcv_wnd;
  t.total_rto = i.total_rto;
  t.total_rto_recoveries = i.total_rto_recoveries;
  t.total_rto_time = ms(i.total_rto_time);
  return t;
}

}  // namespace synfin::socket_detail
