// SPDX-License-Identifier: Apache-2.0
//
// The ladders of docs/opening.md: each function plays one scene and returns its drawing.
#include <array>

#include "exhibits.h"
#include "stage.h"
#include "synfin/wire/icmp.h"

namespace synfin::ladders {
namespace {

using wire::Flags;
using wire::IpAddress;

/// What the program is told of its connect.
std::string with_failure(Stage& s, stack::Handle connection) {
  s.say("program: connect fails: " + std::string{tcp::message(s.client().failure(connection))});
  return s.drawing();
}

constexpr std::string_view kRequest = "GET / HTTP/1.0\r\n\r\n";

std::string plain() {
  Stage s;
  s.listen();
  s.connect();
  s.run_ms(100);
  return s.drawing();
}

// The client's host is there, but knows nothing of that SYN any more.
std::string old_syn() {
  Stage s;
  s.listen();
  s.forge({s.network().address(kClient, wire::Family::kIpv4), kClientPort}, Flags::kSyn, 3'000'000'000);
  s.run_ms(100);
  return s.drawing();
}

// RFC 9293, figure 8: the old SYN comes while the client tries to open anew.
std::string old_syn_ahead() {
  Stage s({.watched = kClient});
  s.listen();
  s.lose(kClient, "this SYN is lost on the way", is_syn);
  std::uint32_t isn = 0;
  s.on_sent([&isn](const sim::Sighting& seen) {
    if (is_syn(*seen.packet)) isn = seen.packet->tcp.seq.raw();
  });
  s.connect();
  s.run_ms(1);
  s.forge({s.network().address(kClient, wire::Family::kIpv4), kClientPort}, Flags::kSyn, isn + 1'000'000);
  s.say("but an old SYN of ours has reached the server");
  s.run_ms(1500);
  return s.drawing();
}

std::string lost_syn_ack() {
  Stage s({.watched = kClient});
  s.listen();
  s.lose(kServer, "the server's SYN-ACK is lost on the way", is_syn_ack);
  s.connect();
  s.run_ms(1500);
  return s.drawing();
}

std::string lost_ack_then_data() {
  Stage s;
  const auto listener = s.listen();
  s.lose(kClient, "the client's third segment is lost on the way", is_ack);
  const auto connection = s.connect();
  s.run_ms(300);
  s.send(kClient, connection, kRequest);
  s.run_ms(15);
  s.accept(listener);
  s.run_ms(100);
  return s.drawing();
}

std::string lost_ack_then_silence() {
  Stage s;
  s.listen();
  s.lose(kClient, "the client's third segment is lost on the way", is_ack);
  s.connect();
  s.run_ms(1500);
  return s.drawing();
}

std::string simultaneous() {
  Stage s({.watched = kClient});
  const auto family = wire::Family::kIpv4;
  s.connect();
  (void)must(s.server().connect({s.network().address(kClient, family), kClientPort},
                                {.local = {IpAddress::any(family), kServerPort}}, s.now()),
             "connect");
  s.run_ms(100);
  return s.drawing();
}

std::string cookie() {
  Stage s;
  s.listen({.backlog = 0});
  s.forge({IpAddress::v4(10, 77, 0, 9), 6000}, Flags::kSyn, 77);
  s.run_ms(50);
  s.connect();
  s.run_ms(100);
  return s.drawing();
}

std::string cookie_lost_ack() {
  Stage s{{.settings = [](tcp::Settings& settings) { settings.tcp_syncookies = 2; }}};
  s.listen();
  s.lose(kClient, "the client's third segment is lost on the way", is_ack);
  const auto connection = s.connect();
  s.run_ms(500);
  s.send(kClient, connection, kRequest);
  s.run_ms(100);
  return s.drawing();
}

// Two connections wait in an accept queue of three; two more come at the same time.
void fill_accept_queue(Stage& s) {
  s.draw_only(kClientPort + 3);
  s.connect(kClientPort);
  s.connect(kClientPort + 1);
  s.run_ms(100);
  s.connect(kClientPort + 2);
  s.connect(kClientPort + 3);
}

std::string overflow_ignored() {
  Stage s;
  const auto listener = s.listen({.backlog = 2, .abort_on_overflow = false});
  fill_accept_queue(s);
  s.run_ms(500);
  (void)s.accept(listener);
  s.say("program: accept. One place in the queue is free.");
  s.run_ms(1000);
  return s.drawing();
}

std::string overflow_reset() {
  Stage s;
  s.listen({.backlog = 2, .abort_on_overflow = true});
  fill_accept_queue(s);
  s.run_ms(500);
  return s.drawing();
}

std::string refused() {
  Stage s({.watched = kClient, .family = wire::Family::kIpv6});
  const auto connection = s.connect();
  s.run_ms(20);
  return with_failure(s, connection);
}

// A router answers every SYN to a host that is not there.
std::string icmp(wire::IcmpKind kind) {
  Stage s({.watched = kClient, .settings = [](tcp::Settings& t) { t.tcp_syn_retries = 2; }});
  s.answer_with_icmp(kind);
  const auto connection = s.connect_to(IpAddress::v4(10, 77, 0, 9));
  s.run_until_failed(connection);
  return with_failure(s, connection);
}
std::string icmp_hard() {
  return icmp(wire::IcmpKind::kPortUnreachable);
}
std::string icmp_soft() {
  return icmp(wire::IcmpKind::kHostUnreachable);
}

std::string connect_time_out() {
  Stage s({.watched = kClient, .settings = [](tcp::Settings& t) { t.tcp_syn_retries = 2; }});
  const auto connection = s.connect_to(IpAddress::v4(10, 77, 0, 9));
  s.run_until_failed(connection);
  return with_failure(s, connection);
}

std::string half_open_time_out() {
  Stage s({.settings = [](tcp::Settings& t) { t.tcp_synack_retries = 2; }});
  s.listen();
  s.forge({IpAddress::v4(10, 77, 0, 9), 6000}, Flags::kSyn, 77);
  s.run(Duration::seconds(8));
  return s.drawing();
}

std::string defer_accept() {
  Stage s;
  s.listen({.defer_accept = Duration::seconds(5)});
  const auto connection = s.connect();
  s.run_ms(400);
  s.send(kClient, connection, kRequest);
  s.run_ms(100);
  return s.drawing();
}

void set_fast_open(tcp::Settings& t) {
  t.tcp_fastopen = 3;
}

std::string fast_open_first() {
  Stage s({.settings = set_fast_open});
  s.listen({.fast_open = 16});
  s.send(kClient, s.connect(kClientPort, true), kRequest);
  s.run_ms(25);
  return s.drawing();
}

std::string fast_open_second() {
  Stage s({.settings = set_fast_open});
  const auto listener = s.listen({.fast_open = 16});
  s.draw(false);
  s.connect(kClientPort, true);
  s.run_ms(100);
  s.draw(true);
  s.draw_only(kClientPort + 1);
  (void)s.accept(listener);
  s.send(kClient, s.connect(kClientPort + 1, true), kRequest);
  s.run_ms(11);
  const auto early = s.accept(listener);
  s.say("program: accept, and an answer before the third segment");
  s.send(kServer, early, "HTTP/1.0 204 No Content\r\n\r\n");
  s.run_ms(100);
  return s.drawing();
}

/// Plays a SYN to a listener that holds it; `decide` is the program, 200 ms later.
std::string held(void (*decide)(Stage&, stack::Handle)) {
  Stage s;
  const auto listener = s.listen({.hold = true});
  s.connect();
  s.run_ms(210);
  decide(s, must(s.server().next_pending(listener), "next_pending"));
  s.run_ms(100);
  return s.drawing();
}
std::string held_accepted() {
  return held([](Stage& s, stack::Handle pending) {
    s.say("program: the upstream answers; accept_pending");
    (void)must(s.server().accept_pending(pending, s.now()), "accept_pending");
  });
}
std::string held_rejected() {
  return held([](Stage& s, stack::Handle pending) {
    s.say("program: the upstream refuses; reject_pending");
    if (!s.server().reject_pending(pending, s.now())) broken("reject_pending");
  });
}
std::string held_unreachable() {
  return held([](Stage& s, stack::Handle pending) {
    s.say("program: the upstream cannot be reached; unreachable_pending");
    if (!s.server().unreachable_pending(pending, stack::Unreachable::kHost, s.now()))
      broken("unreachable_pending");
  });
}

constexpr std::array kOpeningLadders{
    Exhibit{"plain", plain},
    Exhibit{"old_syn", old_syn},
    Exhibit{"old_syn_ahead", old_syn_ahead},
    Exhibit{"lost_syn_ack", lost_syn_ack},
    Exhibit{"lost_ack_then_data", lost_ack_then_data},
    Exhibit{"lost_ack_then_silence", lost_ack_then_silence},
    Exhibit{"simultaneous", simultaneous},
    Exhibit{"cookie", cookie},
    Exhibit{"cookie_lost_ack", cookie_lost_ack},
    Exhibit{"overflow_ignored", overflow_ignored},
    Exhibit{"overflow_reset", overflow_reset},
    Exhibit{"refused", refused},
    Exhibit{"icmp_hard", icmp_hard},
    Exhibit{"icmp_soft", icmp_soft},
    Exhibit{"connect_time_out", connect_time_out},
    Exhibit{"half_open_time_out", half_open_time_out},
    Exhibit{"defer_accept", defer_accept},
    Exhibit{"fast_open_first", fast_open_first},
    Exhibit{"fast_open_second", fast_open_second},
    Exhibit{"held_accepted", held_accepted},
    Exhibit{"held_rejected", held_rejected},
    Exhibit{"held_unreachable", held_unreachable},
};

}  // namespace

std::span<const Exhibit> opening_ladders() {
  return kOpeningLadders;
}

}  // namespace synfin::ladders
