// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/flood_text.h"

#include <fmt/format.h>

#include <cmath>

#include "synfin/view/text.h"

namespace synfin::view {
namespace {

using trace::FloodReport;
using trace::Reason;

std::string whole(double number) {
  return grouped(static_cast<std::uint64_t>(std::llround(number)));
}

/// With as many digits as an estimate of a few per cent has: `46,000`.
std::string estimate(double number) {
  double unit = 1;
  while (number / unit >= 100) unit *= 10;
  return whole(std::round(number / unit) * unit);
}

/// `0.3 %`, `12 %`: a digit behind the point only where it matters.
std::string percent(double share) {
  const double hundred = share * 100;
  return hundred >= 9.95 || hundred == 0 ? fmt::format("{:.0f} %", hundred)
                                         : fmt::format("{:.1f} %", hundred);
}

std::string time_text(Duration d) {
  if (d < Duration::seconds(10)) return fmt::format("{:.1f} s", d.as_seconds());
  return fmt::format("{:.0f} s", d.as_seconds());
}

std::string count(std::uint64_t number, std::string_view one, std::string_view more) {
  return fmt::format("{} {}", grouped(number), number == 1 ? one : more);
}

std::string about(double number, std::string_view one, std::string_view more) {
  return fmt::format("about {} {}", estimate(number), std::round(number) == 1 ? one : more);
}

std::string rates(const FloodReport& r) {
  const std::string rate = fmt::format("{} SYN/s (usual {}/s, threshold {}/s)", whole(r.syn_rate),
                                       whole(r.baseline_rate), whole(r.threshold_rate));
  // Of no SYNs nothing can be said.
  return r.syns == 0 ? rate : fmt::format("{}, {} complete", rate, percent(r.completion_ratio));
}

std::string sources(const FloodReport& r) {
  return fmt::format("{} in {}", about(r.distinct_sources, "source", "sources"),
                     about(r.distinct_networks, "network", "networks"));
}

std::string networks(const FloodReport& r) {
  std::string out;
  for (const FloodReport::Network& network : r.top_networks()) {
    if (!out.empty()) out += ", ";
    out += network.prefix.to_string() + " " + percent(network.share);
  }
  return out;
}

/// `(flood_spoofed_sources; RFC 4987 §2)`.
std::string grounds(Reason reason) {
  if (trace::section(reason).empty()) return fmt::format("({})", trace::name(reason));
  return fmt::format("({}; {})", trace::name(reason), trace::section(reason));
}

/// What the alarm is called in its first words.
std::string_view title(Reason verdict) {
  if (verdict == Reason::kSlowProgram) return "slow program";
  if (verdict == Reason::kSynAcksLost) return "SYN-ACKs lost";
  return "SYN flood";
}

std::string spoofed(const FloodReport& r) {
  return fmt::format(
      "{}, {}: forged sources {}. SYN cookies answer it without memory; check that tcp_syncookies is 1 or 2, "
      "do not block by address.",
      rates(r), sources(r), grounds(r.verdict));
}

std::string few_sources(const FloodReport& r) {
  const std::string top = networks(r);
  const std::string who = top.empty() ? "" : fmt::format(", most from {}", top);
  return fmt::format(
      "{}, {}{}: few sources {}. {}; SYN cookies (tcp_syncookies 1 or 2) carry the service meanwhile.",
      rates(r), sources(r), who, grounds(r.verdict),
      top.empty() ? "Limit SYNs by source in a filter in front of this stack"
                  : "Filter these networks in front of this stack, or limit their SYNs");
}

std::string slow_program(const FloodReport& r) {
  return fmt::format(
      "the accept queue was full {} in {}, now it holds {} of {}; {} SYN/s, {} complete: "
      "the program does not accept fast enough {}. Accept faster (in a loop of its own, before any other "
      "work), or raise the backlog of listen and somaxconn.{}",
      count(r.overflows, "time", "times"), time_text(r.window), grouped(r.accept_queue),
      grouped(r.accept_queue_limit), whole(r.syn_rate), percent(r.completion_ratio), grounds(r.verdict),
      r.syn_rate > r.threshold_rate
          ? fmt::format(" The rate is above the threshold of {}/s, too: a crowd.", whole(r.threshold_rate))
          : "");
}

std::string syn_acks_lost(const FloodReport& r) {
  return fmt::format(
      "{} and {} again in {}, {} complete, at a rate that is no flood ({}/s, threshold {}/s): "
      "SYN-ACKs do not arrive {}. Look at the way back to the clients: routes, filters that see one "
      "direction only, neighbour resolution; {} half-open.",
      count(r.syns, "SYN", "SYNs"), grouped(r.repeated_syns), time_text(r.window),
      percent(r.completion_ratio), whole(r.syn_rate), whole(r.threshold_rate), grounds(r.verdict),
      grouped(r.half_open));
}

std::string beginning(const FloodReport& r) {
  if (r.verdict == Reason::kSlowProgram) return slow_program(r);
  if (r.verdict == Reason::kSynAcksLost) return syn_acks_lost(r);
  return r.verdict == Reason::kFloodFewSources ? few_sources(r) : spoofed(r);
}

}  // namespace

std::string describe(const FloodReport& r) {
  const std::string listener = r.listener.to_string();
  if (r.verdict == Reason::kNone)
    return fmt::format("SYNs at {} are as usual: {}, {}.", listener, rates(r), sources(r));
  if (r.begins) return fmt::format("{} at {} begins: {}", title(r.verdict), listener, beginning(r));
  return fmt::format("{} at {} is over after {}: at most {} SYN/s, now {} {}.", title(r.verdict), listener,
                     time_text(r.lasted), whole(r.peak_rate), rates(r), grounds(r.verdict));
}

}  // namespace synfin::view
