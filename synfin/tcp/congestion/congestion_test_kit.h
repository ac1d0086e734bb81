// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/tcp/congestion/ack_event.h"
#include "synfin/tcp/rate_sample.h"

namespace synfin::tcp {

/// The segment that the tests of controllers count in.
inline constexpr std::uint32_t kMss = 1000;

/// Flows with endless text over one bottleneck with a tail-drop queue, as their controllers see it: windows
/// and rates are kept to, every segment is acknowledged, and what is missing before one that arrived is lost.
/// What is lost is not sent again; new text stands for it.
template <class Controller>
class Bottleneck {
 public:
  struct Flow {
    Controller controller;
    Instant begins{};
    bool app_limited = false;  // the program always seems to have run dry
    bool paused = false;       // … and has
    std::uint64_t delivered = 0, lost = 0;

    struct Packet {
      SendMark mark;
      Instant sent_at;
      std::uint64_t number = 0;
      bool lost = false;
    };
    DeliveryRate rate{};
    std::deque<Packet> outstanding{};
    std::deque<std::pair<Instant, std::uint64_t>> arrivals{};  // of acknowledgements
    std::uint64_t next = 0, recover_until = 0;
    std::uint32_t in_network = 0;
    bool recovering = false;
    bool begun = false;
    Instant next_send{}, last_heard{};
  };

  /// Octets a second, and octets that wait at most.
  Bottleneck(std::uint64_t octets_a_second, Duration delay, std::uint64_t most_queued)
      : rate(octets_a_second), queue(most_queued), round_trip(delay) {}

  Flow& add(Controller controller, Instant begins = {}) {
    flows_.push_back(std::make_unique<Flow>(Flow{.controller = std::move(controller), .begins = begins}));
    return *flows_.back();
  }
  /// Until `done` or for so long; true: done.
  bool run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = now + limit;
    while (now < end) {
      for (auto& f : flows_) send(*f);
      if (done()) return true;
      now = std::min(next_time(), end);
      for (auto& f : flows_) hear(*f);
    }
    return done();
  }
  void run_for(Duration d) {
    (void)run_until([] { return false; }, d);
  }
  /// Octets that wait.
  std::uint64_t queued() const {
    return busy_until_ > now ? rate * static_cast<std::uint64_t>((busy_until_ - now).us()) / 1'000'000 : 0;
  }
  std::uint64_t product() const { return rate * static_cast<std::uint64_t>(round_trip.us()) / 1'000'000; }

  std::uint64_t rate, queue;
  Duration round_trip;
  std::uint32_t loss = 0;  // parts per million
  Instant now = Instant::from_ns(1'000'000'000);
  /// Sees a flow behind each acknowledgement.
  std::function<void(Flow&)> on_heard{};

 private:
  static constexpr Duration kTimeout = Duration::seconds(1);

  void send(Flow& f) {
    if (now < f.begins || f.paused) return;
    Controller& c = f.controller;
    if (!f.begun) {
      f.begun = true;
      f.rate.begin(77, now, true);
      f.last_heard = now;
    }
    while (f.in_network + kMss <= c.window() && now >= f.next_send) {
      if (f.outstanding.empty()) f.rate.begin(f.rate.delivered(), now, f.app_limited);
      if (f.app_limited) f.rate.run_dry(f.in_network);
      f.in_network += kMss;
      f.outstanding.push_back({f.rate.mark(f.in_network), now, f.next});
      const bool dropped = queued() + kMss > queue || (loss > 0 && luck_.below(1'000'000) < loss);
      if (!dropped) {
        busy_until_ = std::max(busy_until_, now) + time_of(kMss, rate);
        f.arrivals.emplace_back(busy_until_ + round_trip, f.next);
      }
      ++f.next;
      if (c.pacing_rate() > 0) f.next_send = std::max(f.next_send, now) + time_of(kMss, c.pacing_rate());
    }
  }
  Instant next_time() const {
    Instant next = Instant::never();
    for (const auto& f : flows_) {
      if (!f->begun) next = std::min(next, f->begins);
      if (!f->arrivals.empty()) next = std::min(next, f->arrivals.front().first);
      if (f->begun && !f->paused && f->in_network + kMss <= f->controller.window())
        next = std::min(next, f->next_send);
      if (!f->outstanding.empty()) next = std::min(next, f->last_heard + kTimeout);
    }
    return std::max(next, now + Duration::nanoseconds(1));
  }
  void hear(Flow& f) {
    while (!f.arrivals.empty() && f.arrivals.front().first <= now) {
      const std::uint64_t number = f.arrivals.front().second;
      f.arrivals.pop_front();
      acknowledge(f, number);
      if (on_heard) on_heard(f);
    }
    if (!f.outstanding.empty() && now - f.last_heard >= kTimeout) time_out(f);
  }
  LossEvent event(const Flow& f, CongestionSign sign) const {
    LossEvent e;
    e.now = now;
    e.sign = sign;
    e.in_flight = static_cast<std::uint32_t>(f.outstanding.size()) * kMss;
    e.in_network = f.in_network;
    e.delivered = f.rate.delivered();
    e.recovering = f.recovering;
    return e;
  }
  void lose_first(Flow& f) {
    const typename Flow::Packet p = f.outstanding.front();
    f.outstanding.pop_front();
    f.rate.segment_lost(kMss);
    f.lost += kMss;
    LossEvent e = event(f, CongestionSign::kSegment);
    e.start = wire::SeqNum{static_cast<std::uint32_t>(p.number * kMss)};
    e.size = kMss;
    e.tx_in_network = p.mark.in_flight;
    e.lost_since = f.rate.lost() - p.mark.lost;
    e.app_limited = p.mark.app_limited;
    f.controller.on_loss(e);
    f.in_network -= kMss;
  }
  void acknowledge(Flow& f, std::uint64_t number) {
    f.last_heard = now;
    if (f.outstanding.empty() || f.outstanding.front().number > number) return;  // taken for lost
    if (f.recovering && number >= f.recover_until) f.recovering = false;
    bool any_lost = false;
    while (f.outstanding.front().number < number) {
      lose_first(f);
      any_lost = true;
    }
    const typename Flow::Packet p = f.outstanding.front();
    f.outstanding.pop_front();
    f.in_network -= kMss;
    f.delivered += kMss;
    f.rate.segment_delivered(p.mark, kMss, p.sent_at,
                             wire::SeqNum{static_cast<std::uint32_t>((p.number + 1) * kMss)}, now);
    if (any_lost && !f.recovering) {
      f.controller.on_loss(event(f, CongestionSign::kLost));
      f.recovering = true;
      f.recover_until = f.next;
    }
    least_ = std::min(least_, now - p.sent_at);
    AckEvent e;
    e.now = now;
    e.acked = f.recovering ? 0 : kMss;
    e.window_limited = e.window_filled = f.in_network + 2 * kMss > f.controller.window();
    e.round_trip = now - p.sent_at;
    e.smoothed = now - p.sent_at;
    e.newly_delivered = kMss;
    e.delivered = f.rate.delivered();
    e.in_network = f.in_network;
    e.recovering = f.recovering;
    e.rate = f.rate.take(least_);
    f.controller.on_ack(e);
  }
  void time_out(Flow& f) {
    f.last_heard = now;
    while (!f.outstanding.empty()) lose_first(f);
    f.controller.on_loss(event(f, CongestionSign::kTimeout));
    f.recovering = true;
    f.recover_until = f.next;
  }
  static Duration time_of(std::uint64_t octets, std::uint64_t at) {
    return Duration::nanoseconds(static_cast<std::int64_t>(octets * 1'000'000'000 / at));
  }

  std::vector<std::unique_ptr<Flow>> flows_;
  Instant busy_until_{};
  Duration least_ = Duration::seconds(1000);
  SeededEntropy luck_{1};
};

}  // namespace synfin::tcp
