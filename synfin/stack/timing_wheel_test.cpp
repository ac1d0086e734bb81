// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/timing_wheel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "synfin/base/entropy.h"

namespace synfin::stack {
namespace {

using namespace literals;
using testing::ElementsAre;
using testing::IsEmpty;

struct Records {
  std::vector<tcp::TimerNode> nodes;
  tcp::TimerNode& node(RecordRef ref) { return nodes[ref.index()]; }
};

using Wheel = TimingWheel<Records>;

constexpr std::int64_t kTickNs = Wheel::kTick.ns();

RecordRef timer_of(std::uint32_t index) {
  // Kinds are mixed, as in a stack.
  return {static_cast<RecordKind>(1 + index % 3), index};
}

constexpr Instant at_tick(std::int64_t tick) {
  return Instant::from_ns(tick * kTickNs);
}

/// Starts at a time of its own, so that ticks wrap and digits carry in every place.
class TimingWheelAt : public testing::TestWithParam<std::int64_t> {
 protected:
  Instant start() const { return at_tick(GetParam()); }

  std::vector<std::uint32_t> advance(Instant now) {
    std::vector<std::uint32_t> fired;
    wheel.advance(now, [&](RecordRef ref) {
      EXPECT_FALSE(wheel.armed(ref));
      fired.push_back(ref.index());
    });
    return fired;
  }

  Records records{std::vector<tcp::TimerNode>(64)};
  Wheel wheel{records, start()};
};

TEST_P(TimingWheelAt, FiresNeverEarlyAndAtTheNextTick) {
  const Instant deadline = start() + 200_ms + 1_ns;
  wheel.arm(timer_of(1), deadline);
  EXPECT_TRUE(wheel.armed(timer_of(1)));
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_THAT(advance(deadline), IsEmpty()) << "inside a tick: rounded up";
  const Instant due = wheel.next_deadline();
  EXPECT_GE(due, deadline);
  EXPECT_LT(due, deadline + Wheel::kTick);
  EXPECT_THAT(advance(due - 1_ns), IsEmpty());
  EXPECT_THAT(advance(due), ElementsAre(1));
  EXPECT_EQ(wheel.size(), 0u);
  EXPECT_TRUE(wheel.next_deadline().is_never());
}

TEST_P(TimingWheelAt, FiresByTickThenInTheOrderOfArming) {
  // Far enough apart to come down through several levels, armed in another order than they are due.
  wheel.arm(timer_of(1), start() + 10_s);
  wheel.arm(timer_of(2), start() + 1_s);
  wheel.arm(timer_of(3), start() + 10_s);
  wheel.arm(timer_of(4), start() + 5_ms);
  EXPECT_THAT(advance(start() + 9_s), ElementsAre(4, 2));
  wheel.arm(timer_of(5), start() + 10_s);
  wheel.arm(timer_of(6), start() + 10_s - Wheel::kTick);
  EXPECT_THAT(advance(start() + 11_s), ElementsAre(6, 1, 3, 5));
}

TEST_P(TimingWheelAt, RearmingAndCancellingLeaveNothingBehind) {
  wheel.arm(timer_of(1), start() + 1_s);
  wheel.arm(timer_of(2), start() + 1_s);
  wheel.arm(timer_of(3), start() + 1_s);
  wheel.arm(timer_of(1), start() + 3_s);
  wheel.cancel(timer_of(2));
  wheel.cancel(timer_of(2));
  EXPECT_FALSE(wheel.armed(timer_of(2)));
  EXPECT_EQ(wheel.size(), 2u);
  EXPECT_THAT(advance(start() + 2_s), ElementsAre(3));
  EXPECT_THAT(advance(start() + 4_s), ElementsAre(1));
  wheel.arm(timer_of(1), start() + 5_s);
  wheel.arm(timer_of(1), Instant::never());
  EXPECT_FALSE(wheel.armed(timer_of(1)));
  EXPECT_TRUE(wheel.next_deadline().is_never());
  EXPECT_THAT(advance(start() + 3600_s), IsEmpty());
}

TEST_P(TimingWheelAt, WhatHasPassedFiresWithTheNextAdvance) {
  EXPECT_THAT(advance(start() + 1_s), IsEmpty());
  wheel.arm(timer_of(1), start() + 999_ms);
  wheel.arm(timer_of(2), start() - 3600_s);
  EXPECT_LE(wheel.next_deadline(), start() + 1_s);
  EXPECT_THAT(advance(start() + 1_s), ElementsAre(1, 2));
}

TEST_P(TimingWheelAt, ANowThatGoesBackIsTakenAsTheLast) {
  EXPECT_THAT(advance(start() + 10_s), IsEmpty());
  wheel.arm(timer_of(1), start() + 5_s);
  wheel.arm(timer_of(2), start() + 11_s);
  EXPECT_THAT(advance(start()), ElementsAre(1));
  EXPECT_THAT(advance(start() + 12_s), ElementsAre(2));
}

TEST_P(TimingWheelAt, CallbacksMayCancelAndRearmOthersOfTheBatch) {
  for (std::uint32_t i = 1; i <= 5; ++i) wheel.arm(timer_of(i), start() + 1_s);
  std::vector<std::uint32_t> fired;
  wheel.advance(start() + 2_s, [&](RecordRef ref) {
    fired.push_back(ref.index());
    if (ref.index() != 1) return;
    EXPECT_TRUE(wheel.armed(timer_of(2))) << "due, but not yet called";
    wheel.cancel(timer_of(2));
    wheel.cancel(timer_of(5));
    wheel.arm(timer_of(3), start() + 3_s);
    wheel.arm(timer_of(6), start() + 2500_ms);
  });
  EXPECT_THAT(fired, ElementsAre(1, 4));
  EXPECT_THAT(advance(start() + 4_s), ElementsAre(6, 3));
  EXPECT_EQ(wheel.size(), 0u);
}

TEST_P(TimingWheelAt, ACallbackThatArmsItselfInThePastFiresOnceAnAdvance) {
  const Instant now = start() + 1_s;
  wheel.arm(timer_of(1), now);
  for (int round = 0; round < 3; ++round) {
    int calls = 0;
    wheel.advance(now + 1_ms, [&](RecordRef ref) {
      ++calls;
      wheel.arm(ref, round == 0 ? now - 1_s : now + 1_ms - 1_ns);
    });
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(wheel.size(), 1u);
    EXPECT_LE(wheel.next_deadline(), now + 1_ms);
  }
}

TEST_P(TimingWheelAt, BeyondTheHorizonItFiresEarlyAndTheOwnerArmsAgain) {
  const Instant deadline = start() + 86400_s * 365;
  wheel.arm(timer_of(1), deadline);
  int calls = 0;
  Instant now = start();
  for (int wakes = 0; wheel.size() != 0; ++wakes) {
    ASSERT_LT(wakes, 2000);
    ASSERT_GE(wheel.next_deadline(), now);
    now = wheel.next_deadline();
    wheel.advance(now, [&](RecordRef ref) {
      ++calls;
      EXPECT_LE(now, deadline + Wheel::kTick);
      if (now < deadline) wheel.arm(ref, deadline);
    });
  }
  EXPECT_GE(now, deadline);
  EXPECT_EQ(calls, 1 + 365 * 24 / 78);
}

TEST_P(TimingWheelAt, WakesAtMostFiveTimesTooEarlyForOneTimer) {
  for (std::int64_t ticks = 1; ticks <= Wheel::kHorizonTicks; ticks = ticks * 5 / 3 + 1) {
    Records own{std::vector<tcp::TimerNode>(1)};
    Wheel one(own, start());
    const Instant deadline = start() + Wheel::kTick * ticks;
    one.arm(timer_of(0), deadline);
    int wakes = 0;
    Instant now = start();
    while (one.size() != 0) {
      const Instant next = one.next_deadline();
      ASSERT_GT(next, now) << "no progress";
      ASSERT_LE(next, deadline);
      now = next;
      one.advance(now, [&](RecordRef) { EXPECT_EQ(now, deadline); });
      ASSERT_LE(++wakes, 6) << ticks;
    }
    EXPECT_TRUE(ticks != 1 || wakes == 1);
  }
}

TEST_P(TimingWheelAt, RunsAcrossTheWrapOfTicksAndOfMilliseconds) {
  // 2^32 ms is more than 2^32 ticks (6.5 days): hops of three days, each with timers of many lengths behind
  // it.
  Instant now = start();
  const Instant end = now + Duration::milliseconds(std::int64_t{1} << 32) + 1_s;
  while (now < end) {
    wheel.arm(timer_of(1), now + 1_ms);
    wheel.arm(timer_of(2), now + 86400_s);
    wheel.arm(timer_of(3), now + 86400_s * 3);
    EXPECT_THAT(advance(now + 86400_s + Wheel::kTick), ElementsAre(1, 2));
    now = now + 86400_s * 3;
    EXPECT_THAT(advance(now - Wheel::kTick), IsEmpty());
    EXPECT_THAT(advance(now + Wheel::kTick), ElementsAre(3));
    now = now + Wheel::kTick;
  }
}

/// What the wheel promises, done the slow way.
struct Model {
  std::map<std::pair<std::int64_t, std::uint64_t>, std::uint32_t> queue;  // (tick, order of arming)
  std::map<std::uint32_t, std::pair<std::int64_t, std::uint64_t>> keys;
  Instant last;
  std::int64_t now = 0;  // its tick
  std::uint64_t count = 0;

  void cancel(std::uint32_t index) {
    const auto it = keys.find(index);
    if (it == keys.end()) return;
    queue.erase(it->second);
    keys.erase(it);
  }
  void arm(std::uint32_t index, Instant deadline) {
    cancel(index);
    std::int64_t tick = (deadline.ns() + kTickNs - 1) >> Wheel::kTickBits;
    tick = deadline <= last ? now : std::clamp(tick, now, now + Wheel::kHorizonTicks);
    const std::pair key{tick, count++};
    queue.emplace(key, index);
    keys.emplace(index, key);
  }
  std::vector<std::uint32_t> advance(Instant t) {
    last = std::max(last, t);
    now = last.ns() >> Wheel::kTickBits;
    std::vector<std::uint32_t> due;
    while (!queue.empty() && queue.begin()->first.first <= now) {
      due.push_back(queue.begin()->second);
      cancel(due.back());
    }
    return due;
  }
};

Duration random_duration(Entropy& entropy) {
  // Of all magnitudes, to beyond the horizon.
  const unsigned bits = entropy.below(50);
  return Duration::nanoseconds(static_cast<std::int64_t>(entropy.u64() & ((std::uint64_t{2} << bits) - 1)));
}

TEST_P(TimingWheelAt, AgreesWithASortedMapUnderRandomOperations) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededEntropy entropy(seed);
    Records own{std::vector<tcp::TimerNode>(40)};
    Wheel tested(own, start());
    Model model;
    model.last = start();
    model.now = GetParam();
    Instant now = start();
    const auto arm = [&](std::uint32_t index) {
      const Instant deadline =
          entropy.below(10) == 0 ? now - random_duration(entropy) : now + random_duration(entropy);
      tested.arm(timer_of(index), deadline);
      model.arm(index, deadline);
    };
    for (int step = 0; step < 1500; ++step) {
      const std::uint32_t dice = entropy.below(100);
      const std::uint32_t index = entropy.below(40);
      if (dice < 50) {
        arm(index);
      } else if (dice < 60) {
        tested.cancel(timer_of(index));
        model.cancel(index);
      } else {
        // To the next deadline as a runtime does, a little, or a large jump.
        if (dice < 80 && tested.size() != 0) {
          now = std::max(now, tested.next_deadline());
        } else if (dice < 90) {
          now = now + Duration::microseconds(entropy.below(2000));
        } else {
          now = now + random_duration(entropy);
        }
        const std::vector<std::uint32_t> expected = model.advance(now);
        std::vector<std::uint32_t> fired;
        tested.advance(now, [&](RecordRef ref) { fired.push_back(ref.index()); });
        ASSERT_EQ(fired, expected) << "step " << step;
      }
      ASSERT_EQ(tested.size(), model.keys.size());
      ASSERT_EQ(tested.armed(timer_of(index)), model.keys.contains(index));
      if (model.queue.empty()) {
        ASSERT_TRUE(tested.next_deadline().is_never());
      } else {
        const std::int64_t first = model.queue.begin()->first.first;
        ASSERT_LE(tested.next_deadline(), at_tick(first));
        ASSERT_TRUE(first <= model.now || tested.next_deadline() > at_tick(model.now));
      }
    }
  }
}

TEST_P(TimingWheelAt, CallbacksThatActAtRandomKeepItSound) {
  Instant now = start();  // one wheel and one time for all seeds
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededEntropy entropy(seed);
    std::vector<Instant> deadlines(64, Instant::never());
    const auto act = [&] {
      const std::uint32_t index = entropy.below(64);
      if (entropy.below(4) == 0) {
        wheel.cancel(timer_of(index));
        deadlines[index] = Instant::never();
      } else {
        deadlines[index] = now + Duration::microseconds(entropy.below(20'000)) - 1_ms;
        wheel.arm(timer_of(index), deadlines[index]);
      }
    };
    for (int step = 0; step < 2000; ++step) {
      act();
      now = now + Duration::microseconds(entropy.below(1000));
      std::size_t calls = 0;
      const std::size_t before = wheel.size();
      wheel.advance(now, [&](RecordRef ref) {
        ++calls;
        ASSERT_LE(deadlines[ref.index()], now);
        deadlines[ref.index()] = Instant::never();
        act();
        act();
      });
      ASSERT_LE(calls, before) << "only what was armed before can fire";
      std::size_t armed = 0;
      for (std::uint32_t i = 0; i < 64; ++i) {
        ASSERT_EQ(wheel.armed(timer_of(i)), !deadlines[i].is_never());
        armed += wheel.armed(timer_of(i)) ? 1 : 0;
      }
      ASSERT_EQ(wheel.size(), armed);
    }
    for (std::uint32_t i = 0; i < 64; ++i) wheel.cancel(timer_of(i));
  }
}

constexpr std::int64_t kNear62Bits = (std::int64_t{1} << (62 - Wheel::kTickBits)) - 3;

INSTANTIATE_TEST_SUITE_P(Starts, TimingWheelAt,
                         testing::Values(0, 1, 63, (1 << 18) - 1, (std::int64_t{1} << 31) - 2,
                                         (std::int64_t{1} << 32) - 5, (std::int64_t{1} << 36) - 7,
                                         kNear62Bits, -5),
                         [](const auto& param_info) { return "Case" + std::to_string(param_info.index); });

}  // namespace
}  // namespace synfin::stack
