// SPDX-License-Identifier: Apache-2.0
//
// What the verbs do, once the command line has been read: each returns its exit status or throws Failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "options.h"

namespace synfin::app {

struct DemoOptions {
  bool in_memory = false;
};
int run_demo(const DemoOptions& options);

struct ServeOptions {
  std::string directory;
  std::string service = "http";
  /// The well-known ports of RFC 862, 863 and 864 differ: one port for all services is easier to remember.
  std::string port = "80";
  bool close_first = false;
  /// Completed connections that may wait to be accepted; none: as many as `somaxconn` allows.
  std::optional<std::uint32_t> backlog;
  /// Listens and never accepts, so that the queues fill.
  bool no_accept = false;
  /// Seconds for which a third segment without data leaves a connection half-open; 0: none.
  std::uint32_t defer_accept = 0;
  /// Connections that may be open by a Fast Open SYN alone; 0: no Fast Open.
  std::uint32_t fast_open = 0;
  LinkOptions link;
};
int run_serve(const ServeOptions& options);

struct ConnectOptions {
  std::string host, port;
  /// What standard input gives first goes with the SYN, where the peer's cookie is known.
  bool fast_open = false;
  /// Connections, one after the other; standard input is read once and sent on each.
  std::uint32_t repeat = 1;
  LinkOptions link;
};
int run_connect(const ConnectOptions& options);

struct ListenOptions {
  std::string port;
  LinkOptions link;
};
int run_listen(const ListenOptions& options);

/// `name` empty: everything.
int run_explain(const std::string& name);
int run_settings();

}  // namespace synfin::app
