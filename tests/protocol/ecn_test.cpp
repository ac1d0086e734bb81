// SPDX-License-Identifier: Apache-2.0
//
// Explicit congestion notification: agreeing on it (RFC 3168 §6.1.1), and what it does then (§6.1.2, §6.1.3).
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

class Ecn : public RawHost {
 protected:
  static TcpHeader asking(TcpHeader h) {
    h.flags = h.flags.with(ECE | CWR);
    return h;
  }
  bool marks(const Packet& p) const { return (p.ip.traffic_class & wire::ecn::kMask) == wire::ecn::kEct0; }
  bool unmarked(const Packet& p) const { return (p.ip.traffic_class & wire::ecn::kMask) == 0; }
  wire::Endpoint client_of(const Packet& p) const { return {own().address, p.tcp.source_port}; }

  // A connection that a peer opened with ECN; its SYN-ACK.
  void open() {
    listener_ = listens();
    syn_ack_ = knocks(peer(), asking(syn()));
    gives(peer(), third(syn_ack_.tcp));
    connection_ = accepts(listener_);
    (void)sent();
  }
  TcpHeader ack(std::uint32_t theirs, std::uint32_t ours, std::uint8_t more = 0) const {
    return header(static_cast<std::uint8_t>(ACK | more), kPeerIss + 1 + theirs, syn_ack_.tcp.seq + 1 + ours);
  }

  Handle listener_, connection_;
  Packet syn_ack_;
};
RAW_HOST_SUITE(Ecn);

// RFC 9293: SHLD-8.
TEST_P(Ecn, IsAgreedToWhenThePeerAsks) {
  for (const std::uint32_t setting : {1u, 2u}) {
    stack_.settings().tcp_ecn = setting;
    const Handle listener = listens();
    const Packet syn_ack = knocks(peer(), asking(syn()));
    EXPECT_EQ(syn_ack.flags(), SYN | ACK | ECE) << "an ECN-setup SYN-ACK has no CWR";
    EXPECT_TRUE(unmarked(syn_ack)) << "§6.1.1: no SYN and no SYN-ACK is ECN-capable";
    EXPECT_EQ(knocks(peer(), asking(syn())).flags(), SYN | ACK | ECE) << "the same again";
    stack_.close(listener, now_);
  }
}

TEST_P(Ecn, IsNotAgreedToWithoutTheSettingOrTheQuestion) {
  stack_.settings().tcp_ecn = 0;
  listens();
  EXPECT_EQ(knocks(peer(1), asking(syn())).flags(), SYN | ACK);
  stack_.settings().tcp_ecn = 2;
  EXPECT_EQ(knocks(peer(2)).flags(), SYN | ACK);
  for (const std::uint8_t half : std::initializer_list<std::uint8_t>{ECE, CWR}) {
    TcpHeader h = syn();
    h.flags = h.flags.with(half);
    EXPECT_EQ(knocks(peer(10u + half), h).flags(), SYN | ACK) << "one bit alone is no question";
  }
}

// RFC 9293: SHLD-8.
TEST_P(Ecn, NewDataIsEcnCapableAndNothingElse) {
  open();
  writes(connection_, "data");
  const Packet data = only();
  EXPECT_TRUE(marks(data));
  EXPECT_EQ(data.flags_without_push(), ACK);
  runs_for(2_s);
  const auto again = sent();
  ASSERT_FALSE(again.empty());
  for (const Packet& p : again) EXPECT_TRUE(unmarked(p)) << "§6.1.5: no retransmission";
  gives(peer(), ack(0, 4), "more");
  runs_for(100_ms);
  EXPECT_TRUE(unmarked(only())) << "§6.1.4: no pure acknowledgement";
}

TEST_P(Ecn, WithoutAgreementNothingIsEcnCapable) {
  listener_ = listens();
  syn_ack_ = knocks(peer());
  gives(peer(), third(syn_ack_.tcp));
  connection_ = accepts(listener_);
  writes(connection_, "data");
  EXPECT_TRUE(unmarked(only()));
  gives(peer(), ack(0, 4), "more", true);
  runs_for(100_ms);
  EXPECT_EQ(only().flags(), ACK) << "a mark means nothing then";
}

// RFC 9293: SHLD-8.
TEST_P(Ecn, AMarkIsEchoedUntilThePeerHasReducedItsWindow) {
  open();
  gives(peer(), ack(0, 0), "aaaa", true);
  EXPECT_EQ(only().flags(), ACK | ECE) << "at once";
  EXPECT_EQ(count(Counter::kInCEPkts), 1u);
  gives(peer(), ack(4, 0), "bbbb");
  runs_for(100_ms);
  EXPECT_EQ(only().flags(), ACK | ECE) << "every one, as any may be lost";
  writes(connection_, "data");
  EXPECT_EQ(only().flags_without_push(), ACK | ECE);
  gives(peer(), ack(8, 4, CWR), "cccc");
  runs_for(100_ms);
  EXPECT_EQ(only().flags(), ACK);
  // A mark on the very segment that brings CWR begins anew.
  gives(peer(), ack(12, 4), "dddd", true);
  EXPECT_EQ(only().flags(), ACK | ECE);
  gives(peer(), ack(16, 4, CWR), "eeee", true);
  EXPECT_EQ(only().flags(), ACK | ECE);
}

// RFC 9293: SHLD-8.
TEST_P(Ecn, AnEchoReducesTheWindowOnceForWhatWasInFlight) {
  open();
  writes(connection_, std::string(30'000, 'x'));
  const auto flight = sent();
  ASSERT_EQ(flight.size(), 10u);
  const std::uint32_t before = stack_.status(connection_)->congestion_window;
  gives(peer(), ack(0, 1400, ECE));
  const std::uint32_t reduced = stack_.status(connection_)->congestion_window;
  // CUBIC's share (RFC 9438 §4.6).
  EXPECT_LE(reduced, before / 10 * 7 + 1400);
  EXPECT_GE(reduced, before / 10 * 7 - 1400);
  for (std::uint32_t n = 2; n <= 9; ++n) {
    gives(peer(), ack(0, 1400 * n, ECE));
    EXPECT_GE(stack_.status(connection_)->congestion_window, reduced) << "the same flight, segment " << n;
    EXPECT_LE(stack_.status(connection_)->congestion_window, reduced + 1400);
  }
  // Nothing was lost, so nothing is sent again; the first new segment says CWR, once.
  const auto more = sent();
  ASSERT_GE(more.size(), 2u);
  EXPECT_EQ(more[0].tcp.seq, syn_ack_.tcp.seq + 1 + 14'000);
  EXPECT_TRUE(more[0].tcp.flags.cwr());
  for (std::size_t i = 1; i < more.size(); ++i) EXPECT_FALSE(more[i].tcp.flags.cwr()) << i;
  EXPECT_EQ(count(Counter::kRetransSegs), 0u);
  // An echo about the next flight counts again.
  gives(peer(), ack(0, 14'000 + 1400));
  const std::uint32_t later = stack_.status(connection_)->congestion_window;
  gives(peer(), ack(0, 14'000 + 2800, ECE));
  EXPECT_LT(stack_.status(connection_)->congestion_window, later);
}

TEST_P(Ecn, AnEchoWithoutAgreementMeansNothing) {
  listener_ = listens();
  syn_ack_ = knocks(peer());
  gives(peer(), third(syn_ack_.tcp));
  connection_ = accepts(listener_);
  writes(connection_, std::string(5000, 'x'));
  const std::uint32_t before = stack_.status(connection_)->congestion_window;
  gives(peer(), ack(0, 1400, ECE));
  EXPECT_GE(stack_.status(connection_)->congestion_window, before);
}

// Whether the connection that follows has ECN: its data says it.
class EcnByCookie : public Ecn {
 protected:
  void expect_kept(bool timestamps) {
    stack_.settings().tcp_syncookies = 2;
    listener_ = listens();
    for (const bool ecn : {true, false}) {
      const wire::Endpoint from = peer(ecn ? 1 : 2);
      TcpHeader h = ecn ? asking(syn()) : syn();
      if (timestamps) stamp(h, 100);
      const Packet syn_ack = knocks(from, h);
      EXPECT_EQ(syn_ack.flags(), ecn ? SYN | ACK | ECE : SYN | ACK);
      TcpHeader ack = third(syn_ack.tcp);
      if (timestamps) stamp(ack, 101, syn_ack.tcp.options.timestamps.value);
      gives(from, ack);
      connection_ = accepts(listener_);
      writes(connection_, "data");
      EXPECT_EQ(marks(only()), ecn);
    }
    EXPECT_EQ(count(Counter::kSyncookiesRecv), 2u);
  }
};
RAW_HOST_SUITE(EcnByCookie);

TEST_P(EcnByCookie, IsKeptByTheTimestamp) {
  expect_kept(true);
}
TEST_P(EcnByCookie, IsKeptByTheNumberItself) {
  expect_kept(false);
}

class EcnActive : public Ecn {
 protected:
  // What data is after this answer to our SYN.
  bool agreed_after(std::uint8_t more) {
    connection_ = connects(peer(1, 443));
    const Packet syn = only();
    gives(peer(1, 443), header(static_cast<std::uint8_t>(SYN | ACK | more), 9000, syn.tcp.seq + 1), {}, false,
          client_of(syn));
    EXPECT_EQ(only().flags(), ACK);
    writes(connection_, "data");
    return marks(only());
  }
};
RAW_HOST_SUITE(EcnActive);

TEST_P(EcnActive, IsAskedForOnlyWithTheSettingOne) {
  connects(peer(1, 443));
  EXPECT_EQ(only().flags(), SYN) << "2, the default, asks nobody";
  stack_.settings().tcp_ecn = 1;
  connects(peer(1, 443));
  const Packet syn = only();
  EXPECT_EQ(syn.flags(), SYN | ECE | CWR);
  EXPECT_TRUE(unmarked(syn));
}

// §6.1.1.1: what lies on the way may drop SYNs that ask.
TEST_P(EcnActive, IsNotAskedForAgain) {
  stack_.settings().tcp_ecn = 1;
  connects(peer(1, 443));
  (void)only();
  runs_for(1100_ms);
  EXPECT_EQ(only().flags(), SYN);
}

TEST_P(EcnActive, IsOnAfterAnEcnSetupSynAckAndNoOther) {
  stack_.settings().tcp_ecn = 1;
  EXPECT_TRUE(agreed_after(ECE));
  EXPECT_FALSE(agreed_after(0));
  EXPECT_FALSE(agreed_after(ECE | CWR)) << "a server that reflects what it does not know";
  stack_.settings().tcp_ecn = 2;
  EXPECT_FALSE(agreed_after(ECE)) << "it was not asked";
}

}  // namespace
}  // namespace synfin::protocol_test
