// SPDX-License-Identifier: Apache-2.0
#include "synfin/tcp/context.h"

#include <algorithm>
#include <bit>

namespace synfin::tcp {

void Context::tell(trace::EventKind kind, const wire::FourTuple& tuple, trace::State from, trace::State to,
                   trace::Reason why, Instant deadline) const {
  trace::Event e;
  e.kind = kind;
  e.from = from;
  e.to = to;
  e.reason = why;
  e.at = now;
  e.tuple = tuple;
  e.deadline = deadline;
  sink->on_event(e);
}

void stamp(wire::TcpOptions& options, Instant now, std::uint32_t offset, std::uint32_t recent) {
  options.present |= wire::TcpOptions::kTimestamps;
  options.timestamps = {timestamp_value(now, offset), recent};
}

WindowScale scale_for(std::uint32_t buffer) {
  constexpr std::uint32_t kField = 16;  // bits of the window field
  const auto bits = static_cast<std::uint32_t>(std::bit_width(buffer));
  return WindowScale{static_cast<std::uint8_t>(bits - std::min(bits, kField))};
}

Offer offer_of(const Options& options, const Context& ctx, wire::Family family) {
  const Triple& sizes = ctx.settings.tcp_rmem;
  Offer offer{mss_for(ctx.mtu, family), sizes.initial,
              ctx.settings.tcp_moderate_rcvbuf ? sizes.max : sizes.initial};
  if (options.max_segment > 0) offer.mss = std::min(offer.mss, options.max_segment);
  if (options.receive_buffer > 0) offer.receive_buffer = offer.largest_buffer = options.receive_buffer;
  return offer;
}

void add_syn_options(wire::TcpOptions& o, const Offer& offer, bool scale, bool sack) {
  o.present |= wire::TcpOptions::kMss;
  o.mss = offer.mss;
  if (scale) {
    o.present |= wire::TcpOptions::kWindowScale;
    o.window_scale = scale_for(offer.largest_buffer).shift();
  }
  if (sack) o.present |= wire::TcpOptions::kSackPermitted;
}

Reply reset_for(const wire::FourTuple& tuple, const Segment& seg, trace::State state, trace::Reason why) {
  Reply r;
  r.tuple = tuple;
  r.state = state;
  r.reason = why;
  // "If the incoming segment has the ACK bit set, the reset takes its sequence number from the ACK field of
  // the segment;
  //  otherwise, the reset has sequence number zero and the ACK field is set to the sum of the sequence number
  //  and segment length of the incoming segment."  (RFC 9293 §3.5.2)
  if (seg.flags().ack()) {
    r.header.seq = seg.ack();
    r.header.flags = Flags::kRst;
  } else {
    r.header.ack = seg.seq() + seg.length();
    r.header.flags = Flags{Flags::kRst | Flags::kAck};
  }
  return r;
}

}  // namespace synfin::tcp
