// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/tun.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "synfin/link/netdev.h"

namespace synfin::link {
namespace {

constexpr const char* kTunPath = "/dev/net/tun";
constexpr std::uint32_t kLargestMtu = 65535;
static_assert(kLargestMtu < wire::BlockPool::kLarge);

std::expected<FileDescriptor, LinkError> open_tun_file() {
  FileDescriptor file{::open(kTunPath, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (file) return file;
  const int code = errno;
  LinkError error = system_error(fmt::format("cannot open {}", kTunPath), code);
  if (code == ENOENT || code == ENODEV || code == ENXIO) {
    error.message +=
        " (this kernel or container has no TUN driver; try: modprobe tun, or give the container --device "
        "/dev/net/tun)";
  } else if (code == EACCES || code == EPERM) {
    error.message += " (run as root, or let everybody open it: chmod 0666 /dev/net/tun)";
  }
  return std::unexpected{std::move(error)};
}

LinkError attach_error(const std::string& name, int code) {
  switch (code) {
    case EPERM:
      return {
          fmt::format("no permission to use TUN device {0}: run as root, or have root prepare it: ip tuntap "
                      "add dev {0} mode tun user $USER",
                      name),
          code};
    case EBUSY:
      return {fmt::format("TUN device {} is in use by another program: end that one first", name), code};
    case EINVAL:
      return {
          fmt::format("{0} is not a TUN device of one queue: choose another name, or make one: ip tuntap add "
                      "dev {0} mode tun",
                      name),
          code};
    default:
      return system_error(fmt::format("cannot attach to TUN device {}", name), code);
  }
}

bool out_of_room(int code) {
  return code == EAGAIN || code == EWOULDBLOCK || code == ENOBUFS;
}

// What the driver says about the device; everything else is about one packet. EIO: it is down.
bool device_is_dead(int code) {
  return code == EIO || code == EBADFD || code == ENODEV || code == ENXIO || code == EBADF;
}

}  // namespace

std::expected<void, LinkError> check_tun_available() {
  auto file = open_tun_file();
  if (!file) return std::unexpected{std::move(file.error())};
  return {};
}

std::expected<std::unique_ptr<TunLink>, LinkError> open_tun(const TunOptions& options) {
  if (options.name.empty() || options.name.size() >= IFNAMSIZ) {
    return std::unexpected{
        LinkError{fmt::format("'{}' cannot name a TUN device: 1 to {} characters are allowed", options.name,
                              IFNAMSIZ - 1),
                  EINVAL}};
  }
  if (options.mtu > kLargestMtu) {
    return std::unexpected{LinkError{fmt::format("an MTU of {} is too large for TUN device {}: at most {}",
                                                 options.mtu, options.name, kLargestMtu),
                                     EINVAL}};
  }
  if (options.missing == TunMissing::kFail && !device_index(options.name)) {
    return std::unexpected{LinkError{
        fmt::format("there is no TUN device {0}: make it first: ip tuntap add dev {0} mode tun user $USER",
                    options.name),
        ENODEV}};
  }
  auto file = open_tun_file();
  if (!file) return std::unexpected{std::move(file.error())};

  ifreq request{};
  options.name.copy(request.ifr_name, IFNAMSIZ - 1);
  // With IFF_VNET_HDR, packets in both directions would begin with a virtio_net_hdr that carries
  // `segment_size` and `needs_checksum`: `read_packet` and `write_packet` are the two places that know how a
  // packet lies in the file.
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(file->get(), TUNSETIFF, &request) < 0) {
    return std::unexpected{attach_error(options.name, errno)};
  }
  LinkInfo info{.name = request.ifr_name, .mtu = options.mtu, .offload = false};
  const auto device = device_mtu(info.name);
  if (!device) return std::unexpected{device.error()};
  if (info.mtu == 0) info.mtu = std::min(*device, kLargestMtu);
  const std::uint32_t largest = std::min(std::max(*device, info.mtu), kLargestMtu);
  return std::make_unique<TunLink>(std::move(*file), std::move(info), largest, options.pool);
}

TunLink::TunLink(FileDescriptor device, LinkInfo info, std::uint32_t largest_received, wire::BlockPool& pool)
    : device_(std::move(device)), info_(std::move(info)), largest_received_(largest_received), pool_(pool) {}

LinkError TunLink::device_error(int code) const {
  switch (code) {
    case EIO:
      return {fmt::format("device {0} is down: bring it up with: ip link set {0} up", info_.name), code};
    case EBADFD:
    case ENODEV:
    case ENXIO:
      return {fmt::format("device {} has been deleted while in use", info_.name), code};
    default:
      return system_error(fmt::format("device {} failed", info_.name), code);
  }
}

std::expected<std::size_t, LinkError> TunLink::receive(std::span<wire::Frame> batch, Instant) {
  std::size_t count = 0;
  // A dropped packet takes up a turn as well, so that a flood that finds no memory cannot keep the caller
  // here.
  for (std::size_t turn = 0; turn < batch.size(); ++turn) {
    const Fate fate = read_packet(batch[count]);
    if (fate == Fate::kDone) ++count;
    if (fate == Fate::kWouldBlock) break;
    if (fate == Fate::kDead) {
      // Final, so the next call meets it again; what was read before it is delivered first.
      if (count != 0) break;
      return std::unexpected{device_error(error_)};
    }
  }
  counters_.received += count;
  return count;
}

TunLink::Fate TunLink::read_packet(wire::Frame& frame) {
  // One octet more than the largest packet, so that a read that fills the block shows a packet that was cut
  // off.
  wire::Block* const block = pool_.allocate(largest_received_ + 1);
  if (block == nullptr) return read_and_discard();
  wire::Slice packet{block, 0, block->capacity};
  ssize_t size = 0;
  do {
    size = ::read(device_.get(), block->data, block->capacity);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failed(errno);
  const auto length = static_cast<std::uint32_t>(size);
  if (length == block->capacity) {
    ++counters_.receive_dropped_too_long;
    return Fate::kDropped;
  }
  block->used = length;
  packet.truncate(length);
  frame.clear();
  // A short packet would hold a large block for as long as the program leaves its bytes unread.
  if (block->capacity > wire::BlockPool::kSmall && length <= wire::BlockPool::kSmall) {
    if (wire::Slice copy = pool_.copy(packet.bytes()); !copy.empty()) packet = std::move(copy);
  }
  frame.add(std::move(packet));
  return Fate::kDone;
}

// Left in the device, the packet would keep the descriptor readable and the program spinning.
TunLink::Fate TunLink::read_and_discard() {
  std::byte start{};
  ssize_t size = 0;
  do {
    size = ::read(device_.get(), &start, 1);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failed(errno);
  ++counters_.receive_dropped_no_memory;
  return Fate::kDropped;
}

std::expected<std::size_t, LinkError> TunLink::send(std::span<wire::Frame> batch, Instant) {
  std::size_t taken = 0;
  for (wire::Frame& frame : batch) {
    const Fate fate = write_packet(frame);
    if (fate == Fate::kWouldBlock) break;
    if (fate == Fate::kDead) {
      if (taken != 0) break;
      return std::unexpected{device_error(error_)};
    }
    if (fate == Fate::kDone) ++counters_.sent;
    frame.clear();
    ++taken;
  }
  return taken;
}

TunLink::Fate TunLink::write_packet(const wire::Frame& frame) {
  if (frame.segment_size != 0 || frame.needs_checksum) {
    ++counters_.send_dropped_offload;
    return Fate::kDropped;
  }
  std::array<iovec, 1 + wire::Frame::kMaxSlices> pieces;
  int count = 0;
  const auto piece = [&](Bytes bytes) {
    // writev only reads, but its type is shared with readv.
    if (!bytes.empty()) {
      pieces[static_cast<std::size_t>(count++)] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
  };
  piece(frame.header_bytes());
  for (std::size_t i = 0; i < frame.slice_count; ++i) piece(frame.slices[i].bytes());

  ssize_t size = 0;
  do {
    size = ::writev(device_.get(), pieces.data(), count);
  } while (size < 0 && errno == EINTR);
  // The driver answers an empty write with success and does nothing.
  if (size > 0) return Fate::kDone;
  if (size < 0) {
    const Fate fate = failed(errno);
    if (fate != Fate::kDropped) return fate;
  }
  ++counters_.send_dropped_refused;
  return Fate::kDropped;
}

TunLink::Fate TunLink::failed(int code) {
  if (out_of_room(code)) return Fate::kWouldBlock;
  if (!device_is_dead(code)) return Fate::kDropped;
  error_ = code;
  return Fate::kDead;
}

}  // namespace synfin::link
