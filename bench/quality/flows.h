// SPDX-License-Identifier: Apache-2.0
//
// Who sends and who receives; each runs in a process of its own and leaves an account in a pipe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "synfin/base/time.h"
#include "synfin/link/tun.h"

namespace synfin::bench {

/// Flows of one stack that begin together.
struct Flows {
  /// `tcp_congestion_control`, or the kernel's name of it.
  std::string controller;
  int count = 0;
};

struct Plan {
  Flows kernel, synfin;
  /// Synfin's, NAME=VALUE.
  std::vector<std::string> settings;
  /// Octets that a flow sends before it closes; 0: as many as it can.
  std::uint64_t octets = 0;
  Instant begin, end;
  /// From here on what arrives counts.
  Instant count_from;
};

/// What every block that is sent comes from.
inline constexpr std::size_t kBlock = 65536;

/// Until `plan.end`. A list of {address, port, octets, last}: what each connection delivered to the program,
/// and seconds from `plan.begin` to the last octet of it.
nlohmann::json receive_all(const Plan& plan, int listener);
/// A listening socket in this process's namespace. Throws std::runtime_error.
int open_sink();

/// Lists of {stack, address, port, controller, retransmitted, cwnd, rtt} at the end. Throw
/// std::runtime_error.
nlohmann::json send_by_kernel(const Plan& plan);
nlohmann::json send_by_synfin(const Plan& plan, std::unique_ptr<link::TunLink> link, wire::BlockPool& pool);

}  // namespace synfin::bench
