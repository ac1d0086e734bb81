// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/flood_text.h"

#include <gtest/gtest.h>

namespace synfin::view {
namespace {

using namespace literals;
using trace::FloodReport;
using trace::Reason;

FloodReport report(Reason verdict) {
  FloodReport r;
  r.listener = {wire::IpAddress::v4(10, 77, 0, 2), 80};
  r.verdict = verdict;
  r.begins = true;
  r.window = 4'750_ms;
  r.syn_rate = 48'210.4;
  r.baseline_rate = 12.3;
  r.threshold_rate = 200;
  r.peak_rate = 52'000;
  r.completion_ratio = 0.0031;
  r.syns = 241'050;
  r.distinct_sources = 46'123;
  r.distinct_networks = 9'831;
  return r;
}

TEST(FloodText, ForgedSources) {
  EXPECT_EQ(
      describe(report(Reason::kFloodSpoofed)),
      "SYN flood at 10.77.0.2:80 begins: 48,210 SYN/s (usual 12/s, threshold 200/s), 0.3 % complete, about "
      "46,000 sources in about 9,800 networks: forged sources (flood_spoofed_sources; RFC 4987 §2). SYN "
      "cookies answer it without memory; check that tcp_syncookies is 1 or 2, do not block by address.");
}

TEST(FloodText, FewSourcesNameTheNetworks) {
  FloodReport r = report(Reason::kFloodFewSources);
  r.listener.address = *wire::IpAddress::parse("fd77::2");
  r.distinct_sources = 203;
  r.distinct_networks = 1.002;
  r.top[0] = {*wire::Prefix::parse("198.51.100.0/24"), 0.966};
  r.top[1] = {*wire::Prefix::parse("2001:db8:7::/48"), 0.0204};
  r.top_count = 2;
  EXPECT_EQ(
      describe(r),
      "SYN flood at [fd77::2]:80 begins: 48,210 SYN/s (usual 12/s, threshold 200/s), 0.3 % complete, about "
      "200 sources in about 1 network, most from 198.51.100.0/24 97 %, 2001:db8:7::/48 2.0 %: few sources "
      "(flood_few_sources; RFC 4987 §2). Filter these networks in front of this stack, or limit their SYNs; "
      "SYN cookies (tcp_syncookies 1 or 2) carry the service meanwhile.");
  r.top_count = 0;
  EXPECT_NE(describe(r).find("about 1 network: few sources"), std::string::npos);
  EXPECT_NE(describe(r).find("Limit SYNs by source"), std::string::npos);
}

TEST(FloodText, ASlowProgramIsToldItsQueue) {
  FloodReport r = report(Reason::kSlowProgram);
  r.syn_rate = 30;
  r.completion_ratio = 1;
  r.overflows = 87;
  r.accept_queue = 129;
  r.accept_queue_limit = 128;
  EXPECT_EQ(
      describe(r),
      "slow program at 10.77.0.2:80 begins: the accept queue was full 87 times in 4.8 s, now it holds 129 of "
      "128; 30 SYN/s, 100 % complete: the program does not accept fast enough (slow_program; RFC 9293 "
      "§3.10.7.2). Accept faster (in a loop of its own, before any other work), or raise the backlog of "
      "listen and somaxconn.");
  r.syn_rate = 3'000;
  EXPECT_NE(describe(r).find("above the threshold of 200/s, too: a crowd."), std::string::npos);
}

TEST(FloodText, LostSynAcksPointToTheWayBack) {
  FloodReport r = report(Reason::kSynAcksLost);
  r.syn_rate = 8;
  r.syns = 38;
  r.repeated_syns = 71;
  r.half_open = 24;
  r.completion_ratio = 0.0526;
  EXPECT_EQ(
      describe(r),
      "SYN-ACKs lost at 10.77.0.2:80 begins: 38 SYNs and 71 again in 4.8 s, 5.3 % complete, at a rate that "
      "is no flood (8/s, threshold 200/s): SYN-ACKs do not arrive (syn_acks_lost; RFC 9293 §3.8.1). Look at "
      "the way back to the clients: routes, filters that see one direction only, neighbour resolution; 24 "
      "half-open.");
}

TEST(FloodText, TheEndSaysHowLongAndHowMuch) {
  FloodReport r = report(Reason::kFloodSpoofed);
  r.begins = false;
  r.lasted = 48'400_ms;
  r.syn_rate = 14;
  r.completion_ratio = 1;
  EXPECT_EQ(describe(r),
            "SYN flood at 10.77.0.2:80 is over after 48 s: at most 52,000 SYN/s, now 14 SYN/s (usual 12/s, "
            "threshold 200/s), 100 % complete (flood_spoofed_sources; RFC 4987 §2).");
  r.verdict = Reason::kSlowProgram;
  EXPECT_TRUE(describe(r).starts_with("slow program at 10.77.0.2:80 is over after 48 s")) << describe(r);
  r.syns = 0;
  EXPECT_EQ(describe(r).find("complete"), std::string::npos)
      << "of no SYNs nothing can be said: " << describe(r);
}

TEST(FloodText, WithoutAnAlarmAllIsAsUsual) {
  FloodReport r = report(Reason::kNone);
  r.begins = false;
  r.syn_rate = 14;
  r.completion_ratio = 0.995;
  r.distinct_sources = 1;
  r.distinct_networks = 1;
  EXPECT_EQ(
      describe(r),
      "SYNs at 10.77.0.2:80 are as usual: 14 SYN/s (usual 12/s, threshold 200/s), 100 % complete, about 1 "
      "source in about 1 network.");
}

TEST(FloodText, IsAlwaysOneLine) {
  for (const Reason verdict : {Reason::kNone, Reason::kFloodSpoofed, Reason::kFloodFewSources,
                               Reason::kSlowProgram, Reason::kSynAcksLost}) {
    for (const bool begins : {true, false}) {
      FloodReport r = report(verdict);
      r.begins = begins;
      EXPECT_EQ(describe(r).find('\n'), std::string::npos);
      EXPECT_TRUE(describe(r).ends_with('.'));
    }
  }
}

}  // namespace
}  // namespace synfin::view
