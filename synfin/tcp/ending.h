// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/time.h"
#include "synfin/trace/cause.h"
#include "synfin/wire/seq_num.h"
#include "synfin/wire/tcp.h"

namespace synfin::tcp {

/// How a connection ended: one cause, the rule that decided, and the segment that brought it about. A plain
/// value.
struct Ending {
  /// kNone while the connection lives. TIME-WAIT counts as ended: nothing can be said any more.
  trace::Cause cause = trace::Cause::kNone;
  trace::Reason reason = trace::Reason::kNone;
  Instant at;

  struct Segment {
    /// The peer's, or else our own, to which no answer came.
    bool received = false;
    wire::SeqNum seq;
    wire::SeqNum ack;
    wire::Flags flags;
    std::uint32_t text_size = 0;
  };
  /// Nothing where a call of the program ended the connection. For an ICMP error: of the segment that it
  /// quotes, only `seq` is known.
  std::optional<Segment> segment;
};

}  // namespace synfin::tcp
