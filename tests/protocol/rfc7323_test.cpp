// SPDX-License-Identifier: Apache-2.0
//
// Window scale, timestamps and PAWS (RFC 7323): the rules that options_test.cpp and receiving_test.cpp leave
// out.
#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

LadderOptions stamped() {
  return {.peer = {.timestamps = true}};
}
std::uint32_t stamped_full(const Ladder& l) {
  return l.own_mss() - 12;
}

// §2.2: the option in any segment but a SYN is ignored.
LADDER_TEST(Rfc7323, AScaleOutsideOfASynIsIgnored_2_2) {
  Ladder l(variant, {.peer = {.window = 4000}, .settings = [](tcp::Settings& s) { s.tcp_init_cwnd = 100; }});
  l.opened_passively().receives({.seq = 1, .ack = 1, .window = 3000, .wscale = 9}).app_sends(20'000);
  std::size_t sent = 0;
  for (const auto& p : l.take_all()) sent += p.payload_size;
  EXPECT_LE(sent, 4000u) << l.text();
}

// §2.2: what is sent carries it in SYN segments alone.
LADDER_TEST(Rfc7323, TheScaleIsSentInASynAlone_2_2) {
  Ladder l(variant, {.peer = {.wscale = 5}});
  l.opened_passively().app_sends(10).sends({.seq = 1, .len = 10, .wscale = -1});
}

// §3.2: "Once TSopt has been successfully negotiated … the TSopt MUST be sent in every non-<RST> segment".
LADDER_TEST(Rfc7323, EverySegmentHasTimestampsOnceAgreed_3_2) {
  Ladder l(variant, stamped());
  l.opened_passively().app_sends(10).sends({.seq = 1, .len = 10, .timestamps = true});
  l.receives({.seq = 1, .ack = 11, .len = 10}).app_reads(10);
  l.sends_within(40_ms, {.flags = ACK, .timestamps = true});
  l.app_shuts_down(Shutdown::kSend).sends({.flags = FIN | ACK, .timestamps = true});
  l.sends_within(1_s, {.flags = FIN | ACK, .timestamps = true});
}

// §3.2: without them in the SYN none is sent, whatever the peer does later.
LADDER_TEST(Rfc7323, NothingIsStampedWithoutAgreement_3_2) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.seq = 1, .ack = 1, .len = 10, .ts = wire::Timestamps{.value = 77, .echo = 1}}).app_reads(10);
  l.sends_within(40_ms, {.flags = ACK, .ack = 11, .timestamps = false});
  l.app_sends(5).sends({.seq = 1, .len = 5, .timestamps = false});
}

// §3.2: they are for a connection that agreed: others' old stamps reject nothing.
LADDER_TEST(Rfc7323, StampsWithoutAgreementAreIgnored_3_2) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.seq = 1, .ack = 1, .len = 10, .ts = wire::Timestamps{.value = 1'000'000, .echo = 1}});
  l.receives({.seq = 11, .ack = 1, .len = 10, .ts = wire::Timestamps{.value = 1, .echo = 1}}).whatever();
  l.app_reads(20).whatever().counter(Counter::kPAWSEstab, 0);
}

// §4.3: text that fills a hole is echoed at once, as it is what advances the left edge.
LADDER_TEST(Rfc7323, WhatFillsAHoleIsEchoed_4_3) {
  Ladder l(variant, stamped());
  l.opened_passively().at(100_ms).receives({.seq = 1, .ack = 1, .len = 100}).whatever().at(200_ms).whatever();
  l.receives({.seq = 201, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 101}).after(50_ms);
  const std::uint32_t filling = l.peer_tsval();
  l.receives({.seq = 101, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 301, .ts_echo = filling});
}

// §5.3 R2 comes before R3: a segment that lies before the window is rejected before its stamp is looked at.
LADDER_TEST(Rfc7323, ADuplicateIsNotEchoed_5_3) {
  Ladder l(variant, stamped());
  l.opened_passively().at(100_ms).receives({.seq = 1, .ack = 1, .len = 100});
  const std::uint32_t first = l.peer_tsval();
  l.sends_within(40_ms, {.flags = ACK, .ack = 101, .ts_echo = first}).after(1_s);
  l.receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 101, .ts_echo = first});
}

// §4.1: only what acknowledges new text measures: the echo of a bare duplicate does not move SRTT.
LADDER_TEST(Rfc7323, ADuplicateAcknowledgementMeasuresNothing_4_1) {
  Ladder l(variant, stamped());
  l.opened_passively().at(100_ms).app_sends(stamped_full(l)).whatever();
  const std::uint32_t sent = l.last_tsval();
  l.after(20_ms).receives({.seq = 1, .ack = 1 + std::int64_t{stamped_full(l)}}).whatever();
  const auto before = l.stack().info(l.connection(), l.now());
  ASSERT_TRUE(before);
  l.after(5_s).receives({.seq = 1,
                         .ack = 1 + std::int64_t{stamped_full(l)},
                         .ts = wire::Timestamps{.value = l.peer_tsval(), .echo = sent}});
  const auto after = l.stack().info(l.connection(), l.now());
  ASSERT_TRUE(after);
  EXPECT_EQ(before->rtt, after->rtt) << l.text();
  EXPECT_EQ(before->rto, after->rto) << l.text();
}

// §5.2: the comparison is modulo 2^32: a stamp just past the wrap is newer.
LADDER_TEST(Rfc7323, StampsWrap_5_2) {
  Ladder l(variant, stamped());
  l.app_listens().receives(
      {.flags = SYN, .seq = 0, .mss = 1460, .ts = wire::Timestamps{.value = 0xffff'fff0}});
  l.sends({.flags = SYN | ACK, .ts_echo = 0xffff'fff0});
  const std::uint32_t echo = l.last_tsval();
  l.receives({.seq = 1, .ack = 1, .ts = wire::Timestamps{.value = 0xffff'fff8, .echo = echo}}).app_accepts();
  l.receives({.seq = 1, .ack = 1, .len = 10, .ts = wire::Timestamps{.value = 5, .echo = echo}}).app_reads(10);
  l.sends_within(40_ms, {.flags = ACK, .ack = 11, .ts_echo = 5});
  l.receives({.seq = 11, .ack = 1, .len = 10, .ts = wire::Timestamps{.value = 0xffff'fffe, .echo = echo}});
  l.reason(Reason::kPawsRejected).whatever().counter(Counter::kPAWSEstab, 1);
}

// §5.3 R1: an equal stamp is not old.
LADDER_TEST(Rfc7323, AnEqualStampIsTaken_5_3) {
  Ladder l(variant, stamped());
  l.opened_passively().at(100_ms);
  const wire::Timestamps same{.value = l.peer_tsval(), .echo = l.last_tsval()};
  l.receives({.seq = 1, .ack = 1, .len = 10, .ts = same})
      .receives({.seq = 11, .ack = 1, .len = 10, .ts = same});
  l.app_reads(20).whatever().counter(Counter::kPAWSEstab, 0);
}

// §5.3: an old duplicate's acknowledgement and window do nothing either.
LADDER_TEST(Rfc7323, NothingOfAnOldSegmentCounts_5_3) {
  Ladder l(variant, stamped());
  l.opened_passively().at(1_s).receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).whatever();
  l.after(50_ms).whatever().app_sends(100).whatever();
  const wire::Timestamps old{.value = l.peer_tsval() - 10'000, .echo = l.last_tsval()};
  l.receives({.seq = 11, .ack = 101, .window = 0, .ts = old}).reason(Reason::kPawsRejected).whatever();
  const auto info = l.stack().info(l.connection(), l.now());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->unacked, 1u) << l.text();
  EXPECT_GT(info->snd_wnd, 0u) << l.text();
  EXPECT_EQ(info->bytes_acked, 0u) << l.text();
}

// §5.4: the clock ticks at least once a round trip of the largest window and at most once a millisecond, and
// begins where nobody can know (§7.1): two connections' clocks are apart.
LADDER_TEST(Rfc7323, TheClockOfEachConnectionBeginsElsewhere_7_1) {
  Ladder l(variant, stamped());
  l.app_listens();
  std::vector<std::uint32_t> clocks;
  for (std::uint16_t port = 5000; port < 5004; ++port) {
    l.receives({.flags = SYN,
                .seq = 0,
                .mss = 1460,
                .ts = wire::Timestamps{.value = 9},
                .from = l.endpoint(9, port)});
    for (const auto& p : l.take_all()) clocks.push_back(p.tcp.options.timestamps.value);
  }
  ASSERT_EQ(clocks.size(), 4u) << l.text();
  for (std::size_t i = 1; i < clocks.size(); ++i) {
    EXPECT_GT(std::abs(static_cast<std::int32_t>(clocks[i] - clocks[0])), 1000) << l.text();
  }
}

}  // namespace
}  // namespace synfin::protocol_test
