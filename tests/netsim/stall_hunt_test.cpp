// SPDX-License-Identifier: Apache-2.0
//
// Ten thousand transfers with everything about them at random: none may wait for longer than the protocol
// demands. A failing seed is printed; SYNFIN_SEED=n replays it alone, with every segment; SYNFIN_STALL_HUNT=n
// tries the seeds 1 to n.
#include "stall_hunt.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/protocol/thorough.h"

namespace synfin::netsim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

unsigned long long number(std::uint64_t n) {
  return n;
}

TEST(StallHunt, NothingWaitsLongerThanTheProtocolDemands) {
  constexpr std::uint64_t kTransfers = protocol_test::kSlowBuild ? 1000 : 10'000;
  const std::uint64_t only = from_environment("SYNFIN_SEED", 0);
  const std::uint64_t first = only != 0 ? only : 1;
  const std::uint64_t last = only != 0 ? only : from_environment("SYNFIN_STALL_HUNT", kTransfers);
  HuntTally tally;
  int failures = 0;
  for (std::uint64_t seed = first; seed <= last && failures < 10; ++seed) {
    const Hunt hunt(seed);
    const std::string problem = run(hunt, only != 0, tally);
    if (only != 0) std::printf("%s\n", hunt.text().c_str());
    if (problem.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << problem << "\n  " << hunt.text()
                  << "\n(replay with SYNFIN_SEED=" << seed << ")";
  }
  std::printf(
      "%llu transfers: %llu packets, %llu lost, %llu octets, %llu zero windows, %llu windows shrunk, %llu "
      "rests, "
      "%llu timeouts, %llu writes refused and %llu pieces of text dropped for want of memory; the longest "
      "wait was %llu %% of what is allowed\n",
      number(last - first + 1), number(tally.packets), number(tally.lost), number(tally.octets),
      number(tally.zero_windows), number(tally.shrunk), number(tally.rests), number(tally.timeouts),
      number(tally.refused), number(tally.dropped), number(tally.longest));
  if (only != 0 || last < 300) return;  // a hunt in which nothing happened must not pass
  EXPECT_GT(tally.lost, last);
  EXPECT_GT(tally.zero_windows, last / 10);
  EXPECT_GT(tally.shrunk, last);
  EXPECT_GT(tally.rests, last);
  EXPECT_GT(tally.timeouts, last / 10);
  EXPECT_GT(tally.refused, last / 100);
  EXPECT_GT(tally.dropped, last / 100);
}

}  // namespace
}  // namespace synfin::netsim
