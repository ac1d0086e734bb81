// SPDX-License-Identifier: Apache-2.0
//
// The inside of a stack. Private to this room.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "synfin/stack/listener.h"
#include "synfin/stack/pool.h"
#include "synfin/stack/ports.h"
#include "synfin/stack/record_ref.h"
#include "synfin/stack/stack.h"
#include "synfin/stack/table.h"
#include "synfin/stack/timing_wheel.h"
#include "synfin/tcp/connection.h"
#include "synfin/tcp/half_open.h"
#include "synfin/tcp/isn.h"
#include "synfin/tcp/syn_cookie.h"
#include "synfin/tcp/time_wait.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {

/// A connection and its places in the stack's lists. It lives as long as the table, the program or an accept
/// queue names it.
struct ConnectionRecord {
  tcp::Connection tcp;
  tcp::TimerNode timer;
  std::uint32_t hash = 0;
  Instant armed_for = Instant::never();
  std::uint8_t events = 0;
  bool in_table = false;
  bool owned = false;  // the program holds the handle
  bool waits_for_accept = false;
  bool ready = false;  // in the list of those that may have something to send
  bool event_queued = false;
};

// With its slot in the table and its generation an idle connection stays within 512 octets.
static_assert(sizeof(ConnectionRecord) <= 496);

struct Stack::Impl {
  Impl(Config c, wire::BlockPool& p, Entropy& e, trace::Sink* s);

  tcp::Context context(Instant now) {
    return {now, config.settings, counters, sink, pool, entropy, isn, config.mtu, replies};
  }

  // For the timing wheel.
  tcp::TimerNode& node(RecordRef ref);
  void advance(Instant now, tcp::Context& ctx);
  void arm(RecordRef ref, Instant deadline, tcp::Context& ctx);

  // Receiving (stack_receive.cpp): what a packet is, and who owns it.
  void receive(wire::Frame& frame, Instant now);
  void receive_tcp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now);
  void receive_icmp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now);
  trace::Reason judge_addresses(const wire::IpHeader& ip) const;
  struct Fate {
    trace::Reason reason;
    trace::State from = trace::State::kClosed;
    trace::State to = trace::State::kClosed;
    std::uint8_t window_scale = 0;  // of the sender's window field
  };
  Fate deliver(const wire::FourTuple& tuple, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_connection(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_half_open(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_time_wait(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_listener(std::uint32_t listener, std::uint32_t hash, const wire::FourTuple& tuple,
                   const tcp::Segment& seg, std::optional<wire::SeqNum> after, tcp::Context& ctx);
  Fate with_cookie(const wire::FourTuple& tuple, const tcp::Segment& syn, tcp::Context& ctx);
  std::optional<Fate> from_cookie(std::uint32_t listener, std::uint32_t hash, const wire::FourTuple& tuple,
                                  const tcp::Segment& third, tcp::Context& ctx);
  Fate to_nobody(const wire::FourTuple& tuple, const tcp::Segment& seg, tcp::Context& ctx);
  void note_packet(trace::EventKind kind, trace::Reason reason, const wire::Frame& frame, Instant now);

  // Records (stack_records.cpp): how one becomes another, and how it ends.
  std::uint32_t hash_of(const wire::FourTuple& tuple) const;
  RecordRef find(const wire::FourTuple& tuple, std::uint32_t hash) const;
  const wire::FourTuple& tuple_of(RecordRef ref) const;
  std::optional<std::uint32_t> listener_for(const wire::Endpoint& local) const;
  trace::Reason promote(RecordRef half, std::uint32_t hash, std::uint32_t listener, const tcp::Segment& third,
                        tcp::Context& ctx);
  std::optional<std::uint32_t> complete(const tcp::HalfOpen& half, std::optional<Duration> handshake,
                                        std::uint32_t hash, std::uint32_t listener, const tcp::Segment& third,
                                        tcp::Context& ctx);
  std::optional<Duration> round_trip(RecordRef half, Instant now) const;
  void remove_half_open(RecordRef ref, std::uint32_t hash, trace::Reason why, tcp::Context& ctx);
  void remove_time_wait(RecordRef ref, trace::Reason why, tcp::Context& ctx);
  void enter_time_wait(std::uint32_t index, tcp::Context& ctx);
  void close_listener(std::uint32_t index, tcp::Context& ctx);
  /// To be called after anything was done to a connection: table, timer, lists and events follow what became
  /// of it. The record may be gone afterwards.
  void settle(std::uint32_t index, tcp::Context& ctx);
  void on_expired(RecordRef ref, tcp::Context& ctx);
  void queue_event(Handle handle, bool& queued);
  ConnectionRecord* connection(Handle h);
  Listener* listener(Handle h);

  // Sending (stack_transmit.cpp).
  std::size_t transmit(std::span<wire::Frame> out, Instant now);
  void write(const wire::FourTuple& tuple, wire::TcpHeader& header, wire::Frame& frame) const;
  void note_sent(const wire::FourTuple& tuple, const tcp::Connection::Sent& sent, std::uint8_t scale,
                 const wire::Frame& frame, Instant now);
  void send_reply(const tcp::Reply& reply, wire::Frame& frame, Instant now);

  Config config;
  wire::BlockPool& pool;
  Entropy& entropy;
  trace::Sink* sink;
  trace::Counters counters;
  Key table_key;
  tcp::IsnGenerator isn;
  PortSelector ports;
  tcp::SynCookies cookies;

  Pool<ConnectionRecord, std::uint32_t> connections;
  Pool<tcp::HalfOpen, std::uint8_t> half_opens;
  Pool<tcp::TimeWait, std::uint8_t> time_waits;
  Pool<Listener, std::uint32_t> listeners;
  ListenerMap listener_map;
  Table table;
  TimingWheel<Impl> wheel;
  Instant wheel_time;  // when it was last advanced

  std::vector<tcp::Reply> replies;  // in the order in which they leave
  std::size_t replies_sent = 0;     // how many of them have left
  std::deque<wire::Frame> packets;  // whole packets that wait: echo replies
  std::deque<Handle> ready;         // connections that may have something to send
  std::deque<Handle> events;        // sockets with something to tell
};

}  // namespace synfin::stack
