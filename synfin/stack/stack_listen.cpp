// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a SYN for a listener: a record, a cookie, a connection at once (Fast Open), something for
// the program to decide, or nothing. Read first: RFC 9293 §3.10.7.2, RFC 4987.
#include <algorithm>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;
using trace::State;

// `after`: our last number of an earlier connection of the same pair; the new one must begin beyond it (RFC
// 9293 §3.6.1, MAY-2).
Stack::Impl::Fate Stack::Impl::to_listener(std::uint32_t index, const tcp::TupleHash& hash,
                                           const wire::FourTuple& tuple, const tcp::Segment& seg,
                                           std::optional<wire::SeqNum> after, tcp::Context& ctx) {
  Listener& l = listeners[index];
  const tcp::ListenDisposition d = tcp::judge_in_listen(seg);
  Fate fate{d.reason, State::kListen, State::kListen};
  switch (d.verdict) {
    case tcp::ListenVerdict::kDrop:
      return fate;
    case tcp::ListenVerdict::kReset:
      if (const auto cookie = from_cookie(index, hash.place, tuple, seg, ctx)) return *cookie;
      replies.push_back(tcp::reset_for(tuple, seg, State::kListen, d.reason));
      return fate;
    case tcp::ListenVerdict::kOpen:
      break;
  }
  l.monitor->on_syn(tuple.remote.address, ctx.now);
  tcp::HalfOpen half;
  const tcp::Offer offer = offer_of(l, ctx, tuple.local.address.family());
  tcp::open_half(half, tuple, seg, offer, ctx);
  const Reason obstacle = l.options.hold ? Reason::kNone : judge_queues(l, tuple, after.has_value(), ctx);
  if (obstacle == Reason::kSynCookieSent) {
    fate = with_cookie(l, hash, half, ctx);
  } else if (obstacle != Reason::kNone) {
    fate.reason = obstacle;
  } else {
    half.iss = isn.next(tuple, ctx.now);
    if (after && !half.iss.after(*after)) half.iss = *after + 65537;
    if (l.options.hold) {
      fate = hold(index, hash.place, half, ctx);
    } else if (!serves_fast_open(l, seg)) {
      fate = keep_half_open(l, hash, half, offer, d.reason, seg, ctx);
    } else {
      fate.reason = judge_fast_open(l, tuple, seg, ctx);
      fate = fate.reason == Reason::kFastOpenAccepted
                 ? open_fast(index, hash.place, half, seg, ctx)
                 : keep_half_open(l, hash, half, offer, fate.reason, seg, ctx);
    }
  }
  judge_flood(index, ctx);
  return fate;
}

// In Linux's order, with its counters. A cookie could not promise a number beyond those of an earlier
// connection, so a SYN that reopens TIME-WAIT passes the SYN queue; but it has to be accepted like any other.
Reason Stack::Impl::judge_queues(Listener& l, const wire::FourTuple& tuple, bool reopens, tcp::Context& ctx) {
  const std::uint32_t mode = config.settings.tcp_syncookies;
  const std::uint32_t most = config.settings.tcp_max_syn_backlog;
  const bool full = !reopens && syn_queue_full(l);
  if (full) ctx.count(mode > 0 ? Counter::kTCPReqQFullDoCookies : Counter::kTCPReqQFullDrop);
  if (full && mode == 0) {
    ctx.count(Counter::kListenDrops);
    return Reason::kSynQueueFull;
  }
  if (l.accept_queue_full()) {
    l.monitor->on_overflow(ctx.now);
    ctx.count(Counter::kListenOverflows);
    ctx.count(Counter::kListenDrops);
    return Reason::kAcceptQueueFull;
  }
  if (full) return Reason::kSynCookieSent;
  if (mode > 0 || reopens) return Reason::kNone;
  Reason obstacle = Reason::kNone;
  if (l.half_open >= most) {
    obstacle = Reason::kSynQueueFull;
  } else if (most - l.half_open < most / 4 && !proven.contains(tuple.remote.address)) {
    obstacle = Reason::kSynQueueReserved;
  }
  if (obstacle != Reason::kNone) ctx.count(Counter::kListenDrops);
  return obstacle;
}

// With tcp_syncookies 2 it always counts as full.
bool Stack::Impl::syn_queue_full(const Listener& l) const {
  const std::uint32_t mode = config.settings.tcp_syncookies;
  return mode == 2 || l.half_open > l.backlog ||
         (mode == 1 && l.half_open >= config.settings.tcp_max_syn_backlog);
}

bool Stack::Impl::answers_by_cookies(const Listener& l) const {
  return config.settings.tcp_syncookies > 0 && syn_queue_full(l) && !l.options.hold && !l.accept_queue_full();
}

Stack::Impl::Fate Stack::Impl::keep_half_open(Listener& l, const tcp::TupleHash& hash,
                                              const tcp::HalfOpen& half, const tcp::Offer& offer, Reason why,
                                              const tcp::Segment& syn, tcp::Context& ctx) {
  const auto slot = half_opens.allocate(half, own_number(half.tuple.local.address));
  const RecordRef ref{RecordKind::kHalfOpen, slot.value_or(0)};
  if (!slot || !table.insert(hash.place, ref)) {
    if (slot) half_opens.free(*slot);
    ctx.count(Counter::kListenDrops);
    return {Reason::kNoMemory, State::kListen, State::kListen};
  }
  ++l.half_open;
  ++l.young;
  ctx.state_changed(half.tuple, State::kListen, State::kSynReceived, why);
  tcp::Reply& reply = tcp::send_syn_ack(half, offer, hash.timestamp_offset, ctx, Reason::kSynAckSent);
  reply.traffic_class = l.traffic_class();
  // Whatever cookie it brought was not good enough, so it gets one that will be.
  if (serves_fast_open(l, syn) && syn.header.options.has(wire::TcpOptions::kFastOpen))
    fast_open_cookies.give(half.tuple, reply.header.options);
  // Beside a cookie there is room for two counters of octets.
  if (reply.header.options.has(wire::TcpOptions::kFastOpen)) reply.header.options.ecn.fields = 2;
  arm(ref, ctx.now + tcp::syn_ack_timeout(half, config.settings), ctx);
  return {why, State::kListen, State::kSynReceived, half.send_scale};
}

// Answers a SYN and forgets it: the SYN-ACK's number holds what a record would have held.
Stack::Impl::Fate Stack::Impl::with_cookie(Listener& l, const tcp::TupleHash& hash, tcp::HalfOpen& half,
                                           tcp::Context& ctx) {
  l.last_overflow = ctx.now;
  cookies.keys().rotate_if_due(ctx.now, entropy);
  cookies.make(half, ctx.now);
  (void)send_cookie(l, hash.timestamp_offset, half, ctx);
  ctx.count(Counter::kSyncookiesSent);
  flooded = true;
  return {Reason::kSynCookieSent, State::kListen, State::kListen, half.send_scale};
}

tcp::Reply& Stack::Impl::send_cookie(const Listener& l, std::uint32_t timestamp_offset,
                                     const tcp::HalfOpen& half, tcp::Context& ctx) {
  const tcp::Offer offer = offer_of(l, ctx, half.tuple.local.address.family());
  tcp::Reply& reply = tcp::send_syn_ack(half, offer, timestamp_offset, ctx, Reason::kSynCookieSent);
  if (half.timestamps) {
    std::uint32_t& value = reply.header.options.timestamps.value;
    value = tcp::SynCookies::timestamp(half, value);
  }
  reply.state = State::kListen;
  reply.traffic_class = l.traffic_class();
  return reply;
}

std::uint32_t Stack::Impl::fast_open_limit(const Listener& l) const {
  if ((config.settings.tcp_fastopen & kFastOpenServer) == 0) return 0;
  const bool all = (config.settings.tcp_fastopen & kFastOpenEveryListener) != 0;
  return l.options.fast_open == 0 && all ? l.backlog : l.options.fast_open;
}

// Whether a SYN has to do with Fast Open at all.
bool Stack::Impl::serves_fast_open(const Listener& l, const tcp::Segment& syn) const {
  if (fast_open_limit(l) == 0) return false;
  const bool needs_no_cookie = (config.settings.tcp_fastopen & kFastOpenNoCookieNeeded) != 0;
  return syn.header.options.has(wire::TcpOptions::kFastOpen) || (needs_no_cookie && syn.text_size > 0);
}

Reason Stack::Impl::judge_fast_open(Listener& l, const wire::FourTuple& tuple, const tcp::Segment& syn,
                                    tcp::Context& ctx) {
  fast_open_cookies.keys().rotate_if_due(ctx.now, entropy);
  const wire::TcpOptions& o = syn.header.options;
  const bool needs_cookie =
      (config.settings.tcp_fastopen & kFastOpenNoCookieNeeded) == 0 || syn.text_size == 0;
  if (needs_cookie && o.cookie_size == 0) {
    ctx.count(Counter::kTCPFastOpenCookieReqd);
    return Reason::kFastOpenCookieAsked;
  }
  if (needs_cookie && !fast_open_cookies.honours(tuple, o)) {
    ctx.count(Counter::kTCPFastOpenPassiveFail);
    return Reason::kFastOpenCookieBad;
  }
  for (; !l.fast_open_resets.empty() && l.fast_open_resets.front() <= ctx.now; --l.fast_open)
    l.fast_open_resets.pop_front();
  if (l.fast_open >= fast_open_limit(l)) {
    ctx.count(Counter::kTCPFastOpenListenOverflow);
    return Reason::kFastOpenQueueFull;
  }
  return Reason::kFastOpenAccepted;
}

// The cookie proves that the peer is where it claims to be, so the program may have the connection before
// the third segment (RFC 7413 §4.2.2).
Stack::Impl::Fate Stack::Impl::open_fast(std::uint32_t index, std::uint32_t hash, const tcp::HalfOpen& half,
                                         const tcp::Segment& syn, tcp::Context& ctx) {
  const auto connection = new_connection(hash);
  if (!connection) {
    ctx.count(Counter::kListenDrops);
    return {Reason::kNoMemory, State::kListen, State::kListen};
  }
  Listener& l = listeners[index];
  ConnectionRecord& record = connections[*connection];
  record.waits_for_accept = true;
  record.opening = record.fast_open = true;
  ++l.fast_open;
  l.accept_queue.push_back(*connection);
  ctx.count(Counter::kTCPFastOpenPassive);
  record.tcp.set_options(l.options.connection, ctx);
  record.tcp.open_passive(half, &syn, ctx);
  settle(*connection, ctx);
  tell_listener(index, kAcceptable);
  return {Reason::kFastOpenAccepted, State::kListen, State::kSynReceived, half.send_scale};
}

void Stack::Impl::close_listener(std::uint32_t index, tcp::Context& ctx) {
  Listener& l = listeners[index];
  half_opens.for_each([&](std::uint32_t half_index, KeptHalfOpen& half) {
    const wire::FourTuple tuple = half.tuple(config.addresses);
    if (listener_for(tuple.local) != index) return;
    // The peer learns it from the reset that its third segment gets.
    remove_half_open(RecordRef{RecordKind::kHalfOpen, half_index}, hash_of(tuple), Reason::kListenerClosed,
                     ctx);
  });
  held_syns.for_each([&](std::uint32_t held_index, HeldSyn& held) {
    if (held.listener == index) withdraw_held(held_index);
  });
  for (Ring<std::uint32_t> waiting = std::move(l.accept_queue); !waiting.empty(); waiting.pop_front()) {
    const std::uint32_t waiting_index = waiting.front();
    ConnectionRecord& record = connections[waiting_index];
    record.waits_for_accept = false;
    record.tcp.abort(tcp::Error::kAborted, Reason::kListenerClosed, ctx);
    settle(waiting_index, ctx);
  }
  if (l.fast_open > 0) {
    // What the program has accepted stays, and is none of the next listener's business.
    connections.for_each([&](std::uint32_t, ConnectionRecord& record) {
      if (record.fast_open && listener_for(record.tcp.tuple().local) == index)
        record.opening = record.fast_open = false;
    });
  }
  std::erase(alarmed, index);
  ctx.state_changed({l.local, {}}, State::kListen, State::kClosed, Reason::kListenerClosed);
  listener_map.remove(l.local.port, index);
  listeners.free(index);
}

SynMonitor::Queues Stack::Impl::queues_of(const Listener& l) const {
  return {.half_open = l.half_open,
          .half_open_limit = std::min(l.backlog + 1, config.settings.tcp_max_syn_backlog),
          .accept_queue = static_cast<std::uint32_t>(l.accept_queue.size()),
          .accept_queue_limit = l.accept_queue_limit()};
}

void Stack::Impl::judge_flood(std::uint32_t index, tcp::Context& ctx) {
  Listener& l = listeners[index];
  if (!l.monitor->due(ctx.now)) return;
  auto report = l.monitor->judge(queues_of(l), config.settings, ctx.now);
  if (!report) return;
  report->listener = l.local;
  if (report->begins) {
    ctx.count(Counter::kSynFloodAlarms);
    alarmed.push_back(index);
  } else {
    std::erase(alarmed, index);
  }
  if (sink == nullptr) return;
  trace::Event e;
  e.kind = trace::EventKind::kFlood;
  e.reason = report->verdict;
  e.at = ctx.now;
  e.tuple.local = l.local;
  e.flood = &*report;
  sink->on_event(e);
}

void Stack::Impl::judge_floods(tcp::Context& ctx) {
  for (const std::uint32_t index : std::vector(alarmed)) judge_flood(index, ctx);
}

Instant Stack::Impl::next_judgement() const {
  Instant next = Instant::never();
  for (const std::uint32_t index : alarmed) next = std::min(next, listeners[index].monitor->next_deadline());
  return next;
}

}  // namespace synfin::stack
