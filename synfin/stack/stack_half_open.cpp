// SPDX-License-Identifier: Apache-2.0
//
// From SYN-RECEIVED to a connection that the program can accept, and all the ways not to get there. Read
// first: RFC 9293 §3.10.7.4 for SYN-RECEIVED.
#include <algorithm>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;
using trace::State;

namespace {

/// After how many SYN-ACK retransmissions a time is over: TCP_DEFER_ACCEPT counts in them.
std::uint32_t periods(Duration time, const tcp::Settings& settings) {
  constexpr std::uint32_t kMost = 15;
  std::uint32_t count = 0;
  Duration timeout = Duration::seconds(1), over;
  while (over < time && count < kMost) {
    over = over + timeout;
    timeout = std::min(timeout * 2, settings.tcp_rto_max);
    ++count;
  }
  return count;
}

}  // namespace

Stack::Impl::Fate Stack::Impl::to_half_open(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg,
                                            tcp::Context& ctx) {
  tcp::HalfOpen half = half_open(ref);
  const tcp::HalfOpenDisposition d = tcp::judge_half_open(half, seg, ctx);
  Fate fate{d.reason, State::kSynReceived, State::kSynReceived, half.send_scale, half.accurate_ecn != 0};
  switch (d.verdict) {
    case tcp::HalfOpenVerdict::kEstablish: {
      const std::uint32_t owner = *listener_for(half.tuple.local);
      if (waits_for_data(listeners[owner], half, seg)) {
        half.acknowledged = true;
        tcp::hear_third(half, seg);
        half_opens[ref.index()].set(half);
        ctx.count(Counter::kTCPDeferAcceptDrop);
        fate.reason = Reason::kDeferAccept;
        return fate;
      }
      const auto connection = promote(ref, half, hash, owner, seg, ctx);
      if (!connection) {
        fate.reason = connection.error();
        if (fate.reason == Reason::kAcceptQueueFullReset) fate.to = State::kClosed;
        return fate;
      }
      fate.reason = Reason::kHandshakeComplete;
      // Text and FIN on the third segment count.
      if (ConnectionRecord& record = connections[*connection]; record.tcp.take_bare_third(seg, ctx)) {
        fate.to = record.tcp.state();
        settle(*connection, record, ctx);
        return fate;
      }
      const Fate rest = to_connection(RecordRef{RecordKind::kConnection, *connection}, seg, ctx);
      fate.to = rest.to;
      fate.counts_marks = rest.counts_marks;
      return fate;
    }
    case tcp::HalfOpenVerdict::kSynAckAgain: {
      const std::uint32_t owner = *listener_for(half.tuple.local);
      listeners[owner].monitor->on_repeated_syn(ctx.now);
      judge_flood(owner, ctx);
      ctx.count(Counter::kTCPSynRetrans);
      (void)tcp::hear_syn_again(half, seg, config.settings);  // or it would be reset
      half_opens[ref.index()].set(half);
      tcp::send_syn_ack(half, offer_of(listeners[owner], ctx, half.tuple.local.address.family()),
                        ctx.timestamp_offset(half.tuple), ctx, d.reason)
          .traffic_class = listeners[owner].traffic_class();
      return fate;
    }
    case tcp::HalfOpenVerdict::kResetRemove:
      replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, d.reason));
      [[fallthrough]];
    case tcp::HalfOpenVerdict::kRemove:
      ctx.count(Counter::kEmbryonicRsts);
      remove_half_open(ref, hash, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
    case tcp::HalfOpenVerdict::kReset:
      replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kAcknowledge:
      replies.push_back(tcp::half_open_ack(half, ctx, d.reason));
      replies.back().traffic_class = listeners[*listener_for(half.tuple.local)].traffic_class();
      return fate;
    case tcp::HalfOpenVerdict::kDrop:
      return fate;
  }
  return fate;
}

// TCP_DEFER_ACCEPT: a bare third segment does not open the connection until the time is up.
bool Stack::Impl::waits_for_data(const Listener& l, const tcp::HalfOpen& half,
                                 const tcp::Segment& third) const {
  return third.length() == 0 && half.retransmissions < periods(l.options.defer_accept, config.settings);
}

// The third segment has arrived: a half-open connection becomes a full one, if there is room for it.
std::expected<std::uint32_t, Reason> Stack::Impl::promote(RecordRef ref, const tcp::HalfOpen& half,
                                                          std::uint32_t hash, std::uint32_t listener_index,
                                                          const tcp::Segment& third, tcp::Context& ctx) {
  Listener& l = listeners[listener_index];
  if (l.accept_queue_full()) {
    const Reason fate = overflow(l, half.tuple, third, State::kSynReceived, ctx);
    if (fate == Reason::kAcceptQueueFullReset) {
      remove_half_open(ref, hash, fate, ctx);
    } else {
      // The peer believes that it is connected; the SYN-ACK, sent again by the timer, makes it acknowledge
      // again.
      half_opens[ref.index()].facts.acknowledged = true;
    }
    return std::unexpected(fate);
  }
  const auto connection = complete(half, ref, hash, listener_index, third, ctx);
  if (!connection) return std::unexpected(Reason::kNoMemory);
  wheel.cancel(ref);
  --l.half_open;
  if (half.retransmissions == 0) --l.young;
  half_opens.free(ref.index());
  return *connection;
}

Reason Stack::Impl::overflow(Listener& l, const wire::FourTuple& tuple, const tcp::Segment& third,
                             State state, tcp::Context& ctx) {
  l.monitor->on_overflow(ctx.now);
  ctx.count(Counter::kListenOverflows);
  ctx.count(Counter::kListenDrops);
  if (!l.options.abort_on_overflow.value_or(config.settings.tcp_abort_on_overflow))
    return Reason::kAcceptQueueFull;
  ctx.count(Counter::kEmbryonicRsts);
  replies.push_back(tcp::reset_for(tuple, third, state, Reason::kAcceptQueueFullReset));
  return Reason::kAcceptQueueFullReset;
}

// A full record in the accept queue, in place of `from`, if that is one. Nothing: no memory.
std::optional<std::uint32_t> Stack::Impl::complete(const tcp::HalfOpen& half, RecordRef from,
                                                   std::uint32_t hash, std::uint32_t listener_index,
                                                   const tcp::Segment& third, tcp::Context& ctx) {
  const std::optional<Duration> handshake = from ? round_trip(from, half, ctx.now) : std::nullopt;
  const auto index = new_connection(hash, from);
  if (!index) return std::nullopt;
  ConnectionRecord& record = connections[*index];
  record.waits_for_accept = true;
  const tcp::Options& options = listeners[listener_index].options.connection;
  if (options != tcp::Options{}) record.tcp.set_options(options, ctx);
  record.tcp.open_from(half, third, handshake, ctx);
  Listener& l = listeners[listener_index];
  l.accept_queue.push_back(*index);
  completed(l, half.tuple.remote.address, ctx);
  tell_listener(listener_index, kAcceptable);
  return index;
}

void Stack::Impl::completed(Listener& l, const wire::IpAddress& peer, tcp::Context& ctx) {
  l.monitor->on_completed(ctx.now);
  proven.add(peer);
}

void Stack::Impl::opened(ConnectionRecord& record, tcp::Context& ctx) {
  const wire::FourTuple& tuple = record.tcp.tuple();
  if (const auto owner = listener_for(tuple.local)) {
    Listener& l = listeners[*owner];
    if (record.tcp.state() != State::kClosed) completed(l, tuple.remote.address, ctx);
    if (record.fast_open && record.tcp.failure() == tcp::Error::kReset) {
      l.fast_open_resets.push_back(ctx.now + Listener::kFastOpenReset);
    } else if (record.fast_open) {
      --l.fast_open;
    }
  }
  record.opening = record.fast_open = false;
}

// From SYN-ACK to third segment, where it is known: the record keeps no time of its own, but its timer was
// set when the SYN-ACK was made.
std::optional<Duration> Stack::Impl::round_trip(RecordRef ref, const tcp::HalfOpen& half, Instant now) const {
  if (half.retransmissions > 0 || half.acknowledged) return std::nullopt;
  const Instant sent = wheel.deadline(ref) - tcp::syn_ack_timeout(half, config.settings);
  return std::max(now - sent, Duration::zero());
}

// An acknowledgement for a listening port may bring a cookie back, if one was sent lately. Nothing: it is
// like any other.
std::optional<Stack::Impl::Fate> Stack::Impl::from_cookie(std::uint32_t index, std::uint32_t hash,
                                                          const wire::FourTuple& tuple,
                                                          const tcp::Segment& third, tcp::Context& ctx) {
  Listener& l = listeners[index];
  // Outside of an overflow no cookie is believed: a forger would have all the time in the world to guess one.
  const bool sent_lately = l.last_overflow && ctx.now - *l.last_overflow <= tcp::SynCookies::kLife;
  if (config.settings.tcp_syncookies == 0 || !sent_lately || third.flags().syn()) return std::nullopt;
  Fate fate{Reason::kSynCookieFailed, State::kListen, State::kListen};
  auto half = cookies.check(tuple, third, ctx);
  if (half && half->scaled()) {
    const tcp::Offer offer = offer_of(l, ctx, tuple.local.address.family());
    half->receive_scale = tcp::scale_for(offer.largest_buffer).shift() & 0xfu;
  }
  if (!half) {
    ctx.count(Counter::kSyncookiesFailed);
    replies.push_back(tcp::reset_for(tuple, third, State::kListen, fate.reason));
    return fate;
  }
  ctx.count(Counter::kSyncookiesRecv);
  if (l.accept_queue_full()) {
    fate.reason = overflow(l, tuple, third, State::kListen, ctx);
    return fate;
  }
  ctx.state_changed(tuple, State::kListen, State::kSynReceived, Reason::kSynCookieAccepted);
  const auto connection = complete(*half, {}, hash, index, third, ctx);
  if (!connection) {
    ctx.state_changed(tuple, State::kSynReceived, State::kClosed, Reason::kNoMemory);
    fate.reason = Reason::kNoMemory;
    return fate;
  }
  connections[*connection].tcp.continue_clock(third.header.options.timestamps.echo, ctx);
  fate.reason = Reason::kSynCookieAccepted;
  fate.to = to_connection(RecordRef{RecordKind::kConnection, *connection}, third, ctx).to;
  fate.window_scale = half->send_scale;
  fate.counts_marks = half->accurate_ecn != 0;
  return fate;
}

// As Linux does: when more than half of the SYN queue is taken, records that are old give way to young ones
// by fewer retransmissions.
std::uint32_t Stack::Impl::syn_ack_retries(const Listener& l) const {
  constexpr std::uint32_t kFew = 2;
  std::uint32_t most = config.settings.tcp_synack_retries;
  if (std::uint64_t{l.half_open} * 2 <= std::max(8u, l.backlog)) return most;
  for (std::uint64_t young = std::uint64_t{l.young} * 2; most > kFew && l.half_open >= young; young *= 2)
    --most;
  return most;
}

void Stack::Impl::on_half_open_expired(RecordRef ref, tcp::Context& ctx) {
  tcp::HalfOpen half = half_open(ref);
  Listener& l = listeners[*listener_for(half.tuple.local)];
  // What has been acknowledged waits for data, until the time for that is over.
  const std::uint32_t defer = half.acknowledged ? periods(l.options.defer_accept, config.settings) : 0;
  if (half.retransmissions >= syn_ack_retries(l) && half.retransmissions >= defer) {
    remove_half_open(ref, hash_of(half.tuple), Reason::kHandshakeTimedOut, ctx);
    return;
  }
  if (half.retransmissions == 0) --l.young;
  half.retransmissions = (half.retransmissions + 1u) & 0xfu;
  half_opens[ref.index()].set(half);
  ctx.count(Counter::kTCPTimeouts);
  // A peer that acknowledged needs no SYN-ACK, unless the next acknowledgement is to open the connection.
  if (half.retransmissions >= defer) {
    ctx.count(Counter::kTCPSynRetrans);
    ctx.timer_fired(half.tuple, State::kSynReceived, Reason::kSynAckRetransmitted);
    tcp::send_syn_ack(half, offer_of(l, ctx, half.tuple.local.address.family()),
                      ctx.timestamp_offset(half.tuple), ctx, Reason::kSynAckRetransmitted)
        .traffic_class = l.traffic_class();
  }
  arm(ref, ctx.now + tcp::syn_ack_timeout(half, config.settings), ctx);
}

void Stack::Impl::remove_half_open(RecordRef ref, std::uint32_t hash, Reason why, tcp::Context& ctx) {
  const tcp::HalfOpen half = half_open(ref);
  Listener& l = listeners[*listener_for(half.tuple.local)];
  --l.half_open;
  if (half.retransmissions == 0) --l.young;
  ctx.count(Counter::kAttemptFails);
  ctx.state_changed(half.tuple, State::kSynReceived, State::kClosed, why);
  wheel.cancel(ref);
  table.erase(hash, ref);
  half_opens.free(ref.index());
}

// An ICMP error about the SYN-ACK.
Reason Stack::Impl::on_half_open_error(RecordRef ref, wire::SeqNum seq, bool hard, tcp::Context& ctx) {
  const tcp::HalfOpen half = half_open(ref);
  if (seq != half.iss) return Reason::kIcmpIgnored;
  if (!hard) return Reason::kIcmpSoftError;
  remove_half_open(ref, hash_of(half.tuple), Reason::kIcmpHardError, ctx);
  return Reason::kIcmpHardError;
}

}  // namespace synfin::stack
