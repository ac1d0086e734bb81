// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <fmt/format.h>

#include <array>

#include "stage.h"
#include "synfin/wire/ip.h"

namespace synfin::ladders {
namespace {

using trace::Counter;
using wire::Flags;

stack::Config make_config(const std::function<void(tcp::Settings&)>& settings) {
  stack::Config config;
  config.addresses = {{wire::IpAddress::v4(10, 77, 0, 2), 24}};
  config.settings.tcp_timestamps = false;
  if (settings) settings(config.settings);
  return config;
}

std::string moved(const trace::Counters& before, const trace::Counters& after) {
  std::string names;
  for (std::size_t i = 0; i < after.values.size(); ++i) {
    const auto counter = static_cast<Counter>(i);
    if (counter == Counter::kInSegs || counter == Counter::kOutSegs || after[counter] == before[counter])
      continue;
    names += fmt::format("{}`{}`", names.empty() ? "" : ", ", trace::name(counter));
  }
  return names;
}

}  // namespace

Probe::Probe(const std::function<void(tcp::Settings&)>& settings)
    : stack_(make_config(settings), pool_, entropy_, this) {}

stack::Handle Probe::listen(const stack::ListenOptions& options) {
  return must(stack_.listen({own(), kPort}, options, now()), "listen");
}

void Probe::on_event(const trace::Event& e) {
  if (e.kind == trace::EventKind::kSegmentReceived) last_ = e.reason;
  if (e.kind == trace::EventKind::kStateChanged && e.to == trace::State::kClosed) ended_ = e.at;
  if (e.flood != nullptr) floods_.push_back(*e.flood);
}

Outcome Probe::collect(const trace::Counters& before) {
  Outcome out;
  std::array<wire::Frame, 16> frames;
  while (const std::size_t n = stack_.transmit(frames, now())) {
    for (std::size_t i = 0; i < n; ++i) {
      const auto ip = wire::parse_ip(frames[i].front(), frames[i].size());
      if (!ip || ip->header.protocol != wire::protocol::kTcp) continue;
      const auto packet = wire::parse_tcp_packet(*ip, frames[i], wire::VerifyChecksum::kNo);
      if (!packet) broken("an unreadable answer");
      out.answers.push_back(packet->tcp);
      if (packet->tcp.flags.syn() && packet->tcp.flags.ack()) syn_ack_ = packet->tcp;
      frames[i].clear();
    }
  }
  while (stack_.poll_event()) {
  }
  out.reason = std::exchange(last_, trace::Reason::kNone);
  out.counters = moved(before, stack_.counters());
  return out;
}

Outcome Probe::deliver(const wire::IpAddress& source, const wire::TcpHeader& header) {
  const trace::Counters before = stack_.counters();
  const wire::IpHeader ip{.source = source, .destination = own(), .protocol = wire::protocol::kTcp};
  std::array<wire::Frame, 1> frames;
  wire::emit_tcp_packet(ip, header, frames[0], wire::FillChecksum::kYes);
  stack_.receive(frames, now());
  return collect(before);
}

Outcome Probe::segment(std::uint16_t port, wire::TcpHeader header) {
  header.source_port = port;
  header.destination_port = kPort;
  header.window = {64240};
  return deliver(peer(), header);
}

Outcome Probe::syn(std::uint16_t port, const wire::TcpOptions& more) {
  wire::TcpHeader h;
  h.seq = wire::SeqNum{kIrs};
  h.flags = Flags::kSyn;
  h.options = more;
  return segment(port, h);
}

Outcome Probe::syn_from(const wire::IpAddress& source, std::uint16_t port) {
  wire::TcpHeader h;
  h.source_port = port;
  h.destination_port = kPort;
  h.seq = wire::SeqNum{kIrs};
  h.flags = Flags::kSyn;
  return deliver(source, h);
}

Outcome Probe::third(std::uint16_t port, std::uint32_t off) {
  wire::TcpHeader h;
  h.seq = wire::SeqNum{kIrs + 1};
  h.ack = syn_ack_.seq + 1 + off;
  h.flags = Flags::kAck;
  return segment(port, h);
}

Outcome Probe::reset(std::uint16_t port) {
  wire::TcpHeader h;
  h.seq = wire::SeqNum{kIrs + 1};
  h.flags = Flags::kRst;
  return segment(port, h);
}

Outcome Probe::answer_syn(const wire::TcpHeader& syn, Flags flags) {
  wire::TcpHeader h;
  h.source_port = syn.destination_port;
  h.destination_port = syn.source_port;
  h.seq = wire::SeqNum{flags.rst() ? 0 : kIrs};
  h.ack = syn.seq + 1;
  h.flags = flags;
  h.window = {64240};
  return deliver(peer(), h);
}

void Probe::open(std::uint16_t port) {
  (void)syn(port);
  (void)third(port);
}

Outcome Probe::wait(Duration d) {
  const trace::Counters before = stack_.counters();
  const Instant end = now() + d;
  Outcome all;
  while (stack_.next_deadline() <= end) {
    clock_.advance_to(std::max(now(), stack_.next_deadline()));
    stack_.advance(now());
    Outcome step = collect(before);
    all.answers.insert(all.answers.end(), step.answers.begin(), step.answers.end());
  }
  clock_.advance_to(end);
  all.counters = moved(before, stack_.counters());
  return all;
}

Outcome Probe::connect() {
  const trace::Counters before = stack_.counters();
  (void)must(stack_.connect({peer(), kPort}, {}, now()), "connect");
  return collect(before);
}

}  // namespace synfin::ladders
