// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/base/keyed_hash.h"
#include "synfin/base/time.h"
#include "synfin/stack/handle.h"
#include "synfin/tcp/ending.h"
#include "synfin/tcp/error.h"
#include "synfin/tcp/info.h"
#include "synfin/tcp/options.h"
#include "synfin/tcp/settings.h"
#include "synfin/tcp/socket_event.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/event.h"
#include "synfin/trace/flood.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"

namespace synfin::stack {

/// What a stack is on its link.
struct Config {
  /// Its own addresses; the first of a family is the source of connections that name none.
  std::vector<wire::Prefix> addresses;
  /// Octets of the largest packet the link carries, network header included.
  std::uint32_t mtu = 1500;
  /// The link takes and gives super-segments and unfilled checksums (segmentation offload). Then every TCP
  /// frame has `needs_checksum` set, its checksum field holding the folded sum of the pseudo-header, and one
  /// with `segment_size` stands for several segments with so much text each, the last with what is left; PSH
  /// and FIN are the last one's. Without it the stack cuts and sums itself. What is received with
  /// `checksum_verified` or `segment_size` is taken as that either way.
  bool offload = false;
  /// What nearly all packets need is done by shorter code than what any may need, and text that follows text
  /// of the same connection is sent and received several segments at a time. False: everything goes the long
  /// way, one by one, with the same result, octet for octet. For tests and measurements. A trace sink turns
  /// off what would hide single segments from it.
  bool short_paths = true;
  tcp::Settings settings;
};

/// How a listener treats those who knock. May be changed while it listens; what is under way stays as it is.
struct ListenOptions {
  /// Completed connections that may wait to be accepted, bounded by `somaxconn`. As on today's Linux one
  /// more than this fits, and one more half-open connection: with 0 there is room for one of each.
  std::uint32_t backlog = 4096;
  /// Overrides the setting `tcp_abort_on_overflow`.
  std::optional<bool> abort_on_overflow{};
  /// TCP_DEFER_ACCEPT: how long a third segment without data leaves the connection half-open; rounded up to
  /// the next SYN-ACK retransmission. Zero: not at all.
  Duration defer_accept{};
  /// TCP_FASTOPEN: how many connections may be open by a Fast Open SYN alone at a time (RFC 7413 §5.1). 0:
  /// the listener gives out no cookies and takes no data with a SYN. Needs bit 2 of the setting
  /// `tcp_fastopen`.
  std::uint32_t fast_open = 0;

  /// Every SYN waits, unanswered, for the program's decision (`next_pending`).
  bool hold = false;
  /// SYNs that may wait at a time; those beyond are dropped.
  std::uint32_t hold_limit = 1024;
  /// The same for each source address.
  std::uint32_t hold_limit_per_source = 64;
  /// How long one waits before it is forgotten.
  Duration hold_timeout = Duration::seconds(60);

  /// What the connections that come in begin with.
  tcp::Options connection{};
};

struct ConnectOptions {
  /// Unspecified address: the stack's own of that family. Port 0: an ephemeral port (RFC 6056).
  wire::Endpoint local{};
  /// TCP Fast Open (RFC 7413): what `send` queues before the SYN leaves goes with it, where a cookie of this
  /// peer is known; else the SYN asks for one. The data may then be delivered twice, should the SYN be
  /// duplicated on the way (§2.1). Needs bit 1 of the setting `tcp_fastopen`.
  bool fast_open = false;
  tcp::Options connection{};
};

/// The answer to a held SYN that cannot be served (ICMP, RFC 1122 §3.2.2.1; RFC 4443 §3.1).
enum class Unreachable : std::uint8_t {
  kNetwork,
  kHost,
  kPort,
  kProhibited,
};

/// Who holds the ephemeral ports towards one peer.
struct PortUse {
  std::uint16_t first = 0, last = 0;  // the range, `ip_local_port_first` to `ip_local_port_last`
  std::uint32_t connections = 0;
  std::uint32_t half_open = 0;
  std::uint32_t time_wait = 0;
};

enum class Shutdown : std::uint8_t {
  kSend,
  kReceive,
  kBoth
};

using enum tcp::SocketEventBits;

/// `what`: `tcp::SocketEventBits`.
struct SocketEvent {
  Handle handle;
  std::uint16_t what = 0;
};

/// STATUS of RFC 9293 §3.10.6.
struct Status {
  trace::State state = trace::State::kClosed;
  wire::FourTuple tuple;
  std::uint32_t send_queue = 0;     // octets not yet acknowledged
  std::uint32_t not_sent = 0;       // of these, octets that were never sent
  std::uint32_t receive_queue = 0;  // octets not yet read
  std::uint32_t send_buffer = 0;    // what `send_queue` may grow to now
  std::uint32_t receive_buffer = 0;
  std::uint32_t send_window = 0;
  std::uint32_t receive_window = 0;
  std::uint32_t congestion_window = 0;
  tcp::CongestionControl congestion_control{};
  std::uint32_t mss = 0;
  Duration smoothed_rtt;
  Duration retransmission_timeout;
  std::uint64_t retransmissions = 0;
  /// Octets from the next one to be read to the end of the peer's urgent data, arrived or not; 0: there is
  /// none to come (§3.8.5, MUST-33).
  std::uint32_t urgent = 0;
  /// The peer has not answered for a while, R1 of RFC 9293 §3.8.3 (`tcp_retries1`).
  bool in_trouble = false;
  /// What ICMP said since the peer last acknowledged something (§3.9.1.8); kWouldBlock: nothing.
  tcp::Error soft_error = tcp::Error::kWouldBlock;
};

/// How many records there are now.
struct Population {
  std::size_t connections = 0;
  std::size_t half_open = 0;
  std::size_t held = 0;       // SYNs about which programs have yet to decide
  std::size_t time_wait = 0;  // those in FIN-WAIT-2 whose program is gone included
  std::size_t orphans = 0;    // of `connections`: closed by their programs, and not by their peers
  std::size_t listeners = 0;
  std::size_t armed_timers = 0;
};

/// One shard of the stack: all connections of some addresses, on one thread.
///
/// It does nothing by itself. The embedder
///   - puts packets in (`receive`), tells that time has passed (`advance`), and calls for the program
///   (`listen`, `connect`, `send`, …);
///     each of these takes `now`, which must not be before the last;
///   - takes out, after any of these, packets (`transmit`, until it returns 0) and socket events
///   (`poll_event`);
///   - calls `advance` no later than `next_deadline()`. Calling it early or for nothing is fine.
///
/// No call blocks, throws or calls back, except into the trace sink. Not thread-safe: one thread at a time.
/// `pool`, `entropy` and `sink` must outlive the stack.
class Stack {
 public:
  Stack(Config config, wire::BlockPool& pool, Entropy& entropy, trace::Sink* sink = nullptr);
  /// Drops everything without a word to peers; see `shut_down`.
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Inputs.

  /// Takes packets from the link; the frames are left empty.
  void receive(std::span<wire::Frame> frames, Instant now);
  /// Runs every timer that is due.
  void advance(Instant now);

  // Outputs.

  /// Fills frames from the front of `out` and returns how many; 0: nothing more to send now.
  [[nodiscard]] std::size_t transmit(std::span<wire::Frame> out, Instant now);
  /// Whether `transmit` would give anything.
  bool has_output() const;
  /// When `advance` is due; `Instant::never()` where no timer runs. May be early (a timer far
  /// ahead is looked at a few times), never late by more than the wheel's tick.
  Instant next_deadline() const;
  /// What happened to sockets, oldest first; several happenings of one socket may come as one.
  std::optional<SocketEvent> poll_event();

  // Calls (RFC 9293 §3.10.1–3.10.6).

  /// Passive OPEN. An unspecified address listens on all of its family (`::` on both). Errors: kAddressInUse,
  /// kAddressNotAvailable, kInvalidArgument (port 0).
  [[nodiscard]] std::expected<Handle, tcp::Error> listen(const wire::Endpoint& local,
                                                         const ListenOptions& options, Instant now);
  /// The oldest completed connection. Errors: kWouldBlock, kInvalidHandle.
  [[nodiscard]] std::expected<Handle, tcp::Error> accept(Handle listener, Instant now);
  /// Changes a listener that is there, as calling listen(2) again does for the backlog. Errors:
  /// kInvalidHandle.
  [[nodiscard]] std::expected<void, tcp::Error> set_listen_options(Handle listener,
                                                                   const ListenOptions& options);
  /// Errors: kInvalidHandle.
  [[nodiscard]] std::expected<ListenOptions, tcp::Error> listen_options(Handle listener) const;

  // SYNs that wait for the program's decision (`ListenOptions::hold`). The listener's kPending event tells of
  // them. `local_endpoint` and `remote_endpoint` say who knocks. When the peer takes its SYN back, time runs
  // out or the listener is closed, kFailed comes for the pending handle, which is gone then.

  /// The oldest that the program has not been handed. It stays held until one of the four calls below.
  /// Errors: kWouldBlock, kInvalidHandle.
  [[nodiscard]] std::expected<Handle, tcp::Error> next_pending(Handle listener);
  /// Answers the SYN. The connection is the program's at once, in SYN-RECEIVED, and passes no accept queue;
  /// kConnected or kFailed follows. The pending handle is gone. Errors: kInvalidHandle, kNoMemory (it is
  /// still held then).
  [[nodiscard]] std::expected<Handle, tcp::Error> accept_pending(Handle pending, Instant now);
  /// Answers with a reset, as if nobody listened. Errors: kInvalidHandle.
  std::expected<void, tcp::Error> reject_pending(Handle pending, Instant now);
  /// Answers nothing; if the peer tries again, that is a new SYN. Errors: kInvalidHandle.
  std::expected<void, tcp::Error> drop_pending(Handle pending, Instant now);
  /// Answers with an ICMP error. Errors: kInvalidHandle.
  std::expected<void, tcp::Error> unreachable_pending(Handle pending, Unreachable what, Instant now);

  /// Active OPEN: sends a SYN; kConnected or kFailed follows. Errors: kInvalidArgument, kAddressInUse,
  /// kAddressNotAvailable, kNoPorts, kNetUnreachable, kNoMemory.
  [[nodiscard]] std::expected<Handle, tcp::Error> connect(const wire::Endpoint& remote,
                                                          const ConnectOptions& options, Instant now);

  /// SEND: queues a copy of as much of `data` as fits and returns how much, at least 1. Allowed before the
  /// handshake has ended. Errors: kWouldBlock (buffer full; kWritable follows), kNoBuffers (the packet memory
  /// of the stack is used up, see `tcp_mem`; kWritable follows, too), kClosing (after shutdown),
  /// kInvalidHandle, or what ended the connection.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> send(Handle connection, std::span<const Bytes> data,
                                                            Instant now, tcp::More more = tcp::More::kNo);
  /// As `send`, without a copy: the stack shares the blocks until what they hold is acknowledged. Slices that
  /// were taken are left empty, one that was taken in part begins behind it. They are of the stack's pool, or
  /// of memory lent to it (`BlockPool::lend`), and nothing writes to what they cover. A slice that is small
  /// against its block is copied, so that it does not hold it. Errors as `send`.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> send_shared(Handle connection,
                                                                   std::span<wire::Slice> data, Instant now,
                                                                   tcp::More more = tcp::More::kNo);
  /// SEND with the URGENT flag (§3.10.2): as `send`, and the peer is told at once, whatever its window, that
  /// there is urgent data up to the last octet taken here. The data stays in the stream. Kept for what
  /// exists; new programs do without (SHLD-13, RFC 6093).
  [[nodiscard]] std::expected<std::size_t, tcp::Error> send_urgent(Handle connection,
                                                                   std::span<const Bytes> data, Instant now);
  /// RECEIVE: copies what has arrived in order; 0 is the end of the stream. Errors: kWouldBlock,
  /// kNotConnected, kInvalidHandle, or what ended the connection, after everything that had arrived before
  /// was read.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> receive(Handle connection,
                                                               std::span<const MutableBytes> into,
                                                               Instant now);
  /// As `receive`, without a copy: `into` takes the slices in which the text arrived, from its front on and
  /// as many as it has places for, at most `most` octets (not 0); the places behind them stay as they are.
  /// The slices keep their blocks of the stack's pool, which must outlive them, and belong to its thread.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> receive_shared(Handle connection,
                                                                      std::span<wire::Slice> into,
                                                                      Instant now, std::uint32_t most = ~0u);
  /// As `receive`, and what was copied stays to be received. Errors as `receive`.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> peek(Handle connection,
                                                            std::span<const MutableBytes> into) const;
  /// Octets that `receive` would give.
  [[nodiscard]] std::expected<std::size_t, tcp::Error> readable(Handle connection) const;
  /// Half-close (RFC 9293 §3.6 case 1). kSend: FIN behind what is queued. kReceive: what still arrives is
  /// acknowledged and thrown away. Errors: kNotConnected, kInvalidHandle.
  [[nodiscard]] std::expected<void, tcp::Error> shutdown(Handle connection, Shutdown how, Instant now);
  /// CLOSE, and the handle is gone. Orderly: queued data and a FIN are delivered by the stack alone, within
  /// `Options::linger` where that is set. With unread data, or beyond `tcp_max_orphans`: a reset (SHLD-3).
  /// For a listener: no more connections; what was not accepted is reset.
  void close(Handle handle, Instant now);
  /// ABORT: a reset to the peer, and the handle is gone.
  void abort(Handle connection, Instant now);
  /// Aborts everything, listeners included. Every connection gets kFailed (kStackShutdown); those whose
  /// handle the program holds stay, closed, until it lets go. What is left to transmit are the resets.
  void shut_down(Instant now);

  /// What the program chose for a connection; counts from now on. Those of a listener are in its
  /// `ListenOptions`. Errors: kInvalidHandle, kInvalidArgument (a negative time).
  std::expected<void, tcp::Error> set_options(Handle connection, const tcp::Options& options, Instant now);
  /// Errors: kInvalidHandle.
  [[nodiscard]] std::expected<tcp::Options, tcp::Error> options(Handle connection) const;

  /// One more address of this stack's, behind those of `Config`; one that is there already changes nothing.
  void add_address(const wire::Prefix& own);
  /// SYN cookies are made with `current` and checked with both; keys that are set are not rotated. Hosts
  /// behind one load balancer honour each other's cookies with the same keys and the same clock.
  void set_cookie_keys(const Key& current, const Key& previous);
  /// The same for the cookies of Fast Open (RFC 7413 §4.1.2), which are given out with `current`.
  void set_fast_open_keys(const Key& current, const Key& previous);

  // Questions.

  [[nodiscard]] std::expected<Status, tcp::Error> status(Handle connection) const;
  /// TCP_INFO. Errors: kInvalidHandle.
  [[nodiscard]] std::expected<tcp::Info, tcp::Error> info(Handle connection, Instant now) const;
  /// Why a connection ended, after kFailed; kWouldBlock while it lives.
  tcp::Error failure(Handle connection) const;
  /// The same and an orderly end, with the segment that brought it about; cause kNone while it lives. Errors:
  /// kInvalidHandle.
  [[nodiscard]] std::expected<tcp::Ending, tcp::Error> ending(Handle connection) const;
  [[nodiscard]] std::expected<wire::Endpoint, tcp::Error> local_endpoint(Handle handle) const;
  [[nodiscard]] std::expected<wire::Endpoint, tcp::Error> remote_endpoint(Handle handle) const;
  /// The state of whatever owns this 4-tuple: half-open, connection or TIME-WAIT; CLOSED if nothing does.
  trace::State state_of(const wire::FourTuple& tuple) const;
  Population population() const;
  /// Records that nothing would ever end: no timer runs for them, and they are neither idle with an owner
  /// (ESTABLISHED, FIN-WAIT-2, CLOSE-WAIT) nor about to send. Always 0; looks at every record, for tests.
  std::size_t records_without_timer() const;
  /// What holds the ephemeral ports from `local` to `remote`. Looks at every port of the range: for error
  /// messages.
  PortUse port_use(const wire::IpAddress& local, const wire::Endpoint& remote) const;
  /// What the listener sees of all its SYNs (RFC 4987). Errors: kInvalidHandle.
  [[nodiscard]] std::expected<trace::FloodReport, tcp::Error> flood_report(Handle listener,
                                                                           Instant now) const;
  /// Octets that a SYN to `server` would take along; not 0 where Fast Open is on for clients, the server's
  /// cookie is known (or none is wanted), and no such SYN has vanished lately.
  std::uint32_t fast_open_room(const wire::IpAddress& server, Instant now) const;
  const trace::Counters& counters() const;
  tcp::Settings& settings();
  const Config& config() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace synfin::stack
