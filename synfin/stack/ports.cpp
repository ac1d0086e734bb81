// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/ports.h"

#include <span>

namespace synfin::stack {

PortSelector::PortSelector(Entropy& entropy) {
  entropy.fill(key_);
  entropy.fill(std::as_writable_bytes(std::span{counters_}));
  last_start_ = start_for(last_local_, last_remote_);
}

PortSelector::Start PortSelector::start_for(const wire::IpAddress& local,
                                            const wire::Endpoint& remote) const {
  const std::uint64_t hash = keyed_hash(key_, wire::PackedTuple{{{local, 0}, remote}}.bytes());
  return Start{static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32) % kCounters};
}

}  // namespace synfin::stack
