// SPDX-License-Identifier: Apache-2.0
//
// For tests of Accurate ECN (RFC 9768): a raw peer that speaks it.
#pragma once

#include "raw_host.h"

namespace synfin::protocol_test {

class AccEcnHost : public RawHost {
 protected:
  // AE, CWR and ECE as one number.
  static constexpr std::uint8_t kNone = 0, kClassic = 3, kAccurate = 7;
  // How a SYN or SYN-ACK arrived.
  static constexpr std::uint8_t kNotEct = 2, kEct1 = 3, kEct0 = 4, kMarked = 6;

  void SetUp() override { stack_.settings().tcp_ecn = 3; }

  static TcpHeader with_ace(TcpHeader h, std::uint8_t ace) {
    h.set_ace(ace);
    return h;
  }
  static std::uint8_t codepoint(const Packet& p) { return p.ip.traffic_class & wire::ecn::kMask; }
  static bool is_capable(const Packet& p) { return codepoint(p) == wire::ecn::kEct0; }
  static bool has_octets(const Packet& p) { return p.tcp.options.has(TcpOptions::kEcnOctets); }

  /// A connection that the peer opened, with AccECN.
  void open(std::uint8_t third_code = kNotEct, TcpHeader h = syn()) {
    listener_ = listens();
    syn_ack_ = knocks(peer(), with_ace(h, kAccurate)).tcp;
    gives(peer(), with_ace(third(syn_ack_), third_code));
    connection_ = accepts(listener_);
    (void)sent();
  }
  /// One that this host opened; the SYN-ACK has `code`.
  void open_actively(std::uint8_t code = kNotEct, std::string_view early = {}) {
    connection_ = connects({peer().address, 80});
    const Packet ours = only();
    port_ = ours.tcp.source_port;
    EXPECT_EQ(ours.tcp.ace(), kAccurate);
    if (!early.empty()) writes(connection_, early);
    TcpHeader h = with_ace(header(SYN | ACK, kPeerIss, ours.tcp.seq + 1), code);
    h.options.present = TcpOptions::kMss;
    h.options.mss = 1400;
    syn_ack_.seq = ours.tcp.seq;  // as if it were ours: what `ack` counts from
    answers(h);
  }
  /// From the peer of `open_actively`.
  void answers(const TcpHeader& h, std::string_view text = {}) {
    gives({peer().address, 80}, h, text, false, wire::Endpoint{own().address, port_});
  }
  /// The peer has sent `theirs` octets before, has got `ours`, and its ACE field is `ace`.
  TcpHeader ack(std::uint32_t theirs, std::uint32_t ours, std::uint8_t ace) const {
    return with_ace(header(ACK, kPeerIss + 1 + theirs, syn_ack_.seq + 1 + ours), ace);
  }
  static TcpHeader with_octets(TcpHeader h, std::uint32_t ect0, std::uint32_t ce, std::uint32_t ect1 = 1,
                               std::uint8_t fields = 3) {
    h.options.present |= TcpOptions::kEcnOctets;
    h.options.ecn = {.fields = fields, .reversed = false, .ect0 = ect0, .ce = ce, .ect1 = ect1};
    return h;
  }
  tcp::Info info() const { return stack_.info(connection_, now_).value_or(tcp::Info{}); }
  std::uint32_t window() const { return stack_.status(connection_)->congestion_window; }

  Handle listener_, connection_;
  TcpHeader syn_ack_;
  std::uint16_t port_ = 0;
};

}  // namespace synfin::protocol_test
