// SPDX-License-Identifier: Apache-2.0
//
// A listener's two queues: from a SYN to a connection that the program can accept. Read first: RFC 9293
// §3.10.7.2 and §3.10.7.4 for SYN-RECEIVED, RFC 4987.
#include <algorithm>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;
using trace::State;

Stack::Impl::Fate Stack::Impl::to_half_open(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg,
                                            tcp::Context& ctx) {
  tcp::HalfOpen& half = half_opens[ref.index()];
  const tcp::HalfOpenDisposition d = tcp::judge_half_open(half, seg, ctx);
  Fate fate{d.reason, State::kSynReceived, State::kSynReceived, half.send_scale};
  switch (d.verdict) {
    case tcp::HalfOpenVerdict::kEstablish: {
      const auto owner = listener_for(half.tuple.local);
      if (!owner) {  // its listener takes its half-open connections with it, so this one has lost its owner
        replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, Reason::kListenerClosed));
        remove_half_open(ref, hash, Reason::kListenerClosed, ctx);
        return {Reason::kListenerClosed, State::kSynReceived, State::kClosed, fate.window_scale};
      }
      const wire::FourTuple tuple = half.tuple;
      fate.reason = promote(ref, hash, *owner, seg, ctx);
      if (fate.reason == Reason::kAcceptQueueFullReset) fate.to = State::kClosed;
      if (fate.reason != Reason::kHandshakeComplete) return fate;
      // Text and FIN on the third segment count.
      const Fate rest = to_connection(find(tuple, hash), seg, ctx);
      fate.to = rest.to;
      return fate;
    }
    case tcp::HalfOpenVerdict::kSynAckAgain:
      ctx.count(Counter::kTCPSynRetrans);
      replies.push_back(tcp::syn_ack(half, ctx, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kRemove:
      remove_half_open(ref, hash, d.reason, ctx);
      fate.to = State::kClosed;
      return fate;
    case tcp::HalfOpenVerdict::kReset:
      replies.push_back(tcp::reset_for(half.tuple, seg, State::kSynReceived, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kAcknowledge:
      replies.push_back(tcp::half_open_ack(half, ctx, d.reason));
      return fate;
    case tcp::HalfOpenVerdict::kDrop:
      return fate;
  }
  return fate;
}

// `after`: our last number of an earlier connection of the same pair; the new one must begin beyond it (RFC
// 9293 §3.6.1, MAY-2).
Stack::Impl::Fate Stack::Impl::to_listener(std::uint32_t index, std::uint32_t hash,
                                           const wire::FourTuple& tuple, const tcp::Segment& seg,
                                           std::optional<wire::SeqNum> after, tcp::Context& ctx) {
  Listener& l = listeners[index];
  const tcp::ListenDisposition d = tcp::judge_in_listen(seg);
  Fate fate{d.reason, State::kListen, State::kListen};
  switch (d.verdict) {
    case tcp::ListenVerdict::kDrop:
      return fate;
    case tcp::ListenVerdict::kReset:
      if (const auto cookie = from_cookie(index, hash, tuple, seg, ctx)) return *cookie;
      replies.push_back(tcp::reset_for(tuple, seg, State::kListen, d.reason));
      return fate;
    case tcp::ListenVerdict::kOpen:
      break;
  }
  if (l.accept_queue_full()) {
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kAcceptQueueFull;
    return fate;
  }
  // As on Linux the backlog bounds the SYN queue too.
  const std::uint32_t most = std::min(config.settings.tcp_max_syn_backlog, std::max(l.backlog, 1u));
  const bool full = l.half_open >= most;
  const std::uint32_t mode = config.settings.tcp_syncookies;
  if (full) ctx.count(mode > 0 ? Counter::kTCPReqQFullDoCookies : Counter::kTCPReqQFullDrop);
  if (mode == 2 || (full && mode == 1)) {
    l.last_overflow = ctx.now;
    return with_cookie(tuple, seg, ctx);
  }
  if (full) {
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kSynQueueFull;
    return fate;
  }
  const auto slot = half_opens.allocate();
  const RecordRef ref{RecordKind::kHalfOpen, slot.value_or(0)};
  if (!slot || !table.insert(hash, ref)) {
    if (slot) half_opens.free(*slot);
    ctx.count(Counter::kListenDrops);
    fate.reason = Reason::kNoMemory;
    return fate;
  }
  tcp::HalfOpen& half = half_opens[*slot];
  tcp::open_half(half, tuple, seg, ctx);
  if (after && !half.iss.after(*after)) half.iss = *after + 65537;
  ++l.half_open;
  ctx.count(Counter::kPassiveOpens);
  ctx.state_changed(tuple, State::kListen, State::kSynReceived, d.reason);
  replies.push_back(tcp::syn_ack(half, ctx, Reason::kSynAckSent));
  arm(ref, ctx.now + tcp::syn_ack_timeout(half, config.settings), ctx);
  fate.to = State::kSynReceived;
  fate.window_scale = half.send_scale;
  return fate;
}

// Answers a SYN and forgets it: the SYN-ACK's number holds what a record would have held.
Stack::Impl::Fate Stack::Impl::with_cookie(const wire::FourTuple& tuple, const tcp::Segment& syn,
                                           tcp::Context& ctx) {
  tcp::HalfOpen half;
  tcp::open_half(half, tuple, syn, ctx);
  cookies.rotate_if_due(ctx.now, entropy);
  cookies.make(half, ctx.now);
  tcp::Reply reply = tcp::syn_ack(half, ctx, Reason::kSynCookieSent);
  if (half.timestamps) {
    reply.header.options.timestamps.value =
        tcp::SynCookies::timestamp(half, ctx.now, isn.timestamp_offset(tuple));
  }
  reply.state = State::kListen;
  replies.push_back(reply);
  ctx.count(Counter::kSyncookiesSent);
  return {Reason::kSynCookieSent, State::kListen, State::kListen, half.send_scale};
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
  const auto half = cookies.check(tuple, third, ctx);
  if (!half) {
    ctx.count(Counter::kSyncookiesFailed);
    replies.push_back(tcp::reset_for(tuple, third, State::kListen, Reason::kSynCookieFailed));
    return Fate{Reason::kSynCookieFailed, State::kListen, State::kListen};
  }
  ctx.count(Counter::kSyncookiesRecv);
  if (l.accept_queue_full()) {
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    if (!config.settings.tcp_abort_on_overflow)
      return Fate{Reason::kAcceptQueueFull, State::kListen, State::kListen};
    replies.push_back(tcp::reset_for(tuple, third, State::kListen, Reason::kAcceptQueueFullReset));
    return Fate{Reason::kAcceptQueueFullReset, State::kListen, State::kListen};
  }
  ctx.state_changed(tuple, State::kListen, State::kSynReceived, Reason::kSynCookieAccepted);
  const auto connection = complete(*half, std::nullopt, hash, index, third, ctx);
  const RecordRef ref{RecordKind::kConnection, connection.value_or(0)};
  if (!connection || !table.insert(hash, ref)) {
    if (connection) {
      l.accept_queue.pop_back();
      connections.free(*connection);
    }
    ctx.state_changed(tuple, connection ? State::kEstablished : State::kSynReceived, State::kClosed,
                      Reason::kNoMemory);
    return Fate{Reason::kNoMemory, State::kListen, State::kListen};
  }
  ctx.count(Counter::kPassiveOpens);
  const Fate rest = to_connection(ref, third, ctx);
  return Fate{Reason::kSynCookieAccepted, State::kListen, rest.to, half->send_scale};
}

// From SYN-ACK to third segment, where it is known: the record keeps no time of its own, but its timer was
// set when the SYN-ACK was made.
std::optional<Duration> Stack::Impl::round_trip(RecordRef half_ref, Instant now) const {
  const tcp::HalfOpen& half = half_opens[half_ref.index()];
  if (half.retransmissions > 0 || half.acknowledged) return std::nullopt;
  const Instant sent = wheel.deadline(half_ref) - tcp::syn_ack_timeout(half, config.settings);
  return std::max(now - sent, Duration::zero());
}

// The third segment has arrived: a half-open connection becomes a full one, if there is room for it.
Reason Stack::Impl::promote(RecordRef half_ref, std::uint32_t hash, std::uint32_t listener_index,
                            const tcp::Segment& third, tcp::Context& ctx) {
  tcp::HalfOpen& half = half_opens[half_ref.index()];
  Listener& from = listeners[listener_index];
  if (from.accept_queue_full()) {
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    if (config.settings.tcp_abort_on_overflow) {
      replies.push_back(
          tcp::reset_for(half.tuple, third, State::kSynReceived, Reason::kAcceptQueueFullReset));
      remove_half_open(half_ref, hash, Reason::kAcceptQueueFullReset, ctx);
      return Reason::kAcceptQueueFullReset;
    }
    // The peer believes that it is connected; the SYN-ACK, sent again by the timer, makes it acknowledge
    // again.
    half.acknowledged = true;
    return Reason::kAcceptQueueFull;
  }
  const auto index = complete(half, round_trip(half_ref, ctx.now), hash, listener_index, third, ctx);
  if (!index) return Reason::kNoMemory;
  table.replace(hash, half_ref, RecordRef{RecordKind::kConnection, *index});
  wheel.cancel(half_ref);
  half_opens.free(half_ref.index());
  --from.half_open;
  return Reason::kHandshakeComplete;
}

// A full record in the accept queue; the table is the caller's business. Nothing: no memory.
std::optional<std::uint32_t> Stack::Impl::complete(const tcp::HalfOpen& half,
                                                   std::optional<Duration> handshake, std::uint32_t hash,
                                                   std::uint32_t listener_index, const tcp::Segment& third,
                                                   tcp::Context& ctx) {
  const auto index = connections.allocate();
  if (!index) return std::nullopt;
  ConnectionRecord& record = connections[*index];
  record.hash = hash;
  record.in_table = true;
  record.waits_for_accept = true;
  record.tcp.open_from(half, third, handshake, ctx);
  Listener& from = listeners[listener_index];
  from.accept_queue.push_back(*index);
  queue_event(Handle{HandleKind::kListener, listener_index, listeners.generation(listener_index)},
              from.event_queued);
  return index;
}

void Stack::Impl::remove_half_open(RecordRef ref, std::uint32_t hash, Reason why, tcp::Context& ctx) {
  tcp::HalfOpen& half = half_opens[ref.index()];
  if (const auto owner = listener_for(half.tuple.local)) --listeners[*owner].half_open;
  ctx.count(Counter::kAttemptFails);
  ctx.state_changed(half.tuple, State::kSynReceived, State::kClosed, why);
  wheel.cancel(ref);
  table.erase(hash, ref);
  half_opens.free(ref.index());
}

void Stack::Impl::close_listener(std::uint32_t index, tcp::Context& ctx) {
  Listener& l = listeners[index];
  half_opens.for_each([&](std::uint32_t half_index, tcp::HalfOpen& half) {
    if (listener_for(half.tuple.local) != index) return;
    // The peer learns it from the reset that its third segment gets.
    remove_half_open(RecordRef{RecordKind::kHalfOpen, half_index}, hash_of(half.tuple),
                     Reason::kListenerClosed, ctx);
  });
  const std::deque<std::uint32_t> waiting = std::move(l.accept_queue);
  for (const std::uint32_t waiting_index : waiting) {
    ConnectionRecord& record = connections[waiting_index];
    record.waits_for_accept = false;
    record.tcp.abort(tcp::Error::kAborted, Reason::kListenerClosed, ctx);
    settle(waiting_index, ctx);
  }
  ctx.state_changed({l.local, {}}, State::kListen, State::kClosed, Reason::kListenerClosed);
  listener_map.remove(l.local.port, index);
  listeners.free(index);
}

}  // namespace synfin::stack
