// SPDX-License-Identifier: Apache-2.0
//
// One long transfer over one bottleneck, in virtual time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "synfin/sim/network.h"

namespace synfin::netsim {

struct Path {
  std::uint64_t rate = 0;  // octets a second
  Duration round_trip;
  std::uint64_t queue = 0;  // octets
  std::uint32_t loss = 0;   // parts per million, of the text alone
  std::uint32_t reorder = 0;
  Duration reorder_by;
};

/// Host A sends `octets` and closes, host B reads whatever comes. Everything that is not said follows the
/// defaults.
class Bulk {
 public:
  Bulk(tcp::CongestionControl control, const Path& path, std::uint64_t octets, std::uint64_t seed = 1);

  sim::Network& network() { return net_; }
  stack::Handle sender() const { return client_; }
  std::uint64_t octets() const { return octets_; }
  std::uint64_t received() const { return received_; }
  bool ended() const { return ended_; }
  const trace::Counters& sender_counters() { return net_.host(0).counters(); }

  /// Until B has read the end of the stream. What it took from `connect` to the last octet; nullopt: it did
  /// not end within `limit`, or not with all octets.
  std::optional<Duration> run(Duration limit = Duration::seconds(100'000));
  /// When B read its last octet.
  Instant last_read() const { return last_read_; }

 private:
  void step();
  void write();
  void read();

  sim::Network net_;
  std::vector<std::byte> buffer_;
  std::uint64_t octets_, sent_ = 0, received_ = 0;
  bool ended_ = false;
  Instant began_, last_read_;
  stack::Handle listener_, client_;
  std::optional<stack::Handle> server_;
};

}  // namespace synfin::netsim
