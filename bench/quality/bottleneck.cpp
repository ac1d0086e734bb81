// SPDX-License-Identifier: Apache-2.0
#include "bottleneck.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include "synfin/link/netdev.h"
#include "synfin/link/tee.h"
#include "synfin/view/pcapng.h"

namespace synfin::bench {
namespace {

constexpr std::size_t kBatch = 64;
// The devices' own queues: never the bottleneck.
constexpr int kDeviceQueue = 10'000;
constexpr std::uint32_t kMtu = 1500;

void check(const link::NetdevResult& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

void write_setting(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/net/" + name;
  const link::FileDescriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
    throw std::runtime_error(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
}

// As much as the longest path needs, for either sender.
void set_buffers() {
  write_setting("ipv4/tcp_rmem", "4096 131072 16777216");
  write_setting("ipv4/tcp_wmem", "4096 16384 16777216");
}

void enter_namespace() {
  if (::unshare(CLONE_NEWNET) == 0) return;
  throw std::runtime_error(
      fmt::format("cannot make a network namespace: {} (run as root)", std::strerror(errno)));
}

void lengthen_queue(const std::string& device) {
  const link::FileDescriptor any{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  device.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
  request.ifr_qlen = kDeviceQueue;
  if (!any || ::ioctl(any.get(), SIOCSIFTXQLEN, &request) < 0) {
    throw std::runtime_error(fmt::format("cannot set the queue of {}: {}", device, std::strerror(errno)));
  }
}

std::unique_ptr<link::TunLink> open_device(const std::string& name, std::uint32_t address,
                                           wire::BlockPool& pool) {
  auto link = link::open_tun({.name = name, .mtu = kMtu, .pool = pool, .missing = link::TunMissing::kCreate});
  if (!link) throw std::runtime_error(link.error().message);
  lengthen_queue(name);
  (void)link::set_no_link_local(name);
  check(link::set_mtu(name, kMtu));
  check(link::set_up(name));
  check(link::add_address(name, {wire::IpAddress::v4(address), 24}));
  return std::move(*link);
}

}  // namespace

Instant steady_now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return Instant::from_ns(std::chrono::nanoseconds(since).count());
}

std::unique_ptr<link::TunLink> make_near(wire::BlockPool& pool, std::unique_ptr<link::TunLink>& synfin) {
  enter_namespace();
  check(link::set_up("lo"));
  set_buffers();
  write_setting("ipv4/ip_forward", "1");
  auto near = open_device("near", kNearKernel, pool);
  synfin = open_device("synfin0", kNearSynfin - 1, pool);
  return near;
}

std::unique_ptr<link::TunLink> make_far(wire::BlockPool& pool) {
  enter_namespace();
  check(link::set_up("lo"));
  set_buffers();
  auto far = open_device("far", kFarKernel, pool);
  check(link::add_route({wire::IpAddress::v4(kNearSynfin & 0xffff'ff00), 24}, "far"));
  return far;
}

class Bottleneck::Recorder final : public link::PacketObserver {
 public:
  explicit Recorder(const std::string& path) : writer_(open(path)) {
    const auto unix_now = std::chrono::system_clock::now().time_since_epoch();
    offset_ = std::chrono::nanoseconds(unix_now).count() - steady_now().ns();
  }
  void on_packet(link::Direction direction, const wire::Frame& frame, Instant now) override {
    const auto way = direction == link::Direction::kIn ? view::PacketDirection::kOutbound
                                                       : view::PacketDirection::kInbound;
    (void)writer_.write(now.ns() + offset_, way, frame, {});
  }

 private:
  static view::PcapngWriter open(const std::string& path) {
    auto writer = view::PcapngWriter::create(path);
    if (!writer) throw std::runtime_error(fmt::format("{}: {}", path, writer.error().message()));
    return std::move(*writer);
  }
  view::PcapngWriter writer_;
  std::int64_t offset_ = 0;
};

Bottleneck::Bottleneck(std::unique_ptr<link::TunLink> near, std::unique_ptr<link::TunLink> far,
                       const link::ImpairSpec& spec, wire::BlockPool& pool, const std::string& capture)
    : recorder_(capture.empty() ? nullptr : std::make_unique<Recorder>(capture)),
      near_(std::move(near)),
      far_(std::move(far), spec, pool) {
  if (recorder_) near_ = std::make_unique<link::TeeLink>(std::move(near_), *recorder_);
}

Bottleneck::~Bottleneck() = default;

void Bottleneck::run(Instant end) {
  std::array<wire::Frame, kBatch> frames;
  // From one side to the other; what the other does not take is lost, as on a wire.
  const auto carry = [&](link::Link& from, link::Link& to, Instant now) {
    const auto count = from.receive(frames, now);
    if (!count) throw std::runtime_error(count.error().message);
    const auto sent = to.send(std::span{frames}.first(*count), now);
    if (!sent) throw std::runtime_error(sent.error().message);
    for (wire::Frame& left : std::span{frames}.subspan(*sent, *count - *sent)) left.clear();
    return *count > 0;
  };
  for (Instant now = steady_now(); now < end; now = steady_now()) {
    const bool out = carry(*near_, far_, now);
    const bool in = carry(far_, *near_, now);
    if (out || in) continue;
    const std::int64_t left =
        std::max(std::min(far_.next_deadline(), end) - steady_now(), Duration::zero()).ns();
    const timespec limit{left / 1'000'000'000, left % 1'000'000'000};
    std::array<pollfd, 2> wanted{pollfd{near_->descriptor(), POLLIN, 0},
                                 pollfd{far_.descriptor(), POLLIN, 0}};
    ::ppoll(wanted.data(), wanted.size(), &limit, nullptr);
  }
}

}  // namespace synfin::bench
