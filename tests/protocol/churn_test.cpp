// SPDX-License-Identifier: Apache-2.0
//
// Very many connections, opened and closed in every way over a bad wire, in virtual time: nothing may be
// left of them. Both ends act on their own, so every pair of ways to close meets. SYNFIN_CHURN=n opens n
// connections, SYNFIN_SEED=n takes another seed than 1.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "synfin/sim/network.h"
#include "synfin/tcp/error.h"
#include "synfin/trace/state.h"
#include "thorough.h"

namespace synfin::protocol_test {
namespace {

using namespace synfin::literals;
using sim::Faults;
using sim::Network;
using sim::NetworkOptions;
using sim::Sighting;
using stack::Handle;
using stack::Shutdown;
using tcp::Error;
using trace::Counter;
using trace::Reason;
using trace::State;

constexpr std::uint64_t kMany = kSlowBuild ? 20'000 : 1'000'000;
constexpr std::size_t kStates = 11;
constexpr std::uint16_t kFirstPort = 80, kPorts = 8;

// How an end lets go, once its time has come.
enum class Way : std::uint8_t {
  kClose,        // reads what is there, then closes
  kCloseUnread,  // closes without reading: a reset where something was there
  kShutdown,     // half-closes, reads to the end, closes
  kWaitForEnd,   // reads to the peer's end, closes
  kAbort,        // which a close with linger time 0 comes to
  kCloseAtOnce,  // before anything happened: in SYN-SENT, or as soon as it was accepted
  kShutReceive,  // throws away what comes, closes at its time
  kCount,
};

// One end's program.
struct Program {
  Handle handle;
  Way way = Way::kClose;
  bool in_use = false;
  bool time_has_come = false;
  bool impatient = false;
  bool shut = false;
  bool receive_shut = false;
  // Its stream: four octets of length, then the pattern.
  std::uint32_t to_send = 0, sent = 0;
  std::uint32_t received = 0, announced = 0;
};

// Joins up every change of state that a stack tells of.
class Book final : public trace::Sink {
 public:
  void on_event(const trace::Event& e) override {
    if (e.kind != trace::EventKind::kStateChanged) return;
    ++changes_[std::to_underlying(e.from)][std::to_underlying(e.to)];
    if (e.from == State::kTimeWait) ++time_wait_ends_[std::to_underlying(e.reason)];
  }
  std::uint64_t changes(State from, State to) const {
    return changes_[std::to_underlying(from)][std::to_underlying(to)];
  }
  std::uint64_t entered(State s) const {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < kStates; ++i) n += changes_[i][std::to_underlying(s)];
    return n;
  }
  std::uint64_t left(State s) const {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < kStates; ++i) n += changes_[std::to_underlying(s)][i];
    return n;
  }
  std::uint64_t time_wait_ended_by(Reason r) const { return time_wait_ends_[std::to_underlying(r)]; }

 private:
  std::uint64_t changes_[kStates][kStates]{};
  std::array<std::uint64_t, trace::kReasonCount> time_wait_ends_{};
};

class Churn {
 public:
  explicit Churn(std::uint64_t seed, std::uint64_t total)
      : random_(seed), total_(total), net_(options(seed)) {
    net_.set_on_step([this] { step(); });
    net_.set_tap([this](const Sighting& s) {
      ++wire_[s.from].sent;
      if (s.fate == Sighting::Fate::kLost) ++wire_[s.from].lost;
      if (s.fate == Sighting::Fate::kDuplicated) ++wire_[s.from].duplicated;
    });
    for (auto& byte : pattern_) byte = static_cast<std::byte>(random_.below(256));
  }

  void run() {
    for (const auto family : {wire::Family::kIpv4, wire::Family::kIpv6}) {
      for (std::uint16_t i = 0; i < kPorts; ++i) {
        const auto listener = net_.host(1).listen(
            {net_.address(1, family), static_cast<std::uint16_t>(kFirstPort + i)}, {}, net_.now());
        ASSERT_TRUE(listener);
        listeners_.push_back(*listener);
      }
    }
    start_some();
    const bool done = net_.run_until(
        [this] { return !problem_.empty() || (enough() && programs_alive_ == 0); }, 1'000'000_s);
    ASSERT_EQ(problem_, "");
    ASSERT_FALSE(net_.livelocked());
    ASSERT_TRUE(done) << populations();
    // The programs are gone. A lossless wire from here on bounds what is left by time alone.
    for (std::size_t i = 0; i < 2; ++i) net_.set_faults(i, Faults{});
    const Instant quiet = net_.now();
    const bool settled = net_.run_until(
        [this] {
          return net_.host(0).population().connections + net_.host(1).population().connections +
                     net_.host(0).population().half_open + net_.host(1).population().half_open ==
                 0;
        },
        300_s);
    ASSERT_EQ(problem_, "");
    ASSERT_TRUE(settled) << "after 300 s" << populations();
    time_to_settle_ = net_.now() - quiet;
    while (const auto handle = accept_any()) net_.host(1).close(*handle, net_.now());
    for (const Handle l : listeners_) net_.host(1).close(l, net_.now());
    ASSERT_TRUE(net_.run_until_idle()) << populations();
    EXPECT_EQ(problem_, "");
  }

  void nothing_is_left() {
    for (std::size_t i = 0; i < 2; ++i) {
      const stack::Population p = net_.host(i).population();
      EXPECT_EQ(p.connections, 0u);
      EXPECT_EQ(p.half_open, 0u);
      EXPECT_EQ(p.held, 0u);
      EXPECT_EQ(p.time_wait, 0u);
      EXPECT_EQ(p.listeners, 0u);
      EXPECT_EQ(p.armed_timers, 0u);
      EXPECT_TRUE(net_.host(i).next_deadline().is_never());
      EXPECT_FALSE(net_.host(i).has_output());
      EXPECT_FALSE(net_.host(i).poll_event());
    }
    EXPECT_EQ(net_.pool().bytes_in_use(), 0u);
  }

  // What one place counted must be what another did.
  void counters_add_up() {
    EXPECT_GE(books_[0].entered(State::kEstablished), total_);
    for (std::size_t i = 0; i < 2; ++i) {
      SCOPED_TRACE("host " + std::to_string(i));
      const trace::Counters& c = net_.host(i).counters();
      const Book& book = books_[i];
      // Who entered a state has left it.
      for (std::size_t s = 0; s < kStates; ++s) {
        const auto state = static_cast<State>(s);
        if (state == State::kClosed || state == State::kListen) continue;
        EXPECT_EQ(book.entered(state), book.left(state)) << trace::name(state);
      }
      EXPECT_EQ(c[Counter::kActiveOpens], i == 0 ? started_ : 0);
      EXPECT_EQ(c[Counter::kActiveOpens], book.entered(State::kSynSent));
      // Counted with the third segment, as Linux does.
      EXPECT_EQ(c[Counter::kPassiveOpens], book.changes(State::kSynReceived, State::kEstablished));
      EXPECT_EQ(c[Counter::kPassiveOpens], i == 1 ? accepted_ : 0);
      // TIME-WAIT: who came in ran out, was reopened or was reset.
      EXPECT_EQ(c[Counter::kTW], book.time_wait_ended_by(Reason::kTimeWaitExpired));
      EXPECT_EQ(c[Counter::kTWRecycled], book.time_wait_ended_by(Reason::kTimeWaitReopened));
      EXPECT_EQ(book.entered(State::kTimeWait), c[Counter::kTW] + c[Counter::kTWRecycled] +
                                                    c[Counter::kTCPTimeWaitOverflow] +
                                                    book.time_wait_ended_by(Reason::kTimeWaitReset) +
                                                    book.time_wait_ended_by(Reason::kAbortCalled));
      // The wire.
      const Wire& out = wire_[i];
      const Wire& in = wire_[1 - i];
      EXPECT_EQ(c[Counter::kOutSegs] + c[Counter::kRetransSegs], out.sent);
      EXPECT_EQ(c[Counter::kInSegs], in.sent - in.lost + in.duplicated);
      EXPECT_EQ(c[Counter::kInErrs], 0u);
    }
  }

  void everything_was_tried() {
    const Book& client = books_[0];
    const Book& server = books_[1];
    std::printf(
        "%llu connections, %llu accepted; %llu segments, %llu lost; %llu octets read, %llu ends of stream, "
        "%llu failures; %.0f s of virtual time, the last record of a connection gone after %.1f s\n",
        number(started_), number(accepted_), number(wire_[0].sent + wire_[1].sent),
        number(wire_[0].lost + wire_[1].lost), number(octets_), number(ends_), number(failures_),
        (net_.now() - begin_).as_seconds(), time_to_settle_.as_seconds());
    std::printf("  %llu pairs of ports reopened out of TIME-WAIT\n",
                number(net_.host(1).counters()[Counter::kTWRecycled]));
    std::printf("  into      client   server\n");
    for (std::size_t s = 0; s < kStates; ++s) {
      const auto state = static_cast<State>(s);
      std::printf("  %-12s %8llu %8llu\n", std::string(trace::name(state)).c_str(),
                  number(client.entered(state)), number(server.entered(state)));
    }
    for (const Book* b : {&client, &server}) {
      for (const State s : {State::kEstablished, State::kFinWait1, State::kFinWait2, State::kCloseWait,
                            State::kClosing, State::kLastAck, State::kTimeWait}) {
        EXPECT_GT(b->entered(s), total_ / 1000) << trace::name(s);
      }
    }
    EXPECT_GT(wire_[0].lost + wire_[1].lost, (wire_[0].sent + wire_[1].sent) / 25);
    EXPECT_GT(ends_, total_ / 10);
    EXPECT_GT(failures_, total_ / 100);
    EXPECT_GT(net_.host(1).counters()[Counter::kTWRecycled], total_ / 1000);
  }

 private:
  struct Wire {
    std::uint64_t sent = 0, lost = 0, duplicated = 0;
  };
  static constexpr std::size_t kAtATime = 4000;
  static constexpr Duration kTick = Duration::milliseconds(1);
  // An end that waits for the other does so no longer.
  static constexpr Duration kPatience = Duration::seconds(5);

  // Those that were closed in SYN-SENT do not count.
  bool enough() const { return books_[0].entered(State::kEstablished) >= total_; }
  static unsigned long long number(std::uint64_t n) { return n; }

  NetworkOptions options(std::uint64_t seed) {
    NetworkOptions o;
    o.seed = seed;
    o.settings.msl = 500_ms;
    o.settings.tcp_fin_timeout = 2_s;
    o.settings.somaxconn = 65'535;
    o.settings.tcp_max_syn_backlog = 65'535;
    o.settings.tcp_orphan_retries = 6;
    // So few that they come round while the other end is still in TIME-WAIT.
    o.settings.ip_local_port_first = 50'000;
    o.settings.ip_local_port_last = 50'899;
    const Faults bad{
        .loss = 50'000, .duplicate = 10'000, .reorder = 20'000, .reorder_by = 30_ms, .delay = 5_ms};
    o.faults = {bad, bad};
    o.sinks = {&books_[0], &books_[1]};
    begin_ = o.start;
    return o;
  }

  std::string populations() {
    std::string s;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto p = net_.host(i).population();
      s += "\n  host " + std::to_string(i) + ": " + std::to_string(p.connections) + " connections, " +
           std::to_string(p.half_open) + " half-open, " + std::to_string(p.time_wait) + " TIME-WAIT, " +
           std::to_string(p.armed_timers) + " timers, " +
           std::to_string(net_.host(i).records_without_timer()) + " without";
    }
    return s + "\n  " + std::to_string(programs_alive_) + " programs, " + std::to_string(started_) +
           " started";
  }

  Program& program(std::size_t host, Handle h) {
    auto& all = programs_[host];
    if (all.size() <= h.index()) all.resize(h.index() + 1000);
    return all[h.index()];
  }
  // Of a handle that may be stale.
  Program* find(std::size_t host, Handle h) {
    Program& p = program(host, h);
    return p.in_use && p.handle == h ? &p : nullptr;
  }

  void start_some() {
    for (std::size_t n = 0; n < 40 && programs_alive_ < 2 * kAtATime; ++n) {
      const auto family = random_.below(2) == 0 ? wire::Family::kIpv4 : wire::Family::kIpv6;
      const auto port = static_cast<std::uint16_t>(kFirstPort + random_.below(kPorts));
      const auto handle = net_.host(0).connect({net_.address(1, family), port}, {}, net_.now());
      if (!handle && handle.error() == Error::kNoPorts) break;
      if (!handle) {
        problem_ = "connect: " + std::string(tcp::message(handle.error()));
        return;
      }
      ++started_;
      begin(0, *handle);
    }
    if (++ticks_ % 256 == 0) {
      for (std::size_t i = 0; i < 2; ++i) {
        if (net_.host(i).records_without_timer() != 0) problem_ = "a record has no timer" + populations();
      }
    }
    if (!enough()) net_.call_at(net_.now() + kTick, [this] { start_some(); });
  }

  void begin(std::size_t host, Handle handle) {
    Program& p = program(host, handle);
    if (p.in_use) problem_ = "the handle of a living connection was given out again";
    p = Program{};
    p.handle = handle;
    p.in_use = true;
    p.way = static_cast<Way>(random_.below(std::to_underlying(Way::kCount)));
    if (p.way == Way::kCloseAtOnce && random_.below(4) != 0) p.way = Way::kClose;
    p.to_send = random_.below(3) == 0 ? 0 : 4 + random_.below(random_.below(8) == 0 ? 6000 : 300);
    ++programs_alive_;
    if (p.way == Way::kCloseAtOnce) {
      if (host == 0 && random_.below(2) == 0) return finish(host, p);  // before the SYN has left
      p.time_has_come = host == 1;
    }
    if (p.way == Way::kShutReceive && host == 1) shut_receive(host, p);
    // Ends that agree on an instant close at once.
    const Duration common = 100_ms;
    const Instant soon = net_.now() + Duration::milliseconds(10 + random_.below(200));
    const Instant at =
        random_.below(4) == 0 ? Instant::from_ns((soon.ns() / common.ns() + 1) * common.ns()) : soon;
    net_.call_at(at, [this, host, handle] { wake(host, handle); });
    act(host, p);
  }

  void wake(std::size_t host, Handle handle) {
    Program* const p = find(host, handle);
    if (p == nullptr) return;
    p->time_has_come = true;
    act(host, *p);
    if (!p->in_use || p->handle != handle) return;
    net_.call_at(net_.now() + kPatience, [this, host, handle] {
      Program* const late = find(host, handle);
      if (late == nullptr) return;
      late->impatient = true;
      act(host, *late);
    });
  }

  std::optional<Handle> accept_any() {
    for (const Handle l : listeners_) {
      if (const auto handle = net_.host(1).accept(l, net_.now())) return *handle;
    }
    return std::nullopt;
  }

  void step() {
    for (std::size_t host = 0; host < 2; ++host) {
      while (const auto event = net_.host(host).poll_event()) {
        if (event->handle.kind() == stack::HandleKind::kListener) {
          while (const auto handle = net_.host(1).accept(event->handle, net_.now())) {
            ++accepted_;
            begin(1, *handle);
          }
        } else if (Program* const p = find(host, event->handle)) {
          act(host, *p);
        }
      }
    }
  }

  void shut_receive(std::size_t host, Program& p) {
    p.receive_shut = net_.host(host).shutdown(p.handle, Shutdown::kReceive, net_.now()).has_value();
  }

  void act(std::size_t host, Program& p) {
    auto& stack = net_.host(host);
    const auto state = stack.status(p.handle);
    if (!state) {
      problem_ = "the handle of a program is unknown";
      return;
    }
    bool end = false;
    if (!read(host, p, end)) return;
    if (state->state != State::kSynSent && !write(host, p)) return;
    if (p.impatient) return finish(host, p);
    switch (p.way) {
      case Way::kClose:
      case Way::kCloseUnread:
      case Way::kAbort:
      case Way::kCloseAtOnce:
      case Way::kShutReceive:
        if (p.time_has_come) finish(host, p);
        return;
      case Way::kShutdown:
        if (p.time_has_come && !p.shut && state->state != State::kSynSent) {
          p.shut = true;
          if (!stack.shutdown(p.handle, Shutdown::kSend, net_.now())) problem_ = "shutdown failed";
        }
        if (end && p.shut) finish(host, p);
        return;
      case Way::kWaitForEnd:
        if (end) finish(host, p);
        return;
      case Way::kCount:
        return;
    }
  }

  // False: there is no program any more.
  bool read(std::size_t host, Program& p, bool& end) {
    if (p.way == Way::kCloseUnread && !p.impatient) return true;
    std::array<std::byte, 2048> buffer;
    const std::array<MutableBytes, 1> parts = {buffer};
    for (;;) {
      const auto n = net_.host(host).receive(p.handle, parts, net_.now());
      if (!n) {
        if (n.error() == Error::kWouldBlock) return true;
        ++failures_;
        finish(host, p);
        return false;
      }
      if (*n == 0) {
        end = true;
        ++ends_;
        if (!p.receive_shut && p.received != p.announced) {
          problem_ =
              "the end came after " + std::to_string(p.received) + " of " + std::to_string(p.announced);
        }
        return true;
      }
      check(p, Bytes{buffer}.first(*n));
      octets_ += *n;
    }
  }

  void check(Program& p, Bytes data) {
    for (const std::byte b : data) {
      if (p.received < 4) {
        p.announced |= std::to_integer<std::uint32_t>(b) << (8 * p.received);
      } else if (b != pattern_[p.received % pattern_.size()]) {
        problem_ = "octet " + std::to_string(p.received) + " arrived wrong";
      }
      ++p.received;
    }
    if (p.received >= 4 && p.received > p.announced) problem_ = "more arrived than was sent";
  }

  bool write(std::size_t host, Program& p) {
    while (p.sent < p.to_send && !p.shut) {
      std::array<std::byte, 2048> buffer;
      const std::uint32_t n = std::min<std::uint32_t>(p.to_send - p.sent, buffer.size());
      for (std::uint32_t i = 0; i < n; ++i) {
        const std::uint32_t at = p.sent + i;
        buffer[i] = at < 4 ? static_cast<std::byte>(p.to_send >> (8 * at)) : pattern_[at % pattern_.size()];
      }
      const std::array<Bytes, 1> parts = {Bytes{buffer}.first(n)};
      const auto taken = net_.host(host).send(p.handle, parts, net_.now());
      if (!taken) {
        ++failures_;
        finish(host, p);
        return false;
      }
      p.sent += static_cast<std::uint32_t>(*taken);
    }
    return true;
  }

  void finish(std::size_t host, Program& p) {
    if (p.way == Way::kAbort) {
      net_.host(host).abort(p.handle, net_.now());
    } else {
      net_.host(host).close(p.handle, net_.now());
    }
    if (net_.host(host).status(p.handle)) problem_ = "a handle outlived close";
    p.in_use = false;
    --programs_alive_;
  }

  SeededEntropy random_;
  std::uint64_t total_;
  Book books_[2];
  Instant begin_;
  Network net_;
  std::vector<Handle> listeners_;
  std::vector<Program> programs_[2];  // by the index of their handle
  std::array<std::byte, 251> pattern_{};
  Wire wire_[2];
  std::uint64_t started_ = 0, accepted_ = 0, ends_ = 0, failures_ = 0, octets_ = 0, ticks_ = 0;
  std::size_t programs_alive_ = 0;
  Duration time_to_settle_;
  std::string problem_;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Churn, VeryManyConnectionsLeaveNothing) {
  const std::uint64_t seed = from_environment("SYNFIN_SEED", 1);
  SCOPED_TRACE("replay with SYNFIN_SEED=" + std::to_string(seed));
  Churn churn(seed, from_environment("SYNFIN_CHURN", kMany));
  churn.run();
  if (testing::Test::HasFatalFailure()) return;
  churn.nothing_is_left();
  churn.counters_add_up();
  churn.everything_was_tried();
}

}  // namespace
}  // namespace synfin::protocol_test
