// SPDX-License-Identifier: Apache-2.0
//
// Several stacks, the wire between them and one virtual clock, in one object and on one thread. Everything
// random comes from one seed, so the same seed gives the same packets at the same times, octet for octet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/base/time.h"
#include "synfin/sim/virtual_clock.h"
#include "synfin/stack/stack.h"
#include "synfin/trace/event.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/packet.h"

namespace synfin::sim {

/// What a wire does to packets, each with its own probability in parts per million. The order: loss,
/// corruption (one bit of the IP payload, so that the packet still finds its way), duplication, then delay.
struct Faults {
  std::uint32_t loss = 0;
  std::uint32_t corrupt = 0;
  std::uint32_t duplicate = 0;
  /// Held back by up to `reorder_by` more than others, which then overtake it.
  std::uint32_t reorder = 0;
  Duration reorder_by = Duration::milliseconds(30);
  /// Constant one-way delay.
  Duration delay = Duration::milliseconds(1);
  /// Up to so much more, evenly distributed; packets may overtake each other.
  Duration jitter;
  /// A bottleneck: packets leave one after the other at so many octets a second; 0: at once.
  std::uint64_t rate = 0;
  /// Octets that wait for the rate at most, less than 2^34; a packet that finds more of them is lost.
  std::uint64_t queue = 1 << 20;
};

struct NetworkOptions {
  std::uint64_t seed = 1;
  /// Host i is 10.77.0.(i+1)/24 and fd77::(i+1)/64.
  std::size_t hosts = 2;
  std::uint32_t mtu = 1500;
  tcp::Settings settings;
  /// `stack::Config::short_paths` of all hosts.
  bool short_paths = true;
  /// On the way out of each host; hosts beyond the list send without faults.
  std::vector<Faults> faults;
  /// When the clock starts.
  Instant start = Instant::from_ns(1'000'000'000);
  /// A sink for each host; shorter is fine, null is fine.
  std::vector<trace::Sink*> sinks;
};

/// A TCP packet as it left a host.
struct Sighting {
  enum class Fate : std::uint8_t {
    kDelivered,
    kLost,
    kCorrupted,
    kDuplicated
  };
  std::size_t from = 0;
  Instant at;
  Fate fate = Fate::kDelivered;
  const wire::TcpPacket* packet = nullptr;  // null: not TCP, or not readable
  const wire::Frame* frame = nullptr;
};

/// Two or more hosts on one wire.
///
/// Programs call the stacks directly (`host(i)`, with `now()`); the network moves packets and time. After
/// calls, and whenever packets have been delivered or timers have run, `on_step` is called (if set): there
/// programs poll events and make further calls.
class Network {
 public:
  static constexpr std::size_t kA = 0, kB = 1;
  using Predicate = std::function<bool(const wire::TcpPacket&)>;

  explicit Network(NetworkOptions options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  stack::Stack& host(std::size_t i) { return *hosts_[i]->stack; }
  std::size_t size() const { return hosts_.size(); }
  wire::IpAddress address(std::size_t i, wire::Family family) const;
  Instant now() const { return clock_.now(); }
  wire::BlockPool& pool() { return pool_; }
  Entropy& entropy() { return entropy_; }

  /// Changes what the wire does to what a host sends from now on.
  void set_faults(std::size_t from, const Faults& faults) { faults_[from] = faults; }
  /// Loses the next `count` packets from a host for which the predicate holds.
  void drop_next(std::size_t from, Predicate predicate, std::size_t count = 1);
  /// Whether all that was asked of `drop_next` has happened.
  bool all_dropped() const { return drops_.empty(); }
  /// Sees every packet as it is sent.
  void set_tap(std::function<void(const Sighting&)> tap) { tap_ = std::move(tap); }
  /// Changes packets on the way, as middleboxes do; behind the tap, and checksums are its business.
  void set_meddler(std::function<void(std::size_t from, MutableBytes packet)> f) { meddler_ = std::move(f); }
  void set_on_step(std::function<void()> f) { on_step_ = std::move(f); }
  /// Calls `f` at that time, or now if it has passed: for programs that wait.
  void call_at(Instant t, std::function<void()> f);
  /// Gives a host a packet that nobody sent.
  void inject(std::size_t to, wire::Frame frame);

  /// Runs until the predicate holds (true) or the limit has passed (false). Also stops, as false, when
  /// nothing is left that could change anything.
  bool run_until(const std::function<bool()>& predicate, Duration limit);
  void run_for(Duration d);
  /// Until no packet is on the way and no timer runs. False: still busy after `max_steps` steps.
  bool run_until_idle(std::size_t max_steps = 1'000'000);

  /// Whether a run was cut short because something happened over and over without time passing: a loop in a
  /// stack.
  bool livelocked() const { return livelocked_; }
  std::uint64_t packets_sent() const { return packets_sent_; }

 private:
  struct Host {
    std::unique_ptr<SeededEntropy> entropy;
    std::unique_ptr<stack::Stack> stack;
    std::vector<wire::Frame> arrived;  // at this instant
  };
  struct Flight {
    Instant due;
    std::uint64_t order = 0;  // breaks ties: first sent, first delivered
    std::size_t to = 0;
    wire::Frame frame;
    std::function<void()> call;  // instead of a frame
    friend bool operator>(const Flight& a, const Flight& b) {
      return std::tie(a.due, a.order) > std::tie(b.due, b.order);
    }
  };
  struct Drop {
    std::size_t from;
    Predicate predicate;
    std::size_t left;
  };

  bool chance(std::uint32_t ppm) { return ppm != 0 && entropy_.below(1'000'000) < ppm; }
  Instant next_time() const;
  void settle();
  /// The next thing that is due; false: nothing is due before `end`, or the stacks are stuck.
  bool step(Instant end);
  bool collect_output();
  void depart(std::size_t from, wire::Frame frame);
  void enqueue(Flight flight);
  void launch(std::size_t from, std::size_t to, Duration queued, wire::Frame frame);
  /// How long until the packet has passed the bottleneck; nullopt: the queue is full.
  std::optional<Duration> pass_bottleneck(std::size_t from, std::size_t octets);
  bool wanted_lost(std::size_t from, const wire::TcpPacket* packet);
  void arrive_due();
  wire::Frame flattened(const wire::Frame& frame, bool damaged);
  wire::Frame meddled(std::size_t from, const wire::Frame& frame);

  VirtualClock clock_;
  SeededEntropy entropy_;
  wire::BlockPool pool_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Faults> faults_;
  std::vector<Instant> busy_until_;  // the bottleneck of each host
  std::vector<Flight> on_the_way_;   // a heap, soonest first
  std::vector<Drop> drops_;
  std::vector<wire::Frame> batch_;  // for `transmit`; kept, as making one takes longer than using it
  std::function<void(const Sighting&)> tap_;
  std::function<void(std::size_t, MutableBytes)> meddler_;
  std::function<void()> on_step_;
  std::uint64_t order_ = 0;
  std::uint64_t packets_sent_ = 0;
  std::size_t steps_without_time_ = 0;
  bool livelocked_ = false;
};

}  // namespace synfin::sim
