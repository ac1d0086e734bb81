// SPDX-License-Identifier: Apache-2.0
//
// The only file that includes the rules: that every cell is decided, and every rule decides, is checked when
// it is compiled.
#include <array>

#include "rules_records.h"
#include "rules_syn_received.h"
#include "rules_synchronized.h"
#include "rules_unsynchronized.h"

namespace synfin::state_table {

Rules rules_of(Row row) {
  switch (row) {
    case Row::kClosed:
      return kClosedRules;
    case Row::kListen:
      return kListenRules;
    case Row::kSynSent:
      return kSynSentRules;
    case Row::kSynReceivedPassive:
      return kSynReceivedPassiveRules;
    case Row::kSynReceivedActive:
      return kSynReceivedActiveRules;
    case Row::kEstablished:
    case Row::kFinWait1:
    case Row::kFinWait1Orphan:
    case Row::kFinWait2:
    case Row::kCloseWait:
    case Row::kClosing:
    case Row::kLastAck:
      return kSynchronizedRules;
    case Row::kFinWait2Orphan:
      return kFinWait2OrphanRules;
    case Row::kTimeWait:
      return kTimeWaitRules;
    case Row::kRows:
      break;
  }
  return {};
}

std::size_t shared_checks(Row row) {
  return rules_of(row).data() == kSynchronizedRules.data() ? std::size(kChecks) : 0;
}

std::size_t rule_count() {
  constexpr std::array kLists = {std::size(kClosedRules),
                                 std::size(kListenRules),
                                 std::size(kSynSentRules),
                                 std::size(kSynReceivedPassiveRules),
                                 std::size(kSynReceivedActiveRules),
                                 std::size(kSynchronizedRules),
                                 std::size(kFinWait2OrphanRules),
                                 std::size(kTimeWaitRules)};
  std::size_t sum = 0;
  for (const std::size_t n : kLists) sum += n;
  return sum;
}

// A rule less, and the first cell that only it decided is found; a rule that stands behind one that takes all
// its cells is found too.
static_assert(first_undecided(Rules{kListenRules}.first(4), Row::kListen) ==
              Cell{Row::kListen, Kind::kFin, Position::kAny, Ack::kNoAck, Guard::kNormal});
static_assert(first_dead(kClosedRules, 0b011) == 2);

trace::State state_of(Row r) {
  switch (r) {
    case Row::kClosed:
      return State::kClosed;
    case Row::kListen:
      return State::kListen;
    case Row::kSynSent:
      return State::kSynSent;
    case Row::kSynReceivedPassive:
    case Row::kSynReceivedActive:
      return State::kSynReceived;
    case Row::kEstablished:
      return State::kEstablished;
    case Row::kFinWait1:
    case Row::kFinWait1Orphan:
      return State::kFinWait1;
    case Row::kFinWait2:
    case Row::kFinWait2Orphan:
      return State::kFinWait2;
    case Row::kCloseWait:
      return State::kCloseWait;
    case Row::kClosing:
      return State::kClosing;
    case Row::kLastAck:
      return State::kLastAck;
    case Row::kTimeWait:
      return State::kTimeWait;
    case Row::kRows:
      break;
  }
  return State::kClosed;
}

}  // namespace synfin::state_table
