// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cassert>
#include <optional>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/tcp/fast_open.h"
#include "synfin/tcp/flight.h"
#include "synfin/tcp/isn.h"
#include "synfin/tcp/memory.h"
#include "synfin/tcp/options.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/settings.h"
#include "synfin/tcp/tuple_hash.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/event.h"

namespace synfin::tcp {

/// What one call into the protocol may use; lives for the call. Nothing else of the world is visible to it.
struct Context {
  Instant now;
  const Settings& settings;
  trace::Counters& counters;
  trace::Sink* sink;  // may be null
  wire::BlockPool& pool;
  Entropy& entropy;
  const IsnGenerator& isn;
  const Key& tuple_key;
  std::uint32_t mtu;
  FastOpenCache& fast_open;
  FlightPool& flights;
  MemoryBudget& memory;
  /// Answers, in the order in which they are to leave.
  std::vector<Reply>& replies;
  /// The hash of the only 4-tuple that the call is about, where its owner had to be found anyway.
  std::optional<TupleHash> found_by{};
  /// `stack::Config::short_paths`.
  bool short_paths = true;
  /// Whether text that is to be sent is worth summing while it is copied: what leaves is summed here.
  bool sum_text = false;
  /// Text leaves in segments of which a medium block holds few.
  bool large_segments = false;

  TupleHash hash_of(const wire::FourTuple& tuple) const {
    assert(!found_by || found_by->place == tuple_hash(tuple_key, tuple).place);
    return found_by ? *found_by : tuple_hash(tuple_key, tuple);
  }
  std::uint32_t timestamp_offset(const wire::FourTuple& tuple) const {
    return hash_of(tuple).timestamp_offset;
  }
  MemoryLevel memory_level() const { return memory.level(pool, settings.tcp_mem, counters); }
  /// Octets of blocks that new data may still take.
  std::uint64_t memory_room() const { return MemoryBudget::room(pool, settings.tcp_mem); }
  void count(trace::Counter c) { ++counters[c]; }
  void state_changed(const wire::FourTuple& tuple, trace::State from, trace::State to, trace::Reason why,
                     Instant deadline = Instant::never()) const {
    if (sink != nullptr) tell(trace::EventKind::kStateChanged, tuple, from, to, why, deadline);
  }
  void timer_fired(const wire::FourTuple& tuple, trace::State state, trace::Reason what) const {
    if (sink != nullptr) tell(trace::EventKind::kTimer, tuple, state, state, what, Instant::never());
  }
  void called(const wire::FourTuple& tuple, trace::State state, trace::Reason what) const {
    if (sink != nullptr) tell(trace::EventKind::kCall, tuple, state, state, what, Instant::never());
  }

 private:
  void tell(trace::EventKind kind, const wire::FourTuple& tuple, trace::State from, trace::State to,
            trace::Reason why, Instant deadline) const;
};

/// TSval for a connection: milliseconds since the epoch of `now`, shifted by the connection's own offset.
inline std::uint32_t timestamp_value(Instant now, std::uint32_t offset) {
  return static_cast<std::uint32_t>(now.ns() / 1'000'000) + offset;
}

/// Adds the timestamps option: the connection's clock, and the newest TSval of the peer.
void stamp(wire::TcpOptions& options, Instant now, std::uint32_t offset, std::uint32_t recent);

/// Largest text of a segment without options on this MTU (RFC 9293 §3.7.1, MUST-67): the MSS to announce.
constexpr std::uint16_t mss_for(std::uint32_t mtu, wire::Family family) {
  const std::uint32_t headers = family == wire::Family::kIpv4 ? 40 : 60;
  return static_cast<std::uint16_t>(std::clamp<std::uint32_t>(mtu, headers + 1, 65535 + headers) - headers);
}
/// What a peer that announced no MSS takes: 536 or 1220 (MUST-15).
constexpr std::uint16_t default_mss(wire::Family family) {
  return family == wire::Family::kIpv4 ? 536 : 1220;
}

/// What a connection offers of its own when it opens: the program's choice within what the link carries.
struct Offer {
  std::uint16_t mss = 536;
  std::uint32_t receive_buffer = 0;  // to begin with
  std::uint32_t largest_buffer = 0;  // that it may grow to: what the window scale must allow for
};
Offer offer_of(const Options& options, const Context& ctx, wire::Family family);

/// Adds what our SYN or SYN-ACK offers, timestamps left out.
void add_syn_options(wire::TcpOptions& options, const Offer& offer, bool scale, bool sack);
/// The smallest scale with which a receive buffer of this size can be offered whole.
WindowScale scale_for(std::uint32_t buffer);

/// The reset that answers a segment nobody owns, or an unacceptable one (RFC 9293 §3.5.2 groups 1 and 2). Not
/// for resets.
Reply reset_for(const wire::FourTuple& tuple, const Segment& seg, trace::State state, trace::Reason why);

}  // namespace synfin::tcp
