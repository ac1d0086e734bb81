// SPDX-License-Identifier: Apache-2.0
//
// A bad network in front of any link: loss, duplication, corruption, congestion marks, rate, delay, jitter
// and reordering, in both directions, decided by a seed. The same seed, the same packets at the same
// instants: the same outcome.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "synfin/base/entropy.h"
#include "synfin/link/impair_spec.h"
#include "synfin/link/link.h"

namespace synfin::link {

/// Of one direction. A duplicate counts in `duplicated` alone among the causes, but has its own share of the
/// rest.
struct ImpairCounters {
  /// Packets offered, without duplicates.
  std::uint64_t packets = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
  /// Packets that a router's mark was set on.
  std::uint64_t marked = 0;
  /// Packets chosen to overtake or to be held back.
  std::uint64_t reordered = 0;
  /// Lost because the queue in front of `rate` was full.
  std::uint64_t dropped_queue_full = 0;
  /// Lost because `ImpairedPath::kMostDelayed` packets were under way.
  std::uint64_t dropped_too_many = 0;
  /// Lost because there was no memory for the corrupted copy.
  std::uint64_t dropped_no_memory = 0;

  friend bool operator==(const ImpairCounters&, const ImpairCounters&) = default;
};

/// One direction: packets go in with the time, and come out when they are due. In this order: loss,
/// duplication, marks, corruption, rate, delay. Which packets are lost does not depend on what else is set.
class ImpairedPath {
 public:
  /// Packets under way at once, whatever the delay: a bound on memory.
  static constexpr std::size_t kMostDelayed = 100'000;
  /// Reordering where no delay is set.
  static constexpr std::uint32_t kHeldPackets = 3;
  static constexpr Duration kHeldTime = Duration::milliseconds(1);

  /// `pool`: for corrupted copies; outlives the path.
  ImpairedPath(const Impairment& impairment, std::uint64_t seed, wire::BlockPool& pool);

  /// Takes the frame; it is left empty.
  void put(wire::Frame& frame, Instant now);
  /// The frames due at `now`, in order, into `batch`; returns how many.
  std::size_t take(std::span<wire::Frame> batch, Instant now);
  /// Back to the front, in the order they were taken: the link behind refused them.
  void give_back(std::span<wire::Frame> frames, Instant now);
  /// When the next frame is due.
  Instant next_due() const;

  const ImpairCounters& counters() const { return counters_; }

 private:
  struct Held {
    wire::Frame frame;
    Instant until;
    std::uint32_t overtakers;
  };
  // Everything that chance decides about one packet. Always drawn whole, so that one setting does not shift
  // another's luck.
  struct Draw {
    std::uint32_t loss, duplicate, corrupt, reorder;
    std::uint64_t bit, jitter;
  };
  Draw draw();
  void pass(wire::Frame frame, const Draw& luck, Instant now);
  bool mark(wire::Frame& frame);
  bool corrupt(wire::Frame& frame, std::uint64_t luck);
  // The octet at `offset`, to be changed: what other frames share is copied first. Null: no memory.
  std::byte* own_octet(wire::Frame& frame, std::size_t offset);
  // When the last bit of the packet has left; `never()`: no room in the queue.
  Instant transmitted(std::size_t octets, Instant now);
  Duration delay(const Draw& luck) const;
  void overtake_held(Instant at);
  void release_held(Instant now);
  void enqueue(wire::Frame frame, Instant due);

  Impairment impairment_;
  SeededEntropy entropy_;
  SeededEntropy marks_;  // apart, so that marks do not shift what is lost
  wire::BlockPool& pool_;
  // By due time; equal times in order of insertion.
  std::multimap<Instant, wire::Frame> under_way_;
  std::vector<Held> held_;
  // When each packet that waits for, or is in, transmission will have left; ascending.
  std::deque<Instant> departures_;
  ImpairCounters counters_;
};

/// Owns `inner`. Everything it does happens inside `receive` and `send`; `next_deadline` says when one of
/// them is due. Packets are impaired as on a wire, one by one, so `info().offload` is false, and the inner
/// link's is switched off. A full inner link holds sent packets back for 1 ms at a time, and this link
/// refuses meanwhile.
class ImpairedLink final : public Link {
 public:
  /// `pool`: for corrupted copies; outlives the link.
  ImpairedLink(std::unique_ptr<Link> inner, const ImpairSpec& spec, wire::BlockPool& pool);

  const LinkInfo& info() const override { return info_; }
  [[nodiscard]] std::expected<std::size_t, LinkError> receive(std::span<wire::Frame> batch,
                                                              Instant now) override;
  [[nodiscard]] std::expected<std::size_t, LinkError> send(std::span<wire::Frame> batch,
                                                           Instant now) override;
  Instant next_deadline() const override;
  int descriptor() const override { return inner_->descriptor(); }

  /// What reproduces this run, for people to read.
  std::uint64_t seed() const { return seed_; }
  const ImpairCounters& in_counters() const { return in_.counters(); }
  const ImpairCounters& out_counters() const { return out_.counters(); }
  Link& inner() { return *inner_; }

 private:
  ImpairedLink(std::unique_ptr<Link> inner, const ImpairSpec& spec, wire::BlockPool& pool, std::uint64_t seed,
               SeededEntropy seeds);
  std::expected<void, LinkError> push_out(Instant now);
  std::expected<void, LinkError> pull_in(Instant now);

  std::unique_ptr<Link> inner_;
  LinkInfo info_;
  std::uint64_t seed_;
  ImpairedPath in_;
  ImpairedPath out_;
  // Not before this is anything offered to the inner link, which was full.
  Instant blocked_until_;
  // The inner link may have more than one call could fetch.
  Instant unread_since_ = Instant::never();
  std::vector<wire::Frame> scratch_;
};

}  // namespace synfin::link
