// SPDX-License-Identifier: Apache-2.0
//
// The tables of docs/closing.md that say what Synfin does: measured, each row by playing it.
#include <fmt/format.h>

#include <array>

#include "exhibits.h"
#include "stage.h"
#include "synfin/wire/icmp.h"

namespace synfin::ladders {
namespace {

using trace::State;
using wire::Flags;

/// What one end of a connection waits for, and what makes it wait no longer.
struct Wait {
  std::string_view what;
  std::string_view setting;
  std::function<void(tcp::Settings&)> settings;
  /// Brings the client to where it waits.
  void (*play)(Stage&, const Stage::Pair&);
};

std::string duration_text(Duration d) {
  const double s = d.as_seconds();
  return s < 600 ? fmt::format("{:.0f} s", s) : fmt::format("{:.0f} s ({:.0f} min)", s, s / 60);
}

std::string row(const Wait& wait) {
  Stage s({.watched = kClient, .settings = wait.settings});
  const auto c = s.open();
  const Instant began = s.now();
  wait.play(s, c);
  const wire::FourTuple tuple{{s.network().address(kClient, wire::Family::kIpv4), kClientPort},
                              {s.network().address(kServer, wire::Family::kIpv4), kServerPort}};
  const auto gone = [&] { return s.client().state_of(tuple) == State::kClosed; };
  if (!s.network().run_until(gone, Duration::seconds(100'000))) broken("a connection never ends");
  return fmt::format("| {} | {} | {} | `{}` |\n", wait.what, wait.setting, duration_text(s.now() - began),
                     trace::name(s.last_change()));
}

void send_into_nothing(Stage& s, const Stage::Pair& c) {
  s.cut_off();
  s.send_octets(kClient, c.client, 100);
}
void close_into_nothing(Stage& s, const Stage::Pair& c) {
  s.cut_off();
  s.close(kClient, c.client);
}
void close_last_into_nothing(Stage& s, const Stage::Pair& c) {
  s.close(kServer, c.server);
  s.run_ms(100);
  s.cut_off();
  s.close(kClient, c.client);
}
void close_with_data_into_nothing(Stage& s, const Stage::Pair& c) {
  s.cut_off();
  s.send_octets(kClient, c.client, 100);
  s.close(kClient, c.client);
}
void close_at_zero_window(Stage& s, const Stage::Pair& c) {
  s.send_octets(kClient, c.client, 4000);
  s.run(Duration::seconds(1));
  s.close(kClient, c.client);
}
void close_alone(Stage& s, const Stage::Pair& c) {
  s.close(kClient, c.client);
}
void close_both(Stage& s, const Stage::Pair& c) {
  s.close(kClient, c.client);
  s.close(kServer, c.server);
}
void keep_alive(Stage& s, const Stage::Pair& c) {
  s.cut_off();
  s.set_options(kClient, c.client, {.keepalive = true});
}
void user_timeout(Stage& s, const Stage::Pair& c) {
  s.set_options(kClient, c.client, {.user_timeout = Duration::seconds(30)});
  send_into_nothing(s, c);
}

std::string close_times() {
  const std::array waits{
      Wait{"ESTABLISHED or CLOSE-WAIT, data unacknowledged", "`tcp_retries2` 15", {}, send_into_nothing},
      Wait{"the same, with a user timeout of 30 s", "`Options::user_timeout`", {}, user_timeout},
      Wait{"ESTABLISHED, idle, keep-alive on, peer gone", "`tcp_keepalive_*`", {}, keep_alive},
      Wait{"FIN-WAIT-1, program gone, FIN unacknowledged", "`tcp_orphan_retries` 8", {}, close_into_nothing},
      Wait{"the same with data", "`tcp_orphan_retries` 8", {}, close_with_data_into_nothing},
      Wait{"FIN-WAIT-1, program gone, peer's window 0", "`tcp_orphan_retries` 8",
           [](tcp::Settings& t) { t.tcp_rmem = 2048; }, close_at_zero_window},
      Wait{"LAST-ACK, FIN unacknowledged", "`tcp_orphan_retries` 8", {}, close_last_into_nothing},
      Wait{"FIN-WAIT-2, program gone", "`tcp_fin_timeout` 60 s", {}, close_alone},
      Wait{"TIME-WAIT", "`msl` 30 s, twice", {}, close_both},
  };
  std::string out = "| what waits | bounded by | ends after | reason |\n|---|---|---|---|\n";
  for (const Wait& wait : waits) out += row(wait);
  return out;
}

/// One way to end, seen from the client.
struct Case {
  std::string_view what;
  /// Whether the program still has its handle and so can be told.
  bool told = false;
  std::function<void(tcp::Settings&)> settings;
  /// Ends the connection; gives the handle if it is another one.
  stack::Handle (*play)(Stage&, const Stage::Pair&);
};

std::string counted(const trace::Counters& before, const trace::Counters& after) {
  using enum trace::Counter;
  std::string names;
  for (const auto counter : {kAttemptFails, kEstabResets, kTCPAbortOnData, kTCPAbortOnClose,
                             kTCPAbortOnTimeout, kTCPAbortOnLinger, kTCPAbortOnMemory, kTW, kOutRsts}) {
    if (after[counter] > before[counter])
      names += fmt::format("{}`{}`", names.empty() ? "" : ", ", trace::name(counter));
  }
  return names.empty() ? "–" : names;
}

std::string told(Stage& s, stack::Handle connection) {
  const tcp::Error failure = s.client().failure(connection);
  if (failure != tcp::Error::kWouldBlock) return std::string{tcp::message(failure)};
  std::array<std::byte, 1> octet;
  const std::array<MutableBytes, 1> into{MutableBytes{octet}};
  if (s.client().receive(connection, into, s.now()) != 0) broken("a program is told nothing");
  return "end of stream";
}

std::string row(const Case& c) {
  Stage s({.watched = kClient, .settings = c.settings});
  const auto pair = s.open();
  const trace::Counters before = s.client().counters();
  const stack::Handle another = c.play(s, pair);
  const stack::Handle handle = another ? another : pair.client;
  s.run(Duration::seconds(20'000));
  const trace::Cause cause = trace::cause_of(s.last_change());
  if (cause == trace::Cause::kNone) broken("a connection ends without a cause");
  if (c.told) {
    const auto ending = s.client().ending(handle);
    if (!ending || ending->cause != cause) broken("a program is told another cause");
  }
  return fmt::format("| {} | `{}` | {} | `{}` | {} |\n", c.what, trace::name(cause),
                     c.told ? told(s, handle) : "nothing: it has closed", trace::name(s.last_change()),
                     counted(before, s.client().counters()));
}

constexpr stack::Handle kTheSame{};

// A connection to somewhere else, where nobody or no host is.
stack::Handle connect_to(Stage& s, const wire::IpAddress& address, std::uint16_t port) {
  const stack::ConnectOptions options{.local = {wire::IpAddress::any(wire::Family::kIpv4), 40'002}};
  return must(s.client().connect({address, port}, options, s.now()), "connect");
}

std::string endings() {
  const std::array cases{
      Case{"both ends close",
           true,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.shutdown(kClient, c.client);
             s.close(kServer, c.server);
             return kTheSame;
           }},
      Case{"the peer resets",
           true,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.abort(kServer, c.server);
             return kTheSame;
           }},
      Case{"nobody listens",
           true,
           {},
           [](Stage& s, const Stage::Pair&) {
             return connect_to(s, s.network().address(kServer, wire::Family::kIpv4), 81);
           }},
      Case{"no host is there",
           true,
           {},
           [](Stage& s, const Stage::Pair&) { return connect_to(s, wire::IpAddress::v4(10, 77, 0, 9), 80); }},
      Case{"a router says that no host is there",
           true,
           {},
           [](Stage& s, const Stage::Pair&) {
             s.answer_with_icmp(wire::IcmpKind::kPortUnreachable);
             return connect_to(s, wire::IpAddress::v4(10, 77, 0, 9), 80);
           }},
      Case{"data stays unacknowledged",
           true,
           {},
           [](Stage& s, const Stage::Pair& c) {
             send_into_nothing(s, c);
             return kTheSame;
           }},
      Case{"the same, with a user timeout",
           true,
           {},
           [](Stage& s, const Stage::Pair& c) {
             user_timeout(s, c);
             return kTheSame;
           }},
      Case{"keep-alive probes stay unanswered",
           true,
           {},
           [](Stage& s, const Stage::Pair& c) {
             keep_alive(s, c);
             return kTheSame;
           }},
      Case{"the program aborts",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.abort(kClient, c.client);
             return kTheSame;
           }},
      Case{"it closes with linger time 0",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.set_options(kClient, c.client, {.linger = Duration::zero()});
             s.close(kClient, c.client);
             return kTheSame;
           }},
      Case{"its linger time of 5 s runs out",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.set_options(kClient, c.client, {.linger = Duration::seconds(5)});
             close_with_data_into_nothing(s, c);
             return kTheSame;
           }},
      Case{"it closes with data unread",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.send_octets(kServer, c.server, 100);
             s.run_ms(100);
             s.close(kClient, c.client);
             return kTheSame;
           }},
      Case{"data comes after it closed",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             s.close(kClient, c.client);
             s.run_ms(100);
             s.send_octets(kServer, c.server, 100);
             return kTheSame;
           }},
      Case{"it closes, and the peer never does",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             close_alone(s, c);
             return kTheSame;
           }},
      Case{"it closes, and the peer vanishes",
           false,
           {},
           [](Stage& s, const Stage::Pair& c) {
             close_into_nothing(s, c);
             return kTheSame;
           }},
      Case{"it closes, one orphan too many", false, [](tcp::Settings& t) { t.tcp_max_orphans = 0; },
           [](Stage& s, const Stage::Pair& c) {
             s.send_octets(kClient, c.client, 100);
             s.close(kClient, c.client);
             return kTheSame;
           }},
      Case{"the stack is shut down",
           true,
           {},
           [](Stage& s, const Stage::Pair&) {
             s.client().shut_down(s.now());
             return kTheSame;
           }},
  };
  std::string out =
      "| what happens | cause | the program is told | reason | counters |\n|---|---|---|---|---|\n";
  for (const Case& c : cases) out += row(c);
  return out;
}

constexpr std::array kClosingTables{
    Exhibit{"endings", endings, Exhibit::Form::kMarkdown},
    Exhibit{"close_times", close_times, Exhibit::Form::kMarkdown},
};

}  // namespace

std::span<const Exhibit> closing_tables() {
  return kClosingTables;
}

}  // namespace synfin::ladders
