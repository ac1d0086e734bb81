// SPDX-License-Identifier: Apache-2.0
#include "synfin/stack/source_hash.h"

namespace synfin::stack {

wire::Prefix network_prefix(std::uint64_t network) {
  if (network >> 48 != 0) return {wire::IpAddress::v4(static_cast<std::uint32_t>(network << 8)), 24};
  std::array<std::byte, 16> octets{};
  store_be32(octets.data(), static_cast<std::uint32_t>(network >> 16));
  store_be16(octets.data() + 4, static_cast<std::uint16_t>(network));
  return {wire::IpAddress::from_v6_octets(octets.data()), 48};
}

}  // namespace synfin::stack
