// SPDX-License-Identifier: Apache-2.0
#include "stall_hunt.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "synfin/tcp/error.h"

namespace synfin::netsim {
namespace {

using namespace synfin::literals;
using sim::Sighting;
using stack::Handle;
using tcp::Error;

constexpr std::size_t kTextSize = (1 << 20) + 8192;

// What is sent: the two directions begin at different places of it.
const std::vector<std::byte>& text() {
  static const std::vector<std::byte> octets = [] {
    std::vector<std::byte> made(kTextSize);
    SeededEntropy{1}.fill(made);
    return made;
  }();
  return octets;
}
Bytes stream(std::size_t host, std::uint64_t from, std::uint64_t count) {
  return std::span{text()}.subspan(host * 4099 + from, count);
}

// One end's program.
struct End {
  std::optional<Handle> handle;
  std::uint64_t sent = 0, received = 0;
  std::uint32_t rests_left = 0, writer_rests_left = 0;
  bool refused = false;  // its last write, for want of memory
  bool connected = false, resting = false, writer_resting = false, shut = false, end_seen = false,
       closed = false;
};

// How long one direction has waited. What arrives are octets at the receiving stack, and the end behind them.
struct Clock {
  std::uint64_t arrived = 0;
  Instant last_flow;  // of more than an octet, which probes a closed window
  Instant last_arrival, waiting_since, last_loss, last_counted;
  Instant last_sample;
  std::uint32_t losses = 0;   // that may each have doubled the timeout
  std::uint32_t samples = 0;  // round trips since then, at least
  bool held = false;          // it is for a program or the middlebox that the others wait
  bool measured = false;
};

class Chase {
 public:
  Chase(const Hunt& hunt, bool verbose, HuntTally& tally)
      : hunt_(hunt), verbose_(verbose), tally_(tally), random_(hunt.seed * 31 + 5), net_(hunt.network) {
    net_.set_on_step([this] { step(); });
    net_.set_tap([this](const Sighting& s) { see(s); });
    if (hunt.shrinks)
      net_.set_meddler([this](std::size_t from, MutableBytes packet) { meddle(from, packet); });
    if (hunt.updates_lost > 0) {
      net_.drop_next(
          1, [this](const wire::TcpPacket& p) { return closed_ && opens(p); }, hunt.updates_lost);
    }
  }

  std::string run();

 private:
  static bool opens(const wire::TcpPacket& p) {
    return p.tcp.window.field > 0 && p.payload_size == 0 && !p.tcp.flags.syn();
  }
  stack::Stack& host(std::size_t i) { return net_.host(i); }
  bool done() const { return !problem_.empty() || (ends_[0].closed && ends_[1].closed); }
  bool shrinking() const {
    return hunt_.shrinks && net_.now() >= hunt_.shrinks_from && net_.now() < hunt_.shrinks_until;
  }

  void step();
  // Programs act on events, and where their rest has ended: an event that is missing stalls them.
  void act(std::size_t i);
  void let_go(std::size_t i);
  void read(std::size_t i);
  void write(std::size_t i);
  void rest(bool End::*which, std::size_t i, Duration most);
  void change_options(std::size_t i);
  void see(const Sighting& s);
  void print(const Sighting& s) const;
  void meddle(std::size_t from, MutableBytes packet);
  void note_loss();
  void watch_memory();
  void watch(std::size_t i);
  bool held(std::size_t i);
  Duration allowed(std::size_t i) const;
  std::uint64_t arrived(std::size_t i);
  std::string situation();
  std::string leavings();

  const Hunt& hunt_;
  bool verbose_;
  HuntTally& tally_;
  SeededEntropy random_;
  sim::Network net_;
  Handle listener_;
  End ends_[2];
  Clock clocks_[2];      // of what each host sends
  bool closed_ = false;  // B's window, by the last that it said
  std::uint64_t dropped_ = 0;
  std::string problem_;
};

std::string Chase::run() {
  const wire::Endpoint to{net_.address(1, hunt_.family), 80};
  const auto listener = host(1).listen(to, {.connection = hunt_.options[1]}, net_.now());
  const auto client = host(0).connect(to, {.connection = hunt_.options[0]}, net_.now());
  if (!listener || !client) return "cannot begin";
  listener_ = *listener;
  ends_[0].handle = *client;
  for (std::size_t i = 0; i < 2; ++i) {
    ends_[i].rests_left = hunt_.appetite[i].rests;
    ends_[i].writer_rests_left = hunt_.writer_rests;
    clocks_[i].last_flow = clocks_[i].last_arrival = clocks_[i].waiting_since = net_.now();
  }
  if (hunt_.shrinks) net_.call_at(hunt_.shrinks_until, [] {});  // so that the clocks are looked at
  const bool ended = net_.run_until([this] { return done(); }, 10'000'000_s);
  tally_.octets += ends_[0].received + ends_[1].received;
  tally_.packets += net_.packets_sent();
  for (std::size_t i = 0; i < 2; ++i) tally_.timeouts += host(i).counters()[trace::Counter::kTCPTimeouts];
  if (!problem_.empty()) return problem_ + situation();
  if (net_.livelocked()) return "a stack is stuck in a loop at one instant" + situation();
  if (!ended) return "nothing is under way and no timer runs" + situation();

  host(1).close(listener_, net_.now());
  if (!net_.run_until_idle(1'000'000)) return "never idle" + leavings();
  for (std::size_t i = 0; i < 2; ++i) {
    const auto p = host(i).population();
    if (p.connections + p.half_open + p.time_wait + p.listeners + p.armed_timers != 0)
      return "left over" + leavings();
  }
  if (net_.pool().bytes_in_use() != 0)
    return "packet memory left: " + std::to_string(net_.pool().bytes_in_use());
  return {};
}

void Chase::step() {
  if (done()) return;
  watch_memory();
  for (std::size_t i = 0; i < 2; ++i) watch(i);
  for (std::size_t i = 0; i < 2; ++i) {
    while (const auto event = host(i).poll_event()) {
      if (i == 1 && event->handle == listener_) {
        if (ends_[1].handle) continue;
        const auto accepted = host(1).accept(listener_, net_.now());
        if (!accepted) continue;
        ends_[1].handle = *accepted;
        ends_[1].connected = true;
      } else if ((event->what & stack::kFailed) != 0 && !ends_[i].closed) {
        problem_ = std::string(i == 0 ? "A" : "B") +
                   " failed: " + std::string(tcp::message(host(i).failure(event->handle)));
        return;
      }
      if ((event->what & stack::kConnected) != 0) ends_[i].connected = true;
      act(i);
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    let_go(i);  // the other may have seen the end
    clocks_[i].held = held(i);
  }
}

void Chase::act(std::size_t i) {
  End& e = ends_[i];
  if (!problem_.empty() || !e.handle || e.closed) return;
  read(i);
  if (e.connected) write(i);
  let_go(i);
}

void Chase::let_go(std::size_t i) {
  End& e = ends_[i];
  if (!problem_.empty() || e.closed || !e.shut || !e.end_seen) return;
  // What is left to deliver is given up after a while once the program has closed, also where the window is.
  constexpr Duration kPatience = 10_s;
  if (hunt_.appetite[1 - i].rest > kPatience && !ends_[1 - i].end_seen) return;
  host(i).close(*e.handle, net_.now());
  e.closed = true;
}

void Chase::read(std::size_t i) {
  End& e = ends_[i];
  const Appetite& appetite = hunt_.appetite[i];
  std::array<std::byte, 65'536> buffer;  // NOLINT: filled before it is read
  while (!e.end_seen && !e.resting) {
    const std::array<MutableBytes, 1> parts = {
        std::span{buffer}.first(e.rests_left > 0 ? appetite.bite : buffer.size())};
    const auto n = host(i).receive(*e.handle, parts, net_.now());
    if (!n) {
      if (n.error() != Error::kWouldBlock && n.error() != Error::kNotConnected)
        problem_ = "reading failed: " + std::string(tcp::message(n.error()));
      return;
    }
    clocks_[1 - i].waiting_since = net_.now();  // the window may have opened
    const std::uint64_t expected = hunt_.octets[1 - i];
    if (*n == 0) {
      e.end_seen = true;
      if (e.received != expected) problem_ = "the end came after " + std::to_string(e.received) + " octets";
      return;
    }
    if (e.received + *n > expected ||
        std::memcmp(buffer.data(), stream(1 - i, e.received, *n).data(), *n) != 0) {
      problem_ = "what arrived behind octet " + std::to_string(e.received) + " is not what was sent";
      return;
    }
    e.received += *n;
    // The end behind the last octet must not be kept waiting: it would look like one that does not come.
    if (e.received < expected && e.rests_left > 0 && random_.below(appetite.rests_one_in) == 0) {
      --e.rests_left;
      rest(&End::resting, i, appetite.rest);
    }
  }
}

void Chase::write(std::size_t i) {
  End& e = ends_[i];
  while (e.sent < hunt_.octets[i] && !e.writer_resting) {
    const std::array<Bytes, 1> parts = {
        stream(i, e.sent, std::min<std::uint64_t>(hunt_.octets[i] - e.sent, hunt_.write_at_most))};
    const auto n = host(i).send(*e.handle, parts, net_.now());
    if (!n) {
      e.refused = n.error() == Error::kNoBuffers;
      if (e.refused) ++tally_.refused;
      if (n.error() != Error::kWouldBlock && n.error() != Error::kNoBuffers)
        problem_ = "writing failed: " + std::string(tcp::message(n.error()));
      return;
    }
    e.sent += *n;
    e.refused = false;
    if (e.writer_rests_left > 0 && random_.below(4) == 0) {
      --e.writer_rests_left;
      rest(&End::writer_resting, i, hunt_.writer_rest);
    }
  }
  if (e.sent < hunt_.octets[i] || e.shut || e.writer_resting) return;
  e.shut = true;
  if (!host(i).shutdown(*e.handle, stack::Shutdown::kSend, net_.now())) problem_ = "shutdown failed";
}

void Chase::rest(bool End::*which, std::size_t i, Duration most) {
  ++tally_.rests;
  ends_[i].*which = true;
  const auto us = static_cast<std::uint32_t>(std::min<std::int64_t>(most.us(), UINT32_MAX - 1));
  net_.call_at(net_.now() + Duration::microseconds(1 + random_.below(us + 1)), [this, which, i] {
    ends_[i].*which = false;
    if (done()) return;
    watch_memory();
    for (std::size_t k = 0; k < 2; ++k) watch(k);
    if (which == &End::writer_resting && random_.below(4) == 0) change_options(i);
    act(i);
  });
}

void Chase::change_options(std::size_t i) {
  tcp::Options o = hunt_.options[i];
  o.no_delay = random_.below(2) == 0;
  o.cork = random_.below(2) == 0;
  o.quick_ack = random_.below(2) == 0;
  if (ends_[i].handle && !ends_[i].closed && !host(i).set_options(*ends_[i].handle, o, net_.now()))
    problem_ = "set_options failed";
}

void Chase::see(const Sighting& s) {
  if (verbose_) print(s);
  if (s.packet == nullptr) return;
  if (s.from == 1 && !s.packet->tcp.flags.syn()) {
    closed_ = s.packet->tcp.window.field == 0;
    if (closed_) ++tally_.zero_windows;
  }
  if (s.fate != Sighting::Fate::kLost && s.fate != Sighting::Fate::kCorrupted) return;
  ++tally_.lost;
  note_loss();
}

void Chase::note_loss() {
  const Instant at = net_.now();
  for (Clock& c : clocks_) {
    c.last_loss = at;
    // Those that follow each other faster than timeouts can cost one of these between them.
    if (c.losses > 0 && at - c.last_counted < hunt_.network.settings.tcp_rto_min) continue;
    ++c.losses;
    c.samples = 0;
    c.last_counted = at;
  }
}

// What arrived and found no memory, or had to make room again, is lost as well.
void Chase::watch_memory() {
  std::uint64_t dropped = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const trace::Counters& c = host(i).counters();
    dropped +=
        c[trace::Counter::kTCPBacklogDrop] + c[trace::Counter::kTCPOFODrop] + c[trace::Counter::kOfoPruned];
  }
  if (dropped == dropped_) return;
  tally_.dropped += dropped - std::exchange(dropped_, dropped);
  note_loss();
}

// RFC 1624 keeps the checksum right.
void Chase::meddle(std::size_t from, MutableBytes packet) {
  const std::size_t tcp = hunt_.family == wire::Family::kIpv4 ? 20 : 40;
  constexpr std::size_t kFlags = 13, kWindow = 14, kChecksum = 16;
  const auto flags = std::to_integer<std::uint8_t>(packet[tcp + kFlags]);
  if (from != 1 || !shrinking() || (flags & (wire::Flags::kSyn | wire::Flags::kRst)) != 0) return;
  const std::uint32_t before = load_be16(packet.data() + tcp + kWindow);
  const std::uint32_t after = before * hunt_.eighths / 8;
  std::uint32_t sum =
      (~std::uint32_t{load_be16(packet.data() + tcp + kChecksum)} & 0xffff) + (~before & 0xffff) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  store_be16(packet.data() + tcp + kWindow, static_cast<std::uint16_t>(after));
  store_be16(packet.data() + tcp + kChecksum, static_cast<std::uint16_t>(~sum & 0xffff));
  if (after != before) ++tally_.shrunk;
}

std::uint64_t Chase::arrived(std::size_t i) {
  const End& to = ends_[1 - i];
  if (!to.handle) return 0;
  if (to.closed) return hunt_.octets[i] + 1;
  return to.received + host(1 - i).readable(*to.handle).value_or(0) + (to.end_seen ? 1 : 0);
}

bool Chase::held(std::size_t i) {
  const End& to = ends_[1 - i];
  if (to.end_seen || ends_[i].writer_resting || (i == 0 && shrinking())) return true;
  // For memory, which the other direction holds: it has a clock of its own.
  if (ends_[i].refused && arrived(1 - i) <= hunt_.octets[1 - i]) return true;
  return to.resting && arrived(i) > to.received;
}

// RFC 6298 §5.5: the timeout doubles with each that is lost. RFC 9293 §3.8.6.1: while the window is closed,
// so does the time between probes, so that the next comes no later than after once more what has passed, or
// four times that, where the timeout grew meanwhile. That counts where what said that the window is open did
// not arrive, or was not true.
Duration Chase::allowed(std::size_t i) const {
  const Clock& c = clocks_[i];
  const Duration timeout = hunt_.timeout(c.measured);
  const bool shrunk = hunt_.shrinks && i == 0 && net_.now() >= hunt_.shrinks_from;
  const bool still = shrunk && c.last_arrival <= hunt_.shrinks_until;
  if (c.losses == 0 && !still) return timeout;
  const Instant closed = shrunk ? std::min(c.last_flow, hunt_.shrinks_from) : c.last_flow;
  Duration sum, next = timeout + (c.waiting_since - closed) * 4;
  for (std::uint32_t n = 0; n <= c.losses; ++n) {
    next = std::min(next, hunt_.network.settings.tcp_rto_max + hunt_.round_trip());
    sum += next;
    next = next * 2;
  }
  return sum;
}

void Chase::watch(std::size_t i) {
  Clock& c = clocks_[i];
  const Instant now = net_.now();
  if (c.held) {
    c.waiting_since = now;
  } else {
    const Duration waited = now - c.waiting_since, bound = allowed(i);
    if (waited > bound && problem_.empty()) {
      problem_ = std::string("what ") + (i == 0 ? "A" : "B") + " sends has waited for " +
                 std::to_string(waited.as_seconds()) + " s, which may be " +
                 std::to_string(bound.as_seconds()) + " s behind " + std::to_string(c.losses) + " losses";
    }
    tally_.longest = std::max(tally_.longest, static_cast<std::uint64_t>(waited.ns() / (bound.ns() / 100)));
  }
  c.held = held(i);
  const std::uint64_t total = arrived(i);
  if (total <= c.arrived) return;
  if (total > c.arrived + 1) c.last_flow = now;
  c.arrived = total;
  c.last_arrival = c.waiting_since = now;
  if (c.losses == 0) c.measured = true;
  // An acknowledgement that was lost makes a round trip look as long as the timeout that repairs it; three
  // that are measured again halve what that did to it (RFC 6298 (2.3)).
  if (now - c.last_loss <= hunt_.timeout(c.measured) || now - c.last_sample < hunt_.round_trip()) return;
  c.last_sample = now;
  if (c.losses > 0 && ++c.samples % 6 == 0) --c.losses;
}

std::string Chase::situation() {
  std::string s = "\n  after " + std::to_string((net_.now() - hunt_.network.start).as_seconds()) + " s";
  for (std::size_t i = 0; i < 2; ++i) {
    const End& e = ends_[i];
    s += std::string("\n  ") + (i == 0 ? "A" : "B") + " sent " + std::to_string(e.sent) + "/" +
         std::to_string(hunt_.octets[i]) + " received " + std::to_string(e.received) + "/" +
         std::to_string(hunt_.octets[1 - i]) + (e.connected ? "" : " not connected") +
         (e.resting ? " rests" : "") + (e.writer_resting ? " writes nothing for now" : "") +
         (e.shut ? " shut" : "") + (e.end_seen ? " saw the end" : "") + (e.closed ? " closed" : "");
    const auto status = e.handle ? host(i).status(*e.handle) : std::unexpected(Error::kInvalidHandle);
    if (!status) continue;
    s += "; " + std::string(trace::name(status->state)) + ", queued " + std::to_string(status->send_queue) +
         " not sent " + std::to_string(status->not_sent) + " unread " +
         std::to_string(status->receive_queue) + ", windows " + std::to_string(status->send_window) + " " +
         std::to_string(status->receive_window) + " " + std::to_string(status->congestion_window) +
         ", timeout " + std::to_string(status->retransmission_timeout.as_seconds()) + " s";
  }
  return s + leavings();
}

std::string Chase::leavings() {
  std::string s;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto p = host(i).population();
    s += std::string("\n  ") + (i == 0 ? "A" : "B") + ": " + std::to_string(p.connections) +
         " connections, " + std::to_string(p.half_open) + " half-open, " + std::to_string(p.time_wait) +
         " TIME-WAIT, " + std::to_string(p.armed_timers) + " timers";
  }
  return s;
}

void Chase::print(const Sighting& s) const {
  if (s.packet == nullptr) return;
  const auto& t = s.packet->tcp;
  static constexpr const char* kFates[] = {"", " LOST", " CORRUPTED", " DUPLICATED"};
  std::printf("%14.6f %c %s%s%s%s seq %u len %zu ack %u win %u", (s.at - hunt_.network.start).as_seconds(),
              s.from == 0 ? '>' : '<', t.flags.syn() ? "S" : "", t.flags.fin() ? "F" : "",
              t.flags.rst() ? "R" : "", t.flags.ack() ? "." : "", t.seq.raw(), s.packet->payload_size,
              t.ack.raw(), t.window.field);
  for (std::size_t i = 0; i < t.options.sack_count; ++i)
    std::printf(" sack %u:%u", t.options.sack[i].left.raw(), t.options.sack[i].right.raw());
  std::printf("%s\n", kFates[static_cast<std::size_t>(s.fate)]);
}

}  // namespace

std::string run(const Hunt& hunt, bool verbose, HuntTally& tally) {
  HuntTally own;
  Chase chase(hunt, verbose, own);
  std::string problem = chase.run();
  tally += own;
  return problem;
}

}  // namespace synfin::netsim
