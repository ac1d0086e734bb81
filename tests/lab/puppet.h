// SPDX-License-Identifier: Apache-2.0
//
// A Synfin that is led by calls from outside, and tells what it sees.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gate.h"
#include "synfin/runtime/system_entropy.h"
#include "synfin/stack/stack.h"
#include "synfin/view/text.h"

namespace synfin::lab {

using nlohmann::json;

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
        line["flags"] = view::flags_text(*e.header, e.counts_marks);
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
  using Call = const std::vector<json>&;
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

}  // namespace synfin::lab
