// SPDX-License-Identifier: Apache-2.0
//
// lwIP as Debian packages it (liblwip-dev), both ends in this thread: its raw API between two interfaces of
// its own that hand packets to each other.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace synfin::bench {

/// Debian's library is configured for a thread of its own (NO_SYS is 0), but that one is started by
/// tcpip_init() only: after lwip_init() alone every call of the raw API may be made from one thread, and
/// nothing waits or switches. Its control blocks come from malloc (MEMP_MEM_MALLOC), so there may be any
/// number; every segment walks the list of those that are open and the list of those in TIME-WAIT. MSS 1,460,
/// window and send buffer 65,535 octets, checksums computed while copying in and verified.
class LwipPeer {
 public:
  /// The error is one line: this program was built without it.
  static std::expected<LwipPeer*, std::string> get();

  struct Lifecycles {
    double rate = 0;  // a second
    double segments = 0;
  };
  /// One after the other, the client closes first and the server within its callback; beside `idle` open
  /// connections. TIME-WAIT is recycled at once: it would last two minutes, and each segment would walk over
  /// all of them.
  std::expected<Lifecycles, std::string> lifecycles(std::uint64_t count, std::size_t idle);
  /// As those of KernelSockets.
  std::expected<double, std::string> requests(std::uint64_t count, std::size_t question, std::size_t answer);
  std::expected<std::vector<double>, std::string> pings(std::uint64_t count, std::size_t octets);
  /// Gbit/s of one stream, 64 KiB written and read at a time.
  std::expected<double, std::string> bulk(std::uint64_t octets);

 private:
  LwipPeer() = default;
};

}  // namespace synfin::bench
