// SPDX-License-Identifier: Apache-2.0
//
// A peer that does with an open connection whatever it likes. For the rows D of the list of attacks.
#pragma once

#include <algorithm>

#include "raw_octets.h"

namespace synfin::protocol_test {

class DataAttacks : public RawOctets {
 protected:
  struct Offered {
    std::uint16_t mss = 1400;
    bool sack = true;
    bool timestamps = false;
    std::uint8_t scale = 10;
  };
  struct Open {
    wire::Endpoint from;
    Handle handle;
    Offered offered;
    wire::SeqNum first;  // the stack's first octet
    std::uint32_t tsval = 1000;
  };

  static TcpHeader syn_with(const Offered& o) {
    TcpHeader h = syn();
    h.options.mss = o.mss;
    h.options.present |= TcpOptions::kWindowScale;
    h.options.window_scale = o.scale;
    if (o.sack) h.options.present |= TcpOptions::kSackPermitted;
    if (o.timestamps) stamp(h, 1000);
    return h;
  }
  Open opens() { return opens(Offered{}); }
  Open opens(const Offered& o, std::uint32_t n = 1) {
    if (listener_ == Handle{}) listener_ = listens({.backlog = 64});
    const Packet syn_ack = knocks(peer(n), syn_with(o));
    Open c{peer(n), {}, o, syn_ack.tcp.seq + 1};
    gives(c.from, of(c, ACK));
    c.handle = accepts(listener_);
    return c;
  }

  /// Of the peer, `off` octets into its stream, acknowledging `ack` octets of the stack's.
  TcpHeader of(const Open& c, std::uint8_t flags, std::int64_t off = 0, std::int64_t ack = 0) const {
    TcpHeader h = header(flags, kPeerIss + 1 + static_cast<std::uint32_t>(off),
                         c.first + static_cast<std::uint32_t>(ack));
    if (c.offered.timestamps) stamp(h, c.tsval, newest_tsval_);
    return h;
  }
  void acks(const Open& c, std::int64_t octets) { gives(c.from, of(c, ACK, 0, octets)); }
  struct Range {
    std::int64_t left, right;  // octets of the stack's stream
  };
  void sacks(const Open& c, std::int64_t octets, const std::vector<Range>& ranges) {
    TcpHeader h = of(c, ACK, 0, octets);
    h.options.present |= TcpOptions::kSack;
    for (const Range& r : ranges) {
      h.options.sack[h.options.sack_count++] = {c.first + static_cast<std::uint32_t>(r.left),
                                                c.first + static_cast<std::uint32_t>(r.right)};
    }
    gives(c.from, h);
  }
  /// Where a packet's text begins and ends in the stack's stream.
  static std::int64_t begin_of(const Open& c, const Packet& p) { return p.tcp.seq - c.first; }
  static std::int64_t end_of(const Open& c, const Packet& p) {
    return begin_of(c, p) + static_cast<std::int64_t>(p.text.size());
  }
  /// All that was sent since last asked; also notes the newest timestamp, for the peer to echo.
  std::vector<Packet> takes() {
    std::vector<Packet> all = sent();
    for (const Packet& p : all) {
      if (p.tcp.options.has(TcpOptions::kTimestamps)) newest_tsval_ = p.tcp.options.timestamps.value;
    }
    return all;
  }

  /// As much as the send buffer takes; how much that was.
  std::uint32_t writes_all(const Open& c, const std::string& text) {
    const Bytes bytes = std::as_bytes(std::span{text});
    return static_cast<std::uint32_t>(stack_.send(c.handle, std::span{&bytes, 1}, now_).value_or(0));
  }
  std::string reads_all(const Open& c) {
    std::string text;
    for (std::string more = reads(c.handle); !more.empty(); more = reads(c.handle)) text += more;
    return text;
  }
  tcp::Info info(const Open& c) const { return *stack_.info(c.handle, now_); }
  stack::Status status(const Open& c) const { return *stack_.status(c.handle); }

  /// An honest peer from here on: everything that was queued arrives and is acknowledged.
  void delivers_all(const Open& c, std::int64_t highest) {
    for (int round = 0; round < 4000 && status(c).send_queue != 0; ++round) {
      for (const Packet& p : takes()) highest = std::max(highest, end_of(c, p));
      acks(c, highest);
      runs_for(Duration::milliseconds(200));
    }
    EXPECT_EQ(status(c).send_queue, 0u);
  }
  /// The peer's next octet is `off` into its stream.
  void still_works(const Open& c, std::int64_t off = 0, std::int64_t ack = 0) {
    (void)takes();
    ASSERT_EQ(state(c.from), State::kEstablished);
    gives(c.from, of(c, PSH | ACK, off, ack), "whole");
    EXPECT_EQ(reads(c.handle), "whole");
    runs_for(Duration::milliseconds(500));  // the acknowledgement may wait
    (void)takes();
  }

  static std::int64_t text_in(const std::vector<Packet>& packets) {
    std::int64_t n = 0;
    for (const Packet& p : packets) n += static_cast<std::int64_t>(p.text.size());
    return n;
  }
  /// The end of the stack's stream so far as these packets reach.
  static std::int64_t highest(const Open& c, const std::vector<Packet>& packets, std::int64_t so_far = 0) {
    for (const Packet& p : packets) so_far = std::max(so_far, end_of(c, p));
    return so_far;
  }
  /// A window that grew to `segments` at least, in slow start; what is in flight then ends at the result.
  std::int64_t grows(const Open& c, std::uint32_t segments) {
    std::int64_t end = highest(c, takes());
    while (info(c).unacked < segments) {
      runs_for(10_ms);
      acks(c, end);
      const std::int64_t before = end;
      end = highest(c, takes(), end);
      if (end == before) break;
    }
    return end;
  }

  Handle listener_;
  std::uint32_t newest_tsval_ = 0;
};

}  // namespace synfin::protocol_test
