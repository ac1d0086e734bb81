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
/// while there is a hole.
///
/// The peer decides how small the pieces are and in which order they come (attack D3), so both costs have
/// bounds. Memory: text that fills less than a quarter of its block is copied out of it, behind what it
/// follows or into a block for small pieces. No piece holds more than `BlockPool::kSmall` or eight times its
/// size, and there are no more than `most_pieces`: all in all at most eight octets for each that is kept, and
/// twice the receive buffer and 34 KiB. Time: O(log n) for each gap that a segment fills, for each piece that
/// is taken, and for the SACK blocks of an acknowledgement.
class Reassembly {
 public:
  /// `base`: the first missing octet (RCV.NXT) when the first piece comes. `buffer`: the receive buffer.
  Reassembly(wire::SeqNum base, std::uint32_t buffer) : base_(base), most_pieces_(most_pieces(buffer)) {}

  static constexpr std::uint32_t most_pieces(std::uint32_t buffer) {
    return 16 + buffer / (wire::BlockPool::kSmall / 2);
  }

  /// Keeps what of `text` at `seq` is new. Where pieces overlap, the octets that came first stay. `seq` must
  /// not be before RCV.NXT and the text must lie in the receive window. Returns whether anything was kept:
  /// not what is beyond the bounds or finds no memory.
  bool insert(wire::SeqNum seq, const wire::Slice& text, wire::BlockPool& pool);
  /// The first run of [seq, seq + size) that is here already, if any; counts as the newest for `sack_blocks`,
  /// so that the block around it comes first (RFC 2883 §4.2).
  std::optional<wire::SackBlock> touch_duplicate(wire::SeqNum seq, std::uint32_t size);

  /// The piece that begins at `next`, if there is one; removed.
  std::optional<wire::Slice> take(wire::SeqNum next);

  /// Gives pieces up, those with the highest numbers first, until no more than `memory` is held. They were
  /// acknowledged selectively at most, so the peer sends them again (RFC 2018 §8). Returns how many.
  std::size_t prune(std::uint64_t memory);

  std::uint32_t octets() const { return octets_; }
  /// Octets of the blocks held; one that pieces which are not neighbours share counts more than once.
  std::uint64_t memory() const { return memory_ + crumbs_.memory(); }
  bool empty() const { return pieces_.empty(); }
  std::size_t pieces() const { return pieces_.size(); }
  /// Gaps, pieces and runs looked at since the beginning, each found in O(log n): what the peer has cost.
  std::uint64_t visits() const { return visits_; }

  /// Runs of adjacent pieces as SACK blocks (RFC 2018 §4): the one with the newest octets first, then
  /// upwards. Returns how many.
  std::size_t sack_blocks(std::span<wire::SackBlock> out);

 private:
  // Distance from `base_`: an order that std::map may use, as the window is far smaller than 2^31.
  using Offset = std::uint64_t;
  Offset offset_of(wire::SeqNum s) const;
  wire::SeqNum seq_at(Offset o) const { return base_ + static_cast<std::uint32_t>(o - base_offset_); }
  bool keep(Offset at, wire::Slice text, wire::BlockPool& pool);
  wire::Slice copy(Bytes text, wire::BlockPool& pool);
  using Place = std::map<Offset, wire::Slice>::iterator;
  /// Octets of the block in which a piece lies; 0: of the one before it, too, or there is no piece.
  std::uint32_t block_begun(Place piece);
  void add_run(Offset begin, Offset end);
  void cut_runs(Offset to);

  std::map<Offset, wire::Slice> pieces_;
  std::map<Offset, Offset> runs_;  // of pieces without a gap between them: from where to where
  wire::Slice crumbs_;             // the block that small pieces are copied into
  wire::SeqNum base_;
  std::uint32_t most_pieces_;
  std::uint32_t octets_ = 0;
  std::uint64_t memory_ = 0;  // of the pieces
  Offset base_offset_ = 0;
  Offset newest_ = 0;
  std::uint64_t visits_ = 0;
};

}  // namespace synfin::tcp
