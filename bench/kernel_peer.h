// SPDX-License-Identifier: Apache-2.0
//
// The kernel of this machine as the flooded side: a listener behind a TUN device, in a network of its own.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "synfin/link/file_descriptor.h"
#include "synfin/link/lab.h"

namespace synfin::bench {

class KernelPeer {
 public:
  struct Flood {
    /// SYNs a second that were answered by a cookie. Going in by write is counted, taking the answers out is
    /// not.
    double rate = 0;
    /// Nanoseconds for each that went in, and for a packet that IP drops at its checksum: what the way in
    /// costs.
    double nanoseconds = 0;
    double input_nanoseconds = 0;
    std::uint64_t cookies = 0;
    std::uint64_t syns = 0;
  };

  /// Made with the first call, which must come while the process has one thread; the process stays in the
  /// network that is made for it. The error is one line.
  static std::expected<KernelPeer*, std::string> get();

  /// SYNs from forged sources at a listener with a backlog of 1024, `count` of them timed.
  std::expected<Flood, std::string> flood(wire::Family family, bool timestamps, std::uint64_t count,
                                          std::uint64_t seed);

 private:
  KernelPeer() = default;
  std::optional<std::string> set_up();
  std::optional<std::string> listen_at(wire::Family family, link::FileDescriptor& into);

  wire::BlockPool pool_;
  std::optional<link::Lab> lab_;
  link::FileDescriptor v4_, v6_;
};

}  // namespace synfin::bench
