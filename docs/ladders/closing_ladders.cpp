// SPDX-License-Identifier: Apache-2.0
//
// The ladders of docs/closing.md: each function plays one scene and returns its drawing.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "exhibits.h"
#include "stage.h"

namespace synfin::ladders {
namespace {

using wire::Flags;

const StageOptions kWatchClient{.watched = kClient, .family = wire::Family::kIpv4, .settings = {}};

// In order.

std::string close_first() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.close(kClient, c.client);
  s.run_ms(300);
  s.close(kServer, c.server);
  s.run(Duration::seconds(61));
  return s.drawing();
}

std::string close_second() {
  Stage s;
  const auto c = s.open();
  s.shutdown(kClient, c.client);
  s.run_ms(110);
  s.say("program: reads the end of the stream, and has something left to say");
  s.send_octets(kServer, c.server, 500);
  s.close(kServer, c.server);
  s.run_ms(200);
  return s.drawing();
}

std::string close_three() {
  Stage s;
  const auto c = s.open();
  // A program that closes as soon as it reads the end of the stream.
  s.network().set_on_step([&] {
    while (const auto event = s.server().poll_event()) {
      if ((event->what & stack::kPeerClosed) != 0) s.close(kServer, c.server);
    }
  });
  s.close(kClient, c.client);
  s.run_ms(100);
  return s.drawing();
}

std::string fin_with_data() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.send(kClient, c.client, "QUIT\r\n");
  s.close(kClient, c.client);
  s.run_ms(100);
  s.read(kServer, c.server);
  s.close(kServer, c.server);
  s.run_ms(100);
  return s.drawing();
}

std::string half_close() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.shutdown(kClient, c.client);
  for (int hour = 1; hour <= 2; ++hour) {
    s.run(Duration::seconds(3600));
    s.send_octets(kServer, c.server, 1000);
    s.run_ms(100);
    s.read(kClient, c.client);
  }
  s.close(kServer, c.server);
  s.run_ms(100);
  return s.drawing();
}

std::string close_simultaneous() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.close(kClient, c.client);
  s.close(kServer, c.server);
  s.run_ms(100);
  return s.drawing();
}

std::string close_simultaneous_loss() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.lose(kClient, "our FIN, which crosses the peer's, is lost on the way", is_fin);
  s.close(kClient, c.client);
  s.close(kServer, c.server);
  s.run_ms(1000);
  return s.drawing();
}

// Lost segments.

std::string fin_lost() {
  Stage s(kWatchClient);
  const auto c = s.open();
  s.lose(kClient, "our FIN is lost on the way", is_fin);
  s.close(kClient, c.client);
  s.run_ms(500);
  return s.drawing();
}

// Closes `c` in order up to the client's last ACK, which is lost.
void lose_last_ack(Stage& s, const Stage::Pair& c) {
  s.close(kClient, c.client);
  s.run_ms(50);
  s.lose(kClient, "the last ACK is lost on the way", is_ack);
  s.close(kServer, c.server);
}

std::string last_ack_lost() {
  Stage s(kWatchClient);
  const auto c = s.open();
  lose_last_ack(s, c);
  s.run_ms(500);
  return s.drawing();
}

std::string last_ack_lost_no_time_wait() {
  Stage s;
  s.client().settings().msl = Duration::milliseconds(1);
  const auto c = s.open();
  lose_last_ack(s, c);
  s.run_ms(500);
  return s.drawing();
}

// Old duplicates.

/// A fast connection: its numbers run ahead of the clock that the next one's initial number is taken from.
/// The client closes first. A copy of one of its segments is still on the way; returns it.
std::shared_ptr<wire::Frame> play_fast_connection(Stage& s) {
  constexpr std::uint32_t kStrayAt = 44'000;
  auto stray = std::make_shared<wire::Frame>();
  s.draw(false);
  const auto c = s.open();
  s.on_sent([&s, stray](const sim::Sighting& seen) {
    if (seen.from != kClient || seen.packet->payload_size == 0 || stray->size() != 0) return;
    if (static_cast<std::uint32_t>(seen.packet->tcp.seq - s.isn(kClient)) < kStrayAt) return;
    *stray = seen.frame->share();
  });
  s.send_octets(kClient, c.client, 41 * 1460);  // whole segments: Nagle's algorithm holds nothing back
  s.run_ms(85);
  s.read(kServer, c.server);
  s.draw(true);
  s.close(kClient, c.client);
  s.run_ms(25);
  s.close(kServer, c.server);
  s.run_ms(25);
  s.on_sent(nullptr);
  if (stray->size() == 0) broken("nothing is left on the way");
  return stray;
}

/// Where a segment lies in a connection with this initial number.
std::uint32_t offset_of(const wire::Frame& frame, wire::SeqNum isn) {
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip) broken("an unreadable segment");
  const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kNo);
  if (!packet) broken("an unreadable segment");
  return static_cast<std::uint32_t>(packet->tcp.seq - isn);
}

std::string old_data_no_time_wait() {
  Stage s({.settings = [](tcp::Settings& t) { t.msl = Duration::milliseconds(1); }});
  const auto stray = play_fast_connection(s);
  const auto client = s.connect();
  s.run_ms(50);
  const auto server = s.accept(s.listener());
  s.say("a segment of the old connection, long delayed, arrives");
  const std::size_t before_it = offset_of(*stray, s.isn(kClient)) - 1;
  s.network().inject(kServer, std::move(*stray));
  s.run_ms(1);
  s.send(kClient, client, std::string(before_it, 'n'));
  s.run_ms(35);
  const std::string heard = s.read_text(kServer, server);
  s.say(fmt::format("program: reads {} octets; the peer has sent {}, the last {} are the old connection's",
                    heard.size(), std::ranges::count(heard, 'n'), std::ranges::count(heard, 'x')));
  return s.drawing();
}

std::string old_data_time_wait() {
  Stage s;
  const auto stray = play_fast_connection(s);
  const stack::ConnectOptions same_port{.local = {wire::IpAddress::any(wire::Family::kIpv4), kClientPort}};
  const auto refused = s.client().connect({s.network().address(kServer, wire::Family::kIpv4), kServerPort},
                                          same_port, s.now());
  if (refused) broken("TIME-WAIT is to refuse");
  s.say("the peer's program: connect from the same port fails: " +
        std::string{tcp::message(refused.error())});
  s.network().inject(kServer, std::move(*stray));
  s.run_ms(50);
  return s.drawing();
}

// TIME-WAIT.

/// Closes by the client; `stray` from the server comes while it is in TIME-WAIT.
std::string assassination(bool rfc1337) {
  Stage s({.watched = kClient, .settings = [=](tcp::Settings& t) { t.tcp_rfc1337 = rfc1337; }});
  const auto c = s.open();
  s.send_octets(kServer, c.server, 1000);
  s.run_ms(100);
  s.read(kClient, c.client);
  s.close(kClient, c.client);
  s.run_ms(50);
  s.close(kServer, c.server);
  s.run_ms(1000);
  s.say("a copy of the peer's data, long delayed, arrives");
  s.forge({.to = kClient, .flags = Flags::kAck, .seq = 1, .ack = 1, .payload = 1000});
  s.run_ms(100);
  return s.drawing();
}
std::string assassination_off() {
  return assassination(false);
}
std::string assassination_on() {
  return assassination(true);
}

std::string reopened_by_number() {
  Stage s;
  const auto c = s.open();
  s.close(kServer, c.server);
  s.run_ms(50);
  s.close(kClient, c.client);
  s.run(Duration::seconds(5));
  s.say("the peer connects again from the same port");
  (void)s.connect();
  s.run_ms(100);
  return s.drawing();
}

std::string reopened_by_timestamp() {
  Stage s({.settings = [](tcp::Settings& t) { t.tcp_timestamps = true; }});
  s.draw(false);
  const auto c = s.open();
  s.send_octets(kClient, c.client, 41 * 1448);  // whole segments: Nagle's algorithm holds nothing back
  s.run_ms(85);
  s.read(kServer, c.server);
  s.draw(true);
  s.close(kServer, c.server);
  s.run_ms(20);
  s.close(kClient, c.client);
  s.run_ms(20);
  s.say("the peer connects again from the same port");
  (void)s.connect();
  s.run_ms(50);
  return s.drawing();
}

std::string reused_by_connect() {
  Stage s({.watched = kClient, .settings = [](tcp::Settings& t) {
             t.tcp_timestamps = true;
             t.tcp_tw_reuse = 1;
           }});
  const auto c = s.open();
  s.close(kClient, c.client);
  s.run_ms(50);
  s.close(kServer, c.server);
  s.run(Duration::seconds(2));
  (void)s.connect();
  s.run_ms(50);
  return s.drawing();
}

constexpr std::array kClosingLadders{
    Exhibit{"close_first", close_first},
    Exhibit{"close_second", close_second},
    Exhibit{"close_three", close_three},
    Exhibit{"fin_with_data", fin_with_data},
    Exhibit{"half_close", half_close},
    Exhibit{"close_simultaneous", close_simultaneous},
    Exhibit{"close_simultaneous_loss", close_simultaneous_loss},
    Exhibit{"fin_lost", fin_lost},
    Exhibit{"last_ack_lost", last_ack_lost},
    Exhibit{"last_ack_lost_no_time_wait", last_ack_lost_no_time_wait},
    Exhibit{"old_data_no_time_wait", old_data_no_time_wait},
    Exhibit{"old_data_time_wait", old_data_time_wait},
    Exhibit{"assassination_off", assassination_off},
    Exhibit{"assassination_on", assassination_on},
    Exhibit{"reopened_by_number", reopened_by_number},
    Exhibit{"reopened_by_timestamp", reopened_by_timestamp},
    Exhibit{"reused_by_connect", reused_by_connect},
};

}  // namespace

std::span<const Exhibit> closing_ladders() {
  return kClosingLadders;
}

}  // namespace synfin::ladders
