// SPDX-License-Identifier: Apache-2.0
//
// The dimensions of the table of states and segments: what a cell is, and which cells there are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "synfin/trace/state.h"

namespace synfin::state_table {

/// The states of RFC 9293 §3.3.2, told apart where they behave differently: SYN-RECEIVED by where it came
/// from, and FIN-WAIT-1 and FIN-WAIT-2 by whether a program is left that could read.
enum class Row : std::uint8_t {
  kClosed,
  kListen,
  kSynSent,
  kSynReceivedPassive,
  kSynReceivedActive,
  kEstablished,
  kFinWait1,
  kFinWait1Orphan,
  kFinWait2,
  kFinWait2Orphan,
  kCloseWait,
  kClosing,
  kLastAck,
  kTimeWait,
  kRows
};

/// What the segment is. `kData`, `kFinAck`, `kFinData` and `kUrg` carry ACK; `kFin` and `kNull` do not.
enum class Kind : std::uint8_t {
  kSyn,
  kSynAck,
  kAck,
  kData,
  kUrg,
  kFin,
  kFinAck,
  kFinData,
  kRst,
  kRstAck,
  kSynFin,
  kNull,
  kKinds
};

/// Where the segment's sequence number lies. Text begins there, so what begins just left of the window and
/// has text reaches into it, and what begins in the last octet of the window reaches out of it.
enum class Position : std::uint8_t {
  kAny,         // the state has no receive window
  kBefore,      // the whole segment is left of RCV.NXT
  kJustBefore,  // SEG.SEQ = RCV.NXT-1
  kLeftEdge,    // SEG.SEQ = RCV.NXT
  kInside,
  kRightEdge,  // SEG.SEQ = RCV.NXT+RCV.WND-1
  kPastEdge,   // SEG.SEQ = RCV.NXT+RCV.WND
  kBeyond,
  kPositions
};

/// What the segment acknowledges.
enum class Ack : std::uint8_t {
  kNoAck,         // no ACK bit
  kAnyAck,        // the state has sent nothing, so every number is as good
  kAckAll,        // SEG.ACK = SND.NXT
  kAckSome,       // SND.UNA < SEG.ACK < SND.NXT
  kAckDuplicate,  // SEG.ACK = SND.UNA < SND.NXT
  kAckOld,        // SND.UNA-MAX.SND.WND =< SEG.ACK < SND.UNA
  kAckTooOld,     // SEG.ACK < SND.UNA-MAX.SND.WND
  kAckFuture,     // SEG.ACK > SND.NXT
  kAcks
};

/// What else the answer depends on. RFC 5961 has no switch in Synfin, as RFC 9293 §3.10.7.4 made its checks
/// a MUST; but its challenge ACKs are limited (§7).
enum class Guard : std::uint8_t {
  kNormal,
  kSpent,    // the connection has sent its challenge ACKs of this second (`tcp_challenge_ack_limit`)
  kRfc1337,  // `tcp_rfc1337` is on
  kStale,    // both ends use timestamps, and the segment's is older than the newest seen (PAWS)
  kNewer,  // both ends use timestamps, and the segment's is newer: told apart where it decides, in TIME-WAIT
  kGuards
};

/// A set of values of one dimension. Empty stands for all.
template <class E>
class Set {
 public:
  constexpr Set() = default;
  constexpr Set(E e) : bits_(1u << std::to_underlying(e)) {}
  constexpr bool has(E e) const { return bits_ == 0 || (bits_ >> std::to_underlying(e) & 1u) != 0; }
  friend constexpr Set operator|(Set a, Set b) {
    Set both;
    both.bits_ = a.bits_ | b.bits_;
    return both;
  }

 private:
  std::uint32_t bits_ = 0;
};
/// Enumerations that `|` joins to sets.
template <class E>
inline constexpr bool kIsDimension = false;
template <>
inline constexpr bool kIsDimension<Row> = true;
template <>
inline constexpr bool kIsDimension<Kind> = true;
template <>
inline constexpr bool kIsDimension<Position> = true;
template <>
inline constexpr bool kIsDimension<Ack> = true;
template <>
inline constexpr bool kIsDimension<Guard> = true;
template <class E>
requires kIsDimension<E>
constexpr Set<E> operator|(E a, E b) {
  return Set<E>{a} | Set<E>{b};
}

struct Cell {
  Row row = Row::kRows;
  Kind kind = Kind::kKinds;
  Position position = Position::kPositions;
  Ack ack = Ack::kAcks;
  Guard guard = Guard::kGuards;
  friend constexpr bool operator==(const Cell&, const Cell&) = default;
};
inline constexpr Cell kNoCell{};

constexpr bool carries_ack(Kind k) {
  using enum Kind;
  return k == kSynAck || k == kAck || k == kData || k == kUrg || k == kFinAck || k == kFinData ||
         k == kRstAck;
}
constexpr bool carries_text(Kind k) {
  return k == Kind::kData || k == Kind::kUrg || k == Kind::kFinData;
}
/// No receive window yet.
constexpr bool has_window(Row r) {
  return r != Row::kClosed && r != Row::kListen && r != Row::kSynSent;
}
/// Something was sent that the peer has not acknowledged. In the scenes of this table: the SYN while opening,
/// text from ESTABLISHED on, and a FIN once there is one; nothing in FIN-WAIT-2 and TIME-WAIT.
constexpr bool has_outstanding(Row r) {
  return r != Row::kFinWait2 && r != Row::kFinWait2Orphan && r != Row::kTimeWait;
}
constexpr bool is_opening(Row r) {
  return r == Row::kSynSent || r == Row::kSynReceivedPassive || r == Row::kSynReceivedActive;
}
/// The record counts its challenge ACKs. Those of 52 octets do not: each of their answers is one segment
/// without text for one that came.
constexpr bool counts_challenges(Row r) {
  return has_window(r) && r != Row::kSynReceivedPassive && r != Row::kFinWait2Orphan && r != Row::kTimeWait;
}

/// Whether there is such a cell. What a dimension cannot change is one cell, and the test tries all values in
/// it.
constexpr bool exists(const Cell& c) {
  const bool sent_nothing = c.row == Row::kClosed || c.row == Row::kListen;
  if ((c.position == Position::kAny) == has_window(c.row)) return false;
  if ((c.ack == Ack::kNoAck) == carries_ack(c.kind)) return false;
  if (c.ack != Ack::kNoAck && (c.ack == Ack::kAnyAck) != sent_nothing) return false;
  if (c.ack == Ack::kAckSome && (!has_outstanding(c.row) || is_opening(c.row))) return false;
  if (c.ack == Ack::kAckDuplicate && !has_outstanding(c.row)) return false;
  if (c.ack == Ack::kAckTooOld && c.row == Row::kSynSent) return false;  // no window is known yet
  if (c.guard == Guard::kSpent) return counts_challenges(c.row);
  if (c.guard == Guard::kRfc1337 || c.guard == Guard::kNewer) return c.row == Row::kTimeWait;
  if (c.guard == Guard::kStale) return has_window(c.row);
  return true;
}

/// Calls `f` with every cell of a row until it says false.
template <class F>
constexpr void for_each_cell(Row row, F f) {
  const auto count = [](auto last) { return std::to_underlying(last); };
  for (std::uint8_t g = 0; g < count(Guard::kGuards); ++g)
    for (std::uint8_t k = 0; k < count(Kind::kKinds); ++k)
      for (std::uint8_t a = 0; a < count(Ack::kAcks); ++a)
        for (std::uint8_t p = 0; p < count(Position::kPositions); ++p) {
          const Cell cell{row, Kind{k}, Position{p}, Ack{a}, Guard{g}};
          if (exists(cell) && !f(cell)) return;
        }
}

/// `SYN-RECEIVED (by LISTEN)`.
std::string_view name(Row r);
/// `FIN, text`.
std::string_view name(Kind k);
std::string_view name(Position p);
std::string_view name(Ack a);
std::string_view name(Guard g);
/// The state of RFC 9293.
trace::State state_of(Row r);

}  // namespace synfin::state_table
