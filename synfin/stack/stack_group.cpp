// SPDX-License-Identifier: Apache-2.0
//
// Packets that came together: those with little to read are read one after the other, their 4-tuples hashed
// side by side, and their owners brought into the cache ahead of their turn. Nothing is decided here.
#include <algorithm>
#include <array>

#include "synfin/stack/impl.h"
#include "synfin/tcp/tuple_lanes.h"

namespace synfin::stack {
namespace {

// What is larger brings text, which others may continue: they are compared with it and need no hash.
constexpr std::size_t kLittle = 256;

}  // namespace

void Stack::Impl::receive_all(std::span<wire::Frame> frames, tcp::Context& ctx) {
  while (!frames.empty()) {
    const bool grouped = config.short_paths && frames.size() >= tcp::TupleLanes::kWorthwhile;
    const std::size_t n = grouped ? receive_group(frames, ctx) : receive(frames, ctx);
    for (wire::Frame& frame : frames.first(n)) frame.clear();
    frames = frames.subspan(n);
  }
}

// Returns how many were taken, as `receive` does.
std::size_t Stack::Impl::receive_group(std::span<wire::Frame> frames, tcp::Context& ctx) {
  std::array<wire::TcpPacket, kHashLanes> arrived;
  tcp::TupleLanes lanes{wire::Family::kIpv4};
  std::size_t count = 0;
  while (count < std::min(frames.size(), kHashLanes) && frames[count].size() <= kLittle &&
         wire::read_usual_packet(frames[count], arrived[count])) {
    lanes.put(count, tuple_of(arrived[count]));
    ++count;
  }
  if (count == 0) return receive(frames, ctx);

  std::array<tcp::TupleHash, kHashLanes> hashes;
  if (count >= tcp::TupleLanes::kWorthwhile) {
    HashLanes words;
    lanes.hash(tuple_key, words);
    std::ranges::transform(words, hashes.begin(), tcp::TupleHash::of);
  } else {
    for (std::size_t i = 0; i < count; ++i) hashes[i] = tcp::tuple_hash(tuple_key, tuple_of(arrived[i]));
  }
  if (connections.size() > kManyRecords) bring_owners(std::span{hashes}.first(count));
  std::size_t taken = 0;
  while (taken < count) {
    const std::size_t n = receive_segment(arrived[taken], hashes[taken], frames.subspan(taken), ctx);
    for (wire::Frame& frame : frames.subspan(taken, n)) frame.clear();
    taken += n;
  }
  return taken;
}

void Stack::Impl::bring_owners(std::span<const tcp::TupleHash> hashes) const {
  for (const tcp::TupleHash& hash : hashes) table.prefetch(hash.place);
  for (const tcp::TupleHash& hash : hashes) {
    const RecordRef owner = table.find(hash.place, [](RecordRef) { return true; });
    switch (owner.kind()) {
      case RecordKind::kConnection:
        connections.prefetch(owner.index());
        break;
      case RecordKind::kHalfOpen:
        half_opens.prefetch(owner.index());
        break;
      case RecordKind::kTimeWait:
        time_waits.prefetch(owner.index());
        break;
      case RecordKind::kHeldSyn:
      case RecordKind::kNone:
        break;
    }
  }
}

}  // namespace synfin::stack
