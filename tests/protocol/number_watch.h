// SPDX-License-Identifier: Apache-2.0
//
// What must hold for the numbers of every connection, seen from the wire.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "synfin/sim/network.h"
#include "synfin/wire/seq_num.h"

namespace synfin::protocol_test {

/// Watches all segments that two hosts send each other; no pair of ports may be used twice.
///   - RCV.NXT never goes back: nor does any ACK that is sent.
///   - The right edge of the offered window never goes back (RFC 9293 SHLD-14).
///   - Nothing is acknowledged that was never sent: SND.UNA =< SND.NXT.
///   - Nothing is sent beyond the window, but for a probe of one octet: SND.NXT =< SND.UNA + SND.WND.
class NumberWatch {
 public:
  void see(const sim::Sighting& s) {
    if (s.packet == nullptr || s.packet->tcp.flags.rst() || !broken_.empty()) return;
    const wire::TcpHeader& h = s.packet->tcp;
    const Key key{s.packet->ip.source.family() == wire::Family::kIpv4,
                  s.from == 0 ? h.source_port : h.destination_port,
                  s.from == 0 ? h.destination_port : h.source_port};
    Connection& c = connections_[key];
    End& own = c.ends[s.from];
    End& other = c.ends[1 - s.from];
    if (h.flags.syn()) {
      if (h.options.has(wire::TcpOptions::kWindowScale)) own.scale = h.options.window_scale;
      own.offers_scale = h.options.has(wire::TcpOptions::kWindowScale);
    }
    const auto length = static_cast<std::uint32_t>(s.packet->payload_size) + h.flags.syn() + h.flags.fin();
    const wire::SeqNum end = h.seq + length;
    if (!own.sent || end.after(*own.sent)) own.sent = end;
    if (!h.flags.ack()) return;
    const bool scaled = own.offers_scale && other.offers_scale && !h.flags.syn();
    const wire::SeqNum edge = h.ack + (std::uint32_t{h.window.field} << (scaled ? own.scale : 0));
    if (own.ack && h.ack.before(*own.ack)) broke(s, "an ACK went back");
    if (own.edge && edge.before(*own.edge)) broke(s, "the right edge of the window went back");
    if (other.sent && h.ack.after(*other.sent)) broke(s, "an ACK of what was never sent");
    if (length > 0 && other.edge && end.after(*other.edge + 1)) broke(s, "text beyond the window");
    if (!own.ack || h.ack.after(*own.ack)) own.ack = h.ack;
    if (!own.edge || edge.after(*own.edge)) own.edge = edge;
  }
  /// The first thing that did not hold; empty: everything did.
  const std::string& broken() const { return broken_; }

 private:
  struct Key {
    bool v4;
    std::uint16_t first, second;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct End {
    std::optional<wire::SeqNum> sent, ack, edge;
    std::uint8_t scale = 0;
    bool offers_scale = false;
  };
  struct Connection {
    End ends[2];
  };
  void broke(const sim::Sighting& s, const char* what) {
    broken_ = std::string(what) + ": host " + std::to_string(s.from) + ", ports " +
              std::to_string(s.packet->tcp.source_port) + " to " +
              std::to_string(s.packet->tcp.destination_port) + ", seq " +
              std::to_string(s.packet->tcp.seq.raw()) + ", ack " + std::to_string(s.packet->tcp.ack.raw());
  }
  std::map<Key, Connection> connections_;
  std::string broken_;
};

}  // namespace synfin::protocol_test
