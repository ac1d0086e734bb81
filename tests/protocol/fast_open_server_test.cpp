// SPDX-License-Identifier: Apache-2.0
//
// TCP Fast Open, the server's side: RFC 7413 §4.2 and §5.1.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

// A SYN that asks for a cookie.
TcpHeader asking(TcpHeader h) {
  h.options.present |= TcpOptions::kFastOpen;
  h.options.cookie_size = 0;
  return h;
}
TcpHeader with_cookie_of(const TcpHeader& syn_ack, TcpHeader h) {
  h.options.present |= TcpOptions::kFastOpen;
  h.options.cookie_size = syn_ack.options.cookie_size;
  h.options.cookie = syn_ack.options.cookie;
  return h;
}
bool has_cookie(const TcpHeader& h) {
  return h.options.has(TcpOptions::kFastOpen) && h.options.cookie_size == 8;
}

class FastOpenServer : public RawHost {
 protected:
  void SetUp() override {
    stack_.settings().tcp_fastopen = 3;
    listener_ = listens({.fast_open = 2});
  }
  // The SYN-ACK with the cookie of `from`; that connection is reset again.
  TcpHeader cookie_for(const wire::Endpoint& from) {
    const Packet syn_ack = knocks(from, asking(syn(kPeerIss - 1000)));
    EXPECT_TRUE(has_cookie(syn_ack.tcp));
    gives(from, header(RST, kPeerIss - 999));
    return syn_ack.tcp;
  }
  TcpHeader good_syn(const wire::Endpoint& from) { return with_cookie_of(cookie_for(from), syn()); }
  // By port, as a cookie is the address's.
  void expect_room(bool room) {
    static std::uint16_t port = 50'000;
    const wire::Endpoint from = peer(1, ++port);
    const std::uint64_t before = count(Counter::kTCPFastOpenPassive);
    const Packet syn_ack = knocks(from, good_syn(from), "x");
    EXPECT_EQ(count(Counter::kTCPFastOpenPassive) - before, room ? 1u : 0u);
    EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + (room ? 2u : 1u)});
    gives(from, header(RST, kPeerIss + (room ? 2u : 1u)));
  }

  Handle listener_;
};
RAW_HOST_SUITE(FastOpenServer);

TEST_P(FastOpenServer, ARequestGetsACookieAndAnOrdinaryHandshake) {
  const Packet syn_ack = knocks(peer(), asking(syn()), "early");
  EXPECT_TRUE(has_cookie(syn_ack.tcp));
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1}) << "the data is left for retransmission";
  EXPECT_EQ(half_open(), 1u);
  EXPECT_EQ(count(Counter::kTCPFastOpenCookieReqd), 1u);
  EXPECT_EQ(count(Reason::kFastOpenCookieAsked), 1u);
  accepts_nothing(listener_);
  gives(peer(), third(syn_ack.tcp), "early");
  EXPECT_EQ(reads(accepts(listener_)), "early");
}

TEST_P(FastOpenServer, AGoodCookieGivesTheProgramTheDataBeforeTheThirdSegment) {
  const TcpHeader h = good_syn(peer());
  const Packet syn_ack = knocks(peer(), h, "GET /");
  EXPECT_EQ(syn_ack.flags(), SYN | ACK);
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 6});
  EXPECT_FALSE(syn_ack.tcp.options.has(TcpOptions::kFastOpen)) << "it has a good one";
  EXPECT_EQ(count(Counter::kTCPFastOpenPassive), 1u);
  EXPECT_EQ(count(Reason::kFastOpenAccepted), 1u);
  EXPECT_EQ(half_open(), 0u);
  EXPECT_EQ(events(listener_) & kAcceptable, kAcceptable);
  const Handle connection = accepts(listener_);
  EXPECT_EQ(stack_.status(connection)->state, State::kSynReceived);
  EXPECT_EQ(reads(connection), "GET /");
  // The answer too leaves before the third segment (§4.2.2).
  writes(connection, "200 OK");
  const Packet answer = only();
  EXPECT_EQ(answer.text, "200 OK");
  EXPECT_EQ(answer.tcp.seq, syn_ack.tcp.seq + 1);
  EXPECT_EQ(answer.tcp.ack, wire::SeqNum{kPeerIss + 6});
  gives(peer(), header(ACK, kPeerIss + 6, answer.tcp.seq + 6));
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
  EXPECT_EQ(stack_.status(connection)->send_queue, 0u);
  runs_for(10_s);
  sends_nothing();
}

TEST_P(FastOpenServer, ACookieWithoutDataOpensEarlyToo) {
  const Packet syn_ack = knocks(peer(), good_syn(peer()));
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  const Handle connection = accepts(listener_);
  writes(connection, "220 ready");
  EXPECT_EQ(only().text, "220 ready");
  gives(peer(), third(syn_ack.tcp));
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
}

TEST_P(FastOpenServer, ADuplicateSynGetsTheSameSynAckAndNoSecondConnection) {
  const TcpHeader h = good_syn(peer());
  const Packet first = knocks(peer(), h, "once");
  const Packet second = knocks(peer(), h, "once");
  EXPECT_EQ(second.tcp.seq, first.tcp.seq);
  EXPECT_EQ(second.tcp.ack, first.tcp.ack);
  EXPECT_EQ(second.flags(), SYN | ACK);
  // As a client sends it whose SYN-ACK was lost: without option and data.
  const Packet third_answer = knocks(peer());
  EXPECT_EQ(third_answer.flags(), SYN | ACK);
  EXPECT_EQ(third_answer.tcp.ack, first.tcp.ack);
  const Handle connection = accepts(listener_);
  accepts_nothing(listener_);
  EXPECT_EQ(reads(connection), "once");
}

TEST_P(FastOpenServer, TheSynAckAndThenTheAnswerAreSentAgain) {
  const Packet syn_ack = knocks(peer(), good_syn(peer()), "GET /");
  const Handle connection = accepts(listener_);
  writes(connection, "200 OK");
  (void)only();
  runs_for(1100_ms);
  const Packet again = only();
  EXPECT_EQ(again.flags(), SYN | ACK);
  EXPECT_EQ(again.tcp.seq, syn_ack.tcp.seq);
  EXPECT_EQ(again.tcp.ack, syn_ack.tcp.ack);
  // Only the SYN-ACK arrived; the data is still to be made up for.
  gives(peer(), third(again.tcp));
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
  runs_for(4_s);
  const auto resent = sent();
  ASSERT_FALSE(resent.empty());
  EXPECT_EQ(resent[0].text, "200 OK");
  EXPECT_EQ(resent[0].tcp.seq, syn_ack.tcp.seq + 1);
}

// §3.10.4: CLOSE in SYN-RECEIVED; the FIN follows the answer once the handshake has ended.
TEST_P(FastOpenServer, TheProgramMayAnswerAndCloseBeforeTheThirdSegment) {
  const Packet syn_ack = knocks(peer(), good_syn(peer()), "GET /");
  const auto connection = stack_.accept(listener_, now_);
  ASSERT_TRUE(connection);
  EXPECT_EQ(reads(*connection), "GET /");
  writes(*connection, "200 OK");
  stack_.close(*connection, now_);
  std::string text;
  for (const Packet& p : sent()) text += p.text;
  EXPECT_EQ(text, "200 OK");
  EXPECT_EQ(state(peer()), State::kSynReceived);
  gives(peer(), header(ACK, kPeerIss + 6, syn_ack.tcp.seq + 7));
  const Packet fin = only();
  EXPECT_EQ(fin.flags_without_push(), FIN | ACK);
  EXPECT_EQ(fin.tcp.seq, syn_ack.tcp.seq + 7);
  EXPECT_EQ(state(peer()), State::kFinWait1);
  expect_room(true);
}

// RFC 5461: before the handshake has ended a hard error ends it, for those that are open early too.
TEST_P(FastOpenServer, AHardErrorAboutTheSynAckEndsIt) {
  const Packet syn_ack = knocks(peer(), good_syn(peer()), "GET /");
  const Handle connection = accepts(listener_);
  gives_error(wire::IcmpKind::kPortUnreachable, syn_ack);
  EXPECT_EQ(events(connection) & kFailed, kFailed);
  EXPECT_EQ(state(peer()), State::kClosed);
  expect_room(true);
}

TEST_P(FastOpenServer, ABadCookieGetsAnOrdinaryHandshakeAndAFreshOne) {
  TcpHeader h = good_syn(peer());
  h.options.cookie[3] ^= std::byte{1};
  const Packet syn_ack = knocks(peer(), h, "early");
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_TRUE(has_cookie(syn_ack.tcp));
  EXPECT_EQ(count(Counter::kTCPFastOpenPassiveFail), 1u);
  EXPECT_EQ(count(Reason::kFastOpenCookieBad), 1u);
  accepts_nothing(listener_);
  gives(peer(), header(RST, kPeerIss + 1));
  EXPECT_EQ(knocks(peer(), with_cookie_of(syn_ack.tcp, syn()), "early").tcp.ack, wire::SeqNum{kPeerIss + 6});
}

TEST_P(FastOpenServer, ACookieOfAnotherSizeIsBad) {
  for (const std::uint8_t size : std::initializer_list<std::uint8_t>{4, 6, 16}) {
    TcpHeader h = good_syn(peer());
    h.options.cookie_size = size;
    EXPECT_EQ(knocks(peer(), h, "early").tcp.ack, wire::SeqNum{kPeerIss + 1}) << int{size};
    gives(peer(), header(RST, kPeerIss + 1));
  }
}

TEST_P(FastOpenServer, ACookieIsBoundToBothAddressesAndNotToThePort) {
  const TcpHeader h = good_syn(peer(1));
  EXPECT_EQ(knocks(peer(2), h, "early").tcp.ack, wire::SeqNum{kPeerIss + 1}) << "another source";
  EXPECT_EQ(knocks(peer(1, 1234), h, "early").tcp.ack, wire::SeqNum{kPeerIss + 6}) << "another port";
  wire::Endpoint other = own();
  other.address = config().addresses[v4() ? 1 : 3].address;
  ASSERT_TRUE(stack_.listen(other, {.fast_open = 2}, now_));
  gives(peer(1), h, "early", false, other);
  EXPECT_EQ(only().tcp.ack, wire::SeqNum{kPeerIss + 1}) << "another server";
}

TEST_P(FastOpenServer, BeyondTheLimitTheHandshakeIsOrdinary) {
  for (std::uint16_t port = 1; port <= 2; ++port) (void)knocks(peer(1, port), good_syn(peer(1, port)), "x");
  const Packet syn_ack = knocks(peer(1, 3), good_syn(peer(1, 3)), "early");
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_EQ(count(Counter::kTCPFastOpenListenOverflow), 1u);
  EXPECT_EQ(count(Reason::kFastOpenQueueFull), 1u);
  EXPECT_EQ(half_open(), 1u);
}

TEST_P(FastOpenServer, TheLimitIsFreedByTheThirdSegment) {
  const Packet one = knocks(peer(1, 1), good_syn(peer(1, 1)), "x");
  (void)knocks(peer(1, 2), good_syn(peer(1, 2)), "x");
  expect_room(false);
  gives(peer(1, 1), third(one.tcp));
  expect_room(true);
}

// RFC 7413 §5.1: else a peer that resets at once would have no limit at all.
TEST_P(FastOpenServer, TheLimitIsFreedAMinuteAfterAReset) {
  for (std::uint16_t port = 1; port <= 2; ++port) (void)knocks(peer(1, port), good_syn(peer(1, port)), "x");
  expect_room(false);
  gives(peer(1, 2), header(RST, kPeerIss + 2));
  expect_room(false);
  gives(peer(1, 1), header(RST, kPeerIss + 2));
  runs_for(60_s - 1_ms);
  expect_room(false);
  runs_for(1_ms);
  expect_room(true);
  // They stay in the accept queue, as on Linux, for the program to learn what became of them.
  (void)accepts(listener_);
  const Handle dead = accepts(listener_);
  EXPECT_EQ(stack_.failure(dead), Error::kReset);
}

TEST_P(FastOpenServer, TheLimitIsFreedByTimeOut) {
  for (std::uint16_t port = 1; port <= 2; ++port) (void)knocks(peer(1, port), good_syn(peer(1, port)), "x");
  runs_for(62_s);
  (void)sent();
  expect_room(false);
  runs_for(2_s);
  (void)sent();
  expect_room(true);
  EXPECT_EQ(stack_.failure(accepts(listener_)), Error::kTimedOut);
}

TEST_P(FastOpenServer, TheLimitIsFreedByTheProgramsAbort) {
  for (std::uint16_t port = 1; port <= 2; ++port) (void)knocks(peer(1, port), good_syn(peer(1, port)), "x");
  expect_room(false);
  stack_.abort(accepts(listener_), now_);
  EXPECT_TRUE(only().tcp.flags.rst());
  expect_room(true);
}

TEST_P(FastOpenServer, AcceptedConnectionsOutliveTheirListener) {
  const Packet accepted = knocks(peer(1, 1), good_syn(peer(1, 1)), "x");
  (void)knocks(peer(1, 2), good_syn(peer(1, 2)), "y");
  const Handle connection = accepts(listener_);
  stack_.close(listener_, now_);
  const Packet reset = only();
  EXPECT_TRUE(reset.tcp.flags.rst());
  EXPECT_EQ(reset.tcp.destination_port, 2) << "only what nobody accepted";
  // A new listener has all its room, whatever becomes of the old one's connection.
  listener_ = listens({.fast_open = 2});
  expect_room(true);
  gives(peer(1, 1), third(accepted.tcp));
  EXPECT_EQ(stack_.status(connection)->state, State::kEstablished);
  expect_room(true);
  EXPECT_EQ(reads(connection), "x");
}

TEST_P(FastOpenServer, KeysThatWereSetHonourWhatTheyMade) {
  Key one{}, two{};
  one[0] = std::byte{1};
  two[0] = std::byte{2};
  stack_.set_fast_open_keys(one, two);
  const TcpHeader h = good_syn(peer());
  stack_.set_fast_open_keys(two, one);
  EXPECT_EQ(knocks(peer(1, 1), h, "x").tcp.ack, wire::SeqNum{kPeerIss + 2}) << "made with the previous key";
  stack_.set_fast_open_keys(two, two);
  EXPECT_EQ(knocks(peer(1, 2), h, "x").tcp.ack, wire::SeqNum{kPeerIss + 1});
}

class FastOpenServerOff : public RawHost {};
RAW_HOST_SUITE(FastOpenServerOff);

TEST_P(FastOpenServerOff, ByDefaultNoCookieIsGivenAndNoDataTaken) {
  listens({.fast_open = 16});  // the setting is off
  const Packet syn_ack = knocks(peer(), asking(syn()), "early");
  EXPECT_FALSE(syn_ack.tcp.options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(syn_ack.tcp.ack, wire::SeqNum{kPeerIss + 1});
  EXPECT_EQ(count(Counter::kTCPFastOpenCookieReqd), 0u);
}

TEST_P(FastOpenServerOff, AListenerThatDidNotAskForItGivesNone) {
  stack_.settings().tcp_fastopen = 3;
  listens();
  EXPECT_FALSE(knocks(peer(), asking(syn())).tcp.options.has(TcpOptions::kFastOpen));
}

}  // namespace
}  // namespace synfin::protocol_test
