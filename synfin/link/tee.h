// SPDX-License-Identifier: Apache-2.0
//
// A link that shows what passes through it: captures, ladders, counters of traffic.
#pragma once

#include <array>
#include <memory>

#include "synfin/link/link.h"

namespace synfin::link {

/// Seen from this program.
enum class Direction : std::uint8_t {
  kIn,
  kOut
};

class PacketObserver {
 public:
  virtual ~PacketObserver() = default;
  /// `frame` is valid during the call; who wants it longer shares it. It may be a super-segment or lack its
  /// checksum where the link has offload. Must not use the link it observes.
  virtual void on_packet(Direction direction, const wire::Frame& frame, Instant now) = 0;
};

/// Owns `inner`; `observer` must outlive the tee. Every received frame is shown before the caller sees it,
/// every sent one once the inner link has taken it: a frame that was refused and offered again is shown once.
/// For several observers, several tees.
class TeeLink final : public Link {
 public:
  TeeLink(std::unique_ptr<Link> inner, PacketObserver& observer);

  const LinkInfo& info() const override { return inner_->info(); }
  [[nodiscard]] std::expected<std::size_t, LinkError> receive(std::span<wire::Frame> batch,
                                                              Instant now) override;
  [[nodiscard]] std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch,
                                                           Instant now) override;
  Instant next_deadline() const override { return inner_->next_deadline(); }
  bool may_have_more() const override { return inner_->may_have_more(); }
  int descriptor() const override { return inner_->descriptor(); }
  void disable_offload() override { inner_->disable_offload(); }

  Link& inner() { return *inner_; }

 private:
  std::unique_ptr<Link> inner_;
  PacketObserver& observer_;
  // Second frames over the slices being sent: the inner link empties those it takes.
  std::array<wire::Frame, 32> shown_;
};

}  // namespace synfin::link
