// SPDX-License-Identifier: Apache-2.0
//
// What views remember about connections: which one an event belongs to, where its sequence numbers began, and
// nothing for ever. A view hangs what it needs besides onto a type derived from `Flow`.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "synfin/trace/event.h"

namespace synfin::view {

/// Whose octets: those that this stack sends, or those that the peer sends.
enum class Side : std::uint8_t {
  kLocal,
  kRemote
};

constexpr bool is_segment(trace::EventKind k) {
  return k == trace::EventKind::kSegmentReceived || k == trace::EventKind::kSegmentSent;
}
/// Who sent the segment of a segment event.
constexpr Side sender(trace::EventKind k) {
  return k == trace::EventKind::kSegmentSent ? Side::kLocal : Side::kRemote;
}

struct Flow {
  /// 1 for the first connection seen, then counted up.
  std::uint32_t number = 0;
  wire::FourTuple tuple;
  /// The sequence number that counts as 0. A connection that was met midway has the octet before the first
  /// seen one.
  std::optional<wire::SeqNum> local_isn, remote_isn;
  /// This stack's state after the last event.
  trace::State local = trace::State::kClosed;
  /// Has been in a state other than CLOSED and LISTEN.
  bool moved = false;
  /// Has become CLOSED.
  bool ended = false;

  /// Learns the initial numbers from a segment event.
  void learn(const trace::Event& e);
  /// Relative to the initial number of `side`; raw where that is unknown.
  std::uint32_t relative(Side side, wire::SeqNum seq) const;
};

/// Whether `e` is the beginning of a new connection on the ports of `old`.
bool starts_anew(const Flow& old, const trace::Event& e);

struct TupleHash {
  std::size_t operator()(const wire::FourTuple& t) const;
};

/// Connections by tuple. At most `capacity` open ones are kept, the least recently heard one being forgotten
/// first, and the last `kEndedKept` ended ones, as segments may follow the end.
template <std::derived_from<Flow> T>
class FlowTable {
 public:
  static constexpr std::size_t kEndedKept = 64;
  explicit FlowTable(std::size_t capacity = 4096) : capacity_(capacity == 0 ? 1 : capacity) {}

  struct Found {
    T& flow;
    bool is_new;
  };
  /// The connection that `e` belongs to, brought up to date with it. The reference holds until the next call.
  Found look_up(const trace::Event& e);
  /// Connections that have not ended.
  std::size_t open_count() const { return open_.size(); }
  std::size_t size() const { return index_.size(); }

  template <class F>
  void for_each(F&& f) {
    for (T& flow : open_) f(flow);
    for (T& flow : ended_) f(flow);
  }

 private:
  using Place = typename std::list<T>::iterator;
  Place place_of(const trace::Event& e, bool& is_new);
  void forget_back(std::list<T>& list);

  std::size_t capacity_;
  std::uint32_t last_number_ = 0;
  std::list<T> open_;   // most recently heard first
  std::list<T> ended_;  // most recently ended first
  std::unordered_map<wire::FourTuple, Place, TupleHash> index_;
};

inline void Flow::learn(const trace::Event& e) {
  if (!is_segment(e.kind) || e.header == nullptr) return;
  const bool ours = sender(e.kind) == Side::kLocal;
  std::optional<wire::SeqNum>& own = ours ? local_isn : remote_isn;
  std::optional<wire::SeqNum>& other = ours ? remote_isn : local_isn;
  const wire::Flags flags = e.header->flags;
  if (flags.syn()) {
    own = e.header->seq;
  } else if (!own && !(flags.rst() && !flags.ack() && e.header->seq.raw() == 0)) {
    own = e.header->seq - 1;
  }
  if (flags.ack() && !other) other = e.header->ack - 1;
}

inline std::uint32_t Flow::relative(Side side, wire::SeqNum seq) const {
  const std::optional<wire::SeqNum>& isn = side == Side::kLocal ? local_isn : remote_isn;
  return isn ? seq.raw() - isn->raw() : seq.raw();
}

inline bool starts_anew(const Flow& old, const trace::Event& e) {
  using trace::State;
  if (e.kind == trace::EventKind::kStateChanged) {
    const bool opening = e.to == State::kSynReceived || e.to == State::kSynSent || e.from == State::kListen;
    const bool from_nothing =
        e.from == State::kClosed || e.from == State::kListen || e.reason == trace::Reason::kTimeWaitReopened;
    return old.moved && opening && from_nothing;
  }
  if (is_segment(e.kind) && e.header != nullptr && e.header->flags.syn() && !e.header->flags.ack()) {
    const std::optional<wire::SeqNum>& isn = sender(e.kind) == Side::kLocal ? old.local_isn : old.remote_isn;
    const bool other_number = isn && *isn != e.header->seq;
    return other_number && (old.ended || !old.moved);
  }
  return e.kind == trace::EventKind::kCall && e.reason == trace::Reason::kActiveOpen && old.ended;
}

inline std::size_t TupleHash::operator()(const wire::FourTuple& t) const {
  // The tuple has no padding, so its bytes are its value.
  const auto* bytes = reinterpret_cast<const char*>(&t);
  return std::hash<std::string_view>{}(std::string_view{bytes, sizeof t});
}

template <std::derived_from<Flow> T>
void FlowTable<T>::forget_back(std::list<T>& list) {
  index_.erase(list.back().tuple);
  list.pop_back();
}

template <std::derived_from<Flow> T>
auto FlowTable<T>::place_of(const trace::Event& e, bool& is_new) -> Place {
  is_new = false;
  if (const auto known = index_.find(e.tuple); known != index_.end()) {
    const Place place = known->second;
    std::list<T>& home = place->ended ? ended_ : open_;
    if (!starts_anew(*place, e)) {
      home.splice(home.begin(), home, place);
      return place;
    }
    index_.erase(known);
    home.erase(place);
  }
  is_new = true;
  open_.emplace_front();
  open_.front().number = ++last_number_;
  open_.front().tuple = e.tuple;
  index_.emplace(e.tuple, open_.begin());
  if (open_.size() > capacity_) forget_back(open_);
  return open_.begin();
}

template <std::derived_from<Flow> T>
auto FlowTable<T>::look_up(const trace::Event& e) -> Found {
  bool is_new = false;
  const Place place = place_of(e, is_new);
  T& flow = *place;
  flow.learn(e);
  if (e.kind == trace::EventKind::kStateChanged || is_segment(e.kind)) {
    flow.local = e.to;
    if (e.to != trace::State::kClosed && e.to != trace::State::kListen) flow.moved = true;
    if (e.to == trace::State::kClosed && flow.moved && !flow.ended) {
      flow.ended = true;
      ended_.splice(ended_.begin(), open_, place);
      if (ended_.size() > kEndedKept) forget_back(ended_);
    }
  }
  return {flow, is_new};
}

}  // namespace synfin::view
