// SPDX-License-Identifier: Apache-2.0
//
// What arrived twice is told to the peer, once: duplicate SACK (RFC 2883).
#include <algorithm>

#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

Ladder& opened_with_sack(Ladder& l, bool sack = true) {
  l.app_listens().receives({.flags = SYN, .seq = 0, .mss = 1000, .sack_permitted = sack});
  return l.sends({.flags = SYN | ACK}).receives({.seq = 1, .ack = 1}).app_accepts();
}

In piece(std::int64_t from, std::int64_t to) {
  return {.seq = from, .ack = 1, .len = static_cast<std::uint32_t>(to - from)};
}
Out repeats(std::int64_t ack, std::vector<Sack> blocks) {
  return {.flags = ACK, .seq = 1, .ack = ack, .len = 0, .sack = std::move(blocks)};
}

// §4.1.1: "Reporting a Duplicate Segment".
LADDER_TEST(Rfc2883, TellsOfASegmentThatWasAcknowledged_4_1_1) {
  Ladder l(variant);
  opened_with_sack(l).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  l.receives(piece(1, 501)).reason(Reason::kOldDuplicate).sends(repeats(501, {{1, 501}}));
  l.receives(piece(501, 1001)).sends_within(50_ms, repeats(1001, {})).counter(Counter::kTCPDSACKOldSent, 1);
}

// §4.1.2: "a duplicate segment … and an out-of-order segment": the block comes before the holes.
LADDER_TEST(Rfc2883, TellsOfItAheadOfWhatLiesBeyondAHole_4_1_2) {
  Ladder l(variant);
  opened_with_sack(l).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  l.receives(piece(1001, 1501)).sends(repeats(501, {{1001, 1501}}));
  l.receives(piece(1, 501)).sends(repeats(501, {{1, 501}, {1001, 1501}}));
}

// §4.1.3, §4.2.1: "the second SACK block should be used to specify" the run around it.
LADDER_TEST(Rfc2883, TellsOfADuplicateBeyondAHoleWithItsRun_4_2_1) {
  Ladder l(variant);
  opened_with_sack(l).receives(piece(501, 1001)).sends(repeats(1, {{501, 1001}}));
  l.receives(piece(1001, 1501)).sends(repeats(1, {{501, 1501}}));
  l.receives(piece(2001, 2501)).sends(repeats(1, {{2001, 2501}, {501, 1501}}));
  l.receives(piece(1001, 1501)).reason(Reason::kOldDuplicate);
  l.sends(repeats(1, {{1001, 1501}, {501, 1501}, {2001, 2501}})).counter(Counter::kTCPDSACKOfoSent, 1);
  l.receives(piece(3001, 3501)).sends(repeats(1, {{3001, 3501}, {501, 1501}, {2001, 2501}}));
}

// §4.2: only what is not new of a segment.
LADDER_TEST(Rfc2883, TellsOfThePartOfASegmentThatIsNotNew_4_2) {
  Ladder l(variant);
  opened_with_sack(l).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  l.receives(piece(251, 751)).sends_within(50_ms, repeats(751, {{251, 501}}));
  l.receives(piece(1001, 1501)).sends(repeats(751, {{1001, 1501}}));
  l.receives(piece(801, 1201)).sends(repeats(751, {{1001, 1201}, {801, 1501}}));
}

LADDER_TEST(Rfc2883, NeedsSackAndTheSetting_3) {
  Ladder without(variant);
  opened_with_sack(without, false).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  without.receives(piece(1, 501)).sends(repeats(501, {}));
  Ladder off(variant, {.settings = [](tcp::Settings& s) { s.tcp_dsack = false; }});
  opened_with_sack(off).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  off.receives(piece(1, 501)).sends(repeats(501, {})).counter(Counter::kTCPDSACKOldSent, 0);
}

// Our own text makes room for it.
LADDER_TEST(Rfc2883, FindsRoomBesideText_4) {
  Ladder l(variant);
  opened_with_sack(l).receives(piece(1, 501)).sends_within(50_ms, repeats(501, {}));
  l.app_sends(20'000).whatever();
  const std::int64_t acknowledged = 1 + 10 * std::int64_t{std::min(l.own_mss(), 1000u)};
  l.receives({.seq = 251, .ack = acknowledged, .len = 500});
  l.sends({.flags = ACK, .seq = acknowledged, .ack = 751, .sack = std::vector<Sack>{{251, 501}}});
  for (const auto& p : l.take_all()) EXPECT_FALSE(p.tcp.options.has(wire::TcpOptions::kSack)) << l.text();
}

}  // namespace
}  // namespace synfin::protocol_test
