// SPDX-License-Identifier: Apache-2.0
//
// TCP_INFO.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

Info Connection::info(Instant now, std::uint32_t mtu) const {
  Info i;
  const std::uint32_t mss = text_limit();
  i.state = state_;
  i.ca_state = recovery_.active() ? CaState::kRecovery : CaState::kOpen;
  const bool probing = timers_.armed(Timer::kPersist) || snd_.una == snd_.max;
  (probing ? i.probes : i.retransmits) = retries_;
  i.options = static_cast<std::uint8_t>((timestamps_ ? Info::kTimestamps : 0) | (sack_ ? Info::kSack : 0) |
                                        (scaling_ ? Info::kWindowScale : 0) | (ecn_ ? Info::kEcn : 0));
  i.snd_wscale = scaling_ ? snd_.scale.shift() : std::uint8_t{0};
  i.rcv_wscale = scaling_ ? rcv_.scale.shift() : std::uint8_t{0};
  i.rto = rtt_.timeout();
  i.snd_mss = mss;
  i.rcv_mss = seen_mss_;
  i.unacked = (static_cast<std::uint32_t>(snd_.max - snd_.una) + mss - 1) / mss;
  i.last_data_sent = now - last_sent_;
  i.last_data_recv = i.last_ack_recv = now - last_heard_;
  i.pmtu = mtu;
  i.rcv_ssthresh = rcv_.buffer;
  i.rtt = rtt_.smoothed();
  i.rttvar = rtt_.variation();
  const std::uint32_t threshold = congestion_.slow_start_threshold();
  i.snd_ssthresh = threshold >= 1u << 30 ? Info::kInfiniteThreshold : threshold / mss;
  i.snd_cwnd = congestion_.window() / mss;
  i.advmss = mss_for(mtu, tuple_.local.address.family());
  if (rare_ != nullptr && rare_->options.max_segment > 0)
    i.advmss = std::min<std::uint32_t>(i.advmss, rare_->options.max_segment);
  i.rcv_space = rcv_.buffer;
  i.total_retrans = total_retransmissions_;
  if (stream_end().after(snd_.max)) i.notsent_bytes = static_cast<std::uint32_t>(stream_end() - snd_.max);
  i.snd_wnd = snd_.wnd;
  i.rcv_wnd = receive_window();
  return i;
}

}  // namespace synfin::tcp
