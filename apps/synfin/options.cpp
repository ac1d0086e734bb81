// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "failure.h"

namespace synfin::app {
namespace {

constexpr std::uint32_t kSmallestMtu = 576;    // RFC 791: what every IPv4 host must take
constexpr std::uint32_t kSmallestMtu6 = 1280;  // RFC 8200 §5
constexpr std::uint32_t kLargestMtu = 65535;

wire::Prefix parse_address(const std::string& text) {
  const auto prefix = wire::Prefix::parse(text);
  if (!prefix || text.find('/') == std::string::npos) {
    wrong_use("--address " + text,
              "not an address with a prefix length, such as 192.0.2.2/24 or 2001:db8::2/64");
  }
  const wire::IpAddress& a = prefix->address;
  if (a.is_unspecified() || a.is_multicast() || a.is_limited_broadcast() || prefix->broadcast() == a) {
    wrong_use("--address " + text, "a host cannot have this address; give that of one host");
  }
  return *prefix;
}

}  // namespace

stack::Config stack_config(const LinkOptions& o) {
  stack::Config config;
  for (const std::string& text : o.addresses) config.addresses.push_back(parse_address(text));
  if (o.lab && config.addresses.empty()) {
    config.addresses = {*wire::Prefix::parse("10.77.0.2/24"), *wire::Prefix::parse("fd77::2/64")};
  }
  for (const std::string& text : o.settings) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) wrong_use("--set " + text, "not NAME=VALUE");
    const auto set = config.settings.set(text.substr(0, equals), text.substr(equals + 1));
    if (!set) wrong_use("--set " + text, set.error());
  }
  if (config.settings.ip_local_port_first > config.settings.ip_local_port_last) {
    wrong_use("--set", fmt::format("ip_local_port_first {} lies behind ip_local_port_last {}",
                                   config.settings.ip_local_port_first, config.settings.ip_local_port_last));
  }
  return config;
}

void check_link_options(const LinkOptions& o, const stack::Config& config) {
  if (o.lab && !o.tun.empty()) wrong_use("--lab and --tun", "a stack has one link; give one of them");
  if (!o.lab && o.tun.empty()) {
    wrong_use("no link", "give --lab for a private network, or --tun NAME with --address CIDR");
  }
  if (config.addresses.empty()) {
    wrong_use("no address", "--tun needs --address CIDR: the address that Synfin has on the link");
  }
  const bool v6 =
      std::ranges::any_of(config.addresses, [](const wire::Prefix& p) { return !p.address.is_v4(); });
  if (o.mtu && (*o.mtu < kSmallestMtu || *o.mtu > kLargestMtu)) {
    wrong_use(fmt::format("--mtu {}", *o.mtu),
              fmt::format("must lie from {} to {}", kSmallestMtu, kLargestMtu));
  }
  if (o.mtu && v6 && *o.mtu < kSmallestMtu6) {
    wrong_use(fmt::format("--mtu {}", *o.mtu),
              "IPv6 needs at least 1280 (RFC 8200 §5); give IPv4 addresses only, or a larger MTU");
  }
  if (o.gateway.empty()) return;
  const auto gateway = wire::IpAddress::parse(o.gateway);
  if (!gateway) wrong_use("--gateway " + o.gateway, "not an IPv4 or IPv6 address");
  const bool reachable = std::ranges::any_of(
      config.addresses, [&](const wire::Prefix& p) { return p.contains(*gateway) && p.address != *gateway; });
  if (!reachable) {
    wrong_use("--gateway " + o.gateway, "lies in none of the networks of --address, so it cannot be reached");
  }
}

wire::IpAddress parse_host(const std::string& text) {
  std::string_view bare = text;
  if (bare.size() > 2 && bare.front() == '[' && bare.back() == ']') bare = bare.substr(1, bare.size() - 2);
  const auto address = wire::IpAddress::parse(bare);
  if (!address) {
    wrong_use(text,
              "not an IPv4 or IPv6 address; names are not looked up, as Synfin has no resolver of its own");
  }
  return *address;
}

std::uint16_t parse_port(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
    wrong_use("port " + text, "a port is a number from 1 to 65535");
  }
  return port;
}

}  // namespace synfin::app
