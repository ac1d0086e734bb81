// SPDX-License-Identifier: Apache-2.0
//
// What samples say about the path, and the rate and the window that follow. Read first: draft-ietf-ccwg-bbr,
// "Updating Network Path Model Parameters" and "Updating Control Parameters".
#include "synfin/tcp/congestion/bbr_model.h"

#include <algorithm>

namespace synfin::tcp {
namespace {

constexpr std::uint32_t kStartupGain = 277;      // percent: 4 ln 2
constexpr std::uint32_t kPacingMargin = 99;      // percent of the bandwidth, so that queues drain
constexpr std::uint32_t kHeadroom = 15;          // percent of inflight_hi left to others
constexpr std::uint32_t kAggregationRounds = 5;  // half of ExtraAckedFilterLen
constexpr std::uint64_t kMostQuantum = 65536;
constexpr std::uint32_t kProbeRttGain = 50;

// Octets that `rate` is in `us` microseconds.
std::uint64_t volume(std::uint64_t rate, std::uint64_t us) {
  constexpr std::uint64_t kSmall = std::uint64_t{1} << 32;
  us = std::min(us, kSmall - 1);
  return rate < kSmall ? rate * us / 1'000'000 : std::min(rate / 1'000, kSmall - 1) * us / 1'000;
}

std::uint64_t rate_of(std::uint64_t octets, Duration in) {
  return std::max<std::uint64_t>(
      octets * 1'000'000 / static_cast<std::uint64_t>(std::max<std::int64_t>(in.us(), 1)), 1);
}

std::uint32_t bounded(std::uint64_t octets) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(octets, kMostWindow - 1));
}

// Of counters that wrap.
bool reached(std::uint32_t counter, std::uint32_t mark) {
  return static_cast<std::int32_t>(counter - mark) >= 0;
}

}  // namespace

// "InitPacingRate": as if the first round trip took a millisecond, until it is known.
BbrModel::BbrModel(std::uint32_t mss, std::uint32_t window, std::uint32_t initial_window, std::uint32_t seed)
    : mss_(mss),
      window_(window),
      initial_window_(std::max(window, initial_window)),
      pacing_rate_(rate_of(std::uint64_t{initial_window_} * kStartupGain / 100, Duration::milliseconds(1))),
      random_(seed | 1) {}

void BbrModel::note_event(Instant now, std::uint32_t delivered, bool recovering, bool selective) {
  now_ = now;
  delivered_ = delivered;
  selective_ = selective;
  if (recovering_ && !recovering) end_recovery();
  if (begun_) return;
  begun_ = true;
  next_round_delivered_ = loss_round_delivered_ = delivered;
  extra_acked_since_ = probe_rtt_min_at_ = min_rtt_at_ = now;
}

// "UpdateModelAndState" and "UpdateControlParameters", in the draft's order.
void BbrModel::on_ack(const AckEvent& e) {
  const RateSample& rs = e.rate;
  const bool first = !begun_;
  note_event(e.now, e.delivered, e.recovering, e.selective);
  if (first && rs.valid) next_round_delivered_ = loss_round_delivered_ = rs.prior_delivered;
  initial_acked_ = bounded(std::uint64_t{initial_acked_} + e.newly_delivered);
  if (!paced_by_round_trip_ && e.smoothed > Duration::zero()) {
    paced_by_round_trip_ = true;
    pacing_rate_ = rate_of(std::uint64_t{initial_window_} * kStartupGain / 100, e.smoothed);
  }

  update_latest_delivery(rs);
  update_round(rs);
  update_max_bandwidth(rs);
  if (loss_round_start_) adapt_to_loss();
  update_aggregation(e);
  check_full_bandwidth(rs);
  check_startup_done(rs);
  check_drain_done(e);
  update_probe_phase(e);
  update_min_rtt(e);
  check_probe_rtt(e);
  if (loss_round_start_) {  // "AdvanceLatestDeliverySignals"
    bw_latest_ = rs.rate;
    inflight_latest_ = rs.delivered;
  }
  set_pacing_rate(pacing_gain());
  set_window(e);
}

void BbrModel::on_loss(const LossEvent& e) {
  note_event(e.now, e.delivered, e.recovering, e.selective);
  switch (e.sign) {
    case CongestionSign::kSegment:
      on_segment_lost(e);
      return;
    case CongestionSign::kLost:
      begin_recovery();
      return;
    case CongestionSign::kTimeout:
      begin_recovery();
      window_ = bounded(std::uint64_t{e.in_network} + mss_);  // "C.cwnd = C.inflight + 1"
      return;
    case CongestionSign::kMarked:
      // "MUST treat any CE marks as congestion"; how is left open. As a loss that is too much.
      note_loss();
      if (phase_ == Phase::kStartup) {
        leave_startup();
      } else if (bw_probe_samples_) {
        inflight_too_high(e.in_network, false);
      }
      if (!recovering_) saved_ = false;  // nothing that is ever taken back
      undo_ = Undo::kNothing;
      return;
  }
}

void BbrModel::update_latest_delivery(const RateSample& rs) {
  loss_round_start_ = false;
  if (!rs.valid) return;
  bw_latest_ = std::max(bw_latest_, rs.rate);
  inflight_latest_ = std::max(inflight_latest_, rs.delivered);
  if (reached(rs.prior_delivered, loss_round_delivered_)) {
    loss_round_delivered_ = delivered_;
    loss_round_start_ = true;
  }
}

// A round ends once something is acknowledged that was sent after the round began.
void BbrModel::update_round(const RateSample& rs) {
  round_start_ = rs.valid && reached(rs.prior_delivered, next_round_delivered_);
  if (!round_start_) return;
  start_round();
  ++round_count_;
  ++rounds_since_probe_;
}

bool BbrModel::app_limited(const RateSample& rs) const {
  return rs.app_limited || (held_back_ && reached(rs.prior_delivered, held_back_from_) &&
                            reached(held_back_until_, rs.prior_delivered));
}

void BbrModel::update_max_bandwidth(const RateSample& rs) {
  if (rs.valid && held_back_ && !reached(held_back_until_, rs.prior_delivered)) held_back_ = false;
  if (rs.rate > 0 && (rs.rate >= max_bw_.best() || !app_limited(rs))) max_bw_.update(rs.rate);
}

std::uint64_t BbrModel::bandwidth() const {
  return std::min(max_bw_.best(), bw_lo_);
}

// "AdaptLowerBoundsFromCongestion": outside of probes, once a round with losses.
void BbrModel::adapt_to_loss() {
  if (loss_in_round_ && !probing_bandwidth()) {
    if (bw_lo_ == kUnbounded) bw_lo_ = max_bw_.best();
    if (inflight_lo_ == kMostWindow) inflight_lo_ = window_;
    bw_lo_ = std::max(bw_latest_, bw_lo_ * kBetaPercent / 100);
    inflight_lo_ = std::max(inflight_latest_, bounded(std::uint64_t{inflight_lo_} * kBetaPercent / 100));
  }
  loss_in_round_ = false;
}

void BbrModel::reset_congestion_signals() {
  loss_in_round_ = false;
  bw_latest_ = 0;
  inflight_latest_ = 0;
}

void BbrModel::reset_lower_bounds() {
  bw_lo_ = kUnbounded;
  inflight_lo_ = kMostWindow;
}

// What is acknowledged beyond what the bandwidth explains came in bunches, and as much more must be in
// flight.
void BbrModel::update_aggregation(const AckEvent& e) {
  const auto interval =
      static_cast<std::uint64_t>(std::max<std::int64_t>((now_ - extra_acked_since_).us(), 0));
  std::uint64_t expected = volume(bandwidth(), interval);
  if (extra_acked_delivered_ <= expected) {
    extra_acked_delivered_ = 0;
    extra_acked_since_ = now_;
    expected = 0;
  }
  extra_acked_delivered_ += e.newly_delivered;
  if (round_start_ && ++extra_acked_rounds_ >= (full_bw_reached_ ? kAggregationRounds : 1)) {
    extra_acked_rounds_ = 0;
    extra_acked_.advance();
  }
  extra_acked_.update(std::min<std::uint64_t>(extra_acked_delivered_ - expected, window_));
}

void BbrModel::update_min_rtt(const AckEvent& e) {
  probe_rtt_expired_ = now_ > probe_rtt_min_at_ + kProbeRttInterval;
  if (e.round_trip) {
    const auto us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(e.round_trip->us(), 1, kNever - 1));
    if (us < probe_rtt_min_ || probe_rtt_expired_) {
      probe_rtt_min_ = us;
      probe_rtt_min_at_ = now_;
    }
  }
  if (probe_rtt_min_ < min_rtt_ || now_ > min_rtt_at_ + kMinRttWindow) {
    min_rtt_ = probe_rtt_min_;
    min_rtt_at_ = probe_rtt_min_at_;
  }
}

// A round with losses ends once what is sent from now on is heard of.
void BbrModel::note_loss() {
  if (!loss_in_round_) loss_round_delivered_ = delivered_;
  loss_in_round_ = true;
  if (saved_) return;
  saved_ = true;  // "SaveStateUponLoss", once a recovery
  save_window();
  undo_bw_lo_ = bw_lo_;
  undo_inflight_lo_ = inflight_lo_;
  undo_inflight_hi_ = inflight_hi_;
}

void BbrModel::begin_recovery() {
  note_loss();
  save_window();
  recovering_ = true;
  recovery_round_ = round_count_;
}

// "RestoreCwnd"; the model bounds it.
void BbrModel::end_recovery() {
  recovering_ = saved_ = false;
  undo_ = Undo::kNothing;
  window_ = std::max(window_, prior_window_);
}

void BbrModel::save_window() {
  const bool modulated = recovering_ || phase_ == Phase::kProbeRtt;
  prior_window_ = modulated ? std::max(prior_window_, window_) : window_;
}

bool BbrModel::too_much_lost(std::uint32_t lost, std::uint32_t in_flight) const {
  if (!selective_) return lost > 0;
  return std::uint64_t{lost} * 100 > std::uint64_t{in_flight} * kLossPercent;
}

// "HandleLostPacket". Where within the segment the losses became too many is "InflightAtLoss":
//
//     lost_prefix = (LossThresh * inflight_prev - lost_prev) / (1 - LossThresh)
void BbrModel::on_segment_lost(const LossEvent& e) {
  note_loss();
  if (e.start != lost_end_) ++loss_ranges_;
  lost_end_ = e.start + e.size;
  if (!bw_probe_samples_ || !too_much_lost(e.lost_since, e.tx_in_network)) return;
  const std::uint64_t before = e.tx_in_network - std::min(e.tx_in_network, e.size);
  const std::uint64_t lost_before = e.lost_since - std::min(e.lost_since, e.size);
  const std::uint64_t allowed = before * kLossPercent, had = lost_before * 100;
  const std::uint64_t prefix = allowed > had ? (allowed - had) / (100 - kLossPercent) : 0;
  inflight_too_high(bounded(before + prefix), e.app_limited);
}

// Nothing but what left beforehand can have been acknowledged: idleness is no aggregation.
void BbrModel::on_idle(Instant now) {
  now_ = now;
  idle_restart_ = true;
  extra_acked_since_ = now;
  if (in_probe_bandwidth()) {
    set_pacing_rate(100);
  } else if (phase_ == Phase::kProbeRtt) {
    check_probe_rtt_done();
  }
}

// "HandleSpuriousLossDetection"
void BbrModel::undo() {
  window_ = std::max(window_, prior_window_);
  loss_in_round_ = false;
  reset_full_bandwidth();
  bw_lo_ = std::max(bw_lo_, undo_bw_lo_);
  inflight_lo_ = std::max(inflight_lo_, undo_inflight_lo_);
  inflight_hi_ = std::max(inflight_hi_, undo_inflight_hi_);
  const Undo was = undo_;
  undo_ = Undo::kNothing;
  if (was == Undo::kStartup && phase_ != Phase::kStartup) {
    full_bw_reached_ = false;
    if (phase_ != Phase::kProbeRtt) enter_startup();
  } else if (was == Undo::kProbeUp && phase_ != Phase::kProbeUp) {
    if (phase_ != Phase::kProbeRtt) start_probe_refill();
  }
}

// Until the pipe is known to be full the rate only grows: what the program held back is no reason to slow
// down. A segment a second is the least: after long silence that is how fast a path is found usable again.
void BbrModel::set_pacing_rate(std::uint32_t gain_percent) {
  const std::uint64_t bw = bandwidth();
  if (bw == 0) return;
  const std::uint64_t rate = std::max<std::uint64_t>(bw * gain_percent / 100 * kPacingMargin / 100, mss_);
  if (full_bw_reached_ || rate > pacing_rate_) pacing_rate_ = rate;
}

std::uint64_t BbrModel::bdp(std::uint32_t gain_percent) const {
  if (min_rtt_ == kNever) return initial_window_;
  return volume(bandwidth(), min_rtt_) * gain_percent / 100;
}

std::uint64_t BbrModel::inflight_at_max_bandwidth() const {
  return with_budget(min_rtt_ == kNever ? initial_window_ : volume(max_bw_.best(), min_rtt_));
}

std::uint32_t BbrModel::bounded_bdp() const {
  return bounded(bdp(100));
}

// "QuantizationBudget": three bursts of the pacer, so that neither they nor delayed acknowledgements leave
// the path empty.
std::uint64_t BbrModel::with_budget(std::uint64_t inflight) const {
  const std::uint64_t quantum =
      std::max<std::uint64_t>(std::min(pacing_rate_ / 1'000, kMostQuantum), 2 * mss_);
  inflight = std::max<std::uint64_t>({inflight, 3 * quantum, least_window()});
  return phase_ == Phase::kProbeUp ? inflight + 2 * mss_ : inflight;
}

std::uint32_t BbrModel::inflight_with_headroom() const {
  if (inflight_hi_ == kMostWindow) return kMostWindow;
  const std::uint32_t headroom = std::max(mss_, bounded(std::uint64_t{inflight_hi_} * kHeadroom / 100));
  return std::max(inflight_hi_ - std::min(inflight_hi_, headroom), least_window());
}

std::uint64_t BbrModel::target_inflight() const {
  return std::min<std::uint64_t>(bdp(100), window_);
}

std::uint32_t BbrModel::probe_rtt_window() const {
  return std::max(bounded(bdp(kProbeRttGain)), least_window());
}

// "SetCwnd", which grows by no more than what was delivered.
void BbrModel::set_window(const AckEvent& e) {
  const std::uint64_t most = with_budget(bdp(window_gain()) + extra_acked_.best());
  const std::uint64_t grown = std::uint64_t{window_} + e.newly_delivered;
  if (full_bw_reached_) {
    window_ = bounded(std::min(grown, most));
  } else if (window_ < most || initial_acked_ < initial_window_) {
    window_ = bounded(grown);
  }
  window_ = std::max(window_, least_window());
  if (phase_ == Phase::kProbeRtt) window_ = std::min(window_, probe_rtt_window());

  // "BoundCwndForModel"
  std::uint32_t cap = kMostWindow;
  if (phase_ == Phase::kProbeCruise || phase_ == Phase::kProbeRtt) {
    cap = inflight_with_headroom();
  } else if (in_probe_bandwidth() || phase_ == Phase::kDrain) {
    cap = inflight_hi_;
  }
  cap = std::max(std::min(cap, inflight_lo_), least_window());
  window_ = std::min(window_, cap);
}

}  // namespace synfin::tcp
