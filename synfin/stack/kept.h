// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "synfin/tcp/half_open.h"
#include "synfin/tcp/time_wait.h"
#include "synfin/tcp/timer_node.h"
#include "synfin/wire/address.h"

namespace synfin::stack {

/// A small record as it lies in its pool. There may be millions, and the stack has few addresses of its own:
/// the local one is kept by its number in `Config::addresses`, which only grows.
template <class Protocol, class Facts>
struct Kept {
  wire::IpAddress remote;
  std::uint16_t remote_port;
  std::uint16_t local_port;
  std::uint32_t local;
  tcp::TimerNode timer{};
  Facts facts;

  Kept(const Protocol& p, std::uint32_t local_number)
      : remote(p.tuple.remote.address),
        remote_port(p.tuple.remote.port),
        local_port(p.tuple.local.port),
        local(local_number),
        facts(static_cast<const Facts&>(p)) {}

  wire::FourTuple tuple(const std::vector<wire::Prefix>& own) const {
    return {{own[local].address, local_port}, {remote, remote_port}};
  }
  bool is_of(const wire::FourTuple& t, const std::vector<wire::Prefix>& own) const {
    return remote_port == t.remote.port && local_port == t.local.port && remote == t.remote.address &&
           own[local].address == t.local.address;
  }
  /// The record as the protocol sees it, and what of it may change.
  Protocol get(const std::vector<wire::Prefix>& own) const { return {facts, tuple(own)}; }
  void set(const Protocol& p) { facts = static_cast<const Facts&>(p); }
};

using KeptHalfOpen = Kept<tcp::HalfOpen, tcp::HalfOpenFacts>;
using KeptTimeWait = Kept<tcp::TimeWait, tcp::TimeWaitFacts>;
// With a slot of the table at its worst load, and one bit in the pool, each stays within 72 octets.
static_assert(sizeof(KeptHalfOpen) == 52 && sizeof(KeptTimeWait) == 52);

}  // namespace synfin::stack
