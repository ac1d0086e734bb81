// SPDX-License-Identifier: Apache-2.0
//
// TCP Fast Open (RFC 7413): data in the SYN, for peers that have proved their address before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/tcp/rotating_keys.h"
#include "synfin/wire/address.h"
#include "synfin/wire/tcp.h"

namespace synfin::tcp {

/// The server's side: a cookie is a keyed hash of both addresses (§4.1.2), so that nothing is kept for it.
class FastOpenCookies {
 public:
  static constexpr std::size_t kSize = 8;
  /// How long a key that was drawn here makes cookies; they are honoured for as long again.
  static constexpr Duration kKeyLife = Duration::seconds(12 * 3600);

  explicit FastOpenCookies(Entropy& entropy) : keys_(entropy, kKeyLife) {}

  /// Servers with the same keys behind one load balancer honour each other's cookies.
  RotatingKeys& keys() { return keys_; }

  /// Puts the cookie of the SYN's sender into a SYN-ACK.
  void give(const wire::FourTuple& tuple, wire::TcpOptions& options) const;
  /// Whether the SYN brings a cookie that was given to its sender.
  bool honours(const wire::FourTuple& tuple, const wire::TcpOptions& options) const;

 private:
  using Cookie = std::array<std::byte, kSize>;
  static Cookie make(const Key& key, const wire::FourTuple& tuple);

  RotatingKeys keys_;
};

/// The client's side: what servers gave (§4.1.3), and whether SYNs with data get through at all. Bounded; the
/// entry that was used longest ago makes way.
class FastOpenCache {
 public:
  static constexpr std::size_t kEntries = 256;

  struct Entry {
    wire::IpAddress server;
    std::array<std::byte, wire::TcpOptions::kMaxCookie> cookie{};
    std::uint8_t cookie_size = 0;  // 0: none was given
    std::uint16_t mss = 0;         // of the server's last SYN-ACK: how much a SYN may carry
    Instant trusted_from;          // before that, no SYN with data goes there
    Instant used;
  };

  /// Whether a SYN to `server` may carry the option at all.
  bool may_try(const wire::IpAddress& server, Instant now) const;
  /// The cookie for `server`; null where none is known or `may_try` says no.
  const Entry* find(const wire::IpAddress& server, Instant now);
  /// A SYN-ACK from `server` brought a cookie.
  void store(const wire::IpAddress& server, const wire::TcpOptions& syn_ack, Instant now);
  /// A SYN-ACK acknowledged the data of the SYN: SYNs with data get through.
  void worked() { losses_in_a_row_ = suspensions_ = 0; }
  /// The SYN with data went unanswered and the one without did not: something on the way drops them. `server`
  /// gets no more of them for `timeout`; with a second server in a row none does, for `timeout` doubled with
  /// every further time up to 64-fold. Returns whether Fast Open has just been suspended so. A `timeout` of
  /// zero changes nothing.
  bool lost(const wire::IpAddress& server, Duration timeout, Instant now);

 private:
  Entry* locate(const wire::IpAddress& server);

  std::array<Entry, kEntries> entries_;
  std::uint32_t losses_in_a_row_ = 0;
  std::uint32_t suspensions_ = 0;
  Instant suspended_until_;
};

/// Octets of text for a SYN: what the server's last SYN-ACK allowed, the options at their largest left out,
/// so that the answer does not depend on them.
std::uint32_t fast_open_room(const FastOpenCache::Entry* known, std::uint32_t mtu, wire::Family family);

}  // namespace synfin::tcp
