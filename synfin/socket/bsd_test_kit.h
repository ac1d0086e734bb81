// SPDX-License-Identifier: Apache-2.0
//
// For tests of the BSD-style calls.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "synfin/link/memory_link.h"
#include "synfin/socket/bsd.h"

namespace synfin::tcp {
using namespace synfin::literals;

// Expects a call to fail with an errno.
#define EXPECT_ERRNO(call, code) \
  do {                           \
    errno = 0;                   \
    EXPECT_EQ((call), -1);       \
    EXPECT_EQ(errno, (code));    \
  } while (false)

/// Two stacks back to back in virtual time, each with its BSD calls; once for each family.
class BsdFixture : public ::testing::TestWithParam<int> {
 protected:
  // Frames go straight across.
  void settle() {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto [from, to] : {std::pair{&stack_a, &stack_b}, std::pair{&stack_b, &stack_a}}) {
        std::array<wire::Frame, 16> frames;
        while (const std::size_t n = from->transmit(frames, now)) {
          to->receive(std::span(frames).first(n), now);
          moved = true;
        }
      }
    }
  }
  void pass(Duration time) {
    settle();
    for (const Instant end = now + time; now < end;) {
      now = std::min(end, std::max(now + 1_ms, std::min(stack_a.next_deadline(), stack_b.next_deadline())));
      stack_a.advance(now);
      stack_b.advance(now);
      settle();
    }
  }
  struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    sockaddr* out() {
      size = sizeof storage;
      return reinterpret_cast<sockaddr*>(&storage);
    }
    std::uint16_t port() const {
      return ntohs(storage.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
                                                : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
    }
  };
  Address address(const char* v4, const char* v6, std::uint16_t port) const {
    Address r;
    if (GetParam() == AF_INET) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      inet_pton(AF_INET, v4, &in.sin_addr);
      std::memcpy(&r.storage, &in, r.size = sizeof in);
    } else {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port);
      inet_pton(AF_INET6, v6, &in.sin6_addr);
      std::memcpy(&r.storage, &in, r.size = sizeof in);
    }
    return r;
  }
  Address server_address(std::uint16_t port = 80) const { return address("10.0.0.2", "fd00::2", port); }
  int listening(int backlog = 5) {
    const int fd = b.socket(GetParam(), SOCK_STREAM, 0);
    const Address local = server_address();
    EXPECT_EQ(b.bind(fd, local.get(), local.size), 0);
    EXPECT_EQ(b.listen(fd, backlog), 0);
    return fd;
  }
  int connect(const Address& to) {
    const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
    EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EINPROGRESS);
    return fd;
  }
  void open() {
    listener = listening();
    client = connect(server_address());
    settle();
    server = b.accept(listener, nullptr, nullptr);
    ASSERT_GE(server, 0);
  }
  int error_of(Bsd& bsd, int fd) {
    int code = -1;
    socklen_t size = sizeof code;
    EXPECT_EQ(bsd.getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size), 0);
    return code;
  }
  int poll(Bsd& bsd, int fd) {
    std::array<pollfd, 1> p{pollfd{fd, POLLIN | POLLOUT | POLLRDHUP, 0}};
    (void)bsd.poll(p);
    return p[0].revents;
  }
  stack::Config config(const char* v4, const char* v6) {
    stack::Config c;
    c.addresses = {{*wire::IpAddress::parse(v4), 24}, {*wire::IpAddress::parse(v6), 64}};
    return c;
  }

  Instant now = Instant::from_ns(1'000'000'000);
  wire::BlockPool pool;
  SeededEntropy entropy_a{1};
  SeededEntropy entropy_b{2};
  stack::Stack stack_a{config("10.0.0.1", "fd00::1"), pool, entropy_a};
  stack::Stack stack_b{config("10.0.0.2", "fd00::2"), pool, entropy_b};
  Bsd a{stack_a, [this] { return now; }};
  Bsd b{stack_b, [this] { return now; }};
  int listener = -1;
  int client = -1;
  int server = -1;
};

}  // namespace synfin::tcp
