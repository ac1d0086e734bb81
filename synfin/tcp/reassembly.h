// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "synfin/wire/frame.h"
#include "synfin/wire/seq_num.h"
#include "synfin/wire/tcp.h"

namespace synfin::tcp {

/// Text that arrived beyond a hole (RFC 9293 §3.10.7.4, SHLD-31), in pieces that do not overlap. Exists only
/// while there is a hole. Insertion is O(log n); octets and pieces are bounded, as a peer decides how small
/// the pieces are.
class Reassembly {
 public:
  static constexpr std::size_t kMaxPieces = 4096;

  /// `base`: the first missing octet (RCV.NXT) when the first piece comes.
  explicit Reassembly(wire::SeqNum base) : base_(base) {}

  /// Keeps what of `text` at `seq` is new. Where pieces overlap, the octets that came first stay. `seq` must
  /// not be before RCV.NXT and the text must lie in the receive window. Returns whether anything was kept.
  bool insert(wire::SeqNum seq, const wire::Slice& text);
  /// The first run of [seq, seq + size) that is here already, if any; counts as the newest for `sack_blocks`,
  /// so that the block around it comes first (RFC 2883 §4.2).
  std::optional<wire::SackBlock> touch_duplicate(wire::SeqNum seq, std::uint32_t size);
  /// A copy of `text` that shares its block with other small pieces, for text that is small against its own
  /// block; empty when there is no memory.
  wire::Slice crumb(Bytes text, wire::BlockPool& pool);

  /// The piece that begins at `next`, if there is one; removed.
  std::optional<wire::Slice> take(wire::SeqNum next);

  std::uint32_t octets() const { return octets_; }
  bool empty() const { return pieces_.empty(); }

  /// Runs of adjacent pieces as SACK blocks (RFC 2018 §4): the one with the newest octets first, then
  /// upwards. Returns how many.
  std::size_t sack_blocks(std::span<wire::SackBlock> out) const;

 private:
  // Distance from `base_`: an order that std::map may use, as the window is far smaller than 2^31.
  using Offset = std::uint64_t;
  Offset offset_of(wire::SeqNum s) const;
  wire::SackBlock run_around(std::map<Offset, wire::Slice>::const_iterator it) const;

  std::map<Offset, wire::Slice> pieces_;
  wire::Slice crumbs_;  // the block that small pieces are copied into
  wire::SeqNum base_;
  Offset base_offset_ = 0;
  Offset newest_ = 0;
  std::uint32_t octets_ = 0;
};

}  // namespace synfin::tcp
