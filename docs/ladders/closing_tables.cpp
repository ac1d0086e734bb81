// SPDX-License-Identifier: Apache-2.0
//
// The tables of docs/closing.md that say what Synfin does: measured, each row by playing it.
#include <fmt/format.h>

#include <array>

#include "exhibits.h"
#include "stage.h"

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
  return s < 600 ? fmt::format("{:.0f} s", s) : fmt::format("{:.0f} s ({:.1f} h)", s, s / 3600);
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
  if (!s.client().set_keepalive(c.client, true, s.now())) broken("set_keepalive");
}
void user_timeout(Stage& s, const Stage::Pair& c) {
  if (!s.client().set_user_timeout(c.client, Duration::seconds(30))) broken("set_user_timeout");
  send_into_nothing(s, c);
}

std::string close_times() {
  const std::array waits{
      Wait{"ESTABLISHED or CLOSE-WAIT, data unacknowledged", "`tcp_retries2` 15", {}, send_into_nothing},
      Wait{"the same, with a user timeout of 30 s", "`set_user_timeout`", {}, user_timeout},
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

constexpr std::array kTables{
    Exhibit{"close_times", close_times, Exhibit::Form::kMarkdown},
};

}  // namespace

std::span<const Exhibit> closing_tables() {
  return kTables;
}

}  // namespace synfin::ladders
