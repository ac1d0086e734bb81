// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "synfin/base/time.h"
#include "synfin/stack/handle.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// A port that takes connections, and those that wait to be taken.
struct Listener {
  wire::Endpoint local;
  std::uint32_t backlog = 0;
  /// Records in SYN-RECEIVED that came through this listener.
  std::uint32_t half_open = 0;
  /// Completed connections that the program has not accepted: indices, oldest first.
  std::deque<std::uint32_t> accept_queue;
  bool event_queued = false;
  /// When a cookie was last sent because the SYN queue was full; long before that none can come back.
  std::optional<Instant> last_overflow;

  /// As on Linux one more than the backlog fits.
  bool accept_queue_full() const { return accept_queue.size() > backlog; }
  /// Whether a segment to `destination` is for this listener; the port is known to be the same.
  bool covers(const wire::IpAddress& destination) const;
  /// Whether some destination would be for both.
  bool overlaps(const wire::Endpoint& other) const;
};

/// Listener indices by port. Listeners of a port never overlap, so at most one covers an address.
class ListenerMap {
 public:
  void add(std::uint16_t port, std::uint32_t index) { by_port_[port].push_back(index); }
  void remove(std::uint16_t port, std::uint32_t index);
  /// The indices at a port; empty if there are none.
  const std::vector<std::uint32_t>& at(std::uint16_t port) const;

 private:
  std::unordered_map<std::uint16_t, std::vector<std::uint32_t>> by_port_;
};

}  // namespace synfin::stack
