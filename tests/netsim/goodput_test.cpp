// SPDX-License-Identifier: Apache-2.0
//
// Goodput as a share of the link's rate, over loss, round trip and reordering, for each controller: the table
// in goodput.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "bulk.h"
#include "page.h"
#include "tests/protocol/thorough.h"

namespace synfin::netsim {
namespace {

using namespace synfin::literals;
using protocol_test::kSlowBuild;
using tcp::CongestionControl;

constexpr std::string_view kGoodputPage = "goodput.md";
constexpr std::uint64_t kRate = 2'500'000;  // 20 Mbit/s
constexpr std::uint64_t kOctets = 16 << 20;
constexpr std::uint64_t kLeastQueue = 10 * 1500;
constexpr Duration kLeastOvertaken = 3_ms;  // five packets

constexpr std::array kControllers = {CongestionControl::kCubic, CongestionControl::kReno,
                                     CongestionControl::kBbr};
constexpr std::array<std::uint32_t, 7> kLosses = {0, 100, 1'000, 10'000, 20'000, 50'000, 100'000};
constexpr std::array kRoundTrips = {1_ms, 20_ms, 100_ms, 300_ms};
constexpr std::array<std::uint32_t, 3> kReorderings = {0, 10'000, 100'000};

constexpr std::string_view kGoodputIntroduction =
    R"(# Goodput over loss, round trip and reordering

What one transfer of 16 MiB makes of a link of 20 Mbit/s, in percent of that rate: octets that the receiving
program got, over the time from `connect` to the last of them. Headers take 3.5 %, so 96.5 is all there is; slow
start counts in full.

The link delays, has a tail-drop queue of one bandwidth-delay product (ten packets at least), loses each packet
towards the receiver with the probability at the head of the column, and holds back those chosen for reordering by
up to a quarter of the round trip (3 ms at least). Acknowledgements arrive. Both ends are Synfin's with default
settings, so that buffers begin small and grow, in virtual time, from one seed: the same figures every time, from every compiler.
`netsim_test` compares them; `netsim_test --update` writes this page.

)";

std::string percent(std::uint32_t ppm) {
  std::string s = std::to_string(ppm / 10'000);
  if (ppm % 10'000 != 0) {
    std::string rest = std::to_string(10'000 + ppm % 10'000).substr(1);
    while (rest.back() == '0') rest.pop_back();
    s += "." + rest;
  }
  return s + " %";
}

std::string head() {
  std::string names = "| controller | RTT | reordered |", rule = "|---|---:|---:|";
  for (const std::uint32_t loss : kLosses) {
    names += " " + percent(loss) + " |";
    rule += "---:|";
  }
  return names + "\n" + rule + "\n";
}

// Per mille of the rate; in integers, so that no compiler rounds otherwise.
std::int64_t goodput(CongestionControl control, Duration round_trip, std::uint32_t reorder,
                     std::uint32_t loss) {
  const auto product = kRate * static_cast<std::uint64_t>(round_trip.ms()) / 1000;
  Bulk bulk(control,
            {.rate = kRate,
             .round_trip = round_trip,
             .queue = std::max(product, kLeastQueue),
             .loss = loss,
             .reorder = reorder,
             .reorder_by = std::max(round_trip / 4, kLeastOvertaken)},
            kOctets);
  const auto took = bulk.run();
  if (!took) {
    ADD_FAILURE() << tcp::name_of(control) << ", " << round_trip.ms() << " ms, " << percent(reorder)
                  << " reordered, " << percent(loss) << " lost: only " << bulk.received()
                  << " octets arrived";
    return 0;
  }
  constexpr std::int64_t kAll = kOctets * 1'000'000'000 / kRate;  // ns, without headers
  return kAll * 1000 / took->ns();
}

struct Row {
  std::array<std::int64_t, kLosses.size()> shares;
  std::string line;
};

Row row(CongestionControl control, Duration round_trip, std::uint32_t reorder) {
  Row r;
  r.line = "| " + std::string(tcp::name_of(control)) + " | " + std::to_string(round_trip.ms()) + " ms | " +
           percent(reorder) + " |";
  for (std::size_t i = 0; i < kLosses.size(); ++i) {
    r.shares[i] = goodput(control, round_trip, reorder, kLosses[i]);
    r.line += " " + std::to_string(r.shares[i] / 10) + "." + std::to_string(r.shares[i] % 10) + " |";
  }
  return r;
}

TEST(Goodput, IsWhatTheTableSays) {
  if (kSlowBuild) {
    for (const CongestionControl control : kControllers)
      hold_line(kGoodputPage, row(control, 20_ms, 10'000).line);
    return;
  }
  std::string page{kGoodputIntroduction};
  page += head();
  for (const CongestionControl control : kControllers) {
    for (const Duration round_trip : kRoundTrips) {
      for (const std::uint32_t reorder : kReorderings) {
        const Row r = row(control, round_trip, reorder);
        page += r.line + "\n";
        // Whatever the table says: a clean path of a moderate length is filled, but for what bbr leaves free
        // to keep the queue short.
        if (reorder == 0 && round_trip <= 20_ms) {
          EXPECT_GT(r.shares[0], control == CongestionControl::kBbr ? 900 : 930) << r.line;
        }
        // What bbr is for: loss that is not congestion costs little.
        if (control == CongestionControl::kBbr && reorder == 0) {
          EXPECT_GT(r.shares[3], r.shares[0] * 8 / 10) << r.line;
        }
      }
    }
  }
  hold_page(kGoodputPage, page);
}

// The table is worth something only if it is the same each time.
TEST(Goodput, IsTheSameEachTime) {
  EXPECT_EQ(goodput(CongestionControl::kCubic, 1_ms, 10'000, 50'000),
            goodput(CongestionControl::kCubic, 1_ms, 10'000, 50'000));
}

}  // namespace
}  // namespace synfin::netsim
