// SPDX-License-Identifier: Apache-2.0
//
// synfin VERB [ARGUMENTS] [LINK OPTIONS] [-- COMMAND...]
#include <csignal>
#include <exception>

#include "command_line.h"
#include "failure.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone away is an error of its write
  try {
    return synfin::app::run_command_line(argc, argv);
  } catch (const synfin::app::Failure& failure) {
    synfin::app::complain(failure.line);
    return failure.status;
  } catch (const std::exception& error) {
    synfin::app::complain(error.what());
    return synfin::app::kNetworkFailure;
  }
}
