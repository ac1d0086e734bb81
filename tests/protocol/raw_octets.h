// SPDX-License-Identifier: Apache-2.0
//
// Packets octet by octet, for what headers written by the stack's own code cannot hold: unknown and damaged
// options of TCP and IP, ICMP messages of any type.
#pragma once

#include "raw_host.h"
#include "synfin/wire/checksum.h"

namespace synfin::protocol_test {

class RawOctets : public RawHost {
 protected:
  using Octets = std::vector<std::byte>;
  static Octets octets(std::initializer_list<int> values) {
    Octets out;
    for (const int v : values) out.push_back(static_cast<std::byte>(v));
    return out;
  }

  /// `h` without options of its own and with `tcp_options` instead; `ip_options` of IPv4. Both a multiple of
  /// four octets.
  void gives_octets(const wire::Endpoint& from, TcpHeader h, const Octets& tcp_options,
                    std::string_view text = {}, const Octets& ip_options = {}) {
    h.source_port = from.port;
    h.destination_port = own().port;
    h.options = {};
    Octets segment(wire::emitted_size(h));
    wire::emit_tcp(h, segment);
    segment.insert(segment.end(), tcp_options.begin(), tcp_options.end());
    segment[12] = static_cast<std::byte>(segment.size() / 4 << 4);
    for (const char c : text) segment.push_back(static_cast<std::byte>(c));
    seal(from.address, own().address, wire::protocol::kTcp, segment, 16);
    gives_packet(from.address, own().address, wire::protocol::kTcp, segment, ip_options);
  }

  /// An ICMP message of any type and code, quoting a segment that the stack sent; `value` is the second word
  /// of its header.
  void gives_icmp(std::uint8_t type, std::uint8_t code, const Packet& about, std::uint32_t value = 0) {
    Octets message(8);
    message[0] = static_cast<std::byte>(type);
    message[1] = static_cast<std::byte>(code);
    store_be32(message.data() + 4, value);
    wire::Frame quoted;
    wire::emit_tcp_packet(about.ip, about.tcp, quoted, wire::FillChecksum::kYes);
    const Bytes quote = quoted.header_bytes();
    message.insert(message.end(), quote.begin(), quote.end());
    const std::uint8_t protocol = v4() ? wire::protocol::kIcmp : wire::protocol::kIcmpV6;
    seal(about.ip.destination, about.ip.source, protocol, message, 2);
    gives_packet(about.ip.destination, about.ip.source, protocol, message);
  }

 private:
  void seal(const wire::IpAddress& from, const wire::IpAddress& to, std::uint8_t protocol, Octets& message,
            std::size_t field) const {
    wire::ChecksumAccumulator sum;
    // ICMP for IPv4 is the one without a pseudo-header (RFC 792).
    if (protocol != wire::protocol::kIcmp)
      sum.add_pseudo_header(from, to, protocol, static_cast<std::uint32_t>(message.size()));
    sum.add(message);
    store_be16(message.data() + field, sum.finish());
  }

  void gives_packet(const wire::IpAddress& from, const wire::IpAddress& to, std::uint8_t protocol,
                    const Octets& payload, const Octets& ip_options = {}) {
    wire::IpHeader ip;
    ip.source = from;
    ip.destination = to;
    ip.protocol = protocol;
    Octets packet(wire::emitted_size(ip));
    wire::emit_ip(ip, ip_options.size() + payload.size(), packet);
    if (!ip_options.empty()) {
      packet.insert(packet.end(), ip_options.begin(), ip_options.end());
      packet[0] = static_cast<std::byte>(0x40 | packet.size() / 4);
      store_be16(packet.data() + 10, 0);
      store_be16(packet.data() + 10, static_cast<std::uint16_t>(~wire::ones_sum(packet)));
    }
    packet.insert(packet.end(), payload.begin(), payload.end());
    wire::Frame frame;
    frame.add(pool_.copy(packet));
    stack_.receive(std::span{&frame, 1}, now_);
    collect();
  }
};

}  // namespace synfin::protocol_test
