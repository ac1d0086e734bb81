// SPDX-License-Identifier: Apache-2.0
//
// The calls of RFC 9293 §3.10.1–3.10.6: find the record, let the protocol decide, look at what became of it.
#include "synfin/stack/stack.h"

#include <algorithm>

#include "synfin/stack/impl.h"

namespace synfin::stack {

using tcp::Error;
using trace::Counter;
using trace::Reason;
using trace::State;

namespace {

bool is_valid(const tcp::Options& o) {
  const auto negative = [](Duration d) { return d < Duration::zero(); };
  return !negative(o.keepalive_time) && !negative(o.keepalive_interval) && !negative(o.user_timeout) &&
         !negative(o.advertised_user_timeout) && !negative(o.fin_timeout) &&
         !(o.linger && negative(*o.linger));
}

Key random_key(Entropy& entropy) {
  Key key;
  entropy.fill(key);
  return key;
}

}  // namespace

Stack::Impl::Impl(Config c, wire::BlockPool& p, Entropy& e, trace::Sink* s)
    : config(std::move(c)),
      pool(p),
      entropy(e),
      sink(s),
      packet_sink(s != nullptr && s->wants_packets() ? s : nullptr),
      tuple_key(random_key(e)),
      isn(e),
      ports(e),
      cookies(e),
      fast_open_cookies(e),
      proven(random_key(e)),
      wheel(*this) {
  for (const wire::Prefix& own : config.addresses) {
    if (const auto broadcast = own.broadcast()) broadcasts.push_back(*broadcast);
  }
}

void Stack::add_address(const wire::Prefix& own) {
  auto& addresses = impl_->config.addresses;
  if (std::ranges::find(addresses, own.address, &wire::Prefix::address) != addresses.end()) return;
  addresses.push_back(own);
  if (const auto broadcast = own.broadcast()) impl_->broadcasts.push_back(*broadcast);
}

Stack::Stack(Config config, wire::BlockPool& pool, Entropy& entropy, trace::Sink* sink)
    : impl_(std::make_unique<Impl>(std::move(config), pool, entropy, sink)) {}

Stack::~Stack() = default;

void Stack::receive(std::span<wire::Frame> frames, Instant now) {
  tcp::Context ctx = impl_->context(now);
  if (impl_->flooded && impl_->config.short_paths && impl_->packet_sink == nullptr) {
    impl_->receive_flood(frames, ctx);
  } else {
    impl_->receive_all(frames, ctx);
  }
  ctx.found_by.reset();
  impl_->watch_memory(ctx);
}

void Stack::advance(Instant now) {
  tcp::Context ctx = impl_->context(now);
  impl_->advance(now, ctx);
  impl_->judge_floods(ctx);
  impl_->watch_memory(ctx);
}

std::size_t Stack::transmit(std::span<wire::Frame> out, Instant now) {
  return impl_->transmit(out, now);
}

bool Stack::has_output() const {
  return !impl_->packets.empty() || !impl_->replies.empty() || !impl_->written.empty() ||
         !impl_->ready.empty();
}

Instant Stack::next_deadline() const {
  return std::min({impl_->wheel.next_deadline(), impl_->next_judgement(), impl_->look_for_memory});
}

std::optional<SocketEvent> Stack::poll_event() {
  while (!impl_->events.empty()) {
    const Handle handle = impl_->events.front();
    impl_->events.pop_front();
    if (ConnectionRecord* c = impl_->connection(handle)) {
      c->event_queued = false;
      return SocketEvent{handle, std::exchange(c->events, std::uint16_t{0})};
    }
    if (Listener* l = impl_->listener(handle)) {
      l->event_queued = false;
      return SocketEvent{handle, std::exchange(l->events, std::uint16_t{0})};
    }
    if (handle.kind() == HandleKind::kPending) return SocketEvent{handle, kFailed};
  }
  return std::nullopt;
}

std::expected<Handle, Error> Stack::listen(const wire::Endpoint& local, const ListenOptions& options,
                                           Instant now) {
  if (local.port == 0) return std::unexpected(Error::kInvalidArgument);
  const auto is_own = [&](const wire::Prefix& p) { return p.address == local.address; };
  if (!local.address.is_unspecified() && std::ranges::none_of(impl_->config.addresses, is_own)) {
    return std::unexpected(Error::kAddressNotAvailable);
  }
  for (const std::uint32_t index : impl_->listener_map.at(local.port)) {
    if (impl_->listeners[index].overlaps(local)) return std::unexpected(Error::kAddressInUse);
  }
  const auto index = impl_->listeners.allocate(impl_->entropy, random_key(impl_->entropy));
  if (!index) return std::unexpected(Error::kNoMemory);
  Listener& l = impl_->listeners[*index];
  l.local = local;
  l.set_options(options, impl_->config.settings.somaxconn);
  impl_->listener_map.add(local.port, *index);
  impl_->context(now).state_changed({local, {}}, State::kClosed, State::kListen, Reason::kPassiveOpen);
  return Handle{HandleKind::kListener, *index, impl_->listeners.generation(*index)};
}

std::expected<Handle, Error> Stack::accept(Handle handle, Instant now) {
  (void)now;
  Listener* l = impl_->listener(handle);
  if (l == nullptr) return std::unexpected(Error::kInvalidHandle);
  if (l->accept_queue.empty()) return std::unexpected(Error::kWouldBlock);
  const std::uint32_t index = l->accept_queue.front();
  l->accept_queue.pop_front();
  ConnectionRecord& record = impl_->connections[index];
  record.waits_for_accept = false;
  record.owned = true;
  const Handle connection{HandleKind::kConnection, index, impl_->connections.generation(index)};
  // What happened while it waited, but for the handshake, which the program has just been told of.
  record.events &= static_cast<std::uint16_t>(~kConnected);
  if (record.events != 0) impl_->queue_event(connection, record.event_queued);
  return connection;
}

std::expected<void, Error> Stack::set_listen_options(Handle handle, const ListenOptions& options) {
  Listener* l = impl_->listener(handle);
  if (l == nullptr) return std::unexpected(Error::kInvalidHandle);
  l->set_options(options, impl_->config.settings.somaxconn);
  return {};
}

std::expected<ListenOptions, Error> Stack::listen_options(Handle handle) const {
  const Listener* l = impl_->listener(handle);
  if (l == nullptr) return std::unexpected(Error::kInvalidHandle);
  return l->options;
}

std::expected<Handle, Error> Stack::next_pending(Handle handle) {
  Listener* l = impl_->listener(handle);
  if (l == nullptr) return std::unexpected(Error::kInvalidHandle);
  if (l->to_hand.empty()) return std::unexpected(Error::kWouldBlock);
  const std::uint32_t index = l->to_hand.front();
  l->to_hand.pop_front();
  impl_->held_syns[index].handed = true;
  return Handle{HandleKind::kPending, index, impl_->held_syns.generation(index)};
}

std::expected<Handle, Error> Stack::accept_pending(Handle handle, Instant now) {
  if (impl_->pending(handle) == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  const auto index = impl_->accept_held(handle.index(), ctx);
  if (!index) return std::unexpected(Error::kNoMemory);
  return Handle{HandleKind::kConnection, *index, impl_->connections.generation(*index)};
}

std::expected<void, Error> Stack::reject_pending(Handle handle, Instant now) {
  const HeldSyn* held = impl_->pending(handle);
  if (held == nullptr) return std::unexpected(Error::kInvalidHandle);
  impl_->context(now).called(held->syn.tuple, State::kListen, Reason::kPendingRejected);
  impl_->replies.push_back(tcp::refusal(held->syn, Reason::kPendingRejected));
  impl_->remove_held(handle.index());
  return {};
}

std::expected<void, Error> Stack::drop_pending(Handle handle, Instant now) {
  const HeldSyn* held = impl_->pending(handle);
  if (held == nullptr) return std::unexpected(Error::kInvalidHandle);
  impl_->context(now).called(held->syn.tuple, State::kListen, Reason::kPendingDropped);
  impl_->remove_held(handle.index());
  return {};
}

std::expected<void, Error> Stack::unreachable_pending(Handle handle, Unreachable what, Instant now) {
  const HeldSyn* held = impl_->pending(handle);
  if (held == nullptr) return std::unexpected(Error::kInvalidHandle);
  impl_->context(now).called(held->syn.tuple, State::kListen, Reason::kPendingUnreachable);
  impl_->answer_unreachable(held->syn, what);
  impl_->remove_held(handle.index());
  return {};
}

std::expected<Handle, Error> Stack::connect(const wire::Endpoint& remote, const ConnectOptions& options,
                                            Instant now) {
  // "A TCP implementation MUST reject as an error a local OPEN call for an invalid remote IP address"
  //   (RFC 9293 §3.9.1.1, MUST-46)
  if (remote.port == 0 || remote.address.is_unspecified() || remote.address.is_multicast() ||
      remote.address.is_limited_broadcast() ||
      std::ranges::find(impl_->broadcasts, remote.address) != impl_->broadcasts.end()) {
    return std::unexpected(Error::kInvalidArgument);
  }
  const auto& addresses = impl_->config.addresses;
  wire::FourTuple tuple{options.local, remote};
  if (tuple.local.address.is_unspecified()) {
    const auto first = std::ranges::find_if(
        addresses, [&](const wire::Prefix& p) { return p.address.family() == remote.address.family(); });
    if (first == addresses.end()) return std::unexpected(Error::kNetUnreachable);
    tuple.local.address = first->address;
  } else {
    if (tuple.local.address.family() != remote.address.family())
      return std::unexpected(Error::kInvalidArgument);
    const auto is_own = [&](const wire::Prefix& p) { return p.address == tuple.local.address; };
    if (std::ranges::none_of(addresses, is_own)) return std::unexpected(Error::kAddressNotAvailable);
  }
  if (!is_valid(options.connection)) return std::unexpected(Error::kInvalidArgument);
  const auto own = impl_->pick_port(tuple, options.local.port, now);
  if (!own) return std::unexpected(own.error());
  tuple.local.port = own->port;

  tcp::Context ctx = impl_->context(now);
  ctx.found_by = own->hash;
  std::optional<tcp::TimeWait> reused;
  if (own->time_wait) {
    reused = impl_->time_wait(own->time_wait);
    ctx.count(Counter::kTWRecycled);
    impl_->remove_time_wait(own->time_wait, Reason::kTimeWaitReused, ctx);
  }
  const auto index = impl_->new_connection(own->hash.place);
  if (!index) return std::unexpected(Error::kNoMemory);
  ConnectionRecord& record = impl_->connections[*index];
  record.owned = true;
  const bool fast_open =
      options.fast_open && (impl_->config.settings.tcp_fastopen & Impl::kFastOpenClient) != 0;
  if (options.connection != tcp::Options{}) record.tcp.set_options(options.connection, ctx);
  record.tcp.open_active(tuple, tcp::Connection::FastOpen{fast_open}, ctx, reused ? &*reused : nullptr);
  impl_->settle(*index, record, ctx);
  return Handle{HandleKind::kConnection, *index, impl_->connections.generation(*index)};
}

// The port asked for, or with 0 one of the ephemeral ones: such as nothing owns first, then such as TIME-WAIT
// may give away.
std::expected<Stack::Impl::OwnPort, Error> Stack::Impl::pick_port(wire::FourTuple tuple, std::uint16_t wanted,
                                                                  Instant now) {
  OwnPort own;
  const auto look_up = [&](std::uint16_t port) {
    tuple.local.port = own.port = port;
    own.hash = tcp::tuple_hash(tuple_key, tuple);
    own.time_wait = find(tuple, own.hash.place);
  };
  const auto is_free = [&](std::uint16_t port) {
    look_up(port);
    return !own.time_wait && tuple.local != tuple.remote;
  };
  const auto can_be_had = [&](std::uint16_t port) {
    look_up(port);
    return may_reuse(own.time_wait, now);
  };
  if (wanted != 0) {
    if (!is_free(wanted) && !may_reuse(own.time_wait, now)) return std::unexpected(Error::kAddressInUse);
    return own;
  }
  const auto first = static_cast<std::uint16_t>(config.settings.ip_local_port_first);
  const auto last = std::max(first, static_cast<std::uint16_t>(config.settings.ip_local_port_last));
  if (ports.pick(tuple.local.address, tuple.remote, first, last, is_free)) return own;
  if (config.settings.tcp_tw_reuse == 1 &&
      ports.pick(tuple.local.address, tuple.remote, first, last, can_be_had))
    return own;
  return std::unexpected(Error::kNoPorts);
}

std::expected<std::size_t, Error> Stack::send(Handle handle, std::span<const Bytes> data, Instant now,
                                              tcp::More more) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  auto result = record->tcp.send(data, more, ctx);
  if (!result && result.error() == Error::kNoBuffers) impl_->wait_for_memory(handle.index(), now);
  impl_->settle(handle.index(), *record, ctx);
  return result;
}

std::expected<std::size_t, Error> Stack::send_shared(Handle handle, std::span<wire::Slice> data, Instant now,
                                                     tcp::More more) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  auto result = record->tcp.send_shared(data, more, ctx);
  if (!result && result.error() == Error::kNoBuffers) impl_->wait_for_memory(handle.index(), now);
  impl_->settle(handle.index(), *record, ctx);
  return result;
}

std::expected<std::size_t, Error> Stack::send_urgent(Handle handle, std::span<const Bytes> data,
                                                     Instant now) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  auto result = record->tcp.send_urgent(data, ctx);
  if (!result && result.error() == Error::kNoBuffers) impl_->wait_for_memory(handle.index(), now);
  impl_->settle(handle.index(), *record, ctx);
  return result;
}

std::expected<std::size_t, Error> Stack::receive(Handle handle, std::span<const MutableBytes> into,
                                                 Instant now) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  auto result = record->tcp.receive(into, ctx);
  impl_->settle(handle.index(), *record, ctx);
  if (!impl_->starved.empty()) impl_->watch_memory(ctx);
  return result;
}

std::expected<std::size_t, Error> Stack::receive_shared(Handle handle, std::span<wire::Slice> into,
                                                        Instant now, std::uint32_t most) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  auto result = record->tcp.receive_shared(into, most, ctx);
  impl_->settle(handle.index(), *record, ctx);
  if (!impl_->starved.empty()) impl_->watch_memory(ctx);
  return result;
}

std::expected<std::size_t, Error> Stack::peek(Handle handle, std::span<const MutableBytes> into) const {
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.peek(into);
}

std::expected<std::size_t, Error> Stack::readable(Handle handle) const {
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.rcv().queue.size();
}

std::expected<void, Error> Stack::shutdown(Handle handle, Shutdown how, Instant now) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  tcp::Context ctx = impl_->context(now);
  std::expected<void, Error> result;
  if (how != Shutdown::kSend) result = record->tcp.shutdown_receive();
  if (result && how != Shutdown::kReceive) result = record->tcp.shutdown_send(ctx);
  impl_->settle(handle.index(), *record, ctx);
  return result;
}

void Stack::close(Handle handle, Instant now) {
  tcp::Context ctx = impl_->context(now);
  if (impl_->listener(handle) != nullptr) {
    impl_->close_listener(handle.index(), ctx);
    return;
  }
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return;
  record->tcp.close(ctx);
  impl_->orphan(*record, ctx);
  impl_->settle(handle.index(), *record, ctx);
}

void Stack::abort(Handle handle, Instant now) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return;
  tcp::Context ctx = impl_->context(now);
  ctx.called(record->tcp.tuple(), record->tcp.state(), Reason::kAbortCalled);
  if (record->tcp.state() == State::kTimeWait) {
    // "Respond with 'ok' and delete the TCB"  (§3.10.5): here that is the record that took over, unless a
    // later connection of the same pair has one by now.
    const RecordRef owner = impl_->find(record->tcp.tuple(), record->hash);
    if (owner.kind() == RecordKind::kTimeWait &&
        impl_->time_waits[owner.index()].facts.snd_nxt == record->tcp.snd().nxt)
      impl_->remove_time_wait(owner, Reason::kAbortCalled, ctx);
  }
  record->tcp.abort(Error::kAborted, Reason::kAbortCalled, ctx);
  record->owned = false;
  impl_->settle(handle.index(), *record, ctx);
}

void Stack::shut_down(Instant now) {
  tcp::Context ctx = impl_->context(now);
  impl_->listeners.for_each([&](std::uint32_t index, Listener&) { impl_->close_listener(index, ctx); });
  impl_->connections.for_each([&](std::uint32_t index, ConnectionRecord& record) {
    record.tcp.abort(Error::kStackShutdown, Reason::kStackShutdown, ctx);
    impl_->settle(index, record, ctx);
  });
  impl_->time_waits.for_each([&](std::uint32_t index, KeptTimeWait& kept) {
    const RecordRef ref{RecordKind::kTimeWait, index};
    if (kept.facts.fin_wait_2)
      impl_->replies.push_back(tcp::time_wait_reset(impl_->time_wait(ref), ctx, Reason::kStackShutdown));
    impl_->remove_time_wait(ref, Reason::kStackShutdown, ctx);
  });
}

std::expected<void, Error> Stack::set_options(Handle handle, const tcp::Options& options, Instant now) {
  ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  if (!is_valid(options)) return std::unexpected(Error::kInvalidArgument);
  tcp::Context ctx = impl_->context(now);
  record->tcp.set_options(options, ctx);
  impl_->settle(handle.index(), *record, ctx);
  return {};
}

std::expected<tcp::Options, Error> Stack::options(Handle handle) const {
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.options();
}

void Stack::set_cookie_keys(const Key& current, const Key& previous) {
  impl_->cookies.keys().set(current, previous);
}

void Stack::set_fast_open_keys(const Key& current, const Key& previous) {
  impl_->fast_open_cookies.keys().set(current, previous);
}

std::expected<Status, Error> Stack::status(Handle handle) const {
  if (const Listener* l = impl_->listener(handle)) {
    Status s;
    s.state = State::kListen;
    s.tuple.local = l->local;
    s.receive_queue = static_cast<std::uint32_t>(l->accept_queue.size());
    s.send_queue = l->backlog;
    return s;
  }
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  const tcp::Connection& c = record->tcp;
  Status s;
  s.state = c.state();
  s.tuple = c.tuple();
  s.send_queue = c.snd().queue.size();
  const tcp::SeqNum end = c.snd().base + s.send_queue;
  s.not_sent =
      end.after(c.snd().max) ? static_cast<std::uint32_t>(end - later(c.snd().max, c.snd().base)) : 0;
  s.receive_queue = c.rcv().queue.size();
  s.send_buffer = c.send_buffer(impl_->config.settings);
  s.receive_buffer = c.rcv().buffer;
  s.urgent = c.urgent();
  s.send_window = c.snd().wnd;
  s.receive_window = static_cast<std::uint32_t>(c.rcv().edge - c.rcv().nxt);
  s.congestion_window = c.congestion().window();
  s.congestion_control = c.congestion().control();
  s.mss = c.text_limit();
  s.smoothed_rtt = c.rtt().smoothed();
  s.retransmission_timeout = c.rtt().timeout();
  s.retransmissions = c.retransmissions();
  s.in_trouble = c.in_trouble(impl_->config.settings);
  s.soft_error = c.soft_error();
  return s;
}

std::expected<tcp::Info, Error> Stack::info(Handle handle, Instant now) const {
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.info(now, impl_->config.mtu, impl_->config.settings);
}

Error Stack::failure(Handle handle) const {
  const ConnectionRecord* record = impl_->connection(handle);
  return record == nullptr ? Error::kInvalidHandle : record->tcp.failure();
}

std::expected<tcp::Ending, Error> Stack::ending(Handle handle) const {
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.ending();
}

std::expected<wire::Endpoint, Error> Stack::local_endpoint(Handle handle) const {
  if (const Listener* l = impl_->listener(handle)) return l->local;
  if (const HeldSyn* held = impl_->pending(handle)) return held->syn.tuple.local;
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.tuple().local;
}

std::expected<wire::Endpoint, Error> Stack::remote_endpoint(Handle handle) const {
  if (impl_->listener(handle) != nullptr) return std::unexpected(Error::kNotConnected);
  if (const HeldSyn* held = impl_->pending(handle)) return held->syn.tuple.remote;
  const ConnectionRecord* record = impl_->connection(handle);
  if (record == nullptr) return std::unexpected(Error::kInvalidHandle);
  return record->tcp.tuple().remote;
}

State Stack::state_of(const wire::FourTuple& tuple) const {
  const RecordRef owner = impl_->find(tuple, impl_->hash_of(tuple));
  switch (owner.kind()) {
    case RecordKind::kConnection:
      return impl_->connections[owner.index()].tcp.state();
    case RecordKind::kHalfOpen:
      return State::kSynReceived;
    case RecordKind::kTimeWait:
      return impl_->time_waits[owner.index()].facts.state();
    case RecordKind::kHeldSyn:  // nothing has been answered
    case RecordKind::kNone:
      break;
  }
  return State::kClosed;
}

Population Stack::population() const {
  return {.connections = impl_->connections.size(),
          .half_open = impl_->half_opens.size(),
          .held = impl_->held_syns.size(),
          .time_wait = impl_->time_waits.size(),
          .orphans = impl_->orphans,
          .listeners = impl_->listeners.size(),
          .armed_timers = impl_->wheel.size()};
}

PortUse Stack::port_use(const wire::IpAddress& local, const wire::Endpoint& remote) const {
  const tcp::Settings& s = impl_->config.settings;
  PortUse use;
  use.first = static_cast<std::uint16_t>(s.ip_local_port_first);
  use.last = static_cast<std::uint16_t>(std::max(s.ip_local_port_first, s.ip_local_port_last));
  for (std::uint32_t port = use.first; port <= use.last; ++port) {
    const wire::FourTuple tuple{{local, static_cast<std::uint16_t>(port)}, remote};
    switch (impl_->find(tuple, impl_->hash_of(tuple)).kind()) {
      case RecordKind::kConnection:
        ++use.connections;
        break;
      case RecordKind::kHalfOpen:
      case RecordKind::kHeldSyn:
        ++use.half_open;
        break;
      case RecordKind::kTimeWait:
        ++use.time_wait;
        break;
      case RecordKind::kNone:
        break;
    }
  }
  return use;
}

std::expected<trace::FloodReport, Error> Stack::flood_report(Handle handle, Instant now) const {
  const Listener* l = impl_->listener(handle);
  if (l == nullptr) return std::unexpected(Error::kInvalidHandle);
  trace::FloodReport report = l->monitor->report(impl_->queues_of(*l), impl_->config.settings, now);
  report.listener = l->local;
  return report;
}

std::uint32_t Stack::fast_open_room(const wire::IpAddress& server, Instant now) const {
  if ((impl_->config.settings.tcp_fastopen & Impl::kFastOpenClient) == 0) return 0;
  const bool no_cookie = (impl_->config.settings.tcp_fastopen & Impl::kFastOpenNoCookieSent) != 0;
  const tcp::FastOpenCache::Entry* known = impl_->fast_open_cache.find(server, now);
  if (known == nullptr && !(no_cookie && impl_->fast_open_cache.may_try(server, now))) return 0;
  return tcp::fast_open_room(known, impl_->config.mtu, server.family());
}

const trace::Counters& Stack::counters() const {
  return impl_->counters;
}
tcp::Settings& Stack::settings() {
  return impl_->config.settings;
}
const Config& Stack::config() const {
  return impl_->config;
}

}  // namespace synfin::stack
