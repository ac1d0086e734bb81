// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/tcp/settings.h"
#include "synfin/trace/flood.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// Watches the SYNs of one listener and tells a flood from forged sources, a flood from few sources, a slow
/// program and a path that loses SYN-ACKs apart (RFC 4987 §2). Bounded memory, whatever arrives; a SYN costs
/// a few nanoseconds.
///
/// The listener tells what happens (`on_…`), and after that calls `judge`, which is cheap as long as the
/// present step of the window has not passed. Between the beginning and the end of an alarm `next_deadline`
/// says when to call it although nothing happens.
class SynMonitor {
 public:
  /// What the listener's queues hold now.
  struct Queues {
    std::uint32_t half_open = 0;
    std::uint32_t half_open_limit = 0;
    std::uint32_t accept_queue = 0;
    std::uint32_t accept_queue_limit = 0;
  };

  /// Draws the keys of its hashes, so that nobody outside can aim at them.
  explicit SynMonitor(Entropy& entropy);

  /// A SYN that belongs to nothing known, whatever became of it.
  void on_syn(const wire::IpAddress& source, Instant now);
  /// The same SYN again: the SYN-ACK was lost or is late.
  void on_repeated_syn(Instant now);
  /// A third segment that completed a handshake, from a record or a cookie.
  void on_completed(Instant now);
  /// The accept queue was full for a SYN or a third segment.
  void on_overflow(Instant now);

  /// A report when an alarm begins or ends; `listener` is left to the caller. Nothing else ends an alarm.
  std::optional<trace::FloodReport> judge(const Queues& queues, const tcp::Settings& settings, Instant now);
  /// When `judge` is to be called at the latest; never while there is no alarm.
  Instant next_deadline() const;
  /// The figures as they are now.
  trace::FloodReport report(const Queues& queues, const tcp::Settings& settings, Instant now) const;
};

}  // namespace synfin::stack
