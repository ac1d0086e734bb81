// SPDX-License-Identifier: Apache-2.0
//
// setsockopt and getsockopt: what is taken, what is shown, and what comes of it.
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

#include <vector>

#include "synfin/socket/bsd_tcp_info.h"
#include "synfin/socket/bsd_test_kit.h"
#include "synfin/wire/packet.h"

namespace synfin::tcp {
namespace {

class BsdOptionsTest : public BsdFixture {
 protected:
  static int set(Bsd& bsd, int fd, int level, int name, int value) {
    return bsd.setsockopt(fd, level, name, &value, sizeof value);
  }
  static int set(Bsd& bsd, int fd, int name, int value) { return set(bsd, fd, IPPROTO_TCP, name, value); }
  static int get(Bsd& bsd, int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(bsd.getsockopt(fd, level, name, &value, &size), 0);
    EXPECT_EQ(size, sizeof value);
    return value;
  }
  static int get(Bsd& bsd, int fd, int name) { return get(bsd, fd, IPPROTO_TCP, name); }
  socket_detail::TcpInfo info(Bsd& bsd, int fd) {
    socket_detail::TcpInfo i{};
    socklen_t size = sizeof i;
    EXPECT_EQ(bsd.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &size), 0);
    EXPECT_EQ(size, 280u);
    return i;
  }
  /// Sizes of the text in what the client sends now, which is delivered.
  std::vector<std::size_t> client_sends() {
    std::vector<std::size_t> sizes;
    std::array<wire::Frame, 16> frames;
    while (const std::size_t n = stack_a.transmit(frames, now)) {
      for (const wire::Frame& frame : std::span(frames).first(n)) {
        const auto ip = wire::parse_ip(frame.front(), frame.size());
        const auto tcp = wire::parse_tcp_packet(ip.value(), frame, wire::VerifyChecksum::kYes);
        sizes.push_back(tcp.value().payload_size);
      }
      stack_b.receive(std::span(frames).first(n), now);
    }
    return sizes;
  }
  int fresh() { return a.socket(GetParam(), SOCK_STREAM, 0); }
};
INSTANTIATE_TEST_SUITE_P(Families, BsdOptionsTest, ::testing::Values(AF_INET, AF_INET6),
                         [](const auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

struct Range {
  int name, least, most, beyond_least, beyond_most;
};

TEST_P(BsdOptionsTest, NumbersAreShownAsTheyWereSet) {
  const int fd = fresh();
  for (const Range& r : {Range{TCP_KEEPIDLE, 1, 32767, 0, 32768}, Range{TCP_KEEPINTVL, 1, 32767, 0, 32768},
                         Range{TCP_KEEPCNT, 1, 127, 0, 128}, Range{TCP_SYNCNT, 1, 127, 0, 128},
                         Range{TCP_MAXSEG, 88, 32767, 87, 32768}, Range{TCP_INQ, 0, 1, -1, 2}}) {
    for (const int value : {r.least, r.most}) {
      EXPECT_EQ(set(a, fd, r.name, value), 0) << r.name << ' ' << value;
      EXPECT_EQ(get(a, fd, r.name), value) << r.name;
    }
    SCOPED_TRACE(r.name);
    EXPECT_ERRNO(set(a, fd, r.name, r.beyond_least), EINVAL);
    EXPECT_ERRNO(set(a, fd, r.name, r.beyond_most), EINVAL);
    EXPECT_EQ(get(a, fd, r.name), r.most) << "as before";
  }
}

TEST_P(BsdOptionsTest, SwitchesAreShownAsOneOrZero) {
  const int fd = fresh();
  for (const int name : {TCP_NODELAY, TCP_CORK, TCP_QUICKACK}) {
    EXPECT_EQ(get(a, fd, name), 0) << name;
    EXPECT_EQ(set(a, fd, name, 7), 0);
    EXPECT_EQ(get(a, fd, name), 1) << name;
    EXPECT_EQ(set(a, fd, name, 0), 0);
    EXPECT_EQ(get(a, fd, name), 0) << name;
  }
}

TEST_P(BsdOptionsTest, WhatWasNotSetShowsTheSettings) {
  const int fd = fresh();
  EXPECT_EQ(get(a, fd, TCP_KEEPIDLE), 7200);
  EXPECT_EQ(get(a, fd, TCP_KEEPINTVL), 75);
  EXPECT_EQ(get(a, fd, TCP_KEEPCNT), 9);
  EXPECT_EQ(get(a, fd, TCP_SYNCNT), static_cast<int>(stack_a.settings().tcp_syn_retries));
  EXPECT_EQ(get(a, fd, TCP_LINGER2), 60);
  EXPECT_EQ(get(a, fd, TCP_MAXSEG), 536);
  EXPECT_EQ(get(a, fd, TCP_NOTSENT_LOWAT), 0);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_SNDBUF), 16'384);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_RCVBUF), 131'072);
}

TEST_P(BsdOptionsTest, Linger2IsBoundedAndCanBeNone) {
  const int fd = fresh();
  EXPECT_EQ(set(a, fd, TCP_LINGER2, 5), 0);
  EXPECT_EQ(get(a, fd, TCP_LINGER2), 5);
  EXPECT_EQ(set(a, fd, TCP_LINGER2, 500), 0);
  EXPECT_EQ(get(a, fd, TCP_LINGER2), 120);
  EXPECT_EQ(set(a, fd, TCP_LINGER2, -7), 0);
  EXPECT_EQ(get(a, fd, TCP_LINGER2), -1);
  EXPECT_EQ(set(a, fd, TCP_LINGER2, 0), 0);
  EXPECT_EQ(get(a, fd, TCP_LINGER2), 60);
}

TEST_P(BsdOptionsTest, BuffersAreDoubledAsOnLinux) {
  const int fd = fresh();
  EXPECT_EQ(set(a, fd, SOL_SOCKET, SO_SNDBUF, 21'000), 0);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_SNDBUF), 42'000);
  EXPECT_EQ(set(a, fd, SOL_SOCKET, SO_RCVBUF, 30'000), 0);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_RCVBUF), 60'000);
  EXPECT_EQ(set(a, fd, SOL_SOCKET, SO_SNDBUF, 1), 0);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_SNDBUF), 4608);
  EXPECT_EQ(set(a, fd, SOL_SOCKET, SO_RCVBUF, 0), 0);
  EXPECT_EQ(get(a, fd, SOL_SOCKET, SO_RCVBUF), 2304);
}

TEST_P(BsdOptionsTest, TheSendBufferBoundsWhatIsQueued) {
  open();
  EXPECT_EQ(set(a, client, SOL_SOCKET, SO_SNDBUF, 3000), 0);
  const std::string text(10'000, 'x');
  EXPECT_EQ(a.send(client, text.data(), text.size(), 0), 4000);
  EXPECT_ERRNO(a.send(client, text.data(), text.size(), 0), EAGAIN);
  EXPECT_EQ(poll(a, client) & POLLOUT, 0);
  settle();
  pass(1_s);
  EXPECT_EQ(poll(a, client) & POLLOUT, POLLOUT);
}

TEST_P(BsdOptionsTest, TheReceiveBufferBoundsTheWindow) {
  listener = listening();
  EXPECT_EQ(set(b, listener, SOL_SOCKET, SO_RCVBUF, 5000), 0);
  client = connect(server_address());
  settle();
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_EQ(stack_a.status(a.handle(client))->send_window, 5000u);
  EXPECT_EQ(info(a, client).snd_wnd, 5000u);
}

TEST_P(BsdOptionsTest, MaxSegmentIsAnnouncedAndObserved) {
  const int fd = fresh();
  EXPECT_EQ(set(a, fd, TCP_MAXSEG, 700), 0);
  listener = listening();
  const Address to = server_address();
  EXPECT_ERRNO(a.connect(fd, to.get(), to.size), EINPROGRESS);
  settle();
  server = b.accept(listener, nullptr, nullptr);
  constexpr int kTimestamps = 12;
  EXPECT_EQ(info(a, fd).advmss, 700u);
  EXPECT_EQ(info(a, fd).snd_mss, 700u - kTimestamps);
  EXPECT_EQ(info(b, server).snd_mss, 700u - kTimestamps) << "the peer was told";
  const std::string text(2000, 'x');
  EXPECT_EQ(a.send(fd, text.data(), text.size(), 0), 2000);
  EXPECT_EQ(client_sends(), (std::vector<std::size_t>{688, 688}));  // Nagle keeps the rest
}

TEST_P(BsdOptionsTest, ListenersHandTheirsOn) {
  listener = listening();
  EXPECT_EQ(set(b, listener, TCP_MAXSEG, 900), 0);
  EXPECT_EQ(set(b, listener, TCP_KEEPIDLE, 33), 0);
  EXPECT_EQ(set(b, listener, TCP_CORK, 1), 0);
  client = connect(server_address());
  settle();
  server = b.accept(listener, nullptr, nullptr);
  EXPECT_EQ(get(b, server, TCP_KEEPIDLE), 33);
  EXPECT_EQ(get(b, server, TCP_CORK), 1);
  EXPECT_EQ(info(a, client).snd_mss, 900u - 12);
}

TEST_P(BsdOptionsTest, ACorkHoldsSmallSegmentsUntilItIsPulled) {
  open();
  EXPECT_EQ(set(a, client, TCP_CORK, 1), 0);
  EXPECT_EQ(a.send(client, "one", 3, 0), 3);
  EXPECT_EQ(a.send(client, "two", 3, 0), 3);
  EXPECT_TRUE(client_sends().empty());
  EXPECT_EQ(set(a, client, TCP_CORK, 0), 0);
  EXPECT_EQ(client_sends(), (std::vector<std::size_t>{6}));
}

TEST_P(BsdOptionsTest, ACorkLetsFullSegmentsPassAndGivesInAfterAWhile) {
  open();
  EXPECT_EQ(set(a, client, TCP_CORK, 1), 0);
  const auto full = static_cast<std::size_t>(get(a, client, TCP_MAXSEG));
  const std::string text(full + 10, 'x');
  EXPECT_EQ(a.send(client, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(client_sends().size(), 1u);
  pass(100_ms);
  EXPECT_EQ(stack_b.readable(b.handle(server)).value(), info(a, client).snd_mss);
  pass(1_s);
  EXPECT_EQ(stack_b.readable(b.handle(server)).value(), text.size());
}

TEST_P(BsdOptionsTest, ACorkDoesNotHoldTheEnd) {
  open();
  EXPECT_EQ(set(a, client, TCP_CORK, 1), 0);
  EXPECT_EQ(a.send(client, "end", 3, 0), 3);
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  EXPECT_EQ(client_sends(), (std::vector<std::size_t>{3}));
}

TEST_P(BsdOptionsTest, QuickAckAcknowledgesAtOnce) {
  open();
  EXPECT_EQ(a.send(client, "x", 1, 0), 1);
  settle();
  EXPECT_EQ(stack_a.status(a.handle(client))->send_queue, 1u) << "delayed";
  pass(1_s);
  EXPECT_EQ(set(b, server, TCP_QUICKACK, 1), 0);
  EXPECT_EQ(a.send(client, "x", 1, 0), 1);
  settle();
  EXPECT_EQ(stack_a.status(a.handle(client))->send_queue, 0u);
}

TEST_P(BsdOptionsTest, NotSentLowAtHoldsWritableBack) {
  open();
  EXPECT_EQ(set(a, client, TCP_NOTSENT_LOWAT, 4000), 0);
  EXPECT_EQ(get(a, client, TCP_NOTSENT_LOWAT), 4000);
  const std::string text(50'000, 'x');
  EXPECT_EQ(a.send(client, text.data(), text.size(), 0), 50'000);
  EXPECT_EQ(poll(a, client) & POLLOUT, 0) << "much has not been sent, though the buffer has room";
  settle();
  pass(2_s);
  EXPECT_EQ(poll(a, client) & POLLOUT, POLLOUT);
}

TEST_P(BsdOptionsTest, CongestionHasAName) {
  const int fd = fresh();
  std::array<char, 16> name{};
  socklen_t size = name.size();
  EXPECT_EQ(a.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
  EXPECT_EQ(size, 16u);
  EXPECT_STREQ(name.data(), "cubic");
  EXPECT_ERRNO(a.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "vegas", 5), ENOENT);
  EXPECT_ERRNO(a.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 1), ENOENT);
}

TEST_P(BsdOptionsTest, CongestionIsChosenBeforeConnectingOrLater) {
  const auto in_use = [](Bsd& host, int fd) {
    std::array<char, 16> name{};
    socklen_t size = name.size();
    EXPECT_EQ(host.getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size), 0);
    return std::string(name.data());
  };
  const int fd = fresh();
  EXPECT_EQ(a.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
  EXPECT_EQ(in_use(a, fd), "reno");
  open();
  EXPECT_EQ(in_use(a, client), "cubic");
  EXPECT_EQ(in_use(b, server), "cubic");
  // With the octet that ends a string too.
  EXPECT_EQ(a.setsockopt(client, IPPROTO_TCP, TCP_CONGESTION, "reno", 5), 0);
  EXPECT_EQ(in_use(a, client), "reno");
  EXPECT_EQ(set(a, client, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  EXPECT_EQ(in_use(a, client), "reno") << "other options leave it";
  EXPECT_EQ(info(a, client).snd_cwnd, 10u);
}

TEST_P(BsdOptionsTest, InfoShowsTheConnection) {
  open();
  EXPECT_EQ(info(b, listener).state, TCP_LISTEN);
  EXPECT_EQ(info(a, client).state, TCP_ESTABLISHED);
  EXPECT_EQ(info(a, fresh()).state, TCP_CLOSE);
  EXPECT_EQ(info(a, client).snd_cwnd, 10u);
  EXPECT_NE(info(a, client).options & TCPI_OPT_TIMESTAMPS, 0);
  EXPECT_EQ(a.shutdown(client, SHUT_WR), 0);
  settle();
  EXPECT_EQ(info(a, client).state, TCP_FIN_WAIT2);
  EXPECT_EQ(info(b, server).state, TCP_CLOSE_WAIT);
  // Programs that know less ask for less.
  std::uint8_t state = 0;
  socklen_t size = sizeof state;
  EXPECT_EQ(b.getsockopt(server, IPPROTO_TCP, TCP_INFO, &state, &size), 0);
  EXPECT_EQ(size, 1u);
  EXPECT_EQ(state, TCP_CLOSE_WAIT);
}

TEST_P(BsdOptionsTest, MemoryShowsQueuesAndBuffers) {
  open();
  EXPECT_EQ(set(b, server, SOL_SOCKET, SO_RCVBUF, 30'000), 0);
  EXPECT_EQ(set(b, server, SOL_SOCKET, SO_SNDBUF, 40'000), 0);
  EXPECT_EQ(a.send(client, "12345", 5, 0), 5);
  settle();
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  EXPECT_EQ(b.getsockopt(server, SOL_SOCKET, SO_MEMINFO, memory.data(), &size), 0);
  EXPECT_EQ(size, sizeof memory);
  EXPECT_EQ(memory[SK_MEMINFO_RMEM_ALLOC], 5u);
  EXPECT_EQ(memory[SK_MEMINFO_RCVBUF], 60'000u);
  EXPECT_EQ(memory[SK_MEMINFO_SNDBUF], 80'000u);
}

TEST_P(BsdOptionsTest, TheTrafficClassIsSentWithoutTheBitsOfEcn) {
  open();
  const bool v4 = GetParam() == AF_INET;
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const int name = v4 ? IP_TOS : IPV6_TCLASS;
  EXPECT_EQ(set(a, client, level, name, 0x2f), 0);
  EXPECT_EQ(get(a, client, level, name), 0x2c);
  EXPECT_EQ(a.send(client, "x", 1, 0), 1);
  std::array<wire::Frame, 1> frames;
  ASSERT_EQ(stack_a.transmit(frames, now), 1u);
  EXPECT_EQ(wire::parse_ip(frames[0].front(), frames[0].size()).value().header.traffic_class, 0x2c);
  const std::uint8_t octet = 8;
  EXPECT_EQ(a.setsockopt(client, IPPROTO_IP, IP_TOS, &octet, 1), 0);
  EXPECT_EQ(get(a, client, IPPROTO_IP, IP_TOS), 8);
  EXPECT_ERRNO(set(a, client, IPPROTO_IP, IP_OPTIONS, 1), ENOPROTOOPT);
  if (v4) EXPECT_ERRNO(set(a, client, IPPROTO_IPV6, IPV6_TCLASS, 1), ENOPROTOOPT);
  if (!v4) EXPECT_ERRNO(set(a, client, IPPROTO_IPV6, IPV6_TCLASS, 256), EINVAL);
}

TEST_P(BsdOptionsTest, PacingRateIsOf32BitsOr64) {
  open();
  std::uint64_t rate = 0;
  socklen_t size = sizeof rate;
  EXPECT_EQ(a.getsockopt(client, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &size), 0);
  EXPECT_EQ(rate, ~std::uint64_t{0});
  EXPECT_EQ(get(a, client, SOL_SOCKET, SO_MAX_PACING_RATE), -1);
  rate = 10'000'000'000;
  EXPECT_EQ(a.setsockopt(client, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate), 0);
  rate = 0;
  EXPECT_EQ(a.getsockopt(client, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &size), 0);
  EXPECT_EQ(rate, 10'000'000'000u);
  EXPECT_EQ(get(a, client, SOL_SOCKET, SO_MAX_PACING_RATE), -1) << "more than 32 bits say";
  EXPECT_EQ(set(a, client, SOL_SOCKET, SO_MAX_PACING_RATE, 125'000), 0);
  EXPECT_EQ(info(a, client).max_pacing_rate, 125'000u);
  EXPECT_EQ(set(a, client, SOL_SOCKET, SO_MAX_PACING_RATE, -1), 0);
  EXPECT_EQ(info(a, client).max_pacing_rate, ~std::uint64_t{0});
  EXPECT_ERRNO(set(a, client, SOL_SOCKET, SO_MAX_PACING_RATE, 0), EINVAL);
}

TEST_P(BsdOptionsTest, MtuDiscoverySaysWhetherThereMayBeFragments) {
  open();
  EXPECT_EQ(get(a, client, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
  EXPECT_EQ(set(a, client, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT), 0);
  EXPECT_EQ(get(a, client, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DONT);
  const auto is_df = [&] {
    EXPECT_EQ(a.send(client, "x", 1, 0), 1);
    std::array<wire::Frame, 1> frames;
    EXPECT_EQ(stack_a.transmit(frames, now), 1u);
    return wire::parse_ip(frames[0].front(), frames[0].size()).value().header.dont_fragment;
  };
  EXPECT_EQ(set(a, client, IPPROTO_TCP, TCP_NODELAY, 1), 0);
  EXPECT_EQ(is_df(), GetParam() == AF_INET6);  // where there is no such bit
  EXPECT_EQ(set(a, client, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO), 0);
  EXPECT_TRUE(is_df());
  EXPECT_ERRNO(set(a, client, IPPROTO_IP, IP_MTU_DISCOVER, 4), EINVAL);
}

TEST_P(BsdOptionsTest, ErrorsOfTheCalls) {
  const int fd = fresh();
  int value = 1;
  socklen_t size = sizeof value;
  EXPECT_ERRNO(set(a, 99, TCP_NODELAY, 1), EBADF);
  EXPECT_ERRNO(a.getsockopt(99, IPPROTO_TCP, TCP_NODELAY, &value, &size), EBADF);
  EXPECT_ERRNO(a.setsockopt(fd, IPPROTO_TCP, TCP_CORK, nullptr, sizeof value), EFAULT);
  EXPECT_ERRNO(a.setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, 3), EINVAL);
  EXPECT_ERRNO(a.setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value), EINVAL);
  EXPECT_ERRNO(a.getsockopt(fd, IPPROTO_TCP, TCP_CORK, nullptr, &size), EFAULT);
  EXPECT_ERRNO(a.getsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, nullptr), EFAULT);
  EXPECT_ERRNO(a.getsockopt(fd, IPPROTO_UDP, TCP_CORK, &value, &size), ENOPROTOOPT);
  EXPECT_ERRNO(set(a, fd, IPPROTO_UDP, TCP_CORK, 1), ENOPROTOOPT);
  EXPECT_ERRNO(set(a, fd, TCP_INFO, 1), ENOPROTOOPT);
  EXPECT_ERRNO(set(a, fd, SOL_SOCKET, SO_ERROR, 1), ENOPROTOOPT);
  EXPECT_ERRNO(set(a, fd, TCP_USER_TIMEOUT, -1), EINVAL);
}

}  // namespace
}  // namespace synfin::tcp
