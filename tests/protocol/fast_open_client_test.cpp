// SPDX-License-Identifier: Apache-2.0
//
// TCP Fast Open, the client's side: RFC 7413 §4.1 and §4.2.1.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

const std::string kText = "GET / HTTP/1.1";

class FastOpenClient : public RawHost {
 protected:
  wire::Endpoint server(std::uint32_t n = 1) const { return peer(n, 443); }
  wire::Endpoint client_of(const Packet& p) const { return {own().address, p.tcp.source_port}; }
  static TcpHeader syn_ack(const Packet& syn, std::uint32_t text_taken = 0) {
    TcpHeader h = header(SYN | ACK, 9000, syn.tcp.seq + 1 + text_taken);
    h.options.present = TcpOptions::kMss;
    h.options.mss = 1400;
    return h;
  }
  static TcpHeader with_cookie(TcpHeader h, std::uint8_t size = 8) {
    h.options.present |= TcpOptions::kFastOpen;
    h.options.cookie_size = size;
    for (std::uint8_t i = 0; i < size; ++i)
      h.options.cookie[i] = std::byte{static_cast<std::uint8_t>(0xa0 + i)};
    return h;
  }
  void answer(const Packet& to, const TcpHeader& h, std::uint32_t n = 1) {
    gives(server(n), h, {}, false, client_of(to));
  }
  // Asks the server for a cookie in a connection of its own, which ends at once.
  void learn_cookie(std::uint32_t n = 1, std::uint16_t mss = 1400, std::uint8_t size = 8) {
    const Handle c = connects(server(n), true);
    const Packet syn = only();
    TcpHeader h = with_cookie(syn_ack(syn), size);
    h.options.mss = mss;
    answer(syn, h, n);
    stack_.abort(c, now_);
    (void)sent();
  }
  // The SYN of a connection with data.
  Packet syn_with(std::string_view text, std::uint32_t n = 1) {
    connection_ = connects_without_sending(server(n));
    writes(connection_, text);
    return only();
  }
  Handle connects_without_sending(const wire::Endpoint& to) {
    return keep(*stack_.connect(to, {.fast_open = true}, now_));
  }
  // A SYN with data that vanishes, and the one without that does not.
  void lose(std::uint32_t n = 1) {
    const Packet first = syn_with(kText, n);
    ASSERT_EQ(first.text, kText);
    runs_for(1100_ms);
    answer(first, syn_ack(only()), n);
    (void)sent();
    stack_.abort(connection_, now_);
    (void)sent();
  }
  bool carries_text(std::uint32_t n = 1) {
    const Packet syn = syn_with(kText, n);
    stack_.abort(connection_, now_);
    (void)sent();
    return !syn.text.empty();
  }

  Handle connection_;
};
RAW_HOST_SUITE(FastOpenClient);

TEST_P(FastOpenClient, AsksForACookieWhereNoneIsKnown) {
  const Packet syn = syn_with(kText);
  EXPECT_TRUE(syn.tcp.options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(syn.tcp.options.cookie_size, 0);
  EXPECT_EQ(syn.text, "") << "without a cookie no data goes";
  answer(syn, with_cookie(syn_ack(syn)));
  const auto then = sent();
  ASSERT_FALSE(then.empty());
  EXPECT_EQ(then.back().text, kText) << "behind the handshake";
  EXPECT_EQ(count(Counter::kTCPFastOpenActive) + count(Counter::kTCPFastOpenActiveFail), 0u);
}

TEST_P(FastOpenClient, KeepsTheCookieAndSendsDataWithTheNextSyn) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  EXPECT_EQ(syn.flags(), SYN);
  EXPECT_EQ(syn.tcp.options.cookie_size, 8);
  EXPECT_EQ(syn.tcp.options.cookie[7], std::byte{0xa7});
  EXPECT_EQ(syn.text, kText);
  answer(syn, syn_ack(syn, 14));
  const Packet third = only();
  EXPECT_EQ(third.flags(), ACK);
  EXPECT_EQ(third.text, "");
  EXPECT_EQ(third.tcp.seq, syn.tcp.seq + 15);
  EXPECT_EQ(stack_.status(connection_)->send_queue, 0u);
  EXPECT_EQ(count(Counter::kTCPFastOpenActive), 1u);
  EXPECT_EQ(events(connection_) & kConnected, kConnected);
  runs_for(10_s);
  sends_nothing();
}

// tcpi_bytes_sent, tcpi_bytes_acked, tcpi_bytes_retrans.
TEST_P(FastOpenClient, WhatTheSynCarriesIsCountedOnce) {
  learn_cookie();
  const auto octets = [&] {
    const tcp::Info i = stack_.info(connection_, now_).value_or(tcp::Info{});
    return std::array{i.bytes_sent, i.bytes_acked, i.bytes_retrans};
  };
  using Octets = std::array<std::uint64_t, 3>;
  const std::uint64_t text = kText.size();
  for (const std::uint32_t taken : {14u, 4u, 0u}) {
    const Packet syn = syn_with(kText);
    EXPECT_EQ(octets(), (Octets{0, 0, 0})) << "not answered yet";
    answer(syn, syn_ack(syn, taken));
    const std::uint64_t again = text - taken;
    EXPECT_EQ(octets(), (Octets{text + again, taken, again}));
    answer(syn, header(ACK, 9001, syn.tcp.seq + 1 + 14));
    EXPECT_EQ(octets(), (Octets{text + again, text, again}));
    stack_.abort(connection_, now_);
    (void)sent();
  }
}

TEST_P(FastOpenClient, CookiesOfFourToSixteenOctetsAreKept) {
  for (const std::uint8_t size : std::initializer_list<std::uint8_t>{4, 16}) {
    learn_cookie(size, 1400, size);
    EXPECT_EQ(syn_with(kText, size).tcp.options.cookie_size, size);
  }
}

TEST_P(FastOpenClient, DataThatIsNotAcknowledgedIsSentAgainAtOnce) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  answer(syn, syn_ack(syn));
  const auto then = sent();
  ASSERT_FALSE(then.empty());
  EXPECT_EQ(then.back().text, kText);
  EXPECT_EQ(then.back().tcp.seq, syn.tcp.seq + 1);
  EXPECT_EQ(count(Counter::kTCPFastOpenActiveFail), 1u);
  EXPECT_EQ(count(Reason::kSynDataRefused), 1u);
  EXPECT_TRUE(carries_text()) << "the server did not want it this time; nothing is wrong with the path";
}

TEST_P(FastOpenClient, DataThatIsAcknowledgedInPartIsCompleted) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  answer(syn, syn_ack(syn, 5));
  const auto then = sent();
  ASSERT_FALSE(then.empty());
  EXPECT_EQ(then.back().text, kText.substr(5));
  EXPECT_EQ(then.back().tcp.seq, syn.tcp.seq + 6);
  EXPECT_EQ(count(Counter::kTCPFastOpenActive), 1u);
}

TEST_P(FastOpenClient, ASynAckForMoreThanWasSentIsReset) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  answer(syn, syn_ack(syn, 15));
  EXPECT_EQ(only().flags(), RST);
  EXPECT_EQ(stack_.status(connection_)->state, State::kSynSent);
}

TEST_P(FastOpenClient, AFreshCookieReplacesARefusedOne) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  TcpHeader h = with_cookie(syn_ack(syn));
  h.options.cookie[0] = std::byte{1};
  answer(syn, h);
  (void)sent();
  EXPECT_EQ(syn_with(kText).tcp.options.cookie[0], std::byte{1});
}

TEST_P(FastOpenClient, NoMoreDataThanTheServersSegmentSizeGoesWithTheSyn) {
  learn_cookie(1, 600);
  const std::string text(5000, 'x');
  const Packet syn = syn_with(text);
  EXPECT_GT(syn.text.size(), 500u);
  EXPECT_LE(syn.text.size() + wire::emitted_size(syn.tcp), 620u);
  ASSERT_TRUE(stack_.set_options(connection_, {.no_delay = true}, now_));
  answer(syn, syn_ack(syn, static_cast<std::uint32_t>(syn.text.size())));
  std::string rest;
  for (const Packet& p : sent()) rest += p.text;
  EXPECT_EQ(rest.size(), text.size() - syn.text.size());
}

TEST_P(FastOpenClient, TheSecondSynGoesWithoutOptionAndData) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  runs_for(1100_ms);
  const Packet again = only();
  EXPECT_EQ(again.flags(), SYN);
  EXPECT_EQ(again.tcp.seq, syn.tcp.seq);
  EXPECT_FALSE(again.tcp.options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(again.text, "");
  // The first arrived after all.
  answer(syn, syn_ack(syn, 14));
  EXPECT_EQ(only().tcp.seq, syn.tcp.seq + 15);
  EXPECT_EQ(count(Counter::kTCPFastOpenActive), 1u);
  EXPECT_TRUE(carries_text());
}

TEST_P(FastOpenClient, TheDataOfALostSynFollowsTheHandshake) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  runs_for(1100_ms);
  answer(syn, syn_ack(only()));
  const auto then = sent();
  ASSERT_FALSE(then.empty());
  EXPECT_EQ(then.back().text, kText);
  EXPECT_EQ(count(Counter::kTCPFastOpenActiveFail), 1u);
}

TEST_P(FastOpenClient, WhereItVanishedNoDataGoesForAnHour) {
  learn_cookie();
  lose();
  EXPECT_EQ(count(Counter::kTCPFastOpenBlackhole), 0u) << "one server proves nothing about the rest";
  const Packet syn = syn_with(kText);
  EXPECT_FALSE(syn.tcp.options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(syn.text, "");
  stack_.abort(connection_, now_);
  learn_cookie(2);
  EXPECT_TRUE(carries_text(2));
  runs_for(3601_s);
  EXPECT_TRUE(carries_text());
}

TEST_P(FastOpenClient, VanishingTwiceInARowSuspendsItEverywhereAndCounts) {
  for (std::uint32_t n = 1; n <= 3; ++n) learn_cookie(n);
  lose(1);
  lose(2);
  EXPECT_EQ(count(Counter::kTCPFastOpenBlackhole), 1u);
  EXPECT_FALSE(carries_text(3));
  runs_for(3601_s);
  for (std::uint32_t n = 1; n <= 3; ++n) EXPECT_TRUE(carries_text(n)) << n;
  // The next time for twice as long.
  lose(1);
  lose(2);
  EXPECT_EQ(count(Counter::kTCPFastOpenBlackhole), 2u);
  runs_for(3601_s);
  EXPECT_FALSE(carries_text(3));
  runs_for(3600_s);
  EXPECT_TRUE(carries_text(3));
}

TEST_P(FastOpenClient, SuccessBetweenTwoLossesForgivesTheFirst) {
  for (std::uint32_t n = 1; n <= 3; ++n) learn_cookie(n);
  lose(1);
  const Packet syn = syn_with(kText, 3);
  answer(syn, syn_ack(syn, 14), 3);
  (void)sent();
  lose(2);
  EXPECT_EQ(count(Counter::kTCPFastOpenBlackhole), 0u);
  EXPECT_TRUE(carries_text(3));
}

TEST_P(FastOpenClient, ATimeoutOfZeroNeverSuspends) {
  stack_.settings().tcp_fastopen_blackhole_timeout_sec = 0_s;
  learn_cookie(1);
  learn_cookie(2);
  lose(1);
  lose(2);
  EXPECT_EQ(count(Counter::kTCPFastOpenBlackhole), 0u);
  EXPECT_TRUE(carries_text(1));
}

TEST_P(FastOpenClient, IsOffWithoutTheSettingOrTheOption) {
  learn_cookie();
  (void)connects(server());
  EXPECT_FALSE(only().tcp.options.has(TcpOptions::kFastOpen));
  stack_.settings().tcp_fastopen = 2;
  const Packet syn = syn_with(kText);
  EXPECT_FALSE(syn.tcp.options.has(TcpOptions::kFastOpen));
  EXPECT_EQ(syn.text, "");
}

TEST_P(FastOpenClient, ARefusalEndsItWithTheData) {
  learn_cookie();
  const Packet syn = syn_with(kText);
  answer(syn, header(RST | ACK, 0, syn.tcp.seq + 15));
  EXPECT_EQ(stack_.failure(connection_), Error::kRefused);
}

// Two stacks: the second connection takes one round trip less.
TEST_P(FastOpenClient, AgreesWithTheServersSide) {
  stack::Config c;
  c.addresses = {*wire::Prefix::parse("10.78.0.1/16"), *wire::Prefix::parse("fd78::1/64")};
  c.settings.tcp_fastopen = 3;
  SeededEntropy entropy(99);
  stack::Stack other(c, pool_, entropy);
  const Handle listener = *other.listen(server(), {.fast_open = 4}, now_);
  const auto round = [&](std::size_t directions) {
    std::array<wire::Frame, 16> frames;
    for (std::size_t i = 0; i < directions; ++i) {
      stack::Stack& from = i % 2 == 0 ? stack_ : other;
      stack::Stack& to = i % 2 == 0 ? other : stack_;
      const std::size_t n = from.transmit(frames, now_);
      to.receive(std::span{frames}.first(n), now_);
    }
  };
  for (const bool first : {true, false}) {
    const Handle client = connects_without_sending(server());
    const Bytes bytes = std::as_bytes(std::span{kText});
    ASSERT_TRUE(stack_.send(client, std::span{&bytes, 1}, now_));
    round(1);
    const auto early = other.accept(listener, now_);
    EXPECT_EQ(early.has_value(), !first);
    round(6);
    const auto accepted = first ? other.accept(listener, now_) : early;
    ASSERT_TRUE(accepted);
    EXPECT_EQ(*other.readable(*accepted), kText.size());
    EXPECT_EQ(other.status(*accepted)->state, State::kEstablished);
    other.abort(*accepted, now_);
    round(6);
  }
}

}  // namespace
}  // namespace synfin::protocol_test
