// SPDX-License-Identifier: Apache-2.0
#include <synfin/base/entropy.h>
#include <synfin/stack/stack.h>

#include <cstdio>

int main() {
  using namespace synfin;
  wire::BlockPool pool;
  SeededEntropy entropy{1};
  stack::Config config{.addresses = {*wire::Prefix::parse("192.0.2.1/24")}, .mtu = 1500, .settings = {}};
  stack::Stack stack{config, pool, entropy};
  const auto connection = stack.connect({*wire::IpAddress::parse("192.0.2.2"), 80}, {}, Instant{});
  std::array<wire::Frame, 4> out;
  const std::size_t frames = stack.transmit(out, Instant{});
  std::printf("%zu packet of %zu octets\n", frames, out[0].size());
  return connection && frames == 1 && out[0].size() >= 40 ? 0 : 1;
}
