// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/ports.h"

#include <span>

namespace synfin::stack {

PortSelector::PortSelector(Entropy& entropy) {
  entropy.fill(offset_key_);
  entropy.fill(counter_key_);
  entropy.fill(std::as_writable_bytes(std::span{counters_}));
}

PortSelector::Start PortSelector::start_for(const wire::IpAddress& local,
                                            const wire::Endpoint& remote) const {
  const wire::FourTuple hashed{{local, 0}, remote};
  const Bytes message = std::as_bytes(std::span{&hashed, 1});
  return Start{static_cast<std::uint32_t>(keyed_hash(offset_key_, message)),
               static_cast<std::uint32_t>(keyed_hash(counter_key_, message) % kCounters)};
}

}  // namespace synfin::stack
