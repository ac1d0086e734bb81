// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

#include "synfin/tcp/congestion/ack_event.h"
#include "synfin/tcp/congestion/max_filter.h"

namespace synfin::tcp {

/// The model of BBR (draft-ietf-ccwg-bbr, version 3) and the state machine that looks for what the model is
/// made of. Names are the draft's, but `hi` and `lo` stand for its "longterm" and "shortterm". Octets, octets
/// a second and microseconds, in integers, so that every compiler gives the same.
///
///     Startup ──► Drain ──► ProbeBW: DOWN ──► CRUISE ──► REFILL ──► UP ──┐
///     (twice      (half                ▲                                 │
///     a round)    the rate)            └─────────────────────────────────┘      ProbeRTT every 5 s
///
/// bbr_model.cpp: what samples say about the path, and the rate and the window that follow. bbr_probe.cpp:
/// the state machine.
class BbrModel {
 public:
  enum class Phase : std::uint8_t {
    kStartup,
    kDrain,
    kProbeDown,
    kProbeCruise,
    kProbeRefill,
    kProbeUp,
    kProbeRtt,
  };
  static constexpr std::uint32_t kLossPercent = 2;   // LossThresh
  static constexpr std::uint32_t kBetaPercent = 70;  // what is left behind a round with losses
  static constexpr Duration kProbeRttInterval = Duration::seconds(5);
  static constexpr Duration kProbeRttDuration = Duration::milliseconds(200);
  static constexpr Duration kMinRttWindow = Duration::seconds(10);  // MinRTTFilterLen

  BbrModel(std::uint32_t mss, std::uint32_t window, std::uint32_t initial_window, std::uint32_t seed);

  void on_ack(const AckEvent& e);
  void on_loss(const LossEvent& e);
  /// Nothing is in flight, and the program sends again.
  void on_idle(Instant now);
  /// The last recovery was for nothing.
  void undo();
  void set_mss(std::uint32_t mss) { mss_ = mss; }

  std::uint32_t window() const { return window_; }
  std::uint64_t pacing_rate() const { return pacing_rate_; }

  // The model, for those who look on.
  Phase phase() const { return phase_; }
  std::uint64_t max_bandwidth() const { return max_bw_.best(); }
  /// What is sent at: the same, unless losses outside of probes speak against it.
  std::uint64_t bandwidth() const;
  Duration min_rtt() const { return Duration::microseconds(min_rtt_ == kNever ? 0 : min_rtt_); }
  /// Most in flight that did not lose too much; kMostWindow: not known.
  std::uint32_t inflight_hi() const { return inflight_hi_; }
  bool full_bandwidth_reached() const { return full_bw_reached_; }
  std::uint32_t rounds() const { return round_count_; }

 private:
  static constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();
  /// What acknowledgements are about, seen from a probe for bandwidth.
  enum class AckPhase : std::uint8_t {
    kInit,           // no probe
    kRefilling,      // sent at the bandwidth, to fill the pipe first
    kProbeStarting,  // more is sent than that, and not yet heard of
    kProbeFeedback,  // … and heard of
    kProbeStopping,  // no longer sent, but still heard of
  };
  enum class Undo : std::uint8_t {
    kNothing,
    kStartup,
    kProbeUp
  };

  // The path (bbr_model.cpp).
  void note_event(Instant now, std::uint32_t delivered, bool recovering, bool selective);
  void update_latest_delivery(const RateSample& rs);
  void update_round(const RateSample& rs);
  void update_max_bandwidth(const RateSample& rs);
  void adapt_to_loss();
  void update_aggregation(const AckEvent& e);
  void update_min_rtt(const AckEvent& e);
  bool app_limited(const RateSample& rs) const;
  void reset_congestion_signals();
  void reset_lower_bounds();
  void start_round() { next_round_delivered_ = delivered_; }
  void note_loss();
  void save_window();
  void begin_recovery();
  void end_recovery();
  void on_segment_lost(const LossEvent& e);
  bool too_much_lost(std::uint32_t lost, std::uint32_t in_flight) const;
  void set_pacing_rate(std::uint32_t gain_percent);
  void set_window(const AckEvent& e);
  std::uint64_t bdp(std::uint32_t gain_percent) const;
  std::uint64_t with_budget(std::uint64_t inflight) const;
  std::uint64_t inflight(std::uint32_t gain_percent) const { return with_budget(bdp(gain_percent)); }
  std::uint64_t inflight_at_max_bandwidth() const;
  std::uint32_t bounded_bdp() const;
  std::uint32_t inflight_with_headroom() const;
  std::uint64_t target_inflight() const;
  std::uint32_t least_window() const { return 4 * mss_; }  // MinPipeCwnd
  std::uint32_t probe_rtt_window() const;

  // The state machine (bbr_probe.cpp).
  void check_full_bandwidth(const RateSample& rs);
  void check_startup_done(const RateSample& rs);
  void check_drain_done(const AckEvent& e);
  void update_probe_phase(const AckEvent& e);
  bool adapt_upper_bounds(const AckEvent& e);
  void probe_inflight_upward(const AckEvent& e);
  void raise_slope();
  void inflight_too_high(std::uint32_t in_flight, bool app_limited);
  bool time_to_probe();
  bool time_to_cruise(const AckEvent& e) const;
  bool time_to_go_down(const AckEvent& e);
  void check_probe_rtt(const AckEvent& e);
  void handle_probe_rtt(const AckEvent& e);
  void check_probe_rtt_done();
  void enter_startup();
  void leave_startup();
  void enter_drain();
  void start_probe_down();
  void start_probe_refill();
  void start_probe_up(const RateSample& rs);
  bool probing_bandwidth() const;
  bool in_probe_bandwidth() const;
  void reset_full_bandwidth();
  void pick_probe_wait();
  std::uint32_t pacing_gain() const;
  std::uint32_t window_gain() const;
  std::uint32_t random();

  Instant now_;  // of the event under way
  std::uint32_t mss_;
  std::uint32_t window_;            // cwnd
  std::uint32_t prior_window_ = 0;  // … before recovery or ProbeRTT
  const std::uint32_t initial_window_;
  std::uint64_t pacing_rate_;
  std::uint32_t initial_acked_ = 0;  // octets delivered, as long as they are few
  std::uint32_t delivered_ = 0;
  std::uint32_t random_;

  Phase phase_ = Phase::kStartup;
  AckPhase ack_phase_ = AckPhase::kInit;
  Undo undo_ = Undo::kNothing;
  bool begun_ = false;  // something was acknowledged
  bool paced_by_round_trip_ = false;
  bool selective_ = true;
  bool recovering_ = false;
  bool saved_ = false;  // what `undo` brings back is of this recovery
  bool idle_restart_ = false;

  // Rounds.
  bool round_start_ = false;
  std::uint32_t round_count_ = 0;
  std::uint32_t next_round_delivered_ = 0;
  std::uint32_t rounds_since_probe_ = 0;

  // Bandwidth.
  MaxFilter max_bw_;  // over a cycle of ProbeBW and the one before
  std::uint64_t bw_lo_ = kUnbounded;
  std::uint64_t bw_latest_ = 0;  // the most of this round
  std::uint64_t full_bw_ = 0;    // what a plateau is measured by
  std::uint8_t full_bw_count_ = 0;
  bool full_bw_now_ = false;
  bool full_bw_reached_ = false;

  // In flight.
  std::uint32_t inflight_hi_ = kMostWindow;
  std::uint32_t inflight_lo_ = kMostWindow;
  std::uint32_t inflight_latest_ = 0;
  MaxFilter extra_acked_;
  std::uint32_t extra_acked_rounds_ = 0;  // of the filter's period
  std::uint64_t extra_acked_delivered_ = 0;
  Instant extra_acked_since_;

  // Losses.
  bool loss_in_round_ = false;
  bool loss_round_start_ = false;
  std::uint32_t loss_round_delivered_ = 0;
  std::uint32_t recovery_round_ = 0;  // when recovery began
  std::uint32_t loss_ranges_ = 0;     // of this round
  wire::SeqNum lost_end_;

  // ProbeBW.
  Instant cycle_began_;
  Duration probe_wait_;
  std::uint32_t drain_round_ = 0;
  std::uint32_t up_rounds_ = 0;
  std::uint32_t up_acked_ = 0;
  std::uint32_t up_acked_per_segment_ = kMostWindow;
  bool bw_probe_samples_ = false;
  bool last_probe_too_high_ = false;
  bool last_probe_precautionary_ = false;

  // Round trips.
  std::uint32_t min_rtt_ = kNever;
  Instant min_rtt_at_;
  std::uint32_t probe_rtt_min_ = kNever;
  Instant probe_rtt_min_at_;
  bool probe_rtt_expired_ = false;
  bool probe_rtt_round_done_ = false;
  Instant probe_rtt_done_at_ = Instant::never();
  // What left in between was held back for ProbeRTT: it says nothing about the bandwidth.
  bool held_back_ = false;
  std::uint32_t held_back_from_ = 0, held_back_until_ = 0;

  // To take back what a recovery did.
  std::uint64_t undo_bw_lo_ = kUnbounded;
  std::uint32_t undo_inflight_lo_ = kMostWindow;
  std::uint32_t undo_inflight_hi_ = kMostWindow;
};

}  // namespace synfin::tcp
