// SPDX-License-Identifier: Apache-2.0
#include "lwip_peer.h"

#ifdef SYNFIN_BENCH_LWIP
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

#include <algorithm>
#include <cstring>

#include "machine.h"
#include "synfin/stack/ring.h"

namespace synfin::bench {
namespace {

constexpr u16_t kPort = 80;
constexpr std::size_t kPiece = 64 * 1024;

/// A packet on its way: a copy of the headers, which the receiver writes into, and the sender's own text.
struct Travelling {
  pbuf* packet;
  netif* to;
};

/// A reference to the text of a pbuf that its sender keeps.
struct Text {
  pbuf_custom custom;  // first: lwIP gives back a pointer to it
  pbuf* original;
};

class Wire {
 public:
  Wire() {
    lwip_init();
    ip4_addr_t mask;
    IP4_ADDR(&mask, 255, 255, 255, 0);
    add(client_, 1, mask);
    add(server_, 2, mask);
  }

  netif& client() { return client_; }
  netif& server() { return server_; }
  std::uint64_t sent() const { return sent_; }

  /// Until nothing is on its way.
  void carry() {
    while (!on_the_way_.empty()) {
      const Travelling next = on_the_way_.front();
      on_the_way_.pop_front();
      if (ip_input(next.packet, next.to) != ERR_OK) pbuf_free(next.packet);
    }
  }

 private:
  void add(netif& n, u8_t last, const ip4_addr_t& mask) {
    ip4_addr_t own, gateway;
    IP4_ADDR(&own, 10, 78, 0, last);
    ip4_addr_set_zero(&gateway);
    netif_add(
        &n, &own, &mask, &gateway, this,
        [](netif* made) -> err_t {
          made->name[0] = 's';
          made->name[1] = 'f';
          made->mtu = 1500;
          made->output = [](netif* from, pbuf* packet, const ip4_addr_t*) -> err_t {
            return static_cast<Wire*>(from->state)->send(*from, packet);
          };
          return ERR_OK;
        },
        ip_input);
    netif_set_up(&n);
    netif_set_link_up(&n);
  }

  err_t send(const netif& from, pbuf* packet) {
    const auto* octets = static_cast<const u8_t*>(packet->payload);
    const unsigned ip = (octets[0] & 0x0fu) * 4u;
    const auto headers = static_cast<u16_t>(ip + (octets[ip + 12] >> 4) * 4u);
    pbuf* copy = pbuf_alloc(PBUF_RAW, headers, PBUF_RAM);
    if (copy == nullptr) return ERR_MEM;
    std::memcpy(copy->payload, octets, headers);
    if (packet->tot_len > headers) pbuf_cat(copy, text_of(packet, headers));
    ++sent_;
    on_the_way_.push_back({copy, &from == &client_ ? &server_ : &client_});
    return ERR_OK;
  }

  static pbuf* text_of(pbuf* packet, u16_t headers) {
    auto* text = new Text{};
    text->original = packet;
    pbuf_ref(packet);
    text->custom.custom_free_function = [](pbuf* p) {
      auto* gone = reinterpret_cast<Text*>(p);
      pbuf_free(gone->original);
      delete gone;
    };
    const auto size = static_cast<u16_t>(packet->tot_len - headers);
    return pbuf_alloced_custom(PBUF_RAW, size, PBUF_REF, &text->custom,
                               static_cast<u8_t*>(packet->payload) + headers, size);
  }

  netif client_{}, server_{};
  stack::Ring<Travelling> on_the_way_;
  std::uint64_t sent_ = 0;
};

Wire& wire() {
  static Wire made;
  return made;
}

/// What one end has read.
struct End {
  tcp_pcb* pcb = nullptr;
  std::uint64_t got = 0;
  std::vector<u8_t> into = std::vector<u8_t>(kPiece);

  void attach(tcp_pcb* to) {
    pcb = to;
    tcp_arg(pcb, this);
    tcp_nagle_disable(pcb);
    tcp_recv(pcb, [](void* self, tcp_pcb* at, pbuf* text, err_t) -> err_t {
      return static_cast<End*>(self)->on_text(at, text);
    });
  }
  bool say(const u8_t* from, std::size_t octets) {
    return tcp_write(pcb, from, static_cast<u16_t>(octets), TCP_WRITE_FLAG_COPY) == ERR_OK &&
           tcp_output(pcb) == ERR_OK;
  }
  void close() {
    tcp_recv(pcb, nullptr);
    tcp_close(pcb);
    pcb = nullptr;
  }

 private:
  err_t on_text(tcp_pcb* at, pbuf* text) {
    if (text == nullptr) {  // the other end has closed
      close();
      return ERR_OK;
    }
    pbuf_copy_partial(text, into.data(), std::min<u16_t>(text->tot_len, 0xffff), 0);
    got += text->tot_len;
    tcp_recved(at, text->tot_len);
    pbuf_free(text);
    return ERR_OK;
  }
};

/// A listener, and one connection at a time.
class Ends {
 public:
  Ends() {
    tcp_pcb* fresh = tcp_new();
    tcp_bind_netif(fresh, &wire().server());
    tcp_bind(fresh, IP_ADDR_ANY, kPort);
    listener_ = tcp_listen(fresh);
    tcp_arg(listener_, this);
    tcp_accept(listener_, [](void* self, tcp_pcb* accepted, err_t) -> err_t {
      auto* ends = static_cast<Ends*>(self);
      ends->server.got = 0;
      ends->server.attach(accepted);
      return ERR_OK;
    });
  }
  ~Ends() { tcp_close(listener_); }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  bool open() {
    server.pcb = nullptr;
    client.got = 0;
    client.attach(tcp_new());
    tcp_bind_netif(client.pcb, &wire().client());
    const auto connected = [](void*, tcp_pcb*, err_t) -> err_t { return ERR_OK; };
    if (tcp_connect(client.pcb, &wire().server().ip_addr, kPort, connected) != ERR_OK) return false;
    wire().carry();
    return server.pcb != nullptr && client.pcb->state == ESTABLISHED && server.pcb->state == ESTABLISHED;
  }
  /// The server closes within its callback; TIME-WAIT is recycled.
  bool close() {
    client.close();
    wire().carry();
    const bool gone = server.pcb == nullptr && tcp_tw_pcbs != nullptr;
    while (tcp_tw_pcbs != nullptr) tcp_abort(tcp_tw_pcbs);
    return gone;
  }
  bool ask(std::size_t question, std::size_t answer) {
    return pass(client, server, question) && pass(server, client, answer);
  }

  End client, server;

 private:
  bool pass(End& from, End& to, std::size_t octets) {
    const std::uint64_t before = to.got;
    if (!from.say(text_.data(), octets)) return false;
    wire().carry();
    return to.got == before + octets;
  }

  tcp_pcb* listener_ = nullptr;
  std::vector<u8_t> text_ = std::vector<u8_t>(4096, 'x');
};

constexpr std::uint64_t kTimersEach = 64;  // lives, requests or pings: lwIP's clock ticks four times a second

std::unexpected<std::string> gone_wrong(const char* what) {
  return std::unexpected(std::string{"a connection of lwIP's did not "} + what);
}

}  // namespace

std::expected<LwipPeer*, std::string> LwipPeer::get() {
  static LwipPeer peer;
  return &peer;
}

std::expected<LwipPeer::Lifecycles, std::string> LwipPeer::lifecycles(std::uint64_t count, std::size_t idle) {
  Ends ends;
  std::vector<std::pair<tcp_pcb*, tcp_pcb*>> others;
  for (std::size_t n = 0; n < idle; ++n) {
    if (!ends.open()) return gone_wrong("open");
    others.emplace_back(ends.client.pcb, ends.server.pcb);
  }
  const std::uint64_t before = wire().sent();
  Stopwatch watch;
  watch.start();
  for (std::uint64_t n = 0; n < count; ++n) {
    if (!ends.open()) return gone_wrong("open");
    if (!ends.close()) return gone_wrong("close");
    if (n % kTimersEach == 0) sys_check_timeouts();
  }
  watch.stop();
  const double segments = static_cast<double>(wire().sent() - before) / static_cast<double>(count);
  for (const auto& [client, server] : others) {
    ends.client.attach(client);
    ends.server.attach(server);
    if (!ends.close()) return gone_wrong("close");
  }
  return Lifecycles{static_cast<double>(count) / watch.seconds(), segments};
}

std::expected<double, std::string> LwipPeer::requests(std::uint64_t count, std::size_t question,
                                                      std::size_t answer) {
  Ends ends;
  Stopwatch watch;
  watch.start();
  for (std::uint64_t n = 0; n < count; ++n) {
    if (!ends.open()) return gone_wrong("open");
    if (!ends.ask(question, answer)) return gone_wrong("answer");
    if (!ends.close()) return gone_wrong("close");
    if (n % kTimersEach == 0) sys_check_timeouts();
  }
  watch.stop();
  return static_cast<double>(count) / watch.seconds();
}

std::expected<std::vector<double>, std::string> LwipPeer::pings(std::uint64_t count, std::size_t octets) {
  Ends ends;
  if (!ends.open()) return gone_wrong("open");
  std::vector<double> nanoseconds;
  nanoseconds.reserve(count);
  for (std::uint64_t n = 0; n < count; ++n) {
    Stopwatch watch;
    watch.start();
    const bool answered = ends.ask(octets, octets);
    watch.stop();
    if (!answered) return gone_wrong("answer");
    nanoseconds.push_back(watch.seconds() * 1e9);
    if (n % kTimersEach == 0) {
      sys_check_timeouts();
      wire().carry();
    }
  }
  if (!ends.close()) return gone_wrong("close");
  return nanoseconds;
}

std::expected<double, std::string> LwipPeer::bulk(std::uint64_t octets) {
  Ends ends;
  if (!ends.open()) return gone_wrong("open");
  const std::vector<u8_t> piece(kPiece, 'x');
  std::size_t written = 0;  // of the piece
  std::uint64_t idle = 0;
  Stopwatch watch;
  watch.start();
  while (ends.server.got < octets) {
    const std::uint64_t before = ends.server.got;
    const auto n = static_cast<u16_t>(std::min<std::size_t>(tcp_sndbuf(ends.client.pcb), kPiece - written));
    if (n > 0 && ends.client.say(piece.data() + written, n)) written = (written + n) % kPiece;
    wire().carry();
    sys_check_timeouts();
    idle = ends.server.got > before ? 0 : idle + 1;
    if (idle > 100'000'000) return gone_wrong("go on");
  }
  watch.stop();
  const std::uint64_t arrived = ends.server.got;
  while (ends.client.pcb->unacked != nullptr || ends.client.pcb->unsent != nullptr) {  // a delayed one
    sys_check_timeouts();
    wire().carry();
  }
  if (!ends.close()) return gone_wrong("close");
  return static_cast<double>(arrived) * 8 / watch.seconds() / 1e9;
}

}  // namespace synfin::bench

#else

namespace synfin::bench {

namespace {
constexpr const char* kMissing = "this program was built without it (Debian: liblwip-dev)";
}

std::expected<LwipPeer*, std::string> LwipPeer::get() {
  return std::unexpected(kMissing);
}
std::expected<LwipPeer::Lifecycles, std::string> LwipPeer::lifecycles(std::uint64_t, std::size_t) {
  return std::unexpected(kMissing);
}
std::expected<double, std::string> LwipPeer::requests(std::uint64_t, std::size_t, std::size_t) {
  return std::unexpected(kMissing);
}
std::expected<std::vector<double>, std::string> LwipPeer::pings(std::uint64_t, std::size_t) {
  return std::unexpected(kMissing);
}
std::expected<double, std::string> LwipPeer::bulk(std::uint64_t) {
  return std::unexpected(kMissing);
}

}  // namespace synfin::bench
#endif
