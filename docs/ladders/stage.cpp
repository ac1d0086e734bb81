// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include <fmt/format.h>

#include <cstdlib>
#include <span>
#include <utility>

#include "synfin/view/text.h"
#include "synfin/wire/packet.h"

namespace synfin::ladders {

void broken(std::string_view what) {
  fmt::print(stderr, "synfin-ladders: a scene does not go as written: {}\n", what);
  std::exit(1);
}

sim::NetworkOptions Stage::network_options(const StageOptions& options) {
  sim::NetworkOptions o;
  o.seed = 9293;
  o.settings.tcp_timestamps = false;
  if (options.settings) options.settings(o.settings);
  o.faults = {{.delay = kOneWay}, {.delay = kOneWay}};
  o.sinks = {nullptr, nullptr};
  o.sinks[options.watched] = this;
  return o;
}

Stage::Stage(const StageOptions& options)
    : watched_(options.watched),
      family_(options.family),
      ladder_([this](std::string_view line) { text_ += line; }, {.width = kWidth}),
      network_(network_options(options)) {
  network_.set_tap([this](const sim::Sighting& s) { sighted(s); });
}

stack::Handle Stage::listen(const stack::ListenOptions& options) {
  const bool drew = std::exchange(drawing_, false);
  const auto listener =
      must(server().listen({network_.address(kServer, family_), kServerPort}, options, now()), "listen");
  drawing_ = drew;
  return listener;
}

stack::Handle Stage::connect(std::uint16_t port, bool fast_open) {
  const stack::ConnectOptions options{.local = {wire::IpAddress::any(family_), port}, .fast_open = fast_open};
  return must(client().connect({network_.address(kServer, family_), kServerPort}, options, now()), "connect");
}

stack::Handle Stage::connect_to(const wire::IpAddress& nobody) {
  const stack::ConnectOptions options{.local = {wire::IpAddress::any(family_), kClientPort}};
  return must(client().connect({nobody, kServerPort}, options, now()), "connect");
}

void Stage::send(std::size_t host, stack::Handle connection, std::string_view text) {
  const std::array<Bytes, 1> data{std::as_bytes(std::span{text})};
  if (must(network_.host(host).send(connection, data, now()), "send") != text.size()) broken("send");
}

stack::Handle Stage::accept(stack::Handle listener) {
  const auto connection = must(server().accept(listener, now()), "accept");
  if (watched_ == kServer && only_ == 0) say("program: accept");
  return connection;
}

void Stage::run_until_failed(stack::Handle connection) {
  const auto failed = [&] { return client().failure(connection) != tcp::Error::kWouldBlock; };
  if (!network_.run_until(failed, Duration::seconds(1000))) broken("a connect never fails");
}

void Stage::lose(std::size_t from, std::string what, Predicate predicate) {
  losses_.push_back(std::move(what));
  network_.drop_next(from, std::move(predicate));
}

void Stage::forge(const wire::Endpoint& from, wire::Flags flags, std::uint32_t seq) {
  const wire::IpHeader ip{.source = from.address,
                          .destination = network_.address(kServer, from.address.family()),
                          .protocol = wire::protocol::kTcp};
  wire::TcpHeader tcp;
  tcp.source_port = from.port;
  tcp.destination_port = kServerPort;
  tcp.flags = flags;
  tcp.seq = wire::SeqNum{seq};
  tcp.window = {64240};
  if (flags.syn()) {
    tcp.options.present = wire::TcpOptions::kMss;
    tcp.options.mss = 1460;
  }
  wire::Frame frame;
  wire::emit_tcp_packet(ip, tcp, frame, wire::FillChecksum::kYes);
  network_.inject(kServer, std::move(frame));
}

void Stage::sighted(const sim::Sighting& s) {
  if (s.fate == sim::Sighting::Fate::kLost) {
    if (losses_.empty()) broken("something was lost that nobody asked for");
    const std::string what = std::move(losses_.front());
    losses_.erase(losses_.begin());
    say("✗ " + what);
  }
  if (on_sent_) on_sent_(s);
}

void Stage::on_event(const trace::Event& e) {
  if (!drawing_ || (only_ != 0 && e.tuple.remote.port != only_)) return;
  if (epoch_.is_never()) epoch_ = e.at;
  ladder_.on_event(e);
}

void Stage::say(std::string_view text) {
  if (!drawing_) return;
  ladder_.finish();  // what it holds back belongs before
  std::string time = epoch_.is_never() ? std::string{} : view::seconds_text(now() - epoch_, 6);
  text_ += rails_.row({});
  for (const std::string& line : view::wrap(text, rails_.inner() - 2)) {
    const std::string middle = " " + line;
    text_ += rails_.row({.time = time, .middle = middle});
    time.clear();
  }
}

std::string Stage::drawing() {
  if (!network_.all_dropped() || !losses_.empty()) broken("what was to be lost never came");
  ladder_.finish();
  return text_;
}

}  // namespace synfin::ladders
