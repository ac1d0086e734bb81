// SPDX-License-Identifier: Apache-2.0
#include "bulk.h"

#include <algorithm>
#include <array>
#include <span>

namespace synfin::netsim {
namespace {

sim::NetworkOptions options(tcp::CongestionControl control, const Path& path, std::uint64_t seed) {
  sim::NetworkOptions o;
  o.seed = seed;
  o.settings.tcp_congestion_control = control;
  o.faults = {{.loss = path.loss,
               .reorder = path.reorder,
               .reorder_by = path.reorder_by,
               .delay = path.round_trip / 2,
               .rate = path.rate,
               .queue = path.queue},
              {.delay = path.round_trip / 2}};
  return o;
}

}  // namespace

Bulk::Bulk(tcp::CongestionControl control, const Path& path, std::uint64_t octets, std::uint64_t seed)
    : net_(options(control, path, seed)), buffer_(64 << 10), octets_(octets), began_(net_.now()) {
  net_.set_on_step([this] { step(); });
  const wire::Endpoint to{net_.address(1, wire::Family::kIpv4), 80};
  listener_ = net_.host(1).listen(to, {}, net_.now()).value();
  client_ = net_.host(0).connect(to, {}, net_.now()).value();
}

std::optional<Duration> Bulk::run(Duration limit) {
  if (!net_.run_until([this] { return ended_; }, limit) || received_ != octets_) return std::nullopt;
  return last_read_ - began_;
}

void Bulk::step() {
  for (std::size_t host = 0; host < 2; ++host) {
    while (const auto event = net_.host(host).poll_event()) {
      if (event->handle == listener_ && !server_)
        server_ = net_.host(1).accept(listener_, net_.now()).value();
      if (host == 0) write();
    }
  }
  if (server_ && !ended_) read();
}

void Bulk::write() {
  while (sent_ < octets_) {
    const std::array<Bytes, 1> parts = {
        std::span{buffer_}.first(std::min<std::uint64_t>(buffer_.size(), octets_ - sent_))};
    const auto n = net_.host(0).send(client_, parts, net_.now());
    if (!n) return;
    sent_ += *n;
    if (sent_ == octets_) (void)net_.host(0).shutdown(client_, stack::Shutdown::kSend, net_.now());
  }
}

void Bulk::read() {
  const std::array<MutableBytes, 1> parts = {buffer_};
  while (const auto n = net_.host(1).receive(*server_, parts, net_.now())) {
    if (*n == 0) {
      ended_ = true;
      return;
    }
    received_ += *n;
    last_read_ = net_.now();
  }
}

}  // namespace synfin::netsim
