// SPDX-License-Identifier: Apache-2.0
//
// RFC 9293 §3.9: what programs ask of TCP, and TCP of the network layer. Requirements that no other test
// shows.
#include "raw_octets.h"

namespace synfin::protocol_test {
namespace {

class Open : public RawHost {
 protected:
  wire::Endpoint second(std::uint16_t port = 80) const {
    return {config().addresses[v4() ? 1 : 3].address, port};
  }
};
RAW_HOST_SUITE(Open);

// RFC 9293: MUST-41.
TEST_P(Open, PassiveDisturbsNothing) {
  const Handle listener = listens();
  const Packet first = knocks(peer(1));
  gives(peer(1), third(first.tcp));
  const Handle connection = accepts(listener);
  const Packet half = knocks(peer(2));

  const auto again = stack_.listen(own(), {.backlog = 1}, now_);
  EXPECT_TRUE(!again && again.error() == Error::kAddressInUse);
  EXPECT_TRUE(stack_.listen(second(), {}, now_));
  EXPECT_TRUE(stack_.listen(own(81), {}, now_));
  sends_nothing();

  EXPECT_EQ(stack_.listen_options(listener)->backlog, ListenOptions{}.backlog);
  gives(peer(2), third(half.tcp));
  EXPECT_EQ(reads(accepts(listener)), "");
  gives(peer(1), header(ACK, kPeerIss + 1, first.tcp.seq + 1), "still there");
  EXPECT_EQ(reads(connection), "still there");
}

// RFC 9293: MUST-42.
TEST_P(Open, PortOfAConnectionThatIsOpeningCanBeListenedOn) {
  for (const bool crossed : {false, true}) {
    const std::uint16_t port = crossed ? 5001 : 5000;
    const auto opening = stack_.connect(peer(1), {.local = own(port)}, now_);
    ASSERT_TRUE(opening);
    keep(*opening);
    const Packet first = only();
    if (crossed) {
      gives(peer(1), syn(), {}, false, own(port));
      EXPECT_EQ(only().flags(), SYN | ACK);
    }
    EXPECT_EQ(stack_.state_of({own(port), peer(1)}), crossed ? State::kSynReceived : State::kSynSent);

    const auto listener = stack_.listen(own(port), {}, now_);
    ASSERT_TRUE(listener);
    gives(peer(2), syn(), {}, false, own(port));
    gives(peer(2), third(only().tcp), {}, false, own(port));
    (void)accepts(*listener);
    // The first one goes on as if nothing had happened.
    TcpHeader answer = syn();
    answer.flags = SYN | ACK;
    answer.ack = first.tcp.seq + 1;
    gives(peer(1), answer, {}, false, own(port));
    EXPECT_EQ(stack_.state_of({own(port), peer(1)}), State::kEstablished);
    (void)sent();
  }
}

// RFC 9293: MUST-43.
TEST_P(Open, LocalAddressCanBeNamed) {
  const auto active = stack_.connect(peer(1), {.local = second(0)}, now_);
  ASSERT_TRUE(active);
  keep(*active);
  EXPECT_EQ(only().ip.source, second().address);
  ASSERT_TRUE(stack_.listen(second(), {}, now_));
  gives(peer(2), syn(), {}, false, second());
  EXPECT_EQ(only().flags(), SYN | ACK);
  gives(peer(2), syn(), {}, false, own());
  EXPECT_EQ(only().flags(), RST | ACK) << "nobody listens on the other address";
}

// RFC 9293: MUST-44.
TEST_P(Open, LocalAddressIsChosenBeforeTheSynLeaves) {
  const Handle active = connects(peer(1));
  const auto local = stack_.local_endpoint(active);
  ASSERT_TRUE(local);
  EXPECT_EQ(local->address, own().address);
  const Packet first = only();
  EXPECT_EQ(first.ip.source, own().address);
  EXPECT_EQ(first.tcp.source_port, local->port);
}

// Whichever of its addresses the stack was asked for answers, to the last segment.
// RFC 9293: MUST-45.
TEST_P(Open, LocalAddressStaysThatOfTheFirstSegment) {
  const auto listener = stack_.listen({wire::IpAddress::any(GetParam()), 80}, {}, now_);
  ASSERT_TRUE(listener);
  std::vector<Packet> all;
  const auto keeps = [&] {
    for (Packet& p : sent()) all.push_back(std::move(p));
  };
  gives(peer(), syn(), {}, false, second());
  keeps();
  ASSERT_EQ(all.size(), 1u);
  runs_for(1_s + kSlack);  // the SYN-ACK again
  keeps();
  gives(peer(), third(all[0].tcp), {}, false, second());
  const Handle connection = accepts(*listener);
  gives(peer(), header(ACK, kPeerIss + 1, all[0].tcp.seq + 1), "text", false, second());
  EXPECT_EQ(reads(connection), "text");
  writes(connection, "answer");
  runs_for(3_s);
  keeps();
  stack_.close(connection, now_);
  runs_for(3_s);
  keeps();
  EXPECT_GE(all.size(), 5u);
  for (const Packet& p : all) EXPECT_EQ(p.ip.source, second().address);
}

// RFC 9293: MUST-46.
TEST_P(Open, ActiveToWhatIsNoHostIsAnError) {
  std::vector<wire::IpAddress> nobody = {wire::IpAddress::any(GetParam())};
  if (v4()) {
    for (const char* text : {"255.255.255.255", "10.77.0.255", "224.0.0.1", "239.255.255.255"})
      nobody.push_back(*wire::IpAddress::parse(text));
  } else {
    for (const char* text : {"ff02::1", "ff0e::7", "ff05::1:3"})
      nobody.push_back(*wire::IpAddress::parse(text));
  }
  for (const auto& address : nobody) {
    const auto connection = stack_.connect({address, 80}, {}, now_);
    EXPECT_TRUE(!connection && connection.error() == Error::kInvalidArgument) << address.to_string();
  }
  sends_nothing();
  EXPECT_EQ(stack_.population().connections, 0u);
}

class NetworkLayer : public RawOctets {};
RAW_HOST_SUITE(NetworkLayer);

// SYN-ACK, text, retransmission, reset, and what is sent to nobody's peer.
// RFC 9293: MUST-49.
TEST_P(NetworkLayer, TimeToLiveIsASetting) {
  for (const std::uint8_t ttl : {std::uint8_t{1}, std::uint8_t{64}, std::uint8_t{255}}) {
    stack_.settings().ip_default_ttl = ttl;
    const wire::Endpoint from = peer(ttl);
    const Handle listener = listens();
    const Packet syn_ack = knocks(from);
    EXPECT_EQ(syn_ack.ip.hop_limit, ttl);
    gives(from, third(syn_ack.tcp));
    const Handle connection = accepts(listener);
    writes(connection, "text");
    runs_for(2_s);
    stack_.abort(connection, now_);
    gives(from, header(ACK, 1, wire::SeqNum{1}), {}, false, own(99));
    const auto all = sent();
    EXPECT_GE(all.size(), 4u);
    for (const Packet& p : all) EXPECT_EQ(p.ip.hop_limit, ttl);
    stack_.close(listener, now_);
  }
}

class TrafficClass : public RawHost {
 protected:
  static constexpr std::uint8_t kExpedited = 46 << 2, kLowDelay = 0x10;
  std::vector<int> classes() {
    std::vector<int> out;
    for (const Packet& p : sent()) out.push_back(p.ip.traffic_class);
    return out;
  }
  /// Everything sent since last asked, of which there is something, has this class.
  void all_have(int value) {
    const auto seen = classes();
    EXPECT_FALSE(seen.empty());
    EXPECT_EQ(seen, std::vector<int>(seen.size(), value));
  }
};
RAW_HOST_SUITE(TrafficClass);

// From the SYN to the last ACK out of TIME-WAIT: text, retransmission, probe, challenge, FIN.
// RFC 9293: MUST-48, SHLD-22.
TEST_P(TrafficClass, OfAnActiveConnectionIsOnEverySegment) {
  stack_.settings().tcp_keepalive_time = 10_s;
  const auto connection =
      stack_.connect(peer(), {.local = own(5000), .connection = {.traffic_class = kExpedited}}, now_);
  ASSERT_TRUE(connection);
  keep(*connection);
  const auto gives_here = [&](const TcpHeader& h) { gives(peer(), h, {}, false, own(5000)); };
  runs_for(1_s + kSlack);  // the SYN again
  const auto syns = sent();
  ASSERT_EQ(syns.size(), 2u);
  for (const Packet& p : syns) EXPECT_EQ(p.ip.traffic_class, kExpedited);
  const wire::SeqNum first = syns[0].tcp.seq + 1;
  TcpHeader syn_ack = syn();
  syn_ack.flags = SYN | ACK;
  syn_ack.ack = first;
  gives_here(syn_ack);
  all_have(kExpedited);
  writes(*connection, "text");
  runs_for(1_s);
  all_have(kExpedited);
  gives_here(header(ACK, kPeerIss + 1, first + 4));
  ASSERT_TRUE(stack_.set_options(*connection, {.keepalive = true, .traffic_class = kExpedited}, now_));
  runs_for(10_s + kSlack);
  all_have(kExpedited);
  gives_here(header(RST, kPeerIss + 2));
  all_have(kExpedited);
  EXPECT_TRUE(stack_.shutdown(*connection, Shutdown::kSend, now_));
  all_have(kExpedited);
  gives_here(header(FIN | ACK, kPeerIss + 1, first + 5));
  all_have(kExpedited);
  EXPECT_EQ(stack_.state_of({own(5000), peer()}), State::kTimeWait);
  gives_here(header(FIN | ACK, kPeerIss + 1, first + 5));
  all_have(kExpedited);
}

// A listener's is inherited; a half-open connection has it, too, and one that a cookie made.
// RFC 9293: MUST-48, SHLD-22.
TEST_P(TrafficClass, OfAListenerIsThatOfItsConnections) {
  for (const std::uint32_t cookies : {1u, 2u}) {
    stack_.settings().tcp_syncookies = cookies;
    const Handle listener = listens({.connection = {.traffic_class = kLowDelay}});
    const Packet syn_ack = knocks(peer(cookies));
    EXPECT_EQ(syn_ack.ip.traffic_class, kLowDelay);
    if (cookies == 1) {
      runs_for(1_s + kSlack);
      all_have(kLowDelay);
      gives(peer(cookies), syn());
      all_have(kLowDelay);
      gives(peer(cookies), header(ACK, kPeerIss + 0x4000'0000, syn_ack.tcp.seq + 1));
      all_have(kLowDelay);
    }
    gives(peer(cookies), third(syn_ack.tcp));
    const Handle connection = accepts(listener);
    writes(connection, "text");
    all_have(kLowDelay);
    stack_.abort(connection, now_);
    all_have(kLowDelay);
    stack_.close(listener, now_);
  }
}

// RFC 9293: MUST-48.
TEST_P(TrafficClass, OfAHeldSynsListenerIsThatOfTheConnection) {
  const Handle listener = listens({.hold = true, .connection = {.traffic_class = kLowDelay}});
  gives(peer(), syn());
  const auto connection = stack_.accept_pending(*stack_.next_pending(listener), now_);
  ASSERT_TRUE(connection);
  keep(*connection);
  all_have(kLowDelay);
}

// RFC 9293: SHLD-21.
TEST_P(TrafficClass, CanBeChangedAtAnyTime) {
  const Handle listener = listens();
  const Packet syn_ack = knocks(peer());
  EXPECT_EQ(syn_ack.ip.traffic_class, 0);
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  for (const std::uint8_t value : {kExpedited, std::uint8_t{0}, kLowDelay}) {
    ASSERT_TRUE(stack_.set_options(connection, {.traffic_class = value}, now_));
    gives(peer(), header(RST, kPeerIss + 2));
    all_have(value);
  }
  EXPECT_EQ(stack_.options(connection)->traffic_class, kLowDelay);
}

// RFC 3168 §5: the two bits are not the program's.
// RFC 9293: SHLD-22.
TEST_P(TrafficClass, LeavesTheBitsOfEcnAlone) {
  stack_.settings().tcp_ecn = 2;
  const Handle listener = listens({.connection = {.traffic_class = 0xff}});
  TcpHeader asks = syn();
  asks.flags = SYN | ECE | CWR;
  const Packet syn_ack = knocks(peer(), asks);
  EXPECT_EQ(syn_ack.ip.traffic_class, 0xfc);
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  writes(connection, "text");
  EXPECT_EQ(only().ip.traffic_class, 0xfc | wire::ecn::kEct0);
  ASSERT_TRUE(stack_.set_options(connection, {.traffic_class = 3}, now_));
  writes(connection, std::string(1400, 'x'));
  EXPECT_EQ(only().ip.traffic_class, wire::ecn::kEct0);
}

class Ipv4Network : public RawOctets {};
INSTANTIATE_TEST_SUITE_P(Families, Ipv4Network, testing::Values(wire::Family::kIpv4),
                         [](auto&) { return "IPv4"; });

// Router alert, an experimental one, and one that was never given out.
// RFC 9293: MUST-50.
TEST_P(Ipv4Network, UnknownOptionsAreIgnored) {
  const auto options = octets({148, 4, 0, 0, 158, 4, 1, 2, 99, 5, 1, 2, 3, 1, 1, 0});
  const Handle listener = listens();
  gives_octets(peer(), syn(), {}, {}, options);
  const Packet syn_ack = only();
  EXPECT_EQ(syn_ack.flags(), SYN | ACK);
  gives_octets(peer(), third(syn_ack.tcp), {}, {}, options);
  const Handle connection = accepts(listener);
  gives_octets(peer(), third(syn_ack.tcp), {}, "text", options);
  EXPECT_EQ(reads(connection), "text");
}

// RFC 1122 had TCP slow down; RFC 6633 took that back, as anybody can send one.
// RFC 9293: MUST-55.
TEST_P(Ipv4Network, SourceQuenchIsIgnored) {
  const Handle opening = connects(peer(2));
  const Packet first = only();
  gives_icmp(4, 0, first);
  EXPECT_EQ(stack_.status(opening)->state, State::kSynSent);

  const Handle listener = listens();
  completes(peer());
  const Handle connection = accepts(listener);
  writes(connection, std::string(2800, 'x'));
  const auto flight = sent();
  ASSERT_EQ(flight.size(), 2u);
  const auto before = stack_.status(connection);
  for (const Packet& p : flight) gives_icmp(4, 0, p);
  sends_nothing();
  const auto after = stack_.status(connection);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->congestion_window, before->congestion_window);
  EXPECT_EQ(after->state, State::kEstablished);
  EXPECT_EQ(events(connection) & kFailed, 0);
  EXPECT_EQ(count(Reason::kIcmpIgnored), 3u);
}

class IcmpErrors : public RawOctets {
 protected:
  struct Kind {
    std::uint8_t type, code;
  };
  /// As §3.9.2.2 lists them.
  std::vector<Kind> soft() const {
    if (v4()) return {{3, 0}, {3, 1}, {3, 5}, {11, 0}, {11, 1}, {12, 0}, {12, 1}, {12, 2}};
    return {{1, 0}, {1, 3}, {3, 0}, {3, 1}, {4, 0}, {4, 1}, {4, 2}};
  }
  Kind port_unreachable() const { return v4() ? Kind{3, 3} : Kind{1, 4}; }
};
RAW_HOST_SUITE(IcmpErrors);

// Three attempts, an error about the second: no other is touched; nor is it by one about another port, or a
// number that was not sent.
// RFC 9293: MUST-54, SHLD-26.
TEST_P(IcmpErrors, ReachTheConnectionThatTheyQuote) {
  std::vector<Handle> handles;
  std::vector<Packet> syns;
  for (std::uint32_t n = 1; n <= 3; ++n) {
    handles.push_back(connects(peer(n)));
    syns.push_back(only());
  }
  const auto [type, code] = port_unreachable();
  Packet forged = syns[0];
  forged.tcp.source_port = static_cast<std::uint16_t>(forged.tcp.source_port ^ 1);
  gives_icmp(type, code, forged);
  forged = syns[0];
  forged.tcp.seq += 1000;
  gives_icmp(type, code, forged);
  for (const Handle h : handles) EXPECT_EQ(stack_.status(h)->state, State::kSynSent);

  gives_icmp(type, code, syns[1]);
  EXPECT_EQ(stack_.failure(handles[1]), Error::kRefused);
  EXPECT_NE(events(handles[1]) & kFailed, 0);
  EXPECT_EQ(stack_.status(handles[0])->state, State::kSynSent);
  EXPECT_EQ(stack_.status(handles[2])->state, State::kSynSent);
}

// RFC 9293: MUST-56.
TEST_P(IcmpErrors, SoftOnesEndNoAttempt) {
  for (const Kind kind : soft()) {
    const Handle active = connects(peer(kind.type, static_cast<std::uint16_t>(1000 + kind.code)));
    gives_icmp(kind.type, kind.code, only());
    EXPECT_EQ(stack_.status(active)->state, State::kSynSent) << int{kind.type} << '/' << int{kind.code};
    EXPECT_EQ(events(active) & kFailed, 0);
  }
  EXPECT_EQ(count(Reason::kIcmpSoftError), soft().size());
  listens();
  for (const Kind kind : soft()) {
    const wire::Endpoint from = peer(100u + kind.type, static_cast<std::uint16_t>(1000 + kind.code));
    gives_icmp(kind.type, kind.code, knocks(from));
    EXPECT_EQ(state(from), State::kSynReceived) << int{kind.type} << '/' << int{kind.code};
  }
}

// RFC 9293: MUST-56.
TEST_P(IcmpErrors, SoftOnesEndNoConnection) {
  const Handle listener = listens();
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  for (const bool closing : {false, true}) {
    if (closing) {
      EXPECT_TRUE(stack_.shutdown(connection, Shutdown::kSend, now_));
    } else {
      writes(connection, "text");
    }
    const auto flight = sent();
    ASSERT_EQ(flight.size(), 1u);
    for (const Kind kind : soft()) {
      gives_icmp(kind.type, kind.code, flight[0]);
      EXPECT_EQ(state(peer()), closing ? State::kFinWait1 : State::kEstablished);
    }
    EXPECT_EQ(events(connection) & kFailed, 0);
    gives(peer(), header(ACK, kPeerIss + 1, syn_ack.tcp.seq + (closing ? 6 : 5)));
  }
  EXPECT_EQ(state(peer()), State::kFinWait2);
  EXPECT_EQ(count(Reason::kIcmpSoftError), 2 * soft().size());
}

// The event says that there is something, the status what: the last error, until the peer answers.
// RFC 9293: MUST-47, SHLD-25.
TEST_P(IcmpErrors, SoftOnesAreTold) {
  const Handle listener = listens();
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  EXPECT_EQ(stack_.status(connection)->soft_error, Error::kWouldBlock);
  writes(connection, "text");
  const Packet text = only();
  EXPECT_EQ(events(connection) & stack::kTrouble, 0);
  const Kind host = v4() ? Kind{3, 1} : Kind{1, 3}, net = v4() ? Kind{3, 0} : Kind{1, 0};
  gives_icmp(host.type, host.code, text);
  EXPECT_NE(events(connection) & stack::kTrouble, 0);
  EXPECT_EQ(stack_.status(connection)->soft_error, Error::kHostUnreachable);
  gives_icmp(net.type, net.code, text);
  EXPECT_NE(events(connection) & stack::kTrouble, 0);
  EXPECT_EQ(stack_.status(connection)->soft_error, Error::kNetUnreachable);
  gives(peer(), header(ACK, kPeerIss + 1, syn_ack.tcp.seq + 5));
  EXPECT_EQ(stack_.status(connection)->soft_error, Error::kWouldBlock);
  EXPECT_EQ(events(connection) & stack::kTrouble, 0);
}

// While it opens, too.
// RFC 9293: MUST-47, SHLD-25.
TEST_P(IcmpErrors, SoftOnesAreToldOfAnAttempt) {
  const Handle active = connects(peer());
  const Packet first = only();
  (void)events(active);
  for (const Kind kind : soft()) {
    gives_icmp(kind.type, kind.code, first);
    EXPECT_NE(events(active) & stack::kTrouble, 0) << int{kind.type} << '/' << int{kind.code};
    EXPECT_NE(stack_.status(active)->soft_error, Error::kWouldBlock);
  }
}

// A program that does not want to hear of them is not told: no event comes, no call returns what was only
// reported, and none fails by it.
// RFC 9293: SHLD-20.
TEST_P(IcmpErrors, SoftOnesAreNotToldToWhoDoesNotWantToHear) {
  const Handle listener = listens();
  const Packet syn_ack = knocks(peer());
  gives(peer(), third(syn_ack.tcp));
  const Handle connection = accepts(listener);
  ASSERT_TRUE(stack_.set_options(connection, {.report_trouble = false}, now_));
  (void)events(connection);
  writes(connection, "text");
  const Packet text = only();
  for (const Kind kind : soft()) gives_icmp(kind.type, kind.code, text);
  EXPECT_EQ(events(connection), 0);
  std::array<std::byte, 8> octets{};
  const MutableBytes into = octets;
  const auto nothing = stack_.receive(connection, std::span{&into, 1}, now_);
  EXPECT_TRUE(!nothing && nothing.error() == Error::kWouldBlock);
  EXPECT_EQ(stack_.failure(connection), Error::kWouldBlock);
  writes(connection, "more");
  gives(peer(), header(ACK, kPeerIss + 1, syn_ack.tcp.seq + 5), "answer");
  EXPECT_EQ(reads(connection), "answer");
}

}  // namespace
}  // namespace synfin::protocol_test
