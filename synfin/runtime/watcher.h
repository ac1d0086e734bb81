// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace synfin::runtime {

/// Who wants to know what happens to a connection or listener; see `Runtime::register_socket`.
class Watcher {
 public:
  /// Something happened: bits of `stack::SocketEventBits`. A hint, never the whole truth: ask the stack. May
  /// be called for nothing. May register and unregister watchers, itself too, and call the stack; must not
  /// call the program.
  virtual void on_socket_event(std::uint16_t what) = 0;
  /// The runtime ends; no call may reach it after this one returns. The watcher has been unregistered.
  virtual void on_runtime_end() = 0;

 protected:
  Watcher() = default;
  Watcher(const Watcher&) = default;
  Watcher& operator=(const Watcher&) = default;
  ~Watcher() = default;
};

}  // namespace synfin::runtime
