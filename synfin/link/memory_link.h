// SPDX-License-Identifier: Apache-2.0
//
// Two links joined back to back in memory: what one end sends, the other receives. No bytes are copied but
// those of `Frame::header`; slices change hands.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "synfin/link/link.h"

namespace synfin::link {

struct MemoryLinkCounters {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  /// Packets longer than the sender's MTU (super-segments of a link with offload excepted): lost, as on a
  /// wire.
  std::uint64_t dropped_too_long = 0;
  /// Packets for a peer that no longer exists.
  std::uint64_t dropped_peer_gone = 0;
};

/// One end of a pair. Both ends stay on one thread; either may go first. There is no latency and nothing to
/// wait on: frames are there for the peer as soon as `send` returns. A full queue refuses.
///
/// The pools behind the frames must outlive both ends: frames that nobody received go with the second end.
class MemoryLink final : public Link {
 public:
  ~MemoryLink() override;
  MemoryLink(const MemoryLink&) = delete;
  MemoryLink& operator=(const MemoryLink&) = delete;

  const LinkInfo& info() const override { return info_; }
  /// Never an error: what a peer sent before it went can still be read. A frame whose checksum the sender
  /// left to the link arrives as `checksum_verified`.
  [[nodiscard]] std::expected<std::size_t, LinkError> receive(std::span<wire::Frame> batch,
                                                              Instant now) override;
  [[nodiscard]] std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch,
                                                           Instant now) override;
  /// Of both ends.
  void disable_offload() override;

  const MemoryLinkCounters& counters() const { return counters_; }
  /// Frames that wait here for `receive`.
  std::size_t pending() const;

 private:
  struct Wire;
  friend std::pair<std::unique_ptr<MemoryLink>, std::unique_ptr<MemoryLink>> make_memory_pair(
      LinkInfo a, LinkInfo b, std::size_t queue_frames);
  MemoryLink(LinkInfo info, std::shared_ptr<Wire> wire, std::size_t end);

  LinkInfo info_;
  std::shared_ptr<Wire> wire_;
  std::size_t end_;
  MemoryLinkCounters counters_;
};

/// `queue_frames`: how many frames wait in each direction before `send` refuses; at least 1. All memory is
/// taken here.
std::pair<std::unique_ptr<MemoryLink>, std::unique_ptr<MemoryLink>> make_memory_pair(
    LinkInfo a, LinkInfo b, std::size_t queue_frames);

}  // namespace synfin::link
