// SPDX-License-Identifier: Apache-2.0
//
// When text leaves, what it waits for, and when the program may bring more: corks, pacing, where a burst of
// segments ends, room in the send buffer. Read first: RFC 9293 §3.9.1.2 on PSH.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

// "A TCP implementation MAY implement PUSH flags on SEND calls (MAY-15). If PUSH flags are not implemented,
// then the sending TCP peer … MUST set the PSH bit in the last buffered segment (i.e., when there is no more
// queued data to be sent) (MUST-61)."  (§3.9.1.2) Here too where a burst of several segments ends because the
// windows allow no more, and halfway through the congestion window: the receiver may hand over what it has,
// as nothing follows for a while; and behind each paced burst. Linux does so, as the end of each segment that
// the device is to cut into several.
bool Connection::ends_burst(std::uint32_t size, std::uint32_t room, std::uint32_t available,
                            std::uint32_t limit, std::uint32_t segments) {
  if (burst_ < 255) ++burst_;
  const std::uint32_t rest = available - size;
  const std::uint32_t next = std::min({rest, room - size, limit});
  const bool follows = next > 0 && (next == limit || (next == rest && (no_delay_ || snd_.fin_queued)));
  if (follows) return segments > 1 && burst_ >= segments && burst_ % segments == 0;
  return std::exchange(burst_, std::uint8_t{0}) > 1;
}

// How many segments may follow of which none makes `ends_burst` true, as a full one follows each of them.
std::uint32_t Connection::segments_within_burst(std::uint32_t segments) const {
  constexpr std::uint32_t kMostInBurst = 255, kAny = ~0u;
  if (segments <= 1) return kAny;
  if (burst_ == kMostInBurst) return kMostInBurst % segments == 0 ? 0 : kAny;
  const std::uint32_t end = (burst_ / segments + 1) * segments;
  return end <= kMostInBurst ? end - burst_ - 1 : kAny;
}

std::uint32_t Connection::burst_segments(std::uint32_t paced_burst) const {
  const std::uint32_t limit = text_room();
  const std::uint32_t paced = paced_burst / limit;
  return paced > 0 ? paced : std::max(congestion_.window() / limit / 2, 1u);
}

// Less than a full segment waits for more of it, which the program wants or promised, but not behind the end
// of the stream, nor where no more fits into the send buffer.
bool Connection::corked(std::uint32_t size) const {
  return (cork_ || more_follows_) && size > 0 && !snd_.fin_queued && refused_ == 0;
}

// Where the controller has no rate, as Linux computes it: more than a window a round trip, so that the window
// can grow.
std::uint64_t Connection::pacing_rate(const Settings& settings) const {
  const std::uint64_t most = choices().max_pacing_rate > 0 ? choices().max_pacing_rate : ~std::uint64_t{0};
  if (const std::uint64_t rate = congestion_.pacing_rate(); rate > 0) return std::min(rate, most);
  if (!rtt_.has_sample()) return 0;
  const std::uint32_t in_flight = flight_ != nullptr ? flight_->sent.octets() : 0;
  const bool slow_start = congestion_.window() < congestion_.slow_start_threshold() / 2;
  const std::uint64_t percent = slow_start ? settings.tcp_pacing_ss_ratio : settings.tcp_pacing_ca_ratio;
  const std::uint64_t octets = std::uint64_t{std::max(window(), in_flight)} * percent / 100;
  const auto round_trip = static_cast<std::uint64_t>(rtt_.smoothed().ns());
  return std::clamp<std::uint64_t>(octets * 1'000'000'000 / round_trip, 1, most);
}

Connection::Pacing Connection::pacing(const Settings& settings) const {
  const bool wanted = settings.tcp_pacing || choices().max_pacing_rate > 0 || congestion_.pacing_rate() > 0;
  const std::uint64_t rate = wanted ? pacing_rate(settings) : 0;
  if (rate == 0) return {};
  constexpr std::uint64_t kMostOctets = 65536;
  const auto in_a_millisecond = static_cast<std::uint32_t>(std::min(rate / 1000, kMostOctets));
  const std::uint32_t limit = text_limit();
  return {rate, std::max(in_a_millisecond / limit, settings.tcp_min_tso_segs) * limit};
}

// Whether text must wait for its turn; the timer says when that is, also where all was acknowledged before.
bool Connection::held_back(const Context& ctx) {
  if (flight_ == nullptr) return timers_.armed(Timer::kPacing) && !timers_.due(Timer::kPacing, ctx.now);
  if (flight_->pacer.allows(ctx.now)) return false;
  timers_.set(Timer::kPacing, flight_->pacer.next());
  return true;
}

// Behind text that leaves. The initial window has no round trip to be spread over (RFC 6928).
void Connection::pace(std::uint32_t octets, const Pacing& p, const Context& ctx) {
  if (p.burst == 0 || traffic_.text_segments_out <= ctx.settings.tcp_init_cwnd) return;
  flight_->pacer.sent(octets, p.rate, p.burst, ctx.now);
}

// All is acknowledged. When the next burst is due must outlive what was in flight, or a rate would be
// exceeded on every path whose round trip is shorter than a burst takes.
void Connection::release_flight(Context& ctx) {
  if (const Instant next = flight_->pacer.next(); next > ctx.now) timers_.set(Timer::kPacing, next);
  starved_ = stream_end() - snd_.nxt < static_cast<std::int32_t>(text_limit());
  ctx.flights.give(std::move(flight_));
}

// Nothing is in flight, and text may leave.
void Connection::resume(const Context& ctx) {
  const bool restarts = ctx.settings.tcp_slow_start_after_idle && ctx.now - last_sent_ > rtt_.timeout();
  if (!restarts && !starved_) return;
  congestion_.on_idle({ctx.now, restarts ? text_limit() * ctx.settings.tcp_init_cwnd : kMostWindow});
}

// "CheckIfApplicationLimited"  (draft-ietf-ccwg-bbr): before an acknowledgement, a timer or the program bring
// more to send.
void Connection::check_app_limited() {
  if (flight_ == nullptr) return;
  Flight& f = *flight_;
  const std::uint32_t in_network = pipe();
  const bool dry = stream_end() - snd_.nxt < static_cast<std::int32_t>(text_limit());
  if (dry && in_network < window() && f.sent.lost() <= f.sent.retransmitted()) f.rate.run_dry(in_network);
}

SendLimit Connection::send_limit() const {
  if (snd_.queue.empty() || ended()) return SendLimit::kIdle;
  if (window() < pipe() + text_room()) return SendLimit::kNetwork;
  const SeqNum end = stream_end();
  if (!end.after(snd_.nxt)) return refused_ > 0 ? SendLimit::kSendBuffer : SendLimit::kNetwork;
  const auto unsent = static_cast<std::uint32_t>(end - snd_.nxt);
  return peer_room() < std::min(unsent, text_room()) ? SendLimit::kPeerWindow : SendLimit::kNetwork;
}

void Connection::note_send_limit(Instant now) {
  const SendLimit limit = send_limit();
  if (limit == send_limit_) return;
  send_times_.change(send_limit_, limit, now);
  send_limit_ = limit;
}

// A program that found no room is told once a third of it is free, so that it finds some worth writing into,
// or once all that it had to keep fits; and once little enough waits to be sent.
void Connection::tell_writable(const Settings& settings) {
  if (refused_ == 0) return;
  const std::uint32_t most_queued = send_buffer(settings), queued = snd_.queue.size();
  const std::uint32_t room = most_queued > queued ? most_queued - queued : 0;
  if (room < std::min(refused_, most_queued - most_queued / 3 * 2)) return;
  const std::uint32_t most = rare_ != nullptr ? rare_->options.notsent_lowat : 0;
  const SeqNum sent = later(snd_.max, snd_.base);
  if (most > 0 && stream_end().after(sent) && static_cast<std::uint32_t>(stream_end() - sent) >= most) return;
  refused_ = 0;
  events_ |= kWritable;
}

}  // namespace synfin::tcp
