// SPDX-License-Identifier: Apache-2.0
//
// The window that is offered, the buffers behind both windows, and what they give back when memory is short.
// Read first: RFC 9293 §3.8.6.2.2, RFC 2018 §8.
//
// Buffers are counted in octets of text. The blocks in which it lies may be twice as large: where a peer's
// segments fill them worse than that, less is offered, and what was offered already is copied together.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;

namespace {

// Memory for each octet of a buffer.
constexpr std::uint64_t kMemoryPerOctet = 2;
// Congestion windows that the send buffer holds: one in flight, one to follow it, and while a loss is being
// repaired, what has arrived beyond it in two round trips. With two, as Linux has, the grid of tests/netsim
// loses up to a quarter where a tenth of the segments is reordered.
constexpr std::uint32_t kWindowsQueued = 4;
// A connection that has received less than this, or a few segments into a smaller buffer, is not tuned yet.
constexpr std::uint64_t kWorthTuning = 16 * 1024;

bool is_sparse(const SliceQueue& q) {
  return q.memory() > kMemoryPerOctet * q.size() + q.memory_at_ends();
}

}  // namespace

std::uint64_t Connection::memory_received() const {
  return rcv_.queue.memory() + (rcv_.beyond != nullptr ? rcv_.beyond->memory() : 0);
}

// The least that `memory_limit` can be.
std::uint64_t Connection::memory_surely_allowed() const {
  return kMemoryPerOctet * rcv_.buffer;
}

// Half-read and half-filled blocks come on top, and a block for crumbs.
std::uint64_t Connection::memory_limit() const {
  return kMemoryPerOctet * rcv_.buffer + rcv_.queue.memory_at_ends() + wire::BlockPool::kSmall;
}

// Octets of such text as there is that the buffer has memory for.
std::uint32_t Connection::receive_capacity() const {
  const std::uint64_t spare = rcv_.queue.memory_at_ends() + std::uint64_t{wire::BlockPool::kSmall};
  const std::uint64_t held = memory_received();
  const std::uint64_t octets =
      rcv_.queue.size() + (rcv_.beyond != nullptr ? std::uint64_t{rcv_.beyond->octets()} : 0);
  if (held <= kMemoryPerOctet * octets + spare) return rcv_.buffer;
  return static_cast<std::uint32_t>(kMemoryPerOctet * rcv_.buffer * octets / (held - spare));
}

// The right edge moves only by steps worth telling (RFC 9293 §3.8.6.2.2, MUST-39), and never to the left
// (SHLD-14).
std::uint32_t Connection::window_to_offer(Context& ctx) const {
  const std::uint32_t told = receive_window();
  const std::uint32_t step = std::min(rcv_.buffer / 2, full_segment());
  if (rcv_.buffer < told + step) return told;  // whatever is free of it
  std::uint32_t capacity = receive_capacity();
  const std::uint32_t segment = std::max<std::uint32_t>(full_segment(), seen_mss_);
  switch (ctx.memory_level()) {
    case MemoryLevel::kPlenty:
      break;
    case MemoryLevel::kPressure:
      // As much as there is always memory for.
      capacity = std::min(capacity, std::max(ctx.settings.tcp_rmem.min, 4 * segment));
      break;
    case MemoryLevel::kFull:
      // One is taken whatever the level; a second, so that less than one that is left is no reason to wait.
      capacity = std::min(capacity, 2 * segment);
      break;
  }
  const std::uint32_t used = rcv_.queue.size();
  const std::uint32_t room = capacity > used ? capacity - used : 0;
  return room >= told + step ? room : told;
}

wire::WireWindow Connection::offer_window(Context& ctx) {
  // Rounded up: rounding down could take back octets that were offered. The buffer may be exceeded by less
  // than one unit of the scale.
  const std::uint8_t shift = rcv_.scale.shift();
  const std::uint32_t unit = (1u << shift) - 1;
  const std::uint32_t window = (window_to_offer(ctx) + unit) & ~unit;
  const wire::WireWindow field = Window{window} >> rcv_.scale;
  rcv_.offered = (field << rcv_.scale).octets;
  rcv_.edge = later(rcv_.edge, rcv_.nxt + rcv_.offered);
  return field;
}

// What was offered is taken; where it comes in blocks that it fills badly, it is copied together first, and
// what waits beyond a hole goes only if that is not enough, as on Linux.
void Connection::stay_within_buffer(Context& ctx) {
  if (memory_received() <= memory_limit()) return;
  ctx.count(Counter::kPruneCalled);
  if (is_sparse(rcv_.queue)) ctx.counters[Counter::kTCPRcvCollapsed] += rcv_.queue.collapse(ctx.pool);
  const std::uint64_t limit = memory_limit(), in_order = rcv_.queue.memory();
  if (memory_received() > limit) prune_to(limit > in_order ? limit - in_order : 0, ctx);
  if (memory_received() > limit) ctx.count(Counter::kRcvPruned);
}

std::size_t Connection::prune_to(std::uint64_t memory, Context& ctx) {
  if (rcv_.beyond == nullptr) return 0;
  const std::size_t pieces = rcv_.beyond->prune(memory);
  if (pieces > 0) ctx.count(Counter::kOfoPruned);
  if (rcv_.beyond->empty()) rcv_.beyond.reset();
  return pieces;
}

bool Connection::prune(Context& ctx) {
  const bool full = ctx.memory_level() == MemoryLevel::kFull;
  if (prune_to(full ? 0 : ctx.settings.tcp_rmem.min, ctx) == 0) return false;
  ctx.count(Counter::kPruneCalled);
  return true;
}

void Connection::collapse(Context& ctx) {
  if (!is_sparse(rcv_.queue)) return;
  ctx.count(Counter::kPruneCalled);
  ctx.counters[Counter::kTCPRcvCollapsed] += rcv_.queue.collapse(ctx.pool);
}

void Connection::make_tuning(const Context& ctx) {
  if (tuning_ != nullptr) return;
  tuning_ = std::make_unique<Tuning>(ctx.now, rtt_.smoothed(), next_to_read(), rcv_.nxt, receive_window(),
                                     first_space());
}

// Behind text that arrived in order.
void Connection::time_receiver(const Segment& seg, std::uint32_t piece, Context& ctx) {
  if (tuning_ == nullptr) {
    if (traffic_.received < std::min<std::uint64_t>(kWorthTuning, rcv_.buffer / 2)) return;
    make_tuning(ctx);
  }
  if (!timestamps_ || !seg.has_timestamps()) {
    tuning_->arrived(rcv_.nxt, receive_window(), ctx.now);
    return;
  }
  const std::uint32_t echo = seg.header.options.timestamps.echo;
  const std::uint32_t elapsed = timestamp_value(ctx.now, timestamp_offset_) - echo;
  constexpr std::uint32_t kOldest = 3'600'000;
  if (piece >= seen_mss_ && echo != 0 && elapsed < kOldest)
    tuning_->heard_echo(echo, Duration::milliseconds(elapsed));
}

// Behind a read.
void Connection::tune_receive_buffer(Context& ctx) {
  const std::uint32_t beyond = rcv_.beyond != nullptr ? rcv_.beyond->octets() : 0;
  const auto wanted = tuning_->read_up_to(next_to_read(), beyond, full_segment(), ctx.now);
  if (!wanted || choices().receive_buffer > 0 || !ctx.settings.tcp_moderate_rcvbuf) return;
  if (ctx.memory_level() != MemoryLevel::kPlenty) return;
  const std::uint32_t most = std::min(ctx.settings.tcp_rmem.max, 0xffffu << rcv_.scale.shift());
  const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(*wanted, most));
  rcv_.buffer = std::max(rcv_.buffer, size);
}

std::uint32_t Connection::send_buffer(const Settings& settings) const {
  if (choices().send_buffer > 0) return choices().send_buffer;
  const std::uint64_t first = std::uint64_t{kWindowsQueued} * settings.tcp_init_cwnd * text_limit();
  const std::uint64_t tuned = tuning_ != nullptr ? tuning_->send_buffer : 0;
  const auto wanted = std::min<std::uint64_t>(std::max(first, tuned), settings.tcp_wmem.max);
  return std::max(settings.tcp_wmem.initial, static_cast<std::uint32_t>(wanted));
}

// It does not shrink with the congestion window, as what is in flight then is still what the larger one let
// out.
void Connection::tune_send_buffer(const Context& ctx) {
  if (choices().send_buffer > 0) return;
  const std::uint64_t wanted = std::min<std::uint64_t>(std::uint64_t{kWindowsQueued} * congestion_.window(),
                                                       ctx.settings.tcp_wmem.max);
  if (wanted <= send_buffer(ctx.settings) || ctx.memory_level() != MemoryLevel::kPlenty) return;
  make_tuning(ctx);
  tuning_->send_buffer = static_cast<std::uint32_t>(wanted);
}

}  // namespace synfin::tcp
