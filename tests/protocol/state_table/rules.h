// SPDX-License-Identifier: Apache-2.0
//
// Rules that decide cells, read like a firewall's: from the top, the first that fits. They are written from
// the RFCs, not from what the program does; the test compares the two.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "dimensions.h"
#include "sentences.h"
#include "synfin/trace/reason.h"

namespace synfin::state_table {

using trace::Reason;
using trace::State;

/// What leaves at once, by its numbers.
enum class Answer : std::uint8_t {
  kSendsNothing,
  kSendsAck,           // <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, RCV.NXT as before
  kSendsAckOfSegment,  // the same with RCV.NXT behind the segment
  kSendsDelayedAck,    // kSendsAckOfSegment, within `tcp_delack_max`
  kSendsChallenge,     // kSendsAck, and it counts as a challenge
  kSendsSynAck,        // <SEQ=ISS><ACK=IRS+1><CTL=SYN,ACK>
  kResetAtAck,         // <SEQ=SEG.ACK><CTL=RST>
  kResetAtZero,        // <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
  kResetAtNext,        // <SEQ=SND.NXT><CTL=RST>
};

/// `challenge ACK`: for people.
std::string_view name(Answer a);

struct Rule {
  Set<Row> rows{};
  Set<Kind> kinds{};
  Set<Position> positions{};
  Set<Ack> acks{};
  Set<Guard> guards{};

  Answer answer = Answer::kSendsNothing;
  /// Unset: the state stays.
  std::optional<State> next{};
  Reason reason = Reason::kNone;
  /// Section and sentence that decide it; “ ” around what is quoted.
  std::string_view why{};

  constexpr bool fits(const Cell& c) const {
    return rows.has(c.row) && kinds.has(c.kind) && positions.has(c.position) && acks.has(c.ack) &&
           guards.has(c.guard);
  }
};

using Rules = std::span<const Rule>;

/// Lists one behind the other.
template <std::size_t... N>
consteval auto joined(const Rule (&... lists)[N]) {
  std::array<Rule, (N + ...)> all{};
  auto at = all.begin();
  ((at = std::ranges::copy(lists, at).out), ...);
  return all;
}

/// Null where nobody has decided.
constexpr const Rule* decide(Rules rules, const Cell& cell) {
  const Rule* const end = rules.data() + rules.size();
  for (const Rule* rule = rules.data(); rule != end; ++rule) {
    if (rule->fits(cell)) return rule;
  }
  return nullptr;
}

/// `kNoCell`: every cell of the row is decided.
consteval Cell first_undecided(Rules rules, Row row) {
  Cell found = kNoCell;
  for_each_cell(row, [&](const Cell& cell) {
    if (decide(rules, cell) == nullptr) found = cell;
    return found == kNoCell;
  });
  return found;
}

/// A bit for each rule that decides a cell of the row.
consteval std::uint64_t living(Rules rules, Row row) {
  std::uint64_t alive = 0;
  for_each_cell(row, [&](const Cell& cell) {
    if (const Rule* rule = decide(rules, cell)) alive |= std::uint64_t{1} << (rule - rules.data());
    return true;
  });
  return alive;
}

inline constexpr std::size_t kNoRule = ~std::size_t{};

/// A rule that decides no cell, because there is none that it fits or others come first.
consteval std::size_t first_dead(Rules rules, std::uint64_t alive) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if ((alive >> i & 1u) == 0) return i;
  }
  return kNoRule;
}

// The compiler's complaint shows the template's argument: the cell, or the number of the rule from 0.
template <Cell undecided>
struct EveryCellIsDecided {
  static_assert(undecided == kNoCell, "nobody decided this cell");
  static constexpr bool value = true;
};
template <std::size_t dead>
struct EveryRuleDecides {
  static_assert(dead == kNoRule, "this rule decides nothing");
  static constexpr bool value = true;
};

/// The rules of a row.
Rules rules_of(Row row);
/// How many of them, from the first, are the checks that all full connections make alike.
std::size_t shared_checks(Row row);
/// Of all rows together.
std::size_t rule_count();

}  // namespace synfin::state_table
