// SPDX-License-Identifier: Apache-2.0
//
// Opening by the BSD-style calls: listeners' options, Fast Open, and the errors of connect.
#include <gtest/gtest.h>
#include <limits.h>
#include <netinet/tcp.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "synfin/socket/bsd_test_kit.h"

namespace synfin::tcp {
namespace {

using trace::Counter;

class BsdListenTest : public BsdFixture {
 protected:
  BsdListenTest() { stack_b.settings().tcp_fastopen = 3; }
  int set(Bsd& bsd, int fd, int name, int value) {
    return bsd.setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
  }
  int get(Bsd& bsd, int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(bsd.getsockopt(fd, IPPROTO_TCP, name, &value, &size), 0);
    EXPECT_EQ(size, sizeof value);
    return value;
  }
  std::uint32_t waiting() { return stack_b.status(b.handle(listener))->receive_queue; }
  std::string receive(Bsd& bsd, int fd) {
    std::array<char, 100> into{};
    const ssize_t n = bsd.recv(fd, into.data(), into.size(), 0);
    return n < 0 ? "errno " + std::to_string(errno) : std::string(into.data(), static_cast<std::size_t>(n));
  }
  /// One connection with Fast Open, after which the client knows the cookie.
  void learn_cookie() {
    listener = listening();
    ASSERT_EQ(set(b, listener, TCP_FASTOPEN, 16), 0);
    const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
    const Address to = server_address();
    EXPECT_ERRNO(a.sendto(fd, "first", 5, MSG_FASTOPEN, to.get(), to.size), EINPROGRESS);
    settle();
    EXPECT_EQ(a.close(fd), 0);
    settle();
    EXPECT_EQ(b.close(b.accept(listener, nullptr, nullptr)), 0);
    settle();
  }
  /// What the client has to say now, and no answer.
  void deliver_to_server() {
    std::array<wire::Frame, 16> frames;
    while (const std::size_t n = stack_a.transmit(frames, now))
      stack_b.receive(std::span(frames).first(n), now);
  }
};
INSTANTIATE_TEST_SUITE_P(Families, BsdListenTest, ::testing::Values(AF_INET, AF_INET6),
                         [](const auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

// --- Backlog ---

TEST_P(BsdListenTest, SecondListenSetsTheBacklog) {
  listener = listening(1);
  for (int i = 0; i < 4; ++i) {
    connect(server_address());
    settle();
  }
  EXPECT_EQ(waiting(), 2u);  // as on Linux one more than the backlog
  EXPECT_EQ(b.listen(listener, 10), 0);
  EXPECT_EQ(stack_b.status(b.handle(listener))->send_queue, 10u);
  pass(8_s);
  EXPECT_EQ(waiting(), 4u);
  EXPECT_EQ(b.listen(listener, -5), 0);
  EXPECT_EQ(stack_b.status(b.handle(listener))->send_queue, 0u);
  EXPECT_EQ(waiting(), 4u);  // who waits already is not sent away
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_ERRNO(b.listen(server, 5), EINVAL);
}

// --- TCP_DEFER_ACCEPT ---

TEST_P(BsdListenTest, DeferAcceptIsRoundedAsOnLinux) {
  const int fd = b.socket(GetParam(), SOCK_STREAM, 0);
  for (const auto& [wanted, reported] :
       {std::pair{0, 0}, std::pair{-1, 0}, std::pair{1, 1}, std::pair{2, 3}, std::pair{3, 3}, std::pair{4, 7},
        std::pair{7, 7}, std::pair{8, 15}, std::pair{60, 63}, std::pair{127, 127}, std::pair{128, 247},
        std::pair{248, 367}, std::pair{INT_MAX, 127 + 248 * 120}}) {
    EXPECT_EQ(set(b, fd, TCP_DEFER_ACCEPT, wanted), 0);
    EXPECT_EQ(get(b, fd, TCP_DEFER_ACCEPT), reported) << wanted;
  }
  const char short_value = 1;
  EXPECT_ERRNO(b.setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &short_value, 1), EINVAL);
}

TEST_P(BsdListenTest, DeferAcceptWaitsForDataAndNotForEver) {
  listener = listening();
  EXPECT_EQ(set(b, listener, TCP_DEFER_ACCEPT, 5), 0);
  client = connect(server_address());
  const int silent = connect(server_address());
  settle();
  EXPECT_EQ(poll(a, client), POLLOUT);
  EXPECT_ERRNO(b.accept(listener, nullptr, nullptr), EAGAIN);
  EXPECT_EQ(a.send(client, "data", 4, 0), 4);
  settle();
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_EQ(receive(b, server), "data");
  EXPECT_EQ(get(b, server, TCP_DEFER_ACCEPT), 0);  // the listener's own
  pass(6_s);
  EXPECT_ERRNO(b.accept(listener, nullptr, nullptr), EAGAIN);
  pass(3_s);
  EXPECT_GE(b.accept(listener, nullptr, nullptr), 0);
  EXPECT_EQ(poll(a, silent), POLLOUT);
}

// --- TCP_FASTOPEN, the server's side ---

TEST_P(BsdListenTest, FastOpenQueueIsSetBeforeOrAfterListen) {
  const int fd = b.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(get(b, fd, TCP_FASTOPEN), 0);
  EXPECT_EQ(set(b, fd, TCP_FASTOPEN, 7), 0);
  EXPECT_EQ(get(b, fd, TCP_FASTOPEN), 7);
  const Address local = server_address();
  EXPECT_EQ(b.bind(fd, local.get(), local.size), 0);
  EXPECT_EQ(b.listen(fd, 5), 0);
  EXPECT_EQ(stack_b.listen_options(b.handle(fd))->fast_open, 7u);
  EXPECT_EQ(set(b, fd, TCP_FASTOPEN, 1'000'000), 0);
  EXPECT_EQ(get(b, fd, TCP_FASTOPEN), 4096);  // somaxconn
  EXPECT_EQ(stack_b.listen_options(b.handle(fd))->fast_open, 4096u);
  EXPECT_EQ(stack_b.listen_options(b.handle(fd))->backlog, 5u);
  EXPECT_ERRNO(set(b, fd, TCP_FASTOPEN, -1), EINVAL);
  client = connect(server_address());
  EXPECT_ERRNO(set(a, client, TCP_FASTOPEN, 5), EINVAL);
  settle();
  server = b.accept(fd, nullptr, nullptr);
  EXPECT_ERRNO(set(b, server, TCP_FASTOPEN, 5), EINVAL);
  EXPECT_EQ(get(b, server, TCP_FASTOPEN), 0);
}

TEST_P(BsdListenTest, FastOpenServerAnswersBeforeTheThirdSegment) {
  learn_cookie();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  const Address to = server_address();
  EXPECT_EQ(a.sendto(fd, "question", 8, MSG_FASTOPEN, to.get(), to.size), 8);
  deliver_to_server();
  EXPECT_EQ(stack_b.counters()[Counter::kTCPFastOpenPassive], 1u);
  server = b.accept(listener, nullptr, nullptr);
  ASSERT_GE(server, 0);
  EXPECT_EQ(stack_b.status(b.handle(server))->state, trace::State::kSynReceived);
  EXPECT_EQ(poll(b, server), POLLIN | POLLOUT);
  EXPECT_EQ(receive(b, server), "question");
  EXPECT_EQ(poll(b, server), POLLOUT);
  Address peer;
  EXPECT_EQ(b.getpeername(server, peer.out(), &peer.size), 0);
  EXPECT_EQ(b.send(server, "answer", 6, 0), 6);
  EXPECT_EQ(b.shutdown(server, SHUT_WR), 0);
  settle();
  EXPECT_EQ(receive(a, fd), "answer");
  EXPECT_EQ(receive(a, fd), "");
}

// --- MSG_FASTOPEN ---

TEST_P(BsdListenTest, FastOpenSendWithoutACookieAsksForOneAndTakesNothing) {
  listener = listening();
  EXPECT_EQ(set(b, listener, TCP_FASTOPEN, 16), 0);
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  const Address to = server_address();
  EXPECT_ERRNO(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), EINPROGRESS);
  EXPECT_ERRNO(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), EALREADY);
  EXPECT_ERRNO(a.send(fd, "hello", 5, 0), EAGAIN);
  settle();
  EXPECT_EQ(stack_b.counters()[Counter::kTCPFastOpenCookieReqd], 1u);
  EXPECT_EQ(poll(a, fd), POLLOUT);
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_ERRNO(b.recv(server, nullptr, 1, 0), EAGAIN);
  // The handshake is over: the same call ends the connect and sends.
  EXPECT_EQ(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), 5);
  EXPECT_ERRNO(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), EISCONN);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EISCONN);
  EXPECT_EQ(a.sendto(fd, " there", 6, 0, to.get(), to.size), 6);
  settle();
  EXPECT_EQ(receive(b, server), "hello there");
}

TEST_P(BsdListenTest, FastOpenSendWithACookieIsConnectAndSendInOne) {
  learn_cookie();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  Address to = server_address();
  std::string text = "in parts";
  std::array<iovec, 2> parts{iovec{text.data(), 3}, iovec{text.data() + 3, 5}};
  msghdr message{};
  message.msg_name = &to.storage;
  message.msg_namelen = to.size;
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  EXPECT_EQ(a.sendmsg(fd, &message, MSG_FASTOPEN), 8);
  EXPECT_EQ(stack_a.status(a.handle(fd))->state, trace::State::kSynSent);
  EXPECT_ERRNO(a.send(fd, "more", 4, 0), EAGAIN);
  settle();
  EXPECT_EQ(stack_a.counters()[Counter::kTCPFastOpenActive], 1u);
  EXPECT_EQ(a.connect(fd, to.get(), to.size), 0);
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_EQ(receive(b, server), "in parts");
  EXPECT_EQ(a.sendmsg(fd, &message, MSG_NOSIGNAL), 8);
  settle();
  EXPECT_EQ(receive(b, server), "in parts");
}

TEST_P(BsdListenTest, FastOpenSendOfNothingIsAConnect) {
  learn_cookie();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  const Address to = server_address();
  EXPECT_ERRNO(a.sendto(fd, "", 0, MSG_FASTOPEN, to.get(), to.size), EINPROGRESS);
  settle();
  EXPECT_EQ(a.connect(fd, to.get(), to.size), 0);
}

TEST_P(BsdListenTest, FastOpenSendFaults) {
  listener = listening();
  const Address to = server_address();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_ERRNO(a.sendto(99, "x", 1, MSG_FASTOPEN, to.get(), to.size), EBADF);
  EXPECT_ERRNO(a.sendto(fd, "x", 1, MSG_FASTOPEN | MSG_OOB, to.get(), to.size), EOPNOTSUPP);
  EXPECT_ERRNO(a.sendto(fd, "x", 1, MSG_FASTOPEN, nullptr, 0), EINVAL);
  EXPECT_ERRNO(a.send(fd, "x", 1, MSG_FASTOPEN), EINVAL);
  EXPECT_ERRNO(a.sendto(fd, "x", 1, MSG_FASTOPEN, to.get(), 3), EINVAL);
  sockaddr_storage other{};
  other.ss_family = AF_UNIX;
  EXPECT_ERRNO(a.sendto(fd, "x", 1, MSG_FASTOPEN, reinterpret_cast<const sockaddr*>(&other), sizeof other),
               EAFNOSUPPORT);
  EXPECT_ERRNO(b.sendto(listener, "x", 1, MSG_FASTOPEN, to.get(), to.size), EISCONN);
  EXPECT_ERRNO(a.sendto(fd, "x", 1, 0, to.get(), to.size), ENOTCONN);
  stack_a.settings().tcp_fastopen = 2;
  EXPECT_ERRNO(a.sendto(fd, "x", 1, MSG_FASTOPEN, to.get(), to.size), EOPNOTSUPP);
  EXPECT_ERRNO(set(a, fd, TCP_FASTOPEN_CONNECT, 1), EOPNOTSUPP);
  EXPECT_ERRNO(a.sendmsg(fd, nullptr, 0), EFAULT);
  msghdr message{};
  message.msg_iovlen = 1025;
  EXPECT_ERRNO(a.sendmsg(fd, &message, 0), EMSGSIZE);
  message.msg_iovlen = 0;
  message.msg_controllen = 16;
  EXPECT_ERRNO(a.sendmsg(fd, &message, 0), EINVAL);
  EXPECT_ERRNO(a.sendmsg(fd, &message, MSG_EOR), EOPNOTSUPP);
}

TEST_P(BsdListenTest, FastOpenSendToNobodyFailsAsConnectDoes) {
  learn_cookie();
  const Address to = server_address(81);
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), 5);  // cookies are a host's
  settle();
  EXPECT_ERRNO(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), ECONNREFUSED);
  EXPECT_EQ(a.sendto(fd, "hello", 5, MSG_FASTOPEN, to.get(), to.size), 5);
}

// --- TCP_FASTOPEN_CONNECT ---

TEST_P(BsdListenTest, FastOpenConnectLeavesTheSynToTheFirstWrite) {
  learn_cookie();
  const Address to = server_address();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(set(a, fd, TCP_FASTOPEN_CONNECT, 1), 0);
  EXPECT_EQ(get(a, fd, TCP_FASTOPEN_CONNECT), 1);
  EXPECT_EQ(a.connect(fd, to.get(), to.size), 0);
  settle();
  EXPECT_EQ(stack_a.population().connections, 0u);
  EXPECT_EQ(poll(a, fd), POLLOUT);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EISCONN);
  EXPECT_ERRNO(a.listen(fd, 1), EINVAL);
  EXPECT_ERRNO(a.shutdown(fd, SHUT_WR), ENOTCONN);
  EXPECT_ERRNO(set(a, fd, TCP_FASTOPEN_CONNECT, 0), EINVAL);
  char c = 0;
  EXPECT_ERRNO(a.recv(fd, &c, 1, 0), EAGAIN);
  Address peer;
  EXPECT_ERRNO(a.getpeername(fd, peer.out(), &peer.size), ENOTCONN);
  EXPECT_EQ(a.send(fd, "late", 4, 0), 4);
  deliver_to_server();
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_EQ(receive(b, server), "late");
  settle();
  EXPECT_EQ(a.send(fd, "r", 1, 0), 1);
  settle();
  EXPECT_EQ(receive(b, server), "r");
  EXPECT_EQ(a.getpeername(fd, peer.out(), &peer.size), 0);
}

TEST_P(BsdListenTest, FastOpenConnectWithoutACookieConnectsAtOnce) {
  listener = listening();
  EXPECT_EQ(set(b, listener, TCP_FASTOPEN, 16), 0);
  const Address to = server_address();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_ERRNO(set(a, fd, TCP_FASTOPEN_CONNECT, 2), EINVAL);
  EXPECT_EQ(set(a, fd, TCP_FASTOPEN_CONNECT, 1), 0);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EINPROGRESS);
  settle();
  EXPECT_EQ(stack_b.counters()[Counter::kTCPFastOpenCookieReqd], 1u);
  EXPECT_EQ(a.connect(fd, to.get(), to.size), 0);
  const int next = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_EQ(set(a, next, TCP_FASTOPEN_CONNECT, 1), 0);
  EXPECT_EQ(a.connect(next, to.get(), to.size), 0);
  EXPECT_EQ(a.close(next), 0);
  settle();
  EXPECT_EQ(stack_a.population().connections, 1u);
}

// --- The errors of connect ---

// RFC 9293: SHLD-26.
TEST_P(BsdListenTest, UnreachableHostAndNetworkAndSilenceAreThreeErrors) {
  const wire::IpAddress own = stack_b.config().addresses[GetParam() == AF_INET ? 0 : 1].address;
  const stack::Handle holding = stack_b.listen({own, 80}, {.hold = true}, now).value();
  const auto answered_by = [&](stack::Unreachable what) {
    const int fd = connect(server_address());
    settle();
    EXPECT_TRUE(stack_b.unreachable_pending(stack_b.next_pending(holding).value(), what, now));
    settle();
    return fd;
  };
  // Hard errors end the attempt, soft ones say what it failed of when time is up (RFC 5461 §4).
  EXPECT_EQ(error_of(a, answered_by(stack::Unreachable::kProhibited)), EHOSTUNREACH);
  EXPECT_EQ(error_of(a, answered_by(stack::Unreachable::kPort)), ECONNREFUSED);
  const int host = answered_by(stack::Unreachable::kHost);
  const int network = answered_by(stack::Unreachable::kNetwork);
  EXPECT_TRUE(stack_b.set_listen_options(holding, {.hold = true, .hold_limit = 0}));
  const int silence = connect(server_address());
  pass(300_s);
  const Address to = server_address();
  EXPECT_ERRNO(a.connect(host, to.get(), to.size), EHOSTUNREACH);
  EXPECT_ERRNO(a.connect(network, to.get(), to.size), ENETUNREACH);
  EXPECT_ERRNO(a.connect(silence, to.get(), to.size), ETIMEDOUT);
  const int refused = connect(server_address(81));
  settle();
  const Address nobody = server_address(81);
  EXPECT_ERRNO(a.connect(refused, nobody.get(), nobody.size), ECONNREFUSED);
}

TEST_P(BsdListenTest, WithoutAnAddressOfTheFamilyThereIsNoNetwork) {
  stack::Config other;
  other.addresses = {stack_a.config().addresses[GetParam() == AF_INET ? 1 : 0]};
  stack::Stack stack(other, pool, entropy_a);
  Bsd bsd(stack, [this] { return now; });
  const int fd = bsd.socket(GetParam(), SOCK_STREAM, 0);
  const Address to = server_address();
  EXPECT_ERRNO(bsd.connect(fd, to.get(), to.size), ENETUNREACH);
}

TEST_P(BsdListenTest, WithoutAFreePortThereIsNoAddress) {
  stack_a.settings().ip_local_port_first = stack_a.settings().ip_local_port_last = 40000;
  listening();
  const Address to = server_address();
  client = connect(to);
  settle();
  const int fd = a.socket(GetParam(), SOCK_STREAM, 0);
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EADDRNOTAVAIL);
  const Address elsewhere = server_address(81);
  EXPECT_ERRNO(a.connect(fd, elsewhere.get(), elsewhere.size), EINPROGRESS);  // another 4-tuple
}

}  // namespace
}  // namespace synfin::tcp
