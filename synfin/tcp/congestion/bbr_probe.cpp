// SPDX-License-Identifier: Apache-2.0
//
// The state machine of BBR. Read first: draft-ietf-ccwg-bbr, "State Machine Operation".
#include <algorithm>

#include "synfin/tcp/congestion/bbr_model.h"

namespace synfin::tcp {
namespace {

constexpr std::uint32_t kPlateauRounds = 3;
constexpr std::uint32_t kLossRanges = 6;   // BBRStartupFullLossCnt
constexpr std::uint32_t kDrainRounds = 3;  // at most
constexpr std::uint32_t kMostRenoRounds = 63;

}  // namespace

// "Summary of Control Behavior in the State Machine", in percent.
std::uint32_t BbrModel::pacing_gain() const {
  switch (phase_) {
    case Phase::kStartup:
      return 277;
    case Phase::kDrain:
      return 50;
    case Phase::kProbeDown:
      return 90;
    case Phase::kProbeUp:
      return 125;
    case Phase::kProbeCruise:
    case Phase::kProbeRefill:
    case Phase::kProbeRtt:
      return 100;
  }
  return 100;
}

std::uint32_t BbrModel::window_gain() const {
  switch (phase_) {
    case Phase::kProbeUp:
      return 225;
    case Phase::kProbeRtt:
      return 50;
    case Phase::kStartup:
    case Phase::kDrain:
    case Phase::kProbeDown:
    case Phase::kProbeCruise:
    case Phase::kProbeRefill:
      return 200;
  }
  return 200;
}

bool BbrModel::in_probe_bandwidth() const {
  return phase_ == Phase::kProbeDown || phase_ == Phase::kProbeCruise || phase_ == Phase::kProbeRefill ||
         phase_ == Phase::kProbeUp;
}

bool BbrModel::probing_bandwidth() const {
  return phase_ == Phase::kStartup || phase_ == Phase::kProbeRefill || phase_ == Phase::kProbeUp;
}

// Startup and Drain.

void BbrModel::reset_full_bandwidth() {
  full_bw_ = 0;
  full_bw_count_ = 0;
  full_bw_now_ = false;
}

// The pipe is full once three rounds in which the program was no limit brought less than a quarter more.
void BbrModel::check_full_bandwidth(const RateSample& rs) {
  if (full_bw_now_ || !round_start_ || rs.rate == 0 || app_limited(rs)) return;
  if (rs.rate * 4 >= full_bw_ * 5) {
    reset_full_bandwidth();
    full_bw_ = rs.rate;
    return;
  }
  ++full_bw_count_;
  full_bw_now_ = full_bw_count_ >= kPlateauRounds;
  if (full_bw_now_) full_bw_reached_ = true;
}

// "Exiting Startup Based on Packet Loss": a whole round of recovery in which too much was lost, and not in
// one piece.
void BbrModel::check_startup_done(const RateSample& rs) {
  if (phase_ == Phase::kStartup && !full_bw_reached_ && loss_round_start_ && recovering_ &&
      round_count_ > recovery_round_ && (loss_ranges_ >= kLossRanges || !selective_) &&
      too_much_lost(rs.lost, rs.in_flight)) {
    leave_startup();
  }
  if (loss_round_start_) loss_ranges_ = 0;
  if (phase_ == Phase::kStartup && full_bw_reached_) enter_drain();
}

void BbrModel::leave_startup() {
  undo_ = Undo::kStartup;
  full_bw_reached_ = full_bw_now_ = true;
  inflight_hi_ = std::max(bounded_bdp(), inflight_latest_);
}

void BbrModel::enter_startup() {
  phase_ = Phase::kStartup;
}

void BbrModel::enter_drain() {
  phase_ = Phase::kDrain;
  drain_round_ = round_count_;
}

void BbrModel::check_drain_done(const AckEvent& e) {
  if (phase_ != Phase::kDrain) return;
  if (e.in_network <= inflight(100) || round_count_ > drain_round_ + kDrainRounds) start_probe_down();
}

// ProbeBW.

void BbrModel::pick_probe_wait() {
  rounds_since_probe_ = random() & 1;
  probe_wait_ = Duration::milliseconds(2000 + random() % 1001);
}

std::uint32_t BbrModel::random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_ >> 8;
}

void BbrModel::start_probe_down() {
  reset_congestion_signals();
  up_acked_per_segment_ = kMostWindow;
  pick_probe_wait();
  cycle_began_ = now_;
  ack_phase_ = AckPhase::kProbeStopping;
  start_round();
  phase_ = Phase::kProbeDown;
}

void BbrModel::start_probe_refill() {
  reset_lower_bounds();
  up_rounds_ = 0;
  up_acked_ = 0;
  last_probe_precautionary_ = false;
  ack_phase_ = AckPhase::kRefilling;
  start_round();
  phase_ = Phase::kProbeRefill;
}

void BbrModel::start_probe_up(const RateSample& rs) {
  ack_phase_ = AckPhase::kProbeStarting;
  start_round();
  reset_full_bandwidth();
  full_bw_ = rs.rate;
  phase_ = Phase::kProbeUp;
  raise_slope();
}

void BbrModel::update_probe_phase(const AckEvent& e) {
  if (!full_bw_reached_ || adapt_upper_bounds(e)) return;
  switch (phase_) {
    case Phase::kProbeDown:
      if (!time_to_probe() && time_to_cruise(e)) phase_ = Phase::kProbeCruise;
      return;
    case Phase::kProbeCruise:
      (void)time_to_probe();
      return;
    case Phase::kProbeRefill:
      if (!round_start_) return;  // the pipe is full after a round
      bw_probe_samples_ = true;
      start_probe_up(e.rate);
      return;
    case Phase::kProbeUp:
      if (!time_to_go_down(e)) return;
      last_probe_too_high_ = false;  // no losses heard of yet
      start_probe_down();
      return;
    case Phase::kStartup:
    case Phase::kDrain:
    case Phase::kProbeRtt:
      return;
  }
}

// By the clock, or by the rounds in which Reno would have come back, so that both live beside each other.
bool BbrModel::time_to_probe() {
  const std::uint64_t reno_rounds = std::min<std::uint64_t>(target_inflight() / mss_, kMostRenoRounds);
  if (now_ <= cycle_began_ + probe_wait_ && rounds_since_probe_ < reno_rounds) return false;
  start_probe_refill();
  return true;
}

bool BbrModel::time_to_cruise(const AckEvent& e) const {
  return e.in_network <= inflight_with_headroom() && e.in_network <= inflight_at_max_bandwidth();
}

bool BbrModel::time_to_go_down(const AckEvent& e) {
  // "Precautionary Bandwidth Probing": no longer than up to where the last probe lost too much.
  if (last_probe_too_high_ && e.in_network >= inflight_hi_) {
    last_probe_precautionary_ = true;
    return true;
  }
  if (e.window_filled && window_ >= inflight_hi_) {
    // Not the path but inflight_hi is the limit: no plateau to be seen.
    reset_full_bandwidth();
    full_bw_ = e.rate.rate;
    return false;
  }
  return full_bw_now_;
}

void BbrModel::raise_slope() {
  const std::uint32_t growth = 1u << up_rounds_;
  up_rounds_ = std::min(up_rounds_ + 1, 30u);
  up_acked_per_segment_ = std::max(window_ / growth, mss_);
}

// In the first round of a probe by one segment, then by twice as many each round.
void BbrModel::probe_inflight_upward(const AckEvent& e) {
  if (!e.window_filled || window_ < inflight_hi_) return;
  up_acked_ += e.newly_delivered;
  if (up_acked_ >= up_acked_per_segment_) {
    const std::uint32_t segments = up_acked_ / up_acked_per_segment_;
    up_acked_ -= segments * up_acked_per_segment_;
    inflight_hi_ = std::min(inflight_hi_ + segments * mss_, kMostWindow - 1);
  }
  if (round_start_) raise_slope();
}

// "AdaptLongTermModel". True: the next phase has begun.
bool BbrModel::adapt_upper_bounds(const AckEvent& e) {
  const RateSample& rs = e.rate;
  if (ack_phase_ == AckPhase::kProbeStarting && round_start_) ack_phase_ = AckPhase::kProbeFeedback;
  if (ack_phase_ == AckPhase::kProbeStopping && round_start_) {
    bw_probe_samples_ = false;
    ack_phase_ = AckPhase::kInit;
    if (in_probe_bandwidth() && !app_limited(rs) && max_bw_.current() > 0) max_bw_.advance();
    // What the last probe did not dare was harmless: on at once.
    if (in_probe_bandwidth() && last_probe_precautionary_ && !last_probe_too_high_) {
      start_probe_refill();
      return true;
    }
  }
  if (!rs.valid || too_much_lost(rs.lost, rs.in_flight) || inflight_hi_ == kMostWindow) return false;
  inflight_hi_ = std::min(std::max(inflight_hi_, rs.in_flight), kMostWindow - 1);
  if (phase_ == Phase::kProbeUp) probe_inflight_upward(e);
  return false;
}

// "HandleInflightTooHigh"
void BbrModel::inflight_too_high(std::uint32_t in_flight, bool app_limited) {
  last_probe_too_high_ = true;
  bw_probe_samples_ = false;  // once a probe
  if (!app_limited) {
    const std::uint64_t least = target_inflight() * kBetaPercent / 100;
    inflight_hi_ = std::min(std::max(in_flight, static_cast<std::uint32_t>(least)), kMostWindow - 1);
  }
  if (phase_ != Phase::kProbeUp) return;
  undo_ = Undo::kProbeUp;
  start_probe_down();
}

// ProbeRTT.

void BbrModel::check_probe_rtt(const AckEvent& e) {
  if (phase_ != Phase::kProbeRtt && probe_rtt_expired_ && !idle_restart_) {
    save_window();
    phase_ = Phase::kProbeRtt;
    probe_rtt_done_at_ = Instant::never();
    ack_phase_ = AckPhase::kProbeStopping;
    start_round();
    held_back_ = true;
    held_back_from_ = delivered_;
  }
  if (phase_ == Phase::kProbeRtt) handle_probe_rtt(e);
  if (e.newly_delivered > 0) idle_restart_ = false;
}

// Little in flight, for a round and for 200 ms.
void BbrModel::handle_probe_rtt(const AckEvent& e) {
  held_back_until_ = delivered_ + e.in_network;
  if (probe_rtt_done_at_.is_never()) {
    if (e.in_network > probe_rtt_window()) return;
    probe_rtt_done_at_ = now_ + kProbeRttDuration;
    probe_rtt_round_done_ = false;
    start_round();
    return;
  }
  if (round_start_) probe_rtt_round_done_ = true;
  if (probe_rtt_round_done_) check_probe_rtt_done();
}

void BbrModel::check_probe_rtt_done() {
  if (probe_rtt_done_at_.is_never() || now_ <= probe_rtt_done_at_) return;
  probe_rtt_min_at_ = now_;
  window_ = std::max(window_, prior_window_);
  reset_lower_bounds();
  if (!full_bw_reached_) {
    enter_startup();
    return;
  }
  start_probe_down();
  phase_ = Phase::kProbeCruise;
}

}  // namespace synfin::tcp
