// SPDX-License-Identifier: Apache-2.0
//
// What a script may ask of a puppet.
#include <stdexcept>

#include "puppet.h"

namespace synfin::lab {

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

}  // namespace synfin::lab
