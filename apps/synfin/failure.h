// SPDX-License-Identifier: Apache-2.0
//
// How every verb ends when it cannot go on: one line on standard error and an exit status.
#pragma once

#include <boost/system/error_code.hpp>
#include <string>
#include <string_view>

#include "synfin/stack/stack.h"
#include "synfin/trace/reason.h"

namespace synfin::app {

enum ExitStatus : int {
  kSuccess = 0,
  /// The network or the peer failed.
  kNetworkFailure = 1,
  /// The command line asked for what cannot be.
  kWrongUse = 2,
};

/// Thrown by verbs, caught by `main`.
struct Failure {
  ExitStatus status;
  /// "WHAT: WHY", and in brackets on what grounds.
  std::string line;
};

[[noreturn]] void wrong_use(std::string_view what, std::string_view why);
[[noreturn]] void network_failure(std::string_view what, std::string_view why);
/// WHY from the error code; the grounds from `reason` where there is one, else from what the code usually
/// means.
[[noreturn]] void network_failure(std::string_view what, const boost::system::error_code& why,
                                  trace::Reason reason = trace::Reason::kNone);

/// `WHAT: WHY (REASON; RFC …)`, without the program's name.
std::string failure_line(std::string_view what, const boost::system::error_code& why,
                         trace::Reason reason = trace::Reason::kNone);
/// The same where no ephemeral port is free: who holds them, and what to do.
std::string no_ports_line(std::string_view what, const stack::PortUse& use);
/// Writes `synfin: LINE` on standard error.
void complain(std::string_view line);

}  // namespace synfin::app
