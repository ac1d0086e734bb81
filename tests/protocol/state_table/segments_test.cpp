// SPDX-License-Identifier: Apache-2.0
//
// The table of states and segments, cell by cell, against the real stack.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "player.h"
#include "rules.h"

namespace synfin::state_table {
namespace {

using wire::Flags;
using wire::SeqNum;

// First numbers of the peer and the stack: in the middle; wrapping with the SYN; wrapping within the text and
// the window; at the sign bit.
struct Isns {
  std::uint32_t peer, own;
};
constexpr std::array kIsns = {Isns{1000, 20'000}, Isns{0xffff'ffff, 0xffff'ffff},
                              Isns{0xffff'ff80, 0xffff'ffa0}, Isns{0x7fff'fff0, 0x7fff'ffe0}};

constexpr std::uint32_t kFar = 0x4000'0000;

// Numbers that lie there, the outermost among them.
std::vector<SeqNum> numbers_at(Position p, const Numbers& n) {
  switch (p) {
    case Position::kAny:
      return {n.rcv_nxt, SeqNum{0}, SeqNum{0xffff'ffff}};
    case Position::kBefore:
      return {n.rcv_nxt - (Player::kText + 2), n.rcv_nxt - kFar};
    case Position::kJustBefore:
      return {n.rcv_nxt - 1};
    case Position::kLeftEdge:
      return {n.rcv_nxt};
    case Position::kInside:
      return {n.rcv_nxt + 1, n.rcv_nxt + 30'000};
    case Position::kRightEdge:
      return {n.rcv_edge - 1};
    case Position::kPastEdge:
      return {n.rcv_edge};
    case Position::kBeyond:
      return {n.rcv_edge + 1, n.rcv_edge + kFar};
    case Position::kPositions:
      break;
  }
  return {};
}

std::vector<SeqNum> numbers_for(Ack a, Row row, const Numbers& n) {
  // The largest window that the peer has offered; none is known in SYN-SENT, and a record of 52 octets has no
  // room for it and takes the largest there can be.
  const std::uint32_t max_wnd = row == Row::kFinWait2Orphan ? 65'535u << 14 : Player::kWindow;
  switch (a) {
    case Ack::kNoAck:
      return {SeqNum{}};
    case Ack::kAnyAck:
      return {SeqNum{0}, SeqNum{0xffff'ffff}};
    case Ack::kAckAll:
      return {n.snd_nxt};
    case Ack::kAckSome:
      return {n.snd_una + 1, n.snd_nxt - 1};
    case Ack::kAckDuplicate:
      return {n.snd_una};
    case Ack::kAckOld:
      return {n.snd_una - 1, n.snd_una - (row == Row::kSynSent ? kFar : max_wnd)};
    case Ack::kAckTooOld:
      return {n.snd_una - max_wnd - 1, n.snd_una - kFar};
    case Ack::kAckFuture:
      return {n.snd_nxt + 1, n.snd_nxt + kFar};
    case Ack::kAcks:
      break;
  }
  return {};
}

// A bare acknowledgement or a reset, which no retransmission is.
bool is_answer(const Packet& p) {
  return p.text == 0 && (p.header.flags.rst() || (!p.header.flags.syn() && !p.header.flags.fin()));
}

class PlayedSegment {
 public:
  PlayedSegment(const Cell& cell, const Rule& rule, const Variation& variation)
      : cell_(cell), rule_(rule), player_(variation, cell.guard), variation_(variation) {
    player_.brings_to(cell.row);
    if (cell.guard == Guard::kSpent) player_.spends_challenges();
  }

  Numbers numbers() const { return player_.numbers(); }

  /// Empty, or what is otherwise than the rule says.
  std::string run(SeqNum seq, SeqNum ack) {
    seq_ = seq;
    ack_ = ack;
    player_.plays(cell_.kind, seq, ack);
    const std::vector<Packet> at_once = player_.sent();
    std::string wrong = wrong_state();
    if (player_.reason() != rule_.reason) wrong += fmt::format("reason {}; ", trace::name(player_.reason()));
    if (!answers(at_once)) {
      wrong += "sends";
      for (const Packet& p : at_once) wrong += ' ' + to_string(p);
      wrong += at_once.empty() ? " nothing; " : "; ";
    }
    player_.runs_for(Duration::milliseconds(50));
    if (!later(player_.sent())) wrong += "a late answer, or none; ";
    wrong += player_.leaves_behind();
    if (wrong.empty()) return {};
    return fmt::format("{} | {} | {} | ack {} | {}: {}   (rule: {} {} {})   [{}]", name(cell_.row),
                       name(cell_.kind), name(cell_.position), name(cell_.ack), name(cell_.guard), wrong,
                       name(rule_.answer), trace::name(rule_.next.value_or(state_of(cell_.row))),
                       trace::name(rule_.reason), variation_.name());
  }

 private:
  std::string wrong_state() const {
    State state = player_.state();
    const bool back_to_listen =
        state == State::kClosed && (cell_.row == Row::kListen || cell_.row == Row::kSynReceivedPassive);
    if (back_to_listen) state = State::kListen;
    if (state == rule_.next.value_or(state_of(cell_.row))) return {};
    return fmt::format("state {}; ", trace::name(state));
  }

  bool answers(const std::vector<Packet>& sent) const {
    const Numbers n = player_.numbers();
    const bool silent = rule_.answer == Answer::kSendsNothing || rule_.answer == Answer::kSendsDelayedAck;
    if (silent) return sent.empty();
    if (sent.size() != 1) return false;
    const wire::TcpHeader& h = sent[0].header;
    const SeqNum end = seq_ + length_of(cell_.kind);
    const auto is = [&](std::uint8_t flags, std::optional<SeqNum> seq, std::optional<SeqNum> ack) {
      return h.flags.bits() == flags && sent[0].text == 0 && (!seq || h.seq == *seq) &&
             (!ack || h.ack == *ack);
    };
    switch (rule_.answer) {
      case Answer::kSendsNothing:
      case Answer::kSendsDelayedAck:
        break;
      case Answer::kSendsAck:
      case Answer::kSendsChallenge:
        return is(Flags::kAck, n.snd_nxt, n.rcv_nxt);
      case Answer::kSendsAckOfSegment:
        return is(Flags::kAck, n.snd_nxt, end);
      case Answer::kSendsSynAck:
        // A first number of its own where none was chosen yet; in TIME-WAIT it lies beyond the old ones.
        if (cell_.row == Row::kListen) return is(Flags::kSyn | Flags::kAck, {}, seq_ + 1);
        if (cell_.row == Row::kTimeWait)
          return is(Flags::kSyn | Flags::kAck, {}, seq_ + 1) && h.seq.after(n.snd_nxt);
        return is(Flags::kSyn | Flags::kAck, n.iss, seq_ + 1);
      case Answer::kResetAtAck:
        return is(Flags::kRst, ack_, {});
      case Answer::kResetAtZero:
        return is(Flags::kRst | Flags::kAck, SeqNum{0}, end);
      case Answer::kResetAtNext:
        return is(Flags::kRst | Flags::kAck, n.snd_nxt, {}) || is(Flags::kRst, n.snd_nxt, {});
    }
    return false;
  }

  bool later(const std::vector<Packet>& sent) const {
    if (rule_.answer == Answer::kSendsDelayedAck) {
      return std::ranges::any_of(sent, [&](const Packet& p) {
        return p.header.flags.ack() && p.header.ack == seq_ + length_of(cell_.kind);
      });
    }
    return std::ranges::none_of(sent, is_answer);
  }

  const Cell& cell_;
  const Rule& rule_;
  Player player_;
  Variation variation_;
  SeqNum seq_, ack_;
};

bool leaves_program_open(Row row) {
  return row == Row::kClosing || row == Row::kLastAck || row == Row::kTimeWait;
}

class Segments : public testing::TestWithParam<Row> {
 protected:
  // All numbers that the cell stands for, in both families, by the short paths and without; the first numbers
  // take turns.
  void play(const Cell& cell) {
    const Rule* rule = decide(rules_of(cell.row), cell);
    ASSERT_NE(rule, nullptr);
    ++cells_;
    for (const wire::Family family : {wire::Family::kIpv4, wire::Family::kIpv6}) {
      for (const bool gone : {false, true}) {
        if (gone && !leaves_program_open(cell.row)) continue;
        for (const bool short_paths : {true, false}) play(cell, *rule, {family, 0, 0, gone, short_paths});
      }
    }
  }
  void play(const Cell& cell, const Rule& rule, Variation variation) {
    std::size_t seqs = 1, acks = 1;
    for (std::size_t i = 0; i < seqs; ++i) {
      for (std::size_t j = 0; j < acks; ++j) {
        const Isns isns = kIsns[plays_++ % kIsns.size()];
        variation.peer_iss = isns.peer;
        variation.own_iss = isns.own;
        PlayedSegment played{cell, rule, variation};
        const auto seq = numbers_at(cell.position, played.numbers());
        const auto ack = numbers_for(cell.ack, cell.row, played.numbers());
        seqs = seq.size();
        acks = ack.size();
        const std::string wrong = played.run(seq[i], ack[j]);
        if (!wrong.empty()) note(wrong);
      }
    }
  }
  void note(const std::string& wrong) {
    ++mismatches_;
    if (mismatches_ <= kShown) ADD_FAILURE() << wrong;
  }
  void TearDown() override {
    RecordProperty("cells", static_cast<int>(cells_));
    if (mismatches_ > kShown) ADD_FAILURE() << mismatches_ << " plays differ in all, of " << plays_;
  }

  static constexpr std::size_t kShown = 60;
  std::size_t cells_ = 0, plays_ = 0, mismatches_ = 0;
};

TEST_P(Segments, MeetTheFateThatTheTableGives) {
  for_each_cell(GetParam(), [&](const Cell& cell) {
    play(cell);
    return true;
  });
  EXPECT_GT(cells_, 0u);
}

constexpr std::array kRows = {Row::kClosed,
                              Row::kListen,
                              Row::kSynSent,
                              Row::kSynReceivedPassive,
                              Row::kSynReceivedActive,
                              Row::kEstablished,
                              Row::kFinWait1,
                              Row::kFinWait1Orphan,
                              Row::kFinWait2,
                              Row::kFinWait2Orphan,
                              Row::kCloseWait,
                              Row::kClosing,
                              Row::kLastAck,
                              Row::kTimeWait};
static_assert(kRows.size() == std::to_underlying(Row::kRows));

INSTANTIATE_TEST_SUITE_P(StateTable, Segments, testing::ValuesIn(kRows), [](const auto& p) {
  std::string text;
  for (const char c : name(p.param))
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) text += c;
  return text;
});

}  // namespace
}  // namespace synfin::state_table
