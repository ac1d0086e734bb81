// SPDX-License-Identifier: Apache-2.0
//
// Programs on the kernel's sockets: the one that every far end is measured with, and the one at the far end
// of a veth pair.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <vector>

#include "synfin/link/netdev.h"
#include "tun_run.h"

namespace synfin::bench {
namespace {

constexpr std::uint32_t kFarAddress = 0x0a4d'0002;  // 10.77.0.2
constexpr int kPatience = 5000;                     // ms

std::string problem(const char* what) {
  return link::system_error(what, errno).message;
}

sockaddr_in at(std::uint32_t address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(kTunPort);
  in.sin_addr.s_addr = htonl(address);
  return in;
}

// With `reno`, as the default of some machines paces what it sends.
link::FileDescriptor make_socket(int flags = 0) {
  link::FileDescriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)};
  (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
  const timeval limit{.tv_sec = kPatience / 1000, .tv_usec = 0};
  for (const int what : {SO_SNDTIMEO, SO_RCVTIMEO})
    (void)::setsockopt(socket.get(), SOL_SOCKET, what, &limit, sizeof limit);
  return socket;
}

bool connect_to(const link::FileDescriptor& socket, std::uint32_t address) {
  const sockaddr_in to = at(address);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

// What is not read or sent goes with a reset, so that the other end knows at once.
void drop(link::FileDescriptor& socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket = {};
}

// Until the far end has enough and resets the connection.
std::string write_all(link::FileDescriptor& socket, TunMeter& meter) {
  const std::vector<char> text(kTunPiece, 'x');
  while (!meter.complete()) {
    if (::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) {
      if (meter.complete() || errno == ECONNRESET || errno == EPIPE) break;
      return problem("the program that writes cannot");
    }
  }
  drop(socket);
  return {};
}

std::string read_all(link::FileDescriptor& socket, TunMeter& meter) {
  std::vector<char> text(kTunPiece);
  for (;;) {
    const ssize_t n = ::recv(socket.get(), text.data(), text.size(), 0);
    if (n <= 0) return n == 0 ? "the stream ended before its time" : problem("the program that reads cannot");
    if (meter.add(static_cast<std::uint64_t>(n))) break;
  }
  drop(socket);
  return {};
}

std::string live(TunMeter& meter) {
  std::array<link::FileDescriptor, kTunSideBySide> sockets;
  for (std::uint32_t next = 0;;) {
    for (link::FileDescriptor& socket : sockets) {
      socket = make_socket(SOCK_NONBLOCK);
      if (!connect_to(socket, kFarAddress + next++ % kTunAddresses) && errno != EINPROGRESS)
        return problem("the kernel cannot connect");
    }
    for (link::FileDescriptor& socket : sockets) {
      pollfd ended{socket.get(), POLLIN, 0};
      char text = 0;
      if (::poll(&ended, 1, kPatience) != 1) return "a connection was not closed by its other end";
      if (::recv(socket.get(), &text, 1, 0) != 0) return problem("a connection ended badly");
      socket = {};
      if (meter.add(1)) return {};
    }
  }
}

}  // namespace

std::string run_kernel_program(const TunWork& work, TunMeter& meter) {
  meter.set_kernel_clock();
  if (work.way == TunWay::kLives) return live(meter);
  link::FileDescriptor socket = make_socket();
  if (!connect_to(socket, kFarAddress)) return problem("the kernel cannot connect");
  return work.way == TunWay::kReceive ? write_all(socket, meter) : read_all(socket, meter);
}

std::string run_kernel_far(const TunWork& work, TunMeter& meter, const Ready& ready) {
  const link::FileDescriptor listener = make_socket();
  const sockaddr_in any = at(INADDR_ANY);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener.get(), 1024) != 0) {
    return problem("the kernel cannot listen");
  }
  ready();
  do {
    pollfd knocked{listener.get(), POLLIN, 0};
    constexpr int kLook = 100;
    if (::poll(&knocked, 1, kLook) != 1) continue;
    link::FileDescriptor socket{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!socket) return problem("the kernel cannot accept");
    if (work.way == TunWay::kReceive) return read_all(socket, meter);
    if (work.way == TunWay::kSend) return write_all(socket, meter);
  } while (!meter.complete());
  return {};
}

}  // namespace synfin::bench
