// SPDX-License-Identifier: Apache-2.0
#include "synfin/sim/ladder_test_kit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "synfin/tcp/error.h"
#include "synfin/wire/ip.h"

namespace synfin::sim {
namespace {

using namespace literals;
using trace::State;
using wire::TcpOptions;

constexpr Duration kIssTick = Duration::microseconds(4);
constexpr std::uint32_t kFirstPeerTsval = 0xffff'ff00;  // wraps a quarter of a second into the ladder

wire::IpAddress host_address(wire::Family family, std::uint8_t last) {
  if (family == wire::Family::kIpv4) return wire::IpAddress::v4(10, 77, 0, last);
  std::array<std::byte, 16> octets{};
  octets[0] = std::byte{0xfd};
  octets[1] = std::byte{0x77};
  octets[15] = std::byte{last};
  return wire::IpAddress::from_v6_octets(octets.data());
}

stack::Config make_config(const LadderOptions& options) {
  stack::Config config;
  config.addresses = {{host_address(wire::Family::kIpv4, 2), 24}, {host_address(wire::Family::kIpv6, 2), 64}};
  config.mtu = options.mtu;
  // Buffers that do not grow, and a window that is hardly ever in the way: ladders about either say so.
  config.settings.tcp_rmem = config.settings.tcp_wmem = 1 << 20;
  if (options.settings) options.settings(config.settings);
  return config;
}

std::optional<wire::TcpPacket> read_packet(const wire::Frame& frame) {
  const auto ip = wire::parse_ip(frame.front(), frame.size());
  if (!ip) return std::nullopt;
  const auto packet = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes);
  if (!packet) return std::nullopt;
  return *packet;
}

// The stack's initial number for the ladder's 4-tuple at time 0: what the keyed hash alone contributes.
std::uint32_t hash_part_of_iss(const Variant& variant, const LadderOptions& options,
                               const wire::FourTuple& tuple) {
  static std::map<std::pair<wire::Family, std::uint64_t>, std::uint32_t> known;
  const auto key = std::pair{variant.family, options.seed};
  if (const auto found = known.find(key); found != known.end()) return found->second;

  wire::BlockPool pool;
  SeededEntropy entropy(options.seed);
  std::uint32_t iss = 0;
  {
    stack::Stack scratch(make_config(options), pool, entropy);
    const Instant now = Instant::from_ns(0) + 1_s;
    (void)scratch.listen(tuple.local, {}, now);
    wire::IpHeader ip{
        .source = tuple.remote.address, .destination = tuple.local.address, .protocol = wire::protocol::kTcp};
    wire::TcpHeader tcp;
    tcp.source_port = tuple.remote.port;
    tcp.destination_port = tuple.local.port;
    tcp.flags = SYN;
    tcp.window = {65535};
    std::array<wire::Frame, 4> frames;
    wire::emit_tcp_packet(ip, tcp, frames[0], wire::FillChecksum::kYes);
    scratch.receive({frames.data(), 1}, now);
    if (scratch.transmit(frames, now) == 1) {
      if (const auto answer = read_packet(frames[0])) iss = answer->tcp.seq.raw();
    }
    iss -= static_cast<std::uint32_t>((now - Instant::from_ns(0)) / kIssTick);
  }
  return known[key] = iss;
}

std::string flag_letters(wire::Flags f) {
  std::string s;
  if (f.syn()) s += 'S';
  if (f.fin()) s += 'F';
  if (f.rst()) s += 'R';
  if (f.psh()) s += 'P';
  if (f.urg()) s += 'U';
  if (f.ece()) s += 'E';
  if (f.cwr()) s += 'W';
  if (f.ack()) s += '.';
  return s.empty() ? "-" : s;
}

std::uint32_t as_u32(std::int64_t n) {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(n));
}

}  // namespace

std::string ladder_detail::event_names(std::uint16_t bits) {
  static constexpr std::array names = {"connected",   "readable",    "writable", "acceptable", "failed",
                                       "peer-closed", "send-closed", "pending",  "trouble",    "urgent"};
  std::string s;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((bits >> i & 1) != 0) s += s.empty() ? names[i] : std::string(" ") + names[i];
  }
  return s.empty() ? "none" : s;
}

std::string Variant::name() const {
  return fmt::format("{} peer ISS {:#x} stack ISS {:#x}", family == wire::Family::kIpv4 ? "IPv4" : "IPv6",
                     peer_iss, stack_iss);
}

const std::vector<Variant>& all_variants() {
  static const std::vector<Variant> variants = [] {
    std::vector<Variant> v;
    for (const auto family : {wire::Family::kIpv4, wire::Family::kIpv6}) {
      v.push_back({family, 1000, 20'000});
      v.push_back({family, 0xffff'ffff, 0xffff'fff0});
      v.push_back({family, 0xffff'ff00, 0xffff'f000});
      v.push_back({family, 0x7fff'ffff, 0x7fff'f800});
    }
    return v;
  }();
  return variants;
}

void ladder_detail::run(const std::function<void(const Variant&)>& body) {
  for (const Variant& variant : all_variants()) {
    SCOPED_TRACE(variant.name());
    body(variant);
    if (::testing::Test::HasFailure()) return;
  }
}

// Setting up and tearing down.

Ladder::Ladder(const Variant& variant, LadderOptions options)
    : variant_(variant),
      options_(std::move(options)),
      pool_(std::make_unique<wire::BlockPool>()),
      entropy_(options_.seed),
      recorder_(*this) {
  tuple_ = {{host_address(variant.family, 2), kStackPort}, {host_address(variant.family, 1), kPeerPort}};
  const std::uint32_t ticks = variant.stack_iss - hash_part_of_iss(variant, options_, tuple_);
  start_ = Instant::from_ns(0) + kIssTick * (std::int64_t{ticks} + (std::int64_t{1} << 32));
  clock_ = VirtualClock(start_);
  stack_ = std::make_unique<stack::Stack>(make_config(options_), *pool_, entropy_, &recorder_);
}

Ladder::~Ladder() {
  if (!failed_) (void)unclaimed(Where::current());
  stack_->shut_down(clock_.now());
  std::array<wire::Frame, 16> frames;
  while (stack_->transmit(frames, clock_.now()) != 0) {
    for (wire::Frame& f : frames) f.clear();
  }
  // A connection that has failed stays until its program lets go of it, so that `failure` can answer.
  while (const auto event = stack_->poll_event()) stack_->close(event->handle, clock_.now());
  stack_->close(connection_, clock_.now());
  const stack::Population left = stack_->population();
  if (left.connections + left.half_open + left.time_wait + left.listeners + left.armed_timers != 0) {
    fails(fmt::format("shut_down left {} connections, {} half-open, {} TIME-WAIT, {} listeners, {} timers",
                      left.connections, left.half_open, left.time_wait, left.listeners, left.armed_timers));
  }
  if (pool_->bytes_in_use() != 0)
    fails(fmt::format("shut_down left {} octets of blocks", pool_->bytes_in_use()));
  stack_.reset();
  if (pool_->bytes_in_use() != 0)
    fails(fmt::format("the stack left {} octets of blocks", pool_->bytes_in_use()));
}

Ladder& Ladder::fails(const std::string& what, Where w) {
  if (failed_) return *this;
  failed_ = true;
  ADD_FAILURE_AT(w.file_name(), static_cast<int>(w.line()))
      << what << "\n  the ladder so far (" << variant_.name() << "):\n"
      << text_;
  return *this;
}

void Ladder::note(const std::string& line) {
  text_ += fmt::format("    {:+.6f} {}\n", time().as_seconds(), line);
}

void Ladder::Recorder::on_event(const trace::Event& event) {
  switch (event.kind) {
    case trace::EventKind::kSegmentReceived:
    case trace::EventKind::kPacketReceived:
      ladder_.last_reason_ = event.reason;
      return;
    case trace::EventKind::kStateChanged:
      ladder_.note(fmt::format("  {} -> {} ({})", trace::name(event.from), trace::name(event.to),
                               trace::name(event.reason)));
      if (event.tuple != ladder_.tuple_) return;
      if (event.from != ladder_.last_state_ &&
          !(event.from == State::kListen && ladder_.last_state_ == State::kClosed)) {
        ladder_.fails("a traced change of state does not begin where the last one ended");
      }
      ladder_.last_state_ = event.to == State::kListen ? State::kClosed : event.to;
      return;
    case trace::EventKind::kTimer:
      ladder_.note(fmt::format("  timer: {}", trace::name(event.reason)));
      return;
    case trace::EventKind::kSegmentSent:
      ladder_.sent_reasons_.push_back(event.reason);
      return;
    case trace::EventKind::kPacketSent:
    case trace::EventKind::kCall:
    case trace::EventKind::kFlood:
      return;
  }
}

wire::Endpoint Ladder::endpoint(std::uint8_t last_octet, std::uint16_t port) const {
  return {host_address(variant_.family, last_octet), port};
}

std::uint32_t Ladder::own_mss() const {
  return options_.mtu - (variant_.family == wire::Family::kIpv4 ? 40 : 60);
}

std::uint32_t Ladder::peer_tsval() const {
  return kFirstPeerTsval + static_cast<std::uint32_t>(time().ms());
}

Ladder& Ladder::peer_restarts(std::uint32_t delta) {
  variant_.peer_iss += delta;
  right_edge_.reset();
  timestamps_on_ = peer_timestamps_ = false;
  return *this;
}

// Segments.

wire::Frame Ladder::build(const In& in) {
  const wire::Endpoint from = in.from.value_or(tuple_.remote);
  const wire::Endpoint to = in.to.value_or(tuple_.local);
  const std::uint32_t seq_base = in.absolute ? 0 : variant_.peer_iss;
  const std::uint32_t ack_base = in.absolute ? 0 : stack_iss_;
  wire::TcpHeader tcp;
  tcp.source_port = from.port;
  tcp.destination_port = to.port;
  tcp.flags = in.flags;
  tcp.seq = wire::SeqNum{seq_base + as_u32(in.seq)};
  if (tcp.flags.ack()) tcp.ack = wire::SeqNum{ack_base + as_u32(in.ack)};
  tcp.window = {in.window.value_or(options_.peer.window)};
  tcp.urgent_pointer = in.urgent_pointer;
  TcpOptions& o = tcp.options;
  if (in.mss) {
    o.present |= TcpOptions::kMss;
    o.mss = *in.mss;
  }
  if (in.user_timeout) {
    o.present |= TcpOptions::kUserTimeout;
    o.user_timeout = *in.user_timeout;
  }
  if (in.wscale) {
    o.present |= TcpOptions::kWindowScale;
    o.window_scale = *in.wscale;
  }
  if (in.sack_permitted) o.present |= TcpOptions::kSackPermitted;
  for (const Sack& s : in.sack) {
    o.present |= TcpOptions::kSack;
    o.sack[o.sack_count++] = {wire::SeqNum{ack_base + as_u32(s.left)},
                              wire::SeqNum{ack_base + as_u32(s.right)}};
  }
  if (in.ts || (timestamps_on_ && !in.without_ts)) {
    o.present |= TcpOptions::kTimestamps;
    o.timestamps = in.ts.value_or(wire::Timestamps{.value = peer_tsval(), .echo = last_tsval_});
  }
  if (tcp.flags.syn() && !in.from && !in.to) {
    peer_timestamps_ = in.ts.has_value();
    peer_wscale_ = in.wscale.has_value();
  }

  std::vector<std::byte> payload(in.len);
  const std::int64_t first = in.absolute ? 0 : in.seq - 1 + (tcp.flags.syn() ? 1 : 0);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = pattern(static_cast<std::uint64_t>(first + static_cast<std::int64_t>(i)));
  }
  wire::Frame scattered;
  if (!payload.empty()) scattered.add(pool_->copy(payload));
  const wire::IpHeader ip{
      .source = from.address, .destination = to.address, .protocol = wire::protocol::kTcp};
  wire::emit_tcp_packet(ip, tcp, scattered, wire::FillChecksum::kYes);

  // As a link would give it: the whole packet in one slice.
  std::vector<std::byte> octets(scattered.size());
  scattered.copy_out(0, octets);
  if (in.bad_checksum) octets[octets.size() - 1] ^= std::byte{1};
  wire::Frame frame;
  frame.add(pool_->copy(octets));
  if (const auto packet = read_packet(frame)) {
    note(describe(*packet, '<'));
  } else {
    note("< (unreadable)");
  }
  return frame;
}

std::string Ladder::describe(const wire::TcpPacket& packet, char direction) const {
  const wire::TcpHeader& h = packet.tcp;
  const bool inbound = direction == '<';
  const std::uint32_t seq_base = inbound ? variant_.peer_iss : stack_iss_;
  const std::uint32_t ack_base = inbound ? stack_iss_ : variant_.peer_iss;
  const auto relative = [](wire::SeqNum n, std::uint32_t base) { return n - wire::SeqNum{base}; };
  const auto length = static_cast<std::int64_t>(packet.payload_size);
  std::string s = fmt::format("{} {} {}:{}({})", direction, flag_letters(h.flags), relative(h.seq, seq_base),
                              relative(h.seq, seq_base) + length, length);
  if (h.flags.ack()) s += fmt::format(" ack {}", relative(h.ack, ack_base));
  s += fmt::format(" win {}", h.window.field);
  if (h.urgent_pointer != 0) s += fmt::format(" urg {}", h.urgent_pointer);
  std::string o;
  const auto add = [&o](const std::string& option) { o += o.empty() ? option : "," + option; };
  if (h.options.has(TcpOptions::kMss)) add(fmt::format("mss {}", h.options.mss));
  if (h.options.has(TcpOptions::kSackPermitted)) add("sackOK");
  if (h.options.has(TcpOptions::kTimestamps)) {
    add(fmt::format("TS val {} ecr {}", h.options.timestamps.value, h.options.timestamps.echo));
  }
  if (h.options.has(TcpOptions::kWindowScale)) add(fmt::format("wscale {}", h.options.window_scale));
  if (h.options.has(TcpOptions::kUserTimeout)) add(fmt::format("uto {}", h.options.user_timeout));
  if (h.options.has(TcpOptions::kSack)) {
    std::string blocks = "sack";
    for (std::size_t i = 0; i < h.options.sack_count; ++i) {
      blocks += fmt::format(" {}:{}", relative(h.options.sack[i].left, ack_base),
                            relative(h.options.sack[i].right, ack_base));
    }
    add(blocks);
  }
  if (!o.empty()) s += fmt::format(" <{}>", o);
  const wire::Endpoint peer = inbound ? wire::Endpoint{packet.ip.source, h.source_port}
                                      : wire::Endpoint{packet.ip.destination, h.destination_port};
  if (peer != tuple_.remote) s += fmt::format(" {} {}", inbound ? "from" : "to", peer.to_string());
  return s;
}

// What holds for every segment that a stack sends.
void Ladder::inspect(const wire::TcpPacket& packet, const std::vector<std::byte>& payload, Where w) {
  const wire::TcpHeader& h = packet.tcp;
  if (packet.payload_offset + payload.size() > options_.mtu)
    fails("a packet larger than the MTU was sent", w);
  if (packet.ip.destination != tuple_.remote.address || h.destination_port != tuple_.remote.port) return;
  if (h.flags.syn()) {
    if (iss_known_ && h.seq.raw() != stack_iss_) right_edge_.reset();
    stack_iss_ = h.seq.raw();
    iss_known_ = true;
    stack_wscale_.reset();
    if (h.options.has(TcpOptions::kWindowScale)) stack_wscale_ = h.options.window_scale;
    timestamps_on_ = peer_timestamps_ && h.options.has(TcpOptions::kTimestamps);
  }
  if (h.options.has(TcpOptions::kTimestamps)) last_tsval_ = h.options.timestamps.value;
  if (h.flags.rst()) return;
  const State now = stack_->state_of(tuple_);
  const bool alive = now != State::kClosed && now != State::kListen && now != State::kTimeWait;
  if (alive && !h.flags.syn() && h.options.has(TcpOptions::kTimestamps) != timestamps_on_) {
    fails(timestamps_on_ ? "timestamps were negotiated and are missing (RFC 7323 §3.2)"
                         : "timestamps were sent without having been negotiated (RFC 7323 §3.2)",
          w);
  }
  for (std::size_t i = 0; i < payload.size(); ++i) {
    const std::int64_t offset = (h.seq - wire::SeqNum{stack_iss_}) - 1 + static_cast<std::int64_t>(i);
    if (offset < 0) continue;  // a keep-alive probe may carry garbage before the first octet
    if (payload[i] != pattern(static_cast<std::uint64_t>(offset))) {
      fails(fmt::format("octet {} of the stream was sent wrong", offset), w);
      return;
    }
    if (static_cast<std::uint64_t>(offset) >= app_written_) {
      fails(fmt::format("octet {} was sent, but the program wrote only {}", offset, app_written_), w);
      return;
    }
  }
  if (!alive || !h.flags.ack()) return;
  const int shift = !h.flags.syn() && peer_wscale_ && stack_wscale_ ? std::min<int>(*stack_wscale_, 14) : 0;
  const wire::SeqNum edge = h.ack + (std::uint32_t{h.window.field} << shift);
  if (right_edge_ && edge - *right_edge_ < -((1 << shift) - 1)) {
    fails(fmt::format("the window shrank: its right edge went back by {} (RFC 9293 §3.8.6, SHLD-14)",
                      *right_edge_ - edge),
          w);
  }
  right_edge_ = right_edge_ ? wire::later(*right_edge_, edge) : edge;
}

void Ladder::settle(Where w) {
  std::array<wire::Frame, 16> frames;
  std::size_t n = 0;
  for (std::size_t rounds = 0; (n = stack_->transmit(frames, clock_.now())) != 0; ++rounds) {
    if (rounds > 10'000) {
      fails("transmit does not come to an end", w);
      break;
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto packet = read_packet(frames[i]);
      if (!packet) {
        note("> (unreadable)");
        fails("the stack sent what cannot be read as a TCP packet, or with a wrong checksum", w);
        continue;
      }
      std::vector<std::byte> payload(packet->payload_size);
      frames[i].copy_out(packet->payload_offset, payload);
      frames[i].clear();
      if (packet->tcp.flags.syn() && packet->ip.destination == tuple_.remote.address && !iss_known_) {
        stack_iss_ = packet->tcp.seq.raw();
      }
      note(describe(*packet, '>'));
      inspect(*packet, payload, w);
      sent_.push_back({clock_.now(), *packet, std::move(payload), describe(*packet, '>')});
    }
  }
  if (stack_->records_without_timer() != 0) fails("a record has neither a timer nor an idle owner", w);
  poll_events();
}

void Ladder::poll_events() {
  while (const auto event = stack_->poll_event()) {
    note(fmt::format("  event: {}{}", ladder_detail::event_names(event->what),
                     event->handle == listener_ ? " (listener)" : ""));
    events_ |= event->what;
  }
}

bool Ladder::unclaimed(Where w) {
  if (failed_) return true;
  if (sent_.empty()) return false;
  fails(fmt::format("sent and not expected: {} (at {:.6f})", sent_.front().line,
                    (sent_.front().at - start_).as_seconds()),
        w);
  return true;
}

bool Ladder::run_to(Instant t, bool stop_at_output, Where w) {
  std::size_t stuck = 0;
  while (stack_->next_deadline() <= t) {
    const Instant due = std::max(stack_->next_deadline(), clock_.now());
    stuck = due > clock_.now() ? 0 : stuck + 1;
    if (stuck > 1000) {
      fails("a deadline stays due although advance was called again and again", w);
      return false;
    }
    clock_.advance_to(due);
    stack_->advance(due);
    settle(w);
    if (stop_at_output && !sent_.empty()) return true;
  }
  if (t > clock_.now()) clock_.advance_to(t);
  return !sent_.empty();
}

Ladder& Ladder::at(Duration t, Where w) {
  if (unclaimed(w)) return *this;
  if (start_ + t + kSlack < clock_.now()) return fails("the test goes back in time", w);
  run_to(start_ + t, false, w);
  return *this;
}

Ladder& Ladder::after(Duration d, Where w) {
  return at(time() + d, w);
}

Ladder& Ladder::receives(const In& in, Where w) {
  return receives_batch({in}, w);
}

Ladder& Ladder::receives_batch(const std::vector<In>& in, Where w) {
  if (unclaimed(w)) return *this;
  std::vector<wire::Frame> frames;
  for (const In& one : in) frames.push_back(build(one));
  stack_->receive(frames, clock_.now());
  note(fmt::format("  [{}] {}", trace::name(last_reason_), trace::name(stack_->state_of(tuple_))));
  for (const wire::Frame& f : frames) {
    if (f.size() != 0) return fails("receive did not leave its frames empty", w);
  }
  settle(w);
  return *this;
}

std::string Ladder::mismatch(const Out& want, const Seen& got) const {
  const wire::TcpHeader& h = got.packet.tcp;
  std::string s;
  const auto expect = [&s](const char* what, std::int64_t wanted, std::int64_t seen) {
    if (wanted != seen) s += fmt::format(" {} {} instead of {};", what, seen, wanted);
  };
  const wire::Endpoint to{got.packet.ip.destination, h.destination_port};
  const wire::Endpoint wanted_to = want.to.value_or(tuple_.remote);
  if (to != wanted_to) s += fmt::format(" to {} instead of {};", to.to_string(), wanted_to.to_string());
  if (want.flags) {
    const auto mask = static_cast<std::uint8_t>((*want.flags & PSH) != 0 ? 0xff : 0xff & ~PSH);
    const auto seen = static_cast<std::uint8_t>(h.flags.bits() & mask);
    if (seen != *want.flags)
      s += fmt::format(" flags {} instead of {};", flag_letters(seen), flag_letters(*want.flags));
  }
  const std::uint32_t seq_base = want.absolute ? 0 : stack_iss_;
  const std::uint32_t ack_base = want.absolute ? 0 : variant_.peer_iss;
  if (want.seq && h.seq.raw() != seq_base + as_u32(*want.seq)) {
    expect("seq", *want.seq, h.seq - wire::SeqNum{seq_base});
  }
  if (want.ack) {
    if (!h.flags.ack()) s += " no ACK bit;";
    if (h.ack.raw() != ack_base + as_u32(*want.ack)) expect("ack", *want.ack, h.ack - wire::SeqNum{ack_base});
  }
  if (want.len) expect("length", *want.len, static_cast<std::int64_t>(got.payload.size()));
  if (want.window) {
    const int shift = !h.flags.syn() && peer_wscale_ && stack_wscale_ ? std::min<int>(*stack_wscale_, 14) : 0;
    expect("window", *want.window, std::int64_t{h.window.field} << shift);
  }
  if (want.mss) expect("mss", *want.mss, h.options.has(TcpOptions::kMss) ? h.options.mss : -1);
  if (want.user_timeout) {
    expect("user timeout", *want.user_timeout,
           h.options.has(TcpOptions::kUserTimeout) ? h.options.user_timeout : -1);
  }
  if (want.wscale) {
    expect("wscale", *want.wscale, h.options.has(TcpOptions::kWindowScale) ? h.options.window_scale : -1);
  }
  if (want.sack_permitted) {
    expect("sack-permitted", *want.sack_permitted ? 1 : 0, h.options.has(TcpOptions::kSackPermitted) ? 1 : 0);
  }
  if (want.timestamps)
    expect("timestamps", *want.timestamps ? 1 : 0, h.options.has(TcpOptions::kTimestamps) ? 1 : 0);
  if (want.ts_echo) {
    if (!h.options.has(TcpOptions::kTimestamps)) s += " no timestamps;";
    expect("TSecr", *want.ts_echo, h.options.timestamps.echo);
  }
  if (want.sack) {
    const std::size_t count = h.options.has(TcpOptions::kSack) ? h.options.sack_count : 0;
    expect("SACK blocks", static_cast<std::int64_t>(want.sack->size()), static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < std::min(count, want.sack->size()); ++i) {
      expect("SACK left", (*want.sack)[i].left, h.options.sack[i].left - wire::SeqNum{ack_base});
      expect("SACK right", (*want.sack)[i].right, h.options.sack[i].right - wire::SeqNum{ack_base});
    }
  }
  return s;
}

Ladder& Ladder::sends(const Out& out, Where w) {
  if (failed_) return *this;
  if (sent_.empty()) run_to(clock_.now() + kSlack, true, w);
  if (failed_) return *this;
  if (sent_.empty()) return fails("a segment was expected, and nothing was sent", w);
  const Seen got = std::move(sent_.front());
  sent_.pop_front();
  std::string wrong = mismatch(out, got);
  if (got.at + kSlack < clock_.now()) {
    wrong += fmt::format(" sent at {:.6f} already;", (got.at - start_).as_seconds());
  }
  if (!wrong.empty()) return fails(fmt::format("{}:{}", got.line, wrong), w);
  return *this;
}

Ladder& Ladder::sends_within(Duration d, const Out& out, Where w) {
  if (failed_) return *this;
  if (sent_.empty()) run_to(clock_.now() + d + kSlack, true, w);
  return sends(out, w);
}

Ladder& Ladder::sends_nothing(Where w) {
  (void)unclaimed(w);
  return *this;
}

Ladder& Ladder::silent_for(Duration d, Where w) {
  if (unclaimed(w)) return *this;
  run_to(clock_.now() + d, true, w);
  (void)unclaimed(w);
  return *this;
}

Ladder& Ladder::whatever() {
  sent_.clear();
  return *this;
}

std::vector<wire::TcpPacket> Ladder::take_all() {
  std::vector<wire::TcpPacket> all;
  for (const Seen& s : sent_) all.push_back(s.packet);
  sent_.clear();
  return all;
}

}  // namespace synfin::sim
