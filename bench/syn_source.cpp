// SPDX-License-Identifier: Apache-2.0
#include "syn_source.h"

#include <array>

#include "synfin/wire/packet.h"

namespace synfin::bench {

SynSource::SynSource(const wire::Endpoint& target, bool timestamps, std::uint64_t seed, wire::BlockPool& pool)
    : pool_(pool), random_(seed) {
  ip_.destination = target.address;
  ip_.protocol = wire::protocol::kTcp;
  tcp_.destination_port = target.port;
  tcp_.flags = wire::Flags::kSyn;
  tcp_.window = {64240};
  wire::TcpOptions& o = tcp_.options;
  o.present = wire::TcpOptions::kMss | wire::TcpOptions::kSackPermitted | wire::TcpOptions::kWindowScale;
  o.mss = target.address.is_v4() ? 1460 : 1440;
  o.window_scale = 7;
  if (timestamps) o.present |= wire::TcpOptions::kTimestamps;
}

wire::IpAddress SynSource::draw_address() {
  if (ip_.destination.is_v4()) return wire::IpAddress::v4(0x0b00'0000u + random_.next() % 0x4000'0000u);
  std::array<std::byte, 16> octets{std::byte{0x20}, std::byte{0x01}, std::byte{0x0d}, std::byte{0xb8}};
  for (std::size_t at = 4; at < octets.size(); at += 4) store_be32(octets.data() + at, random_.next());
  return wire::IpAddress::from_v6_octets(octets.data());
}

void SynSource::fill(std::span<wire::Frame> frames) {
  wire::Frame written;
  for (wire::Frame& frame : frames) {
    ip_.source = draw_address();
    tcp_.source_port = static_cast<std::uint16_t>(1024 + random_.next() % 60'000);
    tcp_.seq = wire::SeqNum{random_.next()};
    tcp_.options.timestamps.value = random_.next();
    wire::emit_tcp_packet(ip_, tcp_, written, wire::FillChecksum::kYes);
    frame.clear();
    frame.add(pool_.copy(written.header_bytes()));
  }
}

}  // namespace synfin::bench
