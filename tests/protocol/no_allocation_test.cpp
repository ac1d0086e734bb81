// SPDX-License-Identifier: Apache-2.0
//
// Once a stack has the memory that its load takes, nothing on a packet's way asks the allocator or the system
// for anything: the paths that the benchmarks time, watched.
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "bench/lives.h"
#include "bench/service.h"
#include "bench/stream.h"
#include "watched_calls.h"

namespace synfin {
namespace {

constexpr std::uint64_t kSeed = 6;

// What is watched must do its work and ask for nothing.
void expect_nothing_is_asked(const std::function<Path()>& prepare) {
  std::string why;
  const std::optional<Watched> seen = watch(prepare, why);
  if (!seen && why.ends_with("no seccomp filters")) GTEST_SKIP() << why;
  ASSERT_TRUE(seen) << why;
  EXPECT_TRUE(seen->good) << "the path itself went wrong";
  EXPECT_EQ(seen->allocations, 0u) << "the first one of " << seen->first_allocation << " octets";
  EXPECT_EQ(seen->system_calls, 0u) << "the first one has the number " << seen->first_system_call;
}

TEST(NoAllocation, TheWatchSeesBoth) {
  std::string why;
  const auto seen = watch(
      [] {
        return [] {
          static void* volatile kept = ::operator new(123);
          ::operator delete(kept);
          kept = std::malloc(7);
          std::free(kept);
          (void)::getppid();
          return true;
        };
      },
      why);
  if (!seen) GTEST_SKIP() << why;
  EXPECT_TRUE(seen->good);
  EXPECT_EQ(seen->allocations, 2u);
  EXPECT_EQ(seen->first_allocation, 123u);
  EXPECT_EQ(seen->system_calls, 1u);
}

TEST(NoAllocation, PingPongOnAnOpenConnection) {
  expect_nothing_is_asked([]() -> Path {
    auto service = std::make_shared<bench::Service>(kSeed);
    bool open = service->open(0);
    const auto some = [service](int count) {
      bool good = true;
      for (int n = 0; n < count; ++n) {
        good = service->ask(64, 64) && good;
        service->pass(Duration::microseconds(10));
      }
      return good;
    };
    open = some(1000) && open;
    return [some, open] { return some(20'000) && open; };
  });
}

// A stream writes and reads 64 KiB at a time, by segments of each size that the benchmarks have.
void watch_stream(std::uint32_t mtu, bench::Pair::Offload offload = bench::Pair::Offload::kNo) {
  expect_nothing_is_asked([=]() -> Path {
    auto stream = std::make_shared<bench::Stream>(mtu, 1 << 20, kSeed, offload);
    constexpr std::uint64_t kWarmUp = 200 << 20, kWatched = 100 << 20;
    const bool warm = stream->pass(kWarmUp) >= kWarmUp;
    return [stream, warm] { return stream->pass(kWatched) >= kWatched && warm; };
  });
}
TEST(NoAllocation, AStreamOfSmallSegments) {
  watch_stream(1500);
}
TEST(NoAllocation, AStreamOfJumboSegments) {
  watch_stream(9000);
}
TEST(NoAllocation, AStreamOfTheLargestSegments) {
  watch_stream(65'535);
}

TEST(NoAllocation, AStreamOfSuperSegments) {
  watch_stream(1500, bench::Pair::Offload::kYes);
}

// From SYN to TIME-WAIT, and the end of TIME-WAIT: as many come as go.
void watch_lives(const bench::Population& population) {
  expect_nothing_is_asked([=]() -> Path {
    auto lives = std::make_shared<bench::Lives>(population, kSeed);
    lives->populate();
    const auto some = [lives, population](int groups) {
      std::size_t opened = 0;
      for (int n = 0; n < groups; ++n) opened += lives->one_group();
      return opened == static_cast<std::size_t>(groups) * population.together;
    };
    const bool warm = some(2000);
    return [some, warm] { return some(2000) && warm; };
  });
}
TEST(NoAllocation, LivesSideBySide) {
  watch_lives({.established = 0, .time_wait = 4096});
}
TEST(NoAllocation, LivesOneByOne) {
  watch_lives({.established = 0, .time_wait = 1024, .together = 1});
}
TEST(NoAllocation, LivesBesideOthers) {
  watch_lives({.established = 1024, .time_wait = 4096});
}

TEST(NoAllocation, ARequestToEachConnection) {
  expect_nothing_is_asked([]() -> Path {
    auto service = std::make_shared<bench::Service>(kSeed);
    const auto some = [service](int count) {
      bool good = true;
      for (int n = 0; n < count; ++n) {
        good = service->open(static_cast<std::uint16_t>(n % bench::Service::kPorts)) && good;
        good = service->ask(64, 1024) && good;
        service->close();
        service->pass(Duration::milliseconds(20));  // 3,000 in TIME-WAIT
      }
      return good;
    };
    const bool warm = some(9000);
    return [some, warm] { return some(6000) && warm; };
  });
}

}  // namespace
}  // namespace synfin
