// SPDX-License-Identifier: Apache-2.0
//
// docs/state-table.md, from the rules that tests/protocol/state_table holds the stack to. Equal rows and
// equal columns are drawn as one.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <vector>

#include "exhibits.h"
#include "state_words.h"
#include "synfin/trace/reason.h"

namespace synfin::ladders {
namespace {

using namespace state_table;

/// What a section calls its rules: 1, 2, … in the order in which they are asked; a, b, … for the checks that
/// all full connections share.
class Labels {
 public:
  explicit Labels(Row row) : rules_(rules_of(row)), shared_(shared_checks(row)) {
    for_each_cell(row, [&](const Cell& cell) {
      labels_[decide(rules_, cell)] = {};
      return true;
    });
    std::size_t n = 0;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const auto it = labels_.find(&rules_[i]);
      if (it == labels_.end()) continue;
      it->second = i < shared_ ? std::string(1, static_cast<char>('a' + i)) : std::to_string(++n);
    }
  }
  const std::string& operator()(const Rule* rule) const { return labels_.at(rule); }
  /// In order.
  std::vector<const Rule*> shared() const { return used(0, shared_); }
  std::vector<const Rule*> own() const { return used(shared_, rules_.size()); }

 private:
  std::vector<const Rule*> used(std::size_t from, std::size_t to) const {
    std::vector<const Rule*> list;
    for (const Rule& rule : rules_.subspan(from, to - from)) {
      if (labels_.contains(&rule)) list.push_back(&rule);
    }
    return list;
  }

  Rules rules_;
  std::size_t shared_;
  std::map<const Rule*, std::string> labels_;
};

// What decides a segment of one kind with one acknowledgement at each position; null where there is no cell.
using Line = std::vector<const Rule*>;
struct Acknowledging {
  std::vector<Ack> acks;
  Line line;
};
struct Group {
  std::vector<Kind> kinds;
  std::vector<Acknowledging> by_ack;
};

Line line_for(Row row, Kind kind, Ack ack) {
  Line line;
  for (const Position p : all(Position::kPositions)) {
    const Cell cell{row, kind, p, ack, Guard::kNormal};
    line.push_back(exists(cell) ? decide(rules_of(row), cell) : nullptr);
  }
  return line;
}

bool is_empty(const Line& line) {
  return std::ranges::all_of(line, [](const Rule* r) { return r == nullptr; });
}

std::vector<Acknowledging> by_ack(Row row, Kind kind) {
  std::vector<Acknowledging> list;
  for (const Ack ack : all(Ack::kAcks)) {
    Line line = line_for(row, kind, ack);
    if (is_empty(line)) continue;
    const auto same = std::ranges::find(list, line, &Acknowledging::line);
    if (same != list.end()) {
      same->acks.push_back(ack);
    } else {
      list.push_back({{ack}, std::move(line)});
    }
  }
  return list;
}

// Kinds that meet the same fate whatever they acknowledge are one, with or without ACK.
bool alike(const std::vector<Acknowledging>& a, const std::vector<Acknowledging>& b) {
  if (a.size() != b.size()) return false;
  const bool whole = a.size() == 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].line != b[i].line || (!whole && a[i].acks != b[i].acks)) return false;
  }
  return true;
}

std::vector<Group> groups_of(Row row) {
  std::vector<Group> groups;
  for (const Kind kind : all(Kind::kKinds)) {
    std::vector<Acknowledging> lines = by_ack(row, kind);
    const auto same = std::ranges::find_if(groups, [&](const Group& g) { return alike(g.by_ack, lines); });
    if (same != groups.end()) {
      same->kinds.push_back(kind);
    } else {
      groups.push_back({{kind}, std::move(lines)});
    }
  }
  return groups;
}

// Neighbouring positions that no line tells apart.
std::vector<std::vector<Position>> columns_of(const std::vector<Group>& groups) {
  std::vector<std::vector<Position>> columns;
  const auto differ = [&](Position a, Position b) {
    return std::ranges::any_of(groups, [&](const Group& g) {
      return std::ranges::any_of(g.by_ack, [&](const Acknowledging& line) {
        return line.line[std::to_underlying(a)] != line.line[std::to_underlying(b)];
      });
    });
  };
  for (const Position p : all(Position::kPositions)) {
    if (groups.front().by_ack.front().line[std::to_underlying(p)] == nullptr) continue;
    if (columns.empty() || differ(columns.back().back(), p)) {
      columns.push_back({p});
    } else {
      columns.back().push_back(p);
    }
  }
  return columns;
}

std::string outcome(const Rule& rule) {
  const std::string_view answer = rule.answer == Answer::kSendsNothing ? "—" : name(rule.answer);
  if (!rule.next) return std::string{answer};
  return fmt::format("{} **→&nbsp;{}**", answer, trace::name(*rule.next));
}

std::string acks_cell(const Group& group, const Acknowledging& line) {
  if (group.by_ack.size() == 1) return "";
  return joined(line.acks);
}

std::string grid(const std::vector<Group>& groups, const Labels& label) {
  const auto columns = columns_of(groups);
  std::string out = "| segment | acknowledges |";
  for (const auto& column : columns) out += fmt::format(" {} |", joined(column));
  out += "\n|---|---|";
  for (std::size_t i = 0; i < columns.size(); ++i) out += "---|";
  out += '\n';
  for (const Group& group : groups) {
    std::string kinds = joined(group.kinds);
    for (const Acknowledging& line : group.by_ack) {
      out += fmt::format("| {} | {} |", std::exchange(kinds, ""), acks_cell(group, line));
      for (const auto& column : columns) {
        const Rule* rule = line.line[std::to_underlying(column.front())];
        out += fmt::format(" {} <sup>{}</sup> |", outcome(*rule), label(rule));
      }
      out += '\n';
    }
  }
  return out;
}

bool by_length(const std::string& a, const std::string& b) {
  return std::pair{a.size(), a} < std::pair{b.size(), b};
}

// What a rule stands for under a guard.
struct StandIn {
  Guard guard = Guard::kNormal;
  std::vector<std::string> of;
};
struct Guarded {
  std::map<const Rule*, StandIn> stand_ins;
  std::set<const Rule*> normal;  // those that decide without a guard
};
Guarded guarded_in(Row row, const Labels& label) {
  Guarded found;
  for_each_cell(row, [&](const Cell& cell) {
    Cell normal = cell;
    normal.guard = Guard::kNormal;
    const Rule* rule = decide(rules_of(row), cell);
    const Rule* usual = decide(rules_of(row), normal);
    found.normal.insert(usual);
    if (rule == usual) return true;
    StandIn& stand_in = found.stand_ins[rule];
    stand_in.guard = cell.guard;
    if (std::ranges::find(stand_in.of, label(usual)) == stand_in.of.end())
      stand_in.of.push_back(label(usual));
    return true;
  });
  for (auto& [rule, stand_in] : found.stand_ins) std::ranges::sort(stand_in.of, by_length);
  return found;
}

std::string_view when(Guard g) {
  switch (g) {
    case Guard::kSpent:
      return "once the challenge ACKs of this second are spent";
    case Guard::kRfc1337:
      return "where `tcp_rfc1337` is on";
    case Guard::kStale:
      return "where both ends use timestamps and the segment's is older than the newest seen";
    case Guard::kNewer:
      return "where both ends use timestamps and the segment's is newer";
    case Guard::kNormal:
    case Guard::kGuards:
      break;
  }
  return {};
}

// The rules that it stands for, or the fewer that it leaves.
std::string replaced(const StandIn& stand_in, const Guarded& guarded, const Labels& label) {
  std::vector<std::string> rest;
  for (const Rule* rule : guarded.normal) {
    if (std::ranges::find(stand_in.of, label(rule)) == stand_in.of.end()) rest.push_back(label(rule));
  }
  std::ranges::sort(rest, by_length);
  if (stand_in.of.size() > rest.size() && !rest.empty())
    return fmt::format("all but {}", fmt::join(rest, ", "));
  return fmt::format("{}", fmt::join(stand_in.of, ", "));
}

std::string sentences(Row row, const std::vector<const Rule*>& rules, const Labels& label) {
  const Guarded guarded = guarded_in(row, label);
  std::string out;
  for (const Rule* rule : rules) {
    // A list of Markdown has numbers only.
    const bool letter = label(rule)[0] >= 'a';
    out += fmt::format("{}{}{} {}, `{}`", letter ? "- **" : "", label(rule), letter ? "**" : ".",
                       outcome(*rule), trace::name(rule->reason));
    if (const auto it = guarded.stand_ins.find(rule); it != guarded.stand_ins.end())
      out += fmt::format("{} instead of {}, {}", guarded.normal.contains(rule) ? ", also" : "",
                         replaced(it->second, guarded, label), when(it->second.guard));
    out += fmt::format(". {}\n", ended(escaped(rule->why)));
  }
  return out;
}

template <Row row>
std::string section() {
  const Labels label{row};
  return grid(groups_of(row), label) + '\n' + sentences(row, label.own(), label);
}

std::string checks() {
  const Labels label{Row::kEstablished};
  return sentences(Row::kEstablished, label.shared(), label);
}

std::string sizes() {
  std::size_t cells = 0;
  for (const Row row : all(Row::kRows)) {
    for_each_cell(row, [&](const Cell&) {
      ++cells;
      return true;
    });
  }
  std::size_t call_cells = 0;
  for_each_call([&](const CallCell&) {
    ++call_cells;
    return true;
  });
  return fmt::format(
      "{} cells of segments in {} states, decided by {} rules; {} cells of calls, decided by {}.\n", cells,
      std::to_underlying(Row::kRows), rule_count(), call_cells, call_rules().size());
}

constexpr auto kMarkdown = Exhibit::Form::kMarkdown;
constexpr std::array kStateTables = {
    Exhibit{"state_table_size", sizes, kMarkdown},
    Exhibit{"state_checks", checks, kMarkdown},
    Exhibit{"state_closed", section<Row::kClosed>, kMarkdown},
    Exhibit{"state_listen", section<Row::kListen>, kMarkdown},
    Exhibit{"state_syn_sent", section<Row::kSynSent>, kMarkdown},
    Exhibit{"state_syn_received_passive", section<Row::kSynReceivedPassive>, kMarkdown},
    Exhibit{"state_syn_received_active", section<Row::kSynReceivedActive>, kMarkdown},
    Exhibit{"state_established", section<Row::kEstablished>, kMarkdown},
    Exhibit{"state_fin_wait_1", section<Row::kFinWait1>, kMarkdown},
    Exhibit{"state_fin_wait_1_orphan", section<Row::kFinWait1Orphan>, kMarkdown},
    Exhibit{"state_fin_wait_2", section<Row::kFinWait2>, kMarkdown},
    Exhibit{"state_fin_wait_2_orphan", section<Row::kFinWait2Orphan>, kMarkdown},
    Exhibit{"state_close_wait", section<Row::kCloseWait>, kMarkdown},
    Exhibit{"state_closing", section<Row::kClosing>, kMarkdown},
    Exhibit{"state_last_ack", section<Row::kLastAck>, kMarkdown},
    Exhibit{"state_time_wait", section<Row::kTimeWait>, kMarkdown},
    Exhibit{"state_calls", call_table, kMarkdown},
};

}  // namespace

std::span<const Exhibit> state_tables() {
  return kStateTables;
}

}  // namespace synfin::ladders
