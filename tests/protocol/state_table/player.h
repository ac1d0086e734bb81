// SPDX-License-Identifier: Apache-2.0
//
// Brings one stack into a state, by segments and calls only, and plays one segment or one call to it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "calls.h"
#include "synfin/stack/stack.h"
#include "synfin/wire/packet.h"

namespace synfin::state_table {

/// What varies without changing anything: every cell must come out the same for all.
struct Variation {
  wire::Family family = wire::Family::kIpv4;
  std::uint32_t peer_iss = 0;
  std::uint32_t own_iss = 0;
  /// The program has closed rather than shut down sending, where the row leaves that open.
  bool program_gone = false;
  /// `Config::short_paths`.
  bool short_paths = true;
  std::string name() const;
};

/// A segment that the stack sent.
struct Packet {
  wire::TcpHeader header;
  std::uint32_t text = 0;
  std::uint32_t length() const;
};
std::string to_string(const Packet& packet);

/// What the peer knows of both directions when the state has been reached.
struct Numbers {
  wire::SeqNum rcv_nxt, rcv_edge;  // RCV.NXT and RCV.NXT+RCV.WND of the stack
  wire::SeqNum iss, snd_una, snd_nxt;
};

class Player final : private trace::Sink {
 public:
  static constexpr std::uint32_t kText = 100;
  static constexpr std::uint16_t kWindow = 65'535;

  Player(const Variation& variation, Guard guard);
  ~Player() override = default;
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  /// For a segment: text and FIN, if there is one, are unacknowledged.
  void brings_to(Row row);
  /// For a call: only a FIN may be unacknowledged.
  void brings_to(Row row, Load load);
  /// Spends the share of challenge ACKs, which is one under Guard::kSpent.
  void spends_challenges();
  const Numbers& numbers() const { return numbers_; }

  /// The segment of this kind with these numbers; text of `kText` octets where the kind has any.
  void plays(Kind kind, wire::SeqNum seq, wire::SeqNum ack);
  /// Time passes, and timers run.
  void runs_for(Duration d);

  /// What the stack has sent since last asked.
  std::vector<Packet> sent();
  /// The fate of the last segment.
  Reason reason() const { return reason_; }
  /// Why the state last changed.
  Reason change() const { return change_; }
  State state() const { return stack_->state_of(tuple_); }
  /// All memory, records and timers came back when the stack was shut down. Nothing may be asked afterwards.
  std::string leaves_behind();

  stack::Stack& stack() { return *stack_; }
  Instant now() const { return now_; }
  const wire::FourTuple& tuple() const { return tuple_; }
  stack::Handle listener() const { return listener_; }
  stack::Handle connection() const { return connection_; }

 private:
  void writes(std::uint32_t octets);
  void closes();
  void gives(std::uint8_t flags, wire::SeqNum seq, wire::SeqNum ack, std::uint32_t text = 0,
             std::uint16_t window = kWindow);
  void reads_numbers();
  void on_event(const trace::Event& event) override;
  void collect();
  void listens();
  void opens();
  void ends_sending();
  void ends_peer();

  Variation variation_;
  Guard guard_;
  wire::FourTuple tuple_;
  wire::BlockPool pool_;
  SeededEntropy entropy_{7};
  Instant now_;
  std::optional<stack::Stack> stack_;
  stack::Handle listener_, connection_;
  Numbers numbers_;
  std::vector<Packet> sent_;
  Reason reason_ = Reason::kNone, change_ = Reason::kNone;
  std::uint32_t peer_text_ = 0;
  std::uint32_t peer_clock_ = 0x8000'0000;  // of its timestamps, where it uses them
};

/// Octets of sequence space.
std::uint32_t length_of(Kind kind);

}  // namespace synfin::state_table
