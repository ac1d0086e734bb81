// SPDX-License-Identifier: Apache-2.0
#include "synfin/view/json_lines.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "synfin/tcp/user_timeout.h"
#include "synfin/trace/cause.h"
#include "synfin/trace/flood.h"
#include "synfin/view/text.h"

namespace synfin::view {
namespace {

using Json = nlohmann::ordered_json;
using trace::Event;
using trace::EventKind;

std::string_view event_name(EventKind k) {
  switch (k) {
    case EventKind::kSegmentReceived:
      return "segment_received";
    case EventKind::kSegmentSent:
      return "segment_sent";
    case EventKind::kPacketReceived:
      return "packet_received";
    case EventKind::kPacketSent:
      return "packet_sent";
    case EventKind::kStateChanged:
      return "state";
    case EventKind::kTimer:
      return "timer";
    case EventKind::kCall:
      return "call";
    case EventKind::kFlood:
      return "flood";
  }
  return "";
}

Json options_json(const Event& e, const Flow& flow) {
  using wire::TcpOptions;
  const TcpOptions& o = e.header->options;
  Json out = Json::object();
  if (o.has(TcpOptions::kMss)) out["mss"] = o.mss;
  if (o.has(TcpOptions::kWindowScale)) out["wscale"] = o.window_scale;
  if (o.has(TcpOptions::kSackPermitted)) out["sack_ok"] = true;
  if (o.has(TcpOptions::kTimestamps)) out["ts"] = {o.timestamps.value, o.timestamps.echo};
  if (o.has(TcpOptions::kSack)) {
    // The blocks are about what the other end has sent.
    const Side about = sender(e.kind) == Side::kLocal ? Side::kRemote : Side::kLocal;
    Json blocks = Json::array();
    for (std::size_t i = 0; i < o.sack_count && i < TcpOptions::kMaxSack; ++i) {
      blocks.push_back({flow.relative(about, o.sack[i].left), flow.relative(about, o.sack[i].right)});
    }
    out["sack"] = std::move(blocks);
  }
  if (o.has(TcpOptions::kFastOpen)) {
    std::string hex;
    for (std::size_t i = 0; i < o.cookie_size && i < TcpOptions::kMaxCookie; ++i) {
      hex += fmt::format("{:02x}", std::to_integer<unsigned>(o.cookie[i]));
    }
    out["tfo"] = hex;
  }
  if (o.has(TcpOptions::kUserTimeout))
    out["user_timeout"] = tcp::decode_user_timeout(o.user_timeout).ms() / 1000;
  if (o.has(TcpOptions::kEcnOctets)) {
    out["accecn"] = Json::object();
    if (o.ecn.has_ect0()) out["accecn"]["ect0"] = o.ecn.ect0;
    if (o.ecn.has_ect1()) out["accecn"]["ect1"] = o.ecn.ect1;
    if (o.ecn.has_ce()) out["accecn"]["ce"] = o.ecn.ce;
  }
  if (o.has(TcpOptions::kMd5)) out["md5"] = true;
  if (o.has(TcpOptions::kAuthentication)) out["ao"] = true;
  return out;
}

void add_segment(Json& out, const Event& e, const Flow& flow) {
  const wire::TcpHeader& h = *e.header;
  const Side from = sender(e.kind);
  const Side to = from == Side::kLocal ? Side::kRemote : Side::kLocal;
  out["flags"] = flags_text(h, e.counts_marks);
  if (e.counts_marks) out["ace"] = h.ace();
  out["seq"] = flow.relative(from, h.seq);
  if (h.flags.ack()) out["ack"] = flow.relative(to, h.ack);
  out["seq_raw"] = h.seq.raw();
  if (h.flags.ack()) out["ack_raw"] = h.ack.raw();
  out["len"] = e.payload_size;
  out["window"] = e.window;
  out["options"] = options_json(e, flow);
  if (e.retransmission) out["retransmission"] = true;
}

/// The connection has ended for its program. What TIME-WAIT does later is nobody's cause.
bool ends(const Event& e) {
  using trace::State;
  return e.kind == EventKind::kStateChanged && e.from != State::kListen && e.from != State::kTimeWait &&
         (e.to == State::kClosed || e.to == State::kTimeWait);
}

/// With no more digits than were measured.
double rounded(double number, double digits) {
  return std::round(number * digits) / digits;
}

void add_flood(Json& out, const trace::FloodReport& r) {
  out["begins"] = r.begins;
  out["window"] = rounded(r.window.as_seconds(), 1e6);
  out["lasted"] = rounded(r.lasted.as_seconds(), 1e6);
  out["syn_rate"] = rounded(r.syn_rate, 10);
  out["baseline_rate"] = rounded(r.baseline_rate, 10);
  out["threshold_rate"] = rounded(r.threshold_rate, 10);
  out["peak_rate"] = rounded(r.peak_rate, 10);
  out["completion_ratio"] = rounded(r.completion_ratio, 1e4);
  out["syns"] = r.syns;
  out["repeated_syns"] = r.repeated_syns;
  out["completed"] = r.completed;
  out["overflows"] = r.overflows;
  out["half_open"] = r.half_open;
  out["half_open_limit"] = r.half_open_limit;
  out["accept_queue"] = r.accept_queue;
  out["accept_queue_limit"] = r.accept_queue_limit;
  out["distinct_sources"] = std::llround(r.distinct_sources);
  out["distinct_networks"] = std::llround(r.distinct_networks);
  out["top_networks"] = Json::array();
  for (const auto& network : r.top_networks()) {
    out["top_networks"].push_back(
        {{"prefix", network.prefix.to_string()}, {"share", rounded(network.share, 1000)}});
  }
}

}  // namespace

std::string JsonLines::line(const Event& e) {
  const bool packet = e.kind == EventKind::kPacketReceived || e.kind == EventKind::kPacketSent;
  const bool listener = e.kind == EventKind::kFlood || (!is_segment(e.kind) && e.tuple.remote.port == 0);
  Flow* flow = packet || listener ? nullptr : &flows_.look_up(e).flow;
  Json out;
  // Whole microseconds: a double in seconds would print digits that nobody measured.
  out["time"] = static_cast<double>((e.at - epoch_).us()) / 1e6;
  out["event"] = event_name(e.kind);
  if (flow != nullptr) out["connection"] = flow->number;
  if (!packet) {
    out["local"] = e.tuple.local.to_string();
    if (!listener) out["remote"] = e.tuple.remote.to_string();
    if (e.kind != EventKind::kFlood) {
      out["from"] = trace::name(e.from);
      out["to"] = trace::name(e.to);
    }
  }
  out["reason"] = trace::name(e.reason);
  if (ends(e)) out["cause"] = trace::name(trace::cause_of(e.reason));
  if (const std::string_view section = trace::section(e.reason); !section.empty()) out["section"] = section;
  if (flow != nullptr && is_segment(e.kind) && e.header != nullptr) add_segment(out, e, *flow);
  if (packet && e.frame != nullptr) out["len"] = e.frame->size();
  if (e.flood != nullptr) add_flood(out, *e.flood);
  if (!e.deadline.is_never()) out["remaining"] = static_cast<double>((e.deadline - e.at).us()) / 1e6;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void JsonLines::on_event(const Event& e) {
  if (error_) return;
  if (epoch_.is_never()) epoch_ = e.at;
  std::string text = line(e);
  text += '\n';
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size()) return fail(errno);
  if (flush_ == FlushLines::kEach && std::fflush(file_) != 0) fail(errno);
}

std::error_code JsonLines::finish() {
  errno = 0;
  if (!error_ && std::fflush(file_) != 0) fail(errno);
  return error_;
}

void JsonLines::fail(int code) {
  error_ = std::error_code(code == 0 ? EIO : code, std::generic_category());
}

}  // namespace synfin::view
