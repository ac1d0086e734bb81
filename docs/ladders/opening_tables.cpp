// SPDX-License-Identifier: Apache-2.0
//
// The tables of docs/opening.md that say what Synfin does: measured, each row by playing it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "exhibits.h"
#include "probe.h"
#include "stage.h"
#include "synfin/view/flood_text.h"
#include "synfin/view/text.h"

namespace synfin::ladders {
namespace {

using trace::Reason;
using wire::Flags;
using wire::TcpOptions;

constexpr std::uint16_t kFirst = 40001;  // the peer's ports
constexpr Duration kTick = Duration::milliseconds(10);

// Retransmission times.

struct Attempts {
  std::vector<double> sent;  // seconds after the first
  double gave_up = 0;
};

/// Waits until the one connection of the probe has ended, and notes when something was sent.
Attempts watch(Probe& probe, Instant began) {
  Attempts a{.sent = {0}};
  while (!probe.ended()) {
    if (probe.wait(kTick).answered()) a.sent.push_back((probe.now() - began).as_seconds());
    if (probe.now() - began > Duration::seconds(1000)) broken("an attempt never ends");
  }
  a.gave_up = (*probe.ended() - began).as_seconds();
  return a;
}

std::string attempts_row(std::uint32_t retries, bool standard, const Attempts& a) {
  std::vector<std::string> times;
  for (const double t : a.sent) times.push_back(fmt::format("{:.0f}", t));
  return fmt::format("| {}{} | {} | {:.0f} s |\n", retries, standard ? " (default)" : "",
                     fmt::join(times, ", "), a.gave_up);
}

std::string syn_times() {
  std::string out = "| `tcp_syn_retries` | SYNs leave after … s | given up after |\n|---|---|---|\n";
  for (const std::uint32_t retries : {1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    Probe probe([&](tcp::Settings& s) { s.tcp_syn_retries = retries; });
    const Instant began = probe.now();
    (void)probe.connect();
    out += attempts_row(retries, retries == tcp::Settings{}.tcp_syn_retries, watch(probe, began));
  }
  return out;
}

std::string syn_ack_times() {
  std::string out = "| `tcp_synack_retries` | SYN-ACKs leave after … s | forgotten after |\n|---|---|---|\n";
  for (const std::uint32_t retries : {0u, 1u, 2u, 3u, 4u, 5u}) {
    Probe probe([&](tcp::Settings& s) { s.tcp_synack_retries = retries; });
    (void)probe.listen();
    const Instant began = probe.now();
    (void)probe.syn(kFirst);
    out += attempts_row(retries, retries == tcp::Settings{}.tcp_synack_retries, watch(probe, began));
  }
  return out;
}

// Full queues.

std::string_view answer_text(const Outcome& o) {
  if (!o.answered()) return "no answer";
  const Flags f = o.answers.front().flags;
  if (f.rst()) return "reset";
  if (o.reason == Reason::kSynCookieSent) return "SYN-ACK with a cookie";
  if (f.syn()) return "SYN-ACK";
  return "ACK";
}

std::string cell(const Outcome& o) {
  return fmt::format("{} (`{}`)", answer_text(o), trace::name(o.reason));
}

struct Mode {
  std::uint32_t cookies = 0;
  bool abort = false;
};

Probe with(const Mode& mode) {
  return Probe([mode](tcp::Settings& s) {
    s.tcp_syncookies = mode.cookies;
    s.tcp_abort_on_overflow = mode.abort;
  });
}

std::string syn_at_full_syn_queue(const Mode& mode) {
  Probe probe = with(mode);
  (void)probe.listen({.backlog = 0});
  (void)probe.syn(kFirst);
  return cell(probe.syn(kFirst + 1));
}

std::string syn_at_full_accept_queue(const Mode& mode) {
  Probe probe = with(mode);
  (void)probe.listen({.backlog = 1});
  probe.open(kFirst);
  probe.open(kFirst + 1);
  return cell(probe.syn(kFirst + 2));
}

std::string third_of_record(const Mode& mode) {
  if (mode.cookies == 2) return "there are no records";
  Probe probe = with(mode);
  (void)probe.listen({.backlog = 2});
  probe.open(kFirst);
  probe.open(kFirst + 1);
  (void)probe.syn(kFirst + 2);
  const wire::TcpHeader theirs = probe.syn(kFirst + 3).answers.front();
  (void)probe.third(kFirst + 3);
  // The SYN-ACK of the other, again.
  if (theirs.destination_port != kFirst + 3 || !probe.syn(kFirst + 2).answered()) broken("third_of_record");
  return cell(probe.third(kFirst + 2));
}

std::string third_with_cookie(const Mode& mode) {
  if (mode.cookies == 0) return "no cookie is believed";
  Probe probe = with(mode);
  (void)probe.listen({.backlog = 0});
  (void)probe.syn(kFirst + 2);  // takes the one place of the SYN queue
  const wire::TcpHeader first = probe.syn(kFirst).answers.front();
  (void)probe.syn(kFirst + 1);
  (void)probe.third(kFirst + 1);
  wire::TcpHeader third;
  third.seq = wire::SeqNum{Probe::kIrs + 1};
  third.ack = first.seq + 1;
  third.flags = Flags::kAck;
  return cell(probe.segment(kFirst, third));
}

std::string full_queues() {
  struct Case {
    std::string_view what;
    std::string (*play)(const Mode&);
  };
  constexpr std::array kCases{
      Case{"SYN; SYN queue full", syn_at_full_syn_queue},
      Case{"SYN; accept queue full", syn_at_full_accept_queue},
      Case{"third segment of a record; accept queue full", third_of_record},
      Case{"third segment with a cookie; accept queue full", third_with_cookie},
  };
  std::string out =
      "| what arrives | `tcp_abort_on_overflow` | `tcp_syncookies` 0 | 1 (default) | 2 "
      "|\n|---|---|---|---|---|\n";
  for (const Case& c : kCases) {
    std::array<std::array<std::string, 3>, 2> cells;
    for (std::uint32_t abort = 0; abort < 2; ++abort) {
      for (std::uint32_t cookies = 0; cookies < 3; ++cookies)
        cells[abort][cookies] = c.play({cookies, abort == 1});
    }
    const bool same = cells[0] == cells[1];
    for (std::uint32_t abort = 0; abort < (same ? 1u : 2u); ++abort) {
      out += fmt::format("| {} | {} | {} |\n", abort == 0 ? c.what : "the same",
                         same ? "0 or 1" : fmt::format("{}", abort), fmt::join(cells[abort], " | "));
    }
  }
  return out;
}

// Counters.

class CounterTable {
 public:
  void row(std::string_view what, const Outcome& o) {
    text_ += fmt::format("| {} | {} | {} |\n", what, reason(o), o.counters.empty() ? "none" : o.counters);
  }
  std::string text() && { return std::move(text_); }

 private:
  static std::string reason(const Outcome& o) {
    return o.reason == Reason::kNone ? std::string{"–"} : fmt::format("`{}`", trace::name(o.reason));
  }
  std::string text_ = "| what happens | reason | counters that move |\n|---|---|---|\n";
};

void count_passive(CounterTable& t) {
  Probe probe;
  (void)probe.listen();
  t.row("SYN, there is room", probe.syn(kFirst));
  t.row("the same SYN again", probe.syn(kFirst));
  t.row("no third segment for 1 s: SYN-ACK again", probe.wait(Duration::milliseconds(1100)));
  t.row("third segment with a wrong acknowledgement", probe.third(kFirst, 5));
  t.row("third segment", probe.third(kFirst));
  (void)probe.syn(kFirst + 1);
  t.row("the peer resets a half-open connection", probe.reset(kFirst + 1));
  Probe patient([](tcp::Settings& s) { s.tcp_synack_retries = 0; });
  (void)patient.listen();
  (void)patient.syn(kFirst);
  t.row("the last SYN-ACK's time is up", patient.wait(Duration::milliseconds(1100)));
}

void count_queues(CounterTable& t) {
  for (const std::uint32_t cookies : {0u, 1u}) {
    Probe probe = with({cookies, false});
    (void)probe.listen({.backlog = 0});
    (void)probe.syn(kFirst);
    t.row(fmt::format("SYN queue full, `tcp_syncookies` {}", cookies), probe.syn(kFirst + 1));
    if (cookies == 0) continue;
    t.row("third segment with a bad cookie", probe.third(kFirst + 1, 256));
    t.row("third segment with a good cookie", probe.third(kFirst + 1));
  }
  for (const bool abort : {false, true}) {
    Probe probe = with({1, abort});
    (void)probe.listen({.backlog = 2});
    probe.open(kFirst);
    probe.open(kFirst + 1);
    (void)probe.syn(kFirst + 2);
    (void)probe.syn(kFirst + 3);
    (void)probe.third(kFirst + 3);
    if (!abort) t.row("SYN, accept queue full", probe.syn(kFirst + 4));
    (void)probe.syn(kFirst + 2);
    t.row(fmt::format("third segment, accept queue full, `tcp_abort_on_overflow` {}", abort ? 1 : 0),
          probe.third(kFirst + 2));
  }
}

void count_special(CounterTable& t) {
  Probe deferring;
  (void)deferring.listen({.defer_accept = Duration::seconds(5)});
  (void)deferring.syn(kFirst);
  t.row("third segment without data, `TCP_DEFER_ACCEPT`", deferring.third(kFirst));

  Probe fast([](tcp::Settings& s) { s.tcp_fastopen = 3; });
  (void)fast.listen({.fast_open = 1});
  TcpOptions wish;
  wish.present = TcpOptions::kFastOpen;
  const Outcome asked = fast.syn(kFirst, wish);
  t.row("SYN that asks for a Fast Open cookie", asked);
  TcpOptions given;
  given.present = TcpOptions::kFastOpen;
  given.cookie = asked.answers.front().options.cookie;
  given.cookie_size = asked.answers.front().options.cookie_size;
  t.row("SYN with a good Fast Open cookie", fast.syn(kFirst + 1, given));
  t.row("another, beyond the listener's limit", fast.syn(kFirst + 2, given));
  given.cookie[0] ^= std::byte{1};
  t.row("SYN with a bad Fast Open cookie", fast.syn(kFirst + 3, given));

  Probe holding;
  (void)holding.listen({.hold = true, .hold_limit = 1});
  t.row("SYN for a listener that holds", holding.syn(kFirst));
  t.row("another, beyond the listener's limit", holding.syn(kFirst + 1));
}

void count_active(CounterTable& t) {
  Probe probe;
  const Outcome called = probe.connect();
  t.row("`connect`", called);
  t.row("no answer for 1 s: SYN again", probe.wait(Duration::milliseconds(1100)));
  t.row("reset in answer to the SYN",
        probe.answer_syn(called.answers.front(), Flags{Flags::kRst | Flags::kAck}));
  Probe lonely([](tcp::Settings& s) { s.tcp_syn_retries = 0; });
  (void)lonely.connect();
  t.row("the last SYN's time is up", lonely.wait(Duration::milliseconds(1100)));
}

std::string counters() {
  CounterTable t;
  count_passive(t);
  count_queues(t);
  count_special(t);
  count_active(t);
  return std::move(t).text();
}

// Floods: the line on standard error, as `synfin serve` writes it.

std::string lines_of(const std::vector<trace::FloodReport>& reports) {
  std::string out;
  for (const trace::FloodReport& r : reports) {
    if (!out.empty()) out += "\n";
    for (const std::string& line : view::wrap("synfin: " + view::describe(r), 98)) out += line + "\n";
  }
  return out;
}

constexpr int kSteps = 300;  // of kTick: 3 s

std::string flood_spoofed() {
  Probe probe;
  (void)probe.listen();
  SeededEntropy sources(1);
  for (int i = 0; i < kSteps; ++i, (void)probe.wait(kTick)) {
    for (int k = 0; k < 20; ++k) {
      const std::uint32_t a = sources.u32();
      const auto octet = [a](int shift) { return static_cast<std::uint8_t>(a >> shift); };
      (void)probe.syn_from(
          wire::IpAddress::v4(static_cast<std::uint8_t>(11 + octet(24) % 80), octet(16), octet(8), octet(0)),
          kFirst);
    }
  }
  (void)probe.wait(Duration::seconds(6));
  return lines_of(probe.floods());
}

std::string flood_few() {
  Probe probe;
  (void)probe.listen();
  for (int i = 0; i < kSteps; ++i, (void)probe.wait(kTick)) {
    for (std::uint16_t k = 0; k < 20; ++k) {
      const auto host = static_cast<std::uint8_t>(1 + k % 3);
      const auto port = static_cast<std::uint16_t>(1024 + (i * 20 + k) % 60000);
      (void)probe.syn_from(wire::IpAddress::v4(192, 0, 2, host), port);
    }
  }
  return lines_of({probe.floods().front()});
}

std::string flood_slow() {
  Probe probe;
  (void)probe.listen({.backlog = 40});
  for (std::uint16_t i = 0; i < kSteps; ++i, (void)probe.wait(kTick)) {
    if (i % 2 == 0) probe.open(static_cast<std::uint16_t>(kFirst + i));
  }
  return lines_of({probe.floods().front()});
}

std::string flood_lost() {
  Probe probe;
  (void)probe.listen();
  for (std::uint16_t i = 0; i < kSteps; ++i, (void)probe.wait(kTick)) {
    if (i % 4 == 0) (void)probe.syn(static_cast<std::uint16_t>(kFirst + i));
    if (i % 4 == 0 && i >= 100) (void)probe.syn(static_cast<std::uint16_t>(kFirst + i - 100));
  }
  return lines_of({probe.floods().front()});
}

constexpr std::array kOpeningTables{
    Exhibit{"syn_times", syn_times, Exhibit::Form::kMarkdown},
    Exhibit{"syn_ack_times", syn_ack_times, Exhibit::Form::kMarkdown},
    Exhibit{"full_queues", full_queues, Exhibit::Form::kMarkdown},
    Exhibit{"counters", counters, Exhibit::Form::kMarkdown},
    Exhibit{"flood_spoofed", flood_spoofed},
    Exhibit{"flood_few", flood_few},
    Exhibit{"flood_slow", flood_slow},
    Exhibit{"flood_lost", flood_lost},
};

}  // namespace

std::span<const Exhibit> opening_tables() {
  return kOpeningTables;
}

}  // namespace synfin::ladders
