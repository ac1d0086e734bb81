// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "bottleneck.h"
#include "flows.h"

namespace synfin::bench {
namespace {

struct Connection {
  int socket;
  std::string address;
  int port;
  std::uint64_t octets = 0;
  Instant last{};
};

std::vector<Connection> accept_all(int listener) {
  std::vector<Connection> found;
  for (;;) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const int socket =
        ::accept4(listener, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) return found;
    char text[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text);
    found.push_back({.socket = socket, .address = text, .port = ntohs(peer.sin_port)});
  }
}

}  // namespace

int open_sink() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(kSinkPort);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any) < 0 ||
      ::listen(listener, 1024) < 0) {
    throw std::runtime_error(fmt::format("cannot listen: {}", std::strerror(errno)));
  }
  return listener;
}

nlohmann::json receive_all(const Plan& plan, int listener) {
  std::vector<Connection> connections;
  std::vector<std::byte> into(4 * kBlock);
  while (steady_now() < plan.end) {
    std::vector<pollfd> wanted{{listener, POLLIN, 0}};
    for (const Connection& c : connections) wanted.push_back({c.socket, POLLIN, 0});
    const int left = static_cast<int>(std::max<std::int64_t>((plan.end - steady_now()).ms(), 0)) + 1;
    ::poll(wanted.data(), wanted.size(), left);
    for (std::size_t i = 0; i < connections.size(); ++i) {
      Connection& c = connections[i];
      if (wanted[i + 1].revents == 0 || steady_now() >= plan.end) continue;
      const ssize_t n = ::read(c.socket, into.data(), into.size());
      if (n > 0) {
        c.last = steady_now();
        if (c.last >= plan.count_from) c.octets += static_cast<std::uint64_t>(n);
      } else if (n == 0 || errno != EAGAIN) {
        ::close(c.socket);
        c.socket = -1;  // which poll leaves out
      }
    }
    if (wanted[0].revents != 0) std::ranges::move(accept_all(listener), std::back_inserter(connections));
  }
  nlohmann::json account = nlohmann::json::array();
  for (const Connection& c : connections) {
    const double last = c.octets == 0 ? 0 : static_cast<double>((c.last - plan.begin).ns()) / 1e9;
    account.push_back({{"address", c.address}, {"port", c.port}, {"octets", c.octets}, {"last", last}});
  }
  return account;
}

}  // namespace synfin::bench
