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
#include <optional>
#include <utility>

#include "synfin/link/netdev.h"
#include "synfin/link/virtio_header.h"

namespace synfin::link {
namespace {

constexpr const char* kTunPath = "/dev/net/tun";
constexpr std::uint32_t kLargestMtu = 65535;
constexpr std::uint32_t kIpv6Header = 40;  // not counted in the length that it states

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

// What the device was asked for is told by its driver and not by the call that attaches to it.
bool knows_virtio_header(const FileDescriptor& file) {
  unsigned features = 0;
  return ::ioctl(file.get(), TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR) != 0;
}

// Tells the kernel what it need not do for us. A prepared device may still have what its last user wanted.
bool set_offload(const FileDescriptor& file, bool on) {
  // What kernels refuse is left out, the latest first; without TUN_F_CSUM there is nothing.
  constexpr unsigned kSum = TUN_F_CSUM, kV4 = kSum | TUN_F_TSO4, kBoth = kV4 | TUN_F_TSO6;
  for (const unsigned wanted : {kBoth | TUN_F_TSO_ECN, kBoth, kV4, kSum}) {
    if (on && ::ioctl(file.get(), TUNSETOFFLOAD, static_cast<unsigned long>(wanted)) == 0) return true;
  }
  (void)::ioctl(file.get(), TUNSETOFFLOAD, 0UL);
  return false;
}

bool set_virtio_header_size(const FileDescriptor& file) {
  int size = static_cast<int>(kVirtioHeaderSize);
  return ::ioctl(file.get(), TUNSETVNETHDRSZ, &size) == 0;
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
  // `read_packet` and `write_packet` are the two places that know how a packet lies in the file.
  const bool virtio_header = options.offload && knows_virtio_header(*file);
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | (virtio_header ? IFF_VNET_HDR : 0));
  if (::ioctl(file->get(), TUNSETIFF, &request) < 0) {
    return std::unexpected{attach_error(options.name, errno)};
  }
  if (virtio_header && !set_virtio_header_size(*file)) {
    return std::unexpected{system_error(
        fmt::format("TUN device {} does not take a virtio-net header; try without offload", options.name),
        errno)};
  }
  LinkInfo info{.name = request.ifr_name, .mtu = options.mtu, .offload = set_offload(*file, virtio_header)};
  const auto device = device_mtu(info.name);
  if (!device) return std::unexpected{device.error()};
  if (info.mtu == 0) info.mtu = std::min(*device, kLargestMtu);
  const std::uint32_t largest = std::min(std::max(*device, info.mtu), kLargestMtu);
  return std::make_unique<TunLink>(std::move(*file), std::move(info), largest, virtio_header, options.pool);
}

// Where packets are read into. With offload, where small ones are mixed with 64 KiB: a small block first and
// medium ones behind it, so that no packet is copied or lies in a block that it does not fill. Otherwise one
// block. What a packet leaves over is there for the next.
class TunLink::Landing {
 public:
  Landing(wire::BlockPool& pool, std::uint32_t largest, bool offload) : pool_(pool) {
    if (!offload) {
      first_ = largest;
      return;
    }
    for (std::uint32_t room = first_; room < largest; room += wire::BlockPool::kMedium) ++wanted_;
  }
  ~Landing() {
    for (std::size_t i = 0; i < kMost; ++i) {
      if (blocks_[i] != nullptr) wire::Slice{blocks_[i], 0, 0}.reset();
    }
  }
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;

  /// Makes room for as much as there is memory for; false: for nothing.
  bool prepare() {
    ready_ = 0;
    for (; ready_ < wanted_; ++ready_) {
      wire::Block*& block = blocks_[ready_];
      if (block == nullptr) {
        block = pool_.allocate(ready_ == 0 ? first_ : wire::BlockPool::kMedium);
        if (block == nullptr) break;
        pieces_[1 + ready_] = {block->data, block->capacity};
        if (ready_ == 0) first_ = block->capacity;
      }
    }
    return ready_ != 0;
  }
  /// The room, behind one for `header`.
  std::span<iovec> pieces(std::span<std::byte> header) {
    pieces_[0] = {header.data(), header.size()};
    return std::span{pieces_}.first(1 + ready_);
  }
  std::size_t room() const { return first_ + (ready_ - 1) * std::size_t{wire::BlockPool::kMedium}; }
  bool complete() const { return ready_ == wanted_; }
  /// Hands over the first `size` octets.
  void move_into(wire::Frame& frame, std::size_t size) {
    // A short packet would hold a large block for as long as the program leaves its bytes unread.
    if (first_ > wire::BlockPool::kSmall && size <= wire::BlockPool::kSmall) {
      if (wire::Slice copy = pool_.copy({blocks_[0]->data, size}); !copy.empty()) {
        frame.add(std::move(copy));
        return;
      }
    }
    for (std::size_t i = 0; size != 0; ++i) {
      wire::Block* const block = std::exchange(blocks_[i], nullptr);
      block->used = static_cast<std::uint32_t>(std::min<std::size_t>(size, block->capacity));
      size -= block->used;
      frame.add(wire::Slice{block, 0, block->used});
    }
  }

 private:
  static constexpr std::size_t kMost = 5;
  static_assert(wire::BlockPool::kSmall + (kMost - 1) * wire::BlockPool::kMedium > kLargestMtu + kIpv6Header);
  static_assert(kMost <= wire::Frame::kMaxSlices);

  wire::BlockPool& pool_;
  std::uint32_t first_ = wire::BlockPool::kSmall;
  std::size_t wanted_ = 1;
  std::size_t ready_ = 0;
  std::array<wire::Block*, kMost> blocks_{};
  std::array<iovec, 1 + kMost> pieces_;
};

TunLink::TunLink(FileDescriptor device, LinkInfo info, std::uint32_t largest_received, bool virtio_header,
                 wire::BlockPool& pool)
    : device_(std::move(device)),
      info_(std::move(info)),
      largest_received_(largest_received),
      virtio_header_(virtio_header),
      pool_(pool) {}

// A device that stays is left as it was found.
TunLink::~TunLink() {
  disable_offload();
}

void TunLink::disable_offload() {
  if (info_.offload) info_.offload = set_offload(device_, false);
}

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
  // One octet more than the largest packet, so that a read that fills the room shows a packet that was cut
  // off. Where the header is there, super-segments may be, even if they were switched off a moment ago.
  Landing landing{pool_, virtio_header_ ? kLargestMtu + kIpv6Header + 1 : largest_received_ + 1,
                  virtio_header_};
  std::size_t count = 0, octets = 0;
  may_have_more_ = true;
  // A dropped packet takes up a turn as well, so that a flood that finds no memory cannot keep the caller
  // here.
  for (std::size_t turn = 0; turn < batch.size() && octets < kHotOctets; ++turn) {
    const Fate fate = read_packet(landing, batch[count]);
    if (fate == Fate::kDone) octets += batch[count++].size();
    if (fate == Fate::kWouldBlock) {
      may_have_more_ = false;
      break;
    }
    if (fate == Fate::kDead) {
      // Final, so the next call meets it again; what was read before it is delivered first.
      if (count != 0) break;
      return std::unexpected{device_error(error_)};
    }
  }
  counters_.received += count;
  return count;
}

TunLink::Fate TunLink::read_packet(Landing& landing, wire::Frame& frame) {
  if (!landing.prepare()) return read_and_discard();
  VirtioHeader header{};
  const std::size_t header_size = virtio_header_ ? header.size() : 0;
  const std::span<iovec> pieces = landing.pieces(std::span{header}.first(header_size));
  ssize_t size = 0;
  do {
    size = ::readv(device_.get(), pieces.data(), static_cast<int>(pieces.size()));
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failed(errno);
  if (static_cast<std::size_t>(size) < header_size) {
    ++counters_.receive_dropped_bad_header;
    return Fate::kDropped;
  }
  const std::size_t length = static_cast<std::size_t>(size) - header_size;
  if (length == landing.room()) {
    ++(landing.complete() ? counters_.receive_dropped_too_long : counters_.receive_dropped_no_memory);
    return Fate::kDropped;
  }
  frame.clear();
  landing.move_into(frame, length);
  if (virtio_header_ && !apply_virtio_header(header, frame)) {
    frame.clear();
    ++counters_.receive_dropped_bad_header;
    return Fate::kDropped;
  }
  return Fate::kDone;
}

// Left in the device, the packet would keep the descriptor readable and the program spinning.
TunLink::Fate TunLink::read_and_discard() {
  std::array<std::byte, kVirtioHeaderSize + 1> start;  // less than a header's room is an error
  ssize_t size = 0;
  do {
    size = ::read(device_.get(), start.data(), start.size());
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
  VirtioHeader header;
  std::array<iovec, 2 + wire::Frame::kMaxSlices> pieces;
  int count = 0;
  const auto piece = [&](Bytes bytes) {
    // writev only reads, but its type is shared with readv.
    if (!bytes.empty()) {
      pieces[static_cast<std::size_t>(count++)] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
  };
  const bool left_over = frame.segment_size != 0 || frame.needs_checksum;
  const auto wanted = left_over && !info_.offload ? std::nullopt : virtio_header_of(frame);
  if (!wanted) {
    ++counters_.send_dropped_offload;
    return Fate::kDropped;
  }
  if (virtio_header_) {
    header = *wanted;
    piece(header);
  }
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
