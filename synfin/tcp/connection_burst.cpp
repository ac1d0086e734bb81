// SPDX-License-Identifier: Apache-2.0
//
// When text leaves and when the program may bring more: corks, where a burst of segments ends, room in the
// send buffer. Read first: RFC 9293 §3.9.1.2 on PSH.
#include <algorithm>

#include "synfin/tcp/connection.h"

namespace synfin::tcp {

// "A TCP implementation MAY implement PUSH flags on SEND calls (MAY-15). If PUSH flags are not implemented,
// then the sending TCP peer … MUST set the PSH bit in the last buffered segment (i.e., when there is no more
// queued data to be sent) (MUST-61)."  (§3.9.1.2) Here too where a burst of several segments ends because the
// windows allow no more, and halfway through the congestion window: the receiver may hand over what it has,
// as nothing follows for a while. Linux does so, as the end of each segment that the device is to cut into
// several.
bool Connection::ends_burst(std::uint32_t size, std::uint32_t room, std::uint32_t available) {
  if (burst_ < 255) ++burst_;
  const std::uint32_t limit = text_room();
  const std::uint32_t rest = available - size;
  const std::uint32_t next = std::min({rest, room - size, limit});
  const bool follows = next > 0 && (next == limit || (next == rest && (no_delay_ || snd_.fin_queued)));
  const std::uint32_t half = std::max(congestion_.window() / limit / 2, 1u);
  if (follows) return half > 1 && burst_ % half == 0;
  return std::exchange(burst_, std::uint8_t{0}) > 1;
}

// Less than a full segment waits for more of it, but not behind the end of the stream.
bool Connection::corked(std::uint32_t size) const {
  return cork_ && size > 0 && !snd_.fin_queued;
}

// A program that found no room is told once a third of it is free, so that it finds some worth writing into,
// and once little enough waits to be sent.
void Connection::tell_writable(const Settings& settings) {
  if (!wants_writable_ || snd_.queue.size() > send_limit(settings) / 3 * 2) return;
  const std::uint32_t most = rare_ != nullptr ? rare_->options.notsent_lowat : 0;
  const SeqNum sent = later(snd_.max, snd_.base);
  if (most > 0 && stream_end().after(sent) && static_cast<std::uint32_t>(stream_end() - sent) >= most) return;
  wants_writable_ = false;
  events_ |= kWritable;
}

}  // namespace synfin::tcp
