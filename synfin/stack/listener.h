// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/stack/handle.h"
#include "synfin/stack/ring.h"
#include "synfin/stack/stack.h"
#include "synfin/stack/syn_monitor.h"
#include "synfin/tcp/half_open.h"
#include "synfin/tcp/timer_node.h"
#include "synfin/wire/address.h"
#include "synfin/wire/ip.h"

namespace synfin::stack {

/// A SYN that the program has yet to decide about: the half-open connection that it would become.
struct HeldSyn {
  tcp::HalfOpen syn;
  std::uint32_t listener = 0;
  bool handed = false;  // the program has its handle
  Instant until;        // when it is forgotten
  tcp::TimerNode timer{};
};

/// How many SYNs of each source a listener holds. Keyed, so that nobody can aim for collisions; bounded by
/// `hold_limit`.
class SourceCounts {
 public:
  explicit SourceCounts(const Key& key) : counts_(0, Hash{key}) {}
  std::uint32_t of(const wire::IpAddress& source) const {
    const auto it = counts_.find(source);
    return it == counts_.end() ? 0 : it->second;
  }
  void add(const wire::IpAddress& source) { ++counts_[source]; }
  void remove(const wire::IpAddress& source) {
    const auto it = counts_.find(source);
    if (it != counts_.end() && --it->second == 0) counts_.erase(it);
  }

 private:
  struct Hash {
    Key key;
    std::size_t operator()(const wire::IpAddress& a) const { return keyed_hash(key, a.octets()); }
  };
  std::unordered_map<wire::IpAddress, std::uint32_t, Hash> counts_;
};

/// Whether a segment to `destination` is for who listens at `listening`: `::` stands for both families,
/// 0.0.0.0 for IPv4 alone.
inline bool covers(const wire::IpAddress& listening, const wire::IpAddress& destination) {
  if (!listening.is_unspecified()) return listening == destination;
  return !listening.is_v4() || destination.is_v4();
}

/// A port that takes connections, and those that wait to be taken.
struct Listener {
  explicit Listener(Entropy& entropy, const Key& key)
      : held_by_source(key), monitor(std::make_unique<SynMonitor>(entropy)) {}

  wire::Endpoint local;
  ListenOptions options;
  std::uint32_t backlog = 0;  // options.backlog within `somaxconn`
  /// Records in SYN-RECEIVED that came through this listener, and those of them whose SYN-ACK has not been
  /// sent again yet.
  std::uint32_t half_open = 0;
  std::uint32_t young = 0;
  /// Connections that are open by a Fast Open SYN alone; and those that the peer reset so, which count until
  /// these times, the earliest first. Else whoever resets at once could have any number (RFC 7413 §5.1).
  std::uint32_t fast_open = 0;
  std::deque<Instant> fast_open_resets;
  static constexpr Duration kFastOpenReset = Duration::seconds(60);
  /// SYNs that wait for the program, and those of them that it has not been handed, oldest first.
  std::uint32_t held = 0;
  std::deque<std::uint32_t> to_hand;
  SourceCounts held_by_source;
  std::uint16_t events = 0;
  /// Completed connections that the program has not accepted: indices, oldest first.
  Ring<std::uint32_t> accept_queue;
  bool event_queued = false;
  /// When a cookie was last sent because the SYN queue was full; long before that none can come back.
  std::optional<Instant> last_overflow;

  std::unique_ptr<SynMonitor> monitor;

  void set_options(const ListenOptions& wanted, std::uint32_t somaxconn) {
    options = wanted;
    backlog = std::min(wanted.backlog, somaxconn);
  }
  /// As on Linux one more than the backlog fits.
  std::uint32_t accept_queue_limit() const { return backlog + 1; }
  std::uint8_t traffic_class() const { return options.connection.traffic_class & ~wire::ecn::kMask; }
  bool accept_queue_full() const { return accept_queue.size() >= accept_queue_limit(); }
  /// Whether some destination would be for both.
  bool overlaps(const wire::Endpoint& other) const {
    return local.port == other.port &&
           (covers(local.address, other.address) || covers(other.address, local.address));
  }
};

/// Listener indices by port. Listeners of a port never overlap, so at most one covers an address.
class ListenerMap {
 public:
  void add(std::uint16_t port, std::uint32_t index);
  void remove(std::uint16_t port, std::uint32_t index);
  /// The indices at a port; empty if there are none.
  const std::vector<std::uint32_t>& at(std::uint16_t port) const {
    const auto& page = pages_[port / kPage];
    return page == nullptr ? none_ : (*page)[port % kPage];
  }

 private:
  // Two steps and no hash: every segment for no connection comes here.
  static constexpr std::size_t kPage = 256;
  using Page = std::array<std::vector<std::uint32_t>, kPage>;
  std::array<std::unique_ptr<Page>, 65536 / kPage> pages_;
  std::vector<std::uint32_t> none_;
};

}  // namespace synfin::stack
