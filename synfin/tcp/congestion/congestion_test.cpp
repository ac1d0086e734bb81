// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/congestion.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "synfin/tcp/congestion/congestion_test_kit.h"

namespace {

bool no_memory_is_left = false;

}  // namespace

// What the whole binary asks of memory that may be refused.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (no_memory_is_left) return nullptr;
  try {
    return ::operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

namespace synfin::tcp {
namespace {

Congestion made(CongestionControl control) {
  return Congestion{control, kMss, 10};
}

TEST(Congestion, EachControllerIsFoundByItsName) {
  for (const CongestionControl c : {CongestionControl::kCubic, CongestionControl::kReno,
                                    CongestionControl::kNone, CongestionControl::kBbr}) {
    EXPECT_EQ(congestion_control(name_of(c)), c);
    EXPECT_EQ(made(c).control(), c) << name_of(c);
  }
  EXPECT_EQ(congestion_control("vegas"), std::nullopt);
  EXPECT_EQ(congestion_control(""), std::nullopt);
}

TEST(Congestion, AnotherControllerGoesOnWithWindowAndThreshold) {
  Congestion c = made(CongestionControl::kCubic);
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 20 * kMss});
  ASSERT_EQ(c.window(), 14 * kMss);
  ASSERT_TRUE(c.change(CongestionControl::kReno, kMss, 10));
  EXPECT_EQ(c.control(), CongestionControl::kReno);
  EXPECT_EQ(c.window(), 14 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 14 * kMss);
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 14 * kMss});
  EXPECT_EQ(c.window(), 7 * kMss);
  ASSERT_TRUE(c.change(CongestionControl::kCubic, kMss, 10));
  EXPECT_EQ(c.window(), 7 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 7 * kMss);
}

TEST(Congestion, TheSameControllerAgainChangesNothing) {
  Congestion c = made(CongestionControl::kReno);
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 20 * kMss});
  ASSERT_TRUE(c.change(CongestionControl::kReno, kMss, 10));
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 10 * kMss);
}

TEST(Congestion, BehindNoneThePathIsUnknown) {
  Congestion c = made(CongestionControl::kNone);
  EXPECT_EQ(c.window(), kMostWindow);
  ASSERT_TRUE(c.change(CongestionControl::kCubic, kMss, 10));
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), kMostWindow);
}

TEST(Congestion, WhatAnotherControllerRemembersIsNotRestored) {
  Congestion c = made(CongestionControl::kReno);
  const Congestion before = c;
  c.on_loss({.sign = CongestionSign::kTimeout, .in_flight = 10 * kMss});
  ASSERT_TRUE(c.change(CongestionControl::kCubic, kMss, 10));
  c.restore(before);
  EXPECT_EQ(c.window(), kMss);
}

TEST(Congestion, WithoutMemoryForAModelTheControllerStays) {
  no_memory_is_left = true;
  Congestion c = made(CongestionControl::kBbr);
  EXPECT_EQ(c.control(), CongestionControl::kCubic);
  EXPECT_EQ(c.window(), 10 * kMss);
  ASSERT_TRUE(c.change(CongestionControl::kReno, kMss, 10));
  c.on_loss({.sign = CongestionSign::kLost, .in_flight = 20 * kMss});
  const bool changed = c.change(CongestionControl::kBbr, kMss, 10);
  no_memory_is_left = false;
  EXPECT_FALSE(changed);
  EXPECT_EQ(c.control(), CongestionControl::kReno);
  EXPECT_EQ(c.slow_start_threshold(), 10 * kMss);
  ASSERT_TRUE(c.change(CongestionControl::kBbr, kMss, 10));
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_GT(c.pacing_rate(), 0u) << "a model has a rate, and the others have none";
}

TEST(Congestion, CopyOfOneWithAModelIsThereToRestoreFrom) {
  Congestion c = made(CongestionControl::kBbr);
  const Congestion before = c;
  EXPECT_EQ(before.control(), CongestionControl::kBbr);
  EXPECT_EQ(before.window(), c.window());
  LossEvent e;
  e.sign = CongestionSign::kTimeout;
  c.on_loss(e);
  EXPECT_EQ(c.window(), kMss);
  c.restore(before);
  EXPECT_EQ(c.window(), 10 * kMss);
  // It can be used like any, and does nothing.
  Congestion copy = before;
  copy.on_ack({});
  copy.on_loss({});
  copy.on_idle({});
  copy.restore(c);
  copy.set_mss(kMss);
  EXPECT_EQ(copy.window(), 10 * kMss);
  EXPECT_EQ(copy.pacing_rate(), 0u);
}

}  // namespace
}  // namespace synfin::tcp
