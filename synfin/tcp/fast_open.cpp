// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/fast_open.h"

#include <algorithm>
#include <cstring>

#include "synfin/tcp/context.h"

namespace synfin::tcp {

using wire::TcpOptions;

FastOpenCookies::Cookie FastOpenCookies::make(const Key& key, const wire::FourTuple& tuple) {
  // Both addresses as they stand in the packet, as Linux hashes them: with the same key a host of either kind
  // honours the other's cookies.
  const bool v4 = tuple.remote.address.is_v4();
  const std::size_t size = v4 ? 4 : 16;
  std::array<std::byte, 32> addresses;
  std::memcpy(addresses.data(), tuple.remote.address.octets().data() + (16 - size), size);
  std::memcpy(addresses.data() + size, tuple.local.address.octets().data() + (16 - size), size);
  const std::uint64_t hash = keyed_hash(key, std::span(addresses).first(2 * size));
  Cookie cookie;
  std::memcpy(cookie.data(), &hash, sizeof hash);
  return cookie;
}

void FastOpenCookies::give(const wire::FourTuple& tuple, TcpOptions& options) const {
  const Cookie cookie = make(keys_.current(), tuple);
  options.present |= TcpOptions::kFastOpen;
  options.cookie_size = kSize;
  std::ranges::copy(cookie, options.cookie.begin());
}

bool FastOpenCookies::honours(const wire::FourTuple& tuple, const TcpOptions& options) const {
  if (!options.has(TcpOptions::kFastOpen) || options.cookie_size != kSize) return false;
  const auto made_with = [&](const Key& key) {
    const Cookie cookie = make(key, tuple);
    return std::memcmp(cookie.data(), options.cookie.data(), kSize) == 0;
  };
  return made_with(keys_.current()) || made_with(keys_.previous());
}

FastOpenCache::Entry* FastOpenCache::locate(const wire::IpAddress& server) {
  const auto at = std::ranges::find(entries_, server, &Entry::server);
  return at == entries_.end() ? nullptr : &*at;
}

bool FastOpenCache::may_try(const wire::IpAddress& server, Instant now) const {
  if (now < suspended_until_) return false;
  const auto at = std::ranges::find(entries_, server, &Entry::server);
  return at == entries_.end() || now >= at->trusted_from;
}

const FastOpenCache::Entry* FastOpenCache::find(const wire::IpAddress& server, Instant now) {
  if (!may_try(server, now)) return nullptr;
  Entry* entry = locate(server);
  if (entry == nullptr || entry->cookie_size == 0) return nullptr;
  entry->used = now;
  return entry;
}

void FastOpenCache::store(const wire::IpAddress& server, const TcpOptions& syn_ack, Instant now) {
  Entry* entry = locate(server);
  if (entry == nullptr) {
    entry = &*std::ranges::min_element(entries_, {}, &Entry::used);
    *entry = Entry{};
    entry->server = server;
  }
  entry->cookie = syn_ack.cookie;
  entry->cookie_size = syn_ack.cookie_size;
  entry->mss = syn_ack.has(TcpOptions::kMss) ? syn_ack.mss : 0;
  entry->used = now;
}

bool FastOpenCache::lost(const wire::IpAddress& server, Duration timeout, Instant now) {
  if (timeout == Duration::zero()) return false;
  if (Entry* entry = locate(server)) entry->trusted_from = now + timeout;
  if (++losses_in_a_row_ < 2) return false;
  constexpr std::uint32_t kMostDoublings = 6;
  suspended_until_ = now + timeout * (std::int64_t{1} << std::min(suspensions_, kMostDoublings));
  ++suspensions_;
  losses_in_a_row_ = 0;
  return true;
}

std::uint32_t fast_open_room(const FastOpenCache::Entry* known, std::uint32_t mtu, wire::Family family) {
  constexpr std::uint32_t kOptions = 40;
  const std::uint32_t own = mss_for(mtu, family);
  const std::uint32_t peers = known != nullptr && known->mss > 0 ? known->mss : default_mss(family);
  const std::uint32_t most = known == nullptr ? own : std::min(own, peers);
  return most - std::min(most, kOptions);
}

}  // namespace synfin::tcp
