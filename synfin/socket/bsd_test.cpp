// SPDX-License-Identifier: Apache-2.0
#include "synfin/socket/bsd.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "synfin/socket/bsd_test_kit.h"

namespace synfin::tcp {
namespace {

using BsdTest = BsdFixture;
INSTANTIATE_TEST_SUITE_P(Families, BsdTest, ::testing::Values(AF_INET, AF_INET6),
                         [](const auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

TEST_P(BsdTest, DescriptorsAreTheLowestFree) {
  EXPECT_EQ(a.socket(GetParam(), SOCK_STREAM, 0), 3);
  EXPECT_EQ(a.socket(GetParam(), SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP), 4);
  EXPECT_EQ(a.close(3), 0);
  EXPECT_ERRNO(a.close(3), EBADF);
  EXPECT_EQ(a.socket(GetParam(), SOCK_STREAM, 0), 3);
  EXPECT_ERRNO(a.socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
  EXPECT_ERRNO(a.socket(GetParam(), SOCK_DGRAM, 0), EPROTONOSUPPORT);
  EXPECT_ERRNO(a.socket(GetParam(), SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  EXPECT_ERRNO(a.listen(99, 1), EBADF);
  EXPECT_ERRNO(a.recv(-1, nullptr, 0, 0), EBADF);
}

TEST_P(BsdTest, ConnectReportsEachPhase) {
  listening();
  const Address to = server_address();
  const int fd = connect(to);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EALREADY);
  EXPECT_EQ(poll(a, fd), 0);
  char c = 0;
  EXPECT_ERRNO(a.send(fd, &c, 1, 0), EAGAIN);
  EXPECT_ERRNO(a.recv(fd, &c, 1, 0), EAGAIN);
  EXPECT_ERRNO(a.shutdown(fd, SHUT_WR), ENOTCONN);
  settle();
  EXPECT_EQ(poll(a, fd), POLLOUT);
  EXPECT_EQ(error_of(a, fd), 0);
  EXPECT_EQ(a.connect(fd, to.get(), to.size), 0);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EISCONN);
}

TEST_P(BsdTest, RefusedConnectIsReportedOnceAndCanBeTriedAgain) {
  const int fd = connect(server_address());
  settle();
  EXPECT_EQ(poll(a, fd) & (POLLERR | POLLHUP), POLLERR | POLLHUP);
  EXPECT_EQ(error_of(a, fd), ECONNREFUSED);
  EXPECT_EQ(error_of(a, fd), 0);
  EXPECT_EQ(poll(a, fd) & POLLERR, 0);
  const Address to = server_address();
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), ECONNABORTED);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EINPROGRESS);
  settle();
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), ECONNREFUSED);
}

TEST_P(BsdTest, ConnectTimesOut) {
  const Address nobody = address("10.0.0.9", "fd00::9", 80);
  const int fd = connect(nobody);
  pass(300_s);
  EXPECT_EQ(error_of(a, fd), ETIMEDOUT);
}

TEST_P(BsdTest, ListenAndAccept) {
  listener = listening();
  EXPECT_ERRNO(b.accept(listener, nullptr, nullptr), EAGAIN);
  EXPECT_EQ(poll(b, listener), 0);
  client = connect(server_address());
  settle();
  EXPECT_EQ(poll(b, listener), POLLIN);
  EXPECT_EQ(poll(b, listener), POLLIN);  // asking takes nothing
  Address peer;
  server = b.accept(listener, peer.out(), &peer.size);
  ASSERT_GE(server, 0);
  Address local;
  EXPECT_EQ(a.getsockname(client, local.out(), &local.size), 0);
  EXPECT_EQ(peer.port(), local.port());
  EXPECT_EQ(peer.size, local.size);
  EXPECT_EQ(std::memcmp(&peer.storage, &local.storage, peer.size), 0);
  EXPECT_EQ(a.getpeername(client, peer.out(), &peer.size), 0);
  EXPECT_EQ(peer.port(), 80);
  EXPECT_ERRNO(b.accept(listener, nullptr, nullptr), EAGAIN);
  EXPECT_ERRNO(b.accept(server, nullptr, nullptr), EINVAL);
  EXPECT_ERRNO(b.getpeername(listener, peer.out(), &peer.size), ENOTCONN);
  const Address to = server_address();
  EXPECT_ERRNO(b.connect(listener, to.get(), to.size), EOPNOTSUPP);
}

TEST_P(BsdTest, BindFaults) {
  listening();
  const int fd = b.socket(GetParam(), SOCK_STREAM, 0);
  const Address taken = server_address();
  const Address foreign = address("192.0.2.1", "2001:db8::1", 80);
  EXPECT_ERRNO(b.bind(fd, foreign.get(), foreign.size), EADDRNOTAVAIL);
  EXPECT_ERRNO(b.bind(fd, taken.get(), 2), EINVAL);
  EXPECT_ERRNO(b.bind(fd, nullptr, 16), EFAULT);
  sockaddr_storage other{};
  other.ss_family = AF_UNIX;
  EXPECT_ERRNO(b.bind(fd, reinterpret_cast<const sockaddr*>(&other), sizeof other), EAFNOSUPPORT);
  EXPECT_EQ(b.bind(fd, taken.get(), taken.size), 0);
  EXPECT_ERRNO(b.bind(fd, taken.get(), taken.size), EINVAL);
  EXPECT_ERRNO(b.listen(fd, 1), EADDRINUSE);
}

TEST_P(BsdTest, ListenWithoutAPortTakesAFreeOne) {
  const int one = b.socket(GetParam(), SOCK_STREAM, 0);
  const int two = b.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(b.listen(one, 1), 0);
  EXPECT_EQ(b.listen(two, 1), 0);
  Address first;
  Address second;
  EXPECT_EQ(b.getsockname(one, first.out(), &first.size), 0);
  EXPECT_EQ(b.getsockname(two, second.out(), &second.size), 0);
  EXPECT_GE(first.port(), 32768);
  EXPECT_NE(first.port(), second.port());
}

TEST_P(BsdTest, DataAndHalfClose) {
  open();
  std::string hello = "hello";
  const std::array<iovec, 3> from{iovec{hello.data(), 2}, iovec{nullptr, 0}, iovec{hello.data() + 2, 3}};
  EXPECT_EQ(a.writev(client, from.data(), 3), 5);
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  EXPECT_ERRNO(a.send(client, "x", 1, 0), EPIPE);
  settle();
  EXPECT_EQ(poll(b, server), POLLIN | POLLOUT | POLLRDHUP);
  std::array<char, 3> head{};
  std::array<char, 9> tail{};
  const std::array<iovec, 2> into{iovec{head.data(), head.size()}, iovec{tail.data(), tail.size()}};
  EXPECT_EQ(b.readv(server, into.data(), 2), 5);
  EXPECT_EQ(std::string(head.data(), 3) + tail.data(), "hello");
  EXPECT_EQ(b.recv(server, tail.data(), 9, 0), 0);
  EXPECT_EQ(b.recv(server, tail.data(), 9, 0), 0);
  EXPECT_EQ(b.send(server, "back", 4, MSG_NOSIGNAL), 4);
  settle();
  EXPECT_EQ(a.recv(client, tail.data(), 9, MSG_DONTWAIT), 4);
  EXPECT_ERRNO(a.recv(client, tail.data(), 9, 0), EAGAIN);
  EXPECT_ERRNO(a.recv(client, tail.data(), 9, MSG_OOB), EINVAL);
  EXPECT_EQ(a.send(client, "", 0, 0), -1);  // shut down even for nothing
  EXPECT_EQ(b.send(server, "", 0, 0), 0);
  EXPECT_EQ(b.close(server), 0);
  settle();
  EXPECT_EQ(poll(a, client) & POLLHUP, POLLHUP);
  EXPECT_EQ(a.recv(client, tail.data(), 9, 0), 0);
  EXPECT_ERRNO(a.shutdown(client, 7), EINVAL);
}

TEST_P(BsdTest, FullBufferIsEagainUntilThePeerReads) {
  open();
  const std::string chunk(65536, 'x');
  std::size_t sent = 0;
  const auto fill = [&] {
    ssize_t n = 0;
    while ((n = a.send(client, chunk.data(), chunk.size(), 0)) > 0) {
      sent += static_cast<std::size_t>(n);
      settle();
    }
  };
  fill();
  pass(1_s);
  fill();
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(poll(a, client) & POLLOUT, 0);
  std::string into(65536, '\0');
  std::size_t got = 0;
  while (got < sent) {
    const ssize_t n = b.recv(server, into.data(), into.size(), 0);
    if (n > 0) got += static_cast<std::size_t>(n);
    if (n < 0) {
      ASSERT_EQ(errno, EAGAIN);
      ASSERT_LT(now, Instant::from_ns(600'000'000'000)) << "stuck at " << got << " of " << sent;
      pass(10_ms);
    }
    settle();
  }
  pass(1_s);
  EXPECT_EQ(poll(a, client) & POLLOUT, POLLOUT);
}

TEST_P(BsdTest, ResetIsReportedOnceAfterWhatArrived) {
  open();
  EXPECT_EQ(b.send(server, "last", 4, 0), 4);
  settle();
  const linger at_once{1, 0};
  EXPECT_EQ(b.setsockopt(server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  EXPECT_EQ(b.close(server), 0);
  settle();
  EXPECT_EQ(poll(a, client) & (POLLERR | POLLHUP | POLLIN), POLLERR | POLLHUP | POLLIN);
  std::array<char, 8> into{};
  EXPECT_EQ(a.recv(client, into.data(), into.size(), 0), 4);
  EXPECT_ERRNO(a.recv(client, into.data(), into.size(), 0), ECONNRESET);
  EXPECT_EQ(a.recv(client, into.data(), into.size(), 0), 0);
  EXPECT_ERRNO(a.send(client, "x", 1, 0), EPIPE);
  Address peer;
  EXPECT_ERRNO(a.getpeername(client, peer.out(), &peer.size), ENOTCONN);
}

TEST_P(BsdTest, UnconnectedSocketsAreNotConnected) {
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  char c = 0;
  EXPECT_ERRNO(a.send(fd, &c, 1, 0), ENOTCONN);
  EXPECT_ERRNO(a.recv(fd, &c, 1, 0), ENOTCONN);
  EXPECT_ERRNO(a.shutdown(fd, SHUT_RDWR), ENOTCONN);
  EXPECT_EQ(poll(a, fd) & POLLHUP, POLLHUP);
  EXPECT_EQ(poll(a, 77), POLLNVAL);
  EXPECT_EQ(poll(a, -5), 0);
}

TEST_P(BsdTest, Options) {
  listener = listening();
  const int on = 1;
  const int timeout = 2500;
  EXPECT_EQ(b.setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  EXPECT_EQ(b.setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
  EXPECT_EQ(b.setsockopt(listener, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout), 0);
  EXPECT_ERRNO(b.setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, 1), EINVAL);
  EXPECT_ERRNO(b.setsockopt(listener, IPPROTO_TCP, 9999, &on, sizeof on), ENOPROTOOPT);
  client = connect(server_address());
  settle();
  server = b.accept(listener, nullptr, nullptr);
  const auto get = [&](int fd, int level, int name) {
    int v = -1;
    socklen_t size = sizeof v;
    EXPECT_EQ(b.getsockopt(fd, level, name, &v, &size), 0);
    EXPECT_EQ(size, sizeof v);
    return v;
  };
  EXPECT_EQ(get(server, IPPROTO_TCP, TCP_NODELAY), 1);  // inherited
  EXPECT_EQ(get(server, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(get(server, IPPROTO_TCP, TCP_USER_TIMEOUT), 2500);
  EXPECT_EQ(get(server, SOL_SOCKET, SO_ACCEPTCONN), 0);
  EXPECT_EQ(get(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
  EXPECT_EQ(get(server, SOL_SOCKET, SO_DOMAIN), GetParam());
  EXPECT_GT(get(server, IPPROTO_TCP, TCP_MAXSEG), 1000);
}

}  // namespace
}  // namespace synfin::tcp
