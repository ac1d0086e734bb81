// SPDX-License-Identifier: Apache-2.0
//
// Several segments of new text at once. What one call of `send_text` after the other would decide is decided
// here in a loop, on the same figures, and what only the last of them leaves behind is done once. Whatever
// would make the headers differ is left to `send_text`.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

using trace::Reason;

namespace {

// With the largest headers it is an IP packet still.
constexpr std::uint32_t kMostText = 0xffff - 60 - 60;

}  // namespace

// A full segment that says nothing but its text, and behind which nothing has to go first. What counts marks
// or may become fragments has something of its own in each header; what is being repaired is looked at piece
// by piece.
bool Connection::may_lead_train(const Sent& first) const {
  return flight_ != nullptr && flight_->state == CaState::kOpen && flight_->duplicates == 0 &&
         first.header.flags == Flags{Flags::kAck} && first.text_size == text_limit() &&
         (first.header.options.present & ~wire::TcpOptions::kTimestamps) == 0 && !accurate_ &&
         !urgent_sent_ && !user_timeout_to_send_ && !has_sack_blocks() && !may_fragment_ &&
         is_synchronized(state_);
}

void Connection::send_train(std::uint32_t most, wire::Frame& frame, Sent& out, Context& ctx) {
  Flight& f = *flight_;
  const std::uint32_t limit = text_limit(), allowed = window();
  std::uint32_t in_network = pipe(), peer = peer_room();
  auto available = static_cast<std::uint32_t>(stream_end() - snd_.nxt);
  const auto network_room = [&] { return allowed > in_network ? allowed - in_network : 0; };

  const std::uint32_t wanted =
      std::min({available, peer, network_room(), (most - 1) * limit, kMostText - out.text_size});
  const std::uint32_t at_hand =
      snd_.queue.share(static_cast<std::uint32_t>(snd_.nxt - snd_.base), wanted, frame);
  const std::uint32_t most_in_flight = most_segments_in_flight(ctx.settings);
  Pacing paced = pacing(ctx.settings);
  std::uint32_t in_burst = burst_segments(paced.burst);

  std::uint32_t taken = 0, segments = 1;
  bool fin = false, push = false;
  if (paced.burst == 0) {
    // Full ones that have another full one behind them, and do not end a burst, differ in nothing but their
    // place.
    const std::uint32_t full = std::min({available, network_room(), peer, at_hand}) / limit;
    const std::uint32_t in_flight = std::min(f.sent.size(), most_in_flight);
    const std::uint32_t alike = std::min({full > 0 ? full - 1 : 0, most - segments,
                                          most_in_flight - in_flight, segments_within_burst(in_burst)});
    const std::uint32_t n = f.sent.push_run(snd_.nxt, static_cast<std::uint16_t>(limit), alike, ctx.now,
                                            f.rate.mark(in_network + limit));
    taken = n * limit;
    snd_.nxt += taken;
    in_network += taken;
    available -= taken;
    peer -= taken;
    segments += n;
    traffic_.text_segments_out += n;
    burst_ = static_cast<std::uint8_t>(std::min(burst_ + n, 255u));
  }
  while (segments < most && !push) {
    const std::uint32_t room = std::min(network_room(), peer);
    const std::uint32_t size = std::min({available, room, limit});
    fin = snd_.fin_queued && size == available && peer > size;
    if (size == 0 || taken + size > at_hand) break;
    if (size < limit && !worth_sending(size, available, fin)) break;  // a full one is worth it
    if (f.sent.size() >= most_in_flight) break;
    if (paced.burst > 0) {
      if (held_back(ctx)) break;
      paced = pacing(ctx.settings);
      in_burst = burst_segments(paced.burst);
    }
    const bool ends = ends_burst(size, room, available, limit, in_burst);
    const std::uint32_t length = size + (fin ? 1u : 0u);
    if (!f.sent.push(snd_.nxt, static_cast<std::uint16_t>(length), size == available, ctx.now,
                     f.rate.mark(in_network + length)))
      break;
    push = size == available || ends;
    snd_.nxt += length;
    in_network += length;
    available -= size;
    peer -= std::min(peer, length);
    taken += size;
    ++segments;
    ++traffic_.text_segments_out;
    if (paced.burst > 0) pace(size, paced, ctx);
    if (size < limit) break;
  }
  frame.keep_text(out.text_size + taken);
  if (taken == 0) return;

  fin = fin && available == 0 && snd_.nxt.after(stream_end());
  out.segment_size = static_cast<std::uint16_t>(limit);
  out.text_size += taken;
  out.last_flags = Flags{static_cast<std::uint8_t>((push ? Flags::kPsh : 0) | (fin ? Flags::kFin : 0))};
  snd_.max = later(snd_.max, snd_.nxt);
  traffic_.sent += taken;
  traffic_.segments_out += segments - 1;
  if (f.wait != Flight::Wait::kReordering) arm_for_flight(true, std::nullopt, ctx);
  note_usage();
  tell_writable(ctx.settings);
  if (fin && state_ == State::kCloseWait) transition_to(State::kLastAck, Reason::kFinSent, ctx);
  out.state = state_;
}

}  // namespace synfin::tcp
