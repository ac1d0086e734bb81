// SPDX-License-Identifier: Apache-2.0
//
// The table of states and calls, cell by cell, against the real stack.
#include "calls.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "player.h"

namespace synfin::state_table {
namespace {

using tcp::Error;
using wire::Flags;
using wire::SeqNum;

constexpr std::array kVariations = {
    Variation{wire::Family::kIpv4, 1000, 20'000},
    Variation{wire::Family::kIpv6, 0xffff'ffff, 0xffff'ffff},
    Variation{wire::Family::kIpv4, 0xffff'ff80, 0xffff'ffa0},
    Variation{wire::Family::kIpv6, 0x7fff'fff0, 0x7fff'ffe0},
    Variation{.peer_iss = 1000, .own_iss = 20'000, .short_paths = false},
};

Told told_of(Error e) {
  switch (e) {
    case Error::kWouldBlock:
      return Told::kWouldBlock;
    case Error::kClosing:
      return Told::kIsClosing;
    case Error::kInvalidHandle:
      return Told::kNoSuchHandle;
    case Error::kAddressInUse:
      return Told::kInUse;
    default:
      ADD_FAILURE() << "told " << tcp::message(e);
      return Told::kDone;
  }
}
template <class T>
Told told_by(const std::expected<T, Error>& result) {
  return result ? Told::kDone : told_of(result.error());
}

class PlayedCall {
 public:
  PlayedCall(const CallCell& cell, const Variation& variation)
      : cell_(cell), player_(variation, Guard::kNormal) {
    player_.brings_to(cell.row, cell.load);
    if (cell.row == Row::kClosed)
      handle_ = gone();
    else
      handle_ = has_handle(cell.row) ? player_.connection() : player_.listener();
  }

  /// Empty, or what is otherwise than the rule says.
  std::string run(const CallRule& rule) {
    const Told told = calls();
    std::string wrong;
    if (told != rule.told_by(cell_.call)) wrong += fmt::format("tells {}; ", name(told));
    const std::vector<Packet> sent = player_.sent();
    const State state = state_now();
    if (state != rule.next.value_or(state_of(cell_.row)))
      wrong += fmt::format("state {}; ", trace::name(state));
    if (rule.next && player_.change() != rule.reason)
      wrong += fmt::format("reason {}; ", trace::name(player_.change()));
    if (!is_right(sent, rule.output)) {
      wrong += "sends";
      for (const Packet& p : sent) wrong += ' ' + to_string(p);
      wrong += sent.empty() ? " nothing; " : "; ";
    }
    if (opened_) player_.stack().close(*opened_, player_.now());
    wrong += player_.leaves_behind();
    if (wrong.empty()) return {};
    return fmt::format("{} | {} | {}: {}  (rule: {} {} {} {})", name(cell_.row), name(cell_.call),
                       name(cell_.load), wrong, name(rule.told_by(cell_.call)), name(rule.output),
                       trace::name(rule.next.value_or(state_of(cell_.row))), trace::name(rule.reason));
  }

 private:
  // The handle of a connection that has come and gone.
  stack::Handle gone() {
    const auto once = player_.stack().connect(player_.tuple().remote, {}, player_.now());
    EXPECT_TRUE(once);
    player_.stack().abort(*once, player_.now());
    (void)player_.sent();
    return *once;
  }

  Told calls() {
    stack::Stack& s = player_.stack();
    const Instant now = player_.now();
    switch (cell_.call) {
      case Call::kListenHere: {
        const auto listener = s.listen(player_.tuple().local, {}, now);
        if (listener) opened_ = *listener;
        return told_by(listener);
      }
      case Call::kConnect: {
        const auto connection = s.connect(player_.tuple().remote, {.local = player_.tuple().local}, now);
        if (connection) opened_ = *connection;
        return told_by(connection);
      }
      case Call::kAcceptOne:
        return told_by(s.accept(handle_, now));
      case Call::kSend: {
        const std::vector<std::byte> text(Player::kText);
        const Bytes bytes{text};
        return told_by(s.send(handle_, std::span{&bytes, 1}, now));
      }
      case Call::kReceive:
        return reads();
      case Call::kShutdownSend:
        return told_by(s.shutdown(handle_, stack::Shutdown::kSend, now));
      case Call::kShutdownReceive:
        return told_by(s.shutdown(handle_, stack::Shutdown::kReceive, now));
      case Call::kShutdownBoth:
        return told_by(s.shutdown(handle_, stack::Shutdown::kBoth, now));
      case Call::kCloseLinger0: {
        tcp::Options options;
        options.linger = Duration::zero();
        EXPECT_TRUE(s.set_options(handle_, options, now));
        s.close(handle_, now);
        return Told::kToldNothing;
      }
      case Call::kClose:
        s.close(handle_, now);
        return Told::kToldNothing;
      case Call::kAbort:
        s.abort(handle_, now);
        return Told::kToldNothing;
      case Call::kSetOptions: {
        tcp::Options options;
        options.no_delay = options.keepalive = true;
        options.user_timeout = Duration::seconds(10);
        return told_by(s.set_options(handle_, options, now));
      }
      case Call::kCalls:
        break;
    }
    return Told::kDone;
  }

  Told reads() {
    std::array<std::byte, 2 * Player::kText> into;
    const MutableBytes bytes{into};
    const auto n = player_.stack().receive(handle_, std::span{&bytes, 1}, player_.now());
    if (!n) return told_of(n.error());
    if (*n == 0) return Told::kEndOfStream;
    EXPECT_EQ(*n, Player::kText);
    return Told::kText;
  }

  State state_now() {
    const State state = player_.state();
    if (state != State::kClosed) return state;
    // Nothing has the pair: CLOSED or LISTEN, as the port has a listener or not.
    const bool is_listening = cell_.row == Row::kListen
                                  ? cell_.call != Call::kClose
                                  : cell_.row == Row::kClosed && cell_.call == Call::kListenHere;
    if (!is_listening) return state;
    return player_.stack().population().listeners == 1 ? State::kListen : State::kClosed;
  }

  bool is_right(const std::vector<Packet>& sent, Output output) const {
    if (output == Output::kNoOutput) return sent.empty();
    if (sent.size() != 1) return false;
    const Numbers n = player_.numbers();
    const wire::TcpHeader& h = sent[0].header;
    const auto bits = static_cast<std::uint8_t>(h.flags.bits() & ~Flags::kPsh);
    switch (output) {
      case Output::kNoOutput:
        break;
      case Output::kOurSyn:
        return bits == Flags::kSyn && sent[0].text == 0;
      case Output::kOurText:
        return bits == Flags::kAck && sent[0].text == Player::kText && h.seq == n.snd_nxt &&
               h.ack == n.rcv_nxt;
      case Output::kOurFin:
        return bits == (Flags::kFin | Flags::kAck) && sent[0].text == 0 && h.seq == n.snd_nxt &&
               h.ack == n.rcv_nxt;
      case Output::kOurReset:
        return (bits & ~Flags::kAck) == Flags::kRst && sent[0].text == 0 && h.seq == n.snd_nxt;
    }
    return false;
  }

  CallCell cell_;
  Player player_;
  stack::Handle handle_;
  std::optional<stack::Handle> opened_;
};

TEST(CallTable, EveryCallDoesWhatTheTableSays) {
  std::size_t cells = 0;
  for_each_call([&](const CallCell& cell) {
    ++cells;
    for (const Variation& variation : kVariations) {
      PlayedCall play{cell, variation};
      const std::string wrong = play.run(*decide(cell));
      EXPECT_TRUE(wrong.empty()) << wrong << "\n  " << variation.name();
    }
    return true;
  });
  EXPECT_GT(cells, 100u);
  RecordProperty("cells", static_cast<int>(cells));
}

}  // namespace
}  // namespace synfin::state_table
