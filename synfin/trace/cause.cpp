// SPDX-License-Identifier: Apache-2.0
#include "synfin/trace/cause.h"

#include <array>
#include <utility>

namespace synfin::trace {
namespace {

struct CauseText {
  std::string_view name;
  std::string_view meaning;
};
constexpr std::array kCauseTexts = {
#define SYNFIN_CAUSE(id, name, meaning) CauseText{name, meaning},
    SYNFIN_CAUSES(SYNFIN_CAUSE)
#undef SYNFIN_CAUSE
};

constexpr auto kCauses = [] {
  std::array<Cause, kReasonCount> causes{};
  const auto set = [&](Cause c, auto... reasons) { ((causes[std::to_underlying(reasons)] = c), ...); };
  set(Cause::kEndOfStream, Reason::kFinAcknowledged, Reason::kFinReceived, Reason::kTimeWaitEntered,
      Reason::kTimeWaitExpired, Reason::kTimeWaitReset, Reason::kTimeWaitReopened, Reason::kTimeWaitReused,
      Reason::kTimeWaitOverflow);
  set(Cause::kResetByPeer, Reason::kReset, Reason::kHalfOpenReset);
  set(Cause::kRefused, Reason::kConnectionRefused);
  set(Cause::kTimedOut, Reason::kConnectTimedOut, Reason::kHandshakeTimedOut, Reason::kRetransmitGaveUp,
      Reason::kOrphanGaveUp);
  set(Cause::kUserTimedOut, Reason::kUserTimeout);
  set(Cause::kKeepaliveTimedOut, Reason::kKeepaliveTimedOut);
  set(Cause::kUnreachable, Reason::kIcmpHardError);
  set(Cause::kAbortedLocally, Reason::kAbortCalled, Reason::kCloseCalled, Reason::kLingerAbort,
      Reason::kLingerTimedOut, Reason::kListenerClosed);
  set(Cause::kDataLost, Reason::kUnreadData, Reason::kDataAfterClose);
  set(Cause::kPeerDidNotClose, Reason::kFinWait2TimedOut);
  set(Cause::kNoResources, Reason::kTooManyOrphans, Reason::kNoMemory);
  set(Cause::kStackShutdown, Reason::kStackShutdown);
  return causes;
}();

}  // namespace

std::string_view name(Cause c) {
  return kCauseTexts[std::to_underlying(c)].name;
}
std::string_view meaning(Cause c) {
  return kCauseTexts[std::to_underlying(c)].meaning;
}

std::optional<Cause> cause_named(std::string_view name) {
  for (std::size_t i = 0; i < kCauseTexts.size(); ++i) {
    if (kCauseTexts[i].name == name) return static_cast<Cause>(i);
  }
  return std::nullopt;
}

Cause cause_of(Reason r) {
  return kCauses[std::to_underlying(r)];
}

}  // namespace synfin::trace
