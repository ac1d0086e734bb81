// SPDX-License-Identifier: Apache-2.0
//
// RFC 9293 §3.8.6 and the SEND call of §3.9.1.2: windows that shrink or stay closed, acknowledgements that
// wait. Requirements that no other test shows.
#include <algorithm>

#include "protocol_test_support.h"

namespace synfin::protocol_test {
namespace {

std::uint32_t full_to_the_window(const Ladder& l) {
  return std::min(1460u, l.own_mss());
}

// Five full segments in flight, of which the first is acknowledged, and a window of `window` octets left.
Ladder& shrunk(Ladder& l, std::uint16_t window) {
  l.opened_passively().app_sends(5 * full_to_the_window(l));
  for (int i = 0; i < 5; ++i) l.sends({.len = full_to_the_window(l)});
  return l.receives({.seq = 1, .ack = 1 + full_to_the_window(l), .window = window});
}

LadderOptions few_retries() {
  return {.settings = [](tcp::Settings& s) { s.tcp_retries2 = 3; }};
}

// RFC 9293: MUST-34, SHLD-15.
LADDER_TEST(ShrunkWindow, TakesNoNewData) {
  Ladder l(variant);
  shrunk(l, 100)
      .sends_nothing()
      .app_sets_no_delay()
      .app_sends(50)
      .app_sends(full_to_the_window(l))
      .sends_nothing();
  const auto status = l.stack().status(l.connection());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->send_window, 100u);
  // For as long as it stays so, nothing beyond what had been sent.
  for (int i = 0; i < 50; ++i) {
    l.after(100_ms);
    for (const auto& p : l.take_all()) {
      const auto end = static_cast<std::int64_t>(p.tcp.seq.raw() - l.stack_iss()) +
                       static_cast<std::int64_t>(p.payload_size);
      ASSERT_LE(end, 1 + 5 * std::int64_t{full_to_the_window(l)}) << l.text();
    }
  }
  l.state(State::kEstablished);
  // It opens: everything arrives.
  l.receives({.seq = 1, .ack = 1 + 5 * std::int64_t{full_to_the_window(l)}, .window = 65535});
  std::int64_t high = 0;
  for (const auto& p : l.take_all())
    high = std::max<std::int64_t>(high, static_cast<std::int64_t>(p.tcp.seq.raw() - l.stack_iss()) +
                                            static_cast<std::int64_t>(p.payload_size));
  EXPECT_EQ(high, 51 + 6 * std::int64_t{full_to_the_window(l)}) << l.text();
  l.receives({.seq = 1, .ack = high}).silent_for(10_s);
}

// RFC 9293: MUST-34, SHLD-16.
LADDER_TEST(ShrunkWindow, WhatLiesWithinIsRetransmitted) {
  Ladder l(variant);
  const std::int64_t una = 1 + std::int64_t{full_to_the_window(l)};
  shrunk(l, 100);
  for (int round = 0; round < 3; ++round) {
    // Within the timeout, which doubles: the octets from SND.UNA on, no more than the window.
    l.sends_within(5_s, {.flags = ACK, .seq = una, .len = 100});
    for (const auto& p : l.take_all()) ADD_FAILURE() << p.payload_size << "\n" << l.text();
  }
  l.receives({.seq = 1, .ack = una + 100, .window = 65535}).whatever();
  l.receives({.seq = 1, .ack = 1 + 5 * std::int64_t{full_to_the_window(l)}}).whatever().silent_for(10_s);
}

// The peer goes on answering, but takes nothing of what lies beyond its edge: probed, and never timed out.
// RFC 9293: MUST-35, SHLD-17.
LADDER_TEST(ShrunkWindow, DownToNothingIsProbedAndNeverTimesOut) {
  Ladder l(variant, few_retries());
  const std::int64_t una = 1 + std::int64_t{full_to_the_window(l)};
  shrunk(l, 0).sends_nothing();
  for (int i = 0; i < 20; ++i) {
    l.sends_within(130_s, {.flags = ACK, .seq = una, .len = 1}).sends_nothing();
    l.receives({.seq = 1, .ack = una, .window = 0}).sends_nothing().state(State::kEstablished);
  }
  l.no_event(kFailed);
  l.receives({.seq = 1, .ack = una, .window = 65535}).whatever();
  l.receives({.seq = 1, .ack = 1 + 5 * std::int64_t{full_to_the_window(l)}}).whatever().silent_for(10_s);
}

// The peer that sends nothing any more is another matter: it is given up.
LADDER_TEST(ShrunkWindow, OfASilentPeerIsGivenUp) {
  Ladder l(variant, few_retries());
  shrunk(l, 0);
  for (int i = 0; i < 200; ++i) l.after(1_s).whatever();
  l.state(State::kClosed).event(kFailed).failure(Error::kTimedOut);
}

// A probe is one number beyond the window, of which the FIN has one of its own.
LADDER_TEST(ClosedWindow, ProbeTakesTheFinOnlyWhereNothingElseIsLeft) {
  Ladder l(variant);
  l.opened_passively()
      .receives({.seq = 1, .ack = 1, .window = 0})
      .app_sends(1)
      .app_shuts_down(Shutdown::kSend);
  l.sends_within(2_s, {.flags = ACK, .seq = 1, .len = 1});
  l.receives({.seq = 1, .ack = 2, .window = 0}).sends_within(4_s, {.flags = FIN | ACK, .seq = 2, .len = 0});
  l.receives({.seq = 1, .ack = 3, .window = 0}).sends_nothing().state(State::kFinWait2);
}

// Receives until nothing more fits; the next number.
std::int64_t fill(Ladder& l, std::int64_t window) {
  std::int64_t seq = 1;
  while (seq < 1 + window) {
    const auto len = static_cast<std::uint32_t>(std::min<std::int64_t>(700, 1 + window - seq));
    l.receives({.seq = seq, .ack = 1, .len = len});
    seq += len;
    l.sends_within(40_ms, {.flags = ACK, .ack = seq});
  }
  return seq;
}

std::int64_t window_told(Ladder& l) {
  l.receives({.seq = -1, .ack = 1});
  const auto answer = l.take_all();
  return answer.size() == 1 ? std::int64_t{answer[0].tcp.window.field} : -1;
}

LadderOptions small_buffer() {
  return {.settings = [](tcp::Settings& s) {
    s.tcp_rmem = 5000;
    s.tcp_window_scaling = false;
  }};
}

// RFC 9293: SHLD-14.
LADDER_TEST(OfferedWindow, RightEdgeNeverMovesBack) {
  for (const bool scaled : {false, true}) {
    Ladder l(variant, {.peer = {.wscale = scaled ? std::optional<std::uint8_t>{7} : std::nullopt},
                       .settings = [](tcp::Settings& s) { s.tcp_rmem = 1'000'000; }});
    l.app_listens();
    In syn{.flags = SYN, .seq = 0, .mss = 1460};
    if (scaled) syn.wscale = 7;
    l.receives(syn);
    const auto syn_ack = l.take_all();
    ASSERT_EQ(syn_ack.size(), 1u) << l.text();
    const int scale = scaled ? syn_ack[0].tcp.options.window_scale : 0;
    ASSERT_EQ(syn_ack[0].tcp.options.has(wire::TcpOptions::kWindowScale), scaled);
    l.receives({.seq = 1, .ack = 1}).app_accepts();
    // The smallest amounts, which a scaled window cannot say exactly; some are read, some lie beyond a hole.
    std::uint32_t edge = 0;
    std::int64_t seq = 1;
    std::size_t seen = 0;
    const auto looks = [&] {
      for (const auto& p : l.take_all()) {
        const std::uint32_t told = p.tcp.ack.raw() + (std::uint32_t{p.tcp.window.field} << scale);
        EXPECT_TRUE(seen == 0 || static_cast<std::int32_t>(told - edge) >= 0) << l.text();
        edge = told;
        ++seen;
      }
    };
    for (std::uint32_t i = 0; i < 400; ++i) {
      const std::uint32_t len = 1 + i % 37;
      l.receives({.seq = seq, .ack = 1, .len = len});
      looks();
      seq += len;
      if (i % 3 == 0) l.app_reads(len);
      looks();
      if (i % 3 == 1) {
        l.receives({.seq = seq + 50, .ack = 1, .len = 1});
        looks();
        l.receives({.seq = seq, .ack = 1, .len = 51});
        looks();
        seq += 51;
      }
      l.after(45_ms);
      looks();
    }
    EXPECT_GT(seen, 300u) << l.text();
  }
}

// A program that does not read for a day: each probe is answered, and the window stays closed.
// RFC 9293: MAY-8.
LADDER_TEST(OfferedWindow, MayStayClosed) {
  Ladder l(variant, small_buffer());
  l.opened_passively();
  const std::int64_t window = window_told(l);
  ASSERT_GT(window, 0) << l.text();
  const std::int64_t seq = fill(l, window);
  for (int i = 0; i < 240; ++i) {
    l.after(360_s).receives({.seq = seq, .ack = 1, .len = 1});
    l.sends({.flags = ACK, .ack = seq, .len = 0, .window = 0}).sends_nothing().state(State::kEstablished);
  }
  l.app_reads(static_cast<std::uint32_t>(window)).sends({.flags = ACK, .ack = seq, .len = 0});
}

// The window that opens by a little is not told; what is read in large parts is.
// RFC 9293: MUST-39.
LADDER_TEST(OfferedWindow, OpensByNoLessThanHalfTheBufferOrASegment) {
  Ladder l(variant, small_buffer());
  l.opened_passively();
  const std::int64_t window = window_told(l);
  ASSERT_GT(window, 2000) << l.text();
  const std::int64_t seq = fill(l, window);
  const auto step = static_cast<std::uint32_t>(std::min<std::int64_t>(window / 2, l.own_mss()));
  l.app_reads(step - 100).sends_nothing();
  l.receives({.seq = seq, .ack = 1, .len = 1}).sends({.flags = ACK, .ack = seq, .window = 0});
  l.app_reads(static_cast<std::uint32_t>(window) - (step - 100));
  l.sends({.flags = ACK, .ack = seq, .len = 0, .window = static_cast<std::uint32_t>(window)}).sends_nothing();
}

// A request a second and its answer: the acknowledgement of a request leaves with the answer, which takes the
// program 10 ms.
// RFC 9293: SHLD-18.
LADDER_TEST(DelayedAck, LeavesWithAnAnswerThatTakesAMoment) {
  Ladder l(variant);
  l.opened_passively();
  std::int64_t seq = 1, ours = 1;
  for (int i = 0; i < 40; ++i) {
    l.after(1_s).whatever().receives({.flags = ACK | PSH, .seq = seq, .ack = ours, .len = 100});
    seq += 100;
    l.app_reads(100);
    if (i < 20) {  // a stack may acknowledge at once while a connection is young
      l.whatever().after(10_ms).whatever();
    } else {
      l.sends_nothing().silent_for(10_ms);
    }
    l.app_sends(200).sends({.flags = ACK, .seq = ours, .ack = seq, .len = 200}).sends_nothing();
    ours += 200;
    l.receives({.seq = seq, .ack = ours}).sends_nothing();
  }
}

// Three small writes, each of which would be pushed by itself, leave as one segment with one PSH.
// RFC 9293: SHLD-27, MAY-16.
LADDER_TEST(Push, IsOneWhereSegmentsArePutTogether) {
  Ladder l(variant);
  l.opened_passively().app_sends(10).sends({.flags = ACK | PSH, .seq = 1, .len = 10});
  l.app_sends(20).app_sends(30).app_sends(40).sends_nothing().receives({.seq = 1, .ack = 11});
  l.sends({.flags = ACK | PSH, .seq = 11, .len = 90}).sends_nothing();
}

// A program that writes and then waits is not left hanging, whatever is in flight.
// RFC 9293: MUST-60.
LADDER_TEST(Push, IsNotNeededForDataToLeave) {
  Ladder l(variant);
  l.opened_passively().app_sends(1).sends({.seq = 1, .len = 1}).app_sends(1).sends_nothing();
  l.at(50_ms).receives({.seq = 1, .ack = 2}).sends({.flags = ACK | PSH, .seq = 2, .len = 1});
  l.receives({.seq = 1, .ack = 3}).app_sends(1).sends({.flags = ACK | PSH, .seq = 3, .len = 1});
}

}  // namespace
}  // namespace synfin::protocol_test
