// SPDX-License-Identifier: Apache-2.0
//
// For tests with the kernel as peer: a child process for each test, because nobody comes back from a
// namespace, with a lab in it. The host's network is not touched.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <functional>

#include "synfin/link/lab.h"
#include "synfin/link/test_frames.h"

namespace synfin::link::testing {

inline constexpr int kSkipped = 77;

// Runs `body` in a child process. A failed expectation there (its text is on standard output) is a failure
// here; what `body` returns, if not empty, is the reason to skip.
inline void in_child(const std::function<std::string()>& body) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string reason;
    try {
      reason = body();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    std::fflush(nullptr);
    const ssize_t told = ::write(pipe_ends[1], reason.data(), reason.size());
    if (::testing::Test::HasFailure() || told < 0) ::_exit(1);
    ::_exit(reason.empty() ? 0 : kSkipped);
  }
  ::close(pipe_ends[1]);
  std::string reason(512, '\0');
  reason.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(pipe_ends[0], reason.data(), 512), 0)));
  ::close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "the child died of signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kSkipped) GTEST_SKIP() << reason;
  EXPECT_EQ(WEXITSTATUS(status), 0) << "see the child's failures above";
}

// What of a failure to make a lab means that this machine does not allow one; everything else is a failure of
// the code.
inline bool forbidden(const LinkError& error) {
  return error.code == EPERM || error.code == EACCES || error.code == ENOSPC || error.code == ENOENT ||
         error.code == ENODEV || error.code == ENXIO;
}

inline std::string with_lab(std::uint32_t mtu, const std::function<void(Lab&, wire::BlockPool&)>& body,
                            bool offload = false) {
  wire::BlockPool pool;
  auto lab = make_lab({.pool = pool, .mtu = mtu, .offload = offload});
  if (!lab) {
    EXPECT_TRUE(forbidden(lab.error())) << lab.error().message;
    return "no lab can be made here: " + lab.error().message;
  }
  body(*lab, pool);
  return {};
}

inline void lab_test(const std::function<void(Lab&, wire::BlockPool&)>& body, std::uint32_t mtu = 1500,
                     bool offload = false) {
  in_child([&] { return with_lab(mtu, body, offload); });
}

// The next packet that `wanted` takes; the kernel's own chatter (MLD reports) is passed over. Empty after 5 s
// without it.
inline wire::Frame next_packet(Link& link, const std::function<bool(const std::string&)>& wanted) {
  std::array<wire::Frame, 1> batch;
  pollfd readable{link.descriptor(), POLLIN, 0};
  while (::poll(&readable, 1, 5000) == 1) {
    const auto count = link.receive(batch, Instant{});
    if (!count) {
      ADD_FAILURE() << count.error().message;
      break;
    }
    if (*count == 1 && wanted(text_of(batch[0]))) return std::move(batch[0]);
  }
  ADD_FAILURE() << "the packet did not arrive";
  return {};
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline Address socket_address(const wire::IpAddress& ip, std::uint16_t port) {
  Address address;
  if (ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.wire_octets().data(), 4);
    std::memcpy(&address.storage, &in, sizeof in);
    address.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::memcpy(&in.sin6_addr, ip.wire_octets().data(), 16);
    std::memcpy(&address.storage, &in, sizeof in);
    address.size = sizeof in;
  }
  return address;
}

inline FileDescriptor kernel_socket(const wire::IpAddress& ip, int type, int protocol = 0) {
  FileDescriptor socket{::socket(ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, protocol)};
  EXPECT_TRUE(socket) << std::strerror(errno);
  const timeval limit{.tv_sec = 5, .tv_usec = 0};
  EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
  return socket;
}

inline void send_to(const FileDescriptor& socket, const wire::IpAddress& ip, std::uint16_t port,
                    std::string_view data) {
  const Address to = socket_address(ip, port);
  EXPECT_EQ(::sendto(socket.get(), data.data(), data.size(), 0, to.get(), to.size),
            static_cast<ssize_t>(data.size()))
      << std::strerror(errno);
}

inline void send_one(Link& link, wire::Frame frame) {
  std::array<wire::Frame, 1> batch;
  batch[0] = std::move(frame);
  const auto sent = link.send(batch, Instant{});
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(*sent, 1U);
  EXPECT_EQ(batch[0].size(), 0U);
}

inline bool contains(const std::string& packet, std::string_view text) {
  return packet.find(text) != std::string::npos;
}

}  // namespace synfin::link::testing
