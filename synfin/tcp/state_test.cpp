// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/state.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace synfin::tcp {
namespace {

// RFC 9293 §3.3.2, figure 5, edge by edge; what the figure leaves out (resets, aborts, time-outs, TIME-WAIT
// reopened) is listed below it.
TEST(Rfc9293, TransitionsAreThoseOfFigure5_3_3_2) {
  using S = State;
  const std::set<std::pair<S, S>> edges = {
      {S::kClosed, S::kListen},
      {S::kClosed, S::kSynSent},
      {S::kListen, S::kSynReceived},
      {S::kListen, S::kSynSent},
      {S::kListen, S::kClosed},
      {S::kSynSent, S::kSynReceived},
      {S::kSynSent, S::kEstablished},
      {S::kSynSent, S::kClosed},
      {S::kSynReceived, S::kEstablished},
      {S::kSynReceived, S::kFinWait1},
      {S::kSynReceived, S::kListen},
      {S::kEstablished, S::kFinWait1},
      {S::kEstablished, S::kCloseWait},
      {S::kFinWait1, S::kFinWait2},
      {S::kFinWait1, S::kClosing},
      {S::kFinWait1, S::kTimeWait},
      {S::kFinWait2, S::kTimeWait},
      {S::kClosing, S::kTimeWait},
      {S::kCloseWait, S::kLastAck},
      {S::kLastAck, S::kClosed},
      {S::kTimeWait, S::kClosed},
      // Not in the figure.
      {S::kSynReceived, S::kClosed},
      {S::kEstablished, S::kClosed},
      {S::kFinWait1, S::kClosed},
      {S::kFinWait2, S::kClosed},
      {S::kClosing, S::kClosed},
      {S::kCloseWait, S::kClosed},
      {S::kTimeWait, S::kSynReceived},
      {S::kTimeWait, S::kSynSent},
  };
  for (std::size_t from = 0; from < trace::kStateCount; ++from) {
    for (std::size_t to = 0; to < trace::kStateCount; ++to) {
      const auto edge = std::pair{static_cast<S>(from), static_cast<S>(to)};
      EXPECT_EQ(is_transition(edge.first, edge.second), edges.contains(edge))
          << trace::name(edge.first) << " -> " << trace::name(edge.second);
    }
  }
}

}  // namespace
}  // namespace synfin::tcp
