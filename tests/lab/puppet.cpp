// SPDX-License-Identifier: Apache-2.0
//
// A Synfin in a lab that does what a script beside it says, one call at a time, and tells it what it sees.
//   synfin-puppet [--ladder] [NAME=VALUE ...] -- COMMAND...
// COMMAND runs in the lab; the number of the socket to talk through is in SYNFIN_PUPPET. A line is a JSON
// array, such as ["close", 0]; the answer is {"ok": …} or {"error": "…"}. See `Puppet::kCalls`. Exit status:
// that of COMMAND, or 77 where no lab can be made.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "gate.h"
#include "synfin/link/file_descriptor.h"
#include "synfin/link/lab.h"
#include "synfin/runtime/system_entropy.h"
#include "synfin/stack/stack.h"
#include "synfin/view/ladder.h"
#include "synfin/view/text.h"

namespace synfin::lab {
namespace {

using nlohmann::json;
using Call = const std::vector<json>&;

/// What `events` tells of.
class Diary final : public trace::Sink {
 public:
  void on_event(const trace::Event& e) override {
    json line{
        {"local", e.tuple.local.port}, {"remote", e.tuple.remote.port}, {"reason", trace::name(e.reason)}};
    switch (e.kind) {
      case trace::EventKind::kSegmentReceived:
      case trace::EventKind::kSegmentSent:
        line["kind"] = e.kind == trace::EventKind::kSegmentSent ? "sent" : "received";
        line["flags"] = view::flags_text(e.header->flags);
        line["size"] = e.payload_size;
        line["again"] = e.retransmission;
        break;
      case trace::EventKind::kStateChanged:
        line["kind"] = "state";
        line["from"] = trace::name(e.from);
        line["to"] = trace::name(e.to);
        break;
      case trace::EventKind::kTimer:
        line["kind"] = "timer";
        break;
      case trace::EventKind::kCall:
        line["kind"] = "call";
        break;
      case trace::EventKind::kPacketReceived:
      case trace::EventKind::kPacketSent:
      case trace::EventKind::kFlood:
        return;
    }
    lines_.push_back(std::move(line));
  }
  /// All that happened between these two ports.
  json between(int local, int remote) const {
    json found = json::array();
    for (const json& line : lines_) {
      if (line["local"] == local && line["remote"] == remote) found.push_back(line);
    }
    return found;
  }

 private:
  std::vector<json> lines_;
};

class Puppet {
 public:
  /// `ladder` may be null.
  Puppet(std::unique_ptr<link::Link> link, wire::BlockPool& pool, stack::Config config, trace::Sink* ladder)
      : sinks_(&diary_, ladder), gate_(std::move(link)), stack_(std::move(config), pool, entropy_, &sinks_) {}

  /// Serves until the script has closed its end.
  void run(int control);

 private:
  using Handler = json (Puppet::*)(Call);
  static const std::map<std::string, Handler> kCalls;

  static Instant now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return Instant::from_ns(std::chrono::nanoseconds(since).count());
  }
  void move_packets();
  void hear_events();
  bool hear(int control);
  json answer(const std::string& line);

  json set(Call c);
  json listen(Call c);
  json accept(Call c);
  json connect(Call c);
  json send(Call c);
  json receive(Call c);
  json shutdown(Call c);
  json close(Call c);
  json abort(Call c);
  json close_on_fin(Call c);
  json options(Call c);
  json shut_down(Call c);
  json state(Call c);
  json failure(Call c);
  json ending(Call c);
  json events(Call c);
  json counters(Call c);
  json population(Call c);
  json gate(Call c);
  json let(Call c);
  json held(Call c);
  json lost(Call c);

  static json done(const std::expected<void, tcp::Error>& result);
  static wire::Endpoint endpoint(Call c, std::size_t at);
  static Way way(Call c) { return c.at(1) == "in" ? Way::kIn : Way::kOut; }
  static json failed(tcp::Error e) { return {{"error", tcp::message(e)}}; }
  json known(const std::expected<stack::Handle, tcp::Error>& handle);
  stack::Handle handle(Call c) { return handles_.at(c.at(1).get<std::size_t>()); }

  Diary diary_;
  trace::Fork sinks_;
  Gate gate_;
  runtime::SystemEntropy entropy_;
  stack::Stack stack_;
  std::vector<stack::Handle> handles_;
  std::vector<stack::Handle> closing_on_fin_;
  std::array<wire::Frame, 64> sending_;
  std::size_t first_ = 0, end_ = 0;
  std::string heard_;
};

const std::map<std::string, Puppet::Handler> Puppet::kCalls{
    {"set", &Puppet::set},                    // name, value
    {"listen", &Puppet::listen},              // address, port, [backlog] → id
    {"accept", &Puppet::accept},              // id → id
    {"connect", &Puppet::connect},            // address, port, [own port] → id
    {"send", &Puppet::send},                  // id, octets → how many were taken
    {"receive", &Puppet::receive},            // id, at most → how many; 0: end of stream
    {"shutdown", &Puppet::shutdown},          // id, send | receive
    {"close", &Puppet::close},                // id
    {"abort", &Puppet::abort},                // id
    {"close_on_fin", &Puppet::close_on_fin},  // id: as soon as the peer's FIN is there
    {"options", &Puppet::options},            // id, {name: number}, times in ms
    {"shut_down", &Puppet::shut_down},        //
    {"state", &Puppet::state},                // own address, port, peer's address, port → state
    {"failure", &Puppet::failure},            // id → in words
    {"ending", &Puppet::ending},              // id → cause
    {"events", &Puppet::events},              // own port, peer's port → list
    {"counters", &Puppet::counters},          // → those that are not 0
    {"population", &Puppet::population},      //
    {"gate", &Puppet::gate},                  // in | out, pass | hold | drop
    {"let", &Puppet::let},                    // in | out, count
    {"held", &Puppet::held},                  // in | out → list
    {"lost", &Puppet::lost},                  // in | out → how many
};

json Puppet::done(const std::expected<void, tcp::Error>& result) {
  return result ? json{{"ok", true}} : failed(result.error());
}
json Puppet::known(const std::expected<stack::Handle, tcp::Error>& handle) {
  if (!handle) return failed(handle.error());
  handles_.push_back(*handle);
  return {{"ok", handles_.size() - 1}};
}
wire::Endpoint Puppet::endpoint(Call c, std::size_t at) {
  const auto address = wire::IpAddress::parse(c.at(at).get<std::string>());
  if (!address) throw std::invalid_argument("not an address");
  return {*address, c.at(at + 1).get<std::uint16_t>()};
}

json Puppet::set(Call c) {
  const auto set = stack_.settings().set(c.at(1).get<std::string>(), c.at(2).get<std::string>());
  return set ? json{{"ok", true}} : json{{"error", set.error()}};
}
json Puppet::listen(Call c) {
  stack::ListenOptions options;
  if (c.size() > 3) options.backlog = c[3].get<std::uint32_t>();
  return known(stack_.listen(endpoint(c, 1), options, now()));
}
json Puppet::accept(Call c) {
  return known(stack_.accept(handle(c), now()));
}
json Puppet::connect(Call c) {
  const wire::Endpoint remote = endpoint(c, 1);
  const std::uint16_t own = c.size() > 3 ? c[3].get<std::uint16_t>() : std::uint16_t{0};
  const wire::IpAddress any = wire::IpAddress::any(remote.address.family());
  return known(stack_.connect(remote, {.local = {any, own}}, now()));
}
json Puppet::send(Call c) {
  const std::vector<std::byte> text(c.at(2).get<std::size_t>(), std::byte{'s'});
  const std::array<Bytes, 1> data{Bytes{text}};
  const auto taken = stack_.send(handle(c), data, now());
  return taken ? json{{"ok", *taken}} : failed(taken.error());
}
json Puppet::receive(Call c) {
  std::vector<std::byte> text(c.at(2).get<std::size_t>());
  const std::array<MutableBytes, 1> into{MutableBytes{text}};
  const auto taken = stack_.receive(handle(c), into, now());
  return taken ? json{{"ok", *taken}} : failed(taken.error());
}
json Puppet::shutdown(Call c) {
  const auto how = c.at(2) == "send" ? stack::Shutdown::kSend : stack::Shutdown::kReceive;
  return done(stack_.shutdown(handle(c), how, now()));
}
json Puppet::close(Call c) {
  stack_.close(handle(c), now());
  return {{"ok", true}};
}
json Puppet::abort(Call c) {
  stack_.abort(handle(c), now());
  return {{"ok", true}};
}
json Puppet::close_on_fin(Call c) {
  closing_on_fin_.push_back(handle(c));
  return {{"ok", true}};
}
json Puppet::options(Call c) {
  auto options = stack_.options(handle(c));
  if (!options) return failed(options.error());
  for (const auto& [name, value] : c.at(2).items()) {
    const auto ms = Duration::milliseconds(value.get<std::int64_t>());
    if (name == "keepalive") options->keepalive = ms > Duration::zero();
    if (name == "user_timeout") options->user_timeout = ms;
    if (name == "linger") options->linger = ms;
    if (name == "fin_timeout") options->fin_timeout = ms;
  }
  return done(stack_.set_options(handle(c), *options, now()));
}
json Puppet::shut_down(Call) {
  stack_.shut_down(now());
  return {{"ok", true}};
}
json Puppet::state(Call c) {
  return {{"ok", trace::name(stack_.state_of({endpoint(c, 1), endpoint(c, 3)}))}};
}
json Puppet::failure(Call c) {
  return {{"ok", tcp::message(stack_.failure(handle(c)))}};
}
json Puppet::ending(Call c) {
  const auto ending = stack_.ending(handle(c));
  return ending ? json{{"ok", trace::name(ending->cause)}} : failed(ending.error());
}
json Puppet::events(Call c) {
  return {{"ok", diary_.between(c.at(1).get<int>(), c.at(2).get<int>())}};
}
json Puppet::counters(Call) {
  json all = json::object();
  for (std::size_t i = 0; i < std::to_underlying(trace::Counter::kCount); ++i) {
    const auto counter = static_cast<trace::Counter>(i);
    if (const std::uint64_t n = stack_.counters()[counter]) all[std::string{trace::name(counter)}] = n;
  }
  return {{"ok", all}};
}
json Puppet::population(Call) {
  const stack::Population p = stack_.population();
  return {{"ok",
           {{"connections", p.connections},
            {"half_open", p.half_open},
            {"time_wait", p.time_wait},
            {"orphans", p.orphans},
            {"armed_timers", p.armed_timers}}}};
}
json Puppet::gate(Call c) {
  gate_.set(way(c), c.at(2) == "pass"   ? Gate::Mode::kPass
                    : c.at(2) == "hold" ? Gate::Mode::kHold
                                        : Gate::Mode::kDrop);
  return {{"ok", true}};
}
json Puppet::lost(Call c) {
  return {{"ok", gate_.dropped(way(c))}};
}
json Puppet::let(Call c) {
  gate_.let(way(c), c.at(2).get<std::size_t>());
  return {{"ok", true}};
}
json Puppet::held(Call c) {
  return {{"ok", gate_.held(way(c))}};
}

void Puppet::hear_events() {
  while (const auto event = stack_.poll_event()) {
    if ((event->what & stack::kPeerClosed) == 0) continue;
    if (std::erase(closing_on_fin_, event->handle) > 0) stack_.close(event->handle, now());
  }
}

void Puppet::move_packets() {
  std::array<wire::Frame, 64> received;
  for (bool moved = true; moved;) {
    const auto count = gate_.receive(received, now());
    if (!count) throw std::runtime_error(count.error().message);
    moved = *count > 0;
    stack_.receive(std::span(received).first(*count), now());
    stack_.advance(now());
    hear_events();
    if (first_ == end_) {
      first_ = 0;
      end_ = stack_.transmit(sending_, now());
    }
    if (first_ == end_ && !gate_.has_output()) continue;
    const auto sent = gate_.send(std::span(sending_).subspan(first_, end_ - first_), now());
    if (!sent) throw std::runtime_error(sent.error().message);
    first_ += *sent;
    moved |= *sent > 0;
  }
}

json Puppet::answer(const std::string& line) {
  try {
    const auto call = json::parse(line).get<std::vector<json>>();
    const auto found = kCalls.find(call.at(0).get<std::string>());
    if (found == kCalls.end()) return {{"error", "no such call"}};
    return (this->*found->second)(call);
  } catch (const std::exception& e) {
    return {{"error", fmt::format("bad call: {}", e.what())}};
  }
}

bool Puppet::hear(int control) {
  std::array<char, 4096> buffer;
  const ssize_t n = ::read(control, buffer.data(), buffer.size());
  if (n <= 0) return n < 0 && errno == EINTR;
  heard_.append(buffer.data(), static_cast<std::size_t>(n));
  for (std::size_t end = 0; (end = heard_.find('\n')) != std::string::npos; heard_.erase(0, end + 1)) {
    const json result = answer(heard_.substr(0, end));
    move_packets();  // what the call did has left when its answer is read
    const std::string text = result.dump() + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
      const ssize_t m = ::send(control, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (m <= 0) return false;
      sent += static_cast<std::size_t>(m);
    }
  }
  return true;
}

void Puppet::run(int control) {
  for (;;) {
    move_packets();
    const short link_events = first_ == end_ ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 2> wanted{pollfd{gate_.descriptor(), link_events, 0}, pollfd{control, POLLIN, 0}};
    const Instant until = stack_.next_deadline();
    const std::int64_t left = until.is_never() ? 0 : std::max(until - now(), Duration::zero()).ns();
    const timespec limit{left / 1'000'000'000, left % 1'000'000'000};
    ::ppoll(wanted.data(), wanted.size(), until.is_never() ? nullptr : &limit, nullptr);
    if (wanted[1].revents != 0 && !hear(control)) return;
  }
}

pid_t start(char** command, int control) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::setenv("SYNFIN_PUPPET", std::to_string(control).c_str(), 1);
  ::execvp(command[0], command);
  std::fprintf(stderr, "synfin-puppet: %s: %s\n", command[0], std::strerror(errno));
  ::_exit(127);
}

int run(int argc, char** argv) {
  stack::Config config;
  const bool draws = argc > 1 && std::strcmp(argv[1], "--ladder") == 0;
  int i = draws ? 2 : 1;
  for (; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    const std::string text = argv[i];
    const std::size_t equals = text.find('=');
    const auto set = config.settings.set(
        text.substr(0, equals), equals == std::string::npos ? std::string{} : text.substr(equals + 1));
    if (!set) return std::fprintf(stderr, "synfin-puppet: %s\n", set.error().c_str()), 2;
  }
  if (i + 1 >= argc)
    return std::fprintf(stderr, "usage: synfin-puppet [--ladder] [NAME=VALUE ...] -- COMMAND...\n"), 2;

  wire::BlockPool pool;
  auto lab = link::make_lab({.pool = pool});
  if (!lab) return std::fprintf(stderr, "synfin-puppet: %s\n", lab.error().message.c_str()), 77;
  config.addresses.push_back(lab->synfin_v4);
  if (lab->ipv6_problem.empty()) config.addresses.push_back(lab->synfin_v6);
  config.mtu = lab->link->info().mtu;

  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) < 0) return 1;
  link::FileDescriptor control{ends[0]};
  ::fcntl(control.get(), F_SETFD, FD_CLOEXEC);
  const pid_t child = start(argv + i + 1, ends[1]);
  ::close(ends[1]);
  {
    view::Ladder ladder(view::Ladder::to_file(stdout));
    Puppet puppet(std::move(lab->link), pool, std::move(config), draws ? &ladder : nullptr);
    puppet.run(control.get());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace
}  // namespace synfin::lab

int main(int argc, char** argv) {
  try {
    return synfin::lab::run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "synfin-puppet: %s\n", e.what());
    return 1;
  }
}
