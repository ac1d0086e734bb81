// SPDX-License-Identifier: Apache-2.0
//
// fcntl, ioctl, what reading can do beside reading, and epoll.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "synfin/socket/bsd_test_kit.h"

namespace synfin::tcp {
namespace {

class BsdControlTest : public BsdFixture {
 protected:
  int ask(Bsd& bsd, int fd, unsigned long request) {
    int value = -1;
    EXPECT_EQ(bsd.ioctl(fd, request, &value), 0);
    return value;
  }
  std::string read(Bsd& bsd, int fd, int flags = 0) {
    std::array<char, 100> into{};
    const ssize_t n = bsd.recv(fd, into.data(), into.size(), flags);
    return n < 0 ? "errno " + std::to_string(errno) : std::string(into.data(), static_cast<std::size_t>(n));
  }
  void say(std::string_view text) {
    EXPECT_EQ(a.send(client, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    pass(100_ms);  // acknowledged, so that Nagle's algorithm does not keep the next back
  }

  // epoll on the server's end; the first event's flags, 0 for none.
  void watch(std::uint32_t events) {
    epoll_event e{.events = events, .data = {.u64 = 4711}};
    epoll = b.epoll_create(1);
    EXPECT_EQ(b.epoll_ctl(epoll, EPOLL_CTL_ADD, server, &e), 0);
  }
  std::uint32_t next_event() {
    epoll_event e{};
    const int n = b.epoll_wait(epoll, &e, 1);
    if (n != 1) return 0;
    const std::uint64_t data = e.data.u64;  // the structure is packed
    EXPECT_EQ(data, 4711u);
    return e.events;
  }
  int epoll = -1;
};
INSTANTIATE_TEST_SUITE_P(Families, BsdControlTest, ::testing::Values(AF_INET, AF_INET6),
                         [](const auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

TEST_P(BsdControlTest, FlagsAreKept) {
  const int fd = a.socket(GetParam(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(a.fcntl(fd, F_GETFL, 0), O_RDWR);
  EXPECT_EQ(a.fcntl(fd, F_SETFL, O_RDONLY | O_NONBLOCK), 0);
  EXPECT_EQ(a.fcntl(fd, F_GETFL, 0), O_RDWR | O_NONBLOCK) << "the access mode does not change";
  EXPECT_EQ(a.fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
  EXPECT_EQ(a.fcntl(fd, F_SETFD, 0), 0);
  EXPECT_EQ(a.fcntl(fd, F_GETFD, 0), 0);
  EXPECT_EQ(a.fcntl(a.socket(GetParam(), SOCK_STREAM | SOCK_NONBLOCK, 0), F_GETFL, 0), O_RDWR | O_NONBLOCK);
  EXPECT_ERRNO(a.fcntl(fd, F_GETLK, 0), EINVAL);
  EXPECT_ERRNO(a.fcntl(99, F_GETFL, 0), EBADF);
}

TEST_P(BsdControlTest, QueuesCanBeAskedFor) {
  open();
  EXPECT_EQ(ask(b, server, FIONREAD), 0);
  EXPECT_EQ(a.send(client, "12345", 5, 0), 5);
  EXPECT_EQ(ask(a, client, SIOCOUTQ), 5);
  EXPECT_EQ(ask(a, client, SIOCOUTQNSD), 5);
  settle();
  EXPECT_EQ(ask(a, client, SIOCOUTQNSD), 0) << "sent";
  EXPECT_EQ(ask(a, client, SIOCOUTQ), 5) << "and not acknowledged";
  EXPECT_EQ(ask(b, server, FIONREAD), 5);
  pass(1_s);
  EXPECT_EQ(ask(a, client, SIOCOUTQ), 0);
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  settle();
  EXPECT_EQ(ask(b, server, FIONREAD), 5) << "the end of the stream does not count";
}

TEST_P(BsdControlTest, ErrorsOfIoctl) {
  open();
  int value = 0;
  EXPECT_ERRNO(b.ioctl(listener, FIONREAD, &value), EINVAL);
  EXPECT_ERRNO(b.ioctl(server, TIOCGWINSZ, &value), EINVAL);
  EXPECT_ERRNO(b.ioctl(server, FIONREAD, nullptr), EFAULT);
  EXPECT_ERRNO(b.ioctl(99, FIONREAD, &value), EBADF);
  EXPECT_EQ(ask(a, a.socket(GetParam(), SOCK_STREAM, 0), FIONREAD), 0);
}

TEST_P(BsdControlTest, PeekingLeavesWhatItSees) {
  open();
  EXPECT_EQ(read(b, server, MSG_PEEK), "errno " + std::to_string(EAGAIN));
  say("hel");
  say("lo");
  EXPECT_EQ(read(b, server, MSG_PEEK), "hello");
  std::array<char, 2> first{}, second{};
  const std::array<iovec, 2> parts{iovec{first.data(), 2}, iovec{second.data(), 2}};
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  EXPECT_EQ(b.recvmsg(server, &message, MSG_PEEK), 4);
  EXPECT_EQ(std::string(second.data(), 2), "ll");
  EXPECT_EQ(read(b, server), "hello");
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  settle();
  EXPECT_EQ(read(b, server, MSG_PEEK), "");
}

TEST_P(BsdControlTest, NullIsNoBuffer) {
  open();
  EXPECT_ERRNO(a.send(client, nullptr, 10, 0), EFAULT);
  EXPECT_ERRNO(b.recv(server, nullptr, 10, 0), EAGAIN);  // nothing to copy yet
  say("x");
  EXPECT_ERRNO(b.recv(server, nullptr, 10, 0), EFAULT);
  EXPECT_ERRNO(b.recvmsg(server, nullptr, 0), EFAULT);
  EXPECT_EQ(read(b, server), "x");
}

TEST_P(BsdControlTest, WhatComesBehindShutdownCanBeRead) {
  open();
  say("before");
  EXPECT_EQ(b.shutdown(server, SHUT_RD), 0);
  EXPECT_EQ(read(b, server), "before");
  EXPECT_EQ(read(b, server), "") << "the end, as far as is known";
  say("after");
  EXPECT_EQ(read(b, server), "after");
  EXPECT_EQ(read(b, server), "");
}

TEST_P(BsdControlTest, InqTellsWhatIsLeft) {
  open();
  const int on = 1;
  EXPECT_EQ(b.setsockopt(server, IPPROTO_TCP, TCP_INQ, &on, sizeof on), 0);
  say("hello");
  std::array<char, 3> into{};
  iovec part{into.data(), into.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  const auto receive = [&] {
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    EXPECT_GE(b.recvmsg(server, &message, 0), 0);
    const cmsghdr* c = CMSG_FIRSTHDR(&message);
    if (c == nullptr || c->cmsg_level != IPPROTO_TCP || c->cmsg_type != TCP_CM_INQ) return -1;
    int left = -1;
    std::memcpy(&left, CMSG_DATA(c), sizeof left);
    return left;
  };
  EXPECT_EQ(receive(), 2);
  EXPECT_EQ(receive(), 0);
  say("bye");
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  settle();
  EXPECT_EQ(receive(), 1) << "only the end is left";
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  EXPECT_EQ(b.recvmsg(server, &message, 0), 0);
  EXPECT_EQ(message.msg_flags, MSG_CTRUNC) << "there was no room to say it";
}

TEST_P(BsdControlTest, EpollTellsAsLongAsItIsSo) {
  open();
  watch(EPOLLIN);
  EXPECT_EQ(next_event(), 0u);
  say("hello");
  EXPECT_EQ(next_event(), static_cast<std::uint32_t>(EPOLLIN));
  EXPECT_EQ(next_event(), static_cast<std::uint32_t>(EPOLLIN));
  EXPECT_EQ(read(b, server), "hello");
  EXPECT_EQ(next_event(), 0u);
}

TEST_P(BsdControlTest, EdgeTriggeredEpollTellsWhatIsNew) {
  open();
  watch(EPOLLIN | EPOLLET);
  say("hello");
  EXPECT_NE(next_event(), 0u);
  EXPECT_EQ(next_event(), 0u) << "told already";
  say("world");
  EXPECT_NE(next_event(), 0u) << "more has come";
  std::array<char, 4> some{};
  EXPECT_EQ(b.recv(server, some.data(), some.size(), 0), 4);
  EXPECT_EQ(next_event(), 0u) << "reading is no news";
}

TEST_P(BsdControlTest, EdgeTriggeredEpollTellsOfRoom) {
  open();
  watch(EPOLLOUT | EPOLLET);
  EXPECT_NE(next_event(), 0u);
  EXPECT_EQ(next_event(), 0u);
  const int small = 3000;
  EXPECT_EQ(b.setsockopt(server, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  const std::string text(10'000, 'x');
  EXPECT_EQ(b.send(server, text.data(), text.size(), 0), 4000);
  pass(1_s);
  EXPECT_NE(next_event(), 0u) << "full in between, though nobody looked";
}

// What Linux does: the program may try again, and is told when.
TEST_P(BsdControlTest, NoPacketMemoryIsNoRoom) {
  open();
  watch(EPOLLOUT | EPOLLET);
  EXPECT_NE(next_event(), 0u);
  stack_b.settings().tcp_mem = {16, 24, 32};
  wire::Slice all[3];
  for (wire::Slice& s : all) s = pool.copy(std::vector<std::byte>(50'000));
  const char octet = 'x';
  EXPECT_ERRNO(b.send(server, &octet, 1, 0), EAGAIN);
  EXPECT_EQ(poll(b, server) & POLLOUT, 0);
  EXPECT_EQ(next_event(), 0u);
  for (wire::Slice& s : all) s.reset();
  pass(20_ms);
  EXPECT_NE(next_event(), 0u);
  EXPECT_EQ(poll(b, server) & POLLOUT, POLLOUT);
  EXPECT_EQ(b.send(server, &octet, 1, 0), 1);
}

TEST_P(BsdControlTest, OneShotTellsOnce) {
  open();
  watch(EPOLLIN | EPOLLONESHOT);
  say("hello");
  EXPECT_NE(next_event(), 0u);
  EXPECT_EQ(next_event(), 0u);
  epoll_event again{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = 4711}};
  EXPECT_EQ(b.epoll_ctl(epoll, EPOLL_CTL_MOD, server, &again), 0);
  EXPECT_NE(next_event(), 0u);
}

TEST_P(BsdControlTest, EpollTellsOfTheEndUnasked) {
  open();
  watch(0);
  EXPECT_EQ(next_event(), 0u);
  const linger at_once{1, 0};
  EXPECT_EQ(a.setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  EXPECT_EQ(a.close(client), 0);
  settle();
  EXPECT_EQ(next_event(), static_cast<std::uint32_t>(EPOLLERR | EPOLLHUP));
}

TEST_P(BsdControlTest, ClosingASocketForgetsItsInterest) {
  open();
  watch(EPOLLOUT);
  EXPECT_NE(next_event(), 0u);
  EXPECT_EQ(b.close(server), 0);
  EXPECT_EQ(next_event(), 0u);
  const int same = b.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(same, server) << "the number is used again";
  EXPECT_EQ(next_event(), 0u);
}

TEST_P(BsdControlTest, ErrorsOfEpoll) {
  open();
  epoll_event e{.events = EPOLLIN, .data = {.fd = server}};
  EXPECT_ERRNO(b.epoll_create(0), EINVAL);
  watch(EPOLLIN);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_ADD, server, &e), EEXIST);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &e), ENOENT);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_DEL, listener, nullptr), ENOENT);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_ADD, 99, &e), EBADF);
  EXPECT_ERRNO(b.epoll_ctl(99, EPOLL_CTL_ADD, server, &e), EBADF);
  EXPECT_ERRNO(b.epoll_ctl(server, EPOLL_CTL_ADD, listener, &e), EINVAL);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &e), EINVAL);
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_ADD, listener, nullptr), EFAULT);
  EXPECT_ERRNO(b.epoll_ctl(epoll, 99, listener, &e), EINVAL);
  epoll_event exclusive{.events = EPOLLIN | EPOLLEXCLUSIVE, .data = {.fd = listener}};
  EXPECT_ERRNO(b.epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &exclusive), EINVAL);
  EXPECT_ERRNO(b.epoll_wait(epoll, &e, 0), EINVAL);
  EXPECT_ERRNO(b.epoll_wait(epoll, nullptr, 1), EFAULT);
  EXPECT_ERRNO(b.epoll_wait(server, &e, 1), EINVAL);
  EXPECT_ERRNO(b.epoll_wait(99, &e, 1), EBADF);
  // An epoll descriptor is no socket.
  EXPECT_ERRNO(b.listen(epoll, 1), ENOTSOCK);
  EXPECT_ERRNO(b.send(epoll, "x", 1, 0), ENOTSOCK);
  EXPECT_EQ(b.close(epoll), 0);
  EXPECT_ERRNO(b.epoll_wait(epoll, &e, 1), EBADF);
}

}  // namespace
}  // namespace synfin::tcp
