// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 9438 §4.
#include "synfin/tcp/congestion/cubic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace synfin::tcp {
namespace {

static_assert(std::is_trivially_copyable_v<Cubic>);

constexpr double kMillisecond = 1e-3;
constexpr double kQuarters = 4;  // of w_est
// "α_cubic = 3 * (1 - β_cubic) / (1 + β_cubic)", at which growth by addition and reduction by β_cubic get the
// same mean window as Reno's (§4.3).
constexpr double kAlpha = 3 * (1 - Cubic::kBeta) / (1 + Cubic::kBeta);

std::uint32_t octets(double n) {
  return static_cast<std::uint32_t>(std::clamp(n, 0.0, double{kMostWindow}));
}

std::uint16_t milliseconds(Instant now) {
  return static_cast<std::uint16_t>(now.ns() / 1'000'000);
}

std::uint32_t scaled(std::uint32_t n, std::uint32_t from, std::uint32_t to) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{n} * to / from, 0xffff'ffff));
}

}  // namespace

Cubic::Cubic(std::uint32_t mss, std::uint32_t initial_segments)
    : Cubic(mss, mss * initial_segments, kMostWindow) {}

Cubic::Cubic(std::uint32_t mss, std::uint32_t window, std::uint32_t threshold)
    : window_(window), threshold_(threshold), mss_(static_cast<std::uint16_t>(mss)), hystart_() {
  if (!first_slow_start()) stage_ = Stage{};
}

void Cubic::leave_first_slow_start() {
  if (first_slow_start()) stage_ = Stage{};
}

void Cubic::on_ack(const AckEvent& e) {
  if (e.acked == 0) return;
  std::uint32_t acked = std::min(e.acked, kMostWindow);
  if (first_slow_start()) {
    const std::uint32_t growth = hystart_.on_ack(e);
    // A window that was not used says nothing about the path (RFC 7661 §4.3): it does not grow.
    if (e.window_limited) window_ = std::min(window_ + std::min(growth, kMostWindow), kMostWindow - 1);
    if (hystart_.over()) {
      leave_first_slow_start();
      threshold_ = window_;
    }
    return;
  }
  if (window_ < threshold_) {
    // The stage begins behind slow start, whatever came before.
    stage_.w_est = 0;
    if (!e.window_limited) return;
    // By all that was acknowledged: see NewReno.
    const std::uint32_t growth = std::min(acked, threshold_ - window_);
    window_ += growth;
    acked -= growth;
    if (acked == 0) return;
  }
  if (stage_.w_est == 0) {
    begin_stage();
    last_ = milliseconds(e.now);
  } else {
    pass_time(e);
  }
  // "CUBIC … does not increase its congestion window if a flow is application limited"  (§5.8)
  if (e.window_limited) grow(acked, e);
}

// "K = cubic root of ((W_max - cwnd_epoch) / C)"  (§4.2, equation 2). Without a loss to come back from, "K is
// set to 0, and W_max is set to the congestion window size at the beginning of the current congestion
// avoidance stage"  (§4.8, §4.10)
void Cubic::begin_stage() {
  stage_.w_max = std::max(stage_.w_max, window_);
  const double below = static_cast<double>(stage_.w_max - window_) / mss_;
  const double k = std::min(std::cbrt(below / kC), 2000.0);
  stage_.since_k = -static_cast<std::int32_t>(k / kMillisecond);
  stage_.w_est = std::max(window_, 1u) * static_cast<std::uint32_t>(kQuarters);
}

// "the elapsed time … MUST NOT include periods during which cwnd has not been updated due to
// application-limited behavior"  (§4.2). An acknowledgement vouches for the round trip before it and no more:
// what lies between that and the one before was idle.
void Cubic::pass_time(const AckEvent& e) {
  const std::uint16_t now = milliseconds(e.now);
  const auto passed = static_cast<std::uint16_t>(now - last_);
  last_ = now;
  if (!e.window_limited) return;
  const Duration round_trip = std::max(e.round_trip.value_or(e.smoothed), e.smoothed);
  const std::int64_t counts = std::min<std::int64_t>(passed, round_trip.ms() + 1);
  stage_.since_k = static_cast<std::int32_t>(
      std::min<std::int64_t>(stage_.since_k + counts, std::numeric_limits<std::int32_t>::max()));
}

double Cubic::curve(double since_k) const {
  return kC * since_k * since_k * since_k * mss_ + stage_.w_max;
}

void Cubic::grow(std::uint32_t acked, const AckEvent& e) {
  const double cwnd = window_;
  const double share = std::min(acked / cwnd, 1.0);  // segments_acked / cwnd
  // "W_est = W_est + α_cubic * segments_acked / cwnd"; behind cwnd_prior "α_cubic SHOULD be set to 1"  (§4.3)
  const double alpha = stage_.w_est / kQuarters < stage_.cwnd_prior ? kAlpha : 1;
  const double w_est = stage_.w_est + std::round(alpha * share * mss_ * kQuarters);
  stage_.w_est = static_cast<std::uint32_t>(std::min(w_est, kQuarters * (kMostWindow - 1)));

  const double t = stage_.since_k * kMillisecond;
  const std::uint32_t reno = stage_.w_est / static_cast<std::uint32_t>(kQuarters);
  if (curve(t) < reno) {
    // The Reno-friendly region (§4.3); never less than there was.
    window_ = std::max(window_, reno);
    return;
  }
  // The concave and the convex region (§4.4, §4.5): where the curve will be in a round trip, by then.
  const double target = std::clamp(curve(t + e.smoothed.as_seconds()), cwnd, 1.5 * cwnd);
  window_ = std::min(octets(std::round(cwnd + (target - cwnd) * share)), kMostWindow - 1);
}

// §4.6 and §4.7, but for the window. From what was in flight, as RFC 5681's equation 4 has it, not from the
// window as Linux: it may not have been used.
void Cubic::reduce(std::uint32_t in_flight) {
  leave_first_slow_start();
  // Fast convergence: a window that got less far than the last time makes room for others.
  const double kept = window_ < stage_.w_max ? (1 + kBeta) / 2 : 1;
  stage_.w_max = octets(window_ * kept);
  stage_.cwnd_prior = window_;
  stage_.w_est = 0;
  threshold_ = std::max(octets(in_flight * kBeta), 2u * mss_);
}

void Cubic::on_loss(const LossEvent& e) {
  if (e.sign == CongestionSign::kSegment) return;
  reduce(e.in_flight);
  if (e.sign == CongestionSign::kTimeout) {
    // "CUBIC follows Reno to reduce cwnd … but sets ssthresh using β_cubic"  (§4.8)
    stage_.w_max = 0;
    window_ = mss_;
    return;
  }
  // "reduction on loss, cwnd is at least 2 SMSS … on ECE, at least 1 SMSS"
  const std::uint32_t least = e.sign == CongestionSign::kMarked ? mss_ : 2u * mss_;
  window_ = std::max(octets(e.in_flight * kBeta), least);
}

void Cubic::on_idle(const IdleEvent& e) {
  window_ = std::min(window_, e.restart_window);
}

// §4.9: all of it, unless the window has grown beyond that by now.
void Cubic::restore(const Cubic& before) {
  if (window_ >= before.window_) return;
  const std::uint32_t mss = mss_;
  *this = before;
  if (mss_ != mss) set_mss(mss);
}

void Cubic::set_mss(std::uint32_t mss) {
  const std::uint32_t segments = std::max<std::uint32_t>(window_ / mss_, 1u);
  window_ = segments * mss;
  if (!first_slow_start()) {
    stage_.w_max = scaled(stage_.w_max, mss_, mss);
    stage_.cwnd_prior = scaled(stage_.cwnd_prior, mss_, mss);
    stage_.w_est = scaled(stage_.w_est, mss_, mss);
  }
  mss_ = static_cast<std::uint16_t>(mss);
}

}  // namespace synfin::tcp
