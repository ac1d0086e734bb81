// SPDX-License-Identifier: Apache-2.0
//
// The lab, with the real kernel in it.
#include "synfin/link/lab.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <thread>

#include "synfin/link/lab_test_kit.h"
#include "synfin/link/netdev.h"
#include "synfin/wire/checksum.h"

namespace synfin::link {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

// Exchanges a packet's source and destination address, which leaves all its checksums right.
void swap_addresses(std::string& packet, bool v4) {
  const std::size_t source = v4 ? 12 : 8;
  const std::size_t size = v4 ? 4 : 16;
  std::swap_ranges(packet.begin() + static_cast<std::ptrdiff_t>(source),
                   packet.begin() + static_cast<std::ptrdiff_t>(source + size),
                   packet.begin() + static_cast<std::ptrdiff_t>(source + size));
}

void kernel_datagram_arrives(Lab& lab, const wire::Prefix& kernel, const wire::Prefix& synfin) {
  const FileDescriptor socket = kernel_socket(kernel.address, SOCK_DGRAM);
  send_to(socket, synfin.address, 7777, "from the kernel");
  const wire::Frame frame =
      next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "from the kernel"); });
  EXPECT_EQ(frame.header_size, 0U);
  ASSERT_EQ(frame.slice_count, 1U);
  const bool v4 = kernel.address.is_v4();
  EXPECT_EQ(load_u8(frame.front().data()) >> 4, v4 ? 4 : 6);
  EXPECT_EQ(frame.size(), (v4 ? 20U : 40U) + 8 + 15);
  const auto source = v4 ? wire::IpAddress::from_v4_octets(frame.front().data() + 12)
                         : wire::IpAddress::from_v6_octets(frame.front().data() + 8);
  EXPECT_EQ(source, kernel.address);
}

TEST(Lab, KernelDatagramsOfBothFamiliesArriveAtOnce) {
  lab_test([](Lab& lab, wire::BlockPool& pool) {
    EXPECT_EQ(lab.kernel_v4.to_string(), "10.77.0.1/24");
    EXPECT_EQ(lab.kernel_v6.to_string(), "fd77::1/64");
    EXPECT_EQ(lab.synfin_v4.to_string(), "10.77.0.2/24");
    EXPECT_EQ(lab.synfin_v6.to_string(), "fd77::2/64");
    EXPECT_EQ(lab.link->info().name, "synfin0");
    EXPECT_FALSE(lab.link->info().offload);
    kernel_datagram_arrives(lab, lab.kernel_v4, lab.synfin_v4);
    EXPECT_EQ(lab.ipv6_problem, "");
    kernel_datagram_arrives(lab, lab.kernel_v6, lab.synfin_v6);
    EXPECT_EQ(pool.blocks_in_use(), 0U);
    EXPECT_GE(lab.link->counters().received, 2U);
  });
}

// The kernel pings, and the answer is made by hand: the same packet with its addresses exchanged and the type
// changed.
void ping_is_answered(Lab& lab, const wire::IpAddress& synfin) {
  const bool v4 = synfin.is_v4();
  const FileDescriptor socket = kernel_socket(synfin, SOCK_RAW, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
  // Type, code, checksum (by the kernel for IPv6), identifier, sequence, data.
  std::string echo{v4 ? "\x08\0\0\0\x12\x34\0\x01ping" : "\x80\0\0\0\x12\x34\0\x01ping", 12};
  if (v4) {
    wire::ChecksumAccumulator sum;
    sum.add(bytes_of(echo));
    store_be16(std::as_writable_bytes(std::span{echo}).data() + 2, sum.finish());
  }
  send_to(socket, synfin, 0, echo);

  const wire::Frame request =
      next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "ping"); });
  ASSERT_GT(request.size(), 28U);
  std::string answer = text_of(request);
  swap_addresses(answer, v4);
  const std::size_t icmp = v4 ? 20 : 40;
  std::byte* const octets = std::as_writable_bytes(std::span{answer}).data();
  store_u8(octets + icmp, v4 ? 0 : 129);
  store_be16(octets + icmp + 2, 0);
  wire::ChecksumAccumulator sum;
  if (!v4) {
    sum.add_pseudo_header(wire::IpAddress::from_v6_octets(octets + 8),
                          wire::IpAddress::from_v6_octets(octets + 24), IPPROTO_ICMPV6, 12);
  }
  sum.add(bytes_of(std::string_view{answer}.substr(icmp)));
  store_be16(octets + icmp + 2, sum.finish());

  // Half in the header part, half in slices, as a stack would hand it over.
  wire::BlockPool pool;
  wire::Frame frame = frame_of(pool, answer.substr(0, icmp), answer.substr(icmp, 8));
  frame.add(pool.copy(bytes_of(answer.substr(icmp + 8))));
  send_one(*lab.link, std::move(frame));

  std::array<char, 256> heard{};
  for (;;) {
    const ssize_t size = ::recv(socket.get(), heard.data(), heard.size(), 0);
    ASSERT_GT(size, 0) << "no answer: " << std::strerror(errno);
    const std::string text{heard.data(), static_cast<std::size_t>(size)};
    if (contains(text, "ping") && text[v4 ? 20 : 0] == static_cast<char>(v4 ? 0 : 129)) break;
  }
  EXPECT_EQ(lab.link->counters().send_dropped_refused, 0U);
}

TEST(Lab, KernelTakesAnEchoReplyOverIpv4) {
  lab_test([](Lab& lab, wire::BlockPool&) { ping_is_answered(lab, lab.synfin_v4.address); });
}

TEST(Lab, KernelTakesAnEchoReplyOverIpv6) {
  lab_test([](Lab& lab, wire::BlockPool&) { ping_is_answered(lab, lab.synfin_v6.address); });
}

TEST(Lab, KernelAnswersAnEchoRequestFromUs) {
  lab_test([](Lab& lab, wire::BlockPool& pool) {
    std::string packet{
        "\x45\0\0\x20\0\x01\0\0\x40\x01\0\0\x0a\x4d\0\x02\x0a\x4d\0\x01\x08\0\0\0\0\x07\0\x01haha", 32};
    std::byte* const octets = std::as_writable_bytes(std::span{packet}).data();
    wire::ChecksumAccumulator ip;
    ip.add(Bytes{octets, 20});
    store_be16(octets + 10, ip.finish());
    wire::ChecksumAccumulator icmp;
    icmp.add(Bytes{octets + 20, 12});
    store_be16(octets + 22, icmp.finish());
    send_one(*lab.link, frame_of(pool, packet));
    const wire::Frame reply =
        next_packet(*lab.link, [](const std::string& text) { return contains(text, "haha"); });
    ASSERT_EQ(reply.size(), 32U);
    EXPECT_EQ(load_u8(reply.front().data() + 20), 0) << "echo reply";
  });
}

TEST(Lab, LoopbackIsUp) {
  lab_test([](Lab&, wire::BlockPool&) {
    const auto local = wire::IpAddress::v4(127, 0, 0, 1);
    const FileDescriptor socket = kernel_socket(local, SOCK_DGRAM);
    send_to(socket, local, 9, "discard");
  });
}

TEST(Lab, IsQuiet) {
  lab_test([](Lab& lab, wire::BlockPool&) {
    const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_DGRAM);
    send_to(socket, lab.synfin_v4.address, 7777, "the end");
    std::size_t others = 0;
    next_packet(*lab.link, [&](const std::string& packet) {
      if (contains(packet, "the end")) return true;
      // Router solicitation, ICMPv6 type 133, without extension headers.
      others +=
          packet.size() > 40 && packet[6] == IPPROTO_ICMPV6 && packet[40] == static_cast<char>(133) ? 1 : 0;
      return false;
    });
    EXPECT_EQ(others, 0U);
  });
}

TEST(Lab, JumboPacketsArriveWholeAndSmallOnesHoldLittleMemory) {
  lab_test(
      [](Lab& lab, wire::BlockPool& pool) {
        EXPECT_EQ(device_mtu("synfin0").value(), 60'000U);
        const FileDescriptor socket = kernel_socket(lab.kernel_v4.address, SOCK_DGRAM);
        send_to(socket, lab.synfin_v4.address, 7777, std::string(59'972, 'j'));
        send_to(socket, lab.synfin_v4.address, 7777, "small");
        wire::Frame jumbo =
            next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "jjj"); });
        EXPECT_EQ(jumbo.size(), 60'000U);
        ASSERT_EQ(jumbo.slice_count, 1U);
        jumbo.clear();
        const wire::Frame small =
            next_packet(*lab.link, [](const std::string& packet) { return contains(packet, "small"); });
        EXPECT_EQ(text_of(small).substr(28), "small");
        EXPECT_EQ(pool.bytes_in_use(), wire::BlockPool::kSmall);
      },
      60'000);
}

TEST(Lab, BelowTheIpv6MtuThereIsIpv4AndAReason) {
  lab_test(
      [](Lab& lab, wire::BlockPool&) {
        EXPECT_THAT(lab.ipv6_problem, HasSubstr("1280"));
        kernel_datagram_arrives(lab, lab.kernel_v4, lab.synfin_v4);
      },
      576);
}

TEST(Lab, TheHostDoesNotSeeIt) {
  lab_test([](Lab&, wire::BlockPool&) { EXPECT_TRUE(device_index("synfin0")); });
  EXPECT_FALSE(device_index("synfin0"));
}

TEST(Lab, RefusesAProcessWithThreads) {
  in_child([] {
    if (!check_tun_available()) return std::string{"there is no TUN here"};
    wire::BlockPool pool;
    std::thread other{[] { ::pause(); }};
    other.detach();
    const auto lab = make_lab({.pool = pool});
    EXPECT_FALSE(lab);
    const std::string message = lab ? "" : lab.error().message;
    EXPECT_THAT(message, HasSubstr("before the program starts other threads"));
    return std::string{};
  });
}

// As an ordinary user, with a /dev/net/tun as most distributions have it: made in a mount namespace of the
// test's own.
bool become_user_with_tun_file(mode_t mode) {
  if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    return false;
  if (::mount("tmpfs", "/dev/net", "tmpfs", 0, nullptr) < 0) return false;
  if (mode != 0 &&
      (::mknod("/dev/net/tun", S_IFCHR | mode, makedev(10, 200)) < 0 || ::chmod("/dev/net/tun", mode) < 0)) {
    return false;
  }
  return ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0 &&
         ::prctl(PR_SET_DUMPABLE, 1) == 0;  // or /proc/self would belong to root
}

TEST(Lab, OrdinaryUserGetsAUserNamespace) {
  in_child([] {
    if (!become_user_with_tun_file(0666)) return std::string{"this test needs root to set itself up"};
    return with_lab(1500, [](Lab& lab, wire::BlockPool&) {
      EXPECT_EQ(::geteuid(), 0U) << "root, but only in there";
      kernel_datagram_arrives(lab, lab.kernel_v4, lab.synfin_v4);
      kernel_datagram_arrives(lab, lab.kernel_v6, lab.synfin_v6);
    });
  });
}

void lab_fails_with(mode_t tun_mode, std::string_view what, std::string_view what_to_do) {
  in_child([&] {
    if (!become_user_with_tun_file(tun_mode)) return std::string{"this test needs root to set itself up"};
    wire::BlockPool pool;
    const auto lab = make_lab({.pool = pool});
    EXPECT_FALSE(lab);
    if (lab) return std::string{};
    EXPECT_THAT(lab.error().message, HasSubstr(std::string{what}));
    EXPECT_THAT(lab.error().message, HasSubstr(std::string{what_to_do}));
    EXPECT_THAT(lab.error().message, Not(HasSubstr("\n")));
    EXPECT_EQ(::geteuid(), 65534U) << "nothing was changed";
    return std::string{};
  });
}

TEST(Lab, WithoutPermissionForTunItSaysWhatToDo) {
  lab_fails_with(0600, "cannot open /dev/net/tun: Permission denied", "run as root");
}

TEST(Lab, WithoutTunItSaysWhatToDo) {
  lab_fails_with(0, "cannot open /dev/net/tun: No such file or directory", "modprobe tun");
}

}  // namespace
}  // namespace synfin::link
