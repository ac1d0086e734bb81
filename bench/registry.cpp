// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "benchmark.h"

namespace synfin::bench {

std::uint64_t Run::scaled(std::uint64_t full, std::uint64_t least) const {
  return std::max(static_cast<std::uint64_t>(static_cast<double>(full) * scale), least);
}

std::vector<Benchmark> all_benchmarks() {
  return {lifecycle(), request(), bulk(),  memory(), synflood(),
          handshake(), tun(),     scale(), parts(),  instructions()};
}

}  // namespace synfin::bench
