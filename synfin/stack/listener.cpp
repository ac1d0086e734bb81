// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/listener.h"

#include <algorithm>

namespace synfin::stack {
namespace {

// `::` stands for both families, 0.0.0.0 for IPv4 alone.
bool covers_address(const wire::IpAddress& listening, const wire::IpAddress& destination) {
  if (!listening.is_unspecified()) return listening == destination;
  return !listening.is_v4() || destination.is_v4();
}

}  // namespace

bool Listener::covers(const wire::IpAddress& destination) const {
  return covers_address(local.address, destination);
}

bool Listener::overlaps(const wire::Endpoint& other) const {
  if (local.port != other.port) return false;
  return covers_address(local.address, other.address) || covers_address(other.address, local.address);
}

void ListenerMap::remove(std::uint16_t port, std::uint32_t index) {
  const auto it = by_port_.find(port);
  if (it == by_port_.end()) return;
  std::erase(it->second, index);
  if (it->second.empty()) by_port_.erase(it);
}

const std::vector<std::uint32_t>& ListenerMap::at(std::uint16_t port) const {
  static const std::vector<std::uint32_t> kNone;
  const auto it = by_port_.find(port);
  return it == by_port_.end() ? kNone : it->second;
}

}  // namespace synfin::stack
