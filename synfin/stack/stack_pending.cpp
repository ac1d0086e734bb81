// SPDX-License-Identifier: Apache-2.0
//
// SYNs that the program is to decide about before anything is answered: `ListenOptions::hold`.
#include <algorithm>

#include "synfin/stack/impl.h"
#include "synfin/wire/icmp.h"

namespace synfin::stack {

using trace::Reason;
using trace::State;

namespace {

wire::IcmpKind icmp_kind(Unreachable what) {
  switch (what) {
    case Unreachable::kNetwork:
      return wire::IcmpKind::kNetUnreachable;
    case Unreachable::kHost:
      return wire::IcmpKind::kHostUnreachable;
    case Unreachable::kPort:
      return wire::IcmpKind::kPortUnreachable;
    case Unreachable::kProhibited:
      break;
  }
  return wire::IcmpKind::kAdminProhibited;
}

}  // namespace

HeldSyn* Stack::Impl::pending(Handle h) {
  return h.kind() == HandleKind::kPending ? held_syns.find(h.index(), h.generation()) : nullptr;
}

Stack::Impl::Fate Stack::Impl::hold(std::uint32_t listener_index, std::uint32_t hash,
                                    const tcp::HalfOpen& half, tcp::Context& ctx) {
  Listener& l = listeners[listener_index];
  const wire::IpAddress& source = half.tuple.remote.address;
  const auto refused = [&](Reason why) {
    ctx.count(trace::Counter::kListenDrops);
    return Fate{why, State::kListen, State::kListen};
  };
  if (l.held >= l.options.hold_limit) return refused(Reason::kHoldLimit);
  if (l.held_by_source.of(source) >= l.options.hold_limit_per_source)
    return refused(Reason::kHoldLimitSource);
  const Instant until = ctx.now + l.options.hold_timeout;
  const auto slot = held_syns.allocate(HeldSyn{half, listener_index, false, until});
  const RecordRef ref{RecordKind::kHeldSyn, slot.value_or(0)};
  if (!slot || !table.insert(hash, ref)) {
    if (slot) held_syns.free(*slot);
    return refused(Reason::kNoMemory);
  }
  ++l.held;
  l.held_by_source.add(source);
  l.to_hand.push_back(*slot);
  arm(ref, until, ctx);
  tell_listener(listener_index, kPending);
  return {Reason::kSynHeld, State::kListen, State::kListen, half.send_scale};
}

Stack::Impl::Fate Stack::Impl::to_held(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx) {
  const HeldSyn& held = held_syns[ref.index()];
  Fate fate{Reason::kHeldIgnored, State::kListen, State::kListen};
  const wire::SeqNum irs = held.syn.irs;
  if (seg.flags().rst()) {
    if (seg.seq() != irs && seg.seq() != irs + 1) return fate;
    withdraw_held(ref.index());
    fate.reason = Reason::kHeldReset;
  } else if (seg.flags().syn() && !seg.flags().ack() && seg.seq() == irs) {
    listeners[held.listener].monitor->on_repeated_syn(ctx.now);
    judge_flood(held.listener, ctx);
    fate.reason = Reason::kSynHeldAgain;
  }
  return fate;
}

void Stack::Impl::unhold(std::uint32_t index) {
  const HeldSyn& held = held_syns[index];
  Listener& l = listeners[held.listener];
  --l.held;
  l.held_by_source.remove(held.syn.tuple.remote.address);
  // Mostly the oldest is the one that goes.
  if (!held.handed) l.to_hand.erase(std::ranges::find(l.to_hand, index));
  wheel.cancel(RecordRef{RecordKind::kHeldSyn, index});
}

void Stack::Impl::remove_held(std::uint32_t index) {
  unhold(index);
  table.erase(hash_of(held_syns[index].syn.tuple), RecordRef{RecordKind::kHeldSyn, index});
  held_syns.free(index);
}

void Stack::Impl::withdraw_held(std::uint32_t index) {
  // Stale by the time it is polled, and that says it all.
  if (held_syns[index].handed)
    events.push_back(Handle{HandleKind::kPending, index, held_syns.generation(index)});
  remove_held(index);
}

std::optional<std::uint32_t> Stack::Impl::accept_held(std::uint32_t index, tcp::Context& ctx) {
  const tcp::HalfOpen syn = held_syns[index].syn;
  const auto connection = new_connection(hash_of(syn.tuple), RecordRef{RecordKind::kHeldSyn, index});
  if (!connection) return std::nullopt;
  ConnectionRecord& record = connections[*connection];
  record.tcp.set_options(listeners[held_syns[index].listener].options.connection, ctx);
  unhold(index);
  held_syns.free(index);
  record.owned = true;
  record.opening = true;
  record.tcp.open_passive(syn, nullptr, ctx);
  settle(*connection, ctx);
  return connection;
}

// The SYN itself is gone, but all of it that an ICMP error must quote is known.
void Stack::Impl::answer_unreachable(const tcp::HalfOpen& syn, Unreachable what) {
  const wire::FourTuple& tuple = syn.tuple;
  wire::IpHeader ip;
  ip.source = tuple.remote.address;
  ip.destination = tuple.local.address;
  ip.protocol = wire::protocol::kTcp;
  wire::TcpHeader header;
  header.source_port = tuple.remote.port;
  header.destination_port = tuple.local.port;
  header.seq = syn.irs;
  header.flags = wire::Flags::kSyn;
  wire::Frame quoted;
  wire::emit_tcp_packet(ip, header, quoted, wire::FillChecksum::kYes);
  queue_packet(wire::make_icmp_error(icmp_kind(what), tuple.local.address, ip, quoted, pool),
               Reason::kPendingUnreachable);
}

}  // namespace synfin::stack
