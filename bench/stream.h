// SPDX-License-Identifier: Apache-2.0
//
// One stream from one end to the other, both on one core, copied in by the writer and out by the reader.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pair.h"

namespace synfin::bench {

/// What the program writes and reads at once, as a file server does.
inline constexpr std::size_t kStreamPiece = 64 * 1024;

class Stream {
 public:
  /// `window`: the largest; the peer's receive buffer.
  Stream(std::uint32_t mtu, std::uint32_t window, std::uint64_t seed,
         Pair::Offload offload = Pair::Offload::kNo)
      : pair_(seed, mtu, offload), into_(kStreamPiece), from_(kStreamPiece) {
    for (std::size_t i = 0; i < from_.size(); ++i) from_[i] = static_cast<std::byte>(i * 7 + 1);
    tcp::Options options;
    options.receive_buffer = options.send_buffer = window;
    options.congestion = tcp::CongestionControl::kNone;  // a link without loss that nobody else uses
    const auto listener =
        pair_.server().listen(pair_.endpoint(wire::Family::kIpv4), {.connection = options}, now_);
    client_ = *pair_.client().connect(pair_.endpoint(wire::Family::kIpv4), {.connection = options}, now_);
    pair_.settle(now_);
    server_ = *pair_.server().accept(*listener, now_);
  }

  /// Octets that arrived, of about `count` that were written; an amount less than that says it stalled.
  std::uint64_t pass(std::uint64_t count) {
    std::uint64_t arrived = 0;
    while (arrived < count) {
      const Bytes piece{from_};
      (void)pair_.client().send(client_, std::span{&piece, 1}, now_);
      // The writer comes with the next piece before all of the last one has gone: what does not fill a
      // segment goes with it.
      packets_ += pair_.carry(pair_.client(), pair_.server(), now_);
      const std::size_t read = receive();
      arrived += read;
      most_at_once_ = std::max(most_at_once_, read);
      (void)pair_.carry(pair_.server(), pair_.client(), now_);
      while (pair_.client().poll_event() || pair_.server().poll_event()) {
      }
      now_ = now_ + Duration::microseconds(10);
      for (stack::Stack* s : {&pair_.client(), &pair_.server()}) {
        if (s->next_deadline() <= now_) s->advance(now_);
      }
      idle_ = read > 0 ? 0 : idle_ + 1;
      if (idle_ > 1'000'000) break;
    }
    return arrived;
  }

  std::uint64_t segments() { return pair_.client().counters()[trace::Counter::kOutSegs]; }
  std::uint64_t packets() const { return packets_; }
  /// Octets that were read before an acknowledgement went back: as many were in flight, and no more at any
  /// time.
  std::size_t most_in_flight() const { return most_at_once_; }

 private:
  std::size_t receive() {
    std::size_t total = 0;
    const MutableBytes into{into_};
    while (true) {
      const auto n = pair_.server().receive(server_, std::span{&into, 1}, now_);
      if (!n || *n == 0) return total;
      total += *n;
    }
  }

  Instant now_ = Instant::from_ns(1'000'000'000'000);
  Pair pair_;
  stack::Handle client_, server_;
  std::vector<std::byte> into_, from_;
  std::uint64_t idle_ = 0;
  std::uint64_t packets_ = 0;
  std::size_t most_at_once_ = 0;
};

}  // namespace synfin::bench
