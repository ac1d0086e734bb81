// SPDX-License-Identifier: Apache-2.0
#include "synfin/packetdrill/virtual_host.h"

#include <algorithm>
#include <array>
#include <utility>

namespace synfin::packetdrill {

namespace {

// Far above the descriptors that the tool opens for itself; see `Object`.
constexpr int kFirstDescriptor = 512;

stack::Config config_of(const tcp::Settings& settings, std::uint32_t mtu) {
  stack::Config config;
  // The source of connections that name none. Others are learnt from bind.
  config.addresses = {*wire::Prefix::parse("192.168.0.1/16"), *wire::Prefix::parse("fd3d:a0b:17d6::1/48")};
  config.mtu = mtu;
  config.settings = settings;
  return config;
}

}  // namespace

VirtualHost::VirtualHost(const tcp::Settings& settings, std::uint32_t mtu)
    : stack_(config_of(settings, mtu), pool_, entropy_),
      sockets_(
          stack_, [this] { return now_; }, kFirstDescriptor) {}

void VirtualHost::deliver(Bytes packet) {
  wire::Frame frame;
  wire::Slice slice = pool_.copy(packet);
  if (slice.size() != packet.size()) return;
  frame.add(std::move(slice));
  stack_.receive(std::span(&frame, 1), now_);
  settle();
}

void VirtualHost::settle() {
  std::array<wire::Frame, 16> frames;
  while (const std::size_t n = stack_.transmit(frames, now_)) {
    for (const wire::Frame& frame : std::span(frames).first(n)) {
      SentPacket& packet = packets_.emplace_back(now_, std::vector<std::byte>(frame.size()));
      frame.copy_out(0, packet.octets);
    }
  }
}

void VirtualHost::run_to(Instant then) {
  while (stack_.next_deadline() <= then) {
    now_ = std::max(now_, stack_.next_deadline());
    stack_.advance(now_);
    settle();
  }
  now_ = std::max(now_, then);
}

std::optional<SentPacket> VirtualHost::take_packet() {
  if (packets_.empty()) return std::nullopt;
  SentPacket packet = std::move(packets_.front());
  packets_.pop_front();
  return packet;
}

}  // namespace synfin::packetdrill
