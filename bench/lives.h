// SPDX-License-Identifier: Apache-2.0
//
// A population of connections, both ends on one core: some stay, some come and go.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "pair.h"

namespace synfin::bench {

/// Connections that are opened and closed side by side: what arrives in one batch of a busy server.
inline constexpr std::size_t kTogether = 32;
/// Ports of the server, taken in turn, and as few as there must be: a pair of hosts has only some 28,000
/// pairs of ports with each.
inline constexpr std::uint16_t kFirstPort = 1000;
inline constexpr std::size_t kPairsOfPort = 20'000;

struct Population {
  std::size_t established = 0;
  /// In TIME-WAIT at any moment: virtual time goes by so that each lasts twice the MSL.
  std::size_t time_wait = 65'536;
  std::size_t together = kTogether;
};

class Lives {
 public:
  Lives(const Population& population, std::uint64_t seed) : population_(population), pair_(seed) {
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) s->settings().tcp_max_tw_buckets = 1u << 28;
    const std::size_t ports = (population.established + population.time_wait) / kPairsOfPort + 1;
    for (std::size_t n = 0; n < ports; ++n) {
      const auto port = static_cast<std::uint16_t>(kFirstPort + n);
      listeners_.push_back(*pair_.server().listen(pair_.endpoint(wire::Family::kIpv4, port), {}, now_));
    }
  }

  /// Brings the population about.
  void populate() {
    while (established_ < population_.established) {
      const std::size_t opened = open(std::min(population_.together, population_.established - established_));
      if (opened == 0) break;
      established_ += opened;
    }
    for (std::size_t n = 0; n < population_.time_wait; n += population_.together) (void)one_group();
  }

  /// `together` lives from SYN to TIME-WAIT; how many came that far.
  std::size_t one_group() {
    const std::size_t opened = open(population_.together);
    for (std::size_t i = 0; i < opened; ++i) pair_.client().close(clients_[i], now_);
    carry_there();  // FIN
    carry_back();   // its acknowledgement
    take_events();
    for (std::size_t i = 0; i < opened; ++i) pair_.server().close(servers_[i], now_);
    carry_back();   // the other FIN
    carry_there();  // its acknowledgement
    take_events();
    const Duration lasts = pair_.client().settings().msl * 2;
    now_ = now_ + lasts * static_cast<std::int64_t>(population_.together) /
                      static_cast<std::int64_t>(population_.time_wait);
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) {
      if (s->next_deadline() <= now_) s->advance(now_);
    }
    return opened;
  }

  /// 64 octets there and back on the connection that was opened last; false: they did not arrive.
  bool ask() {
    return say(pair_.client(), clients_[0], pair_.server(), servers_[0]) &&
           say(pair_.server(), servers_[0], pair_.client(), clients_[0]);
  }

  std::size_t established() const { return established_; }
  std::size_t time_wait() { return pair_.client().population().time_wait; }
  std::uint64_t segments() { return sent(pair_.client()) + sent(pair_.server()); }

 private:
  static std::uint64_t sent(stack::Stack& s) {
    return s.counters()[trace::Counter::kOutSegs] + s.counters()[trace::Counter::kRetransSegs];
  }
  void carry_there() { (void)pair_.carry(pair_.client(), pair_.server(), now_); }
  void carry_back() { (void)pair_.carry(pair_.server(), pair_.client(), now_); }
  void take_events() {
    while (pair_.client().poll_event() || pair_.server().poll_event()) {
    }
  }

  bool say(stack::Stack& from, stack::Handle writer, stack::Stack& to, stack::Handle reader) {
    std::array<std::byte, 64> text{};
    const Bytes out{text};
    if (from.send(writer, std::span{&out, 1}, now_) != text.size()) return false;
    (void)pair_.carry(from, to, now_);
    take_events();
    const MutableBytes in{text};
    return to.receive(reader, std::span{&in, 1}, now_) == text.size();
  }

  std::size_t open(std::size_t count) {
    stack::Stack& server = pair_.server();
    const std::size_t n = next_listener_++ % listeners_.size();
    const wire::Endpoint to = pair_.endpoint(wire::Family::kIpv4, static_cast<std::uint16_t>(kFirstPort + n));
    std::size_t connected = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto c = pair_.client().connect(to, {}, now_);
      if (c) clients_[connected++] = *c;
    }
    carry_there();  // SYN
    carry_back();   // SYN-ACK
    carry_there();  // ACK
    take_events();
    std::size_t opened = 0;
    while (opened < connected) {
      const auto s = server.accept(listeners_[n], now_);
      if (!s) break;
      servers_[opened++] = *s;
    }
    return opened;
  }

  Population population_;
  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  std::vector<stack::Handle> listeners_;
  std::size_t next_listener_ = 0;
  std::size_t established_ = 0;
  std::array<stack::Handle, kTogether> clients_, servers_;
};

}  // namespace synfin::bench
