// SPDX-License-Identifier: Apache-2.0
//
// What is said in the SYN and what follows from it: MSS (RFC 9293 §3.7.1), window scale and timestamps (RFC
// 7323), SACK.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

constexpr std::uint32_t default_mss(wire::Family f) {
  return f == wire::Family::kIpv4 ? 536 : 1220;
}

// §3.7.1: "the effective MTU minus the fixed IP and TCP headers", in SYN and SYN-ACK.
// RFC 9293: MUST-14, MUST-67, SHLD-5.
LADDER_TEST(MaximumSegmentSize, IsAnnouncedByTheMtu) {
  for (const std::uint32_t mtu : {1280u, 1400u, 1500u, 9000u}) {
    {
      Ladder l(variant, {.mtu = mtu});
      l.app_connects().sends({.flags = SYN, .mss = static_cast<std::uint16_t>(l.own_mss())});
    }
    Ladder l(variant, {.mtu = mtu});
    l.app_listens()
        .receives({.flags = SYN, .mss = 1460})
        .sends({.mss = static_cast<std::uint16_t>(l.own_mss())});
  }
}

// MUST-15: without the option 536 or 1220.
// RFC 9293: MUST-15.
LADDER_TEST(MaximumSegmentSize, DefaultsWithoutTheOption) {
  for (const bool active : {false, true}) {
    Ladder l(variant, {.peer = {.mss = std::nullopt}});
    if (active) {
      l.opened_actively();
    } else {
      l.opened_passively();
    }
    l.app_sends(2 * default_mss(variant.family)).sends({.seq = 1, .len = default_mss(variant.family)});
    l.sends({.len = default_mss(variant.family)}).sends_nothing();
  }
}

// MUST-16: the smaller of the peer's and what the link carries.
// RFC 9293: MUST-14, MUST-16.
LADDER_TEST(MaximumSegmentSize, IsTheSmallerOfBoth) {
  for (const std::uint16_t mss : {std::uint16_t{600}, std::uint16_t{1000}, std::uint16_t{65535}}) {
    Ladder l(variant, {.peer = {.mss = mss}});
    const std::uint32_t effective = std::min<std::uint32_t>(mss, l.own_mss());
    l.opened_passively().app_sends(3 * effective);
    for (int i = 0; i < 3; ++i) l.sends({.len = effective});
    l.sends_nothing();
  }
}

// Attacks D4, D10: absurd values are clamped (tcp_min_snd_mss), nothing divides by them.
LADDER_TEST(MaximumSegmentSize, TinyValuesAreClamped) {
  for (const std::uint16_t mss : {std::uint16_t{0}, std::uint16_t{1}, std::uint16_t{47}}) {
    Ladder l(variant, {.peer = {.mss = mss}});
    l.opened_passively().app_sends(96).whatever().app_sends(4).whatever();
    l.receives({.seq = 1, .ack = 49});
    for (const auto& packet : l.take_all()) EXPECT_GE(packet.payload_size, 4u) << l.text();
  }
}

// §3.7.1: options lessen the data; with timestamps 12 octets.
// RFC 9293: MUST-16.
LADDER_TEST(MaximumSegmentSize, TimestampsLessenTheData) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  const std::uint32_t effective = l.own_mss() - 12;
  l.opened_passively().app_sends(2 * effective).sends({.seq = 1, .len = effective}).sends({.len = effective});
  l.sends_nothing();
}

// RFC 7323 §2.2: offered in a SYN; in a SYN-ACK only as an answer.
LADDER_TEST(SynOptions, ActiveOpenOffersEverything) {
  Ladder l(variant);
  l.app_connects();
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u);
  const auto& o = sent[0].tcp.options;
  EXPECT_TRUE(o.has(wire::TcpOptions::kMss));
  EXPECT_TRUE(o.has(wire::TcpOptions::kWindowScale));
  EXPECT_TRUE(o.has(wire::TcpOptions::kSackPermitted));
  EXPECT_TRUE(o.has(wire::TcpOptions::kTimestamps));
  EXPECT_EQ(o.timestamps.echo, 0u) << "RFC 7323 §3.2: TSecr is zero in a SYN";
}

LADDER_TEST(SynOptions, PassiveOpenAnswersOnlyWhatWasOffered) {
  {
    Ladder l(variant);
    l.app_listens().receives({.flags = SYN, .mss = 1460});
    l.sends({.flags = SYN | ACK, .wscale = -1, .sack_permitted = false, .timestamps = false});
  }
  Ladder l(variant);
  l.app_listens().receives(
      {.flags = SYN, .mss = 1460, .wscale = 7, .sack_permitted = true, .ts = wire::Timestamps{.value = 99}});
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u);
  const auto& o = sent[0].tcp.options;
  EXPECT_TRUE(o.has(wire::TcpOptions::kWindowScale) && o.has(wire::TcpOptions::kSackPermitted)) << l.text();
  EXPECT_TRUE(o.has(wire::TcpOptions::kTimestamps)) << l.text();
  EXPECT_EQ(o.timestamps.echo, 99u) << l.text();
}

LADDER_TEST(SynOptions, SettingsTurnThemOff) {
  const auto off = [](tcp::Settings& s) { s.tcp_window_scaling = s.tcp_timestamps = s.tcp_sack = false; };
  {
    Ladder l(variant, {.settings = off});
    l.app_connects().sends({.flags = SYN, .wscale = -1, .sack_permitted = false, .timestamps = false});
  }
  Ladder l(variant, {.settings = off});
  l.app_listens().receives(
      {.flags = SYN, .mss = 1460, .wscale = 7, .sack_permitted = true, .ts = wire::Timestamps{.value = 99}});
  l.sends({.flags = SYN | ACK, .wscale = -1, .sack_permitted = false, .timestamps = false});
}

// The SYN again has the same options.
LADDER_TEST(SynOptions, RetransmissionsCarryThem) {
  Ladder l(variant);
  l.app_listens().receives(
      {.flags = SYN, .mss = 1460, .wscale = 7, .sack_permitted = true, .ts = wire::Timestamps{.value = 99}});
  const auto first = l.take_all();
  ASSERT_EQ(first.size(), 1u);
  l.at(1_s + Ladder::kSlack);
  const auto again = l.take_all();
  ASSERT_EQ(again.size(), 1u) << l.text();
  EXPECT_EQ(again[0].tcp.options.present, first[0].tcp.options.present) << l.text();
  EXPECT_EQ(again[0].tcp.options.window_scale, first[0].tcp.options.window_scale);
  EXPECT_EQ(again[0].tcp.options.mss, first[0].tcp.options.mss);
  EXPECT_EQ(again[0].tcp.window, first[0].tcp.window);
  EXPECT_EQ(again[0].tcp.seq, first[0].tcp.seq);
}

// RFC 7323 §2.2: "The window field in a segment where the SYN bit is set MUST NOT be scaled", afterwards it
// is.
// RFC 9293: REC-1.
LADDER_TEST(WindowScaling, OfferedWindowIsScaledAfterTheSyn) {
  Ladder l(variant, {.peer = {.wscale = 0}, .settings = [](tcp::Settings& s) { s.tcp_rmem = 1 << 20; }});
  l.app_listens().receives({.flags = SYN, .mss = 1460, .wscale = 0});
  const auto syn_ack = l.take_all();
  ASSERT_EQ(syn_ack.size(), 1u);
  ASSERT_TRUE(syn_ack[0].tcp.options.has(wire::TcpOptions::kWindowScale));
  l.receives({.seq = 1, .ack = 1}).app_accepts().receives({.seq = -1, .ack = 1});
  const auto answer = l.take_all();
  ASSERT_EQ(answer.size(), 1u);
  const std::uint32_t scaled = std::uint32_t{answer[0].tcp.window.field}
                               << syn_ack[0].tcp.options.window_scale;
  EXPECT_GE(scaled, 65535u) << l.text();
  EXPECT_LE(scaled, 1u << 20) << l.text();
}

// The peer's window is scaled after the SYN, and not in it.
LADDER_TEST(WindowScaling, PeersWindowIsScaledAfterTheSyn) {
  const auto wide = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; };
  Ladder l(variant, {.peer = {.wscale = 4, .window = 500}, .settings = wide});
  l.opened_passively();  // its ACK opened 500 << 4 = 8000
  l.app_sends(20'000);
  std::uint32_t sent = 0;
  for (const auto& packet : l.take_all()) sent += static_cast<std::uint32_t>(packet.payload_size);
  EXPECT_LE(sent, 8000u) << l.text();
  EXPECT_GE(sent, 8000u - 1460u) << l.text();
}

LADDER_TEST(WindowScaling, SynAckWindowIsNotScaled) {
  const auto wide = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; };
  Ladder l(variant, {.peer = {.wscale = 10, .window = 3000}, .settings = wide});
  l.opened_actively().app_sends(20'000);
  std::uint32_t sent = 0;
  for (const auto& packet : l.take_all()) sent += static_cast<std::uint32_t>(packet.payload_size);
  EXPECT_LE(sent, 3000u) << l.text();
}

// Without the option in the peer's SYN neither direction is scaled.
LADDER_TEST(WindowScaling, OffUnlessBothOffer) {
  Ladder l(variant, {.peer = {.window = 4000}, .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; }});
  l.opened_actively().app_sends(20'000);
  std::uint32_t sent = 0;
  for (const auto& packet : l.take_all()) sent += static_cast<std::uint32_t>(packet.payload_size);
  EXPECT_LE(sent, 4000u) << l.text();
  l.receives({.seq = -1, .ack = 1});
  for (const auto& packet : l.take_all())
    EXPECT_GT(packet.tcp.window.field, 30'000) << "scaled although not agreed";
}

// RFC 7323 §2.3: more than 14 counts as 14.
LADDER_TEST(WindowScaling, ShiftAbove14CountsAs14) {
  Ladder l(variant, {.peer = {.wscale = 30, .window = 1},
                     .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; }});
  l.opened_passively().app_sends(40'000);
  std::uint32_t sent = 0;
  for (const auto& packet : l.take_all()) sent += static_cast<std::uint32_t>(packet.payload_size);
  EXPECT_LE(sent, 1u << 14) << l.text();
  EXPECT_GE(sent, (1u << 14) - 1460u) << l.text();
}

// Attack E8's other half: a scale of 14 must not make the range of acceptable old ACKs larger than what was
// offered.
LADDER_TEST(WindowScaling, AckRangeFollowsTheLargestWindowOffered) {
  Ladder l(variant, {.peer = {.wscale = 14, .window = 1}});
  l.opened_passively().receives({.seq = 1, .ack = 1 - (1 << 30), .len = 5}).reason(Reason::kAckTooOld);
  l.sends({.flags = ACK, .seq = 1, .ack = 1}).app_read_fails(Error::kWouldBlock);
}

// RFC 7323 §3.2: every segment carries them, TSval never goes back, 1 ms ticks.
LADDER_TEST(TimestampClock, TicksInMilliseconds) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively().at(100_ms).app_sends(1).sends(
      {.seq = 1, .len = 1, .timestamps = true, .ts_echo = l.peer_tsval() - 100});
  const std::uint32_t first = l.last_tsval();
  l.at(110_ms).receives({.seq = 1, .ack = 2}).at(1100_ms).app_sends(1).sends({.seq = 2, .len = 1});
  EXPECT_NEAR(static_cast<double>(l.last_tsval() - first), 1000.0, 10.0) << l.text();
}

}  // namespace
}  // namespace synfin::protocol_test
