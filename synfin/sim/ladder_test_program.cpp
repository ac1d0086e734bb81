// SPDX-License-Identifier: Apache-2.0
//
// The ladder's program: its calls, the questions it asks, and the ways into each state.
#include <fmt/format.h>

#include <array>

#include "synfin/sim/ladder_test_kit.h"
#include "synfin/tcp/error.h"

namespace synfin::sim {

using ladder_detail::event_names;
using trace::State;

// The program.

Ladder& Ladder::app_listens(std::uint32_t backlog, Where w) {
  if (unclaimed(w)) return *this;
  note("listen()");
  const auto handle = stack_->listen(tuple_.local, {.backlog = backlog}, clock_.now());
  if (!handle) return fails(fmt::format("listen: {}", tcp::message(handle.error())), w);
  listener_ = *handle;
  settle(w);
  return *this;
}

Ladder& Ladder::app_connects(Where w) {
  if (unclaimed(w)) return *this;
  note("connect()");
  const auto handle = stack_->connect(tuple_.remote, {.local = tuple_.local}, clock_.now());
  if (!handle) return fails(fmt::format("connect: {}", tcp::message(handle.error())), w);
  connection_ = *handle;
  app_read_ = app_written_ = 0;
  settle(w);
  return *this;
}

Ladder& Ladder::app_accepts(Where w) {
  if (unclaimed(w)) return *this;
  const auto handle = stack_->accept(listener_, clock_.now());
  note(handle ? "accept()" : "accept() fails");
  if (!handle) return fails(fmt::format("accept: {}", tcp::message(handle.error())), w);
  connection_ = *handle;
  app_read_ = app_written_ = 0;
  settle(w);
  return *this;
}

Ladder& Ladder::app_accepts_nothing(Where w) {
  if (unclaimed(w)) return *this;
  const auto handle = stack_->accept(listener_, clock_.now());
  if (handle) return fails("accept gave a connection", w);
  if (handle.error() != tcp::Error::kWouldBlock) return fails("accept: another error than kWouldBlock", w);
  return *this;
}

Ladder& Ladder::app_sends(std::uint32_t n, Where w) {
  if (unclaimed(w)) return *this;
  std::vector<std::byte> data(n);
  for (std::uint32_t i = 0; i < n; ++i) data[i] = pattern(app_written_ + i);
  const Bytes all = data;
  const std::array<Bytes, 2> parts = {all.first(n / 3), all.subspan(n / 3)};
  note(fmt::format("send({})", n));
  // Before the call: what it sends at once is checked against this.
  app_written_ += n;
  const auto taken = stack_->send(connection_, parts, clock_.now());
  if (!taken) return fails(fmt::format("send: {}", tcp::message(taken.error())), w);
  if (*taken != n) return fails(fmt::format("send took {} octets of {}", *taken, n), w);
  settle(w);
  return *this;
}

Ladder& Ladder::app_sends_urgent(std::uint32_t n, Where w) {
  if (unclaimed(w)) return *this;
  std::vector<std::byte> data(n);
  for (std::uint32_t i = 0; i < n; ++i) data[i] = pattern(app_written_ + i);
  const std::array<Bytes, 1> parts = {data};
  note(fmt::format("send_urgent({})", n));
  app_written_ += n;
  const auto taken = stack_->send_urgent(connection_, parts, clock_.now());
  if (!taken) return fails(fmt::format("send_urgent: {}", tcp::message(taken.error())), w);
  if (*taken != n) return fails(fmt::format("send_urgent took {} octets of {}", *taken, n), w);
  settle(w);
  return *this;
}

Ladder& Ladder::app_send_fails(tcp::Error e, Where w) {
  if (unclaimed(w)) return *this;
  const std::array<std::byte, 1> octet{};
  const std::array<Bytes, 1> parts = {octet};
  const auto taken = stack_->send(connection_, parts, clock_.now());
  if (taken) return fails("send took data", w);
  if (taken.error() != e) {
    return fails(fmt::format("send: {} instead of {}", tcp::message(taken.error()), tcp::message(e)), w);
  }
  settle(w);
  return *this;
}

Ladder& Ladder::app_reads(std::uint32_t n, Where w) {
  if (unclaimed(w)) return *this;
  note(fmt::format("receive({})", n));
  std::vector<std::byte> data(n);
  std::uint32_t have = 0;
  while (have < n) {
    const MutableBytes rest = MutableBytes(data).subspan(have);
    const std::array<MutableBytes, 2> parts = {rest.first(rest.size() / 2), rest.subspan(rest.size() / 2)};
    const auto got = stack_->receive(connection_, parts, clock_.now());
    if (!got) return fails(fmt::format("receive, after {} octets: {}", have, tcp::message(got.error())), w);
    if (*got == 0) return fails(fmt::format("receive: end of stream after {} octets", have), w);
    have += static_cast<std::uint32_t>(*got);
  }
  for (std::uint32_t i = 0; i < n; ++i) {
    if (data[i] != pattern(app_read_ + i))
      return fails(fmt::format("octet {} arrived wrong", app_read_ + i), w);
  }
  app_read_ += n;
  settle(w);
  return *this;
}

Ladder& Ladder::app_reads_end(Where w) {
  if (unclaimed(w)) return *this;
  std::array<std::byte, 16> buffer;
  const std::array<MutableBytes, 1> parts = {buffer};
  const auto got = stack_->receive(connection_, parts, clock_.now());
  note("receive(), expecting the end");
  if (!got) return fails(fmt::format("receive: {} instead of end of stream", tcp::message(got.error())), w);
  if (*got != 0) return fails(fmt::format("receive: {} octets instead of end of stream", *got), w);
  settle(w);
  return *this;
}

Ladder& Ladder::app_read_fails(tcp::Error e, Where w) {
  if (unclaimed(w)) return *this;
  std::array<std::byte, 16> buffer;
  const std::array<MutableBytes, 1> parts = {buffer};
  const auto got = stack_->receive(connection_, parts, clock_.now());
  if (got) return fails(fmt::format("receive: {} octets instead of {}", *got, tcp::message(e)), w);
  if (got.error() != e) {
    return fails(fmt::format("receive: {} instead of {}", tcp::message(got.error()), tcp::message(e)), w);
  }
  settle(w);
  return *this;
}

Ladder& Ladder::app_shuts_down(stack::Shutdown how, Where w) {
  if (unclaimed(w)) return *this;
  note("shutdown()");
  const auto done = stack_->shutdown(connection_, how, clock_.now());
  if (!done) return fails(fmt::format("shutdown: {}", tcp::message(done.error())), w);
  settle(w);
  return *this;
}

Ladder& Ladder::app_closes(Where w) {
  if (unclaimed(w)) return *this;
  note("close()");
  stack_->close(connection_, clock_.now());
  settle(w);
  return *this;
}

Ladder& Ladder::app_closes_listener(Where w) {
  if (unclaimed(w)) return *this;
  note("close() of the listener");
  stack_->close(listener_, clock_.now());
  settle(w);
  return *this;
}

Ladder& Ladder::app_aborts(Where w) {
  if (unclaimed(w)) return *this;
  note("abort()");
  stack_->abort(connection_, clock_.now());
  settle(w);
  return *this;
}

Ladder& Ladder::app_sets_no_delay(Where w) {
  if (!stack_->set_options(connection_, {.no_delay = true}, clock_.now())) fails("set_options", w);
  return *this;
}

// Questions.

Ladder& Ladder::state(State s, Where w) {
  if (failed_) return *this;
  const State is = stack_->state_of(tuple_);
  if (is != s) fails(fmt::format("state {} instead of {}", trace::name(is), trace::name(s)), w);
  return *this;
}

Ladder& Ladder::reason(trace::Reason r, Where w) {
  if (failed_) return *this;
  if (last_reason_ != r) {
    fails(fmt::format("reason {} instead of {}", trace::name(last_reason_), trace::name(r)), w);
  }
  return *this;
}

Ladder& Ladder::event(std::uint16_t bits, Where w) {
  if (failed_) return *this;
  if ((events_ & bits) != bits) {
    return fails(fmt::format("events: {}; wanted: {}", event_names(events_), event_names(bits)), w);
  }
  events_ = static_cast<std::uint16_t>(events_ & ~bits);
  return *this;
}

Ladder& Ladder::no_event(std::uint16_t bits, Where w) {
  if (failed_) return *this;
  if ((events_ & bits) != 0) {
    fails(fmt::format("event not due: {}", event_names(static_cast<std::uint16_t>(events_ & bits))), w);
  }
  return *this;
}

Ladder& Ladder::forgets_events() {
  events_ = 0;
  return *this;
}

Ladder& Ladder::failure(tcp::Error e, Where w) {
  if (failed_) return *this;
  const tcp::Error is = stack_->failure(connection_);
  if (is != e) fails(fmt::format("failure: {} instead of {}", tcp::message(is), tcp::message(e)), w);
  return *this;
}

Ladder& Ladder::wakes_by(Duration t, Where w) {
  if (failed_) return *this;
  const Instant due = stack_->next_deadline();
  if (due.is_never()) return fails("no timer runs", w);
  if (start_ + t + kSlack < due) {
    fails(fmt::format("wakes at {:.6f} instead of {:.6f}", (due - start_).as_seconds(), t.as_seconds()), w);
  }
  return *this;
}

Ladder& Ladder::wakes_never(Where w) {
  if (failed_) return *this;
  const Instant due = stack_->next_deadline();
  if (!due.is_never()) fails(fmt::format("wakes at {:.6f} instead of never", (due - start_).as_seconds()), w);
  return *this;
}

Ladder& Ladder::population(std::size_t connections, std::size_t half_open, std::size_t time_wait, Where w) {
  if (failed_) return *this;
  const stack::Population p = stack_->population();
  if (p.connections != connections || p.half_open != half_open || p.time_wait != time_wait) {
    fails(fmt::format("{} connections, {} half-open, {} TIME-WAIT instead of {}, {}, {}", p.connections,
                      p.half_open, p.time_wait, connections, half_open, time_wait),
          w);
  }
  return *this;
}

Ladder& Ladder::counter(trace::Counter c, std::uint64_t value, Where w) {
  if (failed_) return *this;
  const std::uint64_t is = stack_->counters()[c];
  if (is != value) fails(fmt::format("counter {} is {} instead of {}", trace::name(c), is, value), w);
  return *this;
}

// Ways into a state.

Ladder& Ladder::opened_passively(Where w) {
  const Peer& p = options_.peer;
  std::optional<wire::Timestamps> ts;
  if (p.timestamps) ts = wire::Timestamps{.value = peer_tsval(), .echo = 0};
  app_listens(16, w);
  receives({.flags = SYN,
            .seq = 0,
            .mss = p.mss,
            .wscale = p.wscale,
            .sack_permitted = p.sack_permitted,
            .ts = ts},
           w);
  sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .len = 0}, w);
  receives({.seq = 1, .ack = 1}, w).sends_nothing(w);
  event(stack::kAcceptable, w).app_accepts(w).state(State::kEstablished, w);
  peer_next_ = stack_next_ = 1;
  return *this;
}

Ladder& Ladder::opened_actively(Where w) {
  const Peer& p = options_.peer;
  app_connects(w).sends({.flags = SYN, .seq = 0, .len = 0}, w);
  std::optional<wire::Timestamps> ts;
  if (p.timestamps) {
    ts = wire::Timestamps{.value = peer_tsval(), .echo = last_tsval_};
    timestamps_on_ = true;
  }
  receives({.flags = SYN | ACK,
            .seq = 0,
            .ack = 1,
            .mss = p.mss,
            .wscale = p.wscale,
            .sack_permitted = p.sack_permitted,
            .ts = ts},
           w);
  sends({.flags = ACK, .seq = 1, .ack = 1, .len = 0}, w)
      .event(stack::kConnected, w)
      .state(State::kEstablished, w);
  peer_next_ = stack_next_ = 1;
  return *this;
}

Ladder& Ladder::crossed_syns(Where w) {
  app_connects(w).sends({.flags = SYN, .seq = 0, .len = 0}, w);
  receives({.flags = SYN, .seq = 0, .mss = options_.peer.mss}, w);
  sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .len = 0}, w).state(State::kSynReceived, w);
  peer_next_ = stack_next_ = 1;
  return *this;
}

Ladder& Ladder::brought_to(State s, Where w) {
  const auto peer_closes = [&](std::int64_t acked) {
    receives({.flags = FIN | ACK, .seq = peer_next_, .ack = acked}, w);
    sends({.flags = ACK, .seq = stack_next_, .ack = ++peer_next_, .len = 0}, w);
  };
  const auto app_closes_sending = [&] {
    app_shuts_down(stack::Shutdown::kSend, w);
    sends({.flags = FIN | ACK, .seq = stack_next_++, .ack = peer_next_, .len = 0}, w);
  };
  switch (s) {
    case State::kClosed:
      break;
    case State::kListen:
      app_listens(16, w);
      break;
    case State::kSynSent:
      app_connects(w).sends({.flags = SYN, .seq = 0, .len = 0}, w);
      stack_next_ = 1;
      break;
    case State::kSynReceived:
      app_listens(16, w).receives({.flags = SYN, .seq = 0, .mss = options_.peer.mss}, w);
      sends({.flags = SYN | ACK, .seq = 0, .ack = 1, .len = 0}, w);
      peer_next_ = stack_next_ = 1;
      break;
    case State::kEstablished:
      opened_passively(w);
      break;
    case State::kFinWait1:
      opened_passively(w);
      app_closes_sending();
      break;
    case State::kFinWait2:
      brought_to(State::kFinWait1, w);
      receives({.seq = 1, .ack = 2}, w).sends_nothing(w);
      break;
    case State::kCloseWait:
      opened_passively(w);
      peer_closes(1);
      break;
    case State::kClosing:
      brought_to(State::kFinWait1, w);
      peer_closes(1);
      break;
    case State::kLastAck:
      brought_to(State::kCloseWait, w);
      app_closes_sending();
      break;
    case State::kTimeWait:
      brought_to(State::kFinWait2, w);
      peer_closes(2);
      break;
  }
  if (s != State::kListen) state(s, w);
  return *this;
}

}  // namespace synfin::sim
