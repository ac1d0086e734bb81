// SPDX-License-Identifier: Apache-2.0
//
// The second half of the table: every state against every call of the program.
#pragma once

#include "rules.h"

namespace synfin::state_table {

enum class Call : std::uint8_t {
  kListenHere,  // on this port
  kConnect,     // with this pair of addresses and ports
  kAcceptOne,
  kSend,
  kReceive,
  kShutdownSend,
  kShutdownReceive,
  kShutdownBoth,
  kClose,
  kCloseLinger0,  // with `Options::linger` zero
  kAbort,
  kSetOptions,
  kCalls
};

/// What lies in the queues.
enum class Load : std::uint8_t {
  kPlain,    // nothing
  kUnread,   // text has come that the program has not read
  kBlocked,  // text waits to be sent: for the handshake, or because the peer's window is zero
  kLoads
};

/// What the program is told.
enum class Told : std::uint8_t {
  kDone,
  kText,         // what has come
  kEndOfStream,  // 0 octets
  kWouldBlock,
  kIsClosing,     // Error::kClosing
  kNoSuchHandle,  // Error::kInvalidHandle
  kInUse,         // Error::kAddressInUse
  kToldNothing,   // by calls that return nothing
};

/// What leaves at once.
enum class Output : std::uint8_t {
  kNoOutput,
  kOurSyn,    // <SEQ=ISS><CTL=SYN>
  kOurText,   // <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK,PSH> and the text
  kOurFin,    // <SEQ=SND.NXT><ACK=RCV.NXT><CTL=FIN,ACK>
  kOurReset,  // <SEQ=SND.NXT><CTL=RST>
};

template <>
inline constexpr bool kIsDimension<Call> = true;
template <>
inline constexpr bool kIsDimension<Load> = true;

struct CallCell {
  Row row = Row::kRows;
  Call call = Call::kCalls;
  Load load = Load::kLoads;
  friend constexpr bool operator==(const CallCell&, const CallCell&) = default;
};
inline constexpr CallCell kNoCallCell{};

constexpr bool has_listener(Row r) {
  return r != Row::kClosed && r != Row::kSynSent && r != Row::kSynReceivedActive;
}
/// The program has a handle of the connection.
constexpr bool has_handle(Row r) {
  return r != Row::kClosed && r != Row::kListen && r != Row::kSynReceivedPassive &&
         r != Row::kFinWait1Orphan && r != Row::kFinWait2Orphan;
}

/// Whether there is such a call in that state. In CLOSED the handle is one of a connection that is gone, and
/// orphans have none, which comes to the same and is told once; in LISTEN it is the listener's.
constexpr bool exists(const CallCell& c) {
  const bool names_tuple = c.call == Call::kListenHere || c.call == Call::kConnect;
  if (names_tuple) return c.load == Load::kPlain;
  if (c.call == Call::kAcceptOne)
    return c.load == Load::kPlain && (c.row == Row::kListen || c.row == Row::kSynReceivedPassive);
  if (c.row == Row::kClosed) return c.load == Load::kPlain && c.call != Call::kCloseLinger0;
  // ABORT and linger are for connections; a listener is closed.
  if (c.row == Row::kListen)
    return c.load == Load::kPlain && c.call != Call::kAbort && c.call != Call::kCloseLinger0;
  if (c.row == Row::kSynReceivedPassive) return c.load == Load::kPlain && c.call == Call::kClose;
  if (!has_handle(c.row)) return false;
  switch (c.load) {
    case Load::kPlain:
      return true;
    case Load::kUnread:
      return !is_opening(c.row);
    case Load::kBlocked:
      return is_opening(c.row) || c.row == Row::kEstablished || c.row == Row::kFinWait1 ||
             c.row == Row::kCloseWait;
    case Load::kLoads:
      break;
  }
  return false;
}

constexpr bool returns_nothing(Call c) {
  return c == Call::kClose || c == Call::kCloseLinger0 || c == Call::kAbort;
}

struct CallRule {
  Set<Row> rows{};
  Set<Call> calls{};
  Set<Load> loads{};

  /// Where the call returns anything: see `told_by`.
  Told told = Told::kDone;
  Output output = Output::kNoOutput;
  std::optional<State> next{};
  /// Why the state changed, or the connection would change later.
  Reason reason = Reason::kNone;
  std::string_view why{};

  constexpr bool fits(const CallCell& c) const {
    return rows.has(c.row) && calls.has(c.call) && loads.has(c.load);
  }
  constexpr Told told_by(Call c) const { return returns_nothing(c) ? Told::kToldNothing : told; }
};

template <class F>
constexpr void for_each_call(F f) {
  for (std::uint8_t r = 0; r < std::to_underlying(Row::kRows); ++r)
    for (std::uint8_t c = 0; c < std::to_underlying(Call::kCalls); ++c)
      for (std::uint8_t l = 0; l < std::to_underlying(Load::kLoads); ++l) {
        const CallCell cell{Row{r}, Call{c}, Load{l}};
        if (exists(cell) && !f(cell)) return;
      }
}

std::span<const CallRule> call_rules();
/// Never null: an undecided cell does not compile.
const CallRule* decide(const CallCell& cell);

/// `shutdown(send)`.
std::string_view name(Call c);
std::string_view name(Load l);
std::string_view name(Told t);
std::string_view name(Output o);

}  // namespace synfin::state_table
