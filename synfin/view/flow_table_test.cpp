// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/flow_table.h"

#include <gtest/gtest.h>

namespace synfin::view {
namespace {

using trace::Event;
using trace::EventKind;
using trace::Reason;
using trace::State;

Event state_event(std::uint16_t remote_port, State from, State to, Reason reason = Reason::kNone) {
  Event e;
  e.kind = EventKind::kStateChanged;
  e.from = from;
  e.to = to;
  e.reason = reason;
  e.tuple.local = {wire::IpAddress::v4(10, 0, 0, 1), 80};
  e.tuple.remote = {wire::IpAddress::v4(10, 0, 0, 2), remote_port};
  return e;
}

TEST(FlowTable, ForgetsTheLeastRecentlyHeardBeyondItsCapacity) {
  FlowTable<Flow> table(3);
  for (std::uint16_t port = 1; port <= 3; ++port)
    table.look_up(state_event(port, State::kListen, State::kSynReceived));
  table.look_up(state_event(1, State::kSynReceived, State::kEstablished));
  table.look_up(state_event(4, State::kListen, State::kSynReceived));
  EXPECT_EQ(table.size(), 3U);
  EXPECT_FALSE(table.look_up(state_event(1, State::kEstablished, State::kCloseWait)).is_new);
  EXPECT_TRUE(table.look_up(state_event(2, State::kSynReceived, State::kEstablished)).is_new)
      << "the oldest went";
}

TEST(FlowTable, StaysBoundedUnderAnyNumberOfConnections) {
  FlowTable<Flow> table(100);
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto port = static_cast<std::uint16_t>(1 + i % 60'000);
    table.look_up(state_event(port, State::kListen, State::kSynReceived));
    if (i % 2 == 0) table.look_up(state_event(port, State::kSynReceived, State::kClosed));
    ASSERT_LE(table.size(), 100U + FlowTable<Flow>::kEndedKept);
    ASSERT_LE(table.open_count(), 100U);
  }
}

TEST(FlowTable, AnEndedConnectionIsRememberedUntilTheNextOne) {
  FlowTable<Flow> table;
  const std::uint32_t first = table.look_up(state_event(1, State::kListen, State::kSynReceived)).flow.number;
  table.look_up(state_event(1, State::kSynReceived, State::kClosed));
  EXPECT_EQ(table.open_count(), 0U);
  const auto same = table.look_up(state_event(1, State::kClosed, State::kClosed));
  EXPECT_FALSE(same.is_new);
  EXPECT_EQ(same.flow.number, first);
  const auto next = table.look_up(state_event(1, State::kListen, State::kSynReceived));
  EXPECT_TRUE(next.is_new);
  EXPECT_EQ(next.flow.number, first + 1);
  EXPECT_EQ(table.open_count(), 1U);
}

TEST(FlowTable, TimeWaitReopenedIsANewConnection) {
  FlowTable<Flow> table;
  table.look_up(state_event(1, State::kListen, State::kSynReceived));
  table.look_up(state_event(1, State::kFinWait2, State::kTimeWait));
  EXPECT_TRUE(
      table.look_up(state_event(1, State::kTimeWait, State::kSynReceived, Reason::kTimeWaitReopened)).is_new);
  EXPECT_EQ(table.open_count(), 1U);
}

TEST(FlowTable, MetMidwayTheFirstOctetSeenCountsAsOne) {
  FlowTable<Flow> table;
  wire::TcpHeader h;
  h.flags = wire::Flags::kAck;
  h.seq = wire::SeqNum{0};
  h.ack = wire::SeqNum{77};
  Event e = state_event(1, State::kEstablished, State::kEstablished);
  e.kind = EventKind::kSegmentReceived;
  e.header = &h;
  const Flow& flow = table.look_up(e).flow;
  EXPECT_EQ(flow.relative(Side::kRemote, wire::SeqNum{0}), 1U);
  EXPECT_EQ(flow.relative(Side::kRemote, wire::SeqNum{100}), 101U);
  EXPECT_EQ(flow.relative(Side::kLocal, wire::SeqNum{77}), 1U);
}

}  // namespace
}  // namespace synfin::view
