// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bottleneck.h"
#include "flows.h"

namespace synfin::bench {
namespace {

struct Flow {
  int socket;
  std::uint64_t left;
};

sockaddr_in endpoint(std::uint32_t address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = htonl(address);
  result.sin_port = htons(port);
  return result;
}

Flow connect_one(const Plan& plan) {
  const auto failed = [](const char* what) {
    return std::runtime_error(fmt::format("kernel: {}: {}", what, std::strerror(errno)));
  };
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) throw failed("cannot open a socket");
  const std::string& name = plan.kernel.controller;
  if (::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.c_str(), static_cast<socklen_t>(name.size())) <
      0) {
    throw failed(("cannot use " + name).c_str());
  }
  const sockaddr_in sink = endpoint(kFarKernel, kSinkPort);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&sink), sizeof sink) < 0 && errno != EINPROGRESS) {
    throw failed("cannot connect");
  }
  return {socket, plan.octets == 0 ? UINT64_MAX : plan.octets};
}

// False: there is nothing more to send.
bool write_some(Flow& flow, const std::vector<std::byte>& block) {
  while (flow.left > 0) {
    const ssize_t n =
        ::send(flow.socket, block.data(), std::min<std::uint64_t>(block.size(), flow.left), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == ENOTCONN;
    flow.left -= static_cast<std::uint64_t>(n);
  }
  ::shutdown(flow.socket, SHUT_WR);
  return false;
}

// What the namespace has counted, apart from zeros: TcpExt of `nstat`.
nlohmann::json extended_counters() {
  nlohmann::json counters = nlohmann::json::object();
  std::ifstream in{"/proc/self/net/netstat"};
  for (std::string names, values; std::getline(in, names) && std::getline(in, values);) {
    std::istringstream n{names}, v{values};
    std::string key, value;
    n >> key;
    v >> value;
    if (key != "TcpExt:") continue;
    while (n >> key && v >> value) {
      if (value != "0") counters[key] = std::strtoull(value.c_str(), nullptr, 10);
    }
  }
  return counters;
}

}  // namespace

nlohmann::json send_by_kernel(const Plan& plan) {
  std::vector<Flow> flows;
  const std::vector<std::byte> block(kBlock);
  while (steady_now() < plan.begin) ::poll(nullptr, 0, 1);
  for (int i = 0; i < plan.kernel.count; ++i) flows.push_back(connect_one(plan));
  std::vector<pollfd> wanted;
  for (const Flow& flow : flows) wanted.push_back({flow.socket, POLLOUT, 0});
  while (steady_now() < plan.end) {
    ::poll(wanted.data(), wanted.size(), static_cast<int>((plan.end - steady_now()).ms()) + 1);
    for (std::size_t i = 0; i < flows.size(); ++i) {
      if (wanted[i].revents != 0 && !write_some(flows[i], block)) wanted[i].fd = -1;
    }
  }
  nlohmann::json account = nlohmann::json::array();
  for (const Flow& flow : flows) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(flow.socket, IPPROTO_TCP, TCP_INFO, &info, &size);
    sockaddr_in own{};
    size = sizeof own;
    ::getsockname(flow.socket, reinterpret_cast<sockaddr*>(&own), &size);
    account.push_back({{"stack", "kernel"},
                       {"address", "10.78.2.1"},
                       {"port", ntohs(own.sin_port)},
                       {"controller", plan.kernel.controller},
                       {"retransmitted", info.tcpi_total_retrans},
                       {"cwnd", info.tcpi_snd_cwnd},
                       {"rtt", info.tcpi_rtt / 1e6}});
  }
  if (!account.empty()) account.front()["counters"] = extended_counters();
  return account;
}

}  // namespace synfin::bench
