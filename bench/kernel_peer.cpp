// SPDX-License-Identifier: Apache-2.0
#include "kernel_peer.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "machine.h"
#include "syn_source.h"
#include "synfin/link/netdev.h"

namespace synfin::bench {
namespace {

constexpr std::uint16_t kPort = 8080;
constexpr int kBacklog = 1024;
constexpr std::size_t kBatch = 64;  // well below what the device's queue takes

// A TcpExt counter of the network this process is in.
std::uint64_t extended_counter(const std::string& name) {
  std::ifstream in{"/proc/self/net/netstat"};
  for (std::string names, values; std::getline(in, names) && std::getline(in, values);) {
    std::istringstream n{names}, v{values};
    for (std::string key, value; n >> key && v >> value;) {
      if (key == name) return std::strtoull(value.c_str(), nullptr, 10);
    }
  }
  return 0;
}

// Sends what `fill` makes and throws the answers away, until `count` packets have gone. Only sending is
// timed.
std::optional<std::string> send_all(link::Link& link, std::uint64_t count, Stopwatch& watch,
                                    const std::function<void(std::span<wire::Frame>)>& fill) {
  std::array<wire::Frame, kBatch> frames;
  for (std::uint64_t gone = 0; gone < count; gone += kBatch) {
    fill(frames);
    watch.start();
    const auto sent = link.send(frames, Instant{});
    watch.stop();
    if (!sent) return sent.error().message;
    if (*sent != kBatch) return std::string{"the TUN device did not take a whole batch"};
    while (true) {
      const auto received = link.receive(frames, Instant{});
      if (!received) return received.error().message;
      if (*received == 0) break;
    }
  }
  return std::nullopt;
}

}  // namespace

std::expected<KernelPeer*, std::string> KernelPeer::get() {
  static KernelPeer peer;
  static const std::optional<std::string> problem = peer.set_up();
  if (problem) return std::unexpected(*problem);
  return &peer;
}

std::optional<std::string> KernelPeer::set_up() {
  auto lab = link::make_lab({.pool = pool_, .offload = false});
  if (!lab) return lab.error().message;
  const std::string device = lab->link->info().name;
  // Answers to whatever source go back to the device.
  if (const auto r = link::add_route({wire::IpAddress::v4(0), 0}, device); !r) return r.error().message;
  if (lab->ipv6_problem.empty()) {
    if (const auto r = link::add_route({wire::IpAddress{}, 0}, device); !r) return r.error().message;
  }
  if (const auto problem = listen_at(wire::Family::kIpv4, v4_)) return problem;
  if (lab->ipv6_problem.empty()) {
    if (const auto problem = listen_at(wire::Family::kIpv6, v6_)) return problem;
  }
  lab_ = std::move(*lab);
  return std::nullopt;
}

std::optional<std::string> KernelPeer::listen_at(wire::Family family, link::FileDescriptor& into) {
  const bool v4 = family == wire::Family::kIpv4;
  into = link::FileDescriptor{::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!into) return link::system_error("cannot make a socket of the kernel", errno).message;
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kPort);
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(kPort);
  const int on = 1;
  if (!v4) (void)::setsockopt(into.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const void* const address = v4 ? static_cast<const void*>(&any) : &any6;
  const socklen_t size = v4 ? sizeof any : sizeof any6;
  if (::bind(into.get(), static_cast<const sockaddr*>(address), size) != 0 ||
      ::listen(into.get(), kBacklog) != 0) {
    return link::system_error("the kernel cannot listen", errno).message;
  }
  return std::nullopt;
}

std::expected<KernelPeer::Flood, std::string> KernelPeer::flood(wire::Family family, bool timestamps,
                                                                std::uint64_t count, std::uint64_t seed) {
  const bool v4 = family == wire::Family::kIpv4;
  if (!v4 && !v6_) return std::unexpected("no IPv6 in this kernel: " + lab_->ipv6_problem);
  const wire::Endpoint target{(v4 ? lab_->kernel_v4 : lab_->kernel_v6).address, kPort};
  SynSource source{target, timestamps, seed, pool_};
  const auto syns = [&](std::span<wire::Frame> frames) { source.fill(frames); };
  Stopwatch warm_up, timed, input;
  // Fills the SYN queue.
  if (auto problem = send_all(*lab_->link, kBacklog * 2, warm_up, syns)) return std::unexpected(*problem);

  Flood result;
  result.syns = (count + kBatch - 1) / kBatch * kBatch;
  const std::uint64_t before = extended_counter("SyncookiesSent");
  if (auto problem = send_all(*lab_->link, result.syns, timed, syns)) return std::unexpected(*problem);
  result.cookies = extended_counter("SyncookiesSent") - before;
  // A few it may drop when it is short of time; none at all means that it has cookies switched off.
  if (result.cookies == 0)
    return std::unexpected("the kernel sent no cookie (is net.ipv4.tcp_syncookies 0?)");
  result.rate = static_cast<double>(result.cookies) / timed.seconds();
  result.nanoseconds = timed.seconds() * 1e9 / static_cast<double>(result.syns);
  if (v4) {
    const auto damaged = [&](std::span<wire::Frame> frames) {
      source.fill(frames);
      for (wire::Frame& frame : frames) {
        std::array<std::byte, 60> packet;
        const Bytes good = frame.front();
        std::memcpy(packet.data(), good.data(), good.size());
        packet[10] ^= std::byte{0x55};
        const std::size_t size = good.size();
        frame.clear();
        frame.add(pool_.copy(Bytes{packet}.first(size)));
      }
    };
    const std::uint64_t some = result.syns / 8 / kBatch * kBatch + kBatch;
    if (auto problem = send_all(*lab_->link, some, input, damaged)) return std::unexpected(*problem);
    result.input_nanoseconds = input.seconds() * 1e9 / static_cast<double>(some);
  }
  return result;
}

}  // namespace synfin::bench
