// SPDX-License-Identifier: Apache-2.0
//
// The receiving side: RFC 9293 §3.10.7.4 seventh, §3.8.6, §3.8.6.2.2, §3.8.6.3, RFC 2018, RFC 7323.
#include <algorithm>

#include "protocol_test_support.h"
#include "synfin/base/entropy.h"

namespace synfin::protocol_test {
namespace {

// Segments that fill what the stack itself announced as its MSS.
std::uint32_t announced_full(const Ladder& l) {
  return l.own_mss();
}

LADDER_TEST(Receiving, InOrderDataIsDelivered) {
  Ladder l(variant);
  l.opened_passively();
  for (std::int64_t seq = 1; seq < 3000; seq += 100) {
    l.receives({.flags = ACK | PSH, .seq = seq, .ack = 1, .len = 100})
        .reason(Reason::kDataAccepted)
        .whatever();
    l.event(kReadable).app_reads(100).whatever();
  }
  l.app_read_fails(Error::kWouldBlock).sends_within(40_ms, {.flags = ACK, .ack = 3001}).silent_for(1_s);
}

// SHLD-19: "at least every second full-sized segment".
// RFC 9293: SHLD-19.
LADDER_TEST(DelayedAck, SecondFullSegmentIsAcknowledgedAtOnce) {
  Ladder l(variant);
  l.opened_passively();
  std::int64_t seq = 1;
  // Quick acknowledgements at the beginning of a connection are allowed; from some point on every second one
  // is enough, and never less.
  std::size_t unacknowledged = 0;
  for (int i = 0; i < 60; ++i) {
    l.receives({.seq = seq, .ack = 1, .len = announced_full(l)});
    seq += announced_full(l);
    const auto sent = l.take_all();
    ASSERT_LE(sent.size(), 1u) << l.text();
    unacknowledged = sent.empty() ? unacknowledged + 1 : 0;
    ASSERT_LT(unacknowledged, 2u) << l.text();
    if (!sent.empty()) {
      ASSERT_EQ(sent[0].tcp.ack.raw(), variant.peer_iss + static_cast<std::uint32_t>(seq)) << l.text();
    }
    l.app_reads(announced_full(l)).whatever();
  }
}

// SHLD-18, MUST-40 (tcp_delack_max: 40 ms).
// RFC 9293: MUST-40.
LADDER_TEST(DelayedAck, LoneSegmentIsAcknowledgedWithin40Milliseconds) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10});
  l.sends_within(40_ms, {.flags = ACK, .seq = 1, .ack = 11, .len = 0}).silent_for(1_s);
}

// RFC 9293: MUST-40.
TEST(DelayedAck, HalfASecondIsRefused) {
  tcp::Settings settings;
  EXPECT_FALSE(settings.set("tcp_delack_max", "500ms"));
  EXPECT_TRUE(settings.set("tcp_delack_max", "499ms"));
}

LADDER_TEST(DelayedAck, SettingDecides) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_delack_max = 0_ms; }});
  l.opened_passively()
      .receives({.seq = 1, .ack = 1, .len = 10})
      .sends({.flags = ACK, .ack = 11})
      .silent_for(1_s);
}

// "This acknowledgment should be piggybacked on a segment being transmitted if possible".
LADDER_TEST(DelayedAck, DataCarriesIt) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10});
  if (!l.take_all().empty())
    l.receives({.seq = 11, .ack = 1, .len = 10}).whatever();  // a quick one went already
  l.app_sends(5);
  const auto sent = l.take_all();
  ASSERT_EQ(sent.size(), 1u) << l.text();
  EXPECT_EQ(sent[0].payload_size, 5u);
  l.silent_for(100_ms);
}

// MUST-59: "it MUST process them all before sending any ACK segments".
// RFC 9293: MUST-58, MUST-59.
LADDER_TEST(DelayedAck, BatchIsAcknowledgedOnce) {
  Ladder l(variant);
  l.opened_passively();
  std::vector<In> batch;
  for (std::int64_t i = 0; i < 10; ++i)
    batch.push_back({.seq = 1 + i * announced_full(l), .ack = 1, .len = announced_full(l)});
  l.receives_batch(batch)
      .sends({.flags = ACK, .ack = 1 + 10 * std::int64_t{announced_full(l)}, .len = 0})
      .sends_nothing();
  l.app_reads(10 * announced_full(l)).whatever();
}

// RFC 5681 §4.2: out-of-order segments and those that fill a gap are acknowledged at once.
// RFC 9293: SHLD-31, MAY-13.
LADDER_TEST(Reassembly, OutOfOrderIsAcknowledgedAtOnce) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.seq = 101, .ack = 1, .len = 100})
      .reason(Reason::kDataOutOfOrder)
      .sends({.flags = ACK, .ack = 1, .len = 0});
  l.receives({.seq = 201, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 1, .len = 0});
  l.app_read_fails(Error::kWouldBlock);
  l.receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 301, .len = 0}).sends_nothing();
  l.event(kReadable).app_reads(300).app_read_fails(Error::kWouldBlock);
}

// A gap filled in part only.
LADDER_TEST(Reassembly, PartOfAGap) {
  Ladder l(variant);
  l.opened_passively();
  l.receives({.seq = 301, .ack = 1, .len = 100})
      .sends({.ack = 1})
      .receives({.seq = 101, .ack = 1, .len = 100});
  l.sends({.ack = 1}).receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 201});
  l.app_reads(200)
      .receives({.seq = 201, .ack = 1, .len = 100})
      .sends({.flags = ACK, .ack = 401})
      .app_reads(200);
}

// All ways in which two segments can lie to each other and to what has arrived, against a model that keeps
// octets.
// RFC 9293: SHLD-31.
LADDER_TEST(Reassembly, OverlapGrid) {
  constexpr std::int64_t kUnit = 7, kUnits = 6;
  struct Part {
    std::int64_t first, last;
  };
  std::vector<Part> parts;
  for (std::int64_t i = -1; i < kUnits; ++i) {
    for (std::int64_t k = i + 1; k <= kUnits; ++k) parts.push_back({i, k});
  }
  if (variant.peer_iss == 1000 && variant.family == wire::Family::kIpv6)
    return;  // the grid is large; three places do
  for (const Part& first : parts) {
    for (const Part& second : parts) {
      Ladder l(variant);
      l.opened_passively().receives({.seq = 1, .ack = 1, .len = kUnit}).whatever();  // unit -1 has arrived
      std::array<bool, kUnits> have{};
      const auto arrived = [&have] {
        std::int64_t n = 0;
        while (n < kUnits && have[static_cast<std::size_t>(n)]) ++n;
        return n;
      };
      std::int64_t read = 0;
      for (const Part& p : {first, second, Part{0, kUnits}}) {
        l.receives({.seq = 1 + kUnit * (p.first + 1),
                    .ack = 1,
                    .len = static_cast<std::uint32_t>(kUnit * (p.last - p.first))});
        for (std::int64_t i = std::max<std::int64_t>(p.first, 0); i < p.last; ++i)
          have[static_cast<std::size_t>(i)] = true;
        const auto readable = l.stack().readable(l.connection());
        ASSERT_TRUE(readable);
        ASSERT_EQ(static_cast<std::int64_t>(*readable), kUnit * (1 + arrived()) - read) << l.text();
        l.whatever();
      }
      // What was kept is right, and nothing of it is left over.
      l.app_reads(kUnit * (1 + kUnits)).app_read_fails(Error::kWouldBlock);
      l.after(50_ms).whatever().receives({.seq = -5, .ack = 1, .len = 1});
      l.sends({.flags = ACK, .ack = 1 + kUnit * (1 + kUnits)}).sends_nothing();
      if (l.failed()) return;
    }
  }
}

// The same with many random segments and reads in between, seeded.
LADDER_TEST(Reassembly, RandomSegmentsAgainstAModel) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededEntropy random(seed);
    Ladder l(variant);
    l.opened_passively();
    constexpr std::uint32_t kTotal = 3000;
    std::vector<bool> have(kTotal);
    std::uint32_t next = 0, read = 0;
    for (int i = 0; i < 200 && read < kTotal; ++i) {
      const std::uint32_t low = next > 100 ? next - 100 : 0;
      const std::uint32_t first = std::min(low + random.below(600), kTotal - 1);
      const std::uint32_t len = std::min(1 + random.below(300), kTotal - first);
      l.receives({.seq = 1 + std::int64_t{first}, .ack = 1, .len = len}).whatever();
      std::fill(have.begin() + first, have.begin() + first + len, true);
      while (next < kTotal && have[next]) ++next;
      const auto readable = l.stack().readable(l.connection());
      ASSERT_TRUE(readable);
      ASSERT_EQ(*readable, next - read) << "seed " << seed << "\n" << l.text();
      if (next > read && random.below(3) == 0) {
        const std::uint32_t n = 1 + random.below(next - read);
        l.app_reads(n).whatever();
        read += n;
      }
    }
    if (l.failed()) {
      ADD_FAILURE() << "seed " << seed;
      return;
    }
  }
}

// Attack D3: the queue is bounded, and the connection survives.
LADDER_TEST(Reassembly, TinySegmentsAreBounded) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) { s.tcp_rmem = 65536; }});
  l.opened_passively();
  for (std::int64_t i = 0; i < 20'000; ++i) l.receives({.seq = 3 + 2 * i, .ack = 1, .len = 1}).whatever();
  EXPECT_LE(l.pool().bytes_in_use(), 4u << 20) << "20,000 octets out of order";
  l.receives({.seq = 1, .ack = 1, .len = 1000}).whatever().app_reads(1000);
}

// A duplicate is acknowledged at once, so that the peer learns (§3.10.7.4 first).
LADDER_TEST(Receiving, DuplicateIsAcknowledged) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 100}).sends_within(40_ms, {.ack = 101});
  l.receives({.seq = 1, .ack = 1, .len = 100})
      .reason(Reason::kOldDuplicate)
      .sends({.flags = ACK, .ack = 101, .len = 0});
  l.app_reads(100).app_read_fails(Error::kWouldBlock);
}

// "If a segment's contents straddle the boundary between old and new, only the new parts are processed."
LADDER_TEST(Receiving, OnlyTheNewPartOfASegmentCounts) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 100}).sends_within(40_ms, {.ack = 101});
  l.receives({.seq = 51, .ack = 1, .len = 100})
      .app_reads(150)
      .sends_within(40_ms, {.flags = ACK, .ack = 151});
}

// The announced window shrinks by what has arrived and not been read; beyond it nothing is kept.
LADDER_TEST(ReceiveWindow, FillsAndCloses) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 10'000;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively();
  l.receives({.seq = -1, .ack = 1});
  const auto first = l.take_all();
  ASSERT_EQ(first.size(), 1u);
  const std::int64_t window = first[0].tcp.window.field;
  ASSERT_GT(window, 2000) << l.text();
  ASSERT_LE(window, 10'000) << "more offered than tcp_rmem";
  std::int64_t seq = 1;
  while (seq < 1 + window) {
    const auto len = static_cast<std::uint32_t>(std::min<std::int64_t>(1000, 1 + window - seq));
    l.receives({.seq = seq, .ack = 1, .len = len});
    seq += len;
    l.sends_within(40_ms, {.flags = ACK, .ack = seq});
  }
  // The window is zero now: a probe of one octet is not taken, but answered with the window (§3.8.6.1, Table
  // 6).
  l.receives({.seq = seq, .ack = 1, .len = 1})
      .sends({.flags = ACK, .ack = seq, .len = 0, .window = 0})
      .sends_nothing();
  l.after(1_s).receives({.seq = seq - 1, .ack = 1}).sends({.flags = ACK, .ack = seq, .window = 0});
  // "special allowance should be made to accept valid ACKs, URGs, and RSTs".
  l.app_sends(10).sends({.seq = 1, .ack = seq, .len = 10}).receives({.seq = seq, .ack = 11}).silent_for(5_s);
  // Reading opens it, and tells (MUST-39: by a segment at least).
  l.app_reads(static_cast<std::uint32_t>(window)).sends({.flags = ACK, .seq = 11, .ack = seq, .len = 0});
  l.sends_nothing()
      .receives({.seq = seq, .ack = 11, .len = 1000})
      .app_reads(1000)
      .sends_within(40_ms, {.ack = seq + 1000});
}

// A FIN fits behind a full window (the FIN takes no buffer) or is sent again; it must not be lost or end
// things early.
LADDER_TEST(ReceiveWindow, FinBehindAFullWindow) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 4000;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively().receives({.seq = -1, .ack = 1});
  const auto first = l.take_all();
  ASSERT_EQ(first.size(), 1u);
  const std::uint32_t window = first[0].tcp.window.field;
  for (std::uint32_t have = 0; have < window;) {
    const std::uint32_t len = std::min(1000u, window - have);
    l.receives({.seq = 1 + std::int64_t{have}, .ack = 1, .len = len});
    have += len;
    l.sends_within(40_ms, {.flags = ACK, .ack = 1 + std::int64_t{have}});
  }
  l.receives({.flags = FIN | ACK, .seq = 1 + std::int64_t{window}, .ack = 1}).whatever();
  l.app_reads(window).whatever();
  l.receives({.flags = FIN | ACK, .seq = 1 + std::int64_t{window}, .ack = 1});
  l.sends({.flags = ACK, .ack = 2 + std::int64_t{window}}).state(State::kCloseWait).app_reads_end();
}

// §3.8.6.2.2: the right edge advances only by min(RCV.BUFF / 2, MSS) or more.
// RFC 9293: MUST-39.
LADDER_TEST(ReceiveWindow, NoSillyUpdates) {
  Ladder l(variant, {.settings = [](tcp::Settings& s) {
             s.tcp_rmem = 20'000;
             s.tcp_window_scaling = false;
           }});
  l.opened_passively().receives({.seq = -1, .ack = 1});
  const auto first = l.take_all();
  ASSERT_EQ(first.size(), 1u);
  const std::uint32_t window = first[0].tcp.window.field;
  for (std::uint32_t have = 0; have < window;) {
    const std::uint32_t len = std::min(1000u, window - have);
    l.receives({.seq = 1 + std::int64_t{have}, .ack = 1, .len = len});
    have += len;
    l.sends_within(40_ms, {.flags = ACK, .ack = 1 + std::int64_t{have}});
  }
  std::uint32_t edge = 0;
  for (std::uint32_t i = 0; i < window / 10; ++i) {
    l.app_reads(10);
    // A duplicate: the answer shows the window. Answers are limited per second.
    if (i % 7 == 0) l.after(200_ms).receives({.seq = std::int64_t{window}, .ack = 1});
    for (const auto& packet : l.take_all()) {
      const std::uint32_t now = packet.tcp.window.field;
      ASSERT_GE(now, edge) << l.text();
      if (now != edge) {
        ASSERT_GE(now - edge, std::min(window / 2, announced_full(l))) << l.text();
      }
      edge = now;
    }
  }
  EXPECT_GE(edge, window / 2) << "the window was never opened\n" << l.text();
}

// RFC 2018 §4: SACK blocks on duplicate acknowledgements, the most recent first.
LADDER_TEST(Sack, BlocksReportWhatLiesBeyondTheHole) {
  Ladder l(variant, {.peer = {.sack_permitted = true}});
  l.opened_passively().receives({.seq = 101, .ack = 1, .len = 100});
  l.sends({.flags = ACK, .ack = 1, .sack = std::vector<Sack>{{101, 201}}});
  l.receives({.seq = 301, .ack = 1, .len = 100});
  l.sends({.flags = ACK, .ack = 1, .sack = std::vector<Sack>{{301, 401}, {101, 201}}});
  l.receives({.seq = 201, .ack = 1, .len = 100})
      .sends({.flags = ACK, .ack = 1, .sack = std::vector<Sack>{{101, 401}}});
  l.receives({.seq = 1, .ack = 1, .len = 100}).sends({.flags = ACK, .ack = 401, .sack = std::vector<Sack>{}});
  l.app_reads(400);
}

// RFC 2018 §2: without the option on both SYNs no SACK.
LADDER_TEST(Sack, NotSentUnlessPermitted) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.seq = 101, .ack = 1, .len = 100})
      .sends({.ack = 1, .sack = std::vector<Sack>{}});
}

// RFC 7323 §4.3: TSecr is the TSval of the segment that last advanced the left window edge; with delayed ACKs
// the earliest.
LADDER_TEST(Timestamps, EchoTheEarliestUnacknowledgedSegment) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively();
  l.at(100_ms).receives({.seq = 1, .ack = 1, .len = announced_full(l) - 12}).whatever();
  l.at(300_ms);
  const std::uint32_t first = l.peer_tsval();
  std::int64_t seq = 1 + std::int64_t{announced_full(l)} - 12;
  l.whatever().receives({.seq = seq, .ack = 1, .len = 100});
  if (!l.take_all().empty()) return;  // acknowledged at once: nothing to choose from
  l.at(310_ms).receives({.seq = seq + 100, .ack = 1, .len = 100});
  l.sends_within(40_ms, {.flags = ACK, .ack = seq + 200, .ts_echo = first});
}

// A segment beyond a hole does not count (RFC 7323 §4.3 (A), "a gap").
LADDER_TEST(Timestamps, OutOfOrderSegmentIsNotEchoed) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively().at(100_ms).receives({.seq = 1, .ack = 1, .len = 100});
  const std::uint32_t last = l.peer_tsval();
  l.sends_within(40_ms, {.ack = 101, .ts_echo = last});
  l.at(300_ms)
      .receives({.seq = 201, .ack = 1, .len = 100})
      .sends({.flags = ACK, .ack = 101, .ts_echo = last});
}

// RFC 7323 §5.3 R1 (PAWS): older than TS.Recent: acknowledged and dropped, even with the right number.
LADDER_TEST(Timestamps, PawsRejectsOldSegments) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively()
      .at(1_s)
      .receives({.seq = 1, .ack = 1, .len = 100})
      .app_reads(100)
      .sends_within(40_ms, {.ack = 101});
  const std::uint32_t recent = l.peer_tsval() - static_cast<std::uint32_t>((l.time() - 1_s).ms());
  l.receives(
      {.seq = 101, .ack = 1, .len = 50, .ts = wire::Timestamps{.value = recent - 1, .echo = l.last_tsval()}});
  l.reason(Reason::kPawsRejected).sends({.flags = ACK, .seq = 1, .ack = 101, .len = 0, .ts_echo = recent});
  l.app_read_fails(Error::kWouldBlock).counter(Counter::kPAWSEstab, 1);
  l.receives(
      {.seq = 101, .ack = 1, .len = 50, .ts = wire::Timestamps{.value = recent, .echo = l.last_tsval()}});
  l.app_reads(50).whatever();
}

// RFC 7323 §5.3: "RST segments MUST NOT be subjected to the PAWS check".
LADDER_TEST(Timestamps, PawsDoesNotApplyToResets) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively().at(1_s);
  l.receives({.flags = RST, .seq = 1, .ts = wire::Timestamps{.value = l.peer_tsval() - 100'000, .echo = 0}});
  l.state(State::kClosed).event(kFailed);
}

// RFC 7323 §3.2: a segment without the option on a connection that has it SHOULD be dropped; tolerant stacks
// take it.
LADDER_TEST(Timestamps, MissingTimestampsDoNotResetTheConnection) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10, .without_ts = true}).whatever();
  l.state(State::kEstablished).no_event(kFailed).after(1_s).whatever();
  l.receives({.seq = 1, .ack = 1, .len = 10}).whatever().app_reads(10).whatever();
}

// Attack D7: a segment outside the window with a huge TSval does not poison TS.Recent (RFC 7323 §4.3).
LADDER_TEST(Timestamps, UnacceptableSegmentDoesNotPoison) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively();
  l.receives({.seq = 0x4000'0000,
              .ack = 1,
              .len = 10,
              .ts = wire::Timestamps{.value = l.peer_tsval() + 1'000'000, .echo = 0}});
  l.whatever().receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).whatever();
}

// RFC 7323 §5.5: after 24 days of silence TS.Recent no longer counts.
LADDER_TEST(Timestamps, PawsForgetsAfter24Days) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.opened_passively().at(25_s * 86'400);
  l.receives({.seq = 1,
              .ack = 1,
              .len = 10,
              .ts = wire::Timestamps{.value = l.peer_tsval() - 0x7000'0000, .echo = l.last_tsval()}});
  l.app_reads(10).whatever();
}

// Attack E9: the third segment lacks the timestamps that were negotiated.
LADDER_TEST(Timestamps, ThirdSegmentWithoutThemLeaksNothing) {
  Ladder l(variant, {.peer = {.timestamps = true}});
  l.app_listens().receives(
      {.flags = SYN, .seq = 0, .mss = 1460, .ts = wire::Timestamps{.value = l.peer_tsval()}});
  l.sends({.flags = SYN | ACK, .timestamps = true, .ts_echo = l.peer_tsval()});
  l.receives({.seq = 1, .ack = 1, .without_ts = true}).sends_nothing();
  l.receives({.seq = 1, .ack = 1, .len = 5}).whatever();
  l.app_accepts().app_reads(5).whatever().population(1, 0, 0);
}

// Attack D11: options of a segment that fails the sequence check are not acted upon; strange sizes are
// dropped whole.
LADDER_TEST(Receiving, EcnAndReservedBitsAreTolerated) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.flags = ACK | ECE | CWR, .seq = 1, .ack = 1, .len = 10})
      .app_reads(10)
      .whatever();
}

// RFC 9293: MUST-3.
LADDER_TEST(Receiving, WrongChecksumChangesNothing) {
  Ladder l(variant);
  l.opened_passively().receives({.seq = 1, .ack = 1, .len = 10, .bad_checksum = true}).sends_nothing();
  l.reason(Reason::kTcpBadChecksum).app_read_fails(Error::kWouldBlock).counter(Counter::kInCsumErrors, 1);
  l.receives({.seq = 1, .ack = 1, .len = 10}).app_reads(10).whatever();
}

}  // namespace
}  // namespace synfin::protocol_test
