// SPDX-License-Identifier: Apache-2.0
//
// What TCP_INFO says of the time that sending took: Linux's tcpi_busy_time, tcpi_rwnd_limited,
// tcpi_sndbuf_limited and tcpi_total_rto*.
#include "raw_host.h"

namespace synfin::protocol_test {
namespace {

tcp::Info told(Ladder& l) {
  const auto i = l.stack().info(l.connection(), l.now());
  EXPECT_TRUE(i) << l.text();
  return i.value_or(tcp::Info{});
}

#define EXPECT_TIMES(l, busy, peer_window, send_buffer)         \
  do {                                                          \
    const tcp::Info times = told(l);                            \
    EXPECT_EQ(times.busy_time.ms(), (busy).ms()) << (l).text(); \
    EXPECT_EQ(times.rwnd_limited.ms(), (peer_window).ms());     \
    EXPECT_EQ(times.sndbuf_limited.ms(), (send_buffer).ms());   \
  } while (false)

LADDER_TEST(TimesOfSending, AreBusyFromTheFirstOctetToItsAcknowledgement) {
  Ladder l(variant);
  l.opened_passively().after(1_s);
  EXPECT_TIMES(l, 0_ms, 0_ms, 0_ms);
  l.app_sends(100).sends({.seq = 1, .len = 100}).after(70_ms);
  EXPECT_TIMES(l, 70_ms, 0_ms, 0_ms);
  l.receives({.seq = 1, .ack = 101}).after(5_s);
  EXPECT_TIMES(l, 70_ms, 0_ms, 0_ms);
  l.app_sends(100).sends({.seq = 101, .len = 100}).after(30_ms).receives({.seq = 1, .ack = 201});
  EXPECT_TIMES(l, 100_ms, 0_ms, 0_ms);
}

LADDER_TEST(TimesOfSending, AWindowThatIsTooSmallIsThePeers) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 0}).app_sends(1000).sends_nothing();
  l.after(150_ms);
  EXPECT_TIMES(l, 150_ms, 150_ms, 0_ms);
  l.receives({.seq = 1, .ack = 1, .window = 5000}).sends({.seq = 1, .len = 1000}).after(20_ms);
  EXPECT_TIMES(l, 170_ms, 150_ms, 0_ms);
  l.receives({.seq = 1, .ack = 1001}).after(1_s);
  EXPECT_TIMES(l, 170_ms, 150_ms, 0_ms);
}

// Two segments fill the buffer, the windows have room for more, and the program has more.
LADDER_TEST(TimesOfSending, AFullSendBufferIsTheLimitOnlyWhereTheProgramWantsMore) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_wmem = 2048; }});
  l.opened_passively().app_sets_no_delay().app_sends(2048).whatever().after(40_ms);
  EXPECT_TIMES(l, 40_ms, 0_ms, 0_ms);
  l.app_send_fails(Error::kWouldBlock).whatever().after(60_ms);
  EXPECT_TIMES(l, 100_ms, 0_ms, 60_ms);
  l.receives({.seq = 1, .ack = 2049}).sends_nothing().after(1_s);
  EXPECT_TIMES(l, 100_ms, 0_ms, 60_ms);
}

LADDER_TEST(TimesOfSending, StopWhereTheConnectionEnds) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).whatever().after(50_ms).receives({.flags = RST, .seq = 1}).after(1_s);
  EXPECT_TIMES(l, 50_ms, 0_ms, 0_ms);
}

// "total_rto_recoveries" is a spell of timeouts that no progress separates; the time is that of the spells.
LADDER_TEST(TimesOfSending, TellsTimeoutsAndTheirSpells) {
  Ladder l(variant);
  l.opened_passively().app_sends(100).sends({.seq = 1, .len = 100});
  EXPECT_EQ(told(l).total_rto, 0);
  const auto timeouts = [&](int n) {
    const int before = told(l).total_rto;
    for (int i = 0; i < 1000 && told(l).total_rto < before + n; ++i) l.after(10_ms).whatever();
  };
  timeouts(2);
  const Duration second = l.time();
  EXPECT_EQ(told(l).total_rto, 2) << l.text();
  EXPECT_EQ(told(l).total_rto_recoveries, 1);
  EXPECT_EQ(told(l).total_rto_time, 0_ms) << "the spell is not over";
  l.after(30_ms).receives({.seq = 1, .ack = 101});
  const Duration spell = told(l).total_rto_time;
  EXPECT_GE(spell, l.time() - second);
  EXPECT_LE(spell, l.time());
  l.app_sends(100).sends({.seq = 101, .len = 100});
  timeouts(1);
  l.receives({.seq = 1, .ack = 201});
  EXPECT_EQ(told(l).total_rto, 3);
  EXPECT_EQ(told(l).total_rto_recoveries, 2);
}

// tcpi_delivery_rate: four segments in the round trip of 100 ms, sent all at once.
LADDER_TEST(DeliveryRate, IsWhatAnAcknowledgementTellsOf) {
  Ladder l(variant);
  l.opened_passively();
  EXPECT_EQ(told(l).delivery_rate, 0u);
  l.app_sends(4000).whatever().after(100_ms).receives({.seq = 1, .ack = 4001});
  EXPECT_EQ(told(l).delivery_rate, 40'000u);
  EXPECT_TRUE(told(l).delivery_rate_app_limited) << "there was nothing more to send";
  // Less, for want of text: that says nothing.
  l.after(1_s).app_sends(1000).whatever().after(100_ms).receives({.seq = 1, .ack = 5001});
  EXPECT_EQ(told(l).delivery_rate, 40'000u);
  // More is more, whatever the limit was.
  l.after(1_s).app_sends(8000).whatever().after(100_ms).receives({.seq = 1, .ack = 13'001});
  EXPECT_EQ(told(l).delivery_rate, 80'000u);
  EXPECT_TRUE(told(l).delivery_rate_app_limited);
}

LADDER_TEST(DeliveryRate, IsThePathsWhereTheProgramHasMoreThanTheWindowTakes) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 4; }});
  l.opened_passively().app_sends(100'000).whatever();
  std::int64_t acked = 1;
  for (int round = 0; round < 3; ++round) {
    const std::int64_t sent = static_cast<std::int64_t>(told(l).bytes_sent);
    l.after(100_ms).receives({.seq = 1, .ack = 1 + sent}).whatever();
    acked = sent;
  }
  EXPECT_GT(acked, 10'000);
  EXPECT_FALSE(told(l).delivery_rate_app_limited);
  EXPECT_GT(told(l).delivery_rate, 100'000u);
}

// The controller's rate paces, whatever tcp_pacing says, and is what TCP_INFO shows.
LADDER_TEST(DeliveryRate, PacesWhatBbrSends) {
  Ladder l(variant,
           {.settings = [](tcp::Settings& s) { s.tcp_congestion_control = tcp::CongestionControl::kBbr; }});
  l.opened_passively().app_sends(200'000).whatever().after(100_ms);
  const std::int64_t sent = static_cast<std::int64_t>(told(l).bytes_sent);
  l.receives({.seq = 1, .ack = 1 + sent});
  const std::size_t at_once = l.take_all().size();
  EXPECT_LE(at_once, 3u) << "a burst, not the window of twenty";
  // 2.77 windows of ten segments a round trip.
  const tcp::Info i = told(l);
  EXPECT_EQ(i.snd_ssthresh, tcp::Info::kInfiniteThreshold);
  EXPECT_GT(i.pacing_rate, 0u);
  std::size_t later = 0;
  for (int step = 0; step < 60; ++step) {
    l.after(1_ms);
    later += l.take_all().size();
  }
  EXPECT_GE(at_once + later, 10u);
}

}  // namespace
}  // namespace synfin::protocol_test
