// SPDX-License-Identifier: Apache-2.0
#include "kernel_sockets.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <string_view>
#include <vector>

#include "kernel_peer.h"
#include "machine.h"
#include "synfin/link/netdev.h"

namespace synfin::bench {
namespace {

constexpr std::uint16_t kPort = 8081;
constexpr int kBacklog = 4096;
constexpr std::uint32_t kLoopback = 0x7f00'0000;
constexpr std::uint32_t kPeers = 60'000;
constexpr std::size_t kPiece = 64 * 1024;

// What the kernel's own objects take.
std::uint64_t slab_octets() {
  std::ifstream in{"/proc/meminfo"};
  for (std::string key, unit; in >> key;) {
    std::uint64_t value = 0;
    if (key == "Slab:" && in >> value) return value * 1024;
    std::getline(in, unit);
  }
  return 0;
}

std::string problem(const char* what) {
  return link::system_error(what, errno).message;
}

}  // namespace

std::expected<KernelSockets*, std::string> KernelSockets::get() {
  static KernelSockets sockets;
  static const std::string why = sockets.set_up();
  if (!why.empty()) return std::unexpected(why);
  return &sockets;
}

std::string KernelSockets::set_up() {
  if (const auto network = KernelPeer::get(); !network) return network.error();
  if (std::ofstream out{"/proc/sys/net/ipv4/tcp_congestion_control"}; !(out << "reno" << std::flush))
    return "the kernel does not let reno be chosen";
  listener_ = link::FileDescriptor{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kPort);
  if (!listener_ || ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener_.get(), kBacklog) != 0) {
    return problem("the kernel cannot listen");
  }
  return {};
}

std::expected<KernelSockets::Pair, std::string> KernelSockets::open(std::uint32_t peer) {
  Pair pair;
  pair.client = link::FileDescriptor{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kPort);
  to.sin_addr.s_addr = htonl(kLoopback + 1 + peer % kPeers);
  if (!pair.client || ::connect(pair.client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    return std::unexpected(problem("the kernel cannot connect"));
  pair.server = link::FileDescriptor{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!pair.server) return std::unexpected(problem("the kernel cannot accept"));
  return pair;
}

// Connections a second, each opened, used and closed, the client first.
std::expected<double, std::string> KernelSockets::rate_of(std::uint64_t count,
                                                          const std::function<bool(const Pair&)>& use) {
  if (auto set = set_loopback(Loopback::kAsItIs); !set) return std::unexpected(set.error());
  Stopwatch watch;
  watch.start();
  for (std::uint64_t n = 0; n < count; ++n) {
    auto pair = open(next_peer_++);
    if (!pair) return std::unexpected(pair.error());
    if (!use(*pair)) return std::unexpected(problem("the kernel does not answer"));
    pair->client = {};
  }
  watch.stop();
  return static_cast<double>(count) / watch.seconds();
}

std::expected<double, std::string> KernelSockets::lifecycles(std::uint64_t count) {
  return rate_of(count, [](const Pair&) { return true; });
}

void KernelSockets::send_at_once(const Pair& pair) {
  const int on = 1;
  for (const link::FileDescriptor* end : {&pair.client, &pair.server})
    (void)::setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool KernelSockets::say(const link::FileDescriptor& from, const link::FileDescriptor& to,
                        std::size_t octets) {
  std::array<char, 4096> text{};
  const auto size = static_cast<ssize_t>(octets);
  return ::send(from.get(), text.data(), octets, 0) == size &&
         ::recv(to.get(), text.data(), octets, MSG_WAITALL) == size;
}

std::expected<double, std::string> KernelSockets::requests(std::uint64_t count, std::size_t question,
                                                           std::size_t answer) {
  return rate_of(count, [&](const Pair& pair) {
    send_at_once(pair);
    return say(pair.client, pair.server, question) && say(pair.server, pair.client, answer);
  });
}

std::expected<std::vector<double>, std::string> KernelSockets::pings(std::uint64_t count,
                                                                     std::size_t octets) {
  if (auto set = set_loopback(Loopback::kAsItIs); !set) return std::unexpected(set.error());
  auto pair = open(0);
  if (!pair) return std::unexpected(pair.error());
  send_at_once(*pair);
  std::vector<double> nanoseconds;
  nanoseconds.reserve(count);
  for (std::uint64_t n = 0; n < count; ++n) {
    Stopwatch watch;
    watch.start();
    if (!say(pair->client, pair->server, octets) || !say(pair->server, pair->client, octets))
      return std::unexpected(problem("the kernel does not answer"));
    watch.stop();
    nanoseconds.push_back(watch.seconds() * 1e9);
  }
  return nanoseconds;
}

std::expected<double, std::string> KernelSockets::memory(Kind kind) {
  if (auto set = set_loopback(Loopback::kAsItIs); !set) return std::unexpected(set.error());
  if (kind == Kind::kTimeWait) {
    // Once: later ones would come while these go.
    if (time_wait_octets_) return *time_wait_octets_;
    constexpr std::uint64_t kCount = 100'000;
    const std::uint64_t before = slab_octets();
    if (const auto rate = lifecycles(kCount); !rate) return std::unexpected(rate.error());
    time_wait_octets_ = static_cast<double>(slab_octets() - before) / static_cast<double>(kCount);
    return *time_wait_octets_;
  }
  constexpr std::size_t kPairs = 8'000;
  rlimit files{};
  (void)::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &files);
  std::vector<Pair> open_now;
  open_now.reserve(kPairs);
  const std::uint64_t before = slab_octets();
  for (std::size_t n = 0; n < kPairs; ++n) {
    auto pair = open(next_peer_++);
    if (!pair) return std::unexpected(pair.error());
    open_now.push_back(std::move(*pair));
  }
  return static_cast<double>(slab_octets() - before) / static_cast<double>(2 * kPairs);
}

std::expected<void, std::string> KernelSockets::set_loopback(Loopback wanted) {
  if (loopback_ == wanted) return {};
  constexpr std::string_view kDevice = "lo";
  const bool plain = wanted == Loopback::kMtu1500;
  if (const auto r = link::set_mtu(kDevice, plain ? 1500 : 65'536); !r)
    return std::unexpected(r.error().message);
  const link::FileDescriptor any{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  for (const int what : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM}) {
    ethtool_value value{.cmd = static_cast<std::uint32_t>(what), .data = plain ? 0u : 1u};
    ifreq request{};
    kDevice.copy(request.ifr_name, sizeof request.ifr_name - 1);
    request.ifr_data = reinterpret_cast<char*>(&value);
    // Checksums cannot be switched off for every kind of device: then the kernel is faster than it would be.
    if (::ioctl(any.get(), SIOCETHTOOL, &request) != 0 && what != ETHTOOL_STXCSUM)
      return std::unexpected(problem("the kernel does not switch off its offloads"));
  }
  loopback_ = wanted;
  return {};
}

std::expected<double, std::string> KernelSockets::bulk(Loopback loopback, std::uint64_t octets) {
  if (auto set = set_loopback(loopback); !set) return std::unexpected(set.error());
  auto pair = open(0);
  if (!pair) return std::unexpected(pair.error());
  std::vector<char> from(kPiece, 'x'), into(kPiece);
  Stopwatch watch;
  std::uint64_t arrived = 0;
  watch.start();
  while (arrived < octets) {
    if (::send(pair->client.get(), from.data(), from.size(), MSG_DONTWAIT) < 0 && errno != EAGAIN)
      return std::unexpected(problem("the kernel cannot write"));
    const ssize_t n = ::recv(pair->server.get(), into.data(), into.size(), MSG_DONTWAIT);
    if (n > 0) arrived += static_cast<std::uint64_t>(n);
  }
  watch.stop();
  return static_cast<double>(arrived) * 8 / watch.seconds() / 1e9;
}

}  // namespace synfin::bench
