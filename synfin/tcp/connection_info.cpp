// SPDX-License-Identifier: Apache-2.0
//
// TCP_INFO.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

Info Connection::info(Instant now, std::uint32_t mtu, const Settings& settings) const {
  Info i;
  const std::uint32_t mss = text_limit();
  i.state = state_;
  if (flight_ != nullptr) {
    const Scoreboard& sent = flight_->sent;
    i.ca_state = flight_->state;
    if (i.ca_state == CaState::kOpen && snd_.una.before(flight_->ecn_high)) i.ca_state = CaState::kCwr;
    i.unacked = sent.size();
    i.sacked = sent.sacked() + flight_->duplicates;
    i.lost = sent.lost();
    i.retrans = sent.retransmitted();
  } else if (snd_.nxt != snd_.una) {
    i.unacked = 1;  // SYN or FIN
  }
  const bool probing = timers_.armed(Timer::kPersist) || snd_.una == snd_.max;
  (probing ? i.probes : i.retransmits) = retries_;
  i.options = static_cast<std::uint8_t>(
      (timestamps_ ? Info::kTimestamps : 0) | (sack_ ? Info::kSack : 0) |
      (scaling_ ? Info::kWindowScale : 0) | (ecn_ || accurate_ ? Info::kEcn : 0) |
      (ecn_seen_ ? Info::kEcnSeen : 0) |
      (fast_open_ && state_ != State::kSynSent && failure_ == Error::kWouldBlock ? Info::kSynData : 0));
  i.snd_wscale = scaling_ ? snd_.scale.shift() : std::uint8_t{0};
  i.rcv_wscale = scaling_ ? rcv_.scale.shift() : std::uint8_t{0};
  i.backoff = probing ? persist_backoff_ : retries_;
  i.rto = rtt_.timeout();
  i.ato = settings.tcp_delack_max;
  i.snd_mss = mss;
  i.rcv_mss = seen_mss_;
  i.last_data_sent = now - last_sent_;
  i.last_data_recv = i.last_ack_recv = now - last_heard_;
  i.pmtu = mtu;
  i.rcv_ssthresh = receive_capacity();
  i.rtt = rtt_.smoothed();
  i.rttvar = rtt_.variation();
  const std::uint32_t threshold = congestion_.slow_start_threshold();
  i.snd_ssthresh = threshold >= 1u << 30 ? Info::kInfiniteThreshold : threshold / mss;
  i.snd_cwnd = window() / mss;
  i.advmss = mss_for(mtu, tuple_.local.address.family());
  if (rare_ != nullptr && rare_->options.max_segment > 0)
    i.advmss = std::min<std::uint32_t>(i.advmss, rare_->options.max_segment);
  i.rcv_rtt = tuning_ != nullptr ? tuning_->round_trip() : Duration::zero();
  i.rcv_space = tuning_ != nullptr ? tuning_->copied() : first_space();
  i.pacing_rate = pacing_rate(settings);
  if (rare_ != nullptr && rare_->options.max_pacing_rate > 0)
    i.max_pacing_rate = rare_->options.max_pacing_rate;
  i.reordering = reordering_.degree;
  i.reord_seen = reordering_.seen;
  i.min_rtt = rtt_.minimum();
  i.total_retrans = total_retransmissions_;
  i.bytes_sent = traffic_.sent;
  i.bytes_retrans = traffic_.resent;
  i.bytes_acked = traffic_.acked;
  i.bytes_received = traffic_.received;
  i.segs_out = traffic_.segments_out;
  i.segs_in = traffic_.segments_in;
  i.data_segs_out = traffic_.text_segments_out;
  i.data_segs_in = traffic_.text_segments_in;
  i.delivered = traffic_.delivered;
  if (rare_ != nullptr) i.delivered_ce = rare_->delivered_ce;
  if (rare_ != nullptr && rare_->accurate_ecn != nullptr) {
    const AccurateEcn& marks = *rare_->accurate_ecn;
    i.received_ce = marks.received_marks();
    i.received_octets = marks.received_octets();
    i.delivered_octets = marks.delivered_octets();
  }
  i.delivery_rate = static_cast<std::uint64_t>(delivery_rate_);
  i.delivery_rate_app_limited = rate_app_limited_;
  i.dsack_dups = traffic_.duplicates;
  i.rcv_ooopack = traffic_.out_of_order;
  if (stream_end().after(snd_.max)) i.notsent_bytes = static_cast<std::uint32_t>(stream_end() - snd_.max);
  const auto spent = [&](SendLimit limit) { return send_times_.spent(limit, send_limit_, now); };
  i.rwnd_limited = spent(SendLimit::kPeerWindow);
  i.sndbuf_limited = spent(SendLimit::kSendBuffer);
  i.busy_time = spent(SendLimit::kNetwork) + i.rwnd_limited + i.sndbuf_limited;
  if (rare_ != nullptr) {
    const Timeouts& t = rare_->timeouts;
    i.total_rto = t.count;
    i.total_rto_recoveries = t.spells;
    i.total_rto_time = t.time;
  }
  i.snd_wnd = snd_.wnd;
  i.rcv_wnd = receive_window();
  return i;
}

}  // namespace synfin::tcp
