// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/congestion/congestion.h"

#include <gtest/gtest.h>

#include "synfin/tcp/congestion/congestion_test_kit.h"

namespace synfin::tcp {
namespace {

Congestion made(CongestionControl control) {
  return Congestion{control, kMss, 10};
}

TEST(Congestion, EachControllerIsFoundByItsName) {
  for (const CongestionControl c :
       {CongestionControl::kCubic, CongestionControl::kReno, CongestionControl::kNone}) {
    EXPECT_EQ(congestion_control(name_of(c)), c);
    EXPECT_EQ(made(c).control(), c) << name_of(c);
  }
  EXPECT_EQ(congestion_control("bbr"), std::nullopt);
  EXPECT_EQ(congestion_control(""), std::nullopt);
}

TEST(Congestion, AnotherControllerGoesOnWithWindowAndThreshold) {
  Congestion c = made(CongestionControl::kCubic);
  c.on_loss(20 * kMss, CongestionSign::kLost);
  ASSERT_EQ(c.window(), 14 * kMss);
  c.change(CongestionControl::kReno, kMss, 10);
  EXPECT_EQ(c.control(), CongestionControl::kReno);
  EXPECT_EQ(c.window(), 14 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 14 * kMss);
  c.on_loss(14 * kMss, CongestionSign::kLost);
  EXPECT_EQ(c.window(), 7 * kMss);
  c.change(CongestionControl::kCubic, kMss, 10);
  EXPECT_EQ(c.window(), 7 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 7 * kMss);
}

TEST(Congestion, TheSameControllerAgainChangesNothing) {
  Congestion c = made(CongestionControl::kReno);
  c.on_loss(20 * kMss, CongestionSign::kLost);
  c.change(CongestionControl::kReno, kMss, 10);
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), 10 * kMss);
}

TEST(Congestion, BehindNoneThePathIsUnknown) {
  Congestion c = made(CongestionControl::kNone);
  EXPECT_EQ(c.window(), kMostWindow);
  c.change(CongestionControl::kCubic, kMss, 10);
  EXPECT_EQ(c.window(), 10 * kMss);
  EXPECT_EQ(c.slow_start_threshold(), kMostWindow);
}

TEST(Congestion, WhatAnotherControllerRemembersIsNotRestored) {
  Congestion c = made(CongestionControl::kReno);
  const Congestion before = c;
  c.on_timeout(10 * kMss);
  c.change(CongestionControl::kCubic, kMss, 10);
  c.restore(before);
  EXPECT_EQ(c.window(), kMss);
}

}  // namespace
}  // namespace synfin::tcp
