// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 6582 §3.2, whose step numbers stand in the comments.
#include "synfin/tcp/recovery.h"

namespace synfin::tcp {

Recovery::Action Recovery::on_duplicate(wire::SeqNum una, wire::SeqNum max_sent, std::uint32_t mss) {
  if (active_) {
    inflation_ += mss;  // (4)
    return Action::kNothing;
  }
  if (duplicates_ < kDuplicateThreshold) ++duplicates_;
  if (duplicates_ < kDuplicateThreshold) {
    inflation_ = duplicates_ * mss;  // limited transmit, RFC 3042
    return Action::kNothing;
  }
  // (2): duplicates of what a timeout or an earlier recovery sent again prove nothing.
  if (una.before(recover_)) return Action::kNothing;
  active_ = true;
  recover_ = max_sent;
  inflation_ = kDuplicateThreshold * mss;
  return Action::kEnter;
}

Recovery::Action Recovery::on_advance(wire::SeqNum una, std::uint32_t acked, std::uint32_t mss) {
  duplicates_ = 0;
  if (!active_) {
    recover_ = later(recover_, una);  // or it would lie ahead again 2 GiB later
    inflation_ = 0;
    return Action::kNothing;
  }
  if (una.at_or_after(recover_)) {  // (3), full acknowledgement
    active_ = false;
    inflation_ = 0;
    return Action::kExit;
  }
  // (3), partial: deflate by what was acknowledged, and put one segment back if at least one was.
  inflation_ -= acked < inflation_ ? acked : inflation_;
  if (acked >= mss) inflation_ += mss;
  return Action::kRetransmitFirst;
}

void Recovery::on_timeout(wire::SeqNum max_sent) {
  recover_ = max_sent;
  active_ = false;
  duplicates_ = 0;
  inflation_ = 0;
}

}  // namespace synfin::tcp
