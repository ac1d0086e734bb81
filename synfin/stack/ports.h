// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// Ephemeral ports by RFC 6056 §3.3.4, algorithm 4 (double-hash): ports towards one remote endpoint follow
/// each other, so that a port is reused as late as possible; where they begin, and how far connections to
/// others move them on, is keyed and unknown outside.
class PortSelector {
 public:
  /// Draws its keys and the counters' beginnings from `entropy`, which is not used afterwards.
  explicit PortSelector(Entropy& entropy);

  /// A port in [first, last] for which free(port) holds; each is asked at most once. Nothing where none is
  /// free, or first > last. The connection is from `local` to `remote`.
  template <class Free>
  std::optional<std::uint16_t> pick(const wire::IpAddress& local, const wire::Endpoint& remote,
                                    std::uint16_t first, std::uint16_t last, Free free) {
    if (first > last) return std::nullopt;
    const std::uint32_t count = last - first + 1u;
    if (remote != last_remote_ || local != last_local_) {
      last_local_ = local;
      last_remote_ = remote;
      last_start_ = start_for(local, remote);
    }
    const Start start = last_start_;
    std::uint32_t& moved = counters_[start.counter];
    // Reduced first: the sum of offset and counter must not wrap amid the walk, or it would miss ports.
    std::uint32_t at = static_cast<std::uint32_t>((std::uint64_t{start.offset} + moved) % count);
    for (std::uint32_t tries = 0; tries < count; ++tries) {
      const auto port = static_cast<std::uint16_t>(first + at);
      ++moved;
      at = at + 1 == count ? 0 : at + 1;
      if (free(port)) return port;
    }
    return std::nullopt;
  }

 private:
  // RFC 6056 asks for at least 10; the more there are, the less a remote learns from its own ports about how
  // many others there were.
  static constexpr std::uint32_t kCounters = 1024;

  struct Start {
    std::uint32_t offset;
    std::uint32_t counter;
  };
  // F and G of the RFC: two halves of one keyed hash, neither of which says anything of the other.
  Start start_for(const wire::IpAddress& local, const wire::Endpoint& remote) const;

  Key key_;
  std::array<std::uint32_t, kCounters> counters_;
  // Of the last connection: a program has few servers that it connects to.
  wire::IpAddress last_local_;
  wire::Endpoint last_remote_;
  Start last_start_;
};

}  // namespace synfin::stack
