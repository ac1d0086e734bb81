// SPDX-License-Identifier: Apache-2.0
//
// Segments of text that follow one another with the same header. The first goes through all the steps of
// RFC 9293 §3.10.7.4; for those behind it the first six have nothing new to say, so what they do is done
// once, and only the seventh, the text, is done for each. What makes them say something new is asked before.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Counter;
using trace::Reason;

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
  for (; n < texts.size() && last == Reason::kDataAccepted; ++n) {
    const MoreText& text = texts[n];
    header.seq = rcv_.nxt;
    // As long as no more blocks are in use, there is as much memory as before.
    bool full = false;
    if (memory != ctx.pool.bytes_in_use()) {
      full = ctx.memory_level() == MemoryLevel::kFull;
      memory = ctx.pool.bytes_in_use();
    }
    const std::uint32_t taken = full ? 0 : append_all(text, ctx);
    if (taken < text.size) ctx.count(Counter::kTCPBacklogDrop);
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
      ++n;
      break;
    }
  }
  traffic_.segments_in += static_cast<std::uint32_t>(n);
  traffic_.text_segments_in += static_cast<std::uint32_t>(n);
  (void)update_window({header, *texts[n - 1].frame}, ctx);  // SND.WL1 is that of the last
  return n;
}

}  // namespace synfin::tcp
