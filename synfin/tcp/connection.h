// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>

#include "synfin/tcp/accurate_ecn.h"
#include "synfin/tcp/congestion/congestion.h"
#include "synfin/tcp/context.h"
#include "synfin/tcp/ending.h"
#include "synfin/tcp/error.h"
#include "synfin/tcp/flight.h"
#include "synfin/tcp/half_open.h"
#include "synfin/tcp/info.h"
#include "synfin/tcp/options.h"
#include "synfin/tcp/reassembly.h"
#include "synfin/tcp/rtt.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/send_times.h"
#include "synfin/tcp/slice_queue.h"
#include "synfin/tcp/socket_event.h"
#include "synfin/tcp/state.h"
#include "synfin/tcp/time_wait.h"
#include "synfin/tcp/timers.h"
#include "synfin/tcp/tuning.h"
#include "synfin/wire/ip.h"

namespace synfin::tcp {

//            1         2          3
//       ----------|----------|----------      1: acknowledged, gone
//              UNA        NXT   UNA+WND       2: sent, not acknowledged    3: may be sent
//
// What is sent again leaves NXT where it is. MAX is the same as NXT, except
// where what probed a closed window is about to go again.
struct SendState {
  SeqNum iss;
  SeqNum una;
  SeqNum nxt;
  SeqNum max;
  SeqNum base;  // the first octet in `queue`
  SeqNum wl1;   // SEG.SEQ of the last window update
  SeqNum wl2;   // SEG.ACK of the last window update
  std::uint32_t wnd = 0;
  std::uint32_t max_wnd = 0;  // the largest the peer ever offered
  WindowScale scale;
  bool fin_queued = false;  // a FIN follows the last octet in `queue`
  std::uint16_t mss = 536;  // largest text without options
  SliceQueue queue;
};

//       ----------|----------|----------      NXT: the next octet expected
//               NXT        edge                edge: the right edge that the peer was told;
//                                                    never moves left (SHLD-14)
struct ReceiveState {
  SeqNum irs;
  SeqNum nxt;
  SeqNum edge;
  SeqNum last_ack_sent;
  std::uint32_t offered = 0;  // the window in the last segment sent
  std::uint32_t buffer = 0;   // most octets that wait for the program; grows (Tuning)
  std::uint32_t ts_recent = 0;
  WindowScale scale;
  bool fin_waits = false;   // a FIN at `fin` lies beyond a hole
  std::uint16_t twice = 0;  // so many octets at `twice_at` came twice: the next segment says so (RFC 2883)
  SeqNum fin;
  SeqNum twice_at;
  std::uint32_t unacknowledged = 0;  // octets of text that no segment of ours has acknowledged yet
  SliceQueue queue;
  std::unique_ptr<Reassembly> beyond;  // exists while there is a hole
};

/// The TCB of one connection, from SYN-SENT or ESTABLISHED to TIME-WAIT (which is kept as a `TimeWait`) or
/// CLOSED.
///
/// Inputs: `on_segment`, `on_timer`, `on_unreachable`, `on_path_mtu`; commands: `open_active`, `open_from`,
/// `send`, `receive`, `shutdown_*`, `close`, `abort`. After any of them the owner looks at the outputs:
/// `state()` (CLOSED: out of the table; TIME-WAIT: to be replaced by `time_wait()`), `transmit` until it
/// gives nothing, `take_events`, `next_deadline`, and the replies in the context. Time must not go backwards.
/// `on_timer` and `transmit` may be called for nothing.
class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Opening.

  /// Whether a SYN may carry text (RFC 7413).
  enum class FastOpen : bool {
    kNo,
    kYes
  };
  /// Active OPEN (RFC 9293 §3.10.1): the SYN leaves with the next `transmit`; with Fast Open, so does what
  /// was sent until then.
  /// `reused`: the pair is taken over from this TIME-WAIT, behind whose numbers the new ones begin.
  void open_active(const wire::FourTuple& tuple, FastOpen fast_open, Context& ctx,
                   const TimeWait* reused = nullptr);
  /// The program answers a SYN before there is a third segment: SYN-RECEIVED, the SYN-ACK leaves with the
  /// next `transmit`. `half.iss` is set. With Fast Open `syn`'s text is received and text may be sent at
  /// once.
  void open_passive(const HalfOpen& half, const Segment* syn, Context& ctx);
  /// The third segment made a half-open connection whole; `on_segment` with that segment follows.
  /// `round_trip`: from SYN-ACK to third segment, where it is known.
  void open_from(const HalfOpen& half, const Segment& third, std::optional<Duration> round_trip,
                 Context& ctx);

  /// Behind `open_from`, in place of `on_segment`: whether the third segment is a bare acknowledgement that
  /// says nothing more, and then has been taken.
  bool take_bare_third(const Segment& third, const Context& ctx);

  /// Behind `open_from`, where a cookie made the half-open connection: the SYN-ACK may have been another
  /// host's, with the same keys and another clock. The peer must not see time go back (RFC 7323 §5).
  void continue_clock(std::uint32_t echo, const Context& ctx);

  // Inputs.

  /// RFC 9293 §3.10.7.3 and §3.10.7.4. The reason is the segment's fate.
  trace::Reason on_segment(const Segment& seg, Context& ctx);
  /// Whether `on_more_text` may follow the segment that `on_segment` has just called kDataAccepted, and for
  /// how many octets at most; 0: no.
  std::uint32_t room_for_more_text(const Segment& like) const;
  /// What `on_segment` would do with segments that have the header of `like` but for their numbers, which
  /// follow without a gap, and for PSH. All have text, no more than there is room for. Returns how many were
  /// taken: the first ones as kDataAccepted, the last one as `last`. Their frames are left empty.
  std::size_t on_more_text(std::span<const MoreText> texts, const Segment& like, trace::Reason& last,
                           Context& ctx);
  void on_timer(Context& ctx);
  /// An ICMP error that quoted `seq` of this connection; hard or soft by RFC 5461.
  trace::Reason on_unreachable(SeqNum seq, bool hard, Error error, Context& ctx);
  trace::Reason on_path_mtu(SeqNum seq, std::uint32_t mtu, Context& ctx);

  // Outputs.

  /// The next segment: header in `out`, which is as newly constructed, text shared into `frame`. False:
  /// nothing to send now. Up to `most_segments` segments come at once, as a train (`Sent::segment_size`),
  /// where they are those that as many calls would give.
  [[nodiscard]] bool transmit(wire::Frame& frame, Sent& out, Context& ctx, std::uint32_t most_segments = 1);
  /// Neither SYN, text nor FIN, neither acknowledgement nor probe, and nothing again: `transmit` would give
  /// nothing, and need not be asked.
  bool has_nothing_to_send(Instant now) {
    if (acks_owed_ > 0 || flight_ != nullptr || syn_to_send_ || resend_first_ || probe_ ||
        !snd_.queue.empty() || snd_.nxt != snd_.base + (snd_.fin_queued ? 1u : 0u))
      return false;
    burst_ = 0;
    if (send_limit_ != SendLimit::kIdle) note_send_limit(now);
    return true;
  }
  Instant next_deadline() const { return timers_.next(); }
  /// `SocketEventBits` since the last call.
  std::uint16_t take_events() { return std::exchange(events_, std::uint16_t{0}); }
  /// In TIME-WAIT, or in FIN-WAIT-2 without a program: the record that takes over.
  TimeWait time_wait() const;
  /// An acknowledgement is due that `transmit` has not given yet.
  bool owes_ack() const { return acks_owed_ > 0; }

  // Commands.

  [[nodiscard]] std::expected<std::size_t, Error> send(std::span<const Bytes> data, More more, Context& ctx);
  /// The same without a copy: the slices, or the first parts of them, leave `data` as they are taken.
  [[nodiscard]] std::expected<std::size_t, Error> send_shared(std::span<wire::Slice> data, More more,
                                                              Context& ctx);
  /// As `send`; what is queued so far is urgent.
  [[nodiscard]] std::expected<std::size_t, Error> send_urgent(std::span<const Bytes> data, Context& ctx);
  [[nodiscard]] std::expected<std::size_t, Error> receive(std::span<const MutableBytes> into, Context& ctx);
  /// The same without a copy: at most `most` octets, in as many slices as `into` has.
  [[nodiscard]] std::expected<std::size_t, Error> receive_shared(std::span<wire::Slice> into,
                                                                 std::uint32_t most, Context& ctx);
  /// What `receive` would give, which stays where it is.
  [[nodiscard]] std::expected<std::size_t, Error> peek(std::span<const MutableBytes> into) const;
  [[nodiscard]] std::expected<void, Error> shutdown_send(Context& ctx);
  [[nodiscard]] std::expected<void, Error> shutdown_receive();
  /// CLOSE by a program that lets go of the connection. What is not delivered yet is treated as
  /// `Options::linger` says.
  void close(Context& ctx);
  void abort(Error error, trace::Reason why, Context& ctx);
  /// Before opening or at any time later.
  void set_options(const Options& options, Context& ctx);
  /// The stack's memory is under pressure: text beyond a hole goes, but for `tcp_rmem`'s minimum unless
  /// memory is full. Returns whether there was any.
  bool prune(Context& ctx);
  /// The same: small pieces of text are copied together.
  void collapse(Context& ctx);

  // Questions.

  State state() const { return state_; }
  const wire::FourTuple& tuple() const { return tuple_; }
  const SendState& snd() const { return snd_; }
  const ReceiveState& rcv() const { return rcv_; }
  const Rtt& rtt() const { return rtt_; }
  const Congestion& congestion() const { return congestion_; }
  std::uint32_t retransmissions() const { return total_retransmissions_; }
  /// kWouldBlock while the connection lives.
  Error failure() const { return failure_; }
  /// How the connection ended, where the program had not let go of it before.
  Ending ending() const { return rare_ != nullptr ? rare_->ending : Ending{}; }
  Options options() const;
  /// Octets to read up to the end of the peer's urgent data, arrived or not.
  std::uint32_t urgent() const;
  /// For the network header, the bits of ECN left out.
  std::uint8_t traffic_class() const { return traffic_class_; }
  /// How long FIN-WAIT-2 lasts once the program has closed.
  Duration fin_timeout(const Settings& s) const { return chosen(choices().fin_timeout, s.tcp_fin_timeout); }
  /// What ICMP said last; kWouldBlock: nothing.
  Error soft_error() const { return soft_error_; }
  /// R1 has been reached: the peer has not answered for a while (RFC 9293 §3.8.3).
  bool in_trouble(const Settings& settings) const {
    return settings.tcp_retries1 > 0 && retries_ >= settings.tcp_retries1;
  }
  bool program_gone() const { return program_gone_; }
  /// Nothing is queued, in flight or owed.
  bool idle() const {
    return snd_.una == snd_.max && snd_.queue.empty() && snd_.fin_queued == fin_acknowledged() &&
           acks_owed_ == 0;
  }
  /// Most text in a segment that carries no SACK blocks.
  std::uint32_t text_limit() const;
  bool uses_timestamps() const { return timestamps_; }
  /// AE, CWR and ECE of the peer's segments, and of ours, are the ACE field (RFC 9768 §3.2.2).
  bool counts_marks() const { return accurate_ && state_ != State::kSynSent; }
  /// Octets queued and unacknowledged at most, now.
  std::uint32_t send_buffer(const Settings& settings) const;
  /// TCP_INFO.
  Info info(Instant now, std::uint32_t mtu, const Settings& settings) const;

 private:
  // 24 days: 2^31 of the fastest clock that RFC 7323 §5.4 allows, 1 ms. What was remembered before says
  // nothing.
  static constexpr Duration kTimestampLife = Duration::seconds(24 * 24 * 3600);

  enum class Next : bool {
    kContinue,
    kStop
  };
  // What a step decided: go on or stop, and what to say about the segment.
  struct Step {
    Next next;
    trace::Reason reason;
  };
  static Step go_on(trace::Reason r = trace::Reason::kNone) { return {Next::kContinue, r}; }
  static Step stop(trace::Reason r) { return {Next::kStop, r}; }

  // RFC 9293 §3.10.7.3 (connection_open.cpp).
  void adopt_half_open(const HalfOpen& half, Context& ctx);
  void begin_congestion_control(bool syn_lost, Context& ctx);
  void change_controller(CongestionControl control, std::uint32_t initial_segments, Context& ctx);
  trace::Reason on_segment_syn_sent(const Segment& seg, Context& ctx);
  trace::Reason take_syn_ack_for_text(const Segment& seg, Context& ctx);
  void count_syn_text(std::uint32_t taken);
  void adopt_syn(const Segment& syn, Context& ctx);
  void become_established(Context& ctx, trace::Reason why);

  // RFC 9293 §3.10.7.4, in its order (connection_steps.cpp).
  trace::Reason on_segment_synchronized(const Segment& seg, Context& ctx);
  bool is_plain_next(const Segment& seg) const;
  trace::Reason on_plain_next(const Segment& seg, Context& ctx);
  Step first_check_sequence(const Segment& seg, Context& ctx);
  Step second_check_rst(const Segment& seg, Context& ctx);
  Step fourth_check_syn(const Segment& seg, Context& ctx);
  Step fifth_check_ack(const Segment& seg, Context& ctx);
  void sixth_check_urg(const Segment& seg);
  Step seventh_process_text(const Segment& seg, Context& ctx);
  Step eighth_check_fin(const Segment& seg, Context& ctx);

  // What one acknowledgement said of what was in flight.
  struct Delivery {
    std::uint32_t octets = 0, segments = 0;  // newly known to have arrived
    std::uint32_t acknowledged = 0;          // segments, by SND.UNA
    bool advanced = false;                   // SND.UNA moved
    bool sacked = false;                     // something new is sacked
    bool duplicate = false;                  // RFC 5681 §2
    bool dsack = false;
    bool probe_dsack = false;  // … of a tail loss probe
    bool original = false;     // something that was in flight before recovery, and sent once
    bool resent = false;       // something that was sent twice
    bool first_time = false;   // … of which, by the echo, the first transmission arrived
    bool second_time = false;  // … or the second
    bool sampled = false;      // something that was sent once, at `sampled_at`, and can be timed
    bool reordered = false;
    Instant sampled_at;
    std::optional<Duration> round_trip;  // of the latest segment that was sent once
    Duration last_round_trip;            // of the last one looked at
    SeqNum reordered_from;
    std::uint32_t lost_before = 0;
    std::uint32_t marked = 0;  // segments newly known to have been marked (ECN)
    trace::Reason fate = trace::Reason::kNone;
  };

  // Parts of the fifth step (connection_ack.cpp).
  trace::Reason accept_ack(const Segment& seg, Context& ctx);
  void acknowledge(const Segment& seg, Delivery& d, Context& ctx);
  void take_sacks(const Segment& seg, Delivery& d, Context& ctx);
  bool take_dsack(const Segment& seg, Delivery& d, Context& ctx);
  void delivered(const SentSegment& s, const Segment& seg, Delivery& d, Context& ctx);
  void delivered_together(const Scoreboard::Run& run, const Segment& seg, Delivery& d, Context& ctx);
  void measure(const Segment& seg, const Delivery& d, Context& ctx);
  bool update_window(const Segment& seg, Context& ctx);
  void window_opened(Context& ctx);
  void remember_timestamp(const Segment& seg, const Context& ctx);
  void hear_user_timeout(const Segment& seg);

  // Congestion marks (connection_ecn.cpp).
  void agree_on_accurate_ecn(bool answers, std::uint8_t syn_ecn, const Settings& settings);
  void agree_as_asked(const Segment& syn_ack, Context& ctx);
  bool hear_syn_again(const Segment& syn, Context& ctx);
  void hear_syn_ack_again(const Segment& syn_ack);
  bool hear_codepoint(const Segment& seg);
  // What is asked of an acknowledgement before it changes anything.
  struct BeforeAck {
    bool echoes = false;    // RFC 3168
    bool answered = false;  // marks are of what was sent before the window was last reduced
    bool later = false;     // by its timestamp
    std::uint32_t in_flight = 0;
  };
  BeforeAck before_ack(const Segment& seg) const;
  void hear_marks(const Segment& seg, const BeforeAck& before, Delivery& d, Context& ctx);
  bool reduce_for_marks(const BeforeAck& before, const Context& ctx);
  void add_ecn_answer(Sent& out, bool again);
  void add_marks(Sent& out, SeqNum seq, std::uint32_t text, const Context& ctx);
  AccurateEcn& marks() { return *rare_->accurate_ecn; }  // only with `accurate_`

  // Loss (connection_recovery.cpp).
  void recover(const Segment& seg, Delivery& d, Context& ctx);
  void forget_passed_marks();
  void count_duplicates(Delivery& d);
  void leave_recovery(const Segment& seg, Delivery& d, Context& ctx);
  void within_recovery(const Segment& seg, Delivery& d, Context& ctx);
  void judge_timeout(const Segment& seg, Delivery& d, Context& ctx);
  std::optional<Duration> detect_losses(Context& ctx);
  void enter_recovery(Context& ctx);
  void enter_loss(Context& ctx);
  void notice_reneging(Context& ctx);
  void remember_for_undo();
  bool was_for_nothing(const Segment& seg, const Delivery& d) const;
  void undo(trace::Counter counter, trace::Reason why, Delivery& d, Context& ctx);
  void judge_tail_probe(const Segment& seg, const Delivery& d, Context& ctx);
  void mark_lost(std::uint32_t place, Context& ctx);
  void note_lost(const SentSegment& s, Context& ctx);
  LossEvent loss_event(CongestionSign sign, std::uint32_t in_flight, const Context& ctx) const;
  RateSample sample_rate();
  void tell_controller(const Delivery& d, const Context& ctx);
  void check_app_limited();
  void release_flight(Context& ctx);
  bool has_new_text() const;
  /// Octets that may be in the network, and that are.
  std::uint32_t window() const;
  std::uint32_t pipe() const;
  bool in_loss_recovery() const {
    return flight_ != nullptr && (flight_->state == CaState::kRecovery || flight_->state == CaState::kLoss);
  }
  Duration reordering_window() const;

  // Parts of the seventh and eighth (connection_receive.cpp).
  std::uint32_t append_all(const MoreText& text, Context& ctx);
  std::uint32_t take_text(const Segment& seg, std::uint32_t skip, std::uint32_t count, Context& ctx);
  trace::Reason keep_beyond(const Segment& seg, std::uint32_t skip, std::uint32_t count, Context& ctx);
  void fill_from_beyond(Context& ctx);
  void note_duplicate(SeqNum left, SeqNum right, trace::Counter counter, Context& ctx);
  void acknowledge_text(std::uint32_t octets, Context& ctx);
  void take_fin(Context& ctx);

  // Sending (connection_send.cpp).
  bool send_syn(wire::Frame& frame, Sent& out, Context& ctx);
  void add_fast_open(wire::Frame& frame, Sent& out, Context& ctx);
  enum class Limit : bool {
    kAll,
    kPeerOnly  // a tail loss probe
  };
  bool send_text(Limit limit, wire::Frame& frame, Sent& out, Context& ctx);
  bool send_fin(Limit limit, Sent& out, Context& ctx);
  bool send_probe(wire::Frame& frame, Sent& out, Context& ctx);
  bool send_ack(Sent& out, Context& ctx);
  void add_user_timeout(wire::TcpOptions& options) const;
  void fill_header(Sent& out, SeqNum seq, Flags flags, std::uint32_t text, Context& ctx);
  void point_to_urgent(Sent& out);
  void allow_fragments(Sent& out) const;
  std::uint32_t text_room() const;
  bool has_sack_blocks() const { return sack_ && (rcv_.beyond != nullptr || rcv_.twice > 0); }
  void add_sack_blocks(wire::TcpOptions& options, std::uint32_t room);
  void stop_persist();
  bool worth_sending(std::uint32_t size, std::uint32_t available, bool fin) const;
  bool corked(std::uint32_t size) const;
  void tell_writable(const Settings& settings);
  /// Segments of new text behind which a burst ends though more may leave.
  std::uint32_t burst_segments(std::uint32_t paced_burst) const;
  std::uint32_t segments_within_burst(std::uint32_t segments) const;
  bool ends_burst(std::uint32_t size, std::uint32_t room, std::uint32_t available, std::uint32_t limit,
                  std::uint32_t segments);
  /// Octets a second by the controller, or by the window and the round trip; 0: not known yet.
  std::uint64_t pacing_rate(const Settings& settings) const;
  struct Pacing {
    std::uint64_t rate = 0;   // octets a second
    std::uint32_t burst = 0;  // octets; 0: nothing is paced
  };
  Pacing pacing(const Settings& settings) const;
  bool held_back(const Context& ctx);
  void pace(std::uint32_t octets, const Pacing& p, const Context& ctx);
  void note_new_text(std::uint32_t size, bool fin, const Pacing& paced, Context& ctx);
  void resume(const Context& ctx);
  std::uint32_t peer_room() const;
  /// Segments that may be in flight: what small ones cost beside their text counts against the send buffer
  /// (attack D6).
  std::uint32_t most_segments_in_flight(const Settings& settings) const;
  bool record_sent(SeqNum start, std::uint32_t text, bool fin, bool push, Context& ctx);
  void note_usage();
  /// What text waits for now that nothing more leaves.
  SendLimit send_limit() const;
  void note_send_limit(Instant now);

  // Several segments at once (connection_train.cpp).
  bool may_lead_train(const Sent& first) const;
  void send_train(std::uint32_t most, wire::Frame& frame, Sent& out, Context& ctx);

  // Sending again (connection_resend.cpp).
  bool resend(wire::Frame& frame, Sent& out, Context& ctx);
  bool resend_segment(std::uint32_t place, trace::Reason why, wire::Frame& frame, Sent& out, Context& ctx);
  bool goes_along(const SentSegment& s) const;
  bool ends_resent_burst();
  bool resend_fin(Sent& out, Context& ctx);
  bool send_tail_probe(wire::Frame& frame, Sent& out, Context& ctx);
  Reply reset_reply(trace::Reason why, Context& ctx) const;

  // Windows and buffers (connection_window.cpp).
  wire::WireWindow offer_window(Context& ctx);
  std::uint32_t window_to_offer(Context& ctx) const;
  std::uint32_t receive_capacity() const;
  std::uint32_t full_segment() const { return mss_for(1500, tuple_.local.address.family()); }
  std::uint64_t memory_received() const;
  std::uint64_t memory_limit() const;
  std::uint64_t memory_surely_allowed() const;
  void stay_within_buffer(Context& ctx);
  std::size_t prune_to(std::uint64_t memory, Context& ctx);
  /// What the first round trip may bring: the peer's initial window.
  std::uint32_t first_space() const { return std::min(rcv_.buffer, 10 * full_segment()); }
  void make_tuning(const Context& ctx);
  void time_receiver(const Segment& seg, std::uint32_t piece, Context& ctx);
  void tune_receive_buffer(Context& ctx);
  void tune_send_buffer(const Context& ctx);

  // Timers (connection_timers.cpp).
  void on_retransmit_timer(Context& ctx);
  void on_persist_timer(Context& ctx);
  void on_keepalive_timer(Context& ctx);
  void on_timeout(Context& ctx);
  void arm_retransmit(Context& ctx);
  void arm_for_flight(bool progress, std::optional<Duration> reordering, Context& ctx);
  bool may_probe_tail(const Context& ctx) const;
  Duration backed_off(Duration timeout, const Context& ctx) const;
  void arm_persist(Context& ctx);
  void arm_user_timeout(Context& ctx);
  /// Retransmissions or probes after which the peer is given up (R2).
  std::uint32_t most_retries(const Settings& settings) const;
  /// The error that a program gets whose peer was given up.
  Error gave_up_error() const { return soft_error_ == Error::kWouldBlock ? Error::kTimedOut : soft_error_; }
  void one_more_retry(Context& ctx);
  void give_up(Context& ctx);
  void send_reminder(trace::Reason why, Context& ctx);
  void heard_from_peer(Context& ctx);

  // Both ends of a life.
  /// Returns how many octets found memory.
  std::uint32_t queue_copy(Bytes text, Context& ctx);
  /// Octets that the send buffer has room for, or why nothing can be sent.
  std::expected<std::uint32_t, Error> send_room(const Context& ctx) const;
  std::expected<std::size_t, Error> queued(std::size_t taken, std::size_t given, More more,
                                           const Settings& settings);
  std::expected<std::size_t, Error> nothing_to_read() const;
  void note_read(Context& ctx);
  void queue_fin(Context& ctx);
  void transition_to(State to, trace::Reason why, Context& ctx);
  void fail(Error error, trace::Reason why, Context& ctx);
  bool ended() const { return state_ == State::kClosed || state_ == State::kTimeWait; }
  void note_ending(trace::Reason why, Instant now);
  void note_ending_segment(const Ending::Segment& segment);
  /// What of ours the peer has not acknowledged first.
  Ending::Segment unanswered() const;
  void owe_ack(trace::Reason why);
  trace::Reason challenge(trace::Reason why, trace::Counter counter, Context& ctx);
  /// Whether this connection may send one more answer to a segment that proves nothing (RFC 5961 §7).
  bool may_challenge(Context& ctx);
  /// The same for one without text that is not acceptable.
  bool may_answer_bare(Context& ctx);

  /// The next octet that the program reads.
  SeqNum next_to_read() const { return rcv_.nxt - rcv_.queue.size() - (fin_taken_ ? 1u : 0u); }
  /// One past the last octet that is queued: where the FIN goes.
  SeqNum stream_end() const { return snd_.base + snd_.queue.size(); }
  bool fin_sent() const { return snd_.max.after(stream_end()); }
  bool fin_acknowledged() const { return fin_sent() && snd_.una.after(stream_end()); }
  /// The peer may send text now: with Fast Open, before the third segment too.
  bool takes_text() const {
    return may_receive_text(state_) || (fast_open_ && state_ == State::kSynReceived);
  }
  std::uint32_t receive_window() const { return static_cast<std::uint32_t>(rcv_.edge - rcv_.nxt); }

  wire::FourTuple tuple_;
  State state_ = State::kClosed;
  Error failure_ = Error::kWouldBlock;
  Error soft_error_ = Error::kWouldBlock;
  std::uint16_t events_ = 0;
  std::uint8_t traffic_class_ = 0;

  bool passive_ : 1 = false;       // came from LISTEN
  bool program_gone_ : 1 = false;  // closed: nobody will read or write any more
  bool receive_shut_ : 1 = false;  // shutdown(receive): what arrives is thrown away
  bool timestamps_ : 1 = false;
  bool sack_ : 1 = false;
  bool no_delay_ : 1 = false;
  bool cork_ : 1 = false;
  bool quick_ack_ : 1 = false;
  bool keepalive_ : 1 = false;
  bool report_trouble_ : 1 = true;
  bool user_timeout_to_send_ : 1 = false;  // with the next segment (RFC 5482 §3.1)
  bool syn_to_send_ : 1 = false;
  bool resend_first_ : 1 = false;  // the first segment goes again, whatever the windows say
  bool probe_ : 1 = false;
  bool send_small_ : 1 = false;         // what fits has waited long enough (§3.8.6.2.1)
  bool timing_ : 1 = false;             // the SYN-ACK was sent once, at `last_sent_`
  bool tail_probe_ : 1 = false;         // one was sent, and it is not known yet what it did
  bool tail_probe_resent_ : 1 = false;  // it was sent before
  bool scaling_ : 1 = false;            // window scaling is offered, then agreed on
  bool fast_open_ : 1 = false;          // the SYN may carry text: ours, or the peer's did
  bool ecn_ : 1 = false;                // our text may be marked; in SYN-SENT: asked for
  bool accurate_ : 1 = false;           // marks are counted by AccECN (RFC 9768)
  bool ecn_seen_ : 1 = false;           // something ECN-capable has arrived
  bool echo_marks_ : 1 = false;         // a mark arrived, and no CWR since; in SYN-SENT: AccECN is asked for
  bool cwr_to_send_ : 1 = false;        // the window was reduced because of ECE
  bool urgent_sent_ : 1 = false;        // SND.UP of `Rare` lies ahead of SND.UNA
  bool urgent_pending_ : 1 = false;     // RCV.UP of `Rare` lies ahead of what was read
  bool fin_taken_ : 1 = false;          // RCV.NXT lies behind the peer's FIN
  bool may_fragment_ : 1 = false;       // leaves without DF (Options::may_fragment)
  bool more_follows_ : 1 = false;       // so the program said with the last octet (More::kYes)
  SendLimit send_limit_ : 2 = SendLimit::kIdle;
  bool starved_ : 1 = true;            // all was acknowledged, and the program had nothing more
  bool rate_app_limited_ : 1 = false;  // `delivery_rate_` is the program's, not the path's

  std::uint8_t acks_owed_ = 0;
  std::uint8_t quick_acks_ = 0;  // segments of text yet to be acknowledged at once
  std::uint8_t burst_ = 0;       // segments of new text that left one behind the other
  trace::Reason ack_reason_ = trace::Reason::kAckSent;
  // Of the retransmission, persist or keep-alive timer since the peer was last heard.
  static constexpr std::uint32_t kMostCounted = 0xff;
  std::uint8_t retries_ = 0;
  std::uint8_t persist_backoff_ = 0;  // probes since the window closed, answered or not
  std::uint16_t seen_mss_ = 536;      // largest text that came: what a full-sized segment is
  std::uint32_t refused_ = 0;  // octets that the program had to keep when it last found the send buffer full
  std::uint32_t timestamp_offset_ = 0;
  std::uint32_t total_retransmissions_ = 0;
  float delivery_rate_ = 0;  // octets a second, of the last sample worth showing

  SendState snd_;
  ReceiveState rcv_;
  Rtt rtt_;
  Reordering reordering_;
  SeqNum recover_;         // RFC 6582: duplicate acknowledgements before this prove nothing
  SeqNum tail_probe_end_;  // SND.NXT when it was sent
  Congestion congestion_{CongestionControl::kCubic, 536, 10};
  std::unique_ptr<Flight> flight_;
  std::unique_ptr<Tuning> tuning_;
  Traffic traffic_;
  SendTimes send_times_;
  TimerTable timers_;

  Instant last_heard_;
  Instant last_sent_;  // text, SYN or FIN

  // What few connections have.
  struct Rare {
    Options options;
    Duration agreed_user_timeout{};  // with the peer (RFC 5482)
    Ending ending;
    SeqNum snd_up;             // behind the last urgent octet
    SeqNum rcv_up;             // the same of the peer's
    Instant challenge_period;  // a second, and what is left of it to challenge with
    std::uint16_t challenges_left = 0;
    std::uint32_t delivered_ce = 0;  // segments that the peer said were marked
    std::uint32_t unsaid_marks = 0;  // of these, those that congestion control has not heard of
    std::unique_ptr<AccurateEcn> accurate_ecn;
    Instant answered_bare;  // when a bare segment that was not acceptable was last answered
    Timeouts timeouts;
  };
  Rare& rare() {
    if (rare_ == nullptr) rare_ = std::make_unique<Rare>();
    return *rare_;
  }
  /// What the program chose for this connection, in so far as it lies in `Rare`.
  const Options& choices() const {
    static constexpr Options kNone{};
    if (rare_ == nullptr) return kNone;
    return rare_->options;
  }
  /// Zero follows the setting.
  template <class T>
  static T chosen(T choice, T setting) {
    return choice > T{} ? choice : setting;
  }
  Duration keepalive_time(const Settings& s) const {
    return chosen(choices().keepalive_time, s.tcp_keepalive_time);
  }
  Duration user_timeout() const {
    if (rare_ == nullptr) return {};
    return rare_->options.user_timeout > Duration::zero() ? rare_->options.user_timeout
                                                          : rare_->agreed_user_timeout;
  }
  Offer offer(const Context& ctx) const { return offer_of(choices(), ctx, tuple_.local.address.family()); }
  CongestionControl congestion_control(const Settings& s) const {
    return rare_ != nullptr && rare_->options.congestion ? *rare_->options.congestion
                                                         : s.tcp_congestion_control;
  }
  std::unique_ptr<Rare> rare_;
};

}  // namespace synfin::tcp
