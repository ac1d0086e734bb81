// SPDX-License-Identifier: Apache-2.0
//
// Text and FIN: where they are kept, when they are acknowledged. Read first: RFC 9293 §3.8.6.2.2, §3.8.6.3,
// §3.10.7.4.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

namespace {

// Calls `take` with each slice of [offset, offset + count) of a frame, in order, until it says false.
template <class Take>
void for_each_slice(wire::Frame& frame, std::uint32_t offset, std::uint32_t count, wire::BlockPool& pool,
                    Take take) {
  std::uint32_t position = frame.header_size;
  if (offset < position) {
    const std::uint32_t n = std::min(position - offset, count);
    if (!take(pool.copy(Bytes{frame.header.data() + offset, n}))) return;
    offset += n;
    count -= n;
  }
  for (std::size_t i = 0; i < frame.slice_count && count > 0; ++i) {
    const wire::Slice& s = frame.slices[i];
    if (offset < position + s.size()) {
      const std::uint32_t skip = offset - position;
      const std::uint32_t n = std::min(s.size() - skip, count);
      if (!take(s.sub(skip, n))) return;
      offset += n;
      count -= n;
    }
    position += s.size();
  }
}

}  // namespace

// Text at RCV.NXT. Returns how many octets found memory.
std::uint32_t Connection::take_text(const Segment& seg, std::uint32_t skip, std::uint32_t count,
                                    Context& ctx) {
  const SeqNum before = rcv_.nxt;
  std::uint32_t taken = 0;
  if (receive_shut_) {
    taken = count;
  } else if (!rcv_.queue.empty() && ctx.memory_level() == MemoryLevel::kFull) {
    // One segment is taken whatever the level, so that a program that reads gets on.
    ctx.count(Counter::kTCPBacklogDrop);
    return 0;
  } else {
    const bool was_empty = rcv_.queue.empty();
    for_each_slice(seg.frame, seg.text_offset + skip, count, ctx.pool, [&](wire::Slice s) {
      const std::uint32_t size = s.size();
      const std::uint32_t n = rcv_.queue.append(std::move(s), ctx.pool, SliceQueue::Small::kWait);
      taken += n;
      return n == size && n > 0;
    });
    if (taken < count) ctx.count(Counter::kTCPBacklogDrop);
    if (was_empty && taken > 0) events_ |= kReadable;
  }
  rcv_.nxt += taken;
  if (taken > 0 && rcv_.beyond != nullptr) {
    owe_ack(Reason::kAckSent);  // the hole is being filled: "SHOULD generate an ACK segment immediately" (RFC
                                // 5681 §4.2)
    fill_from_beyond(ctx);
  }
  traffic_.received += static_cast<std::uint32_t>(rcv_.nxt - before);
  time_receiver(seg, seg.piece_size(), ctx);
  stay_within_buffer(ctx);
  return taken;
}

Reason Connection::keep_beyond(const Segment& seg, std::uint32_t skip, std::uint32_t count, Context& ctx) {
  const MemoryLevel level = ctx.memory_level();
  if (level == MemoryLevel::kFull || (level == MemoryLevel::kPressure && rcv_.beyond != nullptr &&
                                      rcv_.beyond->memory() >= ctx.settings.tcp_rmem.min)) {
    ctx.count(Counter::kTCPOFODrop);
    return Reason::kNoMemory;
  }
  if (rcv_.beyond == nullptr) rcv_.beyond = std::make_unique<Reassembly>(rcv_.nxt, rcv_.buffer);
  SeqNum at = (seg.flags().syn() ? seg.seq() + 1 : seg.seq()) + skip;
  const auto run = rcv_.beyond->touch_duplicate(at, count);
  if (run) note_duplicate(run->left, run->right, Counter::kTCPDSACKOfoSent, ctx);
  bool kept = false;
  for_each_slice(seg.frame, seg.text_offset + skip, count, ctx.pool, [&](const wire::Slice& s) {
    const std::uint32_t size = s.size();
    if (size == 0) return false;
    kept = rcv_.beyond->insert(at, s, ctx.pool) || kept;
    at += size;
    return true;
  });
  if (rcv_.beyond->empty()) rcv_.beyond.reset();
  stay_within_buffer(ctx);
  return kept ? Reason::kDataOutOfOrder : run ? Reason::kOldDuplicate : Reason::kDataAfterWindow;
}

// "each duplicate contiguous sequence of data received is reported in at most one D-SACK block"  (RFC 2883
// §4)
void Connection::note_duplicate(SeqNum left, SeqNum right, Counter counter, Context& ctx) {
  if (!sack_ || !ctx.settings.tcp_dsack || !left.before(right)) return;
  ctx.count(counter);
  rcv_.twice_at = left;
  rcv_.twice = static_cast<std::uint16_t>(right - left);
}

void Connection::fill_from_beyond(Context& ctx) {
  while (auto next = rcv_.beyond->take(rcv_.nxt)) {
    const std::uint32_t size = next->size();
    if (receive_shut_) {
      rcv_.nxt += size;
      continue;
    }
    const std::uint32_t n = rcv_.queue.append(std::move(*next), ctx.pool);
    rcv_.nxt += n;
    // What found no memory was never acknowledged, so the peer sends it again.
    if (n < size) break;
  }
  if (rcv_.beyond->empty()) rcv_.beyond.reset();
}

// "the delay MUST be less than 0.5 seconds (MUST-40). An ACK SHOULD be generated for at least every second
// full-sized segment or 2*RMSS bytes of new data"  (RFC 9293 §3.8.6.3, SHLD-19)
void Connection::acknowledge_text(std::uint32_t octets, Context& ctx) {
  if (octets > seen_mss_) seen_mss_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(octets, 0xffff));
  rcv_.unacknowledged += octets;
  if (accurate_) marks().on_new_text();
  if (quick_ack_ || quick_acks_ > 0) {
    // A peer in slow start is waiting for each of them.
    if (quick_acks_ > 0) --quick_acks_;
    acks_owed_ = std::max<std::uint8_t>(acks_owed_, 1);
    return;
  }
  if (acks_owed_ > 0) return;  // it says this too
  if (rcv_.unacknowledged >=
      2u * std::min<std::uint32_t>(seen_mss_, mss_for(ctx.mtu, tuple_.local.address.family()))) {
    acks_owed_ = 1;
  } else if (!timers_.armed(Timer::kDelayedAck)) {
    timers_.set(Timer::kDelayedAck, ctx.now + ctx.settings.tcp_delack_max);
  }
}

// Segments of text that follow one another with the same header. The first goes through all the steps of
// §3.10.7.4; for those behind it the first six have nothing new to say, so what they do is done once, and
// only the seventh, the text, is done for each. What would make them say something new is asked here.
std::uint32_t Connection::room_for_more_text(const Segment& like) const {
  // Its own text was taken to the end, so none of the steps has stopped it, and nothing waits beyond a hole.
  const bool in_order = rcv_.nxt == like.seq() + like.text_size && rcv_.beyond == nullptr && !rcv_.fin_waits;
  if (!in_order || !is_synchronized(state_) || !may_receive_text(state_)) return 0;
  // It asks for nothing but to be acknowledged.
  const auto flags = static_cast<std::uint8_t>(like.flags().bits() & ~Flags::kPsh);
  const bool plain = flags == Flags::kAck && like.header.reserved == 0 && !like.congestion_marked() &&
                     (like.header.options.present & ~wire::TcpOptions::kTimestamps) == 0 && like.piece == 0;
  if (!plain || urgent_pending_ || accurate_) return 0;
  // First step: a second one with this timestamp is no older than TS.Recent either.
  if (timestamps_ && like.has_timestamps() &&
      static_cast<std::int32_t>(like.header.options.timestamps.value - rcv_.ts_recent) < 0)
    return 0;
  // Fifth: the same acknowledgement again changes nothing, unless it is counted.
  if (tail_probe_ || (flight_ != nullptr && flight_->state != CaState::kOpen)) return 0;
  // Seventh: somebody reads, and the reader's pace is being measured.
  if (receive_shut_ || program_gone_ || tuning_ == nullptr) return 0;
  return rcv_.edge.after(rcv_.nxt) ? receive_window() : 0;
}

// The text of a frame that nobody else needs.
std::uint32_t Connection::append_all(const MoreText& text, Context& ctx) {
  wire::Frame& frame = *text.frame;
  std::uint32_t skip = text.offset - frame.header_size, taken = 0;
  for (std::size_t i = 0; i < frame.slice_count; ++i) {
    wire::Slice& slice = frame.slices[i];
    const std::uint32_t before = std::min(skip, slice.size());
    skip -= before;
    slice.drop_front(before);
    const std::uint32_t size = slice.size();
    if (size == 0) continue;
    const std::uint32_t n = rcv_.queue.append(std::move(slice), ctx.pool, SliceQueue::Small::kWait);
    taken += n;
    if (n < size) break;
  }
  frame.clear();
  return taken;
}

std::size_t Connection::on_more_text(std::span<const MoreText> texts, const Segment& like, Reason& last,
                                     Context& ctx) {
  wire::TcpHeader header = like.header;
  header.seq = rcv_.nxt;
  const Segment second{header, *texts[0].frame, texts[0].offset, texts[0].size, like.ecn};
  (void)accept_ack(second, ctx);
  if (ecn_) (void)hear_codepoint(second);

  // `seventh_process_text` for text at RCV.NXT that the window has room for, behind text that waits to be
  // read.
  const bool echoes = timestamps_ && like.has_timestamps();
  bool timed = false;
  std::uint64_t memory = ~std::uint64_t{0};
  std::size_t n = 0;
  last = Reason::kDataAccepted;
  while (n < texts.size() && last == Reason::kDataAccepted) {
    const MoreText& text = texts[n++];
    header.seq = rcv_.nxt;
    // As long as no more blocks are in use, there is as much memory as before.
    bool full = false;
    if (memory != ctx.pool.bytes_in_use()) {
      full = ctx.memory_level() == MemoryLevel::kFull;
      memory = ctx.pool.bytes_in_use();
    }
    // The usual case of `append_all`.
    wire::Frame& frame = *text.frame;
    const bool lengthens = !full && frame.header_size == text.offset && frame.slice_count == 1 &&
                           rcv_.queue.extend(frame.slices[0]);
    if (lengthens) frame.clear();
    const std::uint32_t taken = lengthens ? text.size : full ? 0 : append_all(text, ctx);
    rcv_.nxt += taken;
    traffic_.received += taken;
    if (!full && (!echoes || (!timed && text.size >= seen_mss_))) {
      time_receiver(second, text.size, ctx);  // the same echo says something once
      timed = true;
    }
    if (!full && memory_received() > memory_surely_allowed()) stay_within_buffer(ctx);
    if (taken == 0) {
      owe_ack(Reason::kNoMemory);
      last = Reason::kNoMemory;
    } else {
      acknowledge_text(taken, ctx);
    }
    if (taken < text.size) {
      ctx.count(Counter::kTCPBacklogDrop);
      break;
    }
  }
  traffic_.segments_in += static_cast<std::uint32_t>(n);
  traffic_.text_segments_in += static_cast<std::uint32_t>(n);
  (void)update_window({header, *texts[n - 1].frame}, ctx);  // SND.WL1 is that of the last
  return n;
}

// "If the FIN bit is set, signal the user 'connection closing' … advance RCV.NXT over the FIN, and send an
// acknowledgment for the FIN."  (§3.10.7.4)
void Connection::take_fin(Context& ctx) {
  rcv_.nxt += 1;
  rcv_.edge = later(rcv_.edge, rcv_.nxt);
  rcv_.fin_waits = false;
  fin_taken_ = true;
  rcv_.beyond.reset();
  events_ |= kPeerClosed | kReadable;
  owe_ack(Reason::kFinReceived);
  switch (state_) {
    case State::kEstablished:
      transition_to(State::kCloseWait, Reason::kFinReceived, ctx);
      break;
    case State::kFinWait1:
      // "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT …; otherwise, enter the
      // CLOSING state."  (§3.10.7.4)
      transition_to(fin_acknowledged() ? State::kTimeWait : State::kClosing, Reason::kFinReceived, ctx);
      break;
    case State::kFinWait2:
      transition_to(State::kTimeWait, Reason::kTimeWaitEntered, ctx);
      break;
    case State::kSynReceived:
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
    case State::kTimeWait:
    case State::kClosed:
    case State::kListen:
    case State::kSynSent:
      break;
  }
}

}  // namespace synfin::tcp
