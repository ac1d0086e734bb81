// SPDX-License-Identifier: Apache-2.0
#include "synfin/packetdrill/flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

namespace synfin::packetdrill {

namespace {

// What scripts cannot set by a sysctl and what Linux has fixed: the settings of Linux where Synfin's own
// defaults differ.
void follow_linux(tcp::Settings& s) {
  s.tcp_rmem = 15u << 20;
  s.tcp_wmem = 256u << 10;
  s.tcp_quick_acks = 16;
  s.window_probe_octet = false;
}

// One sysctl as Synfin's setting. Of a triple, a connection's window may be as large as the maximum from the
// beginning, and its send buffer is the default: scripts count on what Linux, too, gives them at once.
void take_sysctl(tcp::Settings& settings, std::string_view name, const std::string& value) {
  std::istringstream words(value);
  std::vector<std::string> parts;
  for (std::string word; words >> word;) parts.push_back(word);
  if (parts.empty()) return;
  std::string one = parts.front();
  if (parts.size() == 3) one = name == "tcp_rmem" ? parts[2] : name == "tcp_wmem" ? parts[1] : value;
  // Bits of Linux's that Synfin does not have are left out.
  if (name == "tcp_fastopen") one = std::to_string(std::strtoul(one.c_str(), nullptr, 0) & 0x607);
  // Scripts ask for cubic or reno. This is the machine's own default, where a network namespace refuses
  // cubic; who means it says so by a flag or by TCP_CONGESTION.
  if (name == "tcp_congestion_control" && one == "bbr") return;
  // What Linux allows and Synfin does not keeps its default.
  (void)settings.set(name, one);
}

}  // namespace

std::expected<Flags, std::string> parse_flags(std::string_view text) {
  Flags flags;
  tcp::Settings probe;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    const std::size_t equals = item.find('=');
    if (item.empty()) continue;
    if (item == "sysctl") {
      flags.sysctl = true;
    } else if (equals == std::string_view::npos) {
      return std::unexpected("'" + std::string(item) + "' is neither NAME=VALUE nor sysctl");
    } else if (item.substr(0, equals) == "mtu") {
      const std::string_view value = item.substr(equals + 1);
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), flags.mtu);
      if (error != std::errc{} || end != value.data() + value.size() || flags.mtu < 576 || flags.mtu > 65535)
        return std::unexpected("mtu: '" + std::string(value) + "' is not a number from 576 to 65535");
    } else {
      const auto set = probe.set(item.substr(0, equals), item.substr(equals + 1));
      if (!set) return std::unexpected(set.error());
      flags.settings.append(item).push_back(',');
    }
  }
  return flags;
}

tcp::Settings settings_of(const Flags& flags, const std::string& sysctls) {
  tcp::Settings settings;
  follow_linux(settings);
  if (flags.sysctl) {
    for (const tcp::SettingInfo& info : tcp::all_settings()) {
      std::ifstream file(sysctls + '/' + std::string(info.name));
      std::string value;
      if (std::getline(file, value)) take_sysctl(settings, info.name, value);
    }
  }
  std::istringstream items(flags.settings);
  for (std::string item; std::getline(items, item, ',');) {
    const std::size_t equals = item.find('=');
    (void)settings.set(std::string_view(item).substr(0, equals), std::string_view(item).substr(equals + 1));
  }
  return settings;
}

// Four words in hexadecimal, each stored with its least significant octet first.
std::optional<Key> fast_open_key(const std::string& sysctls) {
  std::ifstream file(sysctls + "/tcp_fastopen_key");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  std::array<unsigned, 4> words{};
  if (std::sscanf(text.c_str(), "%8x-%8x-%8x-%8x", &words[0], &words[1], &words[2], &words[3]) != 4)
    return std::nullopt;
  if (words == std::array<unsigned, 4>{}) return std::nullopt;
  Key key;
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::byte>(words[i / 4] >> (i % 4 * 8) & 0xff);
  return key;
}

}  // namespace synfin::packetdrill
