// SPDX-License-Identifier: Apache-2.0
//
// Packet memory of the whole stack: who gives way in pressure, and who is told when there is room again.
#include "synfin/stack/impl.h"

namespace synfin::stack {

using tcp::MemoryLevel;

namespace {

// Looking at every connection is dear, and a peer may bring the pressure about: not more often than this. In
// between every connection keeps to its share by itself (`Connection::keep_beyond`).
constexpr Duration kRelieveApart = Duration::milliseconds(100);
// Links give blocks back without a word.
constexpr Duration kLookAgain = Duration::milliseconds(10);

}  // namespace

void Stack::Impl::watch_memory(tcp::Context& ctx) {
  const MemoryLevel level = ctx.memory_level();
  if (level > relieved_at) {
    if (relieved_last == Instant{} || ctx.now - relieved_last >= kRelieveApart) {
      relieved_at = level;
      relieved_last = ctx.now;
      relieve(ctx);
    }
  } else {
    relieved_at = level;
  }
  if (starved.empty()) return;
  if (ctx.memory_room() == 0) {
    if (look_for_memory > ctx.now) return;
    look_for_memory = ctx.now + kLookAgain;
    std::erase_if(starved, [&](Handle h) {
      const ConnectionRecord* record = connections.find(h.index(), h.generation());
      return record == nullptr || !record->owned;
    });
    return;
  }
  look_for_memory = Instant::never();
  // Those that find none again wait behind the others.
  for (std::size_t n = starved.size(); n > 0; --n) {
    const Handle handle = starved.front();
    starved.pop_front();
    ConnectionRecord* record = connections.find(handle.index(), handle.generation());
    if (record == nullptr || !record->starved) continue;
    record->starved = false;
    if (!record->owned) continue;
    record->events |= kWritable;
    queue_event(handle, record->event_queued);
  }
}

// Text beyond holes first; then what is copied together, which takes a block before it
// gives any back. A different connection begins each time.
void Stack::Impl::relieve(tcp::Context& ctx) {
  const auto each = [&](auto give_way) {
    const auto look = [&](bool upper) {
      connections.for_each([&](std::uint32_t index, ConnectionRecord& record) {
        if ((index >= relieve_from) == upper && ctx.memory_level() != MemoryLevel::kPlenty)
          give_way(index, record.tcp);
      });
    };
    look(true);
    look(false);
  };
  std::uint32_t last = relieve_from;
  each([&](std::uint32_t index, tcp::Connection& c) {
    if (c.prune(ctx)) last = index;
  });
  each([&](std::uint32_t, tcp::Connection& c) { c.collapse(ctx); });
  relieve_from = last + 1;
}

void Stack::Impl::wait_for_memory(std::uint32_t index, Instant now) {
  ConnectionRecord& record = connections[index];
  if (record.starved) return;
  record.starved = true;
  starved.push_back(Handle{HandleKind::kConnection, index, connections.generation(index)});
  if (look_for_memory.is_never()) look_for_memory = now + kLookAgain;
}

}  // namespace synfin::stack
