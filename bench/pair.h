// SPDX-License-Identifier: Apache-2.0
//
// Two stacks on one thread, one frame batch between them: a server at .2 and a client at .1, in both
// families.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "synfin/base/entropy.h"
#include "synfin/stack/stack.h"

namespace synfin::bench {

class Pair {
 public:
  static constexpr std::size_t kBatch = 64;
  static constexpr std::uint16_t kPort = 80;

  /// Whether the link between them cuts super-segments and fills in checksums, or would have to.
  enum class Offload : bool {
    kNo,
    kYes
  };

  explicit Pair(std::uint64_t seed, std::uint32_t mtu = 1500, Offload offload = Offload::kNo)
      : client_entropy_(seed * 2),
        server_entropy_(seed * 2 + 1),
        client_(config(1, mtu, offload), pool_, client_entropy_),
        server_(config(2, mtu, offload), pool_, server_entropy_) {}

  stack::Stack& client() { return client_; }
  stack::Stack& server() { return server_; }
  wire::BlockPool& pool() { return pool_; }
  wire::Endpoint endpoint(wire::Family family, std::uint16_t port = kPort) const {
    return {server_.config().addresses[family == wire::Family::kIpv4 ? 0 : 1].address, port};
  }

  /// What one end has to send goes to the other; how many packets that was. At most a batch.
  std::size_t carry(stack::Stack& from, stack::Stack& to, Instant now) {
    const std::size_t n = from.transmit(frames_, now);
    // The octets never leave this process: a checksum that nobody computed cannot be wrong.
    for (wire::Frame& frame : std::span{frames_}.first(n)) frame.checksum_verified = frame.needs_checksum;
    to.receive(std::span{frames_}.first(n), now);
    return n;
  }
  /// Until both are silent.
  void settle(Instant now) {
    while (carry(client_, server_, now) + carry(server_, client_, now) > 0) {
    }
    while (client_.poll_event() || server_.poll_event()) {
    }
  }

 private:
  static stack::Config config(int host, std::uint32_t mtu, Offload offload) {
    const std::string last = std::to_string(host);
    stack::Config c;
    c.addresses = {*wire::Prefix::parse("10.77.0." + last + "/24"),
                   *wire::Prefix::parse("fd77::" + last + "/64")};
    c.mtu = mtu;
    c.offload = offload == Offload::kYes;
    return c;
  }

  wire::BlockPool pool_;
  SeededEntropy client_entropy_;
  SeededEntropy server_entropy_;
  stack::Stack client_;
  stack::Stack server_;
  std::array<wire::Frame, kBatch> frames_;
};

}  // namespace synfin::bench
