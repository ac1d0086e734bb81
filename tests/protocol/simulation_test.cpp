// SPDX-License-Identifier: Apache-2.0
//
// Whole streams over a bad wire, seeded. Programs act on socket events only, so a missing event stalls them
// and fails the test. A failing seed is printed; SYNFIN_SEED=n replays it alone, with every segment,
// SYNFIN_SEEDS=n runs seeds 1 to n.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "number_watch.h"
#include "synfin/sim/network.h"
#include "synfin/tcp/error.h"

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

enum class Plan : std::uint8_t {
  kShutdownAfterSending,  // FIN behind its data, then reads to the end, then closes
  kWaitForEnd,            // sends, reads to the end, closes
  kSendAfterEnd,          // reads to the end, then sends, then closes
  kCloseWhenDone,         // sends and reads what it knows is due, then closes without having seen the end
  kAbortHalfway,          // resets once it has read, or written, half
};

struct Agreement {
  Plan client, server;
};
constexpr Agreement kAgreements[] = {
    {Plan::kShutdownAfterSending, Plan::kWaitForEnd},
    {Plan::kWaitForEnd, Plan::kShutdownAfterSending},
    {Plan::kShutdownAfterSending, Plan::kShutdownAfterSending},
    {Plan::kShutdownAfterSending, Plan::kSendAfterEnd},
    {Plan::kSendAfterEnd, Plan::kShutdownAfterSending},
    {Plan::kCloseWhenDone, Plan::kWaitForEnd},
    {Plan::kWaitForEnd, Plan::kCloseWhenDone},
    {Plan::kCloseWhenDone, Plan::kCloseWhenDone},
    {Plan::kAbortHalfway, Plan::kWaitForEnd},
    {Plan::kWaitForEnd, Plan::kAbortHalfway},
};

std::byte octet(std::uint64_t stream, std::uint64_t i) {
  return static_cast<std::byte>((i * 167 + (i >> 8) * 13 + stream * 101 + 5) & 0xff);
}

// How many connections are in each state, by what the stack tells.
class Census final : public trace::Sink {
 public:
  void on_event(const trace::Event& e) override {
    if (e.kind != trace::EventKind::kStateChanged) return;
    --in_[std::to_underlying(e.from)];
    ++in_[std::to_underlying(e.to)];
  }
  std::int64_t in(trace::State s) const { return in_[std::to_underlying(s)]; }
  // Neither LISTEN nor CLOSED.
  std::int64_t alive() const {
    std::int64_t n = 0;
    for (const std::int64_t of_state : in_) n += of_state;
    return n - in(trace::State::kClosed)-in(trace::State::kListen);
  }

 private:
  std::array<std::int64_t, 11> in_{};
};

// One end's program.
struct Program {
  std::size_t host = 0;
  Handle handle;
  Plan plan = Plan::kWaitForEnd;
  std::uint64_t out_stream = 0, in_stream = 0;
  std::uint64_t to_send = 0, to_receive = 0;
  std::uint64_t sent = 0, received = 0;
  bool connected = false, shut = false, end_seen = false, failed = false, done = false, aborted = false;
  bool resting = false;  // a slow reader waits
  Error error = Error::kWouldBlock;
};

class World {
 public:
  World(std::uint64_t seed, bool verbose) : random_(seed * 7919 + 1), verbose_(verbose), net_(options(seed)) {
    net_.set_on_step([this] { step(); });
    net_.set_tap([this](const Sighting& s) {
      if (verbose_) print(s);
      numbers_.see(s);
      ++tally_.packets;
      if (s.fate == Sighting::Fate::kLost) ++tally_.lost;
    });
  }

  struct Tally {
    std::uint64_t packets = 0, lost = 0, delivered = 0, ends = 0, aborts = 0;
  };
  Tally tally() const {
    Tally t = tally_;
    for (const auto& p : programs_) {
      t.delivered += p->received;
      t.ends += p->end_seen ? 1 : 0;
      t.aborts += p->aborted ? 1 : 0;
    }
    return t;
  }

  // Empty: all invariants held.
  std::string run() {
    const auto family = random_.below(2) == 0 ? wire::Family::kIpv4 : wire::Family::kIpv6;
    const wire::Endpoint to{net_.address(1, family), 80};
    const auto listener = net_.host(1).listen(to, {}, net_.now());
    if (!listener) return "listen failed";
    listener_ = *listener;
    const std::size_t count = 1 + random_.below(4);
    for (std::size_t i = 0; i < count; ++i) start(to, i);

    const auto all_done = [this] {
      return problem_.size() || std::ranges::all_of(programs_, [](const auto& p) { return p->done; });
    };
    const bool finished = net_.run_until(all_done, 3600_s);
    if (!problem_.empty()) return problem_;
    if (net_.livelocked()) return "a stack is stuck in a loop at one instant";
    if (!finished) return "not finished after an hour:" + stuck();

    // Quiet from here on: what is left must go by itself, in few packets and bounded time.
    net_.host(1).close(listener_, net_.now());
    for (std::size_t i = 0; i < 2; ++i) net_.set_faults(i, Faults{});
    const bool gone = net_.run_until(
        [this] { return net_.host(0).population().connections + net_.host(1).population().connections == 0; },
        600_s);
    if (!gone) return "connections left 600 s after the programs closed" + populations();
    net_.run_for(1_s);
    const std::uint64_t before = net_.packets_sent();
    const Instant quiet = net_.now();
    if (!net_.run_until_idle(100'000)) return "never idle" + populations();
    if (!problem_.empty()) return problem_;
    if (net_.packets_sent() - before > 4 * programs_.size()) return "packets after quiescence: an ACK war?";
    if (net_.now() - quiet > kMsl * 2 + 1_s) return "something outlived 2 MSL";
    for (std::size_t i = 0; i < 2; ++i) {
      const auto p = net_.host(i).population();
      if (p.connections + p.half_open + p.time_wait + p.listeners + p.armed_timers != 0)
        return "left over" + populations();
    }
    for (const Census& c : census_) {
      if (c.alive() != 0) return "a connection ended without saying so";
    }
    if (net_.pool().bytes_in_use() != 0)
      return "packet memory left: " + std::to_string(net_.pool().bytes_in_use());
    return {};
  }

 private:
  static constexpr Duration kMsl = Duration::seconds(10);

  Faults some_faults() {
    Faults f;
    const std::uint32_t badness = random_.below(4);  // 0: a clean wire
    f.loss = badness * random_.below(random_.below(4) == 0 ? 60'000 : 20'000);
    f.duplicate = badness * random_.below(20'000);
    f.reorder = badness * random_.below(40'000);
    f.corrupt = badness * random_.below(6'000);
    f.delay = Duration::microseconds(10 + random_.below(50'000));
    if (random_.below(2) == 0) f.jitter = Duration::microseconds(random_.below(10'000));
    return f;
  }

  NetworkOptions options(std::uint64_t seed) {
    NetworkOptions o;
    o.seed = seed;
    o.mtu = random_.below(2) == 0 ? 1500 : 1280 + random_.below(3000);
    o.settings.msl = kMsl;
    o.settings.tcp_orphan_retries = 15;
    o.settings.tcp_keepalive_time = 20_s;
    o.settings.tcp_keepalive_intvl = 5_s;
    o.settings.tcp_syn_retries = 10;
    o.settings.tcp_synack_retries = 10;
    o.settings.tcp_timestamps = random_.below(2) == 0;
    o.settings.tcp_sack = random_.below(2) == 0;
    o.settings.tcp_window_scaling = random_.below(2) == 0;
    o.settings.tcp_rmem = 2048u << random_.below(8);
    o.settings.tcp_wmem = 2048u << random_.below(8);
    o.start = Instant::from_ns(std::int64_t{random_.u32()} * 4000 + 1);
    o.faults = {some_faults(), some_faults()};
    o.sinks = {&census_[0], &census_[1]};
    return o;
  }

  void start(const wire::Endpoint& to, std::size_t i) {
    const Agreement a = kAgreements[random_.below(std::size(kAgreements))];
    const auto size = [this] { return std::uint64_t{random_.below(random_.below(2) == 0 ? 300 : 60'000)}; };
    auto client = std::make_unique<Program>();
    auto server = std::make_unique<Program>();
    client->host = 0;
    server->host = 1;
    client->plan = a.client;
    server->plan = a.server;
    client->out_stream = server->in_stream = 2 * i;
    server->out_stream = client->in_stream = 2 * i + 1;
    client->to_send = server->to_receive = size();
    server->to_send = client->to_receive = size();
    const auto port = static_cast<std::uint16_t>(10'000 + i);
    const wire::Endpoint from{net_.address(0, to.address.family()), port};
    const auto handle = net_.host(0).connect(to, {.local = from}, net_.now());
    if (!handle) {
      problem_ = "connect failed";
      return;
    }
    client->handle = *handle;
    keep_alive(*client);
    by_port_[port] = server.get();
    programs_.push_back(std::move(client));
    programs_.push_back(std::move(server));
  }

  // A reset that is lost leaves the other end waiting for ever, which is as it must be; so programs ask now
  // and then.
  void keep_alive(const Program& p) {
    if (!net_.host(p.host).set_options(p.handle, {.keepalive = true}, net_.now()))
      problem_ = "set_options failed";
  }

  Program* partner(const Program& p) {
    for (const auto& o : programs_) {
      if (o->in_stream == p.out_stream) return o.get();
    }
    return nullptr;
  }

  // What holds at every moment.
  void check_records() {
    if (!numbers_.broken().empty()) problem_ = numbers_.broken();
    for (std::size_t host = 0; host < 2; ++host) {
      const stack::Stack& stack = net_.host(host);
      const stack::Population p = stack.population();
      if (stack.records_without_timer() != 0) problem_ = "a record has no timer" + populations();
      if (census_[host].in(trace::State::kSynReceived) != static_cast<std::int64_t>(p.half_open))
        problem_ = "half-open records and connections in SYN-RECEIVED differ" + populations();
      if (census_[host].alive() > static_cast<std::int64_t>(p.connections + p.half_open + p.time_wait))
        problem_ = "more connections than records" + populations();
    }
  }

  void step() {
    check_records();
    for (std::size_t host = 0; host < 2; ++host) {
      while (const auto event = net_.host(host).poll_event()) on_event(host, *event);
    }
  }

  void on_event(std::size_t host, const stack::SocketEvent& event) {
    if (host == 1 && event.handle == listener_) {
      while (const auto handle = net_.host(1).accept(listener_, net_.now())) {
        const auto remote = net_.host(1).remote_endpoint(*handle);
        Program* const p = remote ? by_port_[remote->port] : nullptr;
        if (p == nullptr || p->connected || p->done) {
          // Its client has aborted meanwhile.
          if (p == nullptr) problem_ = "accepted from a port that nobody used";
          net_.host(1).abort(*handle, net_.now());
          continue;
        }
        p->handle = *handle;
        p->connected = true;
        keep_alive(*p);
        act(*p);
      }
      return;
    }
    for (const auto& p : programs_) {
      if (p->host != host || p->handle != event.handle || p->done) continue;
      if ((event.what & stack::kConnected) != 0) p->connected = true;
      if ((event.what & stack::kFailed) != 0) {
        p->failed = true;
        p->error = net_.host(host).failure(p->handle);
      }
      act(*p);
      return;
    }
  }

  void act(Program& p) {
    if (p.done || !problem_.empty()) return;
    read(p);
    if (p.failed) return fail(p);
    if (p.connected) write(p);
    if (p.done || p.failed) return;
    auto& stack = net_.host(p.host);
    const bool all_sent = p.sent == p.to_send;
    if (p.plan == Plan::kAbortHalfway && (p.sent >= p.to_send / 2) && p.received >= p.to_receive / 2 &&
        p.connected) {
      stack.abort(p.handle, net_.now());
      p.done = p.aborted = true;
      // The other end may never have been accepted: then there is no program there.
      Program* const other = partner(p);
      if (other != nullptr && !other->connected) other->done = true;
      return;
    }
    if (p.plan == Plan::kShutdownAfterSending && all_sent && p.connected && !p.shut) {
      p.shut = true;
      if (!stack.shutdown(p.handle, Shutdown::kSend, net_.now())) problem_ = "shutdown failed";
    }
    const bool may_close =
        p.plan == Plan::kCloseWhenDone ? p.received == p.to_receive && p.connected : p.end_seen;
    if (all_sent && may_close) {
      stack.close(p.handle, net_.now());
      p.done = true;
    }
  }

  void read(Program& p) {
    auto& stack = net_.host(p.host);
    while (!p.end_seen && !p.resting) {
      std::vector<std::byte> buffer(1 + random_.below(5000));
      const std::array<MutableBytes, 1> parts = {buffer};
      const auto n = stack.receive(p.handle, parts, net_.now());
      if (!n) {
        if (n.error() != Error::kWouldBlock && n.error() != Error::kNotConnected) {
          p.failed = true;
          p.error = n.error();
        }
        return;
      }
      if (*n == 0) {
        p.end_seen = true;
        if (p.received != p.to_receive)
          problem_ = "the end came after " + std::to_string(p.received) + " octets";
        return;
      }
      for (std::size_t i = 0; i < *n; ++i) {
        if (buffer[i] != octet(p.in_stream, p.received + i)) {
          problem_ = "octet " + std::to_string(p.received + i) + " arrived wrong";
          return;
        }
      }
      p.received += *n;
      if (p.received > p.to_receive) problem_ = "more arrived than was sent";
      if (random_.below(10) == 0) {  // a slow reader, so that windows close
        p.resting = true;
        net_.call_at(net_.now() + Duration::milliseconds(random_.below(2000)), [this, &p] {
          p.resting = false;
          act(p);
        });
      }
    }
  }

  void write(Program& p) {
    if (p.plan == Plan::kSendAfterEnd && !p.end_seen) return;
    while (p.sent < p.to_send) {
      const auto want = std::min<std::uint64_t>(p.to_send - p.sent, 1 + random_.below(8000));
      std::vector<std::byte> data(want);
      for (std::size_t i = 0; i < want; ++i) data[i] = octet(p.out_stream, p.sent + i);
      const std::array<Bytes, 1> parts = {data};
      const auto n = net_.host(p.host).send(p.handle, parts, net_.now());
      if (!n) {
        if (n.error() == Error::kWouldBlock) return;
        p.failed = true;
        p.error = n.error();
        return fail(p);
      }
      if (*n == 0 || *n > want) problem_ = "send took " + std::to_string(*n);
      p.sent += *n;
      if (!problem_.empty()) return;
    }
  }

  // Only an abort of the other end is a reason to fail.
  void fail(Program& p) {
    Program* const other = partner(p);
    if (other == nullptr || !other->aborted) {
      problem_ =
          "host " + std::to_string(p.host) + " failed: " + std::string(tcp::message(p.error)) + stuck();
    }
    net_.host(p.host).close(p.handle, net_.now());
    p.done = true;
  }

  std::string stuck() {
    std::string s;
    for (const auto& p : programs_) {
      s += "\n  host " + std::to_string(p->host) + " stream " + std::to_string(p->out_stream) + " plan " +
           std::to_string(static_cast<int>(p->plan)) + " sent " + std::to_string(p->sent) + "/" +
           std::to_string(p->to_send) + " received " + std::to_string(p->received) + "/" +
           std::to_string(p->to_receive) + (p->connected ? "" : " not connected") + (p->shut ? " shut" : "") +
           (p->end_seen ? " end" : "") + (p->done ? " done" : "");
      if (const auto st = net_.host(p->host).status(p->handle))
        s += " " + std::string(trace::name(st->state));
    }
    return s;
  }
  std::string populations() {
    std::string s;
    for (std::size_t i = 0; i < 2; ++i) {
      const auto p = net_.host(i).population();
      s += "\n  host " + std::to_string(i) + ": " + std::to_string(p.connections) + " connections, " +
           std::to_string(p.half_open) + " half-open, " + std::to_string(p.time_wait) + " TIME-WAIT, " +
           std::to_string(p.armed_timers) + " timers";
    }
    return s;
  }

  void print(const Sighting& s) {
    if (s.packet == nullptr) return;
    const auto& t = s.packet->tcp;
    static constexpr const char* kFates[] = {"", " LOST", " CORRUPTED", " DUPLICATED"};
    std::printf("%12.6f %c %5u>%-5u %s%s%s%s seq %u len %zu ack %u win %u%s\n",
                (s.at - Instant::from_ns(0)).as_seconds(), s.from == 0 ? '>' : '<', t.source_port,
                t.destination_port, t.flags.syn() ? "S" : "", t.flags.fin() ? "F" : "",
                t.flags.rst() ? "R" : "", t.flags.ack() ? "." : "", t.seq.raw(), s.packet->payload_size,
                t.ack.raw(), t.window.field, kFates[static_cast<std::size_t>(s.fate)]);
  }

  SeededEntropy random_;
  bool verbose_;
  Census census_[2];
  NumberWatch numbers_;
  Network net_;
  Handle listener_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::map<std::uint16_t, Program*> by_port_;
  std::string problem_;
  Tally tally_;
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Simulation, StreamsArriveWholeAndNothingIsLeftBehind) {
  const std::uint64_t only = from_environment("SYNFIN_SEED", 0);
  const std::uint64_t first = only != 0 ? only : 1;
  const std::uint64_t last = only != 0 ? only : from_environment("SYNFIN_SEEDS", 300);
  std::size_t failures = 0;
  World::Tally all;
  for (std::uint64_t seed = first; seed <= last && failures < 10; ++seed) {
    World world(seed, only != 0);
    const std::string problem = world.run();
    const World::Tally t = world.tally();
    all.packets += t.packets;
    all.lost += t.lost;
    all.delivered += t.delivered;
    all.ends += t.ends;
    all.aborts += t.aborts;
    if (problem.empty()) continue;
    ++failures;
    ADD_FAILURE() << "seed " << seed << ": " << problem << "\n(replay with SYNFIN_SEED=" << seed << ")";
  }
  std::printf(
      "%llu seeds: %llu packets, %llu lost, %llu octets delivered, %llu ends of stream, %llu aborts\n",
      static_cast<unsigned long long>(last - first + 1), static_cast<unsigned long long>(all.packets),
      static_cast<unsigned long long>(all.lost), static_cast<unsigned long long>(all.delivered),
      static_cast<unsigned long long>(all.ends), static_cast<unsigned long long>(all.aborts));
  if (only == 0 && last >= 100) {  // a run that exercised nothing must not pass
    EXPECT_GT(all.lost, 100u);
    EXPECT_GT(all.delivered, 1'000'000u);
    EXPECT_GT(all.ends, 100u);
    EXPECT_GT(all.aborts, 10u);
  }
}

// Same seed, same octets at the same times.
TEST(Simulation, SameSeedGivesTheSameTrace) {
  const auto trace_of = [](std::uint64_t seed) {
    NetworkOptions o;
    o.seed = seed;
    const Faults bad{
        .loss = 50'000, .corrupt = 20'000, .duplicate = 50'000, .reorder = 50'000, .jitter = 5_ms};
    o.faults = {bad, bad};
    Network net(std::move(o));
    std::string trace;
    net.set_tap([&trace](const Sighting& s) {
      std::vector<std::byte> octets(s.frame->size());
      s.frame->copy_out(0, octets);
      trace +=
          std::to_string(s.at.ns()) + (s.from == 0 ? '>' : '<') + std::to_string(static_cast<int>(s.fate));
      for (const std::byte b : octets) trace += static_cast<char>(b);
    });
    const wire::Endpoint to{net.address(1, wire::Family::kIpv4), 80};
    const auto listener = net.host(1).listen(to, {}, net.now());
    const auto client = net.host(0).connect(to, {}, net.now());
    EXPECT_TRUE(listener && client);
    const std::vector<std::byte> data(30'000);
    const std::array<Bytes, 1> parts = {data};
    EXPECT_TRUE(net.host(0).send(*client, parts, net.now()));
    net.run_for(20_s);
    return trace;
  };
  const std::string first = trace_of(42);
  EXPECT_GT(first.size(), 20'000u);
  EXPECT_TRUE(first == trace_of(42));
  EXPECT_FALSE(first == trace_of(43));
}

}  // namespace
}  // namespace synfin::protocol_test
