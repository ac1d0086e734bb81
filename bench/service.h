// SPDX-License-Identifier: Apache-2.0
//
// A client that asks and a server that answers, both ends on one core, one connection at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pair.h"

namespace synfin::bench {

/// `question` and `answer` are at most 1,024 octets.
class Service {
 public:
  explicit Service(std::uint64_t seed) : pair_(seed) {
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) s->settings().tcp_max_tw_buckets = 1u << 28;
    for (std::uint16_t n = 0; n < kPorts; ++n)
      listeners_[n] = *pair_.server().listen(endpoint(n), {.connection = {.no_delay = true}}, now_);
  }

  bool open(std::uint16_t port) {
    const auto c = pair_.client().connect(endpoint(port), {.connection = {.no_delay = true}}, now_);
    if (!c) return false;
    exchange();
    const auto s = pair_.server().accept(listeners_[port], now_);
    if (!s) return false;
    client_ = *c;
    server_ = *s;
    return true;
  }
  void close() {
    pair_.client().close(client_, now_);
    exchange();
    pair_.server().close(server_, now_);
    exchange();
  }
  /// `question` octets there, `answer` octets back; false: something did not arrive.
  bool ask(std::size_t question, std::size_t answer) {
    return say(pair_.client(), client_, pair_.server(), server_, question) &&
           say(pair_.server(), server_, pair_.client(), client_, answer);
  }
  /// Virtual time goes by, and what is due is done.
  void pass(Duration d) {
    now_ = now_ + d;
    for (stack::Stack* s : {&pair_.client(), &pair_.server()}) {
      if (s->next_deadline() <= now_) s->advance(now_);
    }
    exchange();
  }
  static constexpr std::uint16_t kPorts = 64;

 private:
  wire::Endpoint endpoint(std::uint16_t port) const {
    return pair_.endpoint(wire::Family::kIpv4, static_cast<std::uint16_t>(Pair::kPort + port));
  }
  void exchange() { pair_.settle(now_); }
  bool say(stack::Stack& from, stack::Handle writer, stack::Stack& to, stack::Handle reader,
           std::size_t octets) {
    const Bytes out = Bytes{out_}.first(octets);
    if (from.send(writer, std::span{&out, 1}, now_) != octets) return false;
    (void)pair_.carry(from, to, now_);
    const MutableBytes in{in_};
    return to.receive(reader, std::span{&in, 1}, now_) == octets;
  }

  static constexpr std::size_t kMost = 1024;  // octets of one message

  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  std::array<stack::Handle, kPorts> listeners_;
  stack::Handle client_, server_;
  std::array<std::byte, kMost> out_{}, in_{};
};

}  // namespace synfin::bench
