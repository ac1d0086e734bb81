// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/new_reno.h"

#include <algorithm>

namespace synfin::tcp {
namespace {

// Far beyond any window that TCP can offer (2^30), and far from overflow.
constexpr std::uint32_t kMaxWindow = 1u << 30;

}  // namespace

NewReno::NewReno(std::uint32_t mss, std::uint32_t initial_segments)
    : mss_(mss), initial_(mss * initial_segments), window_(initial_), threshold_(kMaxWindow) {}

void NewReno::on_ack(const AckEvent& e) {
  // A window that was not used says nothing about the path (RFC 7661 §4.3): it does not grow.
  if (!e.window_limited) return;
  std::uint32_t acked = std::min(e.acked, kMaxWindow);
  if (window_ < threshold_) {
    // By all that was acknowledged, as Linux does: RFC 3465's limit of two segments an ACK would punish
    // receivers that acknowledge rarely, and splitting ACKs gains nothing.
    const std::uint32_t grow = std::min(acked, threshold_ - window_);
    window_ = std::min(window_ + grow, kMaxWindow);
    acked -= grow;
  }
  counted_ += acked;
  if (counted_ >= window_) {
    counted_ -= window_;
    window_ = std::min(window_ + mss_, kMaxWindow);
  }
}

// "ssthresh = max (FlightSize / 2, 2*SMSS)"  (RFC 5681 §3.1, equation 4)
void NewReno::halve(std::uint32_t in_flight) {
  threshold_ = std::max(in_flight / 2, 2 * mss_);
  counted_ = 0;
}

void NewReno::on_loss(std::uint32_t in_flight, Instant) {
  halve(in_flight);
  window_ = threshold_;
}

void NewReno::on_timeout(std::uint32_t in_flight, Instant) {
  halve(in_flight);
  window_ = mss_;
}

void NewReno::on_idle() {
  window_ = std::min(window_, initial_);
}

void NewReno::restore(std::uint32_t window, std::uint32_t threshold) {
  window_ = std::max(window_, window);
  threshold_ = std::max(threshold_, threshold);
}

void NewReno::set_mss(std::uint32_t mss) {
  const std::uint32_t segments = std::max(window_ / mss_, 1u);
  initial_ = initial_ / mss_ * mss;
  mss_ = mss;
  window_ = segments * mss;
}

}  // namespace synfin::tcp
