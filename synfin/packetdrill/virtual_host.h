// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "synfin/base/bytes.h"
#include "synfin/base/entropy.h"
#include "synfin/socket/bsd.h"
#include "synfin/stack/stack.h"

namespace synfin::packetdrill {

/// A packet as the network sees it, from its IP header on.
struct SentPacket {
  Instant at;
  std::vector<std::byte> octets;
};

/// A stack with its sockets, a clock that stands still until it is moved, and the packets that left, in the
/// order in which they did. After every call to `sockets()` comes `settle`. One thread at a time.
class VirtualHost {
 public:
  explicit VirtualHost(const tcp::Settings& settings, std::uint32_t mtu);

  tcp::Bsd& sockets() { return sockets_; }
  stack::Stack& stack() { return stack_; }
  Instant now() const { return now_; }

  /// Lets the network deliver a packet now.
  void deliver(Bytes packet);
  /// Takes over what the stack has to send now.
  void settle();
  /// Moves the clock to `then`, running what is due on the way at its time. `then` must not be past.
  void run_to(Instant then);
  /// When something happens next by itself; `Instant::never()` where nothing will.
  Instant next_deadline() const { return stack_.next_deadline(); }
  /// The oldest packet that left and was not taken yet.
  std::optional<SentPacket> take_packet();
  bool has_packet() const { return !packets_.empty(); }

 private:
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  wire::BlockPool pool_;
  // Scripts must run the same way every time.
  SeededEntropy entropy_{1};
  stack::Stack stack_;
  tcp::Bsd sockets_;
  std::deque<SentPacket> packets_;
};

}  // namespace synfin::packetdrill
