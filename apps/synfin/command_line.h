// SPDX-License-Identifier: Apache-2.0
//
// Which verbs and options there are, and their help.
#pragma once

namespace synfin::app {

/// Reads the command line and runs the verb it names; its exit status. Throws Failure.
int run_command_line(int argc, char** argv);

}  // namespace synfin::app
