// SPDX-License-Identifier: Apache-2.0
//
// TUN devices of the real kernel, each in a lab's namespace.
#include "synfin/link/tun.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "synfin/link/lab_test_kit.h"
#include "synfin/link/netdev.h"
#include "synfin/wire/checksum.h"
#include "synfin/wire/packet.h"

namespace synfin::link {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kHere = wire::IpAddress::v4(10, 78, 0, 1);
constexpr auto kThere = wire::IpAddress::v4(10, 78, 0, 2);

// A device as `ip tuntap add` leaves it. The closed descriptor shows that it stays without one.
void make_persistent(const std::string& name, short flags) {
  const FileDescriptor file{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = flags;
  ASSERT_EQ(::ioctl(file.get(), TUNSETIFF, &request), 0) << std::strerror(errno);
  ASSERT_EQ(::ioctl(file.get(), TUNSETPERSIST, 1), 0);
}

void expect_ok(const NetdevResult& result) {
  EXPECT_TRUE(result) << result.error().message;
}

std::string message_of(const TunOptions& options) {
  const auto link = open_tun(options);
  EXPECT_FALSE(link) << "opened";
  if (link) return {};
  EXPECT_THAT(link.error().message, Not(HasSubstr("\n")));
  EXPECT_NE(link.error().code, 0);
  return link.error().message;
}

TEST(Tun, OpensAPreparedDeviceAndLeavesItAsItIs) {
  lab_test([](Lab&, wire::BlockPool& pool) {
    make_persistent("prepared", IFF_TUN | IFF_NO_PI);
    expect_ok(set_mtu("prepared", 1380));
    expect_ok(add_address("prepared", {kHere, 24}));
    expect_ok(add_address("prepared", {kHere, 24}));  // again: no error
    expect_ok(set_up("prepared"));
    auto link = open_tun({.name = "prepared", .pool = pool});
    ASSERT_TRUE(link) << link.error().message;
    EXPECT_EQ((*link)->info().mtu, 1380U);
    EXPECT_EQ((*link)->info().name, "prepared");
    const FileDescriptor socket = kernel_socket(kThere, SOCK_DGRAM);
    // The kernel drops packets until it has noticed the carrier.
    bool arrived = false;
    for (int attempt = 0; attempt < 200 && !arrived; ++attempt) {
      send_to(socket, kThere, 7777, "prepared for you");
      pollfd readable{(*link)->descriptor(), POLLIN, 0};
      std::array<wire::Frame, 1> batch;
      arrived = ::poll(&readable, 1, 50) == 1 && (*link)->receive(batch, Instant{}).value() == 1 &&
                contains(text_of(batch[0]), "prepared for you");
    }
    EXPECT_TRUE(arrived);
    link->reset();
    EXPECT_TRUE(device_index("prepared"));
    EXPECT_EQ(device_mtu("prepared").value(), 1380U);
    auto smaller = open_tun({.name = "prepared", .mtu = 1300, .pool = pool});
    ASSERT_TRUE(smaller) << smaller.error().message;
    EXPECT_EQ((*smaller)->info().mtu, 1300U);
    EXPECT_EQ(device_mtu("prepared").value(), 1380U);
  });
}

TEST(Tun, CreatedDeviceVanishesWithItsLink) {
  lab_test([](Lab&, wire::BlockPool& pool) {
    auto link = open_tun({.name = "brief%d", .pool = pool, .missing = TunMissing::kCreate});
    ASSERT_TRUE(link) << link.error().message;
    EXPECT_EQ((*link)->info().name, "brief0");
    EXPECT_TRUE(device_index("brief0"));
    link->reset();
    EXPECT_FALSE(device_index("brief0"));
  });
}

TEST(Tun, RefusalsSayWhatWhyAndWhatToDo) {
  lab_test([](Lab&, wire::BlockPool& pool) {
    EXPECT_THAT(
        message_of({.name = "missing", .pool = pool}),
        HasSubstr("there is no TUN device missing: make it first: ip tuntap add dev missing mode tun"));
    EXPECT_FALSE(device_index("missing"));
    EXPECT_THAT(message_of({.name = "synfin0", .pool = pool}),
                HasSubstr("synfin0 is in use by another program"));
    make_persistent("ethernet", IFF_TAP | IFF_NO_PI);
    EXPECT_THAT(message_of({.name = "ethernet", .pool = pool}), HasSubstr("ethernet is not a TUN device"));
    EXPECT_THAT(message_of({.name = "lo", .pool = pool}), HasSubstr("lo is not a TUN device"));
    EXPECT_THAT(message_of({.name = "", .pool = pool}), HasSubstr("'' cannot name a TUN device"));
    EXPECT_THAT(message_of({.name = "sixteen-letters!", .pool = pool}), HasSubstr("1 to 15 characters"));
    EXPECT_THAT(message_of({.name = "big", .mtu = 65536, .pool = pool, .missing = TunMissing::kCreate}),
                HasSubstr("at most 65535"));
    EXPECT_THAT(message_of({.name = "a/b", .pool = pool, .missing = TunMissing::kCreate}), HasSubstr("a/b"));
  });
}

TEST(Tun, BatchEndsWhenThereIsNothingMore) {
  lab_test([](Lab& lab, wire::BlockPool&) {
    const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_DGRAM);
    std::array<wire::Frame, 64> batch;
    while (lab.link->receive(batch, Instant{}).value() != 0) {
    }
    EXPECT_FALSE(lab.link->may_have_more());
    for (int i = 0; i < 5; ++i) send_to(socket, lab.synfin_v4.address, 7777, "one of five");
    const auto mine = [&](std::size_t count) {
      return std::count_if(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(count),
                           [](const wire::Frame& frame) { return contains(text_of(frame), "one of five"); });
    };
    const auto first = mine(lab.link->receive(std::span{batch}.first(3), Instant{}).value());
    EXPECT_LE(first, 3);
    EXPECT_TRUE(lab.link->may_have_more());
    EXPECT_EQ(first + mine(lab.link->receive(batch, Instant{}).value()), 5);
    EXPECT_EQ(lab.link->receive({}, Instant{}).value(), 0U);
  });
}

TEST(Tun, WithoutMemoryPacketsAreDroppedAndCounted) {
  lab_test([](Lab& lab, wire::BlockPool&) {
    wire::BlockPool no_memory{0};
    auto link = open_tun({.name = "poor", .pool = no_memory, .missing = TunMissing::kCreate});
    ASSERT_TRUE(link) << link.error().message;
    expect_ok(set_no_link_local("poor"));
    expect_ok(add_address("poor", {kHere, 24}));
    expect_ok(set_up("poor"));
    const FileDescriptor socket = kernel_socket(kThere, SOCK_DGRAM);
    for (int i = 0; i < 3; ++i) send_to(socket, kThere, 7777, "lost");
    std::array<wire::Frame, 64> batch;
    EXPECT_EQ((*link)->receive(batch, Instant{}).value(), 0U);
    EXPECT_GE((*link)->counters().receive_dropped_no_memory, 3U);
    pollfd readable{(*link)->descriptor(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 0), 0) << "nothing is left to spin on";
    EXPECT_EQ(lab.link->counters().receive_dropped_no_memory, 0U);
  });
}

TEST(Tun, PacketsOfARaisedMtuAreDroppedNotCutOff) {
  lab_test([](Lab& lab, wire::BlockPool&) {
    expect_ok(set_mtu("synfin0", 9000));
    const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_DGRAM);
    send_to(socket, lab.synfin_v4.address, 7777, std::string(5000, 'x'));
    send_to(socket, lab.synfin_v4.address, 7777, "short enough");
    next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "short enough"); });
    EXPECT_EQ(lab.link->counters().receive_dropped_too_long, 1U);
  });
}

TEST(Tun, RefusedPacketIsDroppedAndTheNextIsSent) {
  lab_test([](Lab& lab, wire::BlockPool& pool) {
    std::array<wire::Frame, 5> out;
    out[0] = frame_of(pool, "1: no such version of IP");
    out[1] = frame_of(pool, "");
    out[2] = frame_of(pool, "E super");
    out[2].segment_size = 1000;
    out[3] = frame_of(pool, "E unfilled");
    out[3].needs_checksum = true;
    out[4] = frame_of(pool, "E the driver looks no further than the version", "in two parts");
    const auto sent = lab.link->send(out, Instant{});
    ASSERT_TRUE(sent) << sent.error().message;
    EXPECT_EQ(*sent, 5U);
    EXPECT_EQ(lab.link->counters().sent, 1U);
    EXPECT_EQ(lab.link->counters().send_dropped_refused, 2U);
    EXPECT_EQ(lab.link->counters().send_dropped_offload, 2U);
    for (const auto& frame : out) EXPECT_EQ(frame.size(), 0U);
    EXPECT_EQ(pool.blocks_in_use(), 0U);
  });
}

// The far end of a connection of the kernel's, by hand.
class ByHand {
 public:
  ByHand(Lab& lab, wire::BlockPool& pool, const wire::Prefix& own, const wire::Prefix& kernel)
      : lab_(lab), pool_(pool), own_(own.address), kernel_(kernel.address) {}

  // A segment whose checksum is the link's business.
  void send(wire::Flags flags, std::uint32_t seq, std::uint32_t ack, std::uint16_t port,
            std::string_view text = {}, std::uint16_t segment_size = 0) {
    wire::TcpHeader tcp;
    tcp.source_port = kPort;
    tcp.destination_port = port;
    tcp.seq = wire::SeqNum{seq};
    tcp.ack = wire::SeqNum{ack};
    tcp.flags = flags;
    tcp.window = {65535};
    if (flags.syn()) {
      tcp.options.present = wire::TcpOptions::kMss;
      tcp.options.mss = 1000;
    }
    wire::Frame frame;
    if (!text.empty()) frame.add(pool_.copy(bytes_of(text)));
    wire::emit_tcp_packet({.source = own_, .destination = kernel_}, tcp, frame,
                          wire::FillChecksum::kPseudoHeaderOnly);
    frame.segment_size = segment_size;
    send_one(*lab_.link, std::move(frame));
  }

  struct Received {
    wire::TcpPacket packet;
    wire::Frame frame;
    std::string text;
  };
  // The kernel's next segment.
  Received next() {
    Received r;
    r.frame = next_packet(*lab_.link, [&](const std::string& octets) {
      const auto ip = wire::parse_ip(bytes_of(octets), octets.size());
      return ip && ip->header.protocol == wire::protocol::kTcp && ip->header.destination == own_;
    });
    const auto ip = wire::parse_ip(r.frame.front(), r.frame.size());
    EXPECT_TRUE(ip);
    if (!ip) return r;
    const auto packet = wire::parse_tcp_packet(*ip, r.frame, wire::VerifyChecksum::kYes);
    EXPECT_TRUE(packet);
    if (!packet) return r;
    r.packet = *packet;
    r.text = text_of(r.frame).substr(packet->payload_offset, packet->payload_size);
    return r;
  }

  static constexpr std::uint16_t kPort = 7777;

 private:
  Lab& lab_;
  wire::BlockPool& pool_;
  wire::IpAddress own_, kernel_;
};

void with_both_families(
    const std::function<void(Lab&, ByHand&, const wire::Prefix&, wire::BlockPool&)>& body) {
  lab_test(
      [&](Lab& lab, wire::BlockPool& pool) {
        ASSERT_TRUE(lab.link->info().offload) << "this kernel offers none";
        ByHand v4{lab, pool, lab.synfin_v4, lab.kernel_v4};
        body(lab, v4, lab.synfin_v4, pool);
        if (!lab.ipv6_problem.empty()) return;
        ByHand v6{lab, pool, lab.synfin_v6, lab.kernel_v6};
        body(lab, v6, lab.synfin_v6, pool);
      },
      1500, true);
}

TEST(TunOffload, KernelTakesWhatIsLeftToIt) {
  with_both_families([](Lab& lab, ByHand& peer, const wire::Prefix&, wire::BlockPool& pool) {
    // To a port where nobody listens: the reset says how much of it was taken (RFC 9293 §3.10.7.1).
    peer.send(wire::Flags::kSyn, 100, 0, 9);
    EXPECT_EQ(peer.next().packet.tcp.ack, wire::SeqNum{101});
    peer.send(wire::Flags::kPsh, 100, 0, 9, std::string(60'000, 'x'), 1000);
    EXPECT_EQ(peer.next().packet.tcp.ack, wire::SeqNum{60'100});
    EXPECT_EQ(lab.link->counters().send_dropped_offload, 0U);
    EXPECT_EQ(lab.link->counters().send_dropped_refused, 0U);
    EXPECT_EQ(pool.blocks_in_use(), 0U);
  });
}

TEST(TunOffload, KernelSendsSuperSegments) {
  with_both_families([](Lab& lab, ByHand& peer, const wire::Prefix& own, wire::BlockPool& pool) {
    const FileDescriptor socket = kernel_socket(own.address, SOCK_STREAM | SOCK_NONBLOCK);
    const Address to = socket_address(own.address, ByHand::kPort);
    ASSERT_EQ(::connect(socket.get(), to.get(), to.size), -1);
    ASSERT_EQ(errno, EINPROGRESS);
    const wire::TcpHeader syn = peer.next().packet.tcp;
    ASSERT_TRUE(syn.flags.syn());
    std::uint32_t expected = (syn.seq + 1).raw();
    peer.send(wire::Flags::kSyn | wire::Flags::kAck, 500, expected, syn.source_port);
    peer.next();
    std::string text;
    for (int i = 0; text.size() < 50'000; ++i) text += std::to_string(i) + ' ';
    pollfd writable{socket.get(), POLLOUT, 0};
    ASSERT_EQ(::poll(&writable, 1, 5000), 1);
    ASSERT_EQ(::send(socket.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    std::string arrived;
    std::size_t super_segments = 0;
    while (arrived.size() < text.size() && !::testing::Test::HasFailure()) {
      const auto r = peer.next();
      EXPECT_EQ(r.packet.tcp.seq, wire::SeqNum{expected});
      EXPECT_TRUE(r.frame.checksum_verified);
      EXPECT_TRUE(r.frame.needs_checksum);
      if (r.frame.segment_size != 0) {
        EXPECT_EQ(r.frame.segment_size, 1000);
        EXPECT_GT(r.text.size(), 1000U);
        ++super_segments;
      } else {
        EXPECT_LE(r.text.size(), 1000U);
      }
      arrived += r.text;
      expected += static_cast<std::uint32_t>(r.text.size());
      peer.send(wire::Flags::kAck, 501, expected, syn.source_port);
    }
    EXPECT_EQ(arrived, text);
    EXPECT_GT(super_segments, 0U);
    EXPECT_EQ(lab.link->counters().receive_dropped_bad_header, 0U);
    EXPECT_EQ(pool.blocks_in_use(), 0U);
    peer.send(wire::Flags::kRst, 501, 0, syn.source_port);
  });
}

TEST(TunOffload, SmallPacketsLieInSmallBlocks) {
  lab_test(
      [](Lab& lab, wire::BlockPool& pool) {
        const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_DGRAM);
        send_to(socket, lab.synfin_v4.address, 7777, "small");
        const wire::Frame frame =
            next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "small"); });
        EXPECT_EQ(pool.bytes_in_use(), wire::BlockPool::kSmall);
        // The kernel left the checksum of the datagram to this side; the one of its address and text is
        // right.
        wire::ChecksumAccumulator sum;
        sum.add_pseudo_header(lab.kernel_v4.address, lab.synfin_v4.address, 17, 8 + 5);
        sum.add(frame.front().subspan(20));
        EXPECT_EQ(sum.finish(), 0);
      },
      1500, true);
}

TEST(TunOffload, WithoutMemoryPacketsAreDroppedAndCounted) {
  lab_test(
      [](Lab&, wire::BlockPool&) {
        wire::BlockPool little{wire::BlockPool::kSmall};
        auto link =
            open_tun({.name = "poor", .pool = little, .missing = TunMissing::kCreate, .offload = true});
        ASSERT_TRUE(link) << link.error().message;
        expect_ok(set_no_link_local("poor"));
        expect_ok(set_mtu("poor", 9000));
        expect_ok(add_address("poor", {kHere, 24}));
        expect_ok(set_up("poor"));
        const FileDescriptor socket = kernel_socket(kThere, SOCK_DGRAM);
        for (const std::size_t size : {5000U, 10U}) send_to(socket, kThere, 7777, std::string(size, 'x'));
        std::array<wire::Frame, 4> batch;
        ASSERT_EQ((*link)->receive(batch, Instant{}).value(), 1U);
        EXPECT_EQ(batch[0].size(), 38U);
        EXPECT_EQ((*link)->counters().receive_dropped_no_memory, 1U);
        send_to(socket, kThere, 7777, "no block left");
        EXPECT_EQ((*link)->receive(std::span{batch}.last(3), Instant{}).value(), 0U);
        EXPECT_EQ((*link)->counters().receive_dropped_no_memory, 2U);
        batch[0].clear();
        EXPECT_EQ(little.blocks_in_use(), 0U);
      },
      1500);
}

TEST(TunOffload, SwitchedOffPacketsComeOneByOne) {
  lab_test(
      [](Lab& lab, wire::BlockPool& pool) {
        lab.link->disable_offload();
        EXPECT_FALSE(lab.link->info().offload);
        const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_STREAM | SOCK_NONBLOCK);
        const Address to = socket_address(lab.synfin_v4.address, ByHand::kPort);
        (void)::connect(socket.get(), to.get(), to.size);
        ByHand peer{lab, pool, lab.synfin_v4, lab.kernel_v4};
        const auto r = peer.next();  // its checksum is verified there
        EXPECT_FALSE(r.frame.needs_checksum);
        EXPECT_FALSE(r.frame.checksum_verified);
        std::array<wire::Frame, 1> out;
        out[0] = frame_of(pool, "E unfilled");
        out[0].needs_checksum = true;
        EXPECT_EQ(lab.link->send(out, Instant{}).value(), 1U);
        EXPECT_EQ(lab.link->counters().send_dropped_offload, 1U);
      },
      1500, true);
}

TEST(TunOffload, PreparedDeviceIsLeftWithout) {
  lab_test([](Lab&, wire::BlockPool& pool) {
    make_persistent("prepared", IFF_TUN | IFF_NO_PI);
    expect_ok(set_no_link_local("prepared"));
    {
      auto with = open_tun({.name = "prepared", .pool = pool, .offload = true});
      ASSERT_TRUE(with) << with.error().message;
      EXPECT_TRUE((*with)->info().offload);
    }
    auto without = open_tun({.name = "prepared", .pool = pool});
    ASSERT_TRUE(without) << without.error().message;
    EXPECT_FALSE((*without)->info().offload);
    expect_ok(add_address("prepared", {kHere, 24}));
    expect_ok(set_up("prepared"));
    send_to(kernel_socket(kThere, SOCK_DGRAM), kThere, 7777, "plain");
    const wire::Frame frame =
        next_packet(**without, [](const std::string& packet) { return contains(packet, "plain"); });
    EXPECT_EQ(frame.size(), 33U) << "no header in front";
    EXPECT_EQ(frame.front()[0], std::byte{0x45});
  });
}

TEST(Tun, DeviceThatIsDownIsAnErrorOfSend) {
  lab_test([](Lab& lab, wire::BlockPool& pool) {
    expect_ok(set_down("synfin0"));
    std::array<wire::Frame, 1> out;
    out[0] = frame_of(pool, "E packet");
    const auto sent = lab.link->send(out, Instant{});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().message, "device synfin0 is down: bring it up with: ip link set synfin0 up");
    EXPECT_EQ(sent.error().code, EIO);
  });
}

TEST(Tun, DeletedDeviceWakesTheReaderAndIsAnErrorOfBoth) {
  lab_test([](Lab& lab, wire::BlockPool& pool) {
    expect_ok(remove_device("synfin0"));
    pollfd readable{lab.link->descriptor(), POLLIN, 0};
    EXPECT_EQ(::poll(&readable, 1, 0), 1);
    EXPECT_NE(readable.revents & POLLERR, 0);
    std::array<wire::Frame, 2> batch;
    for (int again = 0; again < 2; ++again) {
      const auto received = lab.link->receive(batch, Instant{});
      ASSERT_FALSE(received);
      EXPECT_EQ(received.error().message, "device synfin0 has been deleted while in use");
    }
    batch[0] = frame_of(pool, "E packet");
    const auto sent = lab.link->send(batch, Instant{});
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error().message, "device synfin0 has been deleted while in use");
  });
}

TEST(Netdev, RoutesLeadToTheDevice) {
  lab_test([](Lab& lab, wire::BlockPool&) {
    const auto far = wire::Prefix::parse("192.0.2.0/24").value();
    const auto far6 = wire::Prefix::parse("2001:db8::/32").value();
    expect_ok(add_route(far, "synfin0", lab.synfin_v4.address));
    expect_ok(add_route(far, "synfin0", lab.synfin_v4.address));
    expect_ok(add_route(far6, "synfin0"));
    for (const char* to : {"192.0.2.9", "2001:db8::9"}) {
      const auto address = wire::IpAddress::parse(to).value();
      send_to(kernel_socket(address, SOCK_DGRAM), address, 7777, to);
      next_packet(*lab.link, [&](const std::string& packet) { return contains(packet, to); });
    }
  });
}

TEST(Netdev, VethPairCarriesPacketsBetweenTwoNamespaces) {
  lab_test([](Lab&, wire::BlockPool&) {
    int ready[2];
    int done[2];
    ASSERT_EQ(::pipe(ready) | ::pipe(done), 0);
    const pid_t other = ::fork();
    ASSERT_GE(other, 0);
    char token = 'x';
    if (other == 0) {
      const bool apart = ::unshare(CLONE_NEWNET) == 0 && ::write(ready[1], &token, 1) == 1;
      // Until the veth has arrived here.
      const bool moved = apart && ::read(done[0], &token, 1) == 1;
      const bool up = moved && add_address("right", {kThere, 24}) && set_up("right");
      const auto socket = kernel_socket(kThere, SOCK_DGRAM);
      const Address own = socket_address(kThere, 7777);
      const bool bound =
          up && ::bind(socket.get(), own.get(), own.size) == 0 && ::write(ready[1], &token, 1) == 1;
      std::array<char, 16> text{};
      const bool heard = bound && ::recv(socket.get(), text.data(), text.size(), 0) == 5;
      ::_exit(heard && std::string_view{text.data()} == "hello" ? 0 : 1);
    }
    EXPECT_EQ(::read(ready[0], &token, 1), 1);
    expect_ok(add_veth("left", "right"));
    expect_ok(move_to_namespace("right", other));
    EXPECT_FALSE(device_index("right"));
    expect_ok(add_address("left", {kHere, 24}));
    expect_ok(set_up("left"));
    EXPECT_EQ(::write(done[1], &token, 1), 1);
    EXPECT_EQ(::read(ready[0], &token, 1), 1);
    send_to(kernel_socket(kHere, SOCK_DGRAM), kThere, 7777, "hello");
    int status = 0;
    EXPECT_EQ(::waitpid(other, &status, 0), other);
    EXPECT_EQ(status, 0);
  });
}

TEST(Netdev, ErrorsNameTheDeviceAndTheReason) {
  lab_test([](Lab&, wire::BlockPool&) {
    const auto message = [](const NetdevResult& result) {
      EXPECT_FALSE(result);
      return result ? std::string{} : result.error().message;
    };
    EXPECT_EQ(message(set_up("nowhere")), "no network device nowhere");
    EXPECT_EQ(message(remove_device("nowhere")), "no network device nowhere");
    EXPECT_THAT(message(set_mtu("synfin0", 70'000)),
                HasSubstr("cannot set the MTU of device synfin0 to 70000: Invalid argument"));
    EXPECT_THAT(message(add_route(wire::Prefix::parse("192.0.2.1/24").value(), "synfin0")),
                HasSubstr("cannot add a route to 192.0.2.1/24 through device synfin0: Invalid argument"));
    EXPECT_THAT(message(add_veth("synfin0", "other")), HasSubstr("File exists"));
  });
}

}  // namespace
}  // namespace synfin::link
