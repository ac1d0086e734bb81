// SPDX-License-Identifier: Apache-2.0
#include "player.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace synfin::state_table {
namespace {

using wire::Flags;
using wire::SeqNum;

constexpr std::uint16_t kOwnPort = 80, kPeerPort = 40'000;
constexpr Instant kStart = Instant::from_ns(1'000'000'000'000);

stack::Config config(Guard guard, bool short_paths = true) {
  stack::Config c;
  c.short_paths = short_paths;
  c.addresses = {*wire::Prefix::parse("10.77.0.2/24"), *wire::Prefix::parse("fd77::2/64")};
  switch (guard) {
    case Guard::kSpent:
      c.settings.tcp_challenge_ack_limit = 1;
      break;
    case Guard::kRfc1337:
      c.settings.tcp_rfc1337 = true;
      break;
    case Guard::kNormal:
    case Guard::kStale:
    case Guard::kNewer:
    case Guard::kGuards:
      break;
  }
  return c;
}

wire::FourTuple tuple_for(wire::Family family) {
  const auto at = [](std::string_view text, std::uint16_t port) {
    return wire::Endpoint{wire::Prefix::parse(text)->address, port};
  };
  return family == wire::Family::kIpv4
             ? wire::FourTuple{at("10.77.0.2/24", kOwnPort), at("10.77.0.1/24", kPeerPort)}
             : wire::FourTuple{at("fd77::2/64", kOwnPort), at("fd77::1/64", kPeerPort)};
}

// The stack chooses its first number (RFC 6528), and its clock ticks every 4 µs: this is when it chooses the
// wanted one.
Instant start_for(const Variation& v) {
  static std::array<std::optional<SeqNum>, 2> at_start;
  std::optional<SeqNum>& known = at_start[v.family == wire::Family::kIpv4 ? 0 : 1];
  if (!known) {
    wire::BlockPool pool;
    SeededEntropy entropy{7};
    stack::Stack probe{config(Guard::kNormal), pool, entropy};
    const wire::FourTuple tuple = tuple_for(v.family);
    EXPECT_TRUE(probe.connect(tuple.remote, {.local = tuple.local}, kStart));
    wire::Frame frame;
    EXPECT_EQ(probe.transmit(std::span{&frame, 1}, kStart), 1u);
    const auto ip = wire::parse_ip(frame.front(), frame.size());
    known = wire::parse_tcp_packet(*ip, frame, wire::VerifyChecksum::kYes)->tcp.seq;
    frame.clear();
  }
  return kStart + Duration::microseconds(4) * std::int64_t{v.own_iss - known->raw()};
}

std::uint8_t flags_of(Kind kind) {
  switch (kind) {
    case Kind::kSyn:
      return Flags::kSyn;
    case Kind::kSynAck:
      return Flags::kSyn | Flags::kAck;
    case Kind::kAck:
    case Kind::kData:
      return Flags::kAck;
    case Kind::kUrg:
      return Flags::kAck | Flags::kUrg;
    case Kind::kFin:
      return Flags::kFin;
    case Kind::kFinAck:
    case Kind::kFinData:
      return Flags::kFin | Flags::kAck;
    case Kind::kRst:
      return Flags::kRst;
    case Kind::kRstAck:
      return Flags::kRst | Flags::kAck;
    case Kind::kSynFin:
      return Flags::kSyn | Flags::kFin;
    case Kind::kNull:
    case Kind::kKinds:
      break;
  }
  return 0;
}

std::uint32_t octets_of(Flags f) {
  return (f.syn() ? 1u : 0u) + (f.fin() ? 1u : 0u);
}

}  // namespace

std::uint32_t length_of(Kind kind) {
  return octets_of(Flags{flags_of(kind)}) + (carries_text(kind) ? Player::kText : 0);
}

std::string Variation::name() const {
  return fmt::format("IPv{}, peer's first number {:#x}, own {:#x}{}", family == wire::Family::kIpv4 ? 4 : 6,
                     peer_iss, own_iss, program_gone ? ", program gone" : "") +
         (short_paths ? "" : ", all the long way");
}

std::uint32_t Packet::length() const {
  return text + octets_of(header.flags);
}

std::string to_string(const Packet& p) {
  const Flags f = p.header.flags;
  std::string flags;
  for (const auto& [is_set, word] : {std::pair{f.syn(), "SYN,"}, std::pair{f.fin(), "FIN,"},
                                     std::pair{f.rst(), "RST,"}, std::pair{f.ack(), "ACK,"}})
    if (is_set) flags += word;
  if (!flags.empty()) flags.pop_back();
  return fmt::format("<SEQ={}><ACK={}><CTL={}>{}", p.header.seq.raw(), f.ack() ? p.header.ack.raw() : 0,
                     flags, p.text > 0 ? fmt::format(" {} octets", p.text) : "");
}

Player::Player(const Variation& variation, Guard guard)
    : variation_(variation), guard_(guard), tuple_(tuple_for(variation.family)), now_(start_for(variation)) {
  trace::Sink* const sink = this;
  stack_.emplace(config(guard, variation.short_paths), pool_, entropy_, sink);
  numbers_.rcv_nxt = numbers_.rcv_edge = SeqNum{variation.peer_iss};
}

void Player::on_event(const trace::Event& event) {
  if (event.kind == trace::EventKind::kSegmentReceived) reason_ = event.reason;
  if (event.kind == trace::EventKind::kStateChanged) change_ = event.reason;
}

void Player::collect() {
  std::array<wire::Frame, 8> frames;
  while (const std::size_t n = stack_->transmit(frames, now_)) {
    for (std::size_t i = 0; i < n; ++i) {
      const auto ip = wire::parse_ip(frames[i].front(), frames[i].size());
      const auto tcp = wire::parse_tcp_packet(*ip, frames[i], wire::VerifyChecksum::kYes);
      EXPECT_TRUE(tcp);
      if (tcp) sent_.push_back({tcp->tcp, static_cast<std::uint32_t>(tcp->payload_size)});
      frames[i].clear();
    }
  }
  while (stack_->poll_event()) {
  }
}

std::vector<Packet> Player::sent() {
  collect();
  return std::exchange(sent_, {});
}

void Player::gives(std::uint8_t flags, SeqNum seq, SeqNum ack, std::uint32_t text, std::uint16_t window) {
  wire::TcpHeader h;
  h.source_port = tuple_.remote.port;
  h.destination_port = tuple_.local.port;
  h.flags = Flags{flags};
  h.seq = seq;
  if (h.flags.ack()) h.ack = ack;
  h.window = {window};
  if ((flags & Flags::kUrg) != 0) h.urgent_pointer = 5;
  if (h.flags.syn()) {
    h.options.present = wire::TcpOptions::kMss;
    h.options.mss = 1400;
  }
  if (guard_ == Guard::kStale || guard_ == Guard::kNewer) {
    h.options.present |= wire::TcpOptions::kTimestamps;
    h.options.timestamps = {peer_clock_, 0};
  }
  wire::IpHeader ip;
  ip.source = tuple_.remote.address;
  ip.destination = tuple_.local.address;
  ip.protocol = wire::protocol::kTcp;
  wire::Frame frame;
  if (text > 0) frame.add(pool_.copy(std::vector<std::byte>(text, std::byte{'x'})));
  wire::emit_tcp_packet(ip, h, frame, wire::FillChecksum::kYes);
  reason_ = Reason::kNone;
  stack_->receive(std::span{&frame, 1}, now_);
  collect();
}

void Player::plays(Kind kind, SeqNum seq, SeqNum ack) {
  if (guard_ == Guard::kStale) --peer_clock_;
  if (guard_ == Guard::kNewer) ++peer_clock_;
  gives(flags_of(kind), seq, ack, carries_text(kind) ? kText : 0);
}

void Player::runs_for(Duration d) {
  const Instant end = now_ + d;
  collect();
  while (stack_->next_deadline() <= end) {
    now_ = std::max(now_, stack_->next_deadline());
    stack_->advance(now_);
    collect();
  }
  now_ = end;
}

void Player::writes(std::uint32_t octets) {
  const std::vector<std::byte> text(octets, std::byte{'y'});
  const Bytes bytes{text};
  EXPECT_EQ(stack_->send(connection_, std::span{&bytes, 1}, now_), octets);
  collect();
}

void Player::closes() {
  stack_->close(connection_, now_);
  collect();
}

void Player::listens() {
  const auto listener = stack_->listen(tuple_.local, {}, now_);
  ASSERT_TRUE(listener);
  listener_ = *listener;
}

// By LISTEN, and text on its way.
void Player::opens() {
  const SeqNum irs{variation_.peer_iss};
  listens();
  gives(Flags::kSyn, irs, {});
  ASSERT_EQ(sent_.size(), 1u);
  gives(Flags::kAck, irs + 1, sent_[0].header.seq + 1);
  const auto connection = stack_->accept(listener_, now_);
  ASSERT_TRUE(connection);
  connection_ = *connection;
}

void Player::ends_sending() {
  if (variation_.program_gone) {
    closes();
    return;
  }
  EXPECT_TRUE(stack_->shutdown(connection_, stack::Shutdown::kSend, now_));
  collect();
}

// The peer's FIN, which acknowledges nothing new.
void Player::ends_peer() {
  const SeqNum fin{variation_.peer_iss + 1 + peer_text_};
  gives(Flags::kFin | Flags::kAck, fin, numbers_.snd_una);
}

void Player::brings_to(Row row) {
  const SeqNum irs{variation_.peer_iss}, iss{variation_.own_iss};
  numbers_.iss = numbers_.snd_una = iss;
  if (row == Row::kFinWait1Orphan || row == Row::kFinWait2Orphan) variation_.program_gone = true;
  const auto acknowledges_all = [&] {
    numbers_.snd_una = iss + kText + 2;
    gives(Flags::kAck, irs + 1, numbers_.snd_una);
  };
  if (has_window(row) && !is_opening(row)) {
    opens();
    writes(kText);
    numbers_.snd_una = iss + 1;
  }
  switch (row) {
    case Row::kListen:
      listens();
      break;
    case Row::kSynSent:
    case Row::kSynReceivedActive: {
      const auto connection = stack_->connect(tuple_.remote, {.local = tuple_.local}, now_);
      ASSERT_TRUE(connection);
      connection_ = *connection;
      collect();
      if (row == Row::kSynReceivedActive) gives(Flags::kSyn, irs, {});
      break;
    }
    case Row::kSynReceivedPassive:
      listens();
      gives(Flags::kSyn, irs, {});
      break;
    case Row::kFinWait1:
    case Row::kFinWait1Orphan:
      ends_sending();
      break;
    case Row::kFinWait2:
    case Row::kFinWait2Orphan:
      ends_sending();
      acknowledges_all();
      break;
    case Row::kCloseWait:
      ends_peer();
      break;
    case Row::kClosing:
      ends_sending();
      ends_peer();
      break;
    case Row::kLastAck:
      ends_peer();
      ends_sending();
      break;
    case Row::kTimeWait:
      ends_sending();
      acknowledges_all();
      ends_peer();
      break;
    case Row::kClosed:
    case Row::kEstablished:
    case Row::kRows:
      break;
  }
  reads_numbers();
}

// Row by row as above, but nothing of ours is on its way but a SYN or a FIN, and the queues hold what `load`
// says.
void Player::brings_to(Row row, Load load) {
  if (!has_handle(row)) {
    brings_to(row);
    return;
  }
  const SeqNum irs{variation_.peer_iss}, iss{variation_.own_iss};
  const bool blocked = load == Load::kBlocked;
  if (is_opening(row)) {
    brings_to(row);
    if (blocked) writes(kText);
    return;
  }
  opens();
  numbers_.iss = iss;
  numbers_.snd_una = iss + 1;
  if (load == Load::kUnread) {
    peer_text_ = kText;
    gives(Flags::kAck, irs + 1, iss + 1, kText);
    runs_for(Duration::milliseconds(100));
  }
  const SeqNum peer_next = irs + 1 + peer_text_;
  // A FIN takes part in the window, so nothing of it is open.
  if (blocked) gives(Flags::kAck, peer_next, iss + 1, 0, 0);
  if (blocked) writes(kText);
  const bool ends_first =
      row == Row::kFinWait1 || row == Row::kFinWait2 || row == Row::kClosing || row == Row::kTimeWait;
  if (ends_first) ends_sending();
  if (row == Row::kFinWait2 || row == Row::kTimeWait) {
    numbers_.snd_una = iss + 2;
    gives(Flags::kAck, peer_next, numbers_.snd_una);
  }
  const bool peer_ended =
      row == Row::kCloseWait || row == Row::kClosing || row == Row::kLastAck || row == Row::kTimeWait;
  if (peer_ended) gives(Flags::kFin | Flags::kAck, peer_next, numbers_.snd_una, 0, blocked ? 0 : kWindow);
  if (row == Row::kLastAck) ends_sending();
  reads_numbers();
}

void Player::reads_numbers() {
  numbers_.snd_nxt = numbers_.iss;
  for (const Packet& p : sent_) {
    const SeqNum end = p.header.seq + p.length();
    if (end.after(numbers_.snd_nxt)) numbers_.snd_nxt = end;
    if (!p.header.flags.ack()) continue;
    numbers_.rcv_nxt = p.header.ack;
    numbers_.rcv_edge = p.header.ack + p.header.window.field;
  }
  sent_.clear();
}

void Player::spends_challenges() {
  gives(Flags::kRst, numbers_.rcv_nxt + 10, {});
  EXPECT_EQ(sent().size(), 1u);
  EXPECT_EQ(reason_, Reason::kResetChallenged);
}

std::string Player::leaves_behind() {
  stack_->shut_down(now_);
  stack_->close(connection_, now_);
  collect();
  const stack::Population left = stack_->population();
  const std::size_t records =
      left.connections + left.half_open + left.held + left.time_wait + left.listeners + left.armed_timers;
  if (records == 0 && pool_.bytes_in_use() == 0) return {};
  return fmt::format("{} records and timers, {} octets of packet memory stay behind", records,
                     pool_.bytes_in_use());
}

}  // namespace synfin::state_table
