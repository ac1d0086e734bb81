// SPDX-License-Identifier: Apache-2.0
//
// Time goes by: whose timer runs out, and what becomes of it.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "synfin/stack/impl.h"
#include "synfin/tcp/tuple_lanes.h"

namespace synfin::stack {

using trace::Counter;
using trace::Reason;
using trace::State;

// Of the records that run out most are in TIME-WAIT, and many at a time: they are let go of in groups, each
// before whatever fires behind it.
void Stack::Impl::advance(Instant now, tcp::Context& ctx) {
  wheel_time = now;
  std::array<RecordRef, kHashLanes> waited;
  std::size_t count = 0;
  const auto let_go = [&] { end_time_waits(std::span{waited}.first(std::exchange(count, 0)), ctx); };
  wheel.advance(now, [&](RecordRef ref) {
    if (ref.kind() == RecordKind::kTimeWait) {
      waited[count++] = ref;
      if (count == waited.size() || !config.short_paths) let_go();
      return;
    }
    let_go();
    on_expired(ref, ctx);
  });
  let_go();
}

// Their 4-tuples are hashed side by side, and their places in the table brought into the cache together.
void Stack::Impl::end_time_waits(std::span<const RecordRef> refs, tcp::Context& ctx) {
  const bool all_v4 =
      std::ranges::all_of(refs, [&](RecordRef r) { return time_waits[r.index()].remote.is_v4(); });
  if (refs.size() < tcp::TupleLanes::kWorthwhile || !all_v4) {
    for (const RecordRef ref : refs) end_time_wait(ref, ctx);
    return;
  }
  tcp::TupleLanes lanes{wire::Family::kIpv4};
  for (std::size_t i = 0; i < refs.size(); ++i)
    lanes.put(i, time_waits[refs[i].index()].tuple(config.addresses));
  HashLanes hashes;
  lanes.hash(tuple_key, hashes);
  for (std::size_t i = 0; i < refs.size(); ++i) table.prefetch(tcp::TupleHash::of(hashes[i]).place);
  for (std::size_t i = 0; i < refs.size(); ++i) {
    ctx.found_by = tcp::TupleHash::of(hashes[i]);
    end_time_wait(refs[i], ctx);
  }
  ctx.found_by.reset();
}

void Stack::Impl::end_time_wait(RecordRef ref, tcp::Context& ctx) {
  const bool waits_for_fin = time_waits[ref.index()].facts.fin_wait_2;
  ctx.count(waits_for_fin ? Counter::kTCPAbortOnLinger : Counter::kTW);
  remove_time_wait(ref, waits_for_fin ? Reason::kFinWait2TimedOut : Reason::kTimeWaitExpired, ctx);
}

void Stack::Impl::on_expired(RecordRef ref, tcp::Context& ctx) {
  switch (ref.kind()) {
    case RecordKind::kConnection: {
      ConnectionRecord& record = connections[ref.index()];
      record.tcp.on_timer(ctx);
      settle(ref.index(), record, ctx);
      return;
    }
    case RecordKind::kHalfOpen:
      on_half_open_expired(ref, ctx);
      return;
    case RecordKind::kHeldSyn:
      // It may lie further ahead than the wheel reaches.
      if (held_syns[ref.index()].until > ctx.now) {
        arm(ref, held_syns[ref.index()].until, ctx);
        return;
      }
      ctx.timer_fired(held_syns[ref.index()].syn.tuple, State::kListen, Reason::kHoldTimedOut);
      withdraw_held(ref.index());
      return;
    case RecordKind::kTimeWait:  // let go of in a group
    case RecordKind::kNone:
      return;
  }
}

// Every state that must not last by itself has a timer (or the owner has one, who holds the handle and is
// idle).
std::size_t Stack::records_without_timer() const {
  std::size_t without = 0;
  const auto look = [&](RecordKind kind) {
    return [&, kind](std::uint32_t index, const auto&) {
      if (!impl_->wheel.armed(RecordRef{kind, index})) ++without;
    };
  };
  impl_->half_opens.for_each(look(RecordKind::kHalfOpen));
  impl_->time_waits.for_each(look(RecordKind::kTimeWait));
  impl_->held_syns.for_each(look(RecordKind::kHeldSyn));
  impl_->connections.for_each([&](std::uint32_t index, const ConnectionRecord& record) {
    const bool ended = !record.in_table;  // the program has yet to let go of it
    if (ended || record.ready || impl_->wheel.armed(RecordRef{RecordKind::kConnection, index})) return;
    const bool may_idle = record.tcp.state() == State::kEstablished ||
                          record.tcp.state() == State::kFinWait2 || record.tcp.state() == State::kCloseWait;
    const bool owner = record.owned || record.waits_for_accept;
    if (!(may_idle && owner && record.tcp.idle())) ++without;
  });
  return without;
}

}  // namespace synfin::stack
