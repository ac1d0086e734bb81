// SPDX-License-Identifier: Apache-2.0
//
// The ladders of docs/closing.md in which somebody is reset, gone, or does not answer.
#include <array>

#include "exhibits.h"
#include "stage.h"

namespace synfin::ladders {
namespace {

using wire::Flags;

const StageOptions kWatchSuddenClient{.watched = kClient, .family = wire::Family::kIpv4, .settings = {}};

// Resets.

std::string reset_rules() {
  Stage s;
  (void)s.open();
  s.say("somebody who can only guess sends resets: one far off,");
  s.forge({.flags = Flags::kRst, .seq = 3'000'000'000});
  s.run_ms(1);
  s.say("one inside the window,");
  s.forge({.flags = Flags::kRst, .seq = 1000});
  s.run_ms(50);
  s.say("and one that hits the number");
  s.forge({.flags = Flags::kRst, .seq = 1});
  s.run_ms(1);
  return s.drawing();
}

// Data whose acknowledgement is out of range.
std::string blind_data() {
  Stage s;
  (void)s.open();
  s.say("somebody guesses a number inside the window, but not what has been acknowledged");
  s.forge({.flags = Flags::kAck | Flags::kPsh, .seq = 1, .ack = 3'000'000'000, .payload = 20});
  s.run_ms(50);
  return s.drawing();
}

std::string restarted_peer() {
  Stage s;
  const auto c = s.open();
  s.lose(kClient, "the peer's host loses power; not even a reset arrives",
         [](const wire::TcpPacket& p) { return p.tcp.flags.rst(); });
  s.abort(kClient, c.client);
  s.run(Duration::seconds(30));
  s.say("it is back, and connects from the same port");
  (void)s.connect();
  s.run_ms(1500);
  return s.drawing();
}

std::string unread_data() {
  Stage s;
  const auto c = s.open();
  s.send(kClient, c.client, "something nobody will read\r\n");
  s.run_ms(100);
  s.close(kServer, c.server);
  s.run_ms(20);
  return s.drawing();
}

std::string data_after_close() {
  Stage s(kWatchSuddenClient);
  const auto c = s.open();
  s.close(kClient, c.client);
  s.run_ms(100);
  s.send(kServer, c.server, "more, and more\r\n");
  s.run_ms(50);
  return s.drawing();
}

std::string linger_zero() {
  Stage s(kWatchSuddenClient);
  const auto c = s.open();
  s.set_options(kClient, c.client, {.linger = Duration::zero()});
  s.send_octets(kClient, c.client, 3000);
  s.close(kClient, c.client);
  s.run_ms(50);
  return s.drawing();
}

// Ends that nobody owns.

std::string orphan_fin_wait_2() {
  Stage s(kWatchSuddenClient);
  const auto c = s.open();
  s.close(kClient, c.client);
  s.run(Duration::seconds(61));
  s.say("the peer's program closes at last");
  s.close(kServer, c.server);
  s.run_ms(50);
  return s.drawing();
}

std::string orphan_zero_window() {
  Stage s({.watched = kClient, .settings = [](tcp::Settings& t) {
             t.tcp_rmem = 2048;
             t.tcp_orphan_retries = 3;
           }});
  const auto c = s.open();
  s.send_octets(kClient, c.client, 3000);
  s.run_ms(300);
  s.close(kClient, c.client);
  s.run(Duration::seconds(60));
  return s.drawing();
}

std::string close_wait() {
  Stage s;
  const auto c = s.open();
  s.shutdown(kClient, c.client);
  s.run(Duration::seconds(3600));
  s.say("an hour later; the program has not closed, and nothing will happen until it does");
  s.close(kServer, c.server);
  s.run_ms(50);
  return s.drawing();
}

// A peer that does not answer.

std::string keepalive() {
  Stage s({.watched = kServer, .settings = [](tcp::Settings& t) { t.tcp_keepalive_probes = 3; }});
  const auto c = s.open();
  s.set_options(kServer, c.server, {.keepalive = true});
  s.run(Duration::seconds(7201));
  s.say("the peer's host is switched off");
  s.cut_off();
  s.run(Duration::seconds(8000));
  return s.drawing();
}

std::string user_timeout() {
  Stage s(kWatchSuddenClient);
  const auto c = s.open();
  s.set_options(kClient, c.client, {.user_timeout = Duration::seconds(3)});
  s.cut_off();
  s.say("the cable is pulled");
  s.send(kClient, c.client, "hello?\r\n");
  s.run(Duration::seconds(10));
  return s.drawing();
}

std::string stack_shutdown() {
  Stage s;
  const auto c = s.open();
  s.send_octets(kClient, c.client, 100);
  s.run_ms(100);
  s.say("program: shuts the stack down");
  s.server().shut_down(s.now());
  s.run_ms(50);
  return s.drawing();
}

constexpr std::array kClosingSuddenLadders{
    Exhibit{"reset_rules", reset_rules},
    Exhibit{"blind_data", blind_data},
    Exhibit{"restarted_peer", restarted_peer},
    Exhibit{"unread_data", unread_data},
    Exhibit{"data_after_close", data_after_close},
    Exhibit{"linger_zero", linger_zero},
    Exhibit{"orphan_fin_wait_2", orphan_fin_wait_2},
    Exhibit{"orphan_zero_window", orphan_zero_window},
    Exhibit{"close_wait", close_wait},
    Exhibit{"keepalive", keepalive},
    Exhibit{"user_timeout", user_timeout},
    Exhibit{"stack_shutdown", stack_shutdown},
};

}  // namespace

std::span<const Exhibit> closing_sudden_ladders() {
  return kClosingSuddenLadders;
}

}  // namespace synfin::ladders
