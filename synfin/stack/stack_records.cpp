// SPDX-License-Identifier: Apache-2.0
//
// A connection is three records in its life: half-open, full, TIME-WAIT. Here they become each other, and
// end.
#include <algorithm>
#include <cassert>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;
using trace::State;

void Stack::Impl::tell_listener(std::uint32_t index, std::uint16_t what) {
  Listener& l = listeners[index];
  l.events |= what;
  queue_event(Handle{HandleKind::kListener, index, listeners.generation(index)}, l.event_queued);
}

// A wheel measures how far ahead a deadline may lie from when it was last advanced. One with timers is
// advanced as they run out; an empty one may have stood still for years.
void Stack::Impl::arm(RecordRef ref, tcp::TimerNode& at, Instant deadline, tcp::Context& ctx) {
  if (wheel.size() == 0 && wheel_time < ctx.now) advance(ctx.now, ctx);
  wheel.arm(ref, at, deadline);
}

std::uint32_t Stack::Impl::hash_of(const wire::FourTuple& tuple) const {
  return tcp::tuple_hash(tuple_key, tuple).place;
}

bool Stack::Impl::owns(RecordRef ref, const wire::FourTuple& tuple) const {
  switch (ref.kind()) {
    case RecordKind::kHalfOpen:
      return half_opens[ref.index()].is_of(tuple, config.addresses);
    case RecordKind::kTimeWait:
      return time_waits[ref.index()].is_of(tuple, config.addresses);
    case RecordKind::kHeldSyn:
      return held_syns[ref.index()].syn.tuple == tuple;
    case RecordKind::kConnection:
    case RecordKind::kNone:
      break;
  }
  return connections[ref.index()].tcp.tuple() == tuple;
}

RecordRef Stack::Impl::find(const wire::FourTuple& tuple, std::uint32_t hash) const {
  return table.find(hash, [&](RecordRef ref) { return owns(ref, tuple); });
}

std::uint32_t Stack::Impl::own_number(const wire::IpAddress& own) const {
  const auto at = std::ranges::find(config.addresses, own, &wire::Prefix::address);
  assert(at != config.addresses.end());  // a packet for another address comes to no record
  return static_cast<std::uint32_t>(at - config.addresses.begin());
}

ConnectionRecord* Stack::Impl::connection(Handle h) {
  if (h.kind() != HandleKind::kConnection) return nullptr;
  ConnectionRecord* r = connections.find(h.index(), h.generation());
  return r != nullptr && r->owned ? r : nullptr;
}

Listener* Stack::Impl::listener(Handle h) {
  return h.kind() == HandleKind::kListener ? listeners.find(h.index(), h.generation()) : nullptr;
}

std::optional<std::uint32_t> Stack::Impl::listener_for(const wire::Endpoint& local) const {
  for (const std::uint32_t index : listener_map.at(local.port)) {
    if (covers(listeners[index].local.address, local.address)) return index;
  }
  return std::nullopt;
}

void Stack::Impl::queue_event(Handle handle, bool& queued) {
  if (queued) return;
  queued = true;
  events.push_back(handle);
}

std::optional<std::uint32_t> Stack::Impl::new_connection(std::uint32_t hash, RecordRef from) {
  const auto index = connections.allocate();
  if (!index) return std::nullopt;
  const RecordRef ref{RecordKind::kConnection, *index};
  if (from) {
    table.replace(hash, from, ref);
  } else if (!table.insert(hash, ref)) {
    connections.free(*index);
    return std::nullopt;
  }
  connections[*index].hash = hash;
  connections[*index].in_table = true;
  return index;
}

void Stack::Impl::remove_time_wait(RecordRef ref, Reason why, tcp::Context& ctx) {
  const tcp::TimeWait tw = time_wait(ref);
  ctx.state_changed(tw.tuple, tw.state(), State::kClosed, why);
  wheel.cancel(ref);
  table.erase(ctx.hash_of(tw.tuple).place, ref);
  time_waits.free(ref.index());
}

// The full record makes way for a small one that owns the 4-tuple: for 2 MSL, or until the peer closes too.
// What the program has not read yet stays with the full one.
void Stack::Impl::shrink(std::uint32_t index, ConnectionRecord& record, tcp::Context& ctx) {
  const RecordRef ref{RecordKind::kConnection, index};
  const tcp::TimeWait tw = record.tcp.time_wait();
  if (record.tcp.owes_ack()) replies.push_back(tcp::time_wait_ack(tw, ctx, Reason::kAckSent));
  leave_table(record);
  wheel.cancel(record.timer);
  time_waits.set_limit(config.settings.tcp_max_tw_buckets);
  const auto slot = time_waits.allocate(tw, own_number(tw.tuple.local.address));
  if (!slot) {
    ctx.count(Counter::kTCPTimeWaitOverflow);
    ctx.state_changed(tw.tuple, tw.state(), State::kClosed, Reason::kTimeWaitOverflow);
    table.erase(record.hash, ref);
    return;
  }
  const RecordRef small{RecordKind::kTimeWait, *slot};
  table.replace(record.hash, ref, small);
  arm(small, time_waits[*slot].timer,
      ctx.now + (tw.fin_wait_2 ? record.tcp.fin_timeout(config.settings) : config.settings.msl * 2), ctx);
}

void Stack::Impl::leave_table(ConnectionRecord& record) {
  record.in_table = false;
  if (record.orphan) --orphans;
  record.orphan = false;
}

void Stack::Impl::orphan(ConnectionRecord& record, tcp::Context& ctx) {
  record.owned = false;
  const State state = record.tcp.state();
  if (!record.in_table || state == State::kClosed || state == State::kFinWait2) return;
  if (orphans >= config.settings.tcp_max_orphans) {
    ctx.count(Counter::kTCPAbortOnMemory);
    record.tcp.abort(tcp::Error::kNoMemory, Reason::kTooManyOrphans, ctx);
    return;
  }
  record.orphan = true;
  ++orphans;
}

bool Stack::Impl::may_reuse(RecordRef ref, Instant now) const {
  if (config.settings.tcp_tw_reuse != 1 || ref.kind() != RecordKind::kTimeWait) return false;
  return tcp::may_reuse(time_wait(ref), wheel.deadline(ref) - config.settings.msl * 2, now);
}

bool Stack::Impl::settle(std::uint32_t index, ConnectionRecord& record, tcp::Context& ctx) {
  const RecordRef ref{RecordKind::kConnection, index};
  const State state = record.tcp.state();
  if (record.in_table) {
    if (state == State::kTimeWait || (state == State::kFinWait2 && record.tcp.program_gone())) {
      shrink(index, record, ctx);
    } else if (state == State::kClosed) {
      leave_table(record);
      wheel.cancel(record.timer);
      table.erase(record.hash, ref);
    }
  }
  if (record.opening && state != State::kSynReceived) opened(record, ctx);
  record.events |= record.tcp.take_events();
  if (!record.in_table && !record.owned && !record.waits_for_accept) {
    connections.free(index);
    return false;
  }
  if (record.owned && record.events != 0 && !record.event_queued)
    queue_event(handle_of(index), record.event_queued);
  if (!record.in_table) return true;

  const Instant deadline = record.tcp.next_deadline();
  if (deadline.is_never()) {
    wheel.cancel(record.timer);
  } else if (!wheel.armed_by(record.timer, deadline)) {
    // A deadline that moved away leaves the timer where it is: it fires early, finds nothing due, and is
    // armed again.
    arm(ref, record.timer, deadline, ctx);
  }
  if (!record.ready) {
    record.ready = true;
    ready.push_back(handle_of(index));
  }
  return true;
}

}  // namespace synfin::stack
