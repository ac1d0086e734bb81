// SPDX-License-Identifier: Apache-2.0
//
// A Linux TUN device: the kernel routes IP packets to it, and this program is the wire behind it.
#pragma once

#include <memory>
#include <string>

#include "synfin/link/file_descriptor.h"
#include "synfin/link/link.h"

namespace synfin::link {

/// What to do where no device of that name exists.
enum class TunMissing : std::uint8_t {
  kFail,    // the device was prepared by somebody else
  kCreate,  // needs CAP_NET_ADMIN; the device vanishes with the link
};

struct TunOptions {
  std::string name;
  /// Octets of the largest packet to take and to give, at most 65535; 0: what the device has. The device's
  /// own MTU is not changed.
  std::uint32_t mtu = 0;
  /// Where received packets are put; outlives the link.
  wire::BlockPool& pool;
  TunMissing missing = TunMissing::kFail;
  /// Super-segments and checksums left to the other side, in both directions (IFF_VNET_HDR), as far as the
  /// kernel offers them; `LinkInfo::offload` says what came of it. Whoever looks at single packets leaves it
  /// off.
  bool offload = false;
};

struct TunCounters {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  /// Received packets lost because the pool had no block left.
  std::uint64_t receive_dropped_no_memory = 0;
  /// Received packets whose virtio-net header cannot be true: see `apply_virtio_header`.
  std::uint64_t receive_dropped_bad_header = 0;
  /// Received packets longer than a block for the MTU: the device's MTU was raised while it was open.
  std::uint64_t receive_dropped_too_long = 0;
  /// Packets that the kernel refused (EINVAL, EMSGSIZE, …): not IP, or too long.
  std::uint64_t send_dropped_refused = 0;
  /// Super-segments and unfilled checksums where `info().offload` is false, and such as are not TCP.
  std::uint64_t send_dropped_offload = 0;
};

/// Each received packet lies whole in one slice, with an empty header; with offload, one of more than
/// `BlockPool::kSmall` octets in several, of which the first has the headers. Between calls the link holds no
/// blocks. Errors of the device are final: it is down or has been deleted.
class TunLink final : public Link {
 public:
  /// `device`: an open, non-blocking /dev/net/tun, attached with IFF_TUN and IFF_NO_PI, and with IFF_VNET_HDR
  /// where `virtio_header`.
  TunLink(FileDescriptor device, LinkInfo info, std::uint32_t largest_received, bool virtio_header,
          wire::BlockPool& pool);
  ~TunLink() override;
  TunLink(const TunLink&) = delete;
  TunLink& operator=(const TunLink&) = delete;

  const LinkInfo& info() const override { return info_; }
  /// With offload a batch ends at `kHotOctets`, full or not.
  [[nodiscard]] std::expected<std::size_t, LinkError> receive(std::span<wire::Frame> batch,
                                                              Instant now) override;
  [[nodiscard]] std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch,
                                                           Instant now) override;
  bool may_have_more() const override { return may_have_more_; }
  int descriptor() const override { return device_.get(); }
  void disable_offload() override;

  const TunCounters& counters() const { return counters_; }

  /// What `receive` gives at once of super-segments: more would have left the nearest cache before it is
  /// read.
  static constexpr std::size_t kHotOctets = 256 * 1024;

 private:
  class Landing;
  enum class Fate : std::uint8_t {
    kDone,
    kDropped,
    kWouldBlock,
    kDead
  };
  Fate read_packet(Landing& landing, wire::Frame& frame);
  Fate read_and_discard();
  Fate write_packet(const wire::Frame& frame);
  Fate failed(int code);
  LinkError device_error(int code) const;

  FileDescriptor device_;
  LinkInfo info_;
  std::uint32_t largest_received_;
  bool virtio_header_;
  wire::BlockPool& pool_;
  bool may_have_more_ = true;
  // What made the device dead.
  int error_ = 0;
  TunCounters counters_;
};

/// Opens or creates the device. Neither its addresses nor its state are touched. The error says what, why and
/// what to do: no /dev/net/tun, no permission, no such device, not a TUN device, in use.
///
/// A device that is up before it is opened gets its carrier by this, which the kernel takes up to a second to
/// notice; until then it drops what it routes there. A device opened first and set up afterwards works at
/// once.
[[nodiscard]] std::expected<std::unique_ptr<TunLink>, LinkError> open_tun(const TunOptions& options);

/// Whether /dev/net/tun can be opened by this process; the error says what to do.
[[nodiscard]] std::expected<void, LinkError> check_tun_available();

}  // namespace synfin::link
