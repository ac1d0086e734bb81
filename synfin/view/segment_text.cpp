// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/segment_text.h"

#include <fmt/format.h>

#include "synfin/tcp/user_timeout.h"
#include "synfin/view/text.h"

namespace synfin::view {
namespace {

std::uint32_t shown(const Flow& flow, Side side, wire::SeqNum seq, Numbers numbers) {
  return numbers == Numbers::kAbsolute ? seq.raw() : flow.relative(side, seq);
}

constexpr Side other(Side s) {
  return s == Side::kLocal ? Side::kRemote : Side::kLocal;
}

}  // namespace

std::vector<std::string> segment_parts(const trace::Event& e, const Flow& flow, Numbers numbers) {
  const wire::TcpHeader& h = *e.header;
  const Side side = sender(e.kind);
  std::vector<std::string> parts;
  const std::string flags = flags_text(h, e.counts_marks);
  parts.push_back(flags.empty() ? "no flags" : flags);
  const std::uint32_t seq = shown(flow, side, h.seq, numbers);
  if (e.payload_size == 0) {
    parts.push_back(fmt::format("seq {}", seq));
  } else {
    parts.push_back(fmt::format("seq {}:{}({})", seq, seq + e.payload_size, e.payload_size));
  }
  if (h.flags.ack()) parts.push_back(fmt::format("ack {}", shown(flow, other(side), h.ack, numbers)));
  if (!h.flags.rst()) parts.push_back(fmt::format("win {}", e.window));
  if (e.counts_marks) parts.push_back(fmt::format("ace {}", h.ace()));
  if (e.retransmission) parts.push_back("sent again");
  if (h.flags.urg()) parts.push_back(fmt::format("urg {}", h.urgent_pointer));
  return parts;
}

std::string options_text(const trace::Event& e, const Flow& flow, Numbers numbers,
                         ShowTimestamps timestamps) {
  using wire::TcpOptions;
  const TcpOptions& o = e.header->options;
  std::vector<std::string> parts;
  if (o.has(TcpOptions::kMss)) parts.push_back(fmt::format("mss {}", o.mss));
  if (o.has(TcpOptions::kSackPermitted)) parts.emplace_back("sackOK");
  if (o.has(TcpOptions::kTimestamps) && (e.header->flags.syn() || timestamps == ShowTimestamps::kAlways)) {
    parts.push_back(fmt::format("TS {}/{}", o.timestamps.value, o.timestamps.echo));
  }
  if (o.has(TcpOptions::kWindowScale)) parts.push_back(fmt::format("wscale {}", o.window_scale));
  if (o.has(TcpOptions::kSack)) {
    std::string sack = "sack";
    // The blocks are about what the other end has sent.
    const Side about = other(sender(e.kind));
    for (std::size_t i = 0; i < o.sack_count && i < TcpOptions::kMaxSack; ++i) {
      sack += fmt::format(" {}:{}", shown(flow, about, o.sack[i].left, numbers),
                          shown(flow, about, o.sack[i].right, numbers));
    }
    parts.push_back(std::move(sack));
  }
  if (o.has(TcpOptions::kFastOpen)) {
    parts.push_back(o.cookie_size == 0 ? "TFO request"
                                       : fmt::format("TFO cookie of {} octets", o.cookie_size));
  }
  if (o.has(TcpOptions::kUserTimeout))
    parts.push_back(fmt::format("UTO {} s", tcp::decode_user_timeout(o.user_timeout).ms() / 1000));
  if (o.has(TcpOptions::kEcnOctets)) {
    std::string octets = "marks";
    if (o.ecn.has_ect0()) octets += fmt::format(" ECT0 {}", o.ecn.ect0);
    if (o.ecn.has_ect1()) octets += fmt::format(" ECT1 {}", o.ecn.ect1);
    if (o.ecn.has_ce()) octets += fmt::format(" CE {}", o.ecn.ce);
    parts.push_back(std::move(octets));
  }
  if (o.has(TcpOptions::kMd5)) parts.emplace_back("MD5");
  if (o.has(TcpOptions::kAuthentication)) parts.emplace_back("TCP-AO");
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace synfin::view
