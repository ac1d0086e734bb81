// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/listener.h"

namespace synfin::stack {

void ListenerMap::add(std::uint16_t port, std::uint32_t index) {
  auto& page = pages_[port / kPage];
  if (page == nullptr) page = std::make_unique<Page>();
  (*page)[port % kPage].push_back(index);
}

void ListenerMap::remove(std::uint16_t port, std::uint32_t index) {
  if (const auto& page = pages_[port / kPage]) std::erase((*page)[port % kPage], index);
}

}  // namespace synfin::stack
