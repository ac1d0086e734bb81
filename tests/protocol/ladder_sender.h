// SPDX-License-Identifier: Apache-2.0
//
// A ladder whose stack sends: segments of 1000 octets, round trips of 100 ms, RFC 5681's window.
#pragma once

#include <vector>

#include "protocol_test_support.h"

namespace synfin::protocol_test {

inline constexpr std::uint32_t kLadderMss = 1000;
inline constexpr Duration kLadderRtt = Duration::milliseconds(100);

inline LadderOptions ladder_reno() {
  return {.settings = [](tcp::Settings& s) { s.tcp_congestion_control = tcp::CongestionControl::kReno; }};
}

/// ESTABLISHED by the peer's SYN; the SYN-ACK's round trip is the first sample.
inline Ladder& ladder_opened(Ladder& l, bool sack = true, bool timestamps = false) {
  In syn{.flags = SYN, .seq = 0, .window = 32'000, .mss = kLadderMss, .wscale = 7, .sack_permitted = sack};
  if (timestamps) syn.ts = wire::Timestamps{.value = l.peer_tsval()};
  l.app_listens().receives(syn).sends({.flags = SYN | ACK});
  l.at(kLadderRtt).receives({.seq = 1, .ack = 1, .window = 1000});
  return l.app_accepts();
}

inline tcp::Info ladder_info(Ladder& l) {
  const auto i = l.stack().info(l.connection(), l.now());
  EXPECT_TRUE(i) << l.text();
  return i.value_or(tcp::Info{});
}

/// The peer's bare acknowledgement.
inline In ladder_ack(std::int64_t n, std::vector<Sack> sack = {}) {
  return {.seq = 1, .ack = n, .window = 1000, .sack = std::move(sack)};
}
inline Out ladder_segment(std::int64_t seq) {
  return {.seq = seq, .len = kLadderMss};
}

}  // namespace synfin::protocol_test
