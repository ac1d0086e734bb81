// SPDX-License-Identifier: Apache-2.0
//
// The inside of a stack. Private to this room.
#pragma once

#include <deque>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "synfin/stack/kept.h"
#include "synfin/stack/listener.h"
#include "synfin/stack/pool.h"
#include "synfin/stack/ports.h"
#include "synfin/stack/proven_peers.h"
#include "synfin/stack/record_ref.h"
#include "synfin/stack/ring.h"
#include "synfin/stack/stack.h"
#include "synfin/stack/syn_ack_template.h"
#include "synfin/stack/table.h"
#include "synfin/stack/timing_wheel.h"
#include "synfin/tcp/connection.h"
#include "synfin/tcp/isn.h"
#include "synfin/tcp/syn_cookie.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/packet.h"

namespace synfin::stack {

/// A connection and its places in the stack's lists. It lives as long as the table, the program or an accept
/// queue names it.
struct ConnectionRecord {
  ConnectionRecord() {}  // members only, which say themselves what they begin with
  tcp::Connection tcp;
  tcp::TimerNode timer;
  std::uint32_t hash = 0;
  std::uint16_t events = 0;
  bool event_queued = false;
  bool in_table : 1 = false;
  bool owned : 1 = false;  // the program holds the handle
  bool waits_for_accept : 1 = false;
  bool ready : 1 = false;      // in the list of those that may have something to send
  bool opening : 1 = false;    // open by a SYN alone: in SYN-RECEIVED, and came through a listener
  bool fast_open : 1 = false;  // counts among the listener's Fast Open connections
  bool orphan : 1 = false;     // the program has closed it; counts in `orphans`
  bool starved : 1 = false;    // its program waits for packet memory; is in `starved`
};

// With its slot in the table, at its worst load, and its generation an idle connection stays within 512
// octets.
static_assert(sizeof(ConnectionRecord) <= 488);

/// A packet that is not TCP, and why it is sent.
struct OtherPacket {
  wire::Frame frame;
  trace::Reason reason;
};

struct Stack::Impl {
  /// From here on a segment fills most of a page.
  static constexpr std::uint32_t kLargeMtu = 4096;

  Impl(Config c, wire::BlockPool& p, Entropy& e, trace::Sink* s);

  tcp::Context context(Instant now) {
    return {now,
            config.settings,
            counters,
            sink,
            pool,
            entropy,
            isn,
            tuple_key,
            config.mtu,
            fast_open_cache,
            flights,
            memory,
            replies,
            std::nullopt,
            config.short_paths,
            config.short_paths && !config.offload,
            config.offload || config.mtu >= kLargeMtu};
  }

  // For the timing wheel.
  tcp::TimerNode& node(RecordRef ref) {
    switch (ref.kind()) {
      case RecordKind::kHalfOpen:
        return half_opens[ref.index()].timer;
      case RecordKind::kTimeWait:
        return time_waits[ref.index()].timer;
      case RecordKind::kHeldSyn:
        return held_syns[ref.index()].timer;
      case RecordKind::kConnection:
      case RecordKind::kNone:
        break;
    }
    return connections[ref.index()].timer;
  }
  void arm(RecordRef ref, Instant deadline, tcp::Context& ctx) { arm(ref, node(ref), deadline, ctx); }
  void arm(RecordRef ref, tcp::TimerNode& at, Instant deadline, tcp::Context& ctx);

  // Time (stack_expiry.cpp).
  void advance(Instant now, tcp::Context& ctx);
  void on_expired(RecordRef ref, tcp::Context& ctx);
  /// Records that are in no timer's list any more.
  void end_time_waits(std::span<const RecordRef> refs, tcp::Context& ctx);
  void end_time_wait(RecordRef ref, tcp::Context& ctx);

  // Receiving (stack_receive.cpp): what a packet is, and who owns it.
  /// The first of these frames, and what follows it in the stream, as far as that can be taken with it.
  /// Returns how many.
  std::size_t receive(std::span<wire::Frame> frames, tcp::Context& ctx);
  std::size_t receive_segment(const wire::TcpPacket& packet, const tcp::TupleHash& hash,
                              std::span<wire::Frame> frames, tcp::Context& ctx);
  void receive_icmp(const wire::ParsedIp& ip, wire::Frame& frame, Instant now);
  /// All of the frames; afterwards they are empty (stack_group.cpp).
  void receive_all(std::span<wire::Frame> frames, tcp::Context& ctx);
  std::size_t receive_group(std::span<wire::Frame> frames, tcp::Context& ctx);
  void bring_owners(std::span<const tcp::TupleHash> hashes) const;
  /// So few lie in the cache anyway.
  static constexpr std::size_t kManyRecords = 1024;
  trace::Reason judge_addresses(const wire::IpHeader& ip) const;
  struct Fate {
    trace::Reason reason;
    trace::State from = trace::State::kClosed;
    trace::State to = trace::State::kClosed;
    std::uint8_t window_scale = 0;  // of the sender's window field
    bool counts_marks = false;      // AE, CWR and ECE are the ACE field (RFC 9768 §3.2.2)
    RecordRef connection{};         // which it was for, if that is one
  };
  Fate deliver(RecordRef owner, const wire::FourTuple& tuple, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_connection(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_half_open(RecordRef ref, std::uint32_t hash, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_time_wait(RecordRef ref, const tcp::TupleHash& hash, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_held(RecordRef ref, const tcp::Segment& seg, tcp::Context& ctx);
  Fate to_listener(std::uint32_t listener, const tcp::TupleHash& hash, const wire::FourTuple& tuple,
                   const tcp::Segment& seg, std::optional<wire::SeqNum> after, tcp::Context& ctx);
  Fate to_nobody(const wire::FourTuple& tuple, const tcp::Segment& seg, tcp::Context& ctx);
  /// Text right behind `first`, the first frame's, which its connection has taken (stack_join.cpp).
  std::size_t take_followers(RecordRef owner, const wire::IpHeader& ip, const tcp::Segment& first,
                             std::span<wire::Frame> frames, tcp::Context& ctx);
  void note_packet(trace::EventKind kind, trace::Reason reason, const wire::Frame& frame, Instant now);

  // Records (stack_records.cpp): how one becomes another, and how it ends.
  static wire::FourTuple tuple_of(const wire::TcpPacket& packet) {
    return {{packet.ip.destination, packet.tcp.destination_port}, {packet.ip.source, packet.tcp.source_port}};
  }
  std::uint32_t hash_of(const wire::FourTuple& tuple) const;
  RecordRef find(const wire::FourTuple& tuple, std::uint32_t hash) const;
  bool owns(RecordRef ref, const wire::FourTuple& tuple) const;
  /// Where an address of the stack's own lies in `config.addresses`.
  std::uint32_t own_number(const wire::IpAddress& own) const;
  tcp::HalfOpen half_open(RecordRef ref) const { return half_opens[ref.index()].get(config.addresses); }
  tcp::TimeWait time_wait(RecordRef ref) const { return time_waits[ref.index()].get(config.addresses); }
  std::optional<std::uint32_t> listener_for(const wire::Endpoint& local) const;

  /// A full record that owns the 4-tuple, in place of `from`, if that is one. Nothing: no memory.
  std::optional<std::uint32_t> new_connection(std::uint32_t hash, RecordRef from = {});
  void remove_time_wait(RecordRef ref, trace::Reason why, tcp::Context& ctx);

  // Listeners (stack_listen.cpp): what becomes of a SYN.
  /// What keeps an acceptable SYN from a record, by the queues and cookies; kNone: nothing.
  trace::Reason judge_queues(Listener& l, const wire::FourTuple& tuple, bool reopens, tcp::Context& ctx);
  Fate keep_half_open(Listener& l, const tcp::TupleHash& hash, const tcp::HalfOpen& half,
                      const tcp::Offer& offer, trace::Reason why, const tcp::Segment& syn, tcp::Context& ctx);
  Fate with_cookie(Listener& l, const tcp::TupleHash& hash, tcp::HalfOpen& half, tcp::Context& ctx);
  /// Queues the SYN-ACK of a cookie that has been made.
  tcp::Reply& send_cookie(const Listener& l, std::uint32_t timestamp_offset, const tcp::HalfOpen& half,
                          tcp::Context& ctx);
  bool syn_queue_full(const Listener& l) const;
  /// Whether judge_queues would have a SYN answered by a cookie.
  bool answers_by_cookies(const Listener& l) const;

  // Floods (stack_flood.cpp): the same for SYNs that come many at a time.
  class FloodAnswers;
  void receive_flood(std::span<wire::Frame> frames, tcp::Context& ctx);
  /// The next of `written`, as far as they may leave now. Returns how many.
  std::size_t send_written(std::span<wire::Frame> out);
  // Bits of the setting `tcp_fastopen`.
  static constexpr std::uint32_t kFastOpenClient = 1, kFastOpenServer = 2, kFastOpenNoCookieSent = 4,
                                 kFastOpenNoCookieNeeded = 0x200, kFastOpenEveryListener = 0x400;
  /// Connections that may be open by a Fast Open SYN alone.
  std::uint32_t fast_open_limit(const Listener& l) const;
  bool serves_fast_open(const Listener& l, const tcp::Segment& syn) const;
  trace::Reason judge_fast_open(Listener& l, const wire::FourTuple& tuple, const tcp::Segment& syn,
                                tcp::Context& ctx);
  Fate open_fast(std::uint32_t listener, std::uint32_t hash, const tcp::HalfOpen& half,
                 const tcp::Segment& syn, tcp::Context& ctx);
  void close_listener(std::uint32_t index, tcp::Context& ctx);
  SynMonitor::Queues queues_of(const Listener& l) const;
  void judge_flood(std::uint32_t listener, tcp::Context& ctx);
  void judge_floods(tcp::Context& ctx);
  /// When `judge_floods` is due.
  Instant next_judgement() const;

  // Half-open connections (stack_half_open.cpp): how they become full ones, and how they do not.
  std::optional<Fate> from_cookie(std::uint32_t listener, std::uint32_t hash, const wire::FourTuple& tuple,
                                  const tcp::Segment& third, tcp::Context& ctx);
  bool waits_for_data(const Listener& l, const tcp::HalfOpen& half, const tcp::Segment& third) const;
  /// The full record, or what became of the segment instead.
  std::expected<std::uint32_t, trace::Reason> promote(RecordRef ref, const tcp::HalfOpen& half,
                                                      std::uint32_t hash, std::uint32_t listener,
                                                      const tcp::Segment& third, tcp::Context& ctx);
  trace::Reason overflow(Listener& l, const wire::FourTuple& tuple, const tcp::Segment& third,
                         trace::State state, tcp::Context& ctx);
  std::optional<std::uint32_t> complete(const tcp::HalfOpen& half, RecordRef from, std::uint32_t hash,
                                        std::uint32_t listener, const tcp::Segment& third, tcp::Context& ctx);
  static tcp::Offer offer_of(const Listener& l, const tcp::Context& ctx, wire::Family family) {
    return tcp::offer_of(l.options.connection, ctx, family);
  }
  void completed(Listener& l, const wire::IpAddress& peer, tcp::Context& ctx);
  std::optional<Duration> round_trip(RecordRef ref, const tcp::HalfOpen& half, Instant now) const;
  std::uint32_t syn_ack_retries(const Listener& l) const;
  void on_half_open_expired(RecordRef ref, tcp::Context& ctx);
  void remove_half_open(RecordRef ref, std::uint32_t hash, trace::Reason why, tcp::Context& ctx);
  trace::Reason on_half_open_error(RecordRef ref, wire::SeqNum seq, bool hard, tcp::Context& ctx);
  /// A connection that was open by a SYN alone has left SYN-RECEIVED.
  void opened(ConnectionRecord& record, tcp::Context& ctx);

  // SYNs that wait for the program (stack_pending.cpp).
  Fate hold(std::uint32_t listener, std::uint32_t hash, const tcp::HalfOpen& half, tcp::Context& ctx);
  HeldSyn* pending(Handle h);
  /// Takes it off the listener's books; table and record are the caller's business.
  void unhold(std::uint32_t index);
  /// Without an answer.
  void remove_held(std::uint32_t index);
  /// The same, of no doing of the program's, which is told.
  void withdraw_held(std::uint32_t index);
  std::optional<std::uint32_t> accept_held(std::uint32_t index, tcp::Context& ctx);
  void answer_unreachable(const tcp::HalfOpen& syn, Unreachable what);

  /// TIME-WAIT, or FIN-WAIT-2 without a program.
  void shrink(std::uint32_t index, ConnectionRecord& record, tcp::Context& ctx);
  void leave_table(ConnectionRecord& record);
  /// The program has closed: the connection counts among the orphans, or is one too many.
  void orphan(ConnectionRecord& record, tcp::Context& ctx);
  bool may_reuse(RecordRef time_wait, Instant now) const;
  /// A port for an active open, the hash that its 4-tuple has with it, and who is to make way.
  struct OwnPort {
    std::uint16_t port = 0;
    tcp::TupleHash hash{};
    RecordRef time_wait;
  };
  std::expected<OwnPort, tcp::Error> pick_port(wire::FourTuple tuple, std::uint16_t wanted, Instant now);
  /// To be called after anything was done to a connection: table, timer, lists and events follow what became
  /// of it. False: the record is gone.
  bool settle(std::uint32_t index, ConnectionRecord& record, tcp::Context& ctx);
  bool settle(std::uint32_t index, tcp::Context& ctx) { return settle(index, connections[index], ctx); }
  Handle handle_of(std::uint32_t connection) const {
    return Handle{HandleKind::kConnection, connection, connections.generation(connection)};
  }
  void queue_event(Handle handle, bool& queued);
  void tell_listener(std::uint32_t index, std::uint16_t what);
  ConnectionRecord* connection(Handle h);
  Listener* listener(Handle h);

  // Packet memory (stack_memory.cpp).
  /// To be called when blocks may have been taken or given back: what has to give way does, and who waits for
  /// memory is told.
  void watch_memory(tcp::Context& ctx);
  void relieve(tcp::Context& ctx);
  /// The program of this connection could not write for want of memory: it is told once there is some.
  void wait_for_memory(std::uint32_t index, Instant now);

  // Sending (stack_transmit.cpp).
  std::size_t transmit(std::span<wire::Frame> out, Instant now);
  wire::IpHeader network_header(const wire::FourTuple& tuple, const tcp::Sent& sent,
                                std::uint8_t traffic_class) const;
  void write(const wire::FourTuple& tuple, tcp::Sent& sent, std::uint8_t traffic_class,
             wire::Frame& frame) const;
  /// Segments that one call of `Connection::transmit` may give, where there is room for `room` frames.
  std::uint32_t most_segments(std::size_t room) const;
  /// Writes what `sent` says over the text in the first frame; a train without offload becomes as many frames
  /// as it has segments. Returns how many frames it is.
  std::size_t write_all(const wire::FourTuple& tuple, tcp::Sent& sent, std::uint8_t traffic_class,
                        std::span<wire::Frame> out) const;
  void note_sent(const wire::FourTuple& tuple, const tcp::Sent& sent, std::uint8_t scale,
                 const wire::Frame& frame, Instant now);
  void send_reply(tcp::Reply& reply, wire::Frame& frame, Instant now);
  void queue_packet(std::optional<wire::Frame> frame, trace::Reason why);

  Config config;
  std::vector<wire::IpAddress> broadcasts;  // of the networks of `config.addresses`
  wire::BlockPool& pool;
  Entropy& entropy;
  trace::Sink* sink;
  trace::Sink* packet_sink;  // the same, where it wants to be told of packets
  trace::Counters counters;
  Key tuple_key;
  tcp::IsnGenerator isn;
  PortSelector ports;
  tcp::SynCookies cookies;
  tcp::FastOpenCookies fast_open_cookies;
  tcp::FastOpenCache fast_open_cache;
  tcp::FlightPool flights;
  tcp::MemoryBudget memory;
  ProvenPeers proven;

  Pool<ConnectionRecord, std::uint32_t> connections;
  Pool<KeptHalfOpen, NoGeneration> half_opens;
  Pool<KeptTimeWait, NoGeneration> time_waits;
  Pool<HeldSyn, std::uint32_t> held_syns;
  Pool<Listener, std::uint32_t> listeners;
  ListenerMap listener_map;
  Table table;
  TimingWheel<Impl> wheel;
  Instant wheel_time;  // when it was last advanced

  std::size_t orphans = 0;  // records with `orphan`

  tcp::MemoryLevel relieved_at = tcp::MemoryLevel::kPlenty;  // what was last acted on
  Instant relieved_last;
  std::uint32_t relieve_from = 0;  // the connection that gives way first
  std::deque<Handle> starved;      // connections whose programs wait for memory
  Instant look_for_memory = Instant::never();

  std::vector<tcp::Reply> replies;    // in the order in which they leave
  std::size_t replies_sent = 0;       // how many of them have left
  std::vector<WrittenReply> written;  // those among them that are written already, and how many have left
  std::size_t written_sent = 0;
  bool flooded = false;  // a SYN was answered by a cookie; `receive_flood` may find more of its kind
  std::deque<OtherPacket> packets;     // what is to be sent and is not TCP
  Ring<Handle> ready;                  // connections that may have something to send
  Ring<Handle> events;                 // sockets with something to tell
  std::vector<std::uint32_t> alarmed;  // listeners that see a flood, or the like
};

}  // namespace synfin::stack
