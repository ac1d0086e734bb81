// SPDX-License-Identifier: Apache-2.0
//
// RFC 9293 §3.1 to §3.4 and §3.7: what a segment says. Requirements that no other test shows.
#include <algorithm>

#include "raw_octets.h"

namespace synfin::protocol_test {
namespace {

std::uint32_t octets_in(const std::vector<wire::TcpPacket>& packets) {
  std::uint32_t n = 0;
  for (const auto& p : packets) n += static_cast<std::uint32_t>(p.payload_size);
  return n;
}

// "large window sizes will appear like negative windows": with the sign bit set they are used to the end.
// RFC 9293: MUST-1.
LADDER_TEST(Window, WithTheHighestBitSetIsLarge) {
  for (const std::uint16_t window : {std::uint16_t{0x8000}, std::uint16_t{0xffff}}) {
    Ladder l(variant,
             {.peer = {.window = window}, .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; }});
    l.opened_passively().app_sets_no_delay().app_sends(100'000);
    const std::uint32_t sent = octets_in(l.take_all());
    EXPECT_LE(sent, window) << l.text();
    EXPECT_GT(sent, window - 1460u) << l.text();
  }
}

// Sixteen bits would be full four times over.
// RFC 9293: REC-1.
LADDER_TEST(Window, MayHoldMoreThanSixteenBits) {
  Ladder l(variant, {.peer = {.wscale = 8, .window = 60'000},
                     .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 1000; }});
  l.opened_passively().app_sets_no_delay().app_sends(300'000);
  EXPECT_EQ(octets_in(l.take_all()), 300'000u) << l.text();
}

// Another's window may be closed without the other direction suffering: RST, ACK and URG count.
// RFC 9293: MUST-66.
LADDER_TEST(ZeroReceiveWindow, ResetIsProcessed) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 4000;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively().receives({.seq = -1, .ack = 1});
  const auto answer = l.take_all();
  ASSERT_EQ(answer.size(), 1u) << l.text();
  const std::uint32_t window = answer[0].tcp.window.field;
  std::int64_t seq = 1;
  for (std::uint32_t left = window; left > 0;) {
    const std::uint32_t len = std::min(1000u, left);
    l.receives({.seq = seq, .ack = 1, .len = len});
    seq += len;
    left -= len;
    l.sends_within(40_ms, {.flags = ACK, .ack = seq});
  }
  l.receives({.seq = seq, .ack = 1, .len = 1}).sends({.flags = ACK, .ack = seq, .window = 0});
  l.receives({.flags = RST, .seq = seq}).sends_nothing().state(State::kClosed).event(kFailed);
  l.failure(Error::kReset);
}

// Even where it says what goes without saying.
// RFC 9293: MAY-3.
LADDER_TEST(MaximumSegmentSize, IsAnnouncedEvenWhereItIsTheDefault) {
  const bool v4 = variant.family == wire::Family::kIpv4;
  const std::uint16_t size = v4 ? 536 : 1220;
  {
    Ladder l(variant, {.mtu = v4 ? 576u : 1280u});
    l.app_connects().sends({.flags = SYN, .mss = size});
  }
  Ladder l(variant, {.mtu = v4 ? 576u : 1280u});
  l.app_listens().receives({.flags = SYN, .mss = 1460}).sends({.flags = SYN | ACK, .mss = size});
}

class Options : public RawOctets {
 protected:
  // MSS where it is not sent by honest peers, an experimental kind, one nobody knows, and padding.
  const Octets strange_ = octets({2, 4, 2, 24, 1, 253, 4, 0xf9, 0x89, 200, 5, 1, 2, 3, 1, 0});

  /// ESTABLISHED, its SYN and third segment with strange options.
  Handle opens() {
    if (!listener_) listener_ = listens();
    gives_octets(peer(), syn(), strange_);
    syn_ack_ = only();
    EXPECT_EQ(syn_ack_.flags(), SYN | ACK);
    gives_octets(peer(), third(syn_ack_.tcp), strange_);
    return accepts(*listener_);
  }
  /// From here on by the peer: `offset` octets behind its SYN.
  TcpHeader next(std::uint8_t flags, std::uint32_t offset, std::uint32_t acknowledged = 0) const {
    return header(flags, kPeerIss + 1 + offset, syn_ack_.tcp.seq + (1 + acknowledged));
  }

  std::optional<Handle> listener_;
  Packet syn_ack_;
};
RAW_HOST_SUITE(Options);

// RFC 9293: MUST-5, MUST-6.
TEST_P(Options, AreTakenInEverySegmentAndTheUnknownIgnored) {
  const Handle connection = opens();
  gives_octets(peer(), next(ACK, 0), strange_, "data");
  EXPECT_EQ(reads(connection), "data");
  runs_for(40_ms + kSlack);
  (void)sent();
  writes(connection, "answer");
  EXPECT_EQ(only().text, "answer");
  gives_octets(peer(), next(ACK, 4, 6), strange_);
  runs_for(5_s);
  sends_nothing();  // it was acknowledged
  gives_octets(peer(), next(FIN | ACK, 4, 6), strange_);
  EXPECT_EQ(state(peer()), State::kCloseWait);
  EXPECT_EQ(only().tcp.ack, next(ACK, 5).seq);
  gives_octets(peer(), next(RST, 5), strange_);
  EXPECT_EQ(stack_.failure(connection), Error::kReset);
}

// The MSS beside the unknown options was read.
// RFC 9293: MUST-6, MUST-64.
TEST_P(Options, BesideUnknownOnesAreRead) {
  listener_ = listens();
  gives_octets(peer(), syn(), octets({1, 253, 4, 0xf9, 0x89, 200, 3, 9, 2, 4, 2, 24}));  // 536, unaligned
  gives(peer(), third(only().tcp));
  const Handle connection = accepts(*listener_);
  writes(connection, std::string(2000, 'x'));
  const auto segments = sent();
  ASSERT_GE(segments.size(), 2u);
  EXPECT_EQ(segments[0].text.size(), 536u);
}

// Neither loops, nor a crash, nor a reset by whoever can forge one octet.
// RFC 9293: MUST-7.
TEST_P(Options, OfIllegalLengthChangeNothing) {
  const Octets illegal[] = {
      octets({253, 0, 1, 1}), octets({253, 1, 1, 1}),   octets({1, 1, 1, 253}),
      octets({253, 5, 1, 1}), octets({253, 255, 1, 1}), octets({2, 0, 5, 180}),
      octets({2, 3, 5, 1}),   octets({8, 11, 0, 0}),    octets({1, 2, 5, 180}),
  };
  listener_ = listens();
  for (const Octets& options : illegal) gives_octets(peer(7), syn(), options);
  sends_nothing();
  EXPECT_EQ(half_open(), 0u);
  const Handle connection = opens();
  for (const Octets& options : illegal) {
    gives_octets(peer(), next(ACK, 0), options, "lost");
    gives_octets(peer(), next(FIN | ACK, 0), options);
    gives_octets(peer(), next(RST, 0), options);
  }
  runs_for(1_s);
  sends_nothing();
  EXPECT_EQ(state(peer()), State::kEstablished);
  EXPECT_EQ(reads(connection), "");
  EXPECT_EQ(count(Reason::kTcpOptionLength) + count(Reason::kTcpOptionMalformed), 4 * std::size(illegal));
  gives_octets(peer(), next(ACK, 0), octets({1, 1, 1, 0}), "good");
  EXPECT_EQ(reads(connection), "good");
}

// In every segment of a life: handshake, text, acknowledgement, retransmission, keep-alive, FIN and reset.
// RFC 9293: MUST-65.
TEST_P(Options, OnlyASynCarriesTheMaximumSegmentSize) {
  stack_.settings().tcp_keepalive_time = 10_s;
  const auto listener = listens();
  std::vector<Packet> all;
  const auto keeps = [&] {
    for (Packet& p : sent()) all.push_back(std::move(p));
  };
  gives(peer(), syn());
  keeps();
  ASSERT_EQ(all.size(), 1u);
  syn_ack_ = all[0];
  gives(peer(), third(syn_ack_.tcp));
  const Handle connection = accepts(listener);
  ASSERT_TRUE(stack_.set_options(connection, {.keepalive = true}, now_));
  gives(peer(), next(ACK, 0), "text");
  EXPECT_EQ(reads(connection), "text");
  runs_for(1_s);
  keeps();
  writes(connection, "answer");
  runs_for(1_s);
  keeps();
  gives(peer(), next(ACK, 4, 6));
  runs_for(11_s);
  keeps();
  gives(peer(), next(ACK, 4, 6));
  EXPECT_TRUE(stack_.shutdown(connection, Shutdown::kSend, now_));
  keeps();
  stack_.abort(connection, now_);
  keeps();
  (void)connects(peer(2));
  keeps();
  std::size_t with_syn = 0;
  std::uint8_t seen = 0;
  for (const Packet& p : all) {
    EXPECT_EQ(p.tcp.options.has(TcpOptions::kMss), p.tcp.flags.syn());
    with_syn += p.tcp.flags.syn() ? 1 : 0;
    seen |= p.flags();
  }
  EXPECT_EQ(with_syn, 2u);
  EXPECT_EQ(seen & (SYN | FIN | RST | ACK), SYN | FIN | RST | ACK);
  EXPECT_GE(all.size(), 8u);
}

}  // namespace
}  // namespace synfin::protocol_test
