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
  o.settings.tcp_wmem = 1 << 20;  // scenes write all at once
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
  listener_ =
      must(server().listen({network_.address(kServer, family_), kServerPort}, options, now()), "listen");
  drawing_ = drew;
  return listener_;
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

void Stage::send_octets(std::size_t host, stack::Handle connection, std::size_t count) {
  send(host, connection, std::string(count, 'x'));
}

std::string Stage::read_text(std::size_t host, stack::Handle connection) {
  std::string all, buffer(65536, '\0');
  const std::array<MutableBytes, 1> into{std::as_writable_bytes(std::span{buffer})};
  for (;;) {
    const auto n = network_.host(host).receive(connection, into, now());
    if (!n || *n == 0) return all;
    all.append(buffer, 0, *n);
  }
}

void Stage::set_options(std::size_t host, stack::Handle connection, const tcp::Options& options) {
  if (!network_.host(host).set_options(connection, options, now())) broken("set_options");
}

void Stage::shutdown(std::size_t host, stack::Handle connection, stack::Shutdown how) {
  if (!network_.host(host).shutdown(connection, how, now())) broken("shutdown");
}

Stage::Pair Stage::open(std::uint16_t port, Duration begin) {
  const auto listener = listen();
  Pair pair;
  pair.client = connect(port);
  run(kOneWay * 3);
  pair.server = must(server().accept(listener, now()), "accept");
  if (!drawing_) return pair;
  if (epoch_ + begin > now()) run(epoch_ + begin - now());
  ladder_.finish();
  // What is left of the drawing is its title.
  text_.resize(text_.rfind('\n', text_.find("│")) + 1);
  const std::string time = view::seconds_text(now() - epoch_, 6);
  text_ += rails_.row({.time = time, .left = "ESTABLISHED", .middle = {}, .right = "ESTABLISHED"});
  return pair;
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

void Stage::forge(const Forged& f) {
  const std::size_t from = 1 - f.to;
  const wire::IpHeader ip{.source = network_.address(from, family_),
                          .destination = network_.address(f.to, family_),
                          .protocol = wire::protocol::kTcp};
  wire::TcpHeader tcp;
  tcp.source_port = from == kClient ? kClientPort : kServerPort;
  tcp.destination_port = from == kClient ? kServerPort : kClientPort;
  tcp.flags = f.flags;
  tcp.seq = isn_[from] + f.seq;
  if (f.flags.ack()) tcp.ack = isn_[f.to] + f.ack;
  if (!f.flags.rst()) tcp.window = {32768};
  wire::Frame frame;
  if (f.payload > 0) frame.add(network_.pool().copy(std::vector<std::byte>(f.payload, std::byte{'?'})));
  wire::emit_tcp_packet(ip, tcp, frame, wire::FillChecksum::kYes);
  network_.inject(f.to, std::move(frame));
}

void Stage::answer_with_icmp(wire::IcmpKind kind) {
  on_sent_ = [this, kind](const sim::Sighting& seen) {
    auto error = wire::make_icmp_error(kind, wire::IpAddress::v4(10, 77, 0, 254), seen.packet->ip,
                                       *seen.frame, network_.pool());
    if (!error) broken("make_icmp_error");
    auto packet = std::make_shared<wire::Frame>(std::move(*error));
    network_.call_at(now() + kOneWay, [this, packet] { network_.inject(kClient, std::move(*packet)); });
  };
}

void Stage::cut_off() {
  cut_off_ = true;
  constexpr std::uint32_t kAll = 1'000'000;
  for (const std::size_t host : {kClient, kServer})
    network_.set_faults(host, {.loss = kAll, .delay = kOneWay});
}

void Stage::sighted(const sim::Sighting& s) {
  if (s.packet != nullptr && s.packet->tcp.flags.syn()) isn_[s.from] = s.packet->tcp.seq;
  if (s.fate == sim::Sighting::Fate::kLost && !cut_off_) {
    if (losses_.empty()) broken("something was lost that nobody asked for");
    const std::string what = std::move(losses_.front());
    losses_.erase(losses_.begin());
    say("✗ " + what);
  }
  if (on_sent_) on_sent_(s);
}

void Stage::on_event(const trace::Event& e) {
  if (e.kind == trace::EventKind::kStateChanged) last_change_ = e.reason;
  const bool of_listener = e.tuple.remote.port == 0 &&
                           (e.kind == trace::EventKind::kStateChanged || e.kind == trace::EventKind::kCall);
  if (!drawing_ || of_listener || (only_ != 0 && e.tuple.remote.port != only_)) return;
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
