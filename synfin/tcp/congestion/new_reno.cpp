// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/new_reno.h"

#include <algorithm>

namespace synfin::tcp {

NewReno::NewReno(std::uint32_t mss, std::uint32_t initial_segments)
    : NewReno(mss, mss * initial_segments, kMostWindow) {}

NewReno::NewReno(std::uint32_t mss, std::uint32_t window, std::uint32_t threshold)
    : mss_(mss), window_(window), threshold_(threshold) {}

void NewReno::on_ack(const AckEvent& e) {
  // A window that was not used says nothing about the path (RFC 7661 §4.3): it does not grow.
  if (!e.window_limited || e.acked == 0) return;
  std::uint32_t acked = std::min(e.acked, kMostWindow);
  if (window_ < threshold_) {
    // By all that was acknowledged, as Linux does: RFC 3465's limit of two segments an ACK would punish
    // receivers that acknowledge rarely, and splitting ACKs gains nothing.
    const std::uint32_t grow = std::min(acked, threshold_ - window_);
    window_ = std::min(window_ + grow, kMostWindow);
    acked -= grow;
  }
  // "incremented by roughly 1 full-sized segment per round-trip time": that has brought as many whole segments
  // as fit. What is left of the window after a loss is not sent, and waiting for it cost a twentieth on lossy
  // paths.
  counted_ += acked;
  const std::uint32_t whole = std::max(window_ - window_ % mss_, mss_);
  if (counted_ >= whole) {
    counted_ -= whole;
    window_ = std::min(window_ + mss_, kMostWindow);
  }
}

// "ssthresh = max (FlightSize / 2, 2*SMSS)"  (RFC 5681 §3.1, equation 4)
void NewReno::halve(std::uint32_t in_flight) {
  threshold_ = std::max(in_flight / 2, 2 * mss_);
  counted_ = 0;
}

void NewReno::on_loss(const LossEvent& e) {
  if (e.sign == CongestionSign::kSegment) return;
  halve(e.in_flight);
  window_ = e.sign == CongestionSign::kTimeout ? mss_ : threshold_;
}

void NewReno::on_idle(const IdleEvent& e) {
  window_ = std::min(window_, e.restart_window);
}

void NewReno::restore(const NewReno& before) {
  window_ = std::max(window_, before.window_);
  threshold_ = std::max(threshold_, before.threshold_);
}

void NewReno::set_mss(std::uint32_t mss) {
  const std::uint32_t segments = std::max(window_ / mss_, 1u);
  mss_ = mss;
  window_ = segments * mss;
}

}  // namespace synfin::tcp
