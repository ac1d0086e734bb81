// SPDX-License-Identifier: Apache-2.0
#include "synfin/link/memory_link.h"

#include <algorithm>
#include <array>

namespace synfin::link {
namespace {

class FrameRing {
 public:
  explicit FrameRing(std::size_t capacity) : frames_(std::max<std::size_t>(capacity, 1)) {}

  bool full() const { return size_ == frames_.size(); }
  std::size_t size() const { return size_; }
  void push(wire::Frame&& frame) {
    std::size_t tail = head_ + size_;
    if (tail >= frames_.size()) tail -= frames_.size();
    frames_[tail] = std::move(frame);
    ++size_;
  }
  void pop_into(wire::Frame& frame) {
    frame = std::move(frames_[head_]);
    if (++head_ == frames_.size()) head_ = 0;
    --size_;
  }

 private:
  std::vector<wire::Frame> frames_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace

// `to[i]` holds what end i has yet to receive.
struct MemoryLink::Wire {
  explicit Wire(std::size_t capacity) : to{FrameRing{capacity}, FrameRing{capacity}} {}
  std::array<FrameRing, 2> to;
  // Null: gone.
  std::array<MemoryLink*, 2> ends{};
};

MemoryLink::MemoryLink(LinkInfo info, std::shared_ptr<Wire> wire, std::size_t end)
    : info_(std::move(info)), wire_(std::move(wire)), end_(end) {
  wire_->ends[end_] = this;
}

MemoryLink::~MemoryLink() {
  wire_->ends[end_] = nullptr;
}

void MemoryLink::disable_offload() {
  for (MemoryLink* const end : wire_->ends) {
    if (end != nullptr) end->info_.offload = false;
  }
}

std::size_t MemoryLink::pending() const {
  return wire_->to[end_].size();
}

std::expected<std::size_t, LinkError> MemoryLink::receive(std::span<wire::Frame> batch, Instant) {
  FrameRing& ring = wire_->to[end_];
  const std::size_t count = std::min(batch.size(), ring.size());
  for (wire::Frame& frame : batch.first(count)) {
    ring.pop_into(frame);
    // The bytes never left this process, so a checksum nobody computed cannot be wrong.
    if (frame.needs_checksum) frame.checksum_verified = true;
  }
  counters_.received += count;
  return count;
}

std::expected<std::size_t, LinkError> MemoryLink::send(std::span<wire::Frame> batch, Instant) {
  const std::size_t peer = 1 - end_;
  FrameRing& ring = wire_->to[peer];
  std::size_t taken = 0;
  for (wire::Frame& frame : batch) {
    const bool super_segment = info_.offload && frame.segment_size != 0;
    if (wire_->ends[peer] == nullptr) {
      ++counters_.dropped_peer_gone;
      frame.clear();
    } else if (!super_segment && frame.size() > info_.mtu) {
      ++counters_.dropped_too_long;
      frame.clear();
    } else if (ring.full()) {
      break;
    } else {
      ring.push(std::move(frame));
      ++counters_.sent;
    }
    ++taken;
  }
  return taken;
}

std::pair<std::unique_ptr<MemoryLink>, std::unique_ptr<MemoryLink>> make_memory_pair(
    LinkInfo a, LinkInfo b, std::size_t queue_frames) {
  auto wire = std::make_shared<MemoryLink::Wire>(queue_frames);
  std::unique_ptr<MemoryLink> first{new MemoryLink{std::move(a), wire, 0}};
  std::unique_ptr<MemoryLink> second{new MemoryLink{std::move(b), std::move(wire), 1}};
  return {std::move(first), std::move(second)};
}

}  // namespace synfin::link
