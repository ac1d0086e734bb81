// SPDX-License-Identifier: Apache-2.0
//
// Read first: RFC 9768 §3 and its appendix A. Quotations end with two spaces and the section.
#include "synfin/tcp/accurate_ecn.h"

#include <algorithm>
#include <array>
#include <bit>

namespace synfin::tcp {

using wire::EcnOctets;
using wire::TcpOptions;

namespace {

// Values of tcp_ecn.
constexpr std::uint32_t kAskAndAnswer = 1, kAskAccurate = 3, kAskClassic = 4;
// A SYN's question, and the SYN-ACK of a host that only reflects it.
constexpr std::uint8_t kAllBits = 7;
constexpr std::uint8_t kClassicQuestion = 3, kClassicAnswer = 1;
constexpr std::uint8_t kReservedAnswer = 5;

constexpr std::uint32_t kAceMask = 7;
constexpr std::uint32_t kOctetMask = (1u << 24) - 1;
// "It SHOULD include each counter at least once for every 2^22 bytes"  (§3.2.3.3)
constexpr std::uint32_t kOverflowShift = 22;
// "'n' SHOULD be 2 if there is unacknowledged data … otherwise 3"  (§3.2.2.5.1)
constexpr std::uint8_t kMarksToTell = 2, kMarksToTellAlone = 3;
// From its first value the field comes to 0 by so many.
constexpr std::uint32_t kMarksToWrap = 3;
constexpr std::uint8_t kRepeatsToBlame = 2;
constexpr std::uint8_t kRoundsToDoubt = 4;
// Of a usual acknowledgement, in quarters of a segment: beyond that its size says nothing about lost ones.
constexpr std::uint32_t kFewSegments = 4 * 4;

}  // namespace

bool accepts_accurate(const Settings& settings) {
  return settings.tcp_ecn >= kAskAccurate;
}

EcnMode asked_by(const Settings& settings) {
  if (settings.tcp_ecn == kAskAccurate) return EcnMode::kAccurate;
  const bool classic = settings.tcp_ecn == kAskAndAnswer || settings.tcp_ecn == kAskClassic;
  return classic ? EcnMode::kClassic : EcnMode::kNone;
}

EcnMode answer_to_syn(const wire::TcpHeader& syn, const Settings& settings) {
  if (settings.tcp_ecn == 0) return EcnMode::kNone;
  const std::uint8_t code = syn.ace();
  if (!accepts_accurate(settings))
    return (code & kClassicQuestion) == kClassicQuestion ? EcnMode::kClassic : EcnMode::kNone;
  if (code == 0) return EcnMode::kNone;
  // "any combination other than (0,0,0), (0,1,1) or (1,1,1) … the Server MUST negotiate the use of AccECN"
  //   (§3.1.3)
  return code == kClassicQuestion ? EcnMode::kClassic : EcnMode::kAccurate;
}

EcnMode agreed_by(const wire::TcpHeader& syn_ack, EcnMode asked) {
  const std::uint8_t code = syn_ack.ace();
  switch (asked) {
    case EcnMode::kNone:
      return EcnMode::kNone;
    case EcnMode::kClassic:
      // "An ECN-setup SYN-ACK packet": ECE without CWR (RFC 3168 §6.1.1).
      return (code & kClassicQuestion) == kClassicAnswer ? EcnMode::kClassic : EcnMode::kNone;
    case EcnMode::kAccurate:
      if (code == 0 || code == kAllBits) return EcnMode::kNone;
      return code == kClassicAnswer ? EcnMode::kClassic : EcnMode::kAccurate;
  }
  return EcnMode::kNone;
}

std::uint8_t handshake_code(std::uint8_t ecn) {
  static constexpr std::array<std::uint8_t, 4> kCodes{2, 3, 4, kMarkedCode};
  return kCodes[ecn & wire::ecn::kMask];
}

bool arrived_unchanged(std::uint8_t code) {
  // What is unused says nothing of the packet.
  return code == handshake_code(wire::ecn::kNotCapable) || code == 1 || code == kReservedAnswer ||
         code == kAllBits;
}

bool is_pure_ack(const Segment& seg) {
  return seg.length() == 0 && !seg.header.options.has(TcpOptions::kSack);
}

void add_first_octets(TcpOptions& options) {
  options.present |= TcpOptions::kEcnOctets;
  options.ecn = {.fields = EcnOctets::kMostFields, .reversed = false, .ect0 = 1, .ce = 0, .ect1 = 1};
}

SynAgain judge_syn_again(EcnMode agreed, EcnMode asked) {
  if (agreed == EcnMode::kNone || agreed == asked) return SynAgain::kSame;
  if (asked != EcnMode::kNone) return SynAgain::kMixed;
  return agreed == EcnMode::kAccurate ? SynAgain::kWithoutEcn : SynAgain::kSame;
}

AccurateEcn::AccurateEcn(bool answers, std::uint8_t syn_ecn, const Settings& settings)
    : option_mode_(static_cast<std::uint8_t>(settings.tcp_ecn_option)),
      beacon_(static_cast<std::uint8_t>(settings.tcp_ecn_option_beacon)),
      syn_ecn_(syn_ecn),
      // §3.2.3.2.1: the first acknowledgement and the first text.
      options_due_(answers ? 0 : 2),
      handshake_acks_(answers),
      opening_(answers) {}

void AccurateEcn::on_syn_ack(const Segment& syn_ack) {
  asked_ = true;
  syn_ack_ecn_ = syn_ack.ecn;
  owes_handshake_ack_ = true;
  (void)on_segment(syn_ack.ecn, syn_ack.text_size, false);
  bool mangled = false;
  if (syn_ack.header.options.has(TcpOptions::kEcnOctets))
    (void)take_octets(syn_ack.header.options.ecn, mangled);
}

void AccurateEcn::on_syn_ack_again(std::uint8_t ecn) {
  if (!asked_) return;
  syn_ack_ecn_ = ecn;
  owes_handshake_ack_ = true;
  // "no more than once no matter how many CE-marked SYN/ACKs it receives"  (§3.2.2.2)
  if (ecn == wire::ecn::kMarked && received_.packets == kFirstAce) ++received_.packets;
}

bool AccurateEcn::on_segment(std::uint8_t ecn, std::uint32_t text, bool text_waits, std::uint32_t segments) {
  const bool marked = ecn == wire::ecn::kMarked;
  if (marked) {
    received_.packets += segments;
    pending_marks_ = static_cast<std::uint8_t>(std::min(pending_marks_ + segments, 255u));
  }
  if (text > 0 && ecn != wire::ecn::kNotCapable) {
    const std::uint8_t field = marked ? kCe : ecn == wire::ecn::kEct0 ? kEct0 : kEct1;
    std::uint32_t& count = marked ? received_.ce : field == kEct0 ? received_.ect0 : received_.ect1;
    const std::uint32_t before = count;
    count += text;
    // The acknowledgement behind one that tells of a change tells which counter goes on (§3.2.3.3).
    if (field != last_field_) options_due_ = std::max<std::uint8_t>(options_due_, 2);
    if (marked || (before ^ count) >> kOverflowShift != 0)
      options_due_ = std::max<std::uint8_t>(options_due_, 1);
    last_field_ = field;
    moved_ |= field;
    ever_moved_ |= field;
  }
  // "SHOULD emit an ACK whenever a data packet marked CE arrives after the previous packet was not CE"
  //   (§3.2.2.5.1)
  const bool changed = marked && text > 0 && !last_was_marked_;
  last_was_marked_ = marked;
  return changed || pending_marks_ >= (text_waits ? kMarksToTell : kMarksToTellAlone);
}

void AccurateEcn::on_repeated_text() {
  if (!told_octets_) return;
  if (++repeated_ >= kRepeatsToBlame) blocked_ = true;
}

std::uint8_t AccurateEcn::ace_of(bool pure_ack) {
  pending_marks_ = 0;
  if (owes_handshake_ack_ && pure_ack) {
    owes_handshake_ack_ = false;
    return handshake_code(syn_ack_ecn_);
  }
  return received_.packets & kAceMask;
}

bool AccurateEcn::wants_octets(bool text) const {
  if (option_mode_ == 0 || fallen_back()) return false;
  if (options_due_ > 0 && (moved_ != 0 || ever_moved_ == 0)) return true;
  if (option_mode_ == 1) return false;
  return text ? moved_ != 0 : ever_moved_ != 0;
}

std::uint32_t AccurateEcn::octets_to_reserve() const {
  return wants_octets(true) ? octets_within(12).padded_size() : 0;
}

// Every counter that has ever moved, if it fits; at least those that have moved since the last option, or
// none: "If there is insufficient space to include … the counter(s) that have changed since the previous
// AccECN TCP option, then the entire AccECN TCP option MUST be omitted"  (§3.2.3.3)
EcnOctets AccurateEcn::octets_within(std::uint32_t room) const {
  EcnOctets o{.fields = 0,
              .reversed = false,
              .ect0 = received_.ect0 & kOctetMask,
              .ce = received_.ce & kOctetMask,
              .ect1 = received_.ect1 & kOctetMask};
  constexpr std::uint8_t kBoth = kEct0 | kEct1;
  const bool all = ever_moved_ == 0 || (ever_moved_ & kBoth) == kBoth;
  if (all && room >= 12) {
    o.fields = 3;
  } else if (room >= 8 && (moved_ & kBoth) != kBoth) {
    o.fields = 2;  // as long as one, padded
    o.reversed = (moved_ & kEct1) != 0 || ((moved_ & kEct0) == 0 && (ever_moved_ & kBoth) == kEct1);
  }
  return o;
}

void AccurateEcn::add_octets(TcpOptions& options, const Leaving& leaving) {
  told_octets_ = false;
  const bool beacon = option_mode_ == 1 && beacon_ > 0 && moved_ != 0 && !fallen_back() &&
                      (leaving.now - last_option_) * static_cast<std::int64_t>(beacon_) >= leaving.round_trip;
  if (!beacon && !wants_octets(leaving.text)) return;
  const EcnOctets octets = octets_within(leaving.room);
  if (octets.fields == 0) return;
  options.present |= TcpOptions::kEcnOctets;
  options.ecn = octets;
  last_option_ = leaving.now;
  moved_ = 0;
  told_octets_ = true;
  if (options_due_ > 0) --options_due_;
  if (leaving.text && !heard_ && !probing_) {
    probing_ = true;
    probe_ = leaving.seq;
  }
}

void AccurateEcn::on_timeout(wire::SeqNum una) {
  if (probing_ && una == probe_) blocked_ = true;
}

AccurateEcn::Heard AccurateEcn::on_handshake_code(std::uint8_t code) {
  Heard heard;
  if (code == 0) {
    // "the Server MUST NOT set ECT on outgoing packets and MUST NOT respond to AccECN feedback"  (§3.2.2.1)
    ignore_marks_ = true;
    heard.mangled = true;
    return heard;
  }
  heard.mangled = !arrived_unchanged(code);
  if (code == kMarkedCode && delivered_.packets == kFirstAce) {
    ++delivered_.packets;
    heard.marked = 1;
    heard.of_syn_ack = true;
  }
  return heard;
}

// Octets newly known to have been marked.
std::uint32_t AccurateEcn::take_octets(const EcnOctets& octets, bool& mangled) {
  if (!heard_octets_) {
    heard_octets_ = true;
    // §3.2.3.2.4
    ignore_octets_ = (octets.has_ect0() && octets.ect0 == 0) || (octets.has_ect1() && octets.ect1 == 0);
  }
  if (ignore_octets_) return 0;
  const auto ahead = [](std::uint32_t field, std::uint32_t count) { return (field - count) & kOctetMask; };
  if (octets.has_ect0()) delivered_.ect0 += ahead(octets.ect0, delivered_.ect0);
  if (octets.has_ect1()) delivered_.ect1 += ahead(octets.ect1, delivered_.ect1);
  if (!octets.has_ce()) return 0;
  const std::uint32_t marked = ahead(octets.ce, delivered_.ce);
  delivered_.ce += marked;
  // "detects that the s.ceb counter has increased but the s.cep has not (and … it is certain how much the ACE
  // field has wrapped)"  (§3.2.3.2.5)
  mangled = marked > 0 && delivered_.packets == at_option_ && since_option_ <= kAceMask;
  at_option_ = delivered_.packets;
  since_option_ = 0;
  return marked;
}

// "taking the safest likely case under the prevailing conditions"  (§3.2.2.5.2): appendix A.2.
std::uint32_t AccurateEcn::marks_by_ace(std::uint8_t ace, const Acknowledged& news, bool option,
                                        std::uint32_t octets) {
  const std::uint32_t least = (ace - delivered_.packets) & kAceMask;
  const std::uint32_t segments = news.segments;
  const bool usual = usual_segments_ < kFewSegments;
  usual_segments_ += std::min(segments, 0xffffu) - usual_segments_ / 4;
  if (segments <= kAceMask || least > segments) return least;
  const std::uint32_t safe = segments - ((segments - least) & kAceMask);
  if (!option) return usual ? safe : least;
  if (octets > std::uint64_t{news.mss} * least) return safe;
  // So many marked segments would have been less than half as large as they can be.
  return octets < std::uint64_t{news.mss} * safe / 2 ? least : safe;
}

// "the feedback for every packet it sends for the first three or four rounds indicates CE-marking"
//   (§3.2.2.3)
bool AccurateEcn::all_marked(std::uint32_t marked, const Acknowledged& news) {
  if (!all_marked_ || news.segments == 0) return false;
  if (marked < news.segments) {
    all_marked_ = false;
    return false;
  }
  if (rounds_ == 0 || news.una.at_or_after(round_end_)) {
    ++rounds_;
    round_end_ = news.nxt;
  }
  return rounds_ > kRoundsToDoubt;
}

AccurateEcn::Heard AccurateEcn::on_ack(const Segment& seg, const Acknowledged& news) {
  Heard heard;
  if (seg.flags().syn()) return heard;
  const std::uint8_t ace = seg.header.ace();
  if (probing_ && news.una.after(probe_)) probing_ = false;
  const bool third = opening_;
  opening_ = false;
  // Until something of ours is acknowledged a later one may answer a SYN-ACK that was sent again.
  if (handshake_acks_ && is_pure_ack(seg) && (third || news.octets == 0)) {
    if (seg.header.options.has(TcpOptions::kEcnOctets)) {
      bool ignored = false;
      (void)take_octets(seg.header.options.ecn, ignored);
    }
    return on_handshake_code(ace);
  }
  // Overtaken by a later one (appendix A.1).
  if (news.octets == 0 && !news.later) return heard;
  handshake_acks_ = false;
  const bool first = !heard_;
  heard_ = true;
  if (first && ace == 0 && news.segments < kMarksToWrap) {
    // §3.2.2.4: somebody zeroes the field.
    ignore_marks_ = true;
    heard.mangled = true;
  }
  if (ignore_marks_) return heard;
  since_option_ = std::min(since_option_ + std::min(news.segments, 0xffffu), 0xffffu);
  const bool option = seg.header.options.has(TcpOptions::kEcnOctets) && !ignore_octets_;
  const std::uint32_t known = delivered_.ce;
  std::uint32_t octets = 0;
  if (option && seg.header.options.ecn.has_ce()) octets = (seg.header.options.ecn.ce - known) & kOctetMask;
  heard.marked = marks_by_ace(ace, news, option && heard_octets_, octets);
  delivered_.packets += heard.marked;
  if (option) (void)take_octets(seg.header.options.ecn, heard.mangled);
  if (all_marked(heard.marked, news)) {
    ignore_marks_ = true;
    heard = {.marked = 0, .mangled = true};
  }
  return heard;
}

}  // namespace synfin::tcp
