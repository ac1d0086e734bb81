// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/syn_ack_template.h"

#include <cstring>

#include "synfin/wire/ip.h"
#include "synfin/wire/packet.h"
#include "synfin/wire/plain_syn.h"

namespace synfin::stack {
namespace {

// Where what differs lies (RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1).
namespace ipv4 {
constexpr std::size_t kSize = 20, kChecksum = 10, kDestination = 16;
}
namespace ipv6 {
constexpr std::size_t kSize = 40, kDestination = 24;
}
namespace tcp_header {
constexpr std::size_t kDestinationPort = 2, kSequence = 4, kAcknowledgment = 8, kChecksum = 16, kOptions = 20;
}

// 0 only for 0.
inline std::uint16_t folded(std::uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffff'ffff);
  for (int n = 0; n < 3; ++n) sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<std::uint16_t>(sum);
}

// The sum of a header's 32-bit words in host order.
inline std::uint64_t sum_of(const std::byte* p, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < size; at += 4) sum += load_be32(p + at);
  return sum;
}

inline std::uint64_t sum_of(const wire::IpAddress& a, bool v4) {
  return v4 ? a.v4_bits() : sum_of(a.octets().data(), a.octets().size());
}

}  // namespace

bool SynAckTemplate::learn(const wire::Frame& written) {
  const Bytes bytes = written.header_bytes();
  if (bytes.size() > WrittenReply::kMost || written.slice_count != 0) return false;
  std::memcpy(model_.octets.data(), bytes.data(), bytes.size());
  model_.size = static_cast<std::uint16_t>(bytes.size());
  model_.needs_checksum = written.needs_checksum;
  std::byte* const ip = model_.octets.data();
  v4_ = load_u8(ip) >> 4 == 4;
  const std::size_t ip_size = v4_ ? ipv4::kSize : ipv6::kSize;
  std::byte* const tcp = ip + ip_size;
  const std::size_t tcp_size = bytes.size() - ip_size;
  if (v4_) {
    store_be16(ip + ipv4::kChecksum, 0);
    store_be32(ip + ipv4::kDestination, 0);
    ip_sum_ = folded(sum_of(ip, ip_size));
  } else {
    std::memset(ip + ipv6::kDestination, 0, 16);
  }
  store_be16(tcp + tcp_header::kDestinationPort, 0);
  store_be32(tcp + tcp_header::kSequence, 0);
  store_be32(tcp + tcp_header::kAcknowledgment, 0);
  store_be16(tcp + tcp_header::kChecksum, 0);
  const std::size_t at = wire::find_timestamps(tcp + tcp_header::kOptions, tcp_size - tcp_header::kOptions);
  timestamps_at_ = at == 0 ? 0u : static_cast<std::uint32_t>(ip_size + tcp_header::kOptions + at);
  if (timestamps_at_ != 0) std::memset(ip + timestamps_at_, 0, 8);
  // The addresses lie side by side, that of the other end is 0.
  const std::uint64_t source = v4_ ? load_be32(ip + ipv4::kDestination - 4) : sum_of(ip + 8, 16);
  const std::uint64_t pseudo = source + wire::protocol::kTcp + tcp_size;
  tcp_sum_ = folded(pseudo + (model_.needs_checksum ? 0 : sum_of(tcp, tcp_size)));
  if (timestamps_at_ % 2 != 0) forget();
  return known();
}

void SynAckTemplate::write(const tcp::HalfOpen& half, std::uint32_t clock, WrittenReply& out) const {
  out.octets = model_.octets;
  out.size = model_.size;
  out.needs_checksum = model_.needs_checksum;
  std::byte* const ip = out.octets.data();
  const wire::Endpoint& to = half.tuple.remote;
  const std::uint64_t address = sum_of(to.address, v4_);
  std::byte* tcp = ip + ipv6::kSize;
  if (v4_) {
    tcp = ip + ipv4::kSize;
    store_be32(ip + ipv4::kDestination, to.address.v4_bits());
    store_be16(ip + ipv4::kChecksum, static_cast<std::uint16_t>(~folded(ip_sum_ + address)));
  } else {
    std::memcpy(ip + ipv6::kDestination, to.address.octets().data(), 16);
  }
  const std::uint32_t seq = half.iss.raw(), ack = (half.irs + 1).raw();
  store_be16(tcp + tcp_header::kDestinationPort, to.port);
  store_be32(tcp + tcp_header::kSequence, seq);
  store_be32(tcp + tcp_header::kAcknowledgment, ack);
  std::uint64_t sum = std::uint64_t{to.port} + seq + ack;
  if (timestamps_at_ != 0) {
    store_be32(ip + timestamps_at_, clock);
    store_be32(ip + timestamps_at_ + 4, half.ts_recent);
    sum += std::uint64_t{clock} + half.ts_recent;
  }
  if (out.needs_checksum) {
    store_be16(tcp + tcp_header::kChecksum, folded(tcp_sum_ + address));
  } else {
    store_be16(tcp + tcp_header::kChecksum, static_cast<std::uint16_t>(~folded(tcp_sum_ + address + sum)));
  }
}

}  // namespace synfin::stack
