// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "stall_hunt.h"

namespace synfin::netsim {
namespace {

using namespace synfin::literals;

// Every order of magnitude as likely as any other. `most` is less than 2^32.
std::uint32_t spread(SeededEntropy& random, std::uint32_t least, std::uint32_t most) {
  std::uint32_t top = least;
  std::uint32_t doublings = 0;
  while (top <= most / 2) {
    top *= 2;
    ++doublings;
  }
  const std::uint32_t from = least << random.below(doublings + 1);
  const std::uint32_t to = std::min(from < (1U << 31) ? from * 2 : most, most);
  return from + random.below(to - from + 1);
}

bool one_in(SeededEntropy& random, std::uint32_t n) {
  return random.below(n) == 0;
}

std::string ms(Duration d) {
  return std::to_string(static_cast<double>(d.ns()) / 1e6) + " ms";
}

}  // namespace

Hunt::Hunt(std::uint64_t hunt_seed) : seed(hunt_seed) {
  SeededEntropy random{seed * 7919 + 3};
  network.seed = seed;
  network.start = Instant::from_ns(std::int64_t{random.u32()} * 4000 + 1);
  draw_path(random);
  draw_settings(random);
  draw_programs(random);
  draw_memory(random);
}

// Behind all else, so that the seeds of old mean what they meant.
void Hunt::draw_memory(SeededEntropy& random) {
  tcp::Settings& s = network.settings;
  // Buffers that grow, to some multiple of what they begin with.
  if (one_in(random, 2))
    s.tcp_rmem = {std::min(s.tcp_rmem.initial, 4096U), s.tcp_rmem.initial,
                  s.tcp_rmem.initial * (1 + random.below(16))};
  if (one_in(random, 2))
    s.tcp_wmem = {std::min(s.tcp_wmem.initial, 4096U), s.tcp_wmem.initial,
                  s.tcp_wmem.initial * (1 + random.below(16))};
  // Packet memory for a few packets to a few hundred, at both ends and on the way.
  if (!one_in(random, 6)) return;
  const std::uint32_t most = spread(random, 16, 256);
  const std::uint32_t pressure = most / 2 + random.below(most / 2);
  s.tcp_mem = {pressure - random.below(pressure / 2), pressure, most};
}

void Hunt::draw_path(SeededEntropy& random) {
  // MSS 88 to 65,495.
  network.mtu = one_in(random, 3) ? 1500 : spread(random, 128, 65'535);
  if (network.mtu >= 1280 && one_in(random, 2)) family = wire::Family::kIpv6;
  network.faults.resize(2);
  const std::uint32_t badness = random.below(4);
  const std::uint32_t delay = spread(random, 5, 1'000'000);
  for (sim::Faults& f : network.faults) {
    f.delay = Duration::microseconds(one_in(random, 4) ? spread(random, 5, 1'000'000) : delay);
    constexpr std::uint32_t kMostLost[] = {0, 5'000, 30'000, 100'000};
    f.loss = random.below(kMostLost[badness] + 1);
    if (badness > 0) f.corrupt = random.below(3'000);
    if (one_in(random, 2)) f.duplicate = random.below(50'000);
    if (one_in(random, 2)) {
      f.reorder = random.below(100'000);
      f.reorder_by = f.delay / 2 + 1_ms;
    }
    if (one_in(random, 4)) f.jitter = f.delay / 2 + 1_us;
  }
  if (one_in(random, 3)) {
    sim::Faults& f = network.faults[0];
    f.queue = network.mtu * std::uint64_t{spread(random, 2, 100)};
    f.rate = f.queue * 1'000'000 / spread(random, 100, 500'000);
  }
  if (badness > 0 && one_in(random, 2)) updates_lost = 1 + random.below(3);
}

void Hunt::draw_settings(SeededEntropy& random) {
  tcp::Settings& s = network.settings;
  s.tcp_timestamps = !one_in(random, 3);
  s.tcp_sack = !one_in(random, 3);
  s.tcp_dsack = !one_in(random, 3);
  s.tcp_window_scaling = !one_in(random, 3);
  s.tcp_pacing = one_in(random, 4);
  s.window_probe_octet = one_in(random, 2);
  s.tcp_ecn = random.below(6);
  s.tcp_early_retrans = one_in(random, 3) ? 0 : 3;
  s.tcp_frto = one_in(random, 3) ? 0 : 2;
  s.tcp_slow_start_after_idle = one_in(random, 2);
  s.tcp_init_cwnd = one_in(random, 3) ? 1 + random.below(30) : 10;
  s.tcp_rmem = spread(random, 2048, 4 << 20);
  s.tcp_wmem = spread(random, 2048, 4 << 20);
  s.tcp_congestion_control = static_cast<tcp::CongestionControl>(random.below(4));
  constexpr Duration kDelays[] = {0_ms, 40_ms, 40_ms, 200_ms, 499_ms};
  s.tcp_delack_max = kDelays[random.below(5)];
  s.tcp_quick_acks = one_in(random, 2) ? 16 : 0;
  s.tcp_orphan_retries = 15;
  // A lost handshake is not what is hunted.
  s.tcp_syn_retries = s.tcp_synack_retries = 12;
  for (tcp::Options& o : options) {
    o.no_delay = one_in(random, 2);
    o.cork = one_in(random, 6);
    o.quick_ack = one_in(random, 4);
    if (one_in(random, 4)) o.notsent_lowat = spread(random, 1, 65'536);
    if (one_in(random, 4)) o.max_segment = static_cast<std::uint16_t>(spread(random, 88, 65'495));
    if (one_in(random, 4)) o.send_buffer = spread(random, 2048, 1 << 20);
    if (one_in(random, 4)) o.receive_buffer = spread(random, 2048, 1 << 20);
    if (one_in(random, 8)) o.max_pacing_rate = std::uint64_t{network.mtu} * spread(random, 20, 10'000);
  }
}

void Hunt::draw_programs(SeededEntropy& random) {
  for (std::size_t i = 0; i < 2; ++i) {
    Appetite& a = appetite[i];
    a.bite = one_in(random, 3) ? spread(random, 1, 4096) : 65'536;
    a.rests_one_in = one_in(random, 3) ? 1 : 1 + random.below(20);
    a.rests = one_in(random, 3) ? 0 : spread(random, 1, 200);
    // The fewer, the longer: to 50 minutes, which is more than 15 probes of a closed window take.
    a.rest = a.rests <= 4 ? Duration::milliseconds(spread(random, 1, 3'000'000))
                          : Duration::microseconds(spread(random, 10, 2'000'000));
  }
  // A few hundred segments, whatever limits their size.
  for (std::size_t i = 0; i < 2; ++i) {
    std::uint32_t segment = network.mtu;
    for (const tcp::Options& o : options) {
      if (o.max_segment > 0) segment = std::min<std::uint32_t>(segment, o.max_segment);
    }
    std::uint32_t buffer = network.settings.tcp_rmem.initial;
    if (options[1 - i].receive_buffer > 0) buffer = options[1 - i].receive_buffer;
    const std::uint32_t most = std::min(200 * std::min(segment, buffer / 2), 1U << 20);
    octets[i] = i == 0 || one_in(random, 3) ? spread(random, 1, most) : 0;
  }
  write_at_most = one_in(random, 3) ? spread(random, 1, 65'536) : 65'536;
  writer_rests = one_in(random, 3) ? random.below(20) : 0;
  writer_rest = Duration::microseconds(spread(random, 10, 2'000'000));
  shrinks = one_in(random, 4);
  if (shrinks) {
    eighths = random.below(8);
    shrinks_from = network.start + Duration::microseconds(spread(random, 10, 4'000'000));
    shrinks_until = shrinks_from + Duration::microseconds(spread(random, 10, 100'000'000));
  }
}

Duration Hunt::round_trip() const {
  Duration sum = network.settings.tcp_delack_max + 5_ms;
  for (const sim::Faults& f : network.faults) {
    sum += f.delay + f.jitter + (f.reorder > 0 ? f.reorder_by : Duration::zero());
    if (f.rate > 0)
      sum += Duration::microseconds(static_cast<std::int64_t>((f.queue + network.mtu) * 1'000'000 / f.rate));
  }
  return sum;
}

// SRTT + max(tcp_rto_min, 4 RTTVAR), where the variation is no larger than what is measured; and twice that,
// as an acknowledgement that was lost, or waited for, makes a round trip look longer than it is.
Duration Hunt::timeout(bool measured) const {
  const tcp::Settings& s = network.settings;
  const Duration sampled = (round_trip() + std::max(s.tcp_rto_min, round_trip() * 4)) * 2;
  Duration pacing;
  for (const tcp::Options& o : options) {
    // A burst, and the one that follows it.
    if (o.max_pacing_rate > 0) {
      const std::uint64_t octets_paced = std::uint64_t{network.mtu} * (s.tcp_min_tso_segs + 1) * 2;
      pacing = std::max(pacing, Duration::microseconds(
                                    static_cast<std::int64_t>(octets_paced * 1'000'000 / o.max_pacing_rate)));
    }
  }
  constexpr Duration kAfterAmbiguousHandshake = 3_s;  // RFC 6298 §5.7
  return (measured ? sampled : std::max(sampled, kAfterAmbiguousHandshake)) + pacing;
}

std::string Hunt::text() const {
  const tcp::Settings& s = network.settings;
  std::string t = "MTU " + std::to_string(network.mtu) +
                  (family == wire::Family::kIpv4 ? ", IPv4" : ", IPv6") + ", round trip at most " +
                  ms(round_trip()) + ", timeout at most " + ms(timeout(true)) + "\n ";
  for (const tcp::SettingInfo& setting : tcp::all_settings()) {
    const std::string value = s.get(setting.name);
    if (value != tcp::Settings{}.get(setting.name)) t += " " + std::string(setting.name) + "=" + value;
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const sim::Faults& f = network.faults[i];
    const tcp::Options& o = options[i];
    const Appetite& a = appetite[i];
    t += std::string("\n  ") + (i == 0 ? "A" : "B") + ": sends " + std::to_string(octets[i]) + ", delay " +
         ms(f.delay) + ", jitter " + ms(f.jitter) + ", ppm lost " + std::to_string(f.loss) + " corrupt " +
         std::to_string(f.corrupt) + " twice " + std::to_string(f.duplicate) + " reordered " +
         std::to_string(f.reorder) + " by " + ms(f.reorder_by) + ", rate " + std::to_string(f.rate) +
         " queue " + std::to_string(f.queue) + "\n     no_delay " + std::to_string(o.no_delay) + " cork " +
         std::to_string(o.cork) + " quick_ack " + std::to_string(o.quick_ack) + " notsent_lowat " +
         std::to_string(o.notsent_lowat) + " max_segment " + std::to_string(o.max_segment) + " send_buffer " +
         std::to_string(o.send_buffer) + " receive_buffer " + std::to_string(o.receive_buffer) + " pacing " +
         std::to_string(o.max_pacing_rate) + "\n     reads " + std::to_string(a.bite) + ", rests " +
         std::to_string(a.rests) + " times up to " + ms(a.rest) + " behind one in " +
         std::to_string(a.rests_one_in);
  }
  t += "\n  writes " + std::to_string(write_at_most) + ", rests " + std::to_string(writer_rests) +
       " times up to " + ms(writer_rest) + "; window updates lost: " + std::to_string(updates_lost);
  if (shrinks)
    t += "; windows of B shrunk to " + std::to_string(eighths) + "/8 from " +
         ms(shrinks_from - network.start) + " to " + ms(shrinks_until - network.start);
  return t;
}

HuntTally& HuntTally::operator+=(const HuntTally& o) {
  packets += o.packets;
  lost += o.lost;
  octets += o.octets;
  zero_windows += o.zero_windows;
  shrunk += o.shrunk;
  timeouts += o.timeouts;
  rests += o.rests;
  refused += o.refused;
  dropped += o.dropped;
  longest = std::max(longest, o.longest);
  return *this;
}

}  // namespace synfin::netsim
