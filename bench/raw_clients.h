// SPDX-License-Identifier: Apache-2.0
//
// Any number of clients that keep next to nothing: what a server takes for its connections is then what the
// process takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "synfin/stack/stack.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/packet.h"

namespace synfin::bench {

class RawClients {
 public:
  static constexpr std::size_t kText = 64;

  /// `most` clients of the server that listens at `server`; their memory is taken here.
  RawClients(std::size_t most, const wire::Endpoint& server, wire::BlockPool& pool)
      : server_(server), pool_(pool), states_(most) {}

  /// A packet of client `n`, as a link delivers it.
  void syn(std::size_t n, wire::Frame& out) {
    wire::TcpHeader h;
    h.flags = wire::Flags::kSyn;
    h.seq = first_number(n);
    h.options.present = wire::TcpOptions::kMss | wire::TcpOptions::kSackPermitted |
                        wire::TcpOptions::kWindowScale | wire::TcpOptions::kTimestamps;
    h.options.mss = 1460;
    h.options.window_scale = 7;
    h.options.timestamps.value = 1;
    write(n, h, {}, out);
  }
  void ack(std::size_t n, wire::Frame& out) { write(n, header_of(n), {}, out); }
  void ask(std::size_t n, wire::Frame& out) {
    static constexpr std::array<std::byte, kText> kQuestion{};
    write(n, header_of(n), kQuestion, out);
    states_[n].asked += kText;
  }
  /// Takes what the server says to whichever client that is for; its number, and how much text there was.
  struct Heard {
    std::size_t client;
    std::size_t text;
  };
  std::optional<Heard> hear(const wire::Frame& frame) {
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    if (!ip) return std::nullopt;
    const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
    if (!packet) return std::nullopt;
    const std::size_t n = std::size_t{ip->header.destination.v4_bits() - kFirstAddress} * kPorts +
                          (packet->tcp.destination_port - kFirstPort);
    if (n >= states_.size()) return std::nullopt;
    const bool syn = packet->tcp.flags.syn();
    states_[n].next =
        (packet->tcp.seq + (static_cast<std::uint32_t>(packet->payload_size) + (syn ? 1 : 0))).raw();
    return Heard{n, packet->payload_size};
  }

 private:
  static constexpr std::uint32_t kFirstAddress = 0x0b00'0001;
  static constexpr std::uint16_t kFirstPort = 1024;
  static constexpr std::uint32_t kPorts = 60'000;
  struct State {
    std::uint32_t next = 0;   // the server's next number
    std::uint32_t asked = 0;  // octets sent
  };

  static wire::SeqNum first_number(std::size_t n) {
    return wire::SeqNum{static_cast<std::uint32_t>(n) * 0x9e37'79b9u};
  }
  wire::TcpHeader header_of(std::size_t n) const {
    wire::TcpHeader h;
    h.flags = wire::Flags::kAck;
    h.seq = first_number(n) + (1 + states_[n].asked);
    h.ack = wire::SeqNum{states_[n].next};
    h.options.present = wire::TcpOptions::kTimestamps;
    h.options.timestamps.value = 1;
    return h;
  }
  void write(std::size_t n, wire::TcpHeader h, Bytes text, wire::Frame& out) {
    wire::IpHeader ip;
    ip.source = wire::IpAddress::v4(kFirstAddress + static_cast<std::uint32_t>(n / kPorts));
    ip.destination = server_.address;
    ip.protocol = wire::protocol::kTcp;
    h.source_port = static_cast<std::uint16_t>(kFirstPort + n % kPorts);
    h.destination_port = server_.port;
    h.window = {64240};
    wire::Frame written;
    if (!text.empty()) written.add(pool_.copy(text));
    wire::emit_tcp_packet(ip, h, written, wire::FillChecksum::kYes);
    std::array<std::byte, wire::Frame::kHeaderCapacity + kText> packet;
    const auto whole = std::span{packet}.first(written.size());
    written.copy_out(0, whole);
    out.clear();
    out.add(pool_.copy(whole));
  }

  wire::Endpoint server_;
  wire::BlockPool& pool_;
  std::vector<State> states_;
};

}  // namespace synfin::bench
