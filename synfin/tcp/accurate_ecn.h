// SPDX-License-Identifier: Apache-2.0
//
// Accurate ECN (RFC 9768): the handshake's questions and answers, and what each end of a connection counts.
// Knows nothing of sequence numbers beyond what it is told of each acknowledgement.
#pragma once

#include <cstdint>

#include "synfin/base/time.h"
#include "synfin/tcp/info.h"
#include "synfin/tcp/segment.h"
#include "synfin/tcp/settings.h"
#include "synfin/wire/ip.h"

namespace synfin::tcp {

/// How a receiver tells the sender of congestion marks.
enum class EcnMode : std::uint8_t {
  kNone,
  kClassic,  // that there were some (RFC 3168)
  kAccurate  // how many (RFC 9768)
};

/// What a SYN of ours asks for.
EcnMode asked_by(const Settings& settings);
/// What a SYN gets that asks by these bits (RFC 9768 §3.1.1 to §3.1.3; without AccECN, RFC 3168 §6.1.1).
EcnMode answer_to_syn(const wire::TcpHeader& syn, const Settings& settings);
/// What a SYN-ACK agrees to, where our SYN asked for `asked` (RFC 9768 table 2).
EcnMode agreed_by(const wire::TcpHeader& syn_ack, EcnMode asked);
bool accepts_accurate(const Settings& settings);

/// AE, CWR and ECE that say with which codepoint a SYN or SYN-ACK arrived (RFC 9768 tables 2 and 3).
std::uint8_t handshake_code(std::uint8_t ecn);
/// No peer without AccECN sends less in answer to a SYN-ACK (RFC 9768 §5.1).
inline constexpr std::uint8_t kLeastAccurateCode = 2;
/// `handshake_code` of a packet that was marked.
inline constexpr std::uint8_t kMarkedCode = 6;
/// Whether the path left our SYN or SYN-ACK, which is never ECN-capable, as it was (RFC 9768 §3.2.2.3).
bool arrived_unchanged(std::uint8_t code);
/// SYN-ACKs that agree to ECN, before one says nothing of it: a path may swallow those (RFC 9768 §3.2.3.2.2).
inline constexpr std::uint32_t kSynAcksWithEcn = 2;
/// Neither text nor FIN nor SACK blocks: what may say how a SYN-ACK arrived (RFC 9768 §3.2.2.1).
bool is_pure_ack(const Segment& seg);
/// The option with counters that have counted nothing yet.
void add_first_octets(wire::TcpOptions& options);

/// The same SYN came again, asking for `asked`; its connection has agreed to `agreed` (RFC 9768 §3.1.5).
enum class SynAgain : std::uint8_t {
  kSame,
  kWithoutEcn,  // ours must not be ECN-capable then, though marks are still counted
  kMixed        // for ECN of the other kind: reset
};
SynAgain judge_syn_again(EcnMode agreed, EcnMode asked);

/// What both halves of a connection with AccECN have counted. Made when AccECN is agreed on.
class AccurateEcn {
 public:
  static constexpr std::uint8_t kFirstAce = 5;

  /// `answers`: this end answered a SYN, which arrived with `syn_ecn`.
  AccurateEcn(bool answers, std::uint8_t syn_ecn, const Settings& settings);

  // As the receiver.

  /// A SYN-ACK arrived at the end that asked; its text counts (RFC 9768 §3.2.2.2).
  void on_syn_ack(const Segment& syn_ack);
  /// The same again.
  void on_syn_ack_again(std::uint8_t ecn);
  /// Any other acceptable segment arrived. `text_waits`: some text is yet to be acknowledged. True: an
  /// acknowledgement is to leave now (RFC 9768 §3.2.2.5.1).
  [[nodiscard]] bool on_segment(std::uint8_t ecn, std::uint32_t text, bool text_waits,
                                std::uint32_t segments = 1);
  /// Text arrived that was acknowledged before: the acknowledgement, and the option on it, may be what the
  /// path drops (RFC 9768 §3.2.3.2.2).
  void on_repeated_text();
  void on_new_text() { repeated_ = 0; }

  /// The codepoint of the peer's latest SYN, to be told in the SYN-ACK.
  std::uint8_t syn_ecn() const { return syn_ecn_; }
  void on_syn_again(std::uint8_t ecn) { syn_ecn_ = ecn; }
  /// The next segment must be a pure ACK, which says how the SYN-ACK arrived (RFC 9768 §3.2.2.1).
  bool owes_handshake_ack() const { return owes_handshake_ack_; }

  /// The ACE field of a segment that leaves now.
  std::uint8_t ace_of(bool pure_ack);
  /// By tcp_ecn_option.
  bool sends_octets() const { return option_mode_ > 0; }
  /// Octets of options to leave free in a segment with new text: 0, 8 or 12.
  std::uint32_t octets_to_reserve() const;
  /// The option for a segment that leaves now, if it is wanted and `room` octets hold it. `seq`: of new text;
  /// unset for a pure ACK.
  struct Leaving {
    bool text;
    wire::SeqNum seq;
    std::uint32_t room;
    Instant now;
    Duration round_trip;
  };
  void add_octets(wire::TcpOptions& options, const Leaving& leaving);
  /// The retransmission timer ran out for what begins at `una`.
  void on_timeout(wire::SeqNum una);

  // As the sender.

  /// What an acknowledgement acknowledges besides.
  struct Acknowledged {
    std::uint32_t segments = 0, octets = 0;  // newly known to have arrived
    bool later = false;                      // its timestamp is newer than any before
    std::uint32_t mss = 1;
    wire::SeqNum una, nxt;  // behind it
  };
  struct Heard {
    std::uint32_t marked = 0;  // segments newly known to have been marked; 0 where they are not believed
    bool of_syn_ack = false;   // what was marked is our SYN-ACK
    bool mangled = false;      // the path changes codepoints or counters: send nothing ECN-capable any more
  };
  [[nodiscard]] Heard on_ack(const Segment& seg, const Acknowledged& news);

  // For TCP_INFO.

  std::uint32_t received_marks() const { return received_.packets - kFirstAce; }
  std::uint32_t delivered_marks() const { return delivered_.packets - kFirstAce; }
  Info::EcnOctets received_octets() const { return {received_.ect1 - 1, received_.ect0 - 1, received_.ce}; }
  Info::EcnOctets delivered_octets() const {
    return {delivered_.ect1 - 1, delivered_.ect0 - 1, delivered_.ce};
  }

 private:
  // Where they begin: not at zero, as a counter that a middlebox has zeroed should be seen to be (RFC 9768
  // §3.2.1).
  struct Counts {
    std::uint32_t packets = kFirstAce, ect0 = 1, ect1 = 1, ce = 0;
  };
  enum Field : std::uint8_t {
    kEct0 = 1,
    kCe = 2,
    kEct1 = 4
  };
  bool wants_octets(bool text) const;
  bool fallen_back() const { return blocked_ && option_mode_ < kPersistent; }
  wire::EcnOctets octets_within(std::uint32_t room) const;
  Heard on_handshake_code(std::uint8_t code);
  std::uint32_t take_octets(const wire::EcnOctets& octets, bool& mangled);
  std::uint32_t marks_by_ace(std::uint8_t ace, const Acknowledged& news, bool option, std::uint32_t octets);
  bool all_marked(std::uint32_t marked, const Acknowledged& news);

  static constexpr std::uint8_t kPersistent = 3;  // tcp_ecn_option

  Counts received_;
  Counts delivered_;  // as the peer has counted
  Instant last_option_;
  wire::SeqNum probe_;                    // the first segment of text with an option
  wire::SeqNum round_end_;                // for `all_marked`
  std::uint32_t at_option_ = kFirstAce;   // `delivered_.packets` when the last option came
  std::uint32_t since_option_ = 0;        // segments acknowledged since
  std::uint32_t usual_segments_ = 2 * 4;  // an acknowledgement's, smoothed, in quarters
  std::uint8_t option_mode_;              // tcp_ecn_option
  std::uint8_t beacon_;                   // tcp_ecn_option_beacon
  std::uint8_t syn_ecn_;
  std::uint8_t syn_ack_ecn_ = 0;
  std::uint8_t pending_marks_ = 0;  // that no segment of ours has told of
  std::uint8_t last_field_ = 0;     // that text moved
  std::uint8_t moved_ = 0;          // fields since the last option
  std::uint8_t ever_moved_ = 0;
  std::uint8_t options_due_;   // whatever has moved
  std::uint8_t repeated_ = 0;  // segments of text in a row that were not needed
  std::uint8_t rounds_ = 0;    // in which all was marked
  bool owes_handshake_ack_ : 1 = false;
  bool asked_ : 1 = false;   // this end sent the SYN, and got a SYN-ACK
  bool handshake_acks_ : 1;  // a pure ACK still tells how our SYN-ACK arrived
  bool opening_ : 1;         // the third segment has not arrived
  bool last_was_marked_ : 1 = false;
  bool heard_ : 1 = false;          // an ACE field that counts
  bool heard_octets_ : 1 = false;   // an option
  bool ignore_marks_ : 1 = false;   // what the peer says of them is not true
  bool ignore_octets_ : 1 = false;  // a middlebox zeroes options
  bool told_octets_ : 1 = false;    // the last segment carried an option
  bool probing_ : 1 = false;        // `probe_` is in flight
  bool blocked_ : 1 = false;        // the path drops segments with an option
  bool all_marked_ : 1 = true;      // so far
};

}  // namespace synfin::tcp
