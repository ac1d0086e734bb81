// SPDX-License-Identifier: Apache-2.0
//
// Where the ladders of the pages are played: two hosts on a virtual wire in virtual time, and a ladder of
// what one of them sees. Seeds, ports and delays are fixed, so that the same program always draws the same.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "synfin/sim/network.h"
#include "synfin/view/ladder.h"
#include "synfin/view/rails.h"
#include "synfin/wire/icmp.h"

namespace synfin::ladders {

constexpr std::size_t kClient = 0, kServer = 1;
constexpr std::uint16_t kServerPort = 80;
constexpr std::uint16_t kClientPort = 40001;  // of the first connection
constexpr Duration kOneWay = Duration::milliseconds(10);

struct StageOptions {
  std::size_t watched = kServer;
  wire::Family family = wire::Family::kIpv4;
  /// Of both hosts. Timestamps are off, or the ladders would be full of numbers that mean nothing.
  std::function<void(tcp::Settings&)> settings;
};

class Stage final : private trace::Sink {
 public:
  using Predicate = sim::Network::Predicate;

  explicit Stage(const StageOptions& options = {});

  sim::Network& network() { return network_; }
  stack::Stack& client() { return network_.host(kClient); }
  stack::Stack& server() { return network_.host(kServer); }
  Instant now() const { return network_.now(); }
  void run(Duration d) { network_.run_for(d); }
  void run_until_failed(stack::Handle connection);
  void run_ms(std::int64_t ms) { run(Duration::milliseconds(ms)); }

  // The play. Calls that cannot fail here end the program if they do.

  /// The server's listener, not drawn.
  stack::Handle listen(const stack::ListenOptions& options = {});
  stack::Handle connect(std::uint16_t port = kClientPort, bool fast_open = false);
  /// Both ends of an open connection.
  struct Pair {
    stack::Handle client, server;
  };
  /// Listens, connects and accepts. The handshake is not drawn; the drawing begins `begin` after its first
  /// segment.
  Pair open(std::uint16_t port = kClientPort, Duration begin = Duration::seconds(1));
  /// The last that `listen` or `open` made.
  stack::Handle listener() const { return listener_; }
  /// To a host that is not there.
  stack::Handle connect_to(const wire::IpAddress& nobody);
  void send(std::size_t host, stack::Handle connection, std::string_view text);
  /// The same, so many octets.
  void send_octets(std::size_t host, stack::Handle connection, std::size_t count);
  /// Reads all that is there.
  std::string read_text(std::size_t host, stack::Handle connection);
  void read(std::size_t host, stack::Handle connection) { (void)read_text(host, connection); }
  void set_options(std::size_t host, stack::Handle connection, const tcp::Options& options);
  void shutdown(std::size_t host, stack::Handle connection, stack::Shutdown how = stack::Shutdown::kSend);
  void close(std::size_t host, stack::Handle connection) { network_.host(host).close(connection, now()); }
  void abort(std::size_t host, stack::Handle connection) { network_.host(host).abort(connection, now()); }
  /// Accepts, with a line in the ladder where the server is watched.
  stack::Handle accept(stack::Handle listener);

  /// Loses the next such packet from a host; the ladder says so with `what`.
  void lose(std::size_t from, std::string what, Predicate predicate);
  /// A packet that nobody sent, from `from` to the server.
  void forge(const wire::Endpoint& from, wire::Flags flags, std::uint32_t seq);
  /// A segment of the last connection opened that its other end never sent, to `to`. Numbers as the ladder
  /// has them.
  struct Forged {
    std::size_t to = kServer;
    wire::Flags flags;
    std::uint32_t seq = 0, ack = 0;
    std::uint32_t payload = 0;
  };
  void forge(const Forged& f);
  /// A router answers everything that the client sends from here on.
  void answer_with_icmp(wire::IcmpKind kind);
  /// From here on the link carries nothing; the losses are not drawn.
  void cut_off();
  /// What an end of the last connection opened numbers with 0.
  wire::SeqNum isn(std::size_t host) const { return isn_[host]; }
  /// Why the watched host's state changed last.
  trace::Reason last_change() const { return last_change_; }
  /// Sees every packet as it leaves a host.
  void on_sent(std::function<void(const sim::Sighting&)> f) { on_sent_ = std::move(f); }

  // The drawing.

  /// What happens from here on is not drawn, or is again.
  void draw(bool on) { drawing_ = on; }
  /// Draws only what concerns this port of the client's.
  void draw_only(std::uint16_t remote_port) { only_ = remote_port; }
  /// Words between the rails, with the time.
  void say(std::string_view text);
  /// The ladder. Fails the program if something that was to be lost never came.
  std::string drawing();

 private:
  void on_event(const trace::Event& e) override;
  void sighted(const sim::Sighting& s);
  sim::NetworkOptions network_options(const StageOptions& options);

  static constexpr std::size_t kWidth = 100;

  std::size_t watched_;
  wire::Family family_;
  std::string text_;
  view::Rails rails_{kWidth, false};
  view::Ladder ladder_;
  bool drawing_ = true;
  std::uint16_t only_ = 0;
  Instant epoch_ = Instant::never();
  std::array<wire::SeqNum, 2> isn_;
  stack::Handle listener_;
  bool cut_off_ = false;
  trace::Reason last_change_ = trace::Reason::kNone;
  std::vector<std::string> losses_;  // in the order of happening
  std::function<void(const sim::Sighting&)> on_sent_;
  sim::Network network_;
};

/// Ends the program: a scene that does not go as written must not be drawn.
[[noreturn]] void broken(std::string_view what);

template <class T>
T must(std::expected<T, tcp::Error> result, std::string_view what) {
  if (!result) broken(what);
  return *result;
}

constexpr bool is_syn(const wire::TcpPacket& p) {
  return p.tcp.flags.syn() && !p.tcp.flags.ack();
}
constexpr bool is_syn_ack(const wire::TcpPacket& p) {
  return p.tcp.flags.syn() && p.tcp.flags.ack();
}
constexpr bool is_fin(const wire::TcpPacket& p) {
  return p.tcp.flags.fin();
}
constexpr bool is_ack(const wire::TcpPacket& p) {
  return p.tcp.flags.bits() == wire::Flags::kAck && p.payload_size == 0;
}

}  // namespace synfin::ladders
