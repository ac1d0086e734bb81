// SPDX-License-Identifier: Apache-2.0
//
// Ladder tests: raw segments played against one stack, and what it must answer, line by line.
//
//   LADDER_TEST(Opening, ThreeSegmentsOpen) {
//     Ladder l(variant);
//     l.app_listens();
//     l.at(0_ms).receives({.flags = SYN, .seq = 0, .mss = 1460}).sends({.flags = SYN | ACK, .seq = 0, .ack =
//     1}); l.at(10_ms).receives({.flags = ACK, .seq = 1, .ack = 1}).sends_nothing();
//     l.event(stack::kAcceptable).app_accepts().state(State::kEstablished);
//   }
//
// Only the stack's public inputs and outputs are used. Sequence numbers are relative to the initial ones of
// their direction, in packetdrill's way: the SYN has 0, the first octet 1. Everything that a stack sends must
// be claimed by `sends`, in order, before the next input: the number of segments is exact, while fields left
// out do not matter. The data in both directions is a fixed pattern, so that every octet is checked wherever
// it goes. After the first failure the rest of a ladder is skipped and the whole ladder so far is printed.
//
// Checked on every ladder without being asked: checksums and sizes of what is sent, its data against what the
// program wrote, that the right edge of the offered window never moves back (SHLD-14), and that shutting the
// stack down leaves no record, timer or packet memory, and that the traced state changes join up.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/sim/virtual_clock.h"
#include "synfin/stack/stack.h"
#include "synfin/trace/counters.h"
#include "synfin/trace/event.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/packet.h"

namespace synfin::sim {

/// The control bits by the names they have in every ladder.
inline constexpr std::uint8_t FIN = wire::Flags::kFin, SYN = wire::Flags::kSyn, RST = wire::Flags::kRst,
                              PSH = wire::Flags::kPsh, ACK = wire::Flags::kAck, URG = wire::Flags::kUrg,
                              ECE = wire::Flags::kEce, CWR = wire::Flags::kCwr;

/// What every ladder test runs over: the family and where the sequence numbers lie.
struct Variant {
  wire::Family family = wire::Family::kIpv4;
  std::uint32_t peer_iss = 1000;
  /// Where the stack's own initial number is made to lie, within the first microseconds of the ladder. The
  /// number itself is the stack's (RFC 6528); the ladder picks its starting time so that the 4 µs clock
  /// brings it here.
  std::uint32_t stack_iss = 20'000;
  std::string name() const;
};
/// Both families; numbers in the middle, about to wrap at once, wrapping within the data, and at the sign
/// bit.
const std::vector<Variant>& all_variants();

/// Relative SACK block [left, right).
struct Sack {
  std::int64_t left = 0, right = 0;
};

/// A segment of the peer.
struct In {
  std::uint8_t flags = ACK;
  std::int64_t seq = 0;
  std::int64_t ack = 0;  // put on the wire only with ACK
  std::uint32_t len = 0;
  /// The field as on the wire.
  std::optional<std::uint16_t> window{};
  std::optional<std::uint16_t> mss{};
  std::optional<std::uint8_t> wscale{};
  bool sack_permitted = false;
  std::vector<Sack> sack{};
  /// Set: these timestamps. Unset: current ones where they were negotiated.
  std::optional<wire::Timestamps> ts{};
  bool without_ts = false;
  std::uint16_t urgent_pointer = 0;
  std::optional<std::uint16_t> user_timeout{};  // as on the wire
  /// Other ends than the ladder's own.
  std::optional<wire::Endpoint> from{}, to{};
  bool bad_checksum = false;
  /// Numbers as given, not relative.
  bool absolute = false;
};

/// What the stack must send; what is unset does not matter. PSH matters only where it is asked for.
struct Out {
  std::optional<std::uint8_t> flags{};
  std::optional<std::int64_t> seq{};
  std::optional<std::int64_t> ack{};
  std::optional<std::uint32_t> len{};
  /// Octets, scaled.
  std::optional<std::uint32_t> window{};
  std::optional<std::uint16_t> mss{};
  /// -1: the option must be absent.
  std::optional<int> wscale{};
  std::optional<bool> sack_permitted{};
  std::optional<std::vector<Sack>> sack{};
  std::optional<bool> timestamps{};
  std::optional<std::uint32_t> ts_echo{};
  /// -1: the option must be absent.
  std::optional<int> user_timeout{};
  std::optional<wire::Endpoint> to{};
  bool absolute = false;
};

/// How the peer presents itself in its SYN or SYN-ACK.
struct Peer {
  std::optional<std::uint16_t> mss = 1460;
  std::optional<std::uint8_t> wscale{};
  bool sack_permitted = false;
  bool timestamps = false;
  std::uint16_t window = 65535;
};

struct LadderOptions {
  Peer peer{};
  std::uint32_t mtu = 1500;
  std::function<void(tcp::Settings&)> settings{};
  std::uint64_t seed = 1;
};

class Ladder {
 public:
  using Where = std::source_location;
  static constexpr std::uint16_t kStackPort = 80, kPeerPort = 40'000;
  /// How far from its time a segment may leave: a wheel's tick and its rounding.
  static constexpr Duration kSlack = Duration::milliseconds(8);

  explicit Ladder(const Variant& variant, LadderOptions options = {});
  ~Ladder();
  Ladder(const Ladder&) = delete;
  Ladder& operator=(const Ladder&) = delete;

  // Time, since the ladder began. Timers run as they fall due; what they send must be claimed at its time.
  Ladder& at(Duration t, Where w = Where::current());
  Ladder& after(Duration d, Where w = Where::current());
  Duration time() const { return clock_.now() - start_; }

  // Segments.
  Ladder& receives(const In& in, Where w = Where::current());
  /// Several in one call of `Stack::receive`.
  Ladder& receives_batch(const std::vector<In>& in, Where w = Where::current());
  Ladder& sends(const Out& out, Where w = Where::current());
  /// The next segment leaves within `d`, which may be now; time stands there afterwards.
  Ladder& sends_within(Duration d, const Out& out, Where w = Where::current());
  Ladder& sends_nothing(Where w = Where::current());
  /// Nothing is sent up to and including `d` from now.
  Ladder& silent_for(Duration d, Where w = Where::current());
  /// After a call to the stack itself: takes out what it gives.
  Ladder& settles(Where w = Where::current()) {
    settle(w);
    return *this;
  }
  /// Takes whatever was sent.
  Ladder& whatever();
  std::vector<wire::TcpPacket> take_all();

  // The program. Data is the pattern; amounts are exact.
  Ladder& app_listens(std::uint32_t backlog = 16, Where w = Where::current());
  Ladder& app_connects(Where w = Where::current());
  Ladder& app_accepts(Where w = Where::current());
  Ladder& app_accepts_nothing(Where w = Where::current());
  Ladder& app_sends(std::uint32_t n, Where w = Where::current());
  Ladder& app_sends_urgent(std::uint32_t n, Where w = Where::current());
  Ladder& app_send_fails(tcp::Error e, Where w = Where::current());
  Ladder& app_reads(std::uint32_t n, Where w = Where::current());
  Ladder& app_reads_end(Where w = Where::current());
  Ladder& app_read_fails(tcp::Error e, Where w = Where::current());
  Ladder& app_shuts_down(stack::Shutdown how, Where w = Where::current());
  Ladder& app_closes(Where w = Where::current());
  Ladder& app_closes_listener(Where w = Where::current());
  Ladder& app_aborts(Where w = Where::current());
  Ladder& app_sets_no_delay(Where w = Where::current());

  // Questions.
  Ladder& state(trace::State s, Where w = Where::current());
  /// Why the last packet received met its fate.
  Ladder& reason(trace::Reason r, Where w = Where::current());
  /// All these bits have been reported for the connection (the listener: kAcceptable) since last asked.
  Ladder& event(std::uint16_t bits, Where w = Where::current());
  Ladder& no_event(std::uint16_t bits, Where w = Where::current());
  /// From here on only new events count.
  Ladder& forgets_events();
  Ladder& failure(tcp::Error e, Where w = Where::current());
  /// A timer runs that is due then at the latest. That nothing happens before is for `at` and `silent_for` to
  /// show.
  Ladder& wakes_by(Duration t, Where w = Where::current());
  Ladder& wakes_never(Where w = Where::current());
  /// Connections, half-opens, TIME-WAIT records.
  Ladder& population(std::size_t connections, std::size_t half_open, std::size_t time_wait,
                     Where w = Where::current());
  Ladder& counter(trace::Counter c, std::uint64_t value, Where w = Where::current());
  Ladder& fails(const std::string& what, Where w = Where::current());

  // Ways into a state, by segments and calls only. Each begins on a fresh ladder at time 0 and needs no
  // virtual time.
  Ladder& opened_passively(Where w = Where::current());
  Ladder& opened_actively(Where w = Where::current());
  /// SYN-RECEIVED by way of `connect` and a crossing SYN.
  Ladder& crossed_syns(Where w = Where::current());
  /// ESTABLISHED, FIN-WAIT-1, … by passive opening and then `shutdown` or the peer's FIN; SYN-SENT, LISTEN,
  /// SYN-RECEIVED (by LISTEN). The handle stays with the program.
  Ladder& brought_to(trace::State s, Where w = Where::current());
  /// The next sequence number of the peer and the stack's, as `brought_to` leaves them.
  std::int64_t peer_next() const { return peer_next_; }
  std::int64_t stack_next() const { return stack_next_; }
  /// The peer begins anew: its numbers are relative to an initial one `delta` further from now on.
  Ladder& peer_restarts(std::uint32_t delta);
  Peer& peer() { return options_.peer; }

  stack::Stack& stack() { return *stack_; }
  stack::Handle connection() const { return connection_; }
  stack::Handle listener() const { return listener_; }
  const wire::FourTuple& tuple() const { return tuple_; }
  wire::Endpoint endpoint(std::uint8_t last_octet, std::uint16_t port) const;
  std::uint32_t own_mss() const;
  wire::Family family() const { return variant_.family; }
  wire::BlockPool& pool() { return *pool_; }
  Instant now() const { return clock_.now(); }
  /// The stack's timestamp clock as last seen.
  std::uint32_t last_tsval() const { return last_tsval_; }
  std::uint32_t stack_iss() const { return stack_iss_; }
  /// Why each segment was sent, from the first on.
  const std::vector<trace::Reason>& sent_reasons() const { return sent_reasons_; }
  bool failed() const { return failed_; }
  const std::string& text() const { return text_; }
  /// Of the peer, now.
  std::uint32_t peer_tsval() const;

  /// Octet `i` of either stream.
  static std::byte pattern(std::uint64_t i) {
    return static_cast<std::byte>((i * 131 + (i >> 8) * 17 + 7) & 0xff);
  }

 private:
  struct Seen {
    Instant at;
    wire::TcpPacket packet;
    std::vector<std::byte> payload;
    std::string line;
  };
  class Recorder final : public trace::Sink {
   public:
    explicit Recorder(Ladder& ladder) : ladder_(ladder) {}
    void on_event(const trace::Event& event) override;

   private:
    Ladder& ladder_;
  };

  wire::Frame build(const In& in);
  std::string describe(const wire::TcpPacket& packet, char direction) const;
  void settle(Where w);
  void inspect(const wire::TcpPacket& packet, const std::vector<std::byte>& payload, Where w);
  std::string mismatch(const Out& want, const Seen& got) const;
  bool run_to(Instant t, bool stop_at_output, Where w);
  bool unclaimed(Where w);
  void note(const std::string& line);
  void poll_events();

  Variant variant_;
  LadderOptions options_;
  std::unique_ptr<wire::BlockPool> pool_;
  SeededEntropy entropy_;
  Recorder recorder_;
  Instant start_;
  VirtualClock clock_;
  std::unique_ptr<stack::Stack> stack_;
  wire::FourTuple tuple_;
  stack::Handle listener_, connection_;

  std::deque<Seen> sent_;
  std::uint16_t events_ = 0;
  trace::Reason last_reason_ = trace::Reason::kNone;
  std::vector<trace::Reason> sent_reasons_;
  std::uint32_t stack_iss_ = 0;
  bool iss_known_ = false;
  std::optional<std::uint8_t> stack_wscale_;
  bool peer_wscale_ = false;
  bool timestamps_on_ = false;
  bool peer_timestamps_ = false;
  std::uint32_t last_tsval_ = 0;
  std::optional<wire::SeqNum> right_edge_;
  std::uint64_t app_written_ = 0, app_read_ = 0;
  std::int64_t peer_next_ = 0, stack_next_ = 0;
  std::string text_;
  trace::State last_state_ = trace::State::kClosed;
  bool failed_ = false;
};

namespace ladder_detail {
/// Runs the body over all variants, up to the first that fails.
void run(const std::function<void(const Variant&)>& body);
/// The bits of `stack::SocketEventBits` in words.
std::string event_names(std::uint16_t bits);
}  // namespace ladder_detail

}  // namespace synfin::sim

/// A test that runs for every `variant`.
#define LADDER_TEST(suite, test)                                            \
  static void suite##_##test##_body(const ::synfin::sim::Variant& variant); \
  TEST(suite, test) {                                                       \
    ::synfin::sim::ladder_detail::run(suite##_##test##_body);               \
  }                                                                         \
  static void suite##_##test##_body([[maybe_unused]] const ::synfin::sim::Variant& variant)
