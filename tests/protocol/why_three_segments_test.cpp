// SPDX-License-Identifier: Apache-2.0
//
// Why three segments: the classic cases, step by step. RFC 9293 §3.5, figures 8 to 10: "The principal reason
// for the three-way handshake is to prevent old duplicate connection initiations from causing confusion."
#include "protocol_test_support.h"
#include "synfin/sim/network.h"

namespace synfin::protocol_test {
namespace {

using stack::Handle;

// An old duplicate SYN, delayed beyond the life of its connection, is a SYN like any other to the server:
// only the peer knows that it is old, and the second segment is what asks it.
LADDER_TEST(OldDuplicateSyn, OpensNothingAsThePeerResetsTheSynAck) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.flags = FIN | ACK, .seq = 1, .ack = 1}).sends({.flags = ACK, .seq = 1, .ack = 2});
  l.app_reads_end().app_closes().sends({.flags = FIN | ACK, .seq = 1, .ack = 2});
  l.receives({.seq = 2, .ack = 2}).state(State::kClosed).population(0, 0, 0).forgets_events();

  l.at(200_s).receives({.flags = SYN, .seq = 0, .mss = 1460}).reason(Reason::kSynAccepted);
  l.sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .len = 0}).sends_nothing();
  l.state(State::kSynReceived).population(0, 1, 0).no_event(kAcceptable).app_accepts_nothing();
  // §3.10.7.1: the peer knows nothing of it, <SEQ=SEG.ACK><CTL=RST>.
  l.receives({.flags = RST, .seq = 1}).reason(Reason::kHalfOpenReset).sends_nothing();
  l.state(State::kClosed).population(0, 0, 0).wakes_never().app_accepts_nothing();
  l.no_event(kAcceptable | kFailed).counter(Counter::kEmbryonicRsts, 1).counter(Counter::kAttemptFails, 1);
}

// Without the peer's reset: silence opens nothing either, and the record goes after 63 s.
LADDER_TEST(OldDuplicateSyn, OpensNothingWhereThePeerIsGone) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  for (const auto t : {1_s, 3_s, 7_s, 15_s, 31_s}) l.at(t).sends({.flags = SYN | ACK, .ack = 1});
  l.at(64_s).sends_nothing().population(0, 0, 0).app_accepts_nothing().no_event(kAcceptable);
}

// Figure 9 at the server: the old SYN arrives first, and does not keep the new one from opening.
LADDER_TEST(OldDuplicateSyn, BeforeTheNewSynMakesWayForIt) {
  Ladder l(variant);
  l.app_listens();
  l.receives({.flags = SYN, .seq = -5000, .mss = 1460}).sends({.flags = SYN | ACK, .ack = -4999});
  l.at(10_ms).receives({.flags = RST, .seq = -4999}).sends_nothing().population(0, 0, 0);
  l.at(20_ms).receives({.flags = SYN, .seq = 0, .mss = 1460}).sends({.flags = SYN | ACK, .seq = 0, .ack = 1});
  l.at(30_ms).receives({.seq = 1, .ack = 1}).sends_nothing().event(kAcceptable).app_accepts();
  l.state(State::kEstablished).population(1, 0, 0);
}

// Figure 9 at the client: the SYN-ACK that answers the old SYN is recognised by its number and reset, and the
// attempt goes on.
LADDER_TEST(OldDuplicateSyn, IsRecognisedByTheClientInSynSent) {
  Ladder l(variant);
  l.brought_to(State::kSynSent);
  l.receives({.flags = SYN | ACK, .seq = -700, .ack = -4999, .mss = 1460}).reason(Reason::kSynSentBadAck);
  l.sends({.flags = RST, .seq = -4999, .len = 0}).sends_nothing().state(State::kSynSent);
  l.receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460}).sends({.flags = ACK, .seq = 1, .ack = 1});
  l.event(kConnected).state(State::kEstablished);
}

// The SYN-ACK is lost, and the client's SYN comes again before the server's timer runs out.
LADDER_TEST(LostSynAck, IsMadeUpForByTheClientsSyn) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  l.at(900_ms).receives({.flags = SYN, .seq = 0, .mss = 1460}).reason(Reason::kDuplicateSyn);
  l.sends({.flags = SYN | ACK, .seq = 0, .ack = 1}).sends_nothing().population(0, 1, 0);
  l.at(950_ms).receives({.seq = 1, .ack = 1}).event(kAcceptable).app_accepts().state(State::kEstablished);
  l.silent_for(100_s).app_accepts_nothing().population(1, 0, 0).counter(Counter::kPassiveOpens, 1);
}

// The SYN-ACK is lost, and the server's timer runs out first.
LADDER_TEST(LostSynAck, IsMadeUpForByTheServersTimer) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  l.silent_for(990_ms).at(1_s).sends({.flags = SYN | ACK, .seq = 0, .ack = 1}).sends_nothing();
  l.counter(Counter::kTCPSynRetrans, 1).counter(Counter::kRetransSegs, 1);
  l.receives({.seq = 1, .ack = 1}).event(kAcceptable).app_accepts().state(State::kEstablished);
}

// Both at once: the client sees two SYN-ACKs and answers each; the server opens on the first ACK.
LADDER_TEST(LostSynAck, MadeUpForTwiceOpensOnce) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  l.at(1_s).sends({.flags = SYN | ACK, .seq = 0, .ack = 1});
  l.receives({.flags = SYN, .seq = 0, .mss = 1460}).sends({.flags = SYN | ACK, .seq = 0, .ack = 1});
  l.receives({.seq = 1, .ack = 1}).event(kAcceptable).app_accepts().forgets_events();
  l.receives({.seq = 1, .ack = 1}).sends_nothing().app_accepts_nothing().no_event(kAcceptable);
  l.population(1, 0, 0);
}

// The third segment is lost and data follows: it carries the same acknowledgement.
LADDER_TEST(LostThirdSegment, FollowedByDataOpensOnTheData) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  l.at(300_ms).receives({.flags = PSH | ACK, .seq = 1, .ack = 1, .len = 500});
  l.event(kAcceptable).app_accepts().state(State::kEstablished).app_reads(500);
  l.sends_within(40_ms, {.flags = ACK, .seq = 1, .ack = 501}).silent_for(100_s);
}

// The third segment is lost and the client, which believes that it is connected, waits for the server to
// speak: the SYN-ACK comes again, and the client acknowledges it again.
LADDER_TEST(LostThirdSegment, FollowedBySilenceMakesTheSynAckComeAgain) {
  Ladder l(variant);
  l.brought_to(State::kSynReceived);
  l.silent_for(990_ms).app_accepts_nothing();
  l.at(1_s).sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .len = 0}).app_accepts_nothing();
  l.at(1010_ms).receives({.seq = 1, .ack = 1}).event(kAcceptable).app_accepts().state(State::kEstablished);
  l.app_sends(10).sends({.flags = ACK, .seq = 1, .ack = 1, .len = 10});
}

// The same from the client's side.
LADDER_TEST(LostThirdSegment, IsRepeatedByTheClientWhenTheSynAckComesAgain) {
  Ladder l(variant);
  l.opened_actively();
  l.at(1_s).receives({.flags = SYN | ACK, .seq = 0, .ack = 1, .mss = 1460});
  l.sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0}).sends_nothing().state(State::kEstablished);
}

// The same cases with a real stack at either end.
class TwoEnds : public testing::TestWithParam<wire::Family> {
 protected:
  static constexpr std::uint16_t kPort = 80, kClientPort = 40'000;
  wire::Endpoint at(std::size_t host, std::uint16_t port) { return {net_.address(host, GetParam()), port}; }
  Handle connect() {
    return *a().connect(at(sim::Network::kB, kPort), {.local = at(sim::Network::kA, kClientPort)},
                        net_.now());
  }
  State client_state() {
    return a().state_of({at(sim::Network::kA, kClientPort), at(sim::Network::kB, kPort)});
  }
  stack::Stack& a() { return net_.host(sim::Network::kA); }
  stack::Stack& b() { return net_.host(sim::Network::kB); }
  // The next SYN of the client, as it was on the wire.
  void remember_the_syn() {
    net_.set_tap([this](const sim::Sighting& s) {
      if (s.from != sim::Network::kA || s.packet == nullptr || !s.packet->tcp.flags.syn()) return;
      old_syn_.resize(s.frame->size());
      s.frame->copy_out(0, old_syn_);
    });
  }
  void deliver_the_old_syn() {
    wire::Frame frame;
    frame.add(net_.pool().copy(old_syn_));
    net_.inject(sim::Network::kB, std::move(frame));
  }
  // Within the handshake, where no timer but those of the SYNs runs.
  void run_for(Duration d) { net_.run_for(d); }

  sim::Network net_{{}};
  Handle listener_ = *net_.host(sim::Network::kB).listen(at(sim::Network::kB, kPort), {}, net_.now());
  std::vector<std::byte> old_syn_;
};
INSTANTIATE_TEST_SUITE_P(Families, TwoEnds, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

TEST_P(TwoEnds, AnOldDuplicateSynBeyondTheConnectionsLifeIsResetByTheClient) {
  remember_the_syn();
  const Handle client = connect();
  net_.run_until_idle();
  net_.set_tap({});
  const auto server = b().accept(listener_, net_.now());
  ASSERT_TRUE(server);
  a().close(client, net_.now());
  run_for(1_s);
  b().close(*server, net_.now());
  net_.run_until_idle();  // TIME-WAIT of the client included
  ASSERT_EQ(a().population().time_wait + b().population().connections, 0u);

  std::string seen;
  net_.set_tap([&](const sim::Sighting& s) {
    const auto& f = s.packet->tcp.flags;
    seen += std::string(s.from == sim::Network::kA ? "client" : "server") + (f.syn() ? " SYN" : "") +
            (f.rst() ? " RST" : "") + (f.ack() ? " ACK" : "") + "; ";
    if (s.from == sim::Network::kB) {
      EXPECT_EQ(b().population().half_open, 1u);
    }
  });
  deliver_the_old_syn();
  net_.run_until_idle();
  EXPECT_EQ(seen, "server SYN ACK; client RST; ");
  EXPECT_EQ(b().population().half_open + b().population().connections, 0u);
  EXPECT_FALSE(b().accept(listener_, net_.now()));
  EXPECT_EQ(b().counters()[Counter::kEmbryonicRsts], 1u);
}

TEST_P(TwoEnds, AnOldDuplicateSynThatOvertakesTheNewOneIsSortedOut) {
  remember_the_syn();
  const Handle first = connect();
  run_for(100_ms);
  a().abort(first, net_.now());
  net_.run_until_idle();
  while (const auto dead = b().accept(listener_, net_.now())) b().close(*dead, net_.now());
  net_.set_tap({});

  run_for(10_s);
  const Handle client = connect();
  deliver_the_old_syn();  // while the new one is on its way
  net_.run_until_idle();
  EXPECT_EQ(client_state(), State::kEstablished);
  EXPECT_TRUE(b().accept(listener_, net_.now()));
  EXPECT_FALSE(b().accept(listener_, net_.now()));
  EXPECT_EQ(b().population().half_open, 0u);
  EXPECT_EQ(a().failure(client), Error::kWouldBlock);
}

TEST_P(TwoEnds, ALostSynAckDelaysTheOpeningByASecond) {
  net_.drop_next(sim::Network::kB, [](const wire::TcpPacket& p) { return p.tcp.flags.syn(); });
  (void)connect();
  run_for(990_ms);
  EXPECT_EQ(client_state(), State::kSynSent);
  EXPECT_EQ(b().population().half_open, 1u);
  run_for(30_ms);
  EXPECT_EQ(client_state(), State::kEstablished);
  EXPECT_TRUE(b().accept(listener_, net_.now()));
  EXPECT_FALSE(b().accept(listener_, net_.now()));
}

TEST_P(TwoEnds, ALostThirdSegmentIsMadeUpForByDataAtOnce) {
  net_.drop_next(sim::Network::kA, [](const wire::TcpPacket& p) { return !p.tcp.flags.syn(); });
  const Handle client = connect();
  run_for(10_ms);
  EXPECT_EQ(client_state(), State::kEstablished);
  EXPECT_EQ(b().population().half_open, 1u);
  const std::string text = "hello";
  const Bytes bytes = std::as_bytes(std::span{text});
  ASSERT_EQ(a().send(client, std::span{&bytes, 1}, net_.now()), text.size());
  run_for(5_ms);
  const auto server = b().accept(listener_, net_.now());
  ASSERT_TRUE(server);
  EXPECT_EQ(b().readable(*server), text.size());
}

TEST_P(TwoEnds, ALostThirdSegmentAndSilenceOpenWithTheNextSynAck) {
  net_.drop_next(sim::Network::kA, [](const wire::TcpPacket& p) { return !p.tcp.flags.syn(); });
  (void)connect();
  run_for(990_ms);
  EXPECT_EQ(client_state(), State::kEstablished);
  EXPECT_FALSE(b().accept(listener_, net_.now()));
  run_for(30_ms);
  EXPECT_TRUE(b().accept(listener_, net_.now()));
  EXPECT_EQ(b().counters()[Counter::kTCPSynRetrans], 1u);
}

}  // namespace
}  // namespace synfin::protocol_test
