// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/bbr.h"

#include <bit>
#include <memory>
#include <new>
#include <utility>

#include "synfin/tcp/congestion/bbr_model.h"

namespace synfin::tcp {

Bbr::Bbr(std::uint32_t mss, std::uint32_t window, std::uint32_t initial_window, std::uint32_t seed)
    : place_(std::bit_cast<Place>(new (std::nothrow) BbrModel(mss, window, initial_window, seed))),
      window_(window) {}

Bbr::Bbr(Bbr&& from) noexcept : place_(std::exchange(from.place_, Place{})), window_(from.window_) {}

Bbr& Bbr::operator=(Bbr from) noexcept {
  std::swap(place_, from.place_);
  window_ = from.window_;
  return *this;
}

Bbr::~Bbr() {
  delete model();
}

BbrModel* Bbr::model() const {
  return std::bit_cast<BbrModel*>(place_);
}

std::uint64_t Bbr::pacing_rate() const {
  return has_model() ? model()->pacing_rate() : 0;
}

void Bbr::on_ack(const AckEvent& e) {
  if (!has_model()) return;
  model()->on_ack(e);
  window_ = model()->window();
}

void Bbr::on_loss(const LossEvent& e) {
  if (!has_model()) return;
  model()->on_loss(e);
  window_ = model()->window();
}

// No window is given up: what the path carries is known, and idleness does not change it.
void Bbr::on_idle(const IdleEvent& e) {
  if (!has_model()) return;
  model()->on_idle(e.now);
  window_ = model()->window();
}

void Bbr::restore(const Bbr&) {
  if (!has_model()) return;
  model()->undo();
  window_ = model()->window();
}

void Bbr::set_mss(std::uint32_t mss) {
  if (has_model()) model()->set_mss(mss);
}

}  // namespace synfin::tcp
