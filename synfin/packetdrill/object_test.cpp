// SPDX-License-Identifier: Apache-2.0
//
// The object as the tool sees it: loaded by name, through its table of functions, in virtual time. The
// packets of the other side are made here. Once for each kind of address.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "synfin/packetdrill/interface.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/packet.h"

namespace synfin::packetdrill {
namespace {

using wire::Flags;
using wire::SeqNum;
using wire::TcpHeader;
using wire::TcpOptions;

enum class Kind : std::uint8_t {
  kIpv4,
  kIpv6,
  kMapped  // AF_INET6 sockets and IPv4 packets
};

std::string name_of(const testing::TestParamInfo<Kind>& info) {
  switch (info.param) {
    case Kind::kIpv4:
      return "Ipv4";
    case Kind::kIpv6:
      return "Ipv6";
    case Kind::kMapped:
      return "Mapped";
  }
  return "";
}

struct Packet {
  long long at_us = 0;
  wire::IpHeader ip;
  TcpHeader tcp;
  std::size_t text = 0;
};

class ObjectTest : public testing::TestWithParam<Kind> {
 protected:
  static constexpr std::uint16_t kPort = 8080, kPeerPort = 40'000;
  static constexpr std::uint32_t kPeerIss = 4'294'967'000;  // wraps within the first segment of text

  void SetUp() override {
    void* object = dlopen(SYNFIN_PACKETDRILL_OBJECT, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    ASSERT_NE(object, nullptr) << dlerror();
    using Init = void (*)(const char*, packetdrill_interface*);
    const auto init = reinterpret_cast<Init>(dlsym(object, "packetdrill_interface_init"));
    ASSERT_NE(init, nullptr);
    init("tcp_delack_max=40ms,tcp_quick_acks=0", &i);
  }
  void TearDown() override { i.free(i.userdata); }

  bool v4() const { return GetParam() != Kind::kIpv6; }
  int domain() const { return GetParam() == Kind::kIpv4 ? AF_INET : AF_INET6; }
  wire::IpAddress own() const { return *wire::IpAddress::parse(v4() ? "192.168.77.5" : "fd3d:1:2::5"); }
  wire::IpAddress peer() const { return *wire::IpAddress::parse(v4() ? "192.0.2.1" : "fd3d:9::1"); }

  struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  };
  Address address(const wire::IpAddress& host, std::uint16_t port) const {
    Address a;
    if (domain() == AF_INET) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      in.sin_addr.s_addr = htonl(host.v4_bits());
      std::memcpy(&a.storage, &in, a.size = sizeof in);
    } else {
      sockaddr_in6 in{};
      in.sin6_family = AF_INET6;
      in.sin6_port = htons(port);
      std::memcpy(&in.sin6_addr, host.octets().data(), 16);
      std::memcpy(&a.storage, &in, a.size = sizeof in);
    }
    return a;
  }

  // A segment of the peer's, `text` octets of zeros behind it.
  void inject(TcpHeader header, std::size_t text = 0) {
    wire::BlockPool pool;
    wire::Frame frame;
    if (text > 0) frame.add(pool.copy(std::vector<std::byte>(text)));
    wire::IpHeader ip;
    ip.source = peer();
    ip.destination = own_seen;
    ip.protocol = wire::protocol::kTcp;
    ip.hop_limit = 64;
    header.source_port = peer_port;
    header.destination_port = own_port;
    wire::emit_tcp_packet(ip, header, frame, wire::FillChecksum::kYes);
    std::vector<std::byte> octets(frame.size());
    frame.copy_out(0, octets);
    EXPECT_EQ(i.netdev_send(i.userdata, octets.data(), octets.size()), 0);
  }
  static TcpHeader header(std::uint8_t flags, SeqNum seq, SeqNum ack = {}) {
    TcpHeader h;
    h.flags = flags;
    h.seq = seq;
    h.ack = ack;
    h.window = {32'000};
    return h;
  }
  // What the stack sends next, checksums verified; nothing where that is never.
  std::optional<Packet> next_packet() {
    std::vector<std::byte> octets(65'536);
    std::size_t size = octets.size();
    Packet p;
    EXPECT_EQ(i.netdev_receive(i.userdata, octets.data(), &size, &p.at_us), 0);
    if (size == 0) return std::nullopt;
    octets.resize(size);
    wire::BlockPool pool;
    wire::Frame frame;
    frame.add(pool.copy(octets));
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    EXPECT_TRUE(ip.has_value());
    if (!ip) return std::nullopt;
    const auto tcp = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes);
    EXPECT_TRUE(tcp.has_value()) << "checksum";
    if (!tcp) return std::nullopt;
    p.ip = tcp->ip;
    p.tcp = tcp->tcp;
    p.text = tcp->payload_size;
    return p;
  }
  long long now_us() {
    timeval t{};
    i.gettimeofday(i.userdata, &t, nullptr);
    return t.tv_sec * 1'000'000LL + t.tv_usec;
  }

  int listen() {
    const int fd = i.socket(i.userdata, domain(), SOCK_STREAM, IPPROTO_TCP);
    EXPECT_GE(fd, 0);
    const Address local = address(own(), kPort);
    EXPECT_EQ(i.bind(i.userdata, fd, local.get(), local.size), 0) << std::strerror(errno);
    EXPECT_EQ(i.listen(i.userdata, fd, 5), 0);
    own_seen = own();
    own_port = kPort;
    peer_port = kPeerPort;
    return fd;
  }
  // The peer connects; its third segment is the last to be injected.
  void knock() {
    TcpHeader syn = header(Flags::kSyn, SeqNum{kPeerIss});
    syn.options.present = TcpOptions::kMss;
    syn.options.mss = 1000;
    inject(syn);
    const auto answer = next_packet();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->tcp.flags, Flags(Flags::kSyn | Flags::kAck));
    EXPECT_EQ(answer->tcp.ack, SeqNum{kPeerIss} + 1);
    EXPECT_EQ(answer->tcp.options.mss, v4() ? 1460 : 1440);
    theirs = SeqNum{kPeerIss} + 1;
    ours = answer->tcp.seq + 1;
    inject(header(Flags::kAck, theirs, ours));
  }
  int open() {
    const int listener = listen();
    knock();
    const int fd = i.accept(i.userdata, listener, nullptr, nullptr);
    EXPECT_GE(fd, 0) << std::strerror(errno);
    return fd;
  }

  packetdrill_interface i{};
  wire::IpAddress own_seen;
  std::uint16_t own_port = 0, peer_port = 0;
  SeqNum theirs, ours;
};

INSTANTIATE_TEST_SUITE_P(Kinds, ObjectTest, testing::Values(Kind::kIpv4, Kind::kIpv6, Kind::kMapped),
                         name_of);

TEST_P(ObjectTest, FillsInEveryFunction) {
  std::array<void*, sizeof i / sizeof(void*)> entries;
  std::memcpy(entries.data(), &i, sizeof i);
  for (std::size_t n = 0; n < entries.size(); ++n) EXPECT_NE(entries[n], nullptr) << "entry " << n;
}

TEST_P(ObjectTest, PlaysAPassiveConnectionToItsEnd) {
  const int fd = open();

  inject(header(Flags::kAck | Flags::kPsh, theirs, ours), 1000);
  theirs += 1000;
  int waiting = 0;
  EXPECT_EQ(i.ioctl(i.userdata, fd, FIONREAD, &waiting), 0);
  EXPECT_EQ(waiting, 1000);
  const auto acknowledged = next_packet();
  ASSERT_TRUE(acknowledged);
  EXPECT_EQ(acknowledged->tcp.ack, theirs);
  EXPECT_NEAR(static_cast<double>(acknowledged->at_us - now_us()), 0, 100) << "the clock went with the timer";
  std::array<char, 2000> buffer;
  EXPECT_EQ(i.read(i.userdata, fd, buffer.data(), buffer.size()), 1000);

  EXPECT_EQ(i.write(i.userdata, fd, buffer.data(), 1500), 1500);
  for (const std::size_t size : {1000u, 500u}) {
    const auto text = next_packet();
    ASSERT_TRUE(text);
    EXPECT_EQ(text->text, size);
    EXPECT_EQ(text->tcp.seq, ours);
    ours += static_cast<std::uint32_t>(size);
    inject(header(Flags::kAck, theirs, ours));  // Nagle's algorithm waits for it
  }

  EXPECT_EQ(i.close(i.userdata, fd), 0);
  const auto fin = next_packet();
  ASSERT_TRUE(fin);
  EXPECT_EQ(fin->tcp.flags, Flags(Flags::kFin | Flags::kAck));
  inject(header(Flags::kFin | Flags::kAck, theirs, ours + 1));
  const auto last = next_packet();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->tcp.ack, theirs + 1);
  EXPECT_EQ(last->tcp.flags, Flags(Flags::kAck));
  EXPECT_FALSE(next_packet()) << "and nothing more, for ever";
}

TEST_P(ObjectTest, TellsThePeersAddressToAccept) {
  const int listener = listen();
  knock();
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  ASSERT_GE(i.accept(i.userdata, listener, reinterpret_cast<sockaddr*>(&from), &size), 0);
  const Address expected = address(peer(), kPeerPort);
  ASSERT_EQ(size, expected.size);
  EXPECT_EQ(from.ss_family, domain());
  EXPECT_EQ(std::memcmp(&from, &expected.storage, size), 0);
}

TEST_P(ObjectTest, ConnectsWithoutWaiting) {
  const int fd = i.socket(i.userdata, domain(), SOCK_STREAM, 0);
  EXPECT_EQ(i.fcntl(i.userdata, fd, F_SETFL, O_RDWR | O_NONBLOCK), 0);
  const Address remote = address(peer(), kPort);
  EXPECT_EQ(i.connect(i.userdata, fd, remote.get(), remote.size), -1);
  EXPECT_EQ(errno, EINPROGRESS);
  const auto syn = next_packet();
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->tcp.flags, Flags(Flags::kSyn));
  EXPECT_EQ(syn->tcp.options.window_scale, 8) << "15 MiB of receive buffer";
  own_seen = syn->ip.source;
  own_port = syn->tcp.source_port;
  peer_port = kPort;
  inject(header(Flags::kSyn | Flags::kAck, SeqNum{kPeerIss}, syn->tcp.seq + 1));
  EXPECT_EQ(i.connect(i.userdata, fd, remote.get(), remote.size), 0);
  EXPECT_EQ(i.close(i.userdata, fd), 0);
}

// The tool's way: the call waits on a second thread, and ends at the moment at which the packet comes.
TEST_P(ObjectTest, AcceptWaitsOnAThread) {
  const int listener = listen();
  const long long begun = now_us();
  int accepted = -1;
  long long ended = 0;
  std::thread caller([&] {
    accepted = i.accept(i.userdata, listener, nullptr, nullptr);
    ended = now_us();
  });
  EXPECT_EQ((*i.usleep)(i.userdata, 200'000), 0);
  knock();
  // The clock was held until the other thread had read it.
  caller.join();
  EXPECT_GE(accepted, 0);
  EXPECT_NEAR(static_cast<double>(ended - begun), 200'000, 100);
}

TEST_P(ObjectTest, ReadEndsWhenTextComes) {
  const int fd = open();
  std::array<char, 100> buffer;
  ssize_t got = 0;
  long long ended = 0;
  const long long begun = now_us();
  std::thread caller([&] {
    got = i.read(i.userdata, fd, buffer.data(), buffer.size());
    ended = now_us();
  });
  EXPECT_EQ((*i.usleep)(i.userdata, 5'000'000), 0);
  inject(header(Flags::kAck, theirs, ours), 40);
  caller.join();
  EXPECT_EQ(got, 40);
  EXPECT_NEAR(static_cast<double>(ended - begun), 5'000'000, 100);
}

TEST_P(ObjectTest, PollRunsOutInVirtualTime) {
  const int fd = open();
  const long long begun = now_us();
  pollfd p{fd, POLLIN, 0};
  EXPECT_EQ(i.poll(i.userdata, &p, 1, 3'600'000), 0);
  EXPECT_NEAR(static_cast<double>(now_us() - begun), 3.6e9, 1000) << "an hour";
}

TEST_P(ObjectTest, ACallThatNothingCanEndDoesNotHang) {
  const int fd = open();
  char octet = 0;
  EXPECT_EQ(i.read(i.userdata, fd, &octet, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_P(ObjectTest, EpollTellsOfText) {
  const int fd = open();
  const int epoll = i.epoll_create(i.userdata, 1);
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  EXPECT_EQ(i.epoll_ctl(i.userdata, epoll, EPOLL_CTL_ADD, fd, &event), 0);
  epoll_event got{};
  EXPECT_EQ(i.epoll_wait(i.userdata, epoll, &got, 1, 10), 0);
  inject(header(Flags::kAck, theirs, ours), 40);
  EXPECT_EQ(i.epoll_wait(i.userdata, epoll, &got, 1, 10), 1);
  EXPECT_EQ(got.events, static_cast<std::uint32_t>(EPOLLIN));
  EXPECT_EQ(got.data.fd, fd);
}

// The tool closes what a script leaves open with the system's own call.
TEST_P(ObjectTest, SocketsAreDescriptorsOfTheProcess) {
  const int fd = open();
  EXPECT_GE(::fcntl(fd, F_GETFD), 0);
  EXPECT_EQ(i.close(i.userdata, fd), 0);
  EXPECT_LT(::fcntl(fd, F_GETFD), 0);
}

TEST_P(ObjectTest, NothingToSendIsNoPacket) {
  EXPECT_FALSE(next_packet());
  (void)listen();
  EXPECT_FALSE(next_packet());
}

TEST_P(ObjectTest, TheClockMovesByItself) {
  const long long first = now_us();
  EXPECT_EQ(now_us(), first + 1);
  EXPECT_EQ((*i.usleep)(i.userdata, 1000), 0);
  EXPECT_EQ(now_us(), first + 1002);
}

}  // namespace
}  // namespace synfin::packetdrill
