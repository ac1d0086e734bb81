// SPDX-License-Identifier: Apache-2.0
//
// The command behind `--`.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace synfin::app {

/// A child process; terminated with SIGTERM, and waited for, where it outlives its object.
class Child {
 public:
  enum class Input {
    kInherited,
    kNone,  // /dev/null: the verb reads standard input itself
  };
  /// Starts `command`, searched for in PATH. Throws Failure where that is not possible.
  Child(const std::vector<std::string>& command, Input input);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// The exit status as a shell gives it (128 + signal where one ended it); none while the child runs.
  std::optional<int> status();

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace synfin::app
