// SPDX-License-Identifier: Apache-2.0
//
// The kernel of this machine with sockets at both ends, over the loopback device of the network that
// KernelPeer made; with `reno`, as the default of some machines costs loopback a factor of six.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "synfin/link/file_descriptor.h"

namespace synfin::bench {

class KernelSockets {
 public:
  /// As KernelPeer::get, which it calls.
  static std::expected<KernelSockets*, std::string> get();

  /// Connections a second that one thread opens, accepts and closes, the client first; TIME-WAIT is kept as
  /// long as `tcp_max_tw_buckets` lets it. Peers are the addresses of 127.0.0.0/8 in turn.
  std::expected<double, std::string> lifecycles(std::uint64_t count);

  /// Connections a second over each of which `question` octets go there and `answer` come back, TCP_NODELAY.
  std::expected<double, std::string> requests(std::uint64_t count, std::size_t question, std::size_t answer);
  /// Nanoseconds of each of `count` times that `octets` went there and back on one connection.
  std::expected<std::vector<double>, std::string> pings(std::uint64_t count, std::size_t octets);

  enum class Kind : std::uint8_t {
    kEstablished,
    kTimeWait
  };
  /// Octets of the kernel's slabs for each end in ESTABLISHED, its file included, or each in TIME-WAIT: of
  /// some thousands, as a process may have only so many files. Good to a few percent.
  std::expected<double, std::string> memory(Kind kind);

  /// How the loopback device treats a stream.
  enum class Loopback : std::uint8_t {
    kAsItIs,   // segments of 64 KiB, no checksums
    kMtu1500,  // MTU 1,500, no segmentation and no checksum left to the device
  };
  /// Gbit/s of one stream that one thread writes and reads by turns, 64 KiB at a time.
  std::expected<double, std::string> bulk(Loopback loopback, std::uint64_t octets);

 private:
  KernelSockets() = default;
  std::string set_up();
  std::expected<void, std::string> set_loopback(Loopback wanted);
  struct Pair {
    link::FileDescriptor client, server;
  };
  std::expected<Pair, std::string> open(std::uint32_t peer);
  std::expected<double, std::string> rate_of(std::uint64_t count,
                                             const std::function<bool(const Pair&)>& use);
  static void send_at_once(const Pair& pair);
  static bool say(const link::FileDescriptor& from, const link::FileDescriptor& to, std::size_t octets);

  link::FileDescriptor listener_;
  std::uint32_t next_peer_ = 0;
  std::optional<double> time_wait_octets_;
  Loopback loopback_ = Loopback::kAsItIs;
};

}  // namespace synfin::bench
