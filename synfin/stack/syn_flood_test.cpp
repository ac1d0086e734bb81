// SPDX-License-Identifier: Apache-2.0
//
// More SYNs than the queue holds: cookies, and what must stay true while they are used. Named after the rows
// of the list of attacks where there is one.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "synfin/stack/stack.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {
namespace {

using namespace literals;
using trace::Counter;
using trace::Reason;
using wire::Flags;

class SynFlood : public testing::TestWithParam<wire::Family> {
 protected:
  bool v4() const { return GetParam() == wire::Family::kIpv4; }
  static Config config(int host) {
    Config c;
    c.addresses = {*wire::Prefix::parse("10.77.0." + std::to_string(host) + "/24"),
                   *wire::Prefix::parse("fd77::" + std::to_string(host) + "/64")};
    return c;
  }
  wire::Endpoint server() const { return {config(2).addresses[v4() ? 0 : 1].address, 80}; }
  wire::Endpoint spoofed(std::uint32_t n) const {
    if (v4()) return {wire::IpAddress::v4(0xc0000200u + n % 200), static_cast<std::uint16_t>(1024 + n / 200)};
    return {*wire::IpAddress::parse("2001:db8::" + std::to_string(n % 9000 + 1)),
            static_cast<std::uint16_t>(1024 + n / 9000)};
  }
  static constexpr std::uint32_t kQueue = 17;  // one more than the backlog
  void SetUp() override { listener_ = *b_.listen(server(), {.backlog = kQueue - 1}, now_); }

  // A segment to the server from anywhere.
  void inject(const wire::Endpoint& from, const wire::TcpHeader& header, const std::string& text = {}) {
    wire::TcpHeader h = header;
    h.source_port = from.port;
    h.destination_port = server().port;
    wire::IpHeader ip;
    ip.source = from.address;
    ip.destination = server().address;
    ip.protocol = wire::protocol::kTcp;
    wire::Frame frame;
    if (!text.empty()) frame.add(pool_.copy(std::as_bytes(std::span{text})));
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    b_.receive(std::span{&frame, 1}, now_);
  }
  static wire::TcpHeader syn(std::uint32_t seq, bool timestamps = true) {
    wire::TcpHeader h;
    h.seq = wire::SeqNum{seq};
    h.flags = Flags::kSyn;
    h.window = {64240};
    h.options.present = wire::TcpOptions::kMss;
    h.options.mss = 1400;
    if (timestamps) {
      h.options.present |= wire::TcpOptions::kTimestamps;
      h.options.timestamps = {7000, 0};
    }
    return h;
  }
  static wire::TcpHeader ack(wire::SeqNum seq, wire::SeqNum acknowledged) {
    wire::TcpHeader h;
    h.seq = seq;
    h.ack = acknowledged;
    h.flags = Flags::kAck;
    h.window = {64240};
    return h;
  }
  // What the server sends now; the headers.
  std::vector<wire::TcpHeader> sent() {
    std::vector<wire::TcpHeader> out;
    std::array<wire::Frame, 64> frames;
    while (const std::size_t n = b_.transmit(frames, now_)) {
      for (std::size_t i = 0; i < n; ++i) {
        const auto ip = wire::parse_ip(frames[i].front(), frames[i].size());
        out.push_back(wire::parse_tcp_packet(*ip, frames[i], wire::VerifyChecksum::kYes)->tcp);
      }
    }
    return out;
  }
  void flood(std::uint32_t count, std::uint32_t first = 0) {
    for (std::uint32_t n = 0; n < count; ++n) {
      inject(spoofed(first + n), syn(n * 977));
      answers_ += sent().size();
    }
  }
  // Lets both stacks talk, without those segments of the client that `lose` names.
  template <class Lose>
  void pump(Lose lose) {
    std::array<wire::Frame, 16> frames;
    for (bool more = true; more;) {
      const std::size_t n = a_.transmit(frames, now_);
      for (std::size_t i = 0; i < n; ++i) {
        const auto ip = wire::parse_ip(frames[i].front(), frames[i].size());
        if (!lose(*wire::parse_tcp_packet(*ip, frames[i], wire::VerifyChecksum::kYes)))
          b_.receive(std::span{&frames[i], 1}, now_);
      }
      const std::size_t m = b_.transmit(frames, now_);
      a_.receive(std::span{frames}.first(m), now_);  // what goes to spoofed sources is not for it
      more = n + m > 0;
    }
  }
  void pump() {
    pump([](const wire::TcpPacket&) { return false; });
  }
  std::uint64_t count(Counter c) const { return b_.counters()[c]; }
  std::uint64_t count(Reason r) const { return b_.counters()[r]; }

  // Text from the client through to the server's program.
  void expect_text_passes(Handle client) {
    const auto accepted = b_.accept(listener_, now_);
    ASSERT_TRUE(accepted);
    const std::string text(5000, 'x');
    const Bytes out = std::as_bytes(std::span{text});
    ASSERT_EQ(a_.send(client, std::span{&out, 1}, now_), text.size());
    pump();
    EXPECT_EQ(b_.readable(*accepted), text.size());
    b_.abort(*accepted, now_);
    pump();
  }

  wire::BlockPool pool_;
  SeededEntropy entropy_a_{3};
  SeededEntropy entropy_b_{4};
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Stack a_{config(1), pool_, entropy_a_};
  Stack b_{config(2), pool_, entropy_b_};
  Handle listener_;
  std::size_t answers_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Families, SynFlood, testing::Values(wire::Family::kIpv4, wire::Family::kIpv6),
                         [](const auto& p) { return p.param == wire::Family::kIpv4 ? "IPv4" : "IPv6"; });

TEST_P(SynFlood, E1_AFloodFillsNothingAndALegitimateClientConnects) {
  flood(10'000);
  EXPECT_EQ(b_.population().half_open, kQueue);
  EXPECT_EQ(b_.population().connections, 0u);
  EXPECT_EQ(answers_, 10'000u);
  EXPECT_EQ(count(Counter::kSyncookiesSent), 10'000u - kQueue);
  EXPECT_EQ(count(Counter::kTCPReqQFullDoCookies), 10'000u - kQueue);
  EXPECT_EQ(count(Counter::kListenDrops), 0u);

  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump();
  EXPECT_EQ(a_.status(*client)->state, trace::State::kEstablished);
  EXPECT_EQ(count(Counter::kSyncookiesRecv), 1u);
  expect_text_passes(*client);
}

TEST_P(SynFlood, WithoutCookiesTheQueueDropsAndCounts) {
  b_.settings().tcp_syncookies = 0;
  flood(100);
  EXPECT_EQ(answers_, kQueue);
  EXPECT_EQ(count(Counter::kTCPReqQFullDrop), 100u - kQueue);
  EXPECT_EQ(count(Counter::kListenDrops), 100u - kQueue);
  EXPECT_EQ(count(Reason::kSynQueueFull), 100u - kQueue);
}

TEST_P(SynFlood, ACookieKeepsWhatARecordWouldHaveKept) {
  const auto plain = a_.connect(server(), {}, now_);
  pump();
  const auto by_record = b_.accept(listener_, now_);
  ASSERT_TRUE(by_record);
  b_.settings().tcp_syncookies = 2;
  const auto cookie = a_.connect(server(), {}, now_);
  pump();
  const auto by_cookie = b_.accept(listener_, now_);
  ASSERT_TRUE(by_cookie);
  EXPECT_EQ(count(Counter::kSyncookiesRecv), 1u);
  const Status x = *b_.status(*by_record), y = *b_.status(*by_cookie);
  EXPECT_EQ(y.mss, x.mss);
  EXPECT_EQ(y.send_window, x.send_window) << "the window scale came back";
  EXPECT_EQ(y.receive_window, x.receive_window);
  EXPECT_EQ(a_.status(*cookie)->send_window, a_.status(*plain)->send_window);
  EXPECT_EQ(a_.status(*cookie)->mss, a_.status(*plain)->mss);
}

TEST_P(SynFlood, ACookieWithoutTimestampsKeepsScaleAndMssInItsOwnBits) {
  a_.settings().tcp_timestamps = false;
  a_.settings().tcp_rmem = 1 << 20;
  b_.settings().tcp_syncookies = 2;
  const auto client = a_.connect(server(), {}, now_);
  pump();
  const auto accepted = b_.accept(listener_, now_);
  ASSERT_TRUE(accepted);
  // The client's scale is 5 and its window 1 MiB; the nearest that eight values hold is 4.
  EXPECT_EQ(b_.status(*accepted)->send_window, a_.status(*client)->receive_window / 2);
  EXPECT_EQ(b_.status(*accepted)->mss, v4() ? 1460u : 1440u);
}

TEST_P(SynFlood, APeerWithoutScalingIsNotScaled) {
  a_.settings().tcp_window_scaling = false;
  b_.settings().tcp_syncookies = 2;
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump();
  const auto accepted = b_.accept(listener_, now_);
  ASSERT_TRUE(accepted);
  EXPECT_LE(b_.status(*accepted)->receive_window, 65535u);
  EXPECT_LE(b_.status(*accepted)->send_window, 65535u);
}

TEST_P(SynFlood, TheLostThirdSegmentOfACookieIsMadeUpForByData) {
  b_.settings().tcp_syncookies = 2;
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump([](const wire::TcpPacket& p) { return !p.tcp.flags.syn(); });
  EXPECT_EQ(a_.status(*client)->state, trace::State::kEstablished);
  EXPECT_EQ(b_.population().connections, 0u);
  const std::string text = "late";
  const Bytes out = std::as_bytes(std::span{text});
  ASSERT_EQ(a_.send(*client, std::span{&out, 1}, now_), text.size());
  pump();
  const auto accepted = b_.accept(listener_, now_);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(b_.readable(*accepted), text.size());
}

TEST_P(SynFlood, E14_ACookieIsNotBelievedWhenNoneWasSent) {
  inject(spoofed(1), syn(500));
  const wire::TcpHeader syn_ack = sent().at(0);
  inject(spoofed(2), ack(wire::SeqNum{501}, syn_ack.seq + 1));
  const auto reply = sent();
  ASSERT_EQ(reply.size(), 1u);
  EXPECT_TRUE(reply[0].flags.rst());
  EXPECT_EQ(count(Reason::kListenAck), 1u);
  EXPECT_EQ(count(Counter::kSyncookiesFailed), 0u);
}

TEST_P(SynFlood, E14_ACookieIsBoundToItsTupleItsSynAndItsTime) {
  b_.settings().tcp_syncookies = 2;
  inject(spoofed(1), syn(500));
  const wire::SeqNum cookie = sent().at(0).seq;
  const auto refused = [&](const wire::Endpoint& from, const wire::TcpHeader& h) {
    const std::uint64_t before = count(Reason::kSynCookieFailed);
    inject(from, h);
    const auto reply = sent();
    return reply.size() == 1 && reply[0].flags.rst() && count(Reason::kSynCookieFailed) == before + 1;
  };
  EXPECT_TRUE(refused(spoofed(2), ack(wire::SeqNum{501}, cookie + 1))) << "another source";
  EXPECT_TRUE(refused(spoofed(1), ack(wire::SeqNum{502}, cookie + 1))) << "another initial number";
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    EXPECT_TRUE(refused(spoofed(1), ack(wire::SeqNum{501}, wire::SeqNum{cookie.raw() ^ 1u << bit} + 1)))
        << "bit " << bit;
  }
  now_ = now_ + 128_s;
  inject(spoofed(3), syn(900));  // cookies are still being sent
  (void)sent();
  EXPECT_TRUE(refused(spoofed(1), ack(wire::SeqNum{501}, cookie + 1))) << "too old";
}

TEST_P(SynFlood, ACookieLivesForTheNextSlotToo) {
  b_.settings().tcp_syncookies = 2;
  inject(spoofed(1), syn(500));
  const wire::SeqNum cookie = sent().at(0).seq;
  now_ = now_ + 64_s;
  inject(spoofed(1), ack(wire::SeqNum{501}, cookie + 1));
  EXPECT_TRUE(sent().empty());
  EXPECT_EQ(b_.population().connections, 1u);
}

TEST_P(SynFlood, E18_TheServiceRecoversWhenTheLoadEnds) {
  flood(1000);
  ASSERT_EQ(b_.population().half_open, kQueue);
  for (int i = 0; i < 70; ++i) {
    now_ = now_ + 1_s;
    b_.advance(now_);
    (void)sent();
  }
  EXPECT_EQ(b_.population().half_open, 0u) << "every slot came back";
  const std::uint64_t cookies = count(Counter::kSyncookiesSent);
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump();
  EXPECT_EQ(count(Counter::kSyncookiesSent), cookies) << "no cookie was needed";
  expect_text_passes(*client);
}

TEST_P(SynFlood, E19_ResetsGiveEverySlotBack) {
  b_.settings().tcp_syncookies = 0;
  for (std::uint32_t n = 0; n < kQueue; ++n) inject(spoofed(n), syn(1000));
  (void)sent();
  ASSERT_EQ(b_.population().half_open, kQueue);
  for (std::uint32_t n = 0; n < kQueue; ++n) {
    wire::TcpHeader rst;
    rst.seq = wire::SeqNum{1001};
    rst.flags = Flags::kRst;
    inject(spoofed(n), rst);
  }
  EXPECT_EQ(b_.population().half_open, 0u);
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  pump();
  expect_text_passes(*client);
}

TEST_P(SynFlood, KeysThatWereSetMakeTwoHostsHonourEachOthersCookies) {
  Key key{};
  key[0] = std::byte{1};
  const Key other{};
  b_.set_cookie_keys(key, other);
  b_.settings().tcp_syncookies = 2;
  inject(spoofed(1), syn(500));
  const wire::SeqNum cookie = sent().at(0).seq;

  SeededEntropy entropy{99};
  Stack twin{config(2), pool_, entropy};
  twin.set_cookie_keys(key, other);
  twin.settings().tcp_syncookies = 2;
  ASSERT_TRUE(twin.listen(server(), {}, now_));
  const auto give = [&](const wire::Endpoint& from, wire::TcpHeader h) {
    h.source_port = from.port;
    h.destination_port = 80;
    wire::IpHeader ip;
    ip.source = from.address;
    ip.destination = server().address;
    ip.protocol = wire::protocol::kTcp;
    wire::Frame frame;
    wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
    twin.receive(std::span{&frame, 1}, now_);
  };
  give(spoofed(7), syn(1));
  give(spoofed(1), ack(wire::SeqNum{501}, cookie + 1));
  EXPECT_EQ(twin.population().connections, 1u);
}

// The whole of it: exact scale, SACK, and timestamps that go on from the other host's.
TEST_P(SynFlood, AConnectionWhoseSynAnotherHostAnsweredIsAsGoodAsAny) {
  const Key key{std::byte{1}}, other{};
  SeededEntropy entropy{99};
  Stack twin{config(2), pool_, entropy};
  for (Stack* host : {&b_, &twin}) {
    host->set_cookie_keys(key, other);
    host->settings().tcp_syncookies = 2;
  }
  a_.settings().tcp_wmem = twin.settings().tcp_wmem = 1 << 20;
  const auto listener = twin.listen(server(), {}, now_);
  ASSERT_TRUE(listener);
  const auto client = a_.connect(server(), {}, now_);
  ASSERT_TRUE(client);
  // Every SYN goes to one host, everything else to the other.
  const auto exchange = [&] {
    std::array<wire::Frame, 16> frames;
    for (std::size_t moved = 1; moved > 0;) {
      moved = a_.transmit(frames, now_);
      for (std::size_t i = 0; i < moved; ++i) {
        const auto ip = wire::parse_ip(frames[i].front(), frames[i].size());
        const auto tcp = wire::parse_tcp_packet(*ip, frames[i], wire::VerifyChecksum::kYes);
        (tcp->tcp.flags.syn() ? b_ : twin).receive(std::span{&frames[i], 1}, now_);
      }
      for (Stack* host : {&b_, &twin}) {
        const std::size_t n = host->transmit(frames, now_);
        a_.receive(std::span{frames}.first(n), now_);
        moved += n;
      }
      now_ = now_ + 5_ms;
    }
  };
  // Cookies are only believed where one was sent lately.
  wire::TcpHeader h = syn(1);
  h.source_port = 7;
  h.destination_port = 80;
  wire::IpHeader ip{
      .source = spoofed(7).address, .destination = server().address, .protocol = wire::protocol::kTcp};
  wire::Frame frame;
  wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
  twin.receive(std::span{&frame, 1}, now_);
  exchange();
  ASSERT_EQ(twin.counters()[Counter::kSyncookiesRecv], 1u);
  const auto accepted = twin.accept(*listener, now_);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(twin.status(*accepted)->send_window, a_.status(*client)->receive_window);

  const std::string text(50'000, 'x');
  const Bytes out = std::as_bytes(std::span{text});
  ASSERT_EQ(a_.send(*client, std::span{&out, 1}, now_), text.size());
  ASSERT_EQ(twin.send(*accepted, std::span{&out, 1}, now_), text.size());
  exchange();
  EXPECT_EQ(twin.readable(*accepted), text.size());
  EXPECT_EQ(a_.readable(*client), text.size());
  EXPECT_EQ(a_.counters()[Counter::kPAWSEstab], 0u);
}

}  // namespace
}  // namespace synfin::stack
