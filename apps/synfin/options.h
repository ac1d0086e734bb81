// SPDX-License-Identifier: Apache-2.0
//
// The options that every verb shares which runs a stack.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "synfin/stack/stack.h"
#include "synfin/wire/address.h"

namespace synfin::app {

/// As given on the command line.
struct LinkOptions {
  bool lab = false;
  std::string tun;
  std::vector<std::string> addresses;
  std::string gateway;
  std::optional<std::uint32_t> mtu;
  std::vector<std::string> settings;
  std::vector<std::string> impair;
  std::string offload = "on";
  bool ladder = false;
  std::string capture;
  std::string events;
  /// What follows `--`; empty: none.
  std::vector<std::string> command;
};

/// Addresses and settings, checked; Synfin's addresses of the lab where `--lab` is given and no others.
/// Throws Failure.
stack::Config stack_config(const LinkOptions& options);
/// Exactly one link must be named, `--gateway` must lie in one of the networks, and so on. Throws Failure.
void check_link_options(const LinkOptions& options, const stack::Config& config);

/// An IP literal; names are not looked up. Throws Failure.
wire::IpAddress parse_host(const std::string& text);
/// 1 to 65535. Throws Failure.
std::uint16_t parse_port(const std::string& text);

}  // namespace synfin::app
