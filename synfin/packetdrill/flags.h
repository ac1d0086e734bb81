// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "synfin/base/keyed_hash.h"
#include "synfin/tcp/settings.h"

namespace synfin::packetdrill {

/// What `--so_flags=` says, separated by commas:
///   NAME=VALUE   a setting of Synfin's, as `synfin settings` lists them
///   mtu=OCTETS   of the link; 1500 where it is not named. The tool's IPv6 scripts want 1520.
///   sysctl       the settings are those of the network namespace, read anew at each call, so that scripts
///                that set sysctls configure Synfin as they would configure the kernel. What is named
///                otherwise comes on top.
struct Flags {
  bool sysctl = false;
  std::uint32_t mtu = 1500;
  std::string settings;  // NAME=VALUE,…
};

/// The error is one line that says what is wrong.
std::expected<Flags, std::string> parse_flags(std::string_view text);

/// The settings that the flags stand for, now. `sysctls`: the folder that holds tcp_rmem and the others.
tcp::Settings settings_of(const Flags& flags, const std::string& sysctls = "/proc/sys/net/ipv4");

/// The namespace's key for the cookies of Fast Open (tcp_fastopen_key), so that they are those that Linux
/// would give there. Nothing where none is set.
std::optional<Key> fast_open_key(const std::string& sysctls = "/proc/sys/net/ipv4");

}  // namespace synfin::packetdrill
