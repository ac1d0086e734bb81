// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "synfin/trace/reason.h"
#include "synfin/trace/state.h"
#include "synfin/wire/address.h"
#include "synfin/wire/frame.h"
#include "synfin/wire/ip.h"
#include "synfin/wire/tcp.h"

namespace synfin::tcp {

using wire::Flags;
using wire::SeqNum;
using wire::Window;
using wire::WindowScale;

/// A segment that arrived: its header and where its text lies. Valid while the frame is.
struct Segment {
  const wire::TcpHeader& header;
  wire::Frame& frame;
  std::uint32_t text_offset = 0;  // in the frame
  std::uint32_t text_size = 0;
  std::uint8_t ecn = wire::ecn::kNotCapable;  // the congestion codepoint of its packet (RFC 3168 §5)
  std::uint16_t piece = 0;  // not 0: the link joined several, with so much text each but the last

  SeqNum seq() const { return header.seq; }
  SeqNum ack() const { return header.ack; }
  Flags flags() const { return header.flags; }
  /// SEG.LEN of RFC 9293: text, and one each for SYN and FIN.
  std::uint32_t length() const {
    return text_size + (header.flags.syn() ? 1u : 0u) + (header.flags.fin() ? 1u : 0u);
  }
  /// Largest text of the segments that it stands for, and how many these are.
  std::uint32_t piece_size() const { return piece != 0 && piece < text_size ? piece : text_size; }
  std::uint32_t pieces() const {
    return piece != 0 && piece < text_size ? (text_size + piece - 1) / piece : 1;
  }
  /// A router has marked it.
  bool congestion_marked() const { return ecn == wire::ecn::kMarked; }
  bool has_timestamps() const { return header.options.has(wire::TcpOptions::kTimestamps); }
};

/// Text of a segment that follows another one: where it lies in its frame.
struct MoreText {
  wire::Frame* frame;
  std::uint32_t offset;
  std::uint32_t size;
};

/// A segment that is to be written, and what the trace says of it.
struct Sent {
  wire::TcpHeader header;
  std::uint32_t text_size = 0;
  bool retransmission = false;
  bool ecn_capable = false;   // to be sent as ECT(0)
  bool counts_marks = false;  // AE, CWR and ECE are the ACE field (RFC 9768 §3.2.2)
  bool may_fragment = false;  // to be sent without DF, as `identification` (RFC 6864 §4)
  std::uint16_t identification = 0;
  trace::Reason reason = trace::Reason::kNone;
  trace::State state = trace::State::kClosed;  // in which it was sent
  /// Not 0: a train of segments that have so much text each, the last with what is left of `text_size`. All
  /// have this header but for the number, and the last has `last_flags` besides.
  std::uint16_t segment_size = 0;
  Flags last_flags;

  std::uint32_t segments() const {
    return segment_size == 0 ? 1 : (text_size + segment_size - 1) / segment_size;
  }
};

/// A segment without text that answers one that arrived, or a reset. Written out when the link next takes
/// packets.
struct Reply : Sent {
  wire::FourTuple tuple;
  std::uint8_t scale = 0;  // of the window field, for whoever reads the trace
  std::uint8_t traffic_class = 0;
};

}  // namespace synfin::tcp
